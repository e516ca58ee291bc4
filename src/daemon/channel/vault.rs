//! Lines too long for one send, kept where they outlive this daemon: half a line followed by another would kill the app.
//!
//! Owns: the memory of one such line: how much of it is sent, how long it is, the line.
//! Must never: be without the line when its first byte goes out.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use bytes::Bytes;

use crate::sys::memory::SharedMemory;

/// Which word says how many bytes are sent, and which how long the line is.
const SENT: usize = 0;
const LENGTH: usize = 1;
const WORDS: usize = 2;

/// Where a channel keeps what is under way for the next daemon.
#[derive(Debug, Clone)]
pub struct Vaults {
    /// A line to the app, of which a part may have gone out.
    pub outgoing: Rc<dyn Vault>,
    /// A line of the app, of which a part has come.
    pub incoming: Rc<dyn Vault>,
}

/// Where the memory of the line under way is kept for the next daemon.
pub trait Vault: std::fmt::Debug {
    /// Keeps it. Replaces what was kept before.
    fn keep(&self, memory: BorrowedFd<'_>) -> io::Result<()>;
    /// The line is sent.
    fn release(&self);
    /// Whether what was to be kept is out of our hands.
    fn is_settled(&self) -> bool;
    /// What an earlier daemon kept.
    fn found(&self) -> Option<OwnedFd>;
}

/// A line and how much of it is sent.
#[derive(Debug)]
pub(super) struct LongLine {
    memory: SharedMemory,
    length: usize,
}

impl LongLine {
    pub(super) fn new(line: &[u8]) -> io::Result<LongLine> {
        let mut memory = SharedMemory::create(c"pm2d-line", WORDS, line.len())?;
        memory.bytes_mut().copy_from_slice(line);
        memory.set_word(LENGTH, line.len() as u64);
        Ok(LongLine { memory, length: line.len() })
    }

    /// From the memory that an earlier daemon left. `None` when it had not come to put a line there.
    pub(super) fn open(fd: OwnedFd) -> Option<LongLine> {
        let size = SharedMemory::open(fd.try_clone().ok()?, WORDS, 0).ok()?.word(LENGTH);
        let length = usize::try_from(size).ok().filter(|length| *length > 0)?;
        let memory = SharedMemory::open(fd, WORDS, length).ok()?;
        Some(LongLine { memory, length })
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }

    pub(super) fn sent(&self) -> usize {
        usize::try_from(self.memory.word(SENT)).unwrap_or(usize::MAX).min(self.length)
    }

    pub(super) fn set_left(&self, left: usize) {
        self.memory.set_word(SENT, self.length.saturating_sub(left) as u64);
    }

    /// What is not sent yet.
    pub(super) fn rest(&self) -> Bytes {
        Bytes::copy_from_slice(self.memory.bytes().get(self.sent()..self.length).unwrap_or_default())
    }
}
