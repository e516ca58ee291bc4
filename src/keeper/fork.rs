//! A daemon that is a copy of the keeper which goes on as something else: fork without execve.
//!
//! Owns: what the copy has to lose before it is a daemon: descriptors, blocked signals, session, name.
//! Must never: come back in the copy, whatever happens there: it would be a second keeper.

#![expect(unsafe_code, reason = "fork, and an end without destructors")]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::sys::signal::SigSet;
use nix::unistd::{ForkResult, fork};

use crate::sys::{detach, pidfd, title};

/// Runs `play` with the daemon's end of the socket in a process of its own. `oom_score` is restored there. Its pid and
/// pidfd. Only for a process with one thread.
pub(super) fn start(
    null: &OwnedFd,
    link: OwnedFd,
    oom_score: Option<&CStr>,
    play: impl FnOnce(OwnedFd) -> i32,
) -> io::Result<(i32, OwnedFd)> {
    // SAFETY: the keeper has one thread, so nothing is locked or half done in the copy.
    match unsafe { fork() }? {
        // It is our child and not waited for yet, so the number is its own.
        ForkResult::Parent { child } => Ok((child.as_raw(), pidfd::open(child.as_raw())?)),
        ForkResult::Child => {
            let code =
                catch_unwind(AssertUnwindSafe(|| become_daemon(null, &link, oom_score).map_or(1, |()| play(link))));
            // SAFETY: ends the process at once; what its memory owns is the keeper's.
            unsafe { libc::_exit(code.unwrap_or(1)) }
        }
    }
}

fn become_daemon(null: &OwnedFd, link: &OwnedFd, oom_score: Option<&CStr>) -> io::Result<()> {
    detach::leave_session();
    nix::unistd::dup2_stdin(null)?;
    detach::close_others(&[link.as_fd()]);
    if let Some(score) = oom_score {
        // As before is good enough: only the order in which the kernel kills depends on it.
        let _ = std::fs::write("/proc/self/oom_score_adj", score.to_bytes());
    }
    SigSet::empty().thread_set_mask()?;
    title::replace_argument("keeper", "daemon");
    Ok(())
}
