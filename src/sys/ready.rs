//! Descriptors of ours inside tokio's reactor.
//!
//! Owns: the promise that tokio's `AsyncFd` asks for since 1.54.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

/// Registers a descriptor, to wait for it to become readable or writable. It should be non-blocking. Must be called
/// inside a runtime with IO.
#[expect(unsafe_code, reason = "AsyncFd takes any type that says which descriptor it has, and believes it")]
pub fn register(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: OwnedFd gives the same descriptor for as long as it lives, and AsyncFd owns it.
    Ok(unsafe { AsyncFd::register(fd) }?)
}
