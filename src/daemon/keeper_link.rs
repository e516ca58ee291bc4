//! The private socket to the keeper: requests out, descriptors and exits in.
//!
//! Owns: the socket, the order of what is sent, and the handover at the start.
//! Must never: block, lose a descriptor, or reorder messages.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use crate::model::{Exit, PmId, RunId};
use crate::sys::{clock, packet, ready};
use crate::wire::keeper::{FromKeeper, MAX_PACKET, PROTOCOL, SETTLED, SpawnSpec, Spawned, ToKeeper};

/// A message that waits for room in the socket.
type Waiting = (Vec<u8>, Vec<OwnedFd>);

#[derive(Debug)]
pub(crate) struct KeeperLink {
    /// That of the present keeper.
    socket: RefCell<Rc<AsyncFd<OwnedFd>>>,
    waiting: RefCell<VecDeque<Waiting>>,
    more: Notify,
    gone: Cell<bool>,
    /// Copies of all that the keeper holds by name: what the next keeper is given.
    held: RefCell<BTreeMap<String, OwnedFd>>,
    /// Spawn orders that no keeper has answered yet.
    unanswered: RefCell<BTreeMap<RunId, Order>>,
}

/// A spawn order under way.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) id: PmId,
    spec: OwnedFd,
    /// Milliseconds since boot.
    pub(crate) since: u64,
}

/// What the keeper gave a daemon at its start.
#[derive(Debug, Default)]
pub(crate) struct Handover {
    pub(crate) generation: u64,
    pub(crate) keeper_pid: i32,
    /// Why the upgrade that was tried last did not succeed.
    pub(crate) failed_update: Option<String>,
    pub(crate) held: HashMap<String, OwnedFd>,
    pub(crate) running: Vec<(Spawned, Vec<OwnedFd>)>,
    pub(crate) exited: Vec<(PmId, RunId, Exit)>,
}

impl KeeperLink {
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Rc<KeeperLink>> {
        Ok(Rc::new(KeeperLink {
            socket: RefCell::new(Rc::new(ready::register(socket)?)),
            waiting: RefCell::default(),
            more: Notify::new(),
            gone: Cell::new(false),
            held: RefCell::default(),
            unanswered: RefCell::default(),
        }))
    }

    /// Goes over to a new keeper: its greeting is awaited, and it is given everything the one before held by name.
    ///
    /// Nothing else is said to it before that. Above all no spawn order: it is among the unanswered ones, which are given
    /// again, and would be carried out twice.
    pub(crate) async fn renew(&self, socket: OwnedFd) -> io::Result<Handover> {
        self.waiting.borrow_mut().clear();
        *self.socket.borrow_mut() = Rc::new(ready::register(socket)?);
        self.gone.set(true);
        let greeting = self.handover().await?;
        self.gone.set(false);
        let held: Vec<(String, OwnedFd)> = {
            let held = self.held.borrow();
            // It says that all is done, and much is still to do.
            let all = held.iter().filter(|(name, _)| *name != SETTLED);
            all.map(|(name, fd)| Ok((name.clone(), fd.try_clone()?))).collect::<io::Result<_>>()?
        };
        for (name, fd) in held {
            self.send(&ToKeeper::Hold { name }, vec![fd]);
        }
        Ok(greeting)
    }

    /// The spawn orders that nobody has answered.
    pub(crate) fn unanswered(&self) -> Vec<(RunId, PmId, u64)> {
        self.unanswered.borrow().iter().map(|(run, order)| (*run, order.id, order.since)).collect()
    }

    /// Gives an order again that an earlier keeper did not answer.
    pub(crate) fn repeat(&self, run: RunId) -> io::Result<()> {
        let (id, copy) = match self.unanswered.borrow().get(&run) {
            Some(order) => (order.id, order.spec.try_clone()?),
            None => return Ok(()),
        };
        self.send(&ToKeeper::Spawn { id, run }, vec![copy]);
        Ok(())
    }

    fn socket(&self) -> Rc<AsyncFd<OwnedFd>> {
        Rc::clone(&self.socket.borrow())
    }

    /// Says hello and takes everything up to `Ready`.
    pub(crate) async fn handover(&self) -> io::Result<Handover> {
        self.queue(&ToKeeper::Hello { protocol: PROTOCOL, answers: true }, Vec::new());
        let mut taken = Handover::default();
        loop {
            let Some((message, mut fds)) = self.receive().await? else {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the keeper ended during the handover"));
            };
            match message {
                FromKeeper::Welcome { generation, keeper_pid, failed_update, .. } => {
                    taken.generation = generation;
                    taken.keeper_pid = keeper_pid;
                    taken.failed_update = failed_update;
                }
                FromKeeper::Held { name } => {
                    if let Some(fd) = fds.pop() {
                        self.held.borrow_mut().insert(name.clone(), fd.try_clone()?);
                        taken.held.insert(name, fd);
                    }
                }
                FromKeeper::Running(spawned) => taken.running.push((spawned, fds)),
                FromKeeper::Exited { id, run, exit, .. } => taken.exited.push((id, run, exit)),
                FromKeeper::Ready => return Ok(taken),
                // Nothing was asked for yet, and a signal before the start is over is told again by its sender.
                FromKeeper::Spawned(_)
                | FromKeeper::SpawnFailed { .. }
                | FromKeeper::Signalled { .. }
                | FromKeeper::Ping => {}
            }
        }
    }

    /// Whether the keeper has ended.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.get()
    }

    /// Sends at once, or in its turn when the socket is full.
    ///
    /// While there is no keeper it is dropped: the next one is given the state as it is then.
    pub(crate) fn send(&self, message: &ToKeeper, fds: Vec<OwnedFd>) {
        match message {
            ToKeeper::Release { name } => drop(self.held.borrow_mut().remove(name)),
            ToKeeper::Hold { name } => {
                // Without a descriptor to spare the next keeper lacks this one.
                if let Some(copy) = fds.first().and_then(|fd| fd.try_clone().ok()) {
                    self.held.borrow_mut().insert(name.clone(), copy);
                }
            }
            _ => {}
        }
        if !self.gone.get() {
            self.queue(message, fds);
        }
    }

    fn queue(&self, message: &ToKeeper, fds: Vec<OwnedFd>) {
        let Ok(bytes) = serde_json::to_vec(message) else { return };
        let mut waiting = self.waiting.borrow_mut();
        waiting.push_back((bytes, fds));
        if waiting.len() == 1 {
            drop(waiting);
            self.push_out();
        }
    }

    /// Asks for a process. The answer comes as `Spawned` or `SpawnFailed` with the same run.
    ///
    /// Without a keeper it waits for the next one.
    pub(crate) fn spawn(&self, id: PmId, run: RunId, spec: &SpawnSpec) -> io::Result<()> {
        let spec = packet::memory_file("pm2d-spawn", &serde_json::to_vec(spec)?)?;
        let copy = spec.try_clone()?;
        self.unanswered.borrow_mut().insert(run, Order { id, spec, since: clock::boot_millis() });
        self.send(&ToKeeper::Spawn { id, run }, vec![copy]);
        Ok(())
    }

    /// Gives a copy of `fd` into the keeper's care.
    pub(crate) fn hold(&self, name: &str, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.send(&ToKeeper::Hold { name: name.to_owned() }, vec![fd.try_clone_to_owned()?]);
        Ok(())
    }

    /// A copy of what is held under this name.
    pub(crate) fn held(&self, name: &str) -> Option<OwnedFd> {
        self.held.borrow().get(name)?.try_clone().ok()
    }

    /// Lets go of what is held under this name, if anything is.
    pub(crate) fn release(&self, name: &str) {
        if self.held.borrow().contains_key(name) {
            self.send(&ToKeeper::Release { name: name.to_owned() }, Vec::new());
        }
    }

    /// Lets go of all whose name `is_useless`.
    pub(crate) fn release_all(&self, is_useless: impl Fn(&str) -> bool) {
        let names: Vec<String> = self.held.borrow().keys().filter(|name| is_useless(name)).cloned().collect();
        for name in names {
            self.release(&name);
        }
    }

    /// Whether everything that was sent is with the kernel, which delivers it whatever becomes of us.
    pub(crate) fn is_flushed(&self) -> bool {
        self.waiting.borrow().is_empty()
    }

    /// Sends what waits, as far as there is room.
    fn push_out(&self) {
        let socket = self.socket();
        let mut waiting = self.waiting.borrow_mut();
        while let Some((bytes, fds)) = waiting.front() {
            let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
            match packet::send_now(socket.get_ref(), bytes, &borrowed) {
                Ok(()) => {
                    waiting.pop_front();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.more.notify_one();
                    return;
                }
                Err(error) if errno(&error, &[Errno::ENOBUFS, Errno::ENOMEM]) => {
                    self.more.notify_one();
                    return;
                }
                Err(error) if errno(&error, &[Errno::EMSGSIZE]) => {
                    waiting.pop_front();
                }
                Err(_) => {
                    // Nobody is there any more: `receive` says so.
                    self.gone.set(true);
                    waiting.clear();
                }
            }
        }
    }

    /// Sends what could not be sent at once. Runs as long as the daemon.
    pub(crate) async fn pump(&self) {
        loop {
            self.more.notified().await;
            while !self.waiting.borrow().is_empty() {
                // Room in the socket is not all that can be missing (descriptors in flight): look again after a while.
                let socket = self.socket();
                match socket.writable().await {
                    Ok(mut ready) => ready.clear_ready(),
                    // A keeper that is gone: `receive` says so, and the next one has a socket of its own.
                    Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
                }
                self.push_out();
                if !self.waiting.borrow().is_empty() {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        }
    }

    /// Completes when everything is with the kernel.
    pub(crate) async fn flushed(&self) {
        while !self.waiting.borrow().is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The next message. `None` when the keeper has ended. Safe to drop.
    pub(crate) async fn receive(&self) -> io::Result<Option<(FromKeeper, Vec<OwnedFd>)>> {
        loop {
            let socket = self.socket();
            let received = socket.async_io(Interest::READABLE, |fd| packet::receive_now(fd, MAX_PACKET)).await;
            let packet = match received {
                Ok(Some(packet)) => packet,
                Ok(None) => {
                    self.gone.set(true);
                    return Ok(None);
                }
                // A keeper that was killed with orders of ours unread resets the connection, once, before its last words.
                Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::ConnectionReset) => {
                    continue;
                }
                Err(error) => {
                    self.gone.set(true);
                    return Err(error);
                }
            };
            // A message that a newer keeper has and we do not know means nothing to us.
            if let Ok(message) = serde_json::from_slice(&packet.bytes) {
                if let FromKeeper::Spawned(Spawned { run, .. }) | FromKeeper::SpawnFailed { run, .. } = &message {
                    self.unanswered.borrow_mut().remove(run);
                }
                return Ok(Some((message, packet.fds)));
            }
        }
    }
}

fn errno(error: &io::Error, any: &[Errno]) -> bool {
    error.raw_os_error().is_some_and(|code| any.contains(&Errno::from_raw(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_runtime(test: impl AsyncFnOnce()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(tokio::task::LocalSet::new().run_until(test()));
    }

    fn tell(socket: &OwnedFd, message: &FromKeeper, fds: &[BorrowedFd<'_>]) {
        packet::send(socket, &serde_json::to_vec(message).unwrap(), fds).unwrap();
    }

    #[test]
    fn the_handover_collects_everything_until_ready() {
        in_runtime(async || {
            let (ours, theirs) = packet::pair().unwrap();
            let link = KeeperLink::new(ours).unwrap();
            let fd = packet::memory_file("x", b"x").unwrap();
            tell(&theirs, &FromKeeper::Welcome { protocol: 1, generation: 3, keeper_pid: 9, failed_update: None }, &[]);
            packet::send(&theirs, br#"{"op":"from_the_future"}"#, &[]).unwrap();
            tell(&theirs, &FromKeeper::Held { name: "rpc".into() }, &[fd.as_fd()]);
            let exited = FromKeeper::Exited { id: PmId(1), run: RunId(2), pid: 3, exit: Exit::Code(4) };
            tell(&theirs, &exited, &[]);
            tell(&theirs, &FromKeeper::Ready, &[]);
            let taken = link.handover().await.unwrap();
            assert_eq!((taken.generation, taken.keeper_pid), (3, 9));
            assert!(taken.held.contains_key("rpc"));
            assert_eq!(taken.exited, [(PmId(1), RunId(2), Exit::Code(4))]);
        });
    }

    #[test]
    fn what_does_not_fit_is_sent_later_in_order() {
        in_runtime(async || {
            let (ours, theirs) = packet::pair().unwrap();
            let link = KeeperLink::new(ours).unwrap();
            let pump = Rc::clone(&link);
            tokio::task::spawn_local(async move { pump.pump().await });
            for number in 0..5000 {
                link.send(&ToKeeper::Acknowledge { run: RunId(number) }, Vec::new());
            }
            assert!(!link.waiting.borrow().is_empty(), "more than the socket takes at once");
            for number in 0..5000 {
                let packet = loop {
                    match packet::receive_now(&theirs, MAX_PACKET) {
                        Ok(packet) => break packet.unwrap(),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::task::yield_now().await,
                        Err(error) => panic!("{error}"),
                    }
                };
                let message: ToKeeper = serde_json::from_slice(&packet.bytes).unwrap();
                assert_eq!(message, ToKeeper::Acknowledge { run: RunId(number) });
            }
        });
    }

    #[test]
    fn what_is_asked_for_before_a_new_keeper_has_greeted_reaches_it_once() {
        in_runtime(async || {
            let (ours, theirs) = packet::pair().unwrap();
            let link = KeeperLink::new(ours).unwrap();
            drop(theirs);
            assert!(link.receive().await.unwrap().is_none());
            let (ours, theirs) = packet::pair().unwrap();
            let renewed = Rc::clone(&link);
            let renewing = tokio::task::spawn_local(async move { renewed.renew(ours).await.map(drop) });
            tokio::task::yield_now().await;
            let spec = serde_json::json!({ "program": "/bin/true", "argv": [], "env": [], "cwd": "/", "ipc": false });
            link.spawn(PmId(1), RunId(7), &serde_json::from_value(spec).unwrap()).unwrap();
            link.send(&ToKeeper::Acknowledge { run: RunId(3) }, Vec::new());
            tell(&theirs, &FromKeeper::Welcome { protocol: 1, generation: 3, keeper_pid: 9, failed_update: None }, &[]);
            tell(&theirs, &FromKeeper::Ready, &[]);
            renewing.await.unwrap().unwrap();
            assert_eq!(link.unanswered().len(), 1);
            link.repeat(RunId(7)).unwrap();
            let mut heard = Vec::new();
            while let Ok(Some(packet)) = packet::receive_now(&theirs, MAX_PACKET) {
                heard.push(serde_json::from_slice::<ToKeeper>(&packet.bytes).unwrap());
            }
            let hello = ToKeeper::Hello { protocol: PROTOCOL, answers: true };
            assert_eq!(heard, [hello, ToKeeper::Spawn { id: PmId(1), run: RunId(7) }]);
        });
    }

    #[test]
    fn the_end_of_the_keeper_is_seen() {
        in_runtime(async || {
            let (ours, theirs) = packet::pair().unwrap();
            let link = KeeperLink::new(ours).unwrap();
            drop(theirs);
            assert!(link.receive().await.unwrap().is_none());
            assert!(link.is_gone());
        });
    }
}
