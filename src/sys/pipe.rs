//! Pipes for the output of apps: as large as the limits allow, and not at the cost of other programs.
//!
//! A user without privileges has a budget over all pipes (`pipe-user-pages-soft`, 16384 pages). Once it is spent, every
//! new pipe of that user, in any program, shrinks to two pages. So we enlarge ours only while we stay below half of it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// What a pipe for output is enlarged to, in bytes.
pub const LARGE: usize = 1 << 20;

/// A pipe: the end to read from, the end to write to. Both are closed on exec.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(OFlag::O_CLOEXEC)?)
}

/// Asks for a capacity in bytes. Returns what the pipe has then; refusals are no errors.
pub fn set_capacity(pipe: impl AsFd, bytes: usize) -> io::Result<usize> {
    let wanted = i32::try_from(bytes).unwrap_or(i32::MAX);
    if fcntl(pipe.as_fd(), FcntlArg::F_SETPIPE_SZ(wanted)).is_err() {
        // Above pipe-max-size or the user's budget.
        return capacity(pipe);
    }
    capacity(pipe)
}

/// How many bytes fit into the pipe.
pub fn capacity(pipe: impl AsFd) -> io::Result<usize> {
    Ok(usize::try_from(fcntl(pipe.as_fd(), FcntlArg::F_GETPIPE_SZ)?).unwrap_or(0))
}

nix::ioctl_read_bad!(
    /// SAFETY of callers: the pointer is a valid, writable int.
    fionread,
    libc::FIONREAD,
    libc::c_int
);

/// How many bytes can be read now (pipes and stream sockets).
#[expect(unsafe_code, reason = "an ioctl without a safe wrapper")]
pub fn readable_bytes(fd: impl AsFd) -> io::Result<usize> {
    let mut count = 0;
    // SAFETY: FIONREAD writes one int, and `count` is one.
    unsafe { fionread(fd.as_fd().as_raw_fd(), &raw mut count) }?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Makes reads and writes of this end return at once.
pub fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd.as_fd(), FcntlArg::F_GETFL)?);
    // It is a property of what is open, not of the descriptor: an earlier daemon has set it.
    if flags.contains(OFlag::O_NONBLOCK) {
        return Ok(());
    }
    fcntl(fd.as_fd(), FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// How many pipes may be [`LARGE`] at once without taking more than half of what this user may have.
pub fn large_pipes_allowed() -> usize {
    if nix::unistd::geteuid().is_root() {
        return usize::MAX;
    }
    let pages = std::fs::read_to_string("/proc/sys/fs/pipe-user-pages-soft").ok();
    let pages: u64 = pages.and_then(|text| text.trim().parse().ok()).unwrap_or(16_384);
    // 0 means without a limit.
    if pages == 0 {
        return usize::MAX;
    }
    let large = LARGE as u64 / super::stat::page_size();
    usize::try_from(pages / 2 / large).unwrap_or(usize::MAX)
}

/// `/dev/null`, to read and write.
pub fn null() -> io::Result<OwnedFd> {
    Ok(File::options().read(true).write(true).open("/dev/null")?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_can_be_enlarged_and_counted() {
        let (reader, writer) = pipe().unwrap();
        assert!(set_capacity(&writer, 4096).unwrap() >= 4096);
        let large = set_capacity(&writer, LARGE).unwrap();
        assert!(large >= 4096 && large == capacity(&reader).unwrap());
        assert!(set_capacity(&writer, usize::MAX).unwrap() >= large, "a refusal is no error");
        nix::unistd::write(&writer, b"12345").unwrap();
        assert_eq!(readable_bytes(&reader).unwrap(), 5);
        assert!(large_pipes_allowed() > 0);
    }
}
