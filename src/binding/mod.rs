//! The `#[napi]` surface: convert, call, convert. At most about ten lines a function; no thought of its own.
//!
//! Owns: the addon's runtime and the conversion between JSON texts and the client's types.
//! Must never: keep the host process alive (JavaScript decides that), start a thread when it is merely loaded, or end
//! the process. Outside Node nothing of napi may run: `pm2d` loads the addon for [`native`] alone.

pub mod cli;
pub mod client;
mod native;
mod runtime;
