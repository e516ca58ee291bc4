//! What one chunk is at, in memory that outlives us: so that a `kill -9` loses no byte and doubles none.
//!
//! The daemon works on one chunk at a time, so there is one buffer and one record for all streams:
//!
//! | step of the record | if killed now, the next daemon ... |
//! | --- | --- |
//! | `Idle` | has nothing to do |
//! | `Reading`: n bytes are there, and will be read into the buffer | looks whether the mark in the buffer is overwritten: if not, nothing was read |
//! | `Read`: the buffer holds them; the targets before this one have them | writes them to this target and those behind it |
//! | `Writing`: so much is done, then this target was this file of this size | completes what that file lacks, wherever it was renamed to |
//! | `Carrying`: all is written, the unfinished line is being put aside | puts it aside again |
//!
//! The number of bytes is known before the read, because nobody else reads the pipe (`sys::waiting`). So the read itself
//! consumes, and no byte has to be peeked and consumed again, as with `tee`: one system call and one copy less.
//!
//! Owns: the layout of this memory. Must never: be shared by two daemons at once (the keeper runs one).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::format::MAX_LINE;
use crate::model::RunId;
use crate::sys::memory::SharedMemory;

/// Most bytes of one chunk.
pub(super) const CHUNK: usize = 256 * 1024;

/// So many streams can have an unfinished line that survives.
const SLOTS: usize = 256;

/// Says who laid the memory out, and how.
const LAYOUT: u64 = 0x706d_3272_6c6f_0002;

/// Never in UTF-8 text, so that a short chunk is not taken for it.
const MARK: [u8; 16] = *b"\xff\xfe\xc0\xff\xf8\xfd\xc1\xfb\xff\xfc\xc0\xfa\xf9\xfe\xc1\xff";

mod word {
    pub(super) const LAYOUT: usize = 0;
    /// Step in the low eight bits, target above.
    pub(super) const STEP: usize = 1;
    pub(super) const STREAM: usize = 2;
    pub(super) const LENGTH: usize = 3;
    pub(super) const NOW: usize = 4;
    pub(super) const FLAGS: usize = 5;
    /// Length and flag of the carry before this chunk.
    pub(super) const CARRY: usize = 6;
    /// Two marks of four words each: one holds, the next one is written into the other.
    pub(super) const MARKS: [usize; 2] = [7, 11];
    pub(super) const SLOTS: usize = 16;
    pub(super) const PER_SLOT: usize = 2;
}

/// One stream: a run's stdout or stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamKey(u64);

impl StreamKey {
    pub(super) fn new(run: RunId, stderr: bool) -> StreamKey {
        // Plus one: 0 is a free slot.
        StreamKey((run.0 << 1 | u64::from(stderr)) + 1)
    }
}

/// Where the record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Idle,
    Reading,
    Read {
        target: usize,
    },
    /// Which of the two marks holds.
    Writing {
        target: usize,
        mark: usize,
    },
    Carrying,
}

impl Step {
    fn pack(self) -> u64 {
        match self {
            Step::Idle => 0,
            Step::Reading => 1,
            Step::Read { target } => 2 | (target as u64) << 8,
            Step::Writing { target, mark } => 3 | ((mark & 1) as u64) << 4 | (target as u64) << 8,
            Step::Carrying => 4,
        }
    }

    fn unpack(word: u64) -> Step {
        let target = usize::try_from(word >> 8).unwrap_or(usize::MAX);
        match word & 0xf {
            1 => Step::Reading,
            2 => Step::Read { target },
            3 => Step::Writing { target, mark: usize::from(word >> 4 & 1 != 0) },
            4 => Step::Carrying,
            _ => Step::Idle,
        }
    }
}

/// How a chunk is written; the next daemon must do it the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flags {
    /// Bytes as they are, without looking for lines.
    pub(super) raw: bool,
    pub(super) shared: bool,
    /// Nothing more comes: the unfinished line is written too.
    pub(super) last: bool,
}

impl Flags {
    fn pack(self) -> u64 {
        u64::from(self.raw) | u64::from(self.shared) << 1 | u64::from(self.last) << 2
    }

    fn unpack(word: u64) -> Flags {
        Flags { raw: word & 1 != 0, shared: word & 2 != 0, last: word & 4 != 0 }
    }
}

/// A file at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileMark {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
}

/// Length of an unfinished line, and whether its beginning is written already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct CarryState {
    pub(super) length: usize,
    pub(super) continued: bool,
}

impl CarryState {
    fn pack(self) -> u64 {
        self.length as u64 | u64::from(self.continued) << 32
    }

    fn unpack(word: u64) -> CarryState {
        let length = usize::try_from(word & 0xffff_ffff).unwrap_or(0).min(MAX_LINE);
        CarryState { length, continued: word >> 32 & 1 != 0 }
    }
}

/// What a killed daemon was at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unfinished {
    pub(super) step: Step,
    pub(super) stream: StreamKey,
    pub(super) length: usize,
    pub(super) now: u64,
    pub(super) flags: Flags,
    /// So much of the piece is in older files.
    pub(super) done: usize,
    /// What `file` was before the rest.
    pub(super) file: FileMark,
    pub(super) carry: CarryState,
}

/// The record, the buffer and the unfinished lines.
#[derive(Debug)]
pub(super) struct Journal {
    memory: SharedMemory,
}

impl Journal {
    const WORDS: usize = word::SLOTS + SLOTS * word::PER_SLOT;
    const BYTES: usize = CHUNK + SLOTS * MAX_LINE;

    pub(super) fn create() -> io::Result<Journal> {
        let memory = SharedMemory::create(c"pm2d-log-journal", Journal::WORDS, Journal::BYTES)?;
        memory.set_word(word::LAYOUT, LAYOUT);
        Ok(Journal { memory })
    }

    /// The journal of an earlier daemon. `InvalidData` if it is laid out in another way.
    pub(super) fn open(fd: OwnedFd) -> io::Result<Journal> {
        let memory = SharedMemory::open(fd, Journal::WORDS, Journal::BYTES)?;
        if memory.word(word::LAYOUT) != LAYOUT {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Journal { memory })
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }

    /// What an earlier daemon left. `None` when it left nothing, or the read it had announced never happened.
    pub(super) fn unfinished(&self) -> Option<Unfinished> {
        let word = |index| self.memory.word(index);
        let length = usize::try_from(word(word::LENGTH)).unwrap_or(usize::MAX).min(CHUNK);
        let step = match Step::unpack(word(word::STEP)) {
            Step::Idle => return None,
            Step::Reading if self.mark_is_there(length) => return None,
            Step::Reading => Step::Read { target: 0 },
            step => step,
        };
        let mark = match step {
            Step::Writing { mark, .. } => mark,
            _ => 0,
        };
        let mark = |offset: usize| word(mark_word(mark) + offset);
        Some(Unfinished {
            step,
            stream: StreamKey(word(word::STREAM)),
            length,
            now: word(word::NOW),
            flags: Flags::unpack(word(word::FLAGS)),
            done: usize::try_from(mark(3)).unwrap_or(usize::MAX),
            file: FileMark { device: mark(0), inode: mark(1), size: mark(2) },
            carry: CarryState::unpack(word(word::CARRY)),
        })
    }

    /// Announces a chunk: `length` bytes (0 for the last words of a stream) that will be read into the answer. The length
    /// is at most [`CHUNK`].
    pub(super) fn announce(
        &mut self,
        stream: StreamKey,
        length: usize,
        now: u64,
        flags: Flags,
        carry: CarryState,
    ) -> &mut [u8] {
        let length = length.min(CHUNK);
        for (index, value) in [
            (word::STREAM, stream.0),
            (word::LENGTH, length as u64),
            (word::NOW, now),
            (word::FLAGS, flags.pack()),
            (word::CARRY, carry.pack()),
        ] {
            self.memory.set_word(index, value);
        }
        let mark = length.min(MARK.len());
        if let (Some(end), Some(mark)) = (self.memory.bytes_mut().get_mut(length - mark..length), MARK.get(..mark)) {
            end.copy_from_slice(mark);
        }
        self.step(Step::Reading);
        self.memory.bytes_mut().get_mut(..length).unwrap_or_default()
    }

    /// The chunk is in the buffer; so many bytes it is.
    pub(super) fn have_read(&self, length: usize) {
        self.memory.set_word(word::LENGTH, length.min(CHUNK) as u64);
        self.step(Step::Read { target: 0 });
    }

    /// The bytes in the buffer.
    pub(super) fn chunk(&self, length: usize) -> &[u8] {
        self.memory.bytes().get(..length).unwrap_or_default()
    }

    /// The targets before this one are complete, and of this one the first `done` bytes; the rest is appended next, to
    /// `file` as it is now.
    pub(super) fn writing(&self, target: usize, done: usize, file: FileMark) {
        // Never into the mark that holds: at every moment one of them tells the truth.
        let mark = match Step::unpack(self.memory.word(word::STEP)) {
            Step::Writing { mark, .. } => 1 - mark.min(1),
            _ => 0,
        };
        let start = mark_word(mark);
        for (offset, value) in [file.device, file.inode, file.size, done as u64].into_iter().enumerate() {
            self.memory.set_word(start + offset, value);
        }
        self.step(Step::Writing { target, mark });
    }

    /// Every target is complete.
    pub(super) fn carrying(&self) {
        self.step(Step::Carrying);
    }

    /// Nothing is under way.
    pub(super) fn idle(&self) {
        self.step(Step::Idle);
    }

    fn step(&self, step: Step) {
        #[cfg(test)]
        super::tests::at_every_step();
        self.memory.set_word(word::STEP, step.pack());
        #[cfg(test)]
        super::tests::at_every_step();
    }

    fn mark_is_there(&self, length: usize) -> bool {
        let mark = length.min(MARK.len());
        mark > 0 && self.memory.bytes().get(length - mark..length) == MARK.get(..mark)
    }

    /// The slot that holds an unfinished line of this stream.
    pub(super) fn find_slot(&self, stream: StreamKey) -> Option<usize> {
        (0..SLOTS).find(|slot| self.memory.word(slot_word(*slot)) == stream.0)
    }

    /// A slot for this stream's unfinished line; `None` when all are taken.
    pub(super) fn take_slot(&self, stream: StreamKey) -> Option<usize> {
        let slot = self.find_slot(StreamKey(0))?;
        self.memory.set_word(slot_word(slot) + 1, 0);
        self.memory.set_word(slot_word(slot), stream.0);
        Some(slot)
    }

    pub(super) fn free_slot(&self, slot: usize) {
        self.memory.set_word(slot_word(slot), 0);
    }

    /// Frees the slots of all streams but these.
    pub(super) fn keep_slots(&self, keep: impl Fn(StreamKey) -> bool) {
        for slot in 0..SLOTS {
            let stream = StreamKey(self.memory.word(slot_word(slot)));
            if stream.0 != 0 && !keep(stream) {
                self.free_slot(slot);
            }
        }
    }

    pub(super) fn slot_state(&self, slot: usize) -> CarryState {
        CarryState::unpack(self.memory.word(slot_word(slot) + 1))
    }

    pub(super) fn slot_bytes(&self, slot: usize, length: usize) -> &[u8] {
        let start = CHUNK + slot * MAX_LINE;
        self.memory.bytes().get(start..start + length).unwrap_or_default()
    }

    /// Puts `chunk[from..length]` behind the first `keep` bytes of the slot.
    pub(super) fn fill_slot(&mut self, slot: usize, keep: usize, from: usize, length: usize, continued: bool) {
        let count = length.saturating_sub(from).min(MAX_LINE - keep.min(MAX_LINE));
        let start = CHUNK + slot * MAX_LINE + keep;
        let bytes = self.memory.bytes_mut();
        if start + count <= bytes.len() && from + count <= CHUNK {
            bytes.copy_within(from..from + count, start);
        }
        self.memory.set_word(slot_word(slot) + 1, CarryState { length: keep + count, continued }.pack());
    }
}

fn mark_word(mark: usize) -> usize {
    let [first, second] = word::MARKS;
    if mark == 0 { first } else { second }
}

fn slot_word(slot: usize) -> usize {
    word::SLOTS + slot * word::PER_SLOT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reopened(journal: &Journal) -> Journal {
        Journal::open(journal.as_fd().try_clone_to_owned().unwrap()).unwrap()
    }

    #[test]
    fn an_announced_read_that_did_not_happen_is_recognised() {
        let mut journal = Journal::create().unwrap();
        assert!(journal.unfinished().is_none());
        let stream = StreamKey::new(RunId(9), true);
        for length in [1, 5, 16, 17, CHUNK] {
            journal.announce(stream, length, 0, Flags::default(), CarryState::default());
            assert!(reopened(&journal).unfinished().is_none(), "{length}: nothing was read");
            let buffer = journal.announce(stream, length, 0, Flags::default(), CarryState::default());
            buffer.fill(b'x');
            let left = reopened(&journal).unfinished().unwrap();
            assert_eq!((left.step, left.length, left.stream), (Step::Read { target: 0 }, length, stream));
        }
        journal.idle();
        assert!(reopened(&journal).unfinished().is_none());
    }

    #[test]
    fn the_mark_that_holds_is_never_overwritten() {
        let mut journal = Journal::create().unwrap();
        journal.announce(StreamKey::new(RunId(1), false), 0, 0, Flags::default(), CarryState::default());
        journal.have_read(0);
        for round in 0..5 {
            let file = FileMark { device: 1, inode: round, size: round * 10 };
            journal.writing(1, 7, file);
            let left = reopened(&journal).unfinished().unwrap();
            let mark = usize::from(round % 2 == 1);
            assert_eq!((left.step, left.done, left.file), (Step::Writing { target: 1, mark }, 7, file));
        }
    }

    #[test]
    fn slots_hold_lines_of_streams() {
        let mut journal = Journal::create().unwrap();
        let stream = StreamKey::new(RunId(1), false);
        let buffer = journal.announce(stream, 10, 0, Flags::default(), CarryState::default());
        buffer.copy_from_slice(b"0123456789");
        let slot = journal.take_slot(stream).unwrap();
        journal.fill_slot(slot, 0, 7, 10, false);
        journal.fill_slot(slot, 3, 0, 2, true);
        let next = reopened(&journal);
        assert_eq!(next.find_slot(stream), Some(slot));
        assert_eq!(next.slot_state(slot), CarryState { length: 5, continued: true });
        assert_eq!(next.slot_bytes(slot, 5), b"78901");
        next.keep_slots(|_| false);
        assert_eq!(next.find_slot(stream), None);
    }
}
