//! Tables and blocks of text, from data: nothing here asks the daemon.

pub(super) mod describe;
pub(super) mod inspect;
pub(super) mod list;
pub(super) mod metrics;
mod table;
#[cfg(test)]
mod transcripts;
pub(super) mod units;

pub(super) use table::{fit, harmless};
