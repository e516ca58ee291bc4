//! Accepted connections outlive this daemon: they stand in a ledger, and a holder passes them on to the next one.
//!
//! Owns: the ledger, the holder, and what earlier daemons left. Without them (no memory, no process to be had) everything
//! is served all the same, and a kill costs the connections that are between accept and a worker.
//! Must never: take a connection out of an earlier holder's socket before its place is noted, or close one before its
//! place is released.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::Interest;

use super::primary::Number;
use crate::daemon::channel::Passenger;
use crate::daemon::daemon_log::DaemonLog;
use crate::daemon::keeper_link::KeeperLink;
use crate::model::RunId;
use crate::sys::holder::Holder;
use crate::sys::ledger::{Entry, Ledger, Offer, Place};
use crate::sys::waiting::Watched;
use crate::sys::{listen, packet, pidfd};
use crate::wire::keeper::ToKeeper;

/// Under which names the keeper holds the ledger, and what the holder of each generation sends through.
const LEDGER: &str = "accepted";
const CHANNEL: &str = "accepted/";

/// How long an earlier holder may take. It has begun when we were started, and takes less than a millisecond.
const PATIENCE: Duration = Duration::from_secs(5);

/// Before a holder that was killed is followed by another.
const AGAIN: Duration = Duration::from_millis(100);

/// An accepted connection.
#[derive(Debug)]
pub(super) struct Connection {
    fd: OwnedFd,
    noted: Option<(Rc<Ledger>, Place)>,
}

impl Connection {
    /// Where it comes from.
    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// It is about to be sent.
    pub(super) fn offered(&self, run: RunId, number: Number) {
        if let Some((ledger, place)) = &self.noted {
            let Number { generation, count: number } = number;
            ledger.offer(*place, Offer { to: run.0, generation, number });
        }
    }

    /// The worker has answered: it is no longer waited for.
    pub(super) fn answered(&self) {
        if let Some((ledger, place)) = &self.noted {
            ledger.withdraw(*place);
        }
    }
}

impl Passenger for Connection {
    fn send(&self, socket: &OwnedFd, line: &[u8]) -> io::Result<usize> {
        match &self.noted {
            Some((ledger, place)) => ledger.send(*place, socket.as_fd(), line, self.fd.as_fd()),
            None => Passenger::send(&self.fd, socket, line),
        }
    }

    fn came_back(&self) {
        if let Some((ledger, place)) = &self.noted {
            ledger.came_back(*place);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The descriptor is closed after this.
        if let Some((ledger, place)) = &self.noted {
            ledger.release(*place);
        }
    }
}

/// What an earlier daemon left of one connection.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) key: u64,
    pub(super) connection: Connection,
    pub(super) sent: Option<(RunId, Number)>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Custody {
    keeper: Rc<KeeperLink>,
    log: DaemonLog,
    generation: u64,
    ledger: RefCell<Option<Rc<Ledger>>>,
    holder: RefCell<Option<Holder>>,
    /// Of earlier daemons: the name and the socket.
    earlier: RefCell<Vec<(String, OwnedFd)>>,
    entries: RefCell<Vec<Entry>>,
}

impl Custody {
    /// Takes out of `held` what earlier daemons had given into the keeper's care.
    pub(super) fn new(
        keeper: &Rc<KeeperLink>,
        log: DaemonLog,
        generation: u64,
        held: &mut HashMap<String, OwnedFd>,
    ) -> Rc<Custody> {
        let mut earlier = Vec::new();
        let names: Vec<String> = held.keys().filter(|name| name.starts_with(CHANNEL)).cloned().collect();
        for name in names {
            if let Some(socket) = held.remove(&name) {
                earlier.push((name, socket));
            }
        }
        // One that cannot be read was written by a pm2d that does it in another way.
        let opened = held.remove(LEDGER).and_then(|memory| Ledger::open(memory, generation).ok());
        let (ledger, entries) = opened.map_or((None, Vec::new()), |(ledger, left)| (Some(Rc::new(ledger)), left));
        Rc::new(Custody {
            keeper: Rc::clone(keeper),
            log,
            generation,
            ledger: RefCell::new(ledger),
            holder: RefCell::default(),
            earlier: RefCell::new(earlier),
            entries: RefCell::new(entries),
        })
    }

    /// Whether connections of an earlier daemon may be on their way to us.
    pub(super) fn inherits(&self) -> bool {
        !self.earlier.borrow().is_empty()
    }

    /// Makes sure that what is accepted from now on outlives us.
    pub(super) fn protect(self: &Rc<Self>) {
        if self.holder.borrow().is_some() {
            return;
        }
        match self.start() {
            Ok(()) => {
                let custody = Rc::clone(self);
                tokio::task::spawn_local(async move { custody.watch().await });
            }
            Err(error) => self.log.error(&format!(
                "cannot start a holder: {error}; if this daemon is killed, connections that it has just accepted are lost"
            )),
        }
    }

    fn start(&self) -> io::Result<()> {
        let known = self.ledger.borrow().clone();
        let ledger = if let Some(ledger) = known {
            ledger
        } else {
            let ledger = Rc::new(Ledger::create(self.generation)?);
            self.keeper.hold(LEDGER, ledger.as_fd())?;
            self.ledger.replace(Some(Rc::clone(&ledger)));
            ledger
        };
        let (holder, theirs) = Holder::start(&ledger)?;
        let name = format!("{CHANNEL}{}", self.generation);
        self.keeper.send(&ToKeeper::Hold { name }, vec![theirs]);
        self.holder.replace(Some(holder));
        Ok(())
    }

    /// Starts another one when the holder was killed.
    async fn watch(self: Rc<Self>) {
        loop {
            let copy = self.holder.borrow().as_ref().map(|holder| holder.process().try_clone());
            let Some(Ok(process)) = copy else { return };
            let _ = pidfd::ended(process).await;
            // It was ended from here if it is gone.
            let Some(holder) = self.holder.take() else { return };
            holder.end();
            self.log.error("the holder of accepted connections has ended unexpectedly: starting another");
            tokio::time::sleep(AGAIN).await;
            if let Err(error) = self.start() {
                self.log.error(&format!("cannot start another holder: {error}"));
            }
        }
    }

    /// This daemon ends on purpose: what it closes is to be closed.
    pub(super) fn end(&self) {
        if let Some(holder) = self.holder.take() {
            holder.end();
        }
    }

    /// The next connection of a listener. `key`: see [`key_of`].
    pub(super) fn accept(&self, listener: &OwnedFd, key: u64) -> io::Result<Connection> {
        let ledger = self.ledger.borrow().clone();
        let Some(ledger) = ledger else { return Ok(Connection { fd: listen::accept(listener)?, noted: None }) };
        let (fd, place) = ledger.accept(listener.as_fd(), key)?;
        Ok(Connection { fd, noted: place.map(|place| (ledger, place)) })
    }

    /// Waits for all that earlier daemons had accepted. `listeners`: where connections of a key come from.
    pub(super) async fn take_over(self: &Rc<Self>, listeners: &HashMap<u64, OwnedFd>) -> Vec<Found> {
        self.protect();
        // From here on it outlives us again.
        self.keeper.flushed().await;
        let mut found = Vec::new();
        let earlier = self.earlier.take();
        for (name, socket) in earlier {
            let all = self.take_from(socket, listeners, &mut found);
            match tokio::time::timeout(PATIENCE, all).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.log.error(&format!("cannot take over accepted connections: {error}")),
                Err(_) => self.log.error("a holder of accepted connections does not end: going on without it"),
            }
            if name != format!("{CHANNEL}{}", self.generation) {
                self.keeper.release(&name);
            }
        }
        // What did not come is closed already.
        if let Some(ledger) = &*self.ledger.borrow() {
            for entry in self.entries.take() {
                ledger.release(entry.place);
            }
        }
        if !found.is_empty() {
            let sent = found.iter().filter(|found| found.sent.is_some()).count();
            let count = found.len();
            self.log.log(&format!("{count} accepted connections taken over, {sent} of them on the way to a worker"));
        }
        found
    }

    async fn take_from(
        &self,
        socket: OwnedFd,
        listeners: &HashMap<u64, OwnedFd>,
        found: &mut Vec<Found>,
    ) -> io::Result<()> {
        let socket = Watched::new(socket, Interest::READABLE)?;
        loop {
            let mut ready = socket.readable().await?;
            match packet::peek(socket.fd(), size_of::<Place>()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) => return Err(error),
                Ok(None) => return Ok(()),
                Ok(Some(bytes)) => {
                    let place = bytes.try_into().map_or(Place::MAX, Place::from_le_bytes);
                    found.extend(self.take_one(socket.fd().as_fd(), place, listeners));
                }
            }
        }
    }

    /// Takes the next packet, which is for this place. `None`: nobody can serve it.
    fn take_one(&self, socket: BorrowedFd<'_>, place: Place, listeners: &HashMap<u64, OwnedFd>) -> Option<Found> {
        let receive = || {
            let packet = packet::receive_now(socket, size_of::<Place>())?;
            packet.and_then(|packet| packet.fds.into_iter().next()).ok_or_else(|| io::ErrorKind::InvalidData.into())
        };
        let ledger = self.ledger.borrow().clone();
        let entry = {
            let mut entries = self.entries.borrow_mut();
            let index = entries.iter().position(|entry| entry.place == place);
            index.map(|index| entries.swap_remove(index))
        };
        let (Some(ledger), Some(entry)) = (ledger, entry) else {
            drop(receive());
            return None;
        };
        let Some(listener) = listeners.get(&entry.key) else {
            drop(receive());
            ledger.release(place);
            return None;
        };
        let Ok(fd) = ledger.receive(place, listener.as_fd(), receive) else {
            ledger.release(place);
            return None;
        };
        let connection = Connection { fd, noted: Some((ledger, place)) };
        let sent = entry.sent;
        let sent = sent.map(|Offer { to, generation, number: count }| (RunId(to), Number { generation, count }));
        Some(Found { key: entry.key, connection, sent })
    }
}

/// What stands for a listening place of an app in the ledger: FNV-1a, the same in every version; never 0.
pub(super) fn key_of(app: &str, key: &str) -> u64 {
    let bytes = app.bytes().chain([0]).chain(key.bytes());
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash.max(1)
}
