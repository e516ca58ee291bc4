//! The ledger of accepted connections: which descriptors of this process are connections that nobody else has yet, in
//! memory that outlives us, exact at every instant at which we may be killed.
//!
//! Owns: the layout, the order of the stores, and three system calls whose effect the kernel itself or an intent notes:
//! accept and receive (an intent is there before, and names the place), and send (`sendmmsg` stores the count of the
//! bytes it has sent in the ledger, before the process can notice a signal).
//! Must never: know what a connection is for; that is in words of the caller's choice.
//!
//! [`super::holder`] reads it when we are dead; the next process opens it.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::listen;
use super::memory::SharedMemory;

/// Goes up when the meaning of a word changes.
const VERSION: u64 = 1;

/// Most connections at once; further ones are served without being noted.
pub(super) const SLOTS: u32 = 1024;

// Words of the head.
const VERSION_AT: usize = 0;
/// What is being done right now that makes a descriptor: place + 1 in the high half, the listener in the low half.
pub(super) const INTENT_AT: usize = 1;
/// Place + 1 of what is being sent.
const SENDING_AT: usize = 2;
/// The eight words of the kernel's `struct mmsghdr`.
const MESSAGE_AT: usize = 4;
pub(super) const FIRST_SLOT: usize = 16;

// Words of a slot.
/// Generation of whose descriptor it is in the high half, descriptor + 1 in the low half.
pub(super) const OWNER: usize = 0;
/// What it belongs to; 0: the slot is free.
pub(super) const KEY: usize = 1;
/// To whom it is offered, + 1; 0: to nobody.
const OFFERED: usize = 2;
/// Number of the offer, times two; plus one when it was sent.
const NUMBER: usize = 3;
/// Generation that made the offer.
const GENERATION: usize = 4;
pub(super) const SLOT_WORDS: usize = 8;

pub(super) const WORDS: usize = FIRST_SLOT + SLOTS as usize * SLOT_WORDS;

/// A place in the ledger.
pub type Place = u32;

/// An offer of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    pub to: u64,
    pub generation: u64,
    pub number: u64,
}

/// What an earlier process left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub place: Place,
    pub key: u64,
    /// The offer that was sent; `None`: nobody has it.
    pub sent: Option<Offer>,
}

/// See the module.
#[derive(Debug)]
pub struct Ledger {
    pub(super) memory: SharedMemory,
    /// Of our generation, what fits in half a word.
    pub(super) owner: u32,
    free: RefCell<Vec<Place>>,
}

pub(super) fn at(place: Place, word: usize) -> usize {
    FIRST_SLOT + place as usize * SLOT_WORDS + word
}

pub(super) fn pack(high: u32, low: i32) -> u64 {
    // The number of a descriptor is never negative.
    u64::from(high) << 32 | u64::from(low.cast_unsigned())
}

pub(super) fn unpack(word: u64) -> (u32, i32) {
    ((word >> 32) as u32, ((word & 0xffff_ffff) as u32).cast_signed())
}

impl Ledger {
    /// An empty one. `generation`: of this process; differs from that of all before.
    pub fn create(generation: u64) -> io::Result<Ledger> {
        let memory = SharedMemory::create(c"pm2d-accepted", WORDS, 0)?;
        memory.set_word(VERSION_AT, VERSION);
        Ok(Ledger { memory, owner: half(generation), free: RefCell::new((0..SLOTS).rev().collect()) })
    }

    /// That of an earlier process, with what it left. Every place that is taken stays so until it is released.
    pub fn open(fd: OwnedFd, generation: u64) -> io::Result<(Ledger, Vec<Entry>)> {
        let memory = SharedMemory::open(fd, WORDS, 0)?;
        if memory.word(VERSION_AT) != VERSION {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let ledger = Ledger { memory, owner: half(generation), free: RefCell::default() };
        ledger.settle_send();
        ledger.memory.set_word(INTENT_AT, 0);
        let mut entries = Vec::new();
        for place in (0..SLOTS).rev() {
            match ledger.entry(place) {
                Some(entry) => entries.push(entry),
                None => ledger.free.borrow_mut().push(place),
            }
        }
        entries.reverse();
        Ok((ledger, entries))
    }

    /// What was under way when the process was killed: the kernel says whether it was sent.
    fn settle_send(&self) {
        let sending = u32::try_from(self.memory.word(SENDING_AT)).unwrap_or(0);
        if let Some(place) = sending.checked_sub(1).filter(|place| *place < SLOTS)
            && self.memory.message_count(MESSAGE_AT) > 0
        {
            self.mark_sent(place);
        }
        self.memory.set_word(SENDING_AT, 0);
    }

    fn entry(&self, place: Place) -> Option<Entry> {
        let word = |word| self.memory.word(at(place, word));
        let key = Some(word(KEY)).filter(|key| *key != 0)?;
        let (offered, number) = (word(OFFERED), word(NUMBER));
        let offer = Offer { to: offered.wrapping_sub(1), generation: word(GENERATION), number: number >> 1 };
        Some(Entry { place, key, sent: (offered != 0 && number & 1 == 1).then_some(offer) })
    }

    /// Accepts the next connection of `listener`. The place is `None` when the ledger is full. `key`: not 0.
    pub fn accept(&self, listener: BorrowedFd<'_>, key: u64) -> io::Result<(OwnedFd, Option<Place>)> {
        let Some(place) = self.free.borrow_mut().pop() else {
            return Ok((listen::accept(listener)?, None));
        };
        for word in [OWNER, OFFERED, NUMBER] {
            self.memory.set_word(at(place, word), 0);
        }
        self.memory.set_word(at(place, KEY), key);
        match self.obtain(place, listener, || listen::accept(listener)) {
            Ok(connection) => Ok((connection, Some(place))),
            Err(error) => {
                self.release(place);
                Err(error)
            }
        }
    }

    /// Takes over a connection that was noted by an earlier process: `receive` makes the descriptor. `listener`: where it
    /// came from.
    pub fn receive(
        &self,
        place: Place,
        listener: BorrowedFd<'_>,
        receive: impl FnOnce() -> io::Result<OwnedFd>,
    ) -> io::Result<OwnedFd> {
        self.obtain(place, listener, receive)
    }

    fn obtain(
        &self,
        place: Place,
        listener: BorrowedFd<'_>,
        call: impl FnOnce() -> io::Result<OwnedFd>,
    ) -> io::Result<OwnedFd> {
        self.memory.set_word(INTENT_AT, pack(place + 1, listener.as_raw_fd()));
        let connection = call();
        if let Ok(connection) = &connection {
            self.memory.set_word(at(place, OWNER), pack(self.owner, connection.as_raw_fd() + 1));
        }
        self.memory.set_word(INTENT_AT, 0);
        connection
    }

    /// Notes to whom it is about to be sent.
    pub fn offer(&self, place: Place, offer: Offer) {
        self.withdraw(place);
        self.memory.set_word(at(place, NUMBER), offer.number << 1);
        self.memory.set_word(at(place, GENERATION), offer.generation);
        self.memory.set_word(at(place, OFFERED), offer.to.wrapping_add(1));
    }

    /// Nobody else has it.
    pub fn withdraw(&self, place: Place) {
        self.memory.set_word(at(place, OFFERED), 0);
    }

    /// It was sent, and came back unread: it will be sent again.
    pub fn came_back(&self, place: Place) {
        let number = self.memory.word(at(place, NUMBER));
        self.memory.set_word(at(place, NUMBER), number & !1);
    }

    fn mark_sent(&self, place: Place) {
        let number = self.memory.word(at(place, NUMBER));
        self.memory.set_word(at(place, NUMBER), number | 1);
    }

    /// Sends `line` with the connection, without waiting. How many bytes went out.
    pub fn send(
        &self,
        place: Place,
        socket: BorrowedFd<'_>,
        line: &[u8],
        connection: BorrowedFd<'_>,
    ) -> io::Result<usize> {
        let begin = || self.memory.set_word(SENDING_AT, u64::from(place) + 1);
        let sent = self.memory.send_counted(MESSAGE_AT, socket, line, connection, begin);
        if sent.is_ok() {
            self.mark_sent(place);
        }
        self.memory.set_word(SENDING_AT, 0);
        sent
    }

    /// Takes the note back and says that an accept is under way, as if it had not returned yet.
    #[cfg(test)]
    pub(super) fn forget(&self, place: Place, listener: BorrowedFd<'_>) {
        self.memory.set_word(INTENT_AT, pack(place + 1, listener.as_raw_fd()));
        self.memory.set_word(at(place, OWNER), 0);
    }

    /// The connection is somebody else's now, or about to be closed.
    pub fn release(&self, place: Place) {
        self.memory.set_word(at(place, OWNER), 0);
        self.memory.set_word(at(place, KEY), 0);
        self.free.borrow_mut().push(place);
    }
}

fn half(generation: u64) -> u32 {
    u32::try_from(generation & u64::from(u32::MAX)).unwrap_or(0)
}

impl AsFd for Ledger {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}

#[cfg(test)]
mod tests;
