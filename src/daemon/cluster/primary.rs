//! The primary's side of Node's `cluster` protocol for one app, sans-IO (contract/node-ipc-and-cluster.md section 3).
//!
//! Owns: which worker serves what, who gets the next connection, what a worker may still be told.
//! Must never: do IO, offer a worker more than [`WINDOW`] connections that it has not answered for, drop a connection that
//! some worker can still take, or tell a worker `disconnect` twice (it would die of it).

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;

use bytes::Bytes;

use super::handle::{Candidate, Choice, Handle, Key, Waiting, key_of, place_of};
use crate::model::{PmId, RunId};
use crate::sys::listen::Place;
use crate::wire::cluster::{FromWorker, Listen, PrimaryAct, Seq, SocketName, ToWorker, WorkerAct};

const EADDRINUSE: i32 = 98;

/// Most connections that a worker is offered before it has answered for the first of them. With several it finds the next one in
/// its socket while it is at work on one, and need not be woken for each. What a worker has that stops to answer waits with it, so
/// it is offered more than one only while no worker is free, and only as long as it is [`PROMPT`].
pub(super) const WINDOW: usize = 4;

/// How long a worker may owe an answer, in milliseconds, and still be offered more.
pub(super) const PROMPT: u64 = 5;

/// Most connections that are accepted ahead with `sticky`, where only one worker will do for each.
const STICKY_WAITING: usize = 64;

/// What our script in a worker knows as the beginning of its end.
const DRAIN: &[u8] = b"{\"cmd\":\"NODE_PM2_DRAIN\"}\n";

/// The wishes of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Wishes {
    /// Workers accept themselves, from a shared socket.
    pub(super) shared: bool,
    /// Connections of one address go to the same instance.
    pub(super) sticky: bool,
}

/// What has to be done, in this order.
#[derive(Debug)]
pub(super) enum Action<C> {
    Send {
        run: RunId,
        line: Bytes,
    },
    /// The line goes with the listening socket.
    SendListener {
        run: RunId,
        key: Key,
        line: Bytes,
    },
    /// The line goes with a connection.
    Offer {
        run: RunId,
        line: Bytes,
        connection: C,
        number: Number,
    },
    /// The worker has answered for this connection, which so has arrived.
    Answered {
        run: RunId,
        connection: C,
    },
    /// The worker listens: it can serve.
    Listening,
    /// Nobody serves this any more: close the socket.
    Close {
        key: Key,
    },
}

/// What makes the `seq` of our messages: the generation of the daemon, and a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) generation: u64,
    pub(super) count: u64,
}

impl Number {
    pub(super) fn seq(self) -> Seq {
        Seq(format!("g{}-{}", self.generation, self.count).into())
    }
}

/// Opens the socket for a key (`true`: to be shared); answers with its address, or a negative errno.
pub(super) type Bind<'a> = &'a mut dyn FnMut(&Key, &Place, bool) -> Result<Option<SocketName>, i32>;

#[derive(Debug)]
pub(super) struct Worker<C> {
    pub(super) id: PmId,
    /// What it has not answered for, oldest first.
    pub(super) offers: VecDeque<Offer<C>>,
    /// It gets no new connections.
    pub(super) draining: bool,
    pub(super) disconnect_sent: bool,
    /// Our script in the app is asked to let its connections go first, and has not said that it did.
    asks_first: bool,
    asked: bool,
    /// It has said `exitedAfterDisconnect`.
    pub(super) leaving: bool,
}

impl<C> Worker<C> {
    pub(super) fn new(id: PmId) -> Worker<C> {
        let (draining, disconnect_sent, leaving) = (false, false, false);
        Worker { id, offers: VecDeque::new(), draining, disconnect_sent, asks_first: false, asked: false, leaving }
    }

    fn stays(&self) -> bool {
        !self.draining && !self.leaving
    }

    /// How many connections it has not answered for; `None`: it gets no more before it has.
    fn owes(&self, now: u64) -> Option<usize> {
        let prompt = self.offers.front().is_none_or(|offer| now.saturating_sub(offer.since) <= PROMPT);
        Some(self.offers.len()).filter(|count| *count < WINDOW && prompt)
    }

    #[cfg(test)]
    pub(super) fn offer_seq(&self) -> Option<Seq> {
        self.offers.front().map(|offer| offer.seq.clone())
    }
}

#[derive(Debug)]
pub(super) struct Offer<C> {
    pub(super) seq: Seq,
    pub(super) key: Key,
    pub(super) waiting: Waiting<C>,
    /// When it was made (mono).
    pub(super) since: u64,
    /// Made by an earlier daemon, which may have taken the answer with it: then (mono) it counts as taken.
    pub(super) until: Option<u64>,
}

/// What workers answered before it was known what an earlier daemon had offered them.
pub(super) type Early = Vec<(RunId, Seq, bool)>;

#[derive(Debug)]
pub(super) struct Primary<C> {
    pub(super) wishes: Wishes,
    generation: u64,
    next_seq: u64,
    pub(super) workers: BTreeMap<RunId, Worker<C>>,
    pub(super) handles: BTreeMap<Key, Handle<C>>,
    changed: bool,
    /// Nothing is accepted before [`Primary::begin`].
    pub(super) early: Option<Early>,
}

impl<C: Clone> Primary<C> {
    /// `generation` of the daemon: answers to an earlier one are recognised by it.
    pub(super) fn new(generation: u64, wishes: Wishes) -> Primary<C> {
        let (workers, handles) = (BTreeMap::new(), BTreeMap::new());
        Primary { wishes, generation, next_seq: 0, workers, handles, changed: false, early: None }
    }

    /// A worker of this app; known already: nothing changes.
    pub(super) fn join(&mut self, run: RunId, id: PmId) {
        self.changed |= !self.workers.contains_key(&run);
        self.workers.entry(run).or_insert_with(|| Worker::new(id));
    }

    /// A message of a worker. `bind` opens the socket for a key, and says its address or a negative errno.
    pub(super) fn message(
        &mut self,
        run: RunId,
        message: FromWorker,
        now: u64,
        bind: Bind<'_>,
        out: &mut Vec<Action<C>>,
    ) {
        let Some(worker) = self.workers.get_mut(&run) else { return };
        match message.act {
            WorkerAct::QueryServer(listen) => {
                // Who leaves waits for no answer; one who was told to go would take the answer for a server to serve.
                if let (Some(seq), false) = (message.seq, worker.leaving || worker.disconnect_sent) {
                    self.query(run, seq, listen, bind, out);
                    self.distribute_all(now, out);
                }
            }
            WorkerAct::Listening(_) => out.push(Action::Listening),
            WorkerAct::Close { key } => {
                self.leave_handle(run, &key, out);
                self.distribute_all(now, out);
            }
            WorkerAct::ExitedAfterDisconnect => {
                worker.leaving = true;
                self.changed = true;
                if let Some(ack) = message.seq {
                    self.send(run, PrimaryAct::Acknowledge { ack }, out);
                }
                self.distribute_all(now, out);
            }
            WorkerAct::Answer { ack, accepted } => self.answered(run, &ack, accepted != Some(false), now, out),
            WorkerAct::Online | WorkerAct::Unknown => {}
        }
    }

    fn query(&mut self, run: RunId, ack: Seq, listen: Listen, bind: Bind<'_>, out: &mut Vec<Action<C>>) {
        let key = key_of(&listen);
        let known = self.handles.get(&key).and_then(|handle| handle.member(run)).map(|member| member.ack.clone());
        match known {
            // Asked before an earlier daemon died, and perhaps not answered by it.
            Some(Some(earlier)) if earlier == ack => self.say_listens(run, &key, ack, out),
            Some(_) => self.send(run, PrimaryAct::CannotListen { ack, key: &key, errno: -EADDRINUSE }, out),
            None => match self.open(&key, &listen, bind) {
                Ok(()) => {
                    if let Some(handle) = self.handles.get_mut(&key) {
                        handle.add(run, Some(ack.clone()));
                        handle.data = handle.data.take().or(listen.data);
                    }
                    self.changed = true;
                    self.say_listens(run, &key, ack, out);
                }
                Err(errno) => self.send(run, PrimaryAct::CannotListen { ack, key: &key, errno }, out),
            },
        }
    }

    /// Makes sure that there is a handle for this key.
    fn open(&mut self, key: &Key, listen: &Listen, bind: Bind<'_>) -> Result<(), i32> {
        if self.handles.contains_key(key) {
            return Ok(());
        }
        let place = place_of(listen)?;
        let udp = matches!(place, Place::Udp { .. });
        let shared = udp || self.wishes.shared;
        let sockname = bind(key, &place, shared)?;
        let path = if let Place::Unix { path, .. } = place { Some(path) } else { None };
        self.handles.insert(Rc::clone(key), Handle::new(shared, udp, sockname, path));
        Ok(())
    }

    fn say_listens(&mut self, run: RunId, key: &Key, ack: Seq, out: &mut Vec<Action<C>>) {
        let seq = self.seq();
        let Some(handle) = self.handles.get(key) else { return };
        let data = handle.data.as_deref();
        if handle.shared {
            let act = PrimaryAct::ListensShared { ack, key, data, udp: handle.udp };
            let line = ToWorker { seq, act }.encode(false);
            out.extend(line.ok().map(|line| Action::SendListener { run, key: Rc::clone(key), line }));
        } else {
            let act = PrimaryAct::ListensRoundRobin { ack, key, data, sockname: handle.sockname.clone() };
            out.extend(ToWorker { seq, act }.encode(false).ok().map(|line| Action::Send { run, line }));
        }
    }

    fn number(&mut self) -> Number {
        self.next_seq += 1;
        Number { generation: self.generation, count: self.next_seq }
    }

    fn seq(&mut self) -> Seq {
        self.number().seq()
    }

    fn send(&mut self, run: RunId, act: PrimaryAct<'_>, out: &mut Vec<Action<C>>) {
        let line = ToWorker { seq: self.seq(), act }.encode(false);
        out.extend(line.ok().map(|line| Action::Send { run, line }));
    }

    /// Whether a connection should be accepted now: only while a worker can be offered it, so that the others wait in the kernel,
    /// where they outlive us.
    pub(super) fn wants(&self, key: &str, now: u64) -> bool {
        if self.early.is_some() {
            return false;
        }
        let Some(handle) = self.handles.get(key).filter(|handle| !handle.shared) else { return false };
        if self.wishes.sticky {
            handle.waiting.len() < STICKY_WAITING && self.candidates(handle, now).next().is_some()
        } else {
            handle.waiting.is_empty() && self.candidates(handle, now).any(|candidate| candidate.owes.is_some())
        }
    }

    fn candidates<'a>(&'a self, handle: &'a Handle<C>, now: u64) -> impl Iterator<Item = Candidate> + 'a {
        handle.members.iter().filter_map(move |member| {
            let worker = self.workers.get(&member.run).filter(|worker| worker.stays())?;
            Some(Candidate { run: member.run, id: worker.id, owes: worker.owes(now) })
        })
    }

    /// A connection was accepted.
    pub(super) fn connection(
        &mut self,
        key: &str,
        connection: C,
        peer: Option<IpAddr>,
        now: u64,
        out: &mut Vec<Action<C>>,
    ) {
        let Some((key, handle)) = self.handles.get_key_value(key) else { return };
        let key = Rc::clone(key);
        debug_assert!(!handle.shared, "workers accept here themselves");
        if let Some(handle) = self.handles.get_mut(&key) {
            handle.waiting.push_back(Waiting { connection, peer, tried: Vec::new() });
        }
        self.distribute(&key, now, out);
    }

    fn answered(&mut self, run: RunId, ack: &Seq, accepted: bool, now: u64, out: &mut Vec<Action<C>>) {
        if let Some(early) = &mut self.early {
            early.push((run, ack.clone(), accepted));
        }
        let Some(worker) = self.workers.get_mut(&run) else { return };
        // What is unknown is an answer to an earlier daemon that had heard it itself.
        let place = worker.offers.iter().position(|offer| offer.seq == *ack);
        let Some(offer) = place.and_then(|place| worker.offers.remove(place)) else { return };
        out.push(Action::Answered { run, connection: offer.waiting.connection.clone() });
        if let Some(handle) = self.handles.get_mut(&offer.key) {
            if accepted {
                handle.accepted();
            } else {
                let Offer { mut waiting, .. } = offer;
                waiting.tried.push(run);
                handle.waiting.push_front(waiting);
            }
        }
        self.disconnect_if_idle(run, out);
        self.distribute_all(now, out);
    }

    /// The channel could not pass this connection on: as if the worker had refused it.
    pub(super) fn not_passed(&mut self, run: RunId, is_it: impl Fn(&C) -> bool, now: u64, out: &mut Vec<Action<C>>) {
        let offer = self
            .workers
            .get(&run)
            .and_then(|worker| worker.offers.iter().find(|offer| is_it(&offer.waiting.connection)));
        if let Some(ack) = offer.map(|offer| offer.seq.clone()) {
            self.answered(run, &ack, false, now, out);
        }
    }

    /// The worker is gone: others take over what it had not taken.
    pub(super) fn gone(&mut self, run: RunId, now: u64, out: &mut Vec<Action<C>>) {
        let Some(worker) = self.workers.remove(&run) else { return };
        self.changed = true;
        for Offer { key, waiting, .. } in worker.offers.into_iter().rev() {
            if let Some(handle) = self.handles.get_mut(&key) {
                handle.waiting.push_front(waiting);
            }
        }
        let keys: Vec<Key> = self.handles.keys().cloned().collect();
        for key in keys {
            self.leave_handle(run, &key, out);
        }
        self.distribute_all(now, out);
    }

    fn leave_handle(&mut self, run: RunId, key: &str, out: &mut Vec<Action<C>>) {
        let Some(handle) = self.handles.get_mut(key) else { return };
        if !handle.remove(run) {
            return;
        }
        self.changed = true;
        if handle.members.is_empty()
            && let Some((key, _)) = self.handles.remove_entry(key)
        {
            out.push(Action::Close { key });
        }
    }

    /// No new connections for this worker; when it has answered for the last one it is told to disconnect. With
    /// `asks_first` our script in the app is asked before to let go of the connections it has: [`Primary::drained`].
    pub(super) fn drain(&mut self, run: RunId, asks_first: bool, now: u64, out: &mut Vec<Action<C>>) {
        let Some(worker) = self.workers.get_mut(&run) else { return };
        self.changed |= !worker.draining;
        worker.draining = true;
        worker.asks_first = asks_first;
        self.disconnect_if_idle(run, out);
        self.distribute_all(now, out);
    }

    /// The script has let its connections go, or had the time for it.
    pub(super) fn drained(&mut self, run: RunId, out: &mut Vec<Action<C>>) {
        let Some(worker) = self.workers.get_mut(&run) else { return };
        worker.asks_first = false;
        self.disconnect_if_idle(run, out);
    }

    fn disconnect_if_idle(&mut self, run: RunId, out: &mut Vec<Action<C>>) {
        let Some(worker) = self.workers.get_mut(&run) else { return };
        if !worker.draining || !worker.offers.is_empty() || worker.disconnect_sent || worker.leaving {
            return;
        }
        if worker.asks_first {
            if !std::mem::replace(&mut worker.asked, true) {
                out.push(Action::Send { run, line: Bytes::from_static(DRAIN) });
            }
            return;
        }
        worker.disconnect_sent = true;
        self.changed = true;
        self.send(run, PrimaryAct::Disconnect, out);
    }

    /// Whether every place that this worker serves is served by another one too, which stays. False if it serves none.
    pub(super) fn can_be_spared(&self, run: RunId) -> bool {
        let mut serves = self.handles.values().filter(|handle| handle.member(run).is_some()).peekable();
        serves.peek().is_some()
            && serves.all(|handle| {
                let stays = |run: RunId| self.workers.get(&run).is_some_and(Worker::stays);
                handle.members.iter().any(|member| member.run != run && stays(member.run))
            })
    }

    /// When (mono) [`Primary::tick`] has something to do.
    pub(super) fn deadline(&self) -> Option<u64> {
        let blocked = self.handles.values().filter_map(|handle| handle.blocked_until);
        let unanswered = self.workers.values().flat_map(|worker| &worker.offers).filter_map(|offer| offer.until);
        blocked.chain(unanswered).min()
    }

    pub(super) fn tick(&mut self, now: u64, out: &mut Vec<Action<C>>) {
        let late = |offer: &Offer<C>| offer.until.is_some_and(|until| now >= until);
        let unanswered = self.workers.iter().flat_map(|(run, worker)| worker.offers.iter().map(|offer| (*run, offer)));
        let lost: Vec<(RunId, Seq)> =
            unanswered.filter(|(_, offer)| late(offer)).map(|(run, offer)| (run, offer.seq.clone())).collect();
        for (run, seq) in lost {
            self.answered(run, &seq, true, now, out);
        }
        for handle in self.handles.values_mut() {
            if handle.blocked_until.is_some_and(|until| now >= until) {
                handle.unblock();
            }
        }
        self.distribute_all(now, out);
    }

    pub(super) fn distribute_all(&mut self, now: u64, out: &mut Vec<Action<C>>) {
        let keys: Vec<Key> = self
            .handles
            .iter()
            .filter(|(_, handle)| !handle.waiting.is_empty())
            .map(|(key, _)| Rc::clone(key))
            .collect();
        for key in keys {
            self.distribute(&key, now, out);
        }
    }

    /// Offers what waits to whoever is free.
    fn distribute(&mut self, key: &Key, now: u64, out: &mut Vec<Action<C>>) {
        if self.early.is_some() {
            return;
        }
        let mut index = 0;
        loop {
            let Some(handle) = self.handles.get(key).filter(|handle| handle.blocked_until.is_none()) else { return };
            let Some(waiting) = handle.waiting.get(index) else { return };
            let candidates: Vec<Candidate> = self.candidates(handle, now).collect();
            match handle.choose(waiting, &candidates, self.wishes.sticky) {
                Choice::Offer(run) => self.offer(key, index, run, now, out),
                Choice::Later => index += 1,
                Choice::AllRefused => {
                    if let Some(handle) = self.handles.get_mut(key) {
                        handle.block(now);
                    }
                    return;
                }
            }
        }
    }

    fn offer(&mut self, key: &Key, index: usize, run: RunId, now: u64, out: &mut Vec<Action<C>>) {
        let number = self.number();
        let (Some(handle), Some(worker), Some(line)) =
            (self.handles.get_mut(key), self.workers.get_mut(&run), offer_line(number, key))
        else {
            return;
        };
        let Some(waiting) = handle.waiting.remove(index) else { return };
        handle.took_turn(run);
        out.push(Action::Offer { run, line, connection: waiting.connection.clone(), number });
        worker.offers.push_back(Offer { seq: number.seq(), key: Rc::clone(key), waiting, since: now, until: None });
    }

    /// Whether something changed since the last time that a next daemon has to know.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}

/// The line that a connection goes with.
pub(super) fn offer_line(number: Number, key: &str) -> Option<Bytes> {
    ToWorker { seq: number.seq(), act: PrimaryAct::NewConnection { key } }.encode(false).ok()
}
