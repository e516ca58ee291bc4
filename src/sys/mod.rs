//! The operating system behind safe functions, one file per topic.
//!
//! Owns: every system call of the house that std, tokio and nix do not already offer safely; with `keeper` the only
//! `unsafe`. Linux today; the signatures name nothing that another Unix could not do in its own way.
//! Must never: decide anything, know pm2, print, or use more of ours than `model::signal` and `model::units`.

pub mod clock;
pub mod code;
#[cfg(test)]
pub(crate) mod counting;
pub mod detach;
pub mod file;
pub mod heap;
pub mod holder;
pub mod leave;
pub mod ledger;
pub mod library;
pub mod limits;
pub mod listen;
pub mod lock;
pub mod memory;
pub mod packet;
pub mod pidfd;
pub mod pipe;
pub mod priority;
pub mod process;
pub mod ready;
pub mod socket;
pub mod stat;
pub mod terminal;
pub mod title;
pub mod waiting;
