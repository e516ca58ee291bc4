//! The caller's side: connect to a daemon or launch one, calls in flight, the bus, and every verb of the API.
//!
//! Owns: the connection and its life, launching, the reading and writing of the files that pm2 keeps on the caller's
//! side (dump, module configuration, reload lock), and what each verb does and answers ([`action`]).
//! Must never: print, change the caller's environment, end the caller's process, or keep anything about apps.

pub mod action;
mod actions;
mod connection;
mod error;
mod files;
mod launch;
mod procs;
mod select;
mod session;
mod subscription;

pub use action::{Action, Context, Module, Origin, Target};
pub use actions::run;
pub use error::CallError;
pub use launch::Options;
pub use session::Session;
pub use subscription::{BusEvent, Subscription};
