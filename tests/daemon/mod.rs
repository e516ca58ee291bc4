//! The whole daemon, as a client sees it: the real `pm2d`, real processes, a fresh home for each test.

mod bad_input;
mod before_exec;
pub(crate) mod client;
mod ends;
mod homes;
mod life;
mod messages;
mod survival;
