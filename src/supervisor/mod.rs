//! The heart: what happens next to an instance. PURE: `(table, input, now) -> effects`.
//!
//! Owns: the state machine of every slot, restart accounting, back-off, stop, reload, due times, pending replies.
//! Must never: do IO, read a clock, spawn a task, or know JSON, sockets or descriptors.
//! Invariants (checked by simulation): never two live children for one slot except during a reload; a stop always ends
//! in stopped (or errored when even SIGKILL did not help); restarts are counted once; every command gets exactly one
//! reply; a reload never has fewer ready workers than it began with.

mod accounting;
mod command;
mod exit;
mod launch;
mod machine;
mod reload;
mod resume;
#[cfg(test)]
mod simulation;
mod slot;
mod stop;
#[cfg(test)]
mod tests;
mod turn;
pub mod types;

pub use machine::Supervisor;
pub use slot::Slot;
pub use types::*;
