//! One stream: from its pipe, chunk by chunk, to its files and the bus.
//!
//! Owns: the order of the steps of one chunk, which the journal depends on, and when a stream is drained.
//! Must never: await between the first and the last step of a chunk (the journal has one record), or take more than a
//! bounded turn while others wait.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::io::Interest;
use tokio::sync::Notify;

use super::file::{LogFile, Room};
use super::format::{Format, MAX_LINE, Piece, Style, Tail, format_lines};
use super::journal::{CHUNK, CarryState, Flags, Journal, Step, StreamKey, Unfinished};
use super::spec::Tag;
use super::text::TextCutter;
use super::{Engine, Shared};
use crate::sys::clock;
use crate::sys::pipe::capacity;
use crate::sys::waiting::{Waiting, Watched, waiting};

/// Most bytes of one stream before the others have their turn.
const TURN: usize = 1 << 20;

/// Most bytes of a chunk for a pipe or terminal, which say only whether there is room for a page.
const LITTLE: usize = 2048;

/// A full pipe or terminal is asked again so often.
const TARGET_AGAIN: Duration = Duration::from_millis(10);

/// An app that writes line by line would wake us for each. When so little came, and the time before that was a moment ago,
/// it is left to gather: the pipe holds it, and survives us.
const FEW: usize = 8 * 1024;

/// How long it gathers. In this time a [`ROOMY`] pipe does not get full from small writes, so nobody is held up.
const GATHER: Duration = Duration::from_millis(1);

/// The capacity of a pipe in which output may gather.
const ROOMY: usize = 256 * 1024;

/// One stream of one run.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) key: StreamKey,
    /// `out` or `err`.
    pub(super) kind: &'static str,
    pub(super) format: Format,
    pub(super) disabled: bool,
    /// Where it goes, without doubles.
    pub(super) targets: Vec<Rc<LogFile>>,
    pub(super) tag: Rc<RefCell<Tag>>,
    pub(super) carry: RefCell<Carry>,
    pub(super) text: RefCell<TextCutter>,
    pub(super) drain: Drain,
}

/// How far a stream is after its process has ended.
#[derive(Debug, Default)]
pub(super) struct Drain {
    /// The process has ended.
    pub(super) asked: Notify,
    /// So many bytes were in the pipe then and are still to be written; grandchildren may add more, which do not count.
    pub(super) left: Cell<Option<usize>>,
    pub(super) done: Cell<bool>,
    /// Told to whoever waits for `done`.
    pub(super) waiters: Rc<Notify>,
}

/// The unfinished line of a stream: in the journal's memory, or here when no slot is left.
#[derive(Debug, Default)]
pub(super) struct Carry {
    slot: Option<usize>,
    heap: Vec<u8>,
    state: CarryState,
}

impl Carry {
    /// What an earlier daemon put aside.
    pub(super) fn found(journal: &Journal, key: StreamKey) -> Carry {
        let slot = journal.find_slot(key);
        Carry { slot, heap: Vec::new(), state: slot.map(|slot| journal.slot_state(slot)).unwrap_or_default() }
    }

    fn bytes<'a>(&'a self, journal: &'a Journal) -> &'a [u8] {
        match self.slot {
            Some(slot) => journal.slot_bytes(slot, self.state.length),
            None => &self.heap,
        }
    }

    fn put(&mut self, journal: &mut Journal, key: StreamKey, length: usize, tail: Tail) {
        let (keep, from) = match tail.from {
            None => (self.state.length, 0),
            Some(from) => (0, from),
        };
        let state = CarryState { length: keep + length.saturating_sub(from), continued: tail.continued };
        if state == self.state && state.length == 0 {
            return;
        }
        if self.slot.is_none() && self.heap.is_empty() {
            self.slot = journal.take_slot(key);
        }
        if let Some(slot) = self.slot {
            journal.fill_slot(slot, keep, from, length, tail.continued);
        } else {
            self.heap.truncate(keep);
            self.heap.extend_from_slice(journal.chunk(length).get(from..).unwrap_or_default());
        }
        self.state = state;
    }

    pub(super) fn free(&mut self, journal: &Journal) {
        if let Some(slot) = self.slot.take() {
            journal.free_slot(slot);
        }
        *self = Carry::default();
    }
}

/// The payload of `log:out` and `log:err` (contract/api.md section 14.3).
#[derive(Serialize)]
struct LogEvent<'a> {
    process: &'a Tag,
    at: u64,
    data: &'a str,
}

enum Turn {
    /// More is there, but it is the others' turn.
    More,
    /// The pipe is empty; so many bytes were taken from it.
    Empty(usize),
    /// A target is full for the moment.
    Busy,
    /// Nobody can write any more.
    End,
}

/// Reads a stream until its end.
pub(super) async fn pump(logs: Rc<Shared>, stream: Rc<Stream>, fd: OwnedFd) {
    logs.resumed().await;
    if let Err(error) = read_to_end(&logs, &stream, fd).await {
        logs.daemon_log.error(&format!("cannot wait for output of {}: {error}", stream.tag.borrow().name));
    }
    stream.flush(&logs);
    stream.carry.borrow_mut().free(&logs.engine.borrow().journal);
    for target in &stream.targets {
        target.leave();
    }
    stream.drained();
}

async fn read_to_end(logs: &Shared, stream: &Stream, fd: OwnedFd) -> io::Result<()> {
    let roomy = capacity(&fd).is_ok_and(|capacity| capacity >= ROOMY);
    let mut fd = Watched::new(fd, Interest::READABLE)?;
    let mut emptied: Option<Instant> = None;
    loop {
        let turn = tokio::select! {
            ready = fd.readable() => {
                let mut ready = ready?;
                let turn = stream.turn(logs, fd.fd());
                if matches!(turn, Turn::Empty(_)) {
                    // What comes from now on rings again: the pipe is watched edge by edge.
                    ready.clear_ready();
                }
                turn
            }
            () = stream.drain.asked.notified(), if !stream.drain.done.get() => {
                let left = match waiting(fd.fd().as_fd()) {
                    Ok(Waiting::Bytes(count)) => count,
                    _ => 0,
                };
                stream.drain.left.set(Some(left));
                stream.check_drained(logs);
                Turn::Empty(0)
            }
        };
        match turn {
            Turn::More => tokio::task::yield_now().await,
            Turn::Empty(taken) if roomy => {
                let again = emptied.is_some_and(|at| at.elapsed() < 3 * GATHER);
                if again && taken > 0 && taken < FEW && stream.drain.left.get().is_none() {
                    // Not watched meanwhile: each write would wake us only to find that we wait.
                    let unwatched = fd.into_fd();
                    tokio::select! {
                        () = tokio::time::sleep(GATHER) => {}
                        // The process has ended: to be heard again at once.
                        () = stream.drain.asked.notified() => stream.drain.asked.notify_one(),
                    }
                    fd = Watched::new(unwatched, Interest::READABLE)?;
                }
                emptied = Some(Instant::now());
            }
            Turn::Empty(_) => {}
            Turn::Busy => tokio::time::sleep(TARGET_AGAIN).await,
            Turn::End => return Ok(()),
        }
    }
}

impl Stream {
    fn turn(&self, logs: &Shared, fd: &OwnedFd) -> Turn {
        let mut budget = TURN;
        loop {
            let taken = TURN - budget;
            let count = match waiting(fd.as_fd()) {
                Ok(Waiting::Bytes(count)) => count,
                Ok(Waiting::Nothing) => return Turn::Empty(taken),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Ok(Waiting::End) | Err(_) => return Turn::End,
            };
            let flags = self.flags(false);
            let room = self.targets.iter().map(|target| target.room()).min().unwrap_or(Room::Any);
            let most = match room {
                Room::None => return Turn::Busy,
                Room::Little => LITTLE,
                Room::Any if flags.raw => CHUNK,
                Room::Any => MAX_LINE,
            };
            let length = count.min(most);
            match self.take(logs, fd, length, flags) {
                Ok(0) => return Turn::End,
                Ok(_) => {}
                // Somebody else reads our pipe, too.
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Turn::Empty(taken),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Turn::End,
            }
            if let Some(left) = self.drain.left.get() {
                self.drain.left.set(Some(left.saturating_sub(length)));
                self.check_drained(logs);
            }
            if length == count {
                return Turn::Empty(taken + length);
            }
            budget = budget.saturating_sub(length);
            if budget == 0 {
                return Turn::More;
            }
        }
    }

    /// One chunk, from the pipe to everywhere.
    fn take(&self, logs: &Shared, fd: &OwnedFd, length: usize, flags: Flags) -> io::Result<usize> {
        let mut engine = logs.engine.borrow_mut();
        let engine = &mut *engine;
        let now = clock::now().1;
        let carry = self.carry.borrow().state;
        let buffer = engine.journal.announce(self.key, length, now, flags, carry);
        let length = match nix::unistd::read(fd, buffer) {
            Ok(length) => length,
            Err(errno) => {
                engine.journal.idle();
                return Err(errno.into());
            }
        };
        engine.journal.have_read(length);
        self.deliver(logs, engine, length, now, flags, None);
        Ok(length)
    }

    /// Writes the unfinished line, if there is one.
    fn flush(&self, logs: &Shared) {
        let mut engine = logs.engine.borrow_mut();
        let engine = &mut *engine;
        let state = self.carry.borrow().state;
        if state.length == 0 && !state.continued {
            self.publish(logs, b"", clock::now().1, true);
            return;
        }
        let now = clock::now().1;
        let flags = Flags { raw: false, ..self.flags(true) };
        engine.journal.announce(self.key, 0, now, flags, state);
        engine.journal.have_read(0);
        self.deliver(logs, engine, 0, now, flags, None);
    }

    /// Completes what an earlier daemon was at with a chunk of this stream.
    pub(super) fn complete(&self, logs: &Shared, left: &Unfinished) {
        let mut engine = logs.engine.borrow_mut();
        {
            // The slot may have been half filled; what it held before is in its first bytes if that still counts.
            let mut carry = self.carry.borrow_mut();
            carry.state = if carry.slot.is_some() { left.carry } else { CarryState::default() };
        }
        self.deliver(logs, &mut engine, left.length, left.now, left.flags, Some(left));
    }

    /// From the journal's buffer to the files, the bus and the carry. `resume`: some of it is done already.
    fn deliver(
        &self,
        logs: &Shared,
        engine: &mut Engine,
        length: usize,
        now: u64,
        flags: Flags,
        resume: Option<&Unfinished>,
    ) {
        let Engine { journal, out, .. } = engine;
        let tail = if flags.raw {
            Tail { from: Some(length), continued: false }
        } else {
            out.clear();
            let tag = self.tag.borrow();
            let style = Style {
                format: &self.format,
                kind: self.kind,
                pm_id: tag.pm_id.0,
                name: &tag.name,
                shared: flags.shared,
            };
            let carry = self.carry.borrow();
            let (bytes, continued) = (carry.bytes(journal), carry.state.continued);
            let piece = Piece { carry: bytes, continued, chunk: journal.chunk(length), last: flags.last, now };
            format_lines(&style, &piece, out)
        };
        let data = if flags.raw { journal.chunk(length) } else { out.as_slice() };
        for (index, target) in self.targets.iter().enumerate() {
            let done = resume.map_or(0, |left| already_done(left, index, target, data.len()));
            if done < data.len() {
                let written = target.append(data, done, |done, mark| journal.writing(index, done, mark));
                logs.tell(target, written);
            }
        }
        self.publish(logs, data, now, flags.last);
        journal.carrying();
        self.carry.borrow_mut().put(journal, self.key, length, tail);
        journal.idle();
    }

    fn publish(&self, logs: &Shared, data: &[u8], now: u64, last: bool) {
        let mut cutter = self.text.borrow_mut();
        if self.disabled || !logs.bus.has_subscribers() {
            cutter.clear();
            return;
        }
        let text = cutter.next(data, last);
        if !text.is_empty() {
            let topic = if self.kind == "out" { "log:out" } else { "log:err" };
            logs.bus.publish(topic, &LogEvent { process: &self.tag.borrow(), at: now, data: &text });
        }
    }

    fn flags(&self, last: bool) -> Flags {
        let shared = self.targets.iter().any(|target| target.is_shared());
        let formatted = self.format.json || self.format.date.is_some();
        let carries = self.carry.borrow().state != CarryState::default();
        Flags { raw: !shared && !formatted && !carries, shared, last }
    }

    /// After the end of the process: whether all it wrote is written.
    fn check_drained(&self, logs: &Shared) {
        if self.drain.left.get() == Some(0) && !self.drain.done.get() {
            self.flush(logs);
            self.drained();
        }
    }

    fn drained(&self) {
        self.drain.done.set(true);
        self.drain.waiters.notify_waiters();
    }
}

/// How many bytes of a piece this target has from an earlier daemon.
fn already_done(left: &Unfinished, index: usize, target: &LogFile, length: usize) -> usize {
    match left.step {
        Step::Writing { target: current, .. } if index == current => {
            let done = left.done.min(length);
            done + target.already_written(left.file, length - done)
        }
        Step::Read { target: current } | Step::Writing { target: current, .. } if index < current => length,
        Step::Carrying => length,
        _ => 0,
    }
}
