//! A process named by a descriptor: a signal can never reach a later process that was given the same pid.
//!
//! A pidfd becomes readable when its process has ended (also before it is reaped), so it can be polled.

#![expect(unsafe_code, reason = "nix has no pidfd calls")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout};
use tokio::io::unix::AsyncFd;

use crate::model::signal::Signal;

/// Opens the process that has this pid now. `ESRCH` when there is none.
pub fn open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed; the kernel sets close-on-exec by itself.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the call just made this descriptor and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends a signal. `ESRCH` when the process has ended and was reaped.
pub fn send_signal(pidfd: impl AsFd, signal: Signal) -> io::Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo means "as kill would fill it"; nothing else is a pointer.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_fd().as_raw_fd(), signal.0, no_info, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether the process has ended (reaped or not).
pub fn has_ended(pidfd: impl AsFd) -> bool {
    poll_one(pidfd.as_fd(), PollTimeout::ZERO)
}

/// Waits, blocking, until all have ended or `timeout_ms` has passed. Whether all have ended.
pub fn wait_all(pidfds: &[OwnedFd], timeout_ms: u64) -> bool {
    let deadline = super::clock::boot_millis().saturating_add(timeout_ms);
    pidfds.iter().all(|pidfd| {
        loop {
            let left = deadline.saturating_sub(super::clock::boot_millis());
            let timeout = PollTimeout::try_from(left.min(60_000)).unwrap_or(PollTimeout::ZERO);
            if poll_one(pidfd.as_fd(), timeout) {
                return true;
            }
            if left == 0 {
                return false;
            }
        }
    })
}

/// Resolves when the process has ended. Safe to drop. Must be awaited inside a tokio runtime with IO.
pub async fn ended(pidfd: OwnedFd) -> io::Result<()> {
    // SAFETY: OwnedFd gives the same descriptor for as long as it lives, and AsyncFd owns it.
    let pidfd = unsafe { AsyncFd::register_with_interest(pidfd, tokio::io::Interest::READABLE) }?;
    pidfd.readable().await.map(drop)
}

/// The raw wait status of a process that is not our child and has been reaped by somebody else, where the kernel
/// (Linux 6.15 and later) remembers it. `None` when it does not.
pub fn remembered_status(pidfd: impl AsFd) -> Option<i32> {
    /// `struct pidfd_info` of linux/pidfd.h, in its first published size (64 bytes).
    #[repr(C)]
    #[derive(Default)]
    struct PidfdInfo {
        mask: u64,
        cgroup: u64,
        ids: [u32; 11],
        exit_code: i32,
    }
    const MASK_EXIT: u64 = 1 << 3;
    // _IOWR(0xFF, 11, struct pidfd_info): direction, size, type, number.
    const GET_INFO: u64 = 0xC040_FF0B;
    const _: () = assert!(size_of::<PidfdInfo>() == 64);
    let mut info = PidfdInfo { mask: MASK_EXIT, ..PidfdInfo::default() };
    // SAFETY: the request number carries the size of `info`, so the kernel writes no further than it reaches.
    let result = unsafe { libc::ioctl(pidfd.as_fd().as_raw_fd(), GET_INFO as libc::Ioctl, &raw mut info) };
    (result == 0 && info.mask & MASK_EXIT != 0).then_some(info.exit_code)
}

fn poll_one(pidfd: BorrowedFd<'_>, timeout: PollTimeout) -> bool {
    let mut fds = [PollFd::new(pidfd, PollFlags::POLLIN)];
    nix::poll::poll(&mut fds, timeout).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_signalled_waited_for_and_never_mistaken() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pidfd = open(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(!has_ended(&pidfd));
        assert!(!wait_all(&[pidfd.try_clone().unwrap()], 1));
        send_signal(&pidfd, Signal::TERM).unwrap();
        assert!(wait_all(&[pidfd.try_clone().unwrap()], 30_000));
        assert!(has_ended(&pidfd), "also before it is reaped");
        child.wait().unwrap();
        let error = send_signal(&pidfd, Signal::TERM).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
    }

    #[test]
    fn the_end_can_be_awaited() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let mut child = Command::new("true").spawn().unwrap();
        let pidfd = open(i32::try_from(child.id()).unwrap()).unwrap();
        runtime.block_on(ended(pidfd)).unwrap();
        assert!(child.wait().unwrap().success());
    }
}
