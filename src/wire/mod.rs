//! Bytes <-> typed messages, sans-IO: nothing here reads, writes or waits.
//!
//! Owns: the AMP frame and argument tags, axon-rpc calls and replies, the bus message, Node's child channel, the
//! messages of Node's cluster, and the private messages between keeper and daemon.
//! Must never: do IO, trust a length, or panic on any input.

pub mod amp;
pub mod bus;
pub mod cluster;
pub mod keeper;
pub mod node_ipc;
pub mod rpc;

mod json;
