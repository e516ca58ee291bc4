//! What comes from one app: whole lines, peeked at before they are taken, and the descriptors with them.
//!
//! Owns: the line that is not complete (a long one: `heard`), and the last descriptor received.
//! Must never: leave a descriptor open that nobody gets, or hold a line back that is complete.

use std::cell::Cell;
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use memchr::{memchr, memrchr};
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixAddr, recv, recvmsg};

use super::heard::{HeardLine, MAX_KEPT};
use super::outgoing::Refused;
use super::vault::Vault;
use super::{ChannelEvent, Inner};
use crate::sys::waiting::adopt_received;
use crate::wire::node_ipc::{HANDLE_ACK, HANDLE_NACK, Incoming, LineDecoder, read_handle_message};

/// Most bytes looked at by one call.
const BUFFER: usize = 64 * 1024;

/// Most bytes of one app before the others have their turn.
const TURN: usize = 512 * 1024;

thread_local! {
    /// One buffer for all channels: they take turns.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

pub(super) enum Turn {
    /// More is there, but it is the others' turn.
    More,
    Empty,
    /// The beginning of a line is there and nothing else.
    Partial,
    /// The memory for a long line is not where it outlives us yet: to be tried again after a while.
    Busy,
    Closed,
}

#[derive(Debug)]
pub(super) struct Reader {
    decoder: LineDecoder,
    vault: Option<Rc<dyn Vault>>,
    /// A long line that is on its way in.
    heard: Option<HeardLine>,
    /// The decoder holds the beginning of a line.
    mid_line: bool,
    /// Belongs to the next `NODE_HANDLE` that becomes complete (contract/node-ipc-and-cluster.md section 1).
    descriptor: Option<OwnedFd>,
}

/// What is known before a look at the socket; as in [`Reader::turn`].
#[derive(Debug, Clone, Copy)]
struct Look {
    closing: bool,
    overdue: bool,
}

/// What a step did.
struct Step {
    /// In bytes. 0: the other side has closed.
    taken: usize,
    /// Nothing was left behind them.
    last: bool,
}

/// What a look at the socket shows.
struct Peeked {
    length: usize,
    /// The last piece carries a descriptor.
    with_descriptor: bool,
}

impl Reader {
    pub(super) fn new(vault: Option<Rc<dyn Vault>>) -> Reader {
        Reader { decoder: LineDecoder::new(), vault, heard: None, mid_line: false, descriptor: None }
    }

    /// Goes on with the line that an earlier daemon was killed in.
    pub(super) fn resume(&mut self, channel: &Inner, sink: &impl Fn(ChannelEvent<'_>)) {
        let found = self.vault.as_ref().and_then(|vault| vault.found());
        self.heard = found.and_then(HeardLine::open);
        self.act_on_heard(channel, sink);
    }

    /// Reads until nothing is left or the turn is over. `closing`: the other side will write no more. `overdue`: the rest
    /// of the line that has begun is not waited for any more.
    pub(super) fn turn(
        &mut self,
        socket: &OwnedFd,
        closing: bool,
        overdue: bool,
        channel: &Inner,
        sink: &impl Fn(ChannelEvent<'_>),
    ) -> Turn {
        let mut buffer = SCRATCH.take();
        buffer.resize(BUFFER, 0);
        let mut budget = TURN;
        let look = Look { closing, overdue };
        let turn = loop {
            match self.step(socket, look, &mut buffer, channel, sink) {
                Ok(Step { taken: 0, .. }) => break Turn::Closed,
                // What comes later is an event of its own: asking once more would cost each connection a system call.
                Ok(Step { last: true, .. }) | Err(Errno::EAGAIN) => break Turn::Empty,
                Ok(Step { taken, .. }) => budget = budget.saturating_sub(taken),
                Err(Errno::ENODATA) => break Turn::Partial,
                Err(Errno::EBUSY) => break Turn::Busy,
                Err(Errno::EINTR) => {}
                Err(_) => break Turn::Closed,
            }
            if budget == 0 {
                break Turn::More;
            }
        };
        SCRATCH.set(buffer);
        turn
    }

    /// One look, and what follows from it. `EAGAIN` when there is nothing to do, `ENODATA` when the rest of a line is to be
    /// waited for, `EBUSY` when the memory for it is.
    fn step(
        &mut self,
        socket: &OwnedFd,
        look: Look,
        buffer: &mut [u8],
        channel: &Inner,
        sink: &impl Fn(ChannelEvent<'_>),
    ) -> Result<Step, Errno> {
        let peeked = peek(socket, buffer)?;
        if peeked.length == 0 {
            return Ok(Step { taken: 0, last: true });
        }
        if self.heard.is_some() {
            let piece = buffer.get(..peeked.length).unwrap_or_default();
            let wanted = memchr(b'\n', piece).map_or(piece.len(), |at| at + 1);
            return self.hear(socket, wanted, channel, sink);
        }
        let full = peeked.length == buffer.len();
        let whole = memrchr(b'\n', buffer.get(..peeked.length).unwrap_or_default()).map_or(0, |at| at + 1);
        if whole > 0 && !peeked.with_descriptor && !self.mid_line {
            // Act first. If we are killed on the way, the next daemon finds the lines again.
            self.decoder.push(buffer.get(..whole).unwrap_or_default());
            self.act(channel, sink);
            take(socket, buffer.get_mut(..whole).unwrap_or_default())?;
            return Ok(Step { taken: whole, last: whole == peeked.length && !full });
        }
        if whole == 0 && !peeked.with_descriptor && !self.mid_line {
            if full || look.overdue {
                if self.keep_line() {
                    return self.hear(socket, peeked.length, channel, sink);
                }
            } else if !look.closing {
                // The beginning of a line can wait where it is safe.
                return Err(Errno::ENODATA);
            }
        }
        let wanted = if whole > 0 && !peeked.with_descriptor { whole } else { peeked.length };
        let bytes = buffer.get_mut(..wanted).unwrap_or_default();
        let count = self.take_with_descriptor(socket, bytes)?;
        let bytes = bytes.get(..count).unwrap_or_default();
        self.mid_line = bytes.last() != Some(&b'\n');
        self.decoder.push(bytes);
        self.act(channel, sink);
        Ok(Step { taken: count, last: false })
    }

    /// Makes memory for a line that does not fit in the socket. `false` when there is none for it: then only a kill in
    /// the middle would be noticed.
    fn keep_line(&mut self) -> bool {
        let Some(vault) = &self.vault else { return false };
        self.heard = HeardLine::new().ok().filter(|heard| vault.keep(heard.as_fd()).is_ok());
        self.heard.is_some()
    }

    /// Takes a piece of a long line out of the socket. `wanted`: to the end of the line, or all that was seen.
    fn hear(
        &mut self,
        socket: &OwnedFd,
        wanted: usize,
        channel: &Inner,
        sink: &impl Fn(ChannelEvent<'_>),
    ) -> Result<Step, Errno> {
        let Some(heard) = &mut self.heard else { return Err(Errno::EAGAIN) };
        if heard.length() == 0 && !self.vault.as_ref().is_some_and(|vault| vault.is_settled()) {
            return Err(Errno::EBUSY);
        }
        if heard.length() + wanted > MAX_KEPT {
            // From here on it is in this process alone.
            self.decoder.push(heard.bytes());
            self.mid_line = true;
            self.forget_heard();
            return Ok(Step { taken: wanted, last: false });
        }
        let taken = heard.receive(socket, wanted)?;
        self.act_on_heard(channel, sink);
        Ok(Step { taken, last: false })
    }

    /// Hands the long line out if it is whole.
    fn act_on_heard(&mut self, channel: &Inner, sink: &impl Fn(ChannelEvent<'_>)) {
        let Some(heard) = self.heard.as_ref().filter(|heard| heard.bytes().last() == Some(&b'\n')) else { return };
        self.decoder.push(heard.bytes());
        self.act(channel, sink);
        self.forget_heard();
    }

    fn forget_heard(&mut self) {
        if let Some(heard) = self.heard.take() {
            heard.done();
        }
        if let Some(vault) = &self.vault {
            vault.release();
        }
    }

    /// Hands out every complete line.
    fn act(&mut self, channel: &Inner, sink: &impl Fn(ChannelEvent<'_>)) {
        while let Some(message) = self.decoder.next_message() {
            // What is no JSON comes from nobody who speaks Node's protocol; the stream goes on with the next line.
            let Ok(message) = message else { continue };
            match message {
                Incoming::User(message) => sink(ChannelEvent::Message { message, descriptor: None }),
                Incoming::Cluster(text) => sink(ChannelEvent::Cluster { text }),
                Incoming::Handle { msg, .. } => {
                    let descriptor = self.descriptor.take();
                    let answer = if descriptor.is_some() { HANDLE_ACK } else { HANDLE_NACK };
                    let came = descriptor.is_some();
                    channel.outgoing.borrow_mut().answer(answer);
                    channel.wake.notify_one();
                    // After a NACK it is sent again: acting on it now would be twice.
                    match msg.filter(|_| came).map(read_handle_message) {
                        Some(Ok(Incoming::User(message))) => sink(ChannelEvent::Message { message, descriptor }),
                        Some(Ok(Incoming::Cluster(text))) => sink(ChannelEvent::Cluster { text }),
                        _ => {}
                    }
                }
                Incoming::HandleAck => {
                    if channel.outgoing.borrow_mut().acknowledged() {
                        channel.wake.notify_one();
                        sink(ChannelEvent::HandleTaken);
                    }
                }
                Incoming::HandleNack => {
                    let refused = channel.outgoing.borrow_mut().refused();
                    channel.wake.notify_one();
                    if let Refused::GivenUp(handle) = refused {
                        sink(ChannelEvent::HandleRefused(handle));
                    }
                }
                Incoming::OtherInternal(_) => {}
            }
        }
        if self.decoder.speaks_bun() {
            channel.outgoing.borrow_mut().speaks_bun = true;
        }
    }

    /// Takes bytes, and the descriptor that may come with them.
    fn take_with_descriptor(&mut self, socket: &OwnedFd, bytes: &mut [u8]) -> Result<usize, Errno> {
        // Room for all that one message can carry, so that none is cut off and lost.
        let mut control = nix::cmsg_space!([RawFd; 253]);
        let mut parts = [IoSliceMut::new(bytes)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let received = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
        if let Ok(messages) = received.cmsgs() {
            for message in messages {
                if let ControlMessageOwned::ScmRights(numbers) = message {
                    // Node keeps the last one; the others close here.
                    self.descriptor = adopt_received(numbers).pop().or(self.descriptor.take());
                }
            }
        }
        Ok(received.bytes)
    }
}

/// Looks at what is there without taking it. Descriptors stay in the socket: without room for them the kernel only says
/// that there are some.
fn peek(socket: &OwnedFd, buffer: &mut [u8]) -> Result<Peeked, Errno> {
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK;
    let received = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut parts, None, flags)?;
    let with_descriptor = received.flags.contains(MsgFlags::MSG_CTRUNC);
    Ok(Peeked { length: received.bytes, with_descriptor })
}

/// Takes exactly these bytes, which were seen before.
fn take(socket: &OwnedFd, bytes: &mut [u8]) -> Result<(), Errno> {
    let mut taken = 0;
    while taken < bytes.len() {
        let rest = bytes.get_mut(taken..).unwrap_or_default();
        match recv(socket.as_raw_fd(), rest, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => return Ok(()),
            Ok(count) => taken += count,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
