//! A line of an app that does not fit in the socket, kept where it outlives this daemon while it comes in.
//!
//! Owns: the memory of one such line. The kernel itself counts what it puts there, within the system call that takes it
//! out of the socket: at no instant are bytes neither there nor here.
//! Must never: take a byte before the memory is in the keeper's care.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use crate::sys::memory::{MESSAGE_WORDS, SharedMemory};

/// How many bytes have come, before the last receive is counted.
const TOTAL: usize = 0;
/// Where the last receive put what it took. Its count is in the message.
const AT: usize = 1;
/// The line was acted on.
const DONE: usize = 2;
/// What the kernel writes to.
const MESSAGE: usize = 3;
const WORDS: usize = MESSAGE + MESSAGE_WORDS;

/// Most bytes of a line that is kept. It costs what has come, not this.
pub(super) const MAX_KEPT: usize = if cfg!(test) { 1 << 20 } else { 64 << 20 };

/// See the module.
#[derive(Debug)]
pub(super) struct HeardLine(SharedMemory);

impl HeardLine {
    pub(super) fn new() -> io::Result<HeardLine> {
        Ok(HeardLine(SharedMemory::create(c"pm2d-heard", WORDS, MAX_KEPT)?))
    }

    /// From the memory that an earlier daemon left. `None` when there is nothing in it that was not acted on.
    pub(super) fn open(fd: OwnedFd) -> Option<HeardLine> {
        let line = HeardLine(SharedMemory::open(fd, WORDS, MAX_KEPT).ok()?);
        (line.0.word(DONE) == 0 && line.length() > 0).then_some(line)
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Bytes that have come.
    pub(super) fn length(&self) -> usize {
        let received = usize::try_from(self.0.word(AT)).unwrap_or(usize::MAX);
        let received = received.saturating_add(self.0.message_count(MESSAGE));
        // Either is right whenever the other is not yet.
        usize::try_from(self.0.word(TOTAL)).unwrap_or(usize::MAX).max(received).min(MAX_KEPT)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.bytes().get(..self.length()).unwrap_or_default()
    }

    /// Takes at most so many bytes more out of the socket. 0: the other side has closed.
    pub(super) fn receive(&mut self, socket: &OwnedFd, most: usize) -> Result<usize, Errno> {
        let length = self.length();
        self.0.set_word(TOTAL, length as u64);
        let most = most.min(MAX_KEPT - length);
        let taken =
            self.0.receive_counted(MESSAGE, socket.as_fd(), length, most, |memory| memory.set_word(AT, length as u64));
        taken.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EINVAL as i32)))
    }

    /// The line was acted on: the next daemon must not do it again.
    pub(super) fn done(&self) {
        self.0.set_word(DONE, 1);
    }
}
