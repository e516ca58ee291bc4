//! pm2-rs: the process manager pm2, done again in Rust.
//!
//! This crate is the house; `pm2d` (the daemon) and the Node addon are doors into it, and doors are thin.
//!
//! | room | owns | may use |
//! | --- | --- | --- |
//! | [`model`] | the words: ids, status, policy, signal, units, home. Data only | nothing of ours |
//! | [`sys`] | the operating system behind one interface; with `keeper` the only `unsafe` | `model::{signal, units}` |
//! | [`wire`] | bytes <-> typed messages, sans-IO: amp, axon-rpc, Node IPC, keeper | `model` |
//! | [`supervisor`] | pure: (table, input, now) -> effects | `model` |
//! | [`config`] | options and config files -> complete app descriptions | `model` |
//! | [`client`] | connect or launch; calls in flight; subscriptions; the verbs | `wire`, `sys`, `config`, `model` |
//! | `keeper` | spawn, reap, hold descriptors; one thread, one poll loop | `wire::keeper`, `sys`, `model` |
//! | `daemon` | server, dispatch, table owner, bus, logs | `supervisor`, `wire`, `sys`, `model` |
//! | `cli` | arguments, a command per verb, rendering, exit codes | `client`, `config`, `model` |
//! | `binding` | the `#[napi]` surface: convert, call, convert | `cli`, `client`, `config`, `model`, `sys::{leave, library, terminal}` |
//!
//! `tests/layering.rs` holds this table.

pub mod client;
pub mod config;
pub mod model;
pub mod supervisor;
pub mod sys;
pub mod wire;

#[cfg(feature = "binding")]
pub mod binding;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "daemon")]
pub mod daemon;
#[cfg(feature = "daemon")]
pub mod keeper;

/// The pm2 version whose API, wire and files we declare ourselves compatible with.
///
/// `getVersion` answers this: with another text every stock CLI call would print its out-of-date notice
/// (contract/wire.md section 10, rule 2).
pub const PM2_VERSION: &str = "7.0.4";

/// Our own version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
