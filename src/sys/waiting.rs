//! What waits in a pipe or socket, and waiting for it.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

use super::pipe::readable_bytes;

/// What is there to read from a pipe or a stream socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// So many bytes; if nobody else reads it, a read of this size returns exactly this many.
    Bytes(usize),
    Nothing,
    /// Nothing, and nobody can write any more.
    End,
}

/// Asks without reading.
pub fn waiting(fd: BorrowedFd<'_>) -> io::Result<Waiting> {
    loop {
        let count = readable_bytes(fd)?;
        if count > 0 {
            return Ok(Waiting::Bytes(count));
        }
        let mut poll_fd = [PollFd::new(fd, PollFlags::POLLIN)];
        poll(&mut poll_fd, PollTimeout::ZERO)?;
        let events = poll_fd[0].revents().unwrap_or(PollFlags::empty());
        if events.contains(PollFlags::POLLIN) && !events.contains(PollFlags::POLLHUP) {
            continue; // Something came between the two questions.
        }
        let end = events.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL);
        return Ok(if end { Waiting::End } else { Waiting::Nothing });
    }
}

/// A descriptor that the runtime watches. Nobody else can get at it to close it, which is what makes watching sound.
#[derive(Debug)]
pub struct Watched(AsyncFd<OwnedFd>);

impl Watched {
    /// Watches for what `interest` says. Call inside a runtime.
    #[expect(unsafe_code, reason = "the runtime cannot know who may close a descriptor")]
    pub fn new(fd: OwnedFd, interest: Interest) -> io::Result<Watched> {
        // SAFETY: the descriptor stays open and the same as long as it is registered: it is owned by what registers it, and
        // only lent out.
        Ok(Watched(unsafe { AsyncFd::register_with_interest(fd, interest) }?))
    }

    pub fn fd(&self) -> &OwnedFd {
        self.0.get_ref()
    }

    /// Watches no longer.
    pub fn into_fd(self) -> OwnedFd {
        self.0.into_inner()
    }

    pub async fn readable(&self) -> io::Result<AsyncFdReadyGuard<'_, OwnedFd>> {
        self.0.readable().await
    }

    pub async fn writable(&self) -> io::Result<AsyncFdReadyGuard<'_, OwnedFd>> {
        self.0.writable().await
    }
}

/// Takes the descriptors that one `recvmsg` has just delivered (`SCM_RIGHTS`): numbers the kernel has made for us, owned
/// by nobody yet.
#[expect(unsafe_code, reason = "descriptors out of control messages have no safe interface")]
pub fn adopt_received(numbers: Vec<RawFd>) -> Vec<OwnedFd> {
    // SAFETY: the caller passes what `recvmsg` has just returned; each number is open and has no other owner.
    numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_pipe_says_what_waits_in_it() {
        let (reader, mut writer) = io::pipe().unwrap();
        assert_eq!(waiting(reader.as_fd()).unwrap(), Waiting::Nothing);
        writer.write_all(b"12345").unwrap();
        assert_eq!(waiting(reader.as_fd()).unwrap(), Waiting::Bytes(5));
        drop(writer);
        assert_eq!(waiting(reader.as_fd()).unwrap(), Waiting::Bytes(5));
        nix::unistd::read(&reader, &mut [0; 9]).unwrap();
        assert_eq!(waiting(reader.as_fd()).unwrap(), Waiting::End);
    }

    #[test]
    fn a_socket_says_its_end_too() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(waiting(ours.as_fd()).unwrap(), Waiting::Nothing);
        drop(theirs);
        assert_eq!(waiting(ours.as_fd()).unwrap(), Waiting::End);
    }
}
