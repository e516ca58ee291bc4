//! What goes to one app: a queue of whole lines, and handles few at a time.
//!
//! Owns: the order, the bytes of a line that are out already, and the handles that wait for their acknowledgement.
//! Must never: begin a line before the one before is out whole, or send another handle before the first is acknowledged
//! while plain bytes may be unread (Node reads 64 KiB at a time; where that ends inside the line of a handle, it pairs the
//! next descriptor with it: contract/node-ipc-and-cluster.md section 1).

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use bytes::{Buf, Bytes};
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};

use super::vault::{LongLine, Vault};

/// Up to here a send on such a socket is all or nothing (tried, contract/node-ipc-and-cluster.md section 1).
const ATOMIC: usize = 32_000;

/// Most lines in one send.
const BATCH: usize = 32;

/// Most handles that are on their way at a time.
const HANDLES: usize = 4;

/// So often a refused handle is sent.
const TRIES: u8 = 3;

/// A descriptor that goes with a line.
pub trait Passenger: std::fmt::Debug {
    /// Sends the line with the descriptor at its first byte, without waiting. How many bytes went out.
    fn send(&self, socket: &OwnedFd, line: &[u8]) -> io::Result<usize>;

    /// The app refused it, so it will be sent again.
    fn came_back(&self) {}
}

impl Passenger for OwnedFd {
    fn send(&self, socket: &OwnedFd, line: &[u8]) -> io::Result<usize> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let fds = [self.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&fds)];
        Ok(sendmsg::<UnixAddr>(socket.as_raw_fd(), &[IoSlice::new(line)], &rights, flags, None)?)
    }
}

#[derive(Debug, Clone)]
struct Handle {
    fd: Rc<dyn Passenger>,
    /// The whole line, to send it again.
    line: Bytes,
    tries: u8,
    /// The number of the send; 0: an earlier daemon's.
    sent: u64,
}

#[derive(Debug)]
struct Item {
    /// What is not sent yet.
    rest: Bytes,
    begun: bool,
    handle: Option<Handle>,
    /// The line where the next daemon finds it, if it is too long for one send.
    kept: Option<LongLine>,
}

/// What became of a handle that was refused.
#[derive(Debug)]
pub(super) enum Refused {
    SentAgain,
    GivenUp(Rc<dyn Passenger>),
    /// None was on its way.
    Unknown,
}

#[derive(Debug)]
pub(super) struct Outgoing {
    items: VecDeque<Item>,
    bytes: usize,
    /// Oldest first: they are acknowledged in the order they were sent.
    unacknowledged: VecDeque<Handle>,
    /// Counts sends.
    sends: u64,
    /// The last send with plain bytes that may be unread.
    plain: Option<u64>,
    open: bool,
    pub(super) speaks_bun: bool,
    vault: Option<Rc<dyn Vault>>,
}

impl Outgoing {
    /// Begins with the line that an earlier daemon had begun to send.
    pub(super) fn new(vault: Option<Rc<dyn Vault>>) -> Outgoing {
        let mut items = VecDeque::new();
        if let Some(vault) = &vault
            && let Some(found) = vault.found()
        {
            match LongLine::open(found).map(|kept| (kept.rest(), kept)) {
                Some((rest, kept)) if !rest.is_empty() => {
                    items.push_back(Item { rest, begun: kept.sent() > 0, handle: None, kept: Some(kept) });
                }
                _ => vault.release(),
            }
        }
        let bytes = items.iter().map(|item: &Item| item.rest.len()).sum();
        // What an earlier daemon has sent may be unread.
        let (unacknowledged, plain) = (VecDeque::new(), Some(0));
        Outgoing { items, bytes, unacknowledged, sends: 0, plain, open: true, speaks_bun: false, vault }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn handle_under_way(&self) -> bool {
        !self.unacknowledged.is_empty() || self.items.iter().any(|item| item.handle.is_some())
    }

    pub(super) fn close(&mut self) {
        if let Some(vault) = self.vault.as_ref().filter(|_| self.items.iter().any(|item| item.kept.is_some())) {
            vault.release();
        }
        self.open = false;
        self.items = VecDeque::new();
        self.bytes = 0;
        self.unacknowledged = VecDeque::new();
    }

    pub(super) fn push(&mut self, line: Bytes, fd: Option<Rc<dyn Passenger>>) {
        self.bytes += line.len();
        let handle = fd.map(|fd| Handle { fd, line: line.clone(), tries: 0, sent: 0 });
        self.items.push_back(Item { rest: line, begun: false, handle, kept: None });
    }

    /// Puts a line before all that is not begun: our answers, without which the child says nothing more.
    fn push_first(&mut self, line: Bytes, handle: Option<Handle>) {
        if !self.open {
            return;
        }
        self.bytes += line.len();
        let at = usize::from(self.items.front().is_some_and(|item| item.begun));
        self.items.insert(at, Item { rest: line, begun: false, handle, kept: None });
    }

    /// Our answer to a handle of the child.
    pub(super) fn answer(&mut self, line: &'static [u8]) {
        // A plain line may overtake a handle that waits for the acknowledgement of another, never one that is begun.
        self.push_first(Bytes::from_static(line), None);
    }

    /// An earlier daemon has sent this handle, and died before it was acknowledged.
    pub(super) fn expect(&mut self, line: Bytes, fd: Rc<dyn Passenger>) {
        if self.open {
            self.unacknowledged.push_back(Handle { fd, line, tries: 0, sent: 0 });
        }
    }

    /// This handle has arrived, whether or not its acknowledgement was seen.
    pub(super) fn arrived(&mut self, fd: &Rc<dyn Passenger>) -> bool {
        let place = self.unacknowledged.iter().position(|handle| Rc::ptr_eq(&handle.fd, fd));
        place.is_some_and(|place| self.take_read(place).is_some())
    }

    pub(super) fn acknowledged(&mut self) -> bool {
        self.take_read(0).is_some()
    }

    /// The app has read this handle, and with it all that was sent before.
    fn take_read(&mut self, place: usize) -> Option<Handle> {
        let handle = self.unacknowledged.remove(place)?;
        self.plain = self.plain.filter(|plain| *plain >= handle.sent);
        Some(handle)
    }

    pub(super) fn refused(&mut self) -> Refused {
        let Some(mut handle) = self.take_read(0) else { return Refused::Unknown };
        handle.fd.came_back();
        handle.tries += 1;
        if handle.tries >= TRIES {
            return Refused::GivenUp(handle.fd);
        }
        self.push_first(handle.line.clone(), Some(handle));
        Refused::SentAgain
    }

    /// Whether the next line may go out now.
    pub(super) fn can_send(&self) -> bool {
        let has_room = || match self.plain {
            None => self.unacknowledged.len() < HANDLES,
            Some(_) => self.unacknowledged.is_empty(),
        };
        self.items.front().is_some_and(|item| item.handle.is_none() || item.begun || has_room())
    }

    /// Whether the first line can go out: one that may be cut in two must be where the next daemon finds it.
    fn is_safe(&mut self) -> bool {
        let Some(vault) = &self.vault else { return true };
        let Some(first) = self.items.front_mut() else { return true };
        if first.begun || first.rest.len() <= ATOMIC {
            return true;
        }
        if first.kept.is_none() {
            // Without memory or descriptors it goes out all the same: only a kill in the middle would be noticed.
            let Ok(kept) = LongLine::new(&first.rest) else { return true };
            if vault.keep(kept.as_fd()).is_err() {
                return true;
            }
            first.kept = Some(kept);
        }
        vault.is_settled()
    }

    /// One send: several plain lines together as far as that is all or nothing, else one line or a part of it.
    ///
    /// `ResourceBusy`: to be tried again after a while.
    pub(super) fn send(&mut self, socket: &OwnedFd) -> io::Result<()> {
        if !self.is_safe() {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        let Some(first) = self.items.front() else { return Ok(()) };
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let sent = match &first.handle {
            Some(handle) if !first.begun => handle.fd.send(socket, &first.rest),
            _ => {
                let mut total = 0;
                let slices: Vec<IoSlice<'_>> = self
                    .items
                    .iter()
                    .enumerate()
                    .take_while(|(index, item)| {
                        total += item.rest.len();
                        *index == 0 || (item.handle.is_none() && total <= ATOMIC)
                    })
                    .take(BATCH)
                    .map(|(_, item)| IoSlice::new(&item.rest))
                    .collect();
                sendmsg::<UnixAddr>(socket.as_raw_fd(), &slices, &[], flags, None).map_err(io::Error::from)
            }
        };
        match sent {
            Ok(count) => self.sent(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Too many descriptors in flight between all processes of this user: no event tells the end of that.
            Err(error) if error.raw_os_error() == Some(Errno::ETOOMANYREFS as i32) => {
                return Err(io::ErrorKind::ResourceBusy.into());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn sent(&mut self, mut count: usize) {
        self.bytes = self.bytes.saturating_sub(count);
        self.sends += 1;
        while count > 0
            && let Some(first) = self.items.front_mut()
        {
            match &first.handle {
                Some(handle) if !first.begun => {
                    self.unacknowledged.push_back(Handle { sent: self.sends, ..handle.clone() });
                }
                // Also what is left of a handle's line comes without a descriptor.
                _ => self.plain = Some(self.sends),
            }
            first.begun = true;
            if count < first.rest.len() {
                first.rest.advance(count);
                if let Some(kept) = &first.kept {
                    kept.set_left(first.rest.len());
                }
                return;
            }
            count -= first.rest.len();
            if let Some(kept) = &first.kept {
                kept.set_left(0);
                if let Some(vault) = &self.vault {
                    vault.release();
                }
            }
            self.items.pop_front();
        }
    }
}
