//! Messages that wait until the daemon's socket has room for them.
//!
//! Owns: their order. They name runs and descriptors instead of holding copies, so a slow daemon costs no descriptor,
//! and what was acknowledged or released meanwhile is left out.
//! Bounded by: the number of runs (spawned and exited once each) and of unanswered spawn orders, as the keeper stops
//! reading while [`Outbox::is_full`].

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::table::Table;
use crate::model::{PmId, RunId, Signal};
use crate::sys::packet;
use crate::wire::keeper::{FromKeeper, PROTOCOL};

/// When this many wait, no more orders are taken from the daemon.
const FULL: usize = 4096;

#[derive(Debug)]
pub(super) enum Outgoing {
    Welcome { generation: u64, failed_update: Option<String> },
    Held(String),
    Running(RunId),
    Ready,
    Spawned(RunId),
    SpawnFailed { id: PmId, run: RunId, error: String, errno: i32 },
    Exited(RunId),
    Ping,
    Signalled(Signal),
}

/// How far [`Outbox::flush`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flushed {
    All,
    /// Poll for writing tells when to go on.
    Full,
    /// Only time tells when to go on.
    Refused,
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: VecDeque<Outgoing>,
}

impl Outbox {
    pub(super) fn push(&mut self, message: Outgoing) {
        // A signal that was not passed on yet says all that a second one would.
        if let Outgoing::Signalled(signal) = &message
            && self.queue.iter().any(|waiting| matches!(waiting, Outgoing::Signalled(s) if s == signal))
        {
            return;
        }
        if matches!(message, Outgoing::Ping) && self.queue.iter().any(|waiting| matches!(waiting, Outgoing::Ping)) {
            return;
        }
        self.queue.push_back(message);
    }

    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= FULL
    }

    /// The daemon is gone: what it did not get is told anew by [`Outbox::hand_over`], all but signals.
    pub(super) fn keep_signals(&mut self) {
        self.queue.retain(|message| matches!(message, Outgoing::Signalled(_)));
    }

    /// Everything a new daemon has to know, before what waits already.
    pub(super) fn hand_over(&mut self, generation: u64, failed_update: Option<String>, table: &Table) {
        let mut first = VecDeque::from([Outgoing::Welcome { generation, failed_update }]);
        first.extend(table.names().cloned().map(Outgoing::Held));
        first.extend(table.runs().map(|(run, _)| Outgoing::Running(run)));
        let ended = table.runs().filter(|(_, run)| run.exited().is_some());
        first.extend(ended.map(|(run, _)| Outgoing::Exited(run)));
        first.push_back(Outgoing::Ready);
        first.append(&mut self.queue);
        self.queue = first;
    }

    /// Sends until all is sent or the socket takes no more, which is no error.
    pub(super) fn flush(&mut self, socket: &OwnedFd, table: &Table) -> io::Result<Flushed> {
        while let Some(message) = self.queue.front() {
            if let Some((message, fds)) = compose(message, table) {
                let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
                match packet::send_now(socket, &serde_json::to_vec(&message)?, &fds) {
                    Ok(()) => {}
                    Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => return Ok(Flushed::Full),
                    Err(error) if may_pass(&error) => return Ok(Flushed::Refused),
                    Err(error) => return Err(error),
                }
            }
            self.queue.pop_front();
        }
        self.queue.shrink_to(64);
        Ok(Flushed::All)
    }
}

/// A shortage of the kernel's: too many descriptors in flight, no memory.
fn may_pass(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM))
}

fn compose<'a>(message: &Outgoing, table: &'a Table) -> Option<(FromKeeper, &'a [OwnedFd])> {
    let none: &[OwnedFd] = &[];
    Some(match message {
        Outgoing::Welcome { generation, failed_update } => {
            let keeper_pid = nix::unistd::getpid().as_raw();
            let failed_update = failed_update.clone();
            (FromKeeper::Welcome { protocol: PROTOCOL, generation: *generation, keeper_pid, failed_update }, none)
        }
        Outgoing::Held(name) => (FromKeeper::Held { name: name.clone() }, std::slice::from_ref(table.held(name)?)),
        Outgoing::Running(run) => table.run(*run).map(|run| (FromKeeper::Running(run.spawned()), run.fds()))?,
        Outgoing::Ready => (FromKeeper::Ready, none),
        Outgoing::Spawned(run) => table.run(*run).map(|run| (FromKeeper::Spawned(run.spawned()), run.fds()))?,
        Outgoing::SpawnFailed { id, run, error, errno } => {
            (FromKeeper::SpawnFailed { id: *id, run: *run, error: error.clone(), errno: *errno }, none)
        }
        Outgoing::Exited(run) => {
            let (id, pid, exit) = table.run(*run)?.exited()?;
            (FromKeeper::Exited { id, run: *run, pid, exit }, none)
        }
        Outgoing::Ping => (FromKeeper::Ping, none),
        Outgoing::Signalled(signal) => (FromKeeper::Signalled { signal: *signal }, none),
    })
}
