//! The cluster of one app: its primary, the sockets it listens on, and the channels of its workers.
//!
//! Owns: the accept loops, and the order "the keeper knows it, then the worker is told".
//! Must never: hold a borrow while a worker or the keeper is told something.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::custody::{self, Connection, Custody};
use super::handle::Key;
use super::inherited::Inherited;
use super::primary::{Action, Number, Primary, Wishes};
use super::stored::Stored;
use super::{LISTEN, STATE};
use crate::daemon::channel::{Channel, Passenger};
use crate::daemon::core::now;
use crate::daemon::keeper_link::KeeperLink;
use crate::model::{PmId, RunId};
use crate::sys::listen::{self, AcceptFailure, Place};
use crate::sys::packet;
use crate::sys::pipe::set_nonblocking;
use crate::sys::waiting::Watched;
use crate::wire::cluster::{FromWorker, SocketName};
use crate::wire::keeper::ToKeeper;

/// How long nothing is accepted when descriptors or memory have run out.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Most connections accepted before other tasks have their turn.
const BATCH: usize = 16;

type Passed = Rc<Connection>;

#[derive(Debug)]
pub(super) struct App {
    name: Rc<str>,
    keeper: Rc<KeeperLink>,
    custody: Rc<Custody>,
    primary: RefCell<Primary<Passed>>,
    channels: RefCell<HashMap<RunId, Channel>>,
    listeners: RefCell<HashMap<Key, Listener>>,
    /// A task waits until the end of a back-off.
    timed: Cell<bool>,
}

#[derive(Debug)]
struct Listener {
    socket: Socket,
    path: Option<PathBuf>,
}

#[derive(Debug)]
enum Socket {
    /// Workers accept; kept to be sent to the next one.
    Shared(Rc<OwnedFd>),
    /// We accept.
    Ours { wake: Rc<Notify>, task: JoinHandle<()> },
    /// It was bound by an earlier daemon, and is not yet served by this one.
    Restored(Option<OwnedFd>),
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Socket::Ours { task, .. } = &self.socket {
            task.abort();
        }
    }
}

impl Listener {
    /// Nobody serves it any more. Not so when the daemon itself ends: the next one goes on with it.
    fn close(self) {
        if let Some(path) = &self.path {
            // Somebody may have removed it already.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl App {
    pub(super) fn new(
        keeper: &Rc<KeeperLink>,
        custody: &Rc<Custody>,
        generation: u64,
        name: Rc<str>,
        wishes: Wishes,
    ) -> Rc<App> {
        App::with(keeper, custody, name, Primary::new(generation, wishes))
    }

    fn with(keeper: &Rc<KeeperLink>, custody: &Rc<Custody>, name: Rc<str>, primary: Primary<Passed>) -> Rc<App> {
        Rc::new(App {
            name,
            keeper: Rc::clone(keeper),
            custody: Rc::clone(custody),
            primary: RefCell::new(primary),
            channels: RefCell::default(),
            listeners: RefCell::default(),
            timed: Cell::new(false),
        })
    }

    /// The app as an earlier daemon left it. Nothing is served before [`App::resume`].
    pub(super) fn restored(
        keeper: &Rc<KeeperLink>,
        custody: &Rc<Custody>,
        generation: u64,
        stored: Stored,
        held: &mut HashMap<String, OwnedFd>,
    ) -> Rc<App> {
        let name: Rc<str> = stored.app.as_str().into();
        let mut listeners = HashMap::new();
        for handle in &stored.handles {
            let Some(fd) = held.remove(&socket_name(&name, &handle.key)) else { continue };
            let socket = if handle.shared { Socket::Shared(Rc::new(fd)) } else { Socket::Restored(Some(fd)) };
            listeners.insert(Key::from(handle.key.as_str()), Listener { socket, path: handle.path.clone() });
        }
        let mut primary = Primary::from_stored(generation, stored);
        if custody.inherits() {
            primary.wait();
        }
        let app = App::with(keeper, custody, name, primary);
        app.listeners.replace(listeners);
        app
    }

    /// Serves what was restored.
    pub(super) fn resume(self: &Rc<Self>) {
        let keys: Vec<Key> = self.listeners.borrow().keys().cloned().collect();
        for key in keys {
            let mut listeners = self.listeners.borrow_mut();
            let Some(listener) = listeners.get_mut(&key) else { continue };
            if let Socket::Restored(fd) = &mut listener.socket
                && let Some(fd) = fd.take()
                && let Ok(socket) = self.serve(&key, fd)
            {
                listener.socket = socket;
            }
        }
    }

    /// Where connections of earlier daemons came from: what stands in the ledger, and the listening socket.
    pub(super) fn sources(&self) -> Vec<(u64, Key, OwnedFd)> {
        let listeners = self.listeners.borrow();
        let restored = listeners.iter().filter_map(|(key, listener)| match &listener.socket {
            Socket::Restored(Some(fd)) => {
                Some((custody::key_of(&self.name, key), Rc::clone(key), fd.try_clone().ok()?))
            }
            _ => None,
        });
        restored.collect()
    }

    /// Takes over a connection that an earlier daemon had accepted.
    pub(super) fn inherit(&self, key: &Key, connection: Connection, sent: Option<(RunId, Number)>) {
        let peer = if self.primary.borrow().wishes.sticky { listen::peer(connection.fd()) } else { None };
        let connection = Rc::new(connection);
        let passed: Rc<dyn Passenger> = Rc::<Connection>::clone(&connection);
        let under_way = self.primary.borrow_mut().inherit(key, Inherited { connection, peer, sent }, now().mono);
        if let Some((run, line)) = under_way
            && let Some(channel) = self.channels.borrow().get(&run)
        {
            channel.expect_handle(line, passed);
        }
    }

    /// Nothing more is to be taken over.
    pub(super) fn begin(self: &Rc<Self>) {
        self.step(Primary::begin);
        self.resume();
    }

    pub(super) fn name(&self) -> Rc<str> {
        Rc::clone(&self.name)
    }

    pub(super) fn workers(&self) -> Vec<(RunId, PmId)> {
        self.primary.borrow().workers.iter().map(|(run, worker)| (*run, worker.id)).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.primary.borrow().workers.is_empty()
    }

    /// The wishes count for what is opened from now on; `sticky` at once.
    pub(super) fn set_wishes(&self, wishes: Wishes) {
        self.primary.borrow_mut().wishes = wishes;
    }

    pub(super) fn join(&self, run: RunId, id: PmId, channel: Channel) {
        self.channels.borrow_mut().entry(run).or_insert(channel);
        self.primary.borrow_mut().join(run, id);
    }

    /// Takes one message. Whether the worker says that it listens.
    pub(super) fn message(self: &Rc<Self>, run: RunId, message: FromWorker) -> bool {
        self.step(|primary, now, out| {
            let mut bind = |key: &Key, place: &Place, shared: bool| self.bind(key, place, shared);
            primary.message(run, message, now, &mut bind, out);
        })
    }

    pub(super) fn gone(self: &Rc<Self>, run: RunId) {
        self.channels.borrow_mut().remove(&run);
        self.step(|primary, now, out| primary.gone(run, now, out));
    }

    /// Nobody is left.
    pub(super) fn end(&self) {
        for (key, listener) in self.listeners.take() {
            listener.close();
            self.keeper.send(&ToKeeper::Release { name: socket_name(&self.name, &key) }, Vec::new());
        }
        self.keeper.send(&ToKeeper::Release { name: format!("{STATE}{}", self.name) }, Vec::new());
    }

    /// Asks the primary, and does what it says. Whether a worker said that it listens.
    pub(super) fn step(self: &Rc<Self>, ask: impl FnOnce(&mut Primary<Passed>, u64, &mut Vec<Action<Passed>>)) -> bool {
        let mut actions = self.ask(ask);
        let mut listens = false;
        while !actions.is_empty() {
            let mut not_passed = Vec::new();
            for action in actions {
                listens |= matches!(action, Action::Listening);
                not_passed.extend(self.act(action).err());
            }
            actions = Vec::new();
            for (run, connection) in not_passed {
                let is_it = |other: &Passed| Rc::ptr_eq(other, &connection);
                actions.extend(self.ask(|primary, now, out| primary.not_passed(run, is_it, now, out)));
            }
        }
        self.wake();
        self.keep_time();
        listens
    }

    /// What the primary wants done. What a next daemon has to know is with the keeper before any of it is done.
    fn ask(&self, ask: impl FnOnce(&mut Primary<Passed>, u64, &mut Vec<Action<Passed>>)) -> Vec<Action<Passed>> {
        let mut actions = Vec::new();
        let mut primary = self.primary.borrow_mut();
        ask(&mut primary, now().mono, &mut actions);
        if primary.take_changed() {
            self.save(&primary);
        }
        actions
    }

    /// The error is a worker, and the connection that could not be sent to it.
    fn act(&self, action: Action<Passed>) -> Result<(), (RunId, Passed)> {
        let channel = |run: RunId| self.channels.borrow().get(&run).cloned();
        // A channel that does not take a plain line is closing: then the worker is gone in a moment.
        match action {
            Action::Send { run, line } => {
                let _ = channel(run).map(|channel| channel.send_line(line));
            }
            Action::SendListener { run, key, line } => {
                let listeners = self.listeners.borrow();
                if let Some(Listener { socket: Socket::Shared(fd), .. }) = listeners.get(&key) {
                    let _ = channel(run).map(|channel| channel.send_handle(line, Rc::<OwnedFd>::clone(fd)));
                }
            }
            Action::Offer { run, line, connection, number } => {
                connection.offered(run, number);
                let passed: Rc<dyn Passenger> = Rc::<Connection>::clone(&connection);
                let sent = channel(run).map(|channel| channel.send_handle(line, passed));
                return if matches!(sent, Some(Ok(()))) { Ok(()) } else { Err((run, connection)) };
            }
            Action::Answered { run, connection } => {
                connection.answered();
                let passed: Rc<dyn Passenger> = connection;
                if let Some(channel) = channel(run) {
                    channel.handle_arrived(&passed);
                }
            }
            Action::Close { key } => {
                if let Some(listener) = self.listeners.borrow_mut().remove(&key) {
                    listener.close();
                }
                self.keeper.send(&ToKeeper::Release { name: socket_name(&self.name, &key) }, Vec::new());
            }
            Action::Listening => {}
        }
        Ok(())
    }

    /// Opens a socket, and gives a copy of it into the keeper's care.
    fn bind(self: &Rc<Self>, key: &Key, place: &Place, shared: bool) -> Result<Option<SocketName>, i32> {
        const EIO: i32 = 5;
        let errno = |error: std::io::Error| -error.raw_os_error().unwrap_or(EIO);
        let fd = listen::open(place).map_err(errno)?;
        let address = listen::local_address(&fd).map_err(errno)?;
        // Without the keeper (it was killed) the app is served all the same.
        let _ = self.keeper.hold(&socket_name(&self.name, key), fd.as_fd());
        let path = if let Place::Unix { path, .. } = place { Some(path.clone()) } else { None };
        let socket = if shared { Socket::Shared(Rc::new(fd)) } else { self.serve(key, fd).map_err(errno)? };
        self.listeners.borrow_mut().insert(Rc::clone(key), Listener { socket, path });
        Ok(address.map(|(address, port)| SocketName {
            address: address.to_string(),
            family: if address.is_ipv6() { "IPv6" } else { "IPv4" }.to_owned(),
            port,
        }))
    }

    /// Accepts on this socket whenever the primary wants a connection.
    fn serve(self: &Rc<Self>, key: &Key, fd: OwnedFd) -> std::io::Result<Socket> {
        set_nonblocking(&fd)?;
        self.custody.protect();
        let fd = Watched::new(fd, Interest::READABLE)?;
        let wake = Rc::new(Notify::new());
        let (app, key, woken) = (Rc::downgrade(self), Rc::clone(key), Rc::clone(&wake));
        let task = tokio::task::spawn_local(async move {
            let mut batch = 0;
            loop {
                let wanted = app.upgrade().is_some_and(|app| app.wants(&key));
                if !wanted {
                    woken.notified().await;
                    continue;
                }
                let Ok(mut ready) = fd.readable().await else { return };
                let Some(app) = app.upgrade() else { return };
                match app.accept(&key, &fd) {
                    Ok(()) | Err(AcceptFailure::Lost) => batch += 1,
                    Err(AcceptFailure::Nothing) => ready.clear_ready(),
                    Err(AcceptFailure::Exhausted) => tokio::time::sleep(EXHAUSTED).await,
                }
                drop(app);
                if batch >= BATCH {
                    batch = 0;
                    tokio::task::yield_now().await;
                }
            }
        });
        Ok(Socket::Ours { wake, task })
    }

    fn wants(&self, key: &str) -> bool {
        self.primary.borrow().wants(key, now().mono)
    }

    /// The channel of this worker gave up passing this on.
    pub(super) fn not_passed(self: &Rc<Self>, run: RunId, handle: &Rc<dyn Passenger>) {
        let is_it = |connection: &Passed| {
            let passed: Rc<dyn Passenger> = Rc::<Connection>::clone(connection);
            Rc::ptr_eq(&passed, handle)
        };
        self.step(|primary, now, out| primary.not_passed(run, is_it, now, out));
    }

    /// Takes one connection and gives it to the primary.
    fn accept(self: &Rc<Self>, key: &Key, listener: &Watched) -> Result<(), AcceptFailure> {
        // While we waited the free worker may have become busy or gone.
        if !self.wants(key) {
            return Ok(());
        }
        let sticky = self.primary.borrow().wishes.sticky;
        let number = custody::key_of(&self.name, key);
        let connection = self.custody.accept(listener.fd(), number).map_err(|error| AcceptFailure::of(&error))?;
        let peer = if sticky { listen::peer(connection.fd()) } else { None };
        self.step(|primary, now, out| primary.connection(key, Rc::new(connection), peer, now, out));
        Ok(())
    }

    /// Accept loops whose workers are free again go on.
    fn wake(&self) {
        for (key, listener) in &*self.listeners.borrow() {
            if let Socket::Ours { wake, .. } = &listener.socket
                && self.wants(key)
            {
                wake.notify_one();
            }
        }
    }

    /// Comes back when a back-off is over.
    fn keep_time(self: &Rc<Self>) {
        let Some(deadline) = self.primary.borrow().deadline() else { return };
        if self.timed.replace(true) {
            return;
        }
        let app = Rc::downgrade(self);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(Duration::from_millis(deadline.saturating_sub(now().mono))).await;
            if let Some(app) = app.upgrade() {
                app.timed.set(false);
                app.step(Primary::tick);
            }
        });
    }

    /// Tells the keeper what a next daemon has to know. One packet replaces the state before: it is never half there.
    fn save(&self, primary: &Primary<Passed>) {
        let Ok(state) = serde_json::to_vec(&primary.to_stored(&self.name)) else { return };
        if let Ok(memory) = packet::memory_file("pm2d-cluster", &state) {
            self.keeper.send(&ToKeeper::Hold { name: format!("{STATE}{}", self.name) }, vec![memory]);
        }
    }

    pub(super) fn can_be_spared(&self, run: RunId) -> bool {
        self.primary.borrow().can_be_spared(run)
    }
}

fn socket_name(app: &str, key: &str) -> String {
    format!("{LISTEN}{app}/{key}")
}
