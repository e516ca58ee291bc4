//! A primary whose connections are numbers, and what it sent to whom.

use std::net::IpAddr;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::handle::Key;
use super::super::primary::{Action, Primary, Wishes};
use crate::model::{PmId, RunId};
use crate::sys::listen::Place;
use crate::wire::cluster::{FromWorker, SocketName};

/// A primary with numbers for connections, and what it sent to whom.
pub(super) struct World {
    pub(super) primary: Primary<u32>,
    pub(super) now: u64,
    /// The answer to the next bind.
    pub(super) bind: Result<Option<SocketName>, i32>,
    pub(super) binds: Vec<Place>,
    pub(super) sent: Vec<(RunId, Value, Option<u32>)>,
    pub(super) listening: usize,
    pub(super) closed: Vec<Key>,
}

pub(super) fn sockname(port: u16) -> SocketName {
    SocketName { address: "::".to_owned(), family: "IPv6".to_owned(), port }
}

impl World {
    pub(super) fn new(wishes: Wishes) -> World {
        World {
            primary: Primary::new(1, wishes),
            now: 0,
            bind: Ok(Some(sockname(80))),
            binds: Vec::new(),
            sent: Vec::new(),
            listening: 0,
            closed: Vec::new(),
        }
    }

    /// Workers 1 to `count`, all listening on port 80.
    pub(super) fn listening(count: u64, wishes: Wishes) -> World {
        let mut world = World::new(wishes);
        for run in 1..=count {
            world.primary.join(RunId(run), PmId(u32::try_from(run).unwrap()));
            world.says(run, &query(80, 0, 1));
        }
        world.sent.clear();
        world
    }

    pub(super) fn act(&mut self, act: impl FnOnce(&mut Primary<u32>, u64, &mut Vec<Action<u32>>)) {
        let mut out = Vec::new();
        act(&mut self.primary, self.now, &mut out);
        self.take(out);
    }

    pub(super) fn take(&mut self, out: Vec<Action<u32>>) {
        let value = |line: &[u8]| serde_json::from_slice::<Value>(line).unwrap();
        for action in out {
            match action {
                Action::Send { run, line } => self.sent.push((run, value(&line), None)),
                Action::SendListener { run, line, .. } => self.sent.push((run, value(&line), Some(0))),
                Action::Offer { run, line, connection, .. } => self.sent.push((run, value(&line), Some(connection))),
                Action::Answered { .. } => {}
                Action::Listening => self.listening += 1,
                Action::Close { key } => self.closed.push(key),
            }
        }
    }

    pub(super) fn says(&mut self, run: u64, message: &Value) {
        let raw = RawValue::from_string(message.to_string()).unwrap();
        let message = FromWorker::parse(&raw).unwrap();
        let (answer, binds) = (self.bind.clone(), &mut self.binds);
        let mut bind = |_: &Key, place: &Place, _: bool| {
            binds.push(place.clone());
            answer.clone()
        };
        let mut out = Vec::new();
        self.primary.message(RunId(run), message, self.now, &mut bind, &mut out);
        self.take(out);
    }

    pub(super) fn connect(&mut self, connection: u32) {
        self.connect_from(connection, None);
    }

    pub(super) fn connect_from(&mut self, connection: u32, peer: Option<IpAddr>) {
        self.act(|primary, now, out| primary.connection(KEY, connection, peer, now, out));
    }

    /// Whether another connection would be accepted now.
    pub(super) fn wants(&self) -> bool {
        self.primary.wants(KEY, self.now)
    }

    /// What this worker says to the oldest offer that it has not answered.
    pub(super) fn answer(&self, run: u64, accepted: bool) -> Value {
        let ack = self.primary.workers[&RunId(run)].offer_seq();
        json!({ "cmd": "NODE_CLUSTER", "ack": ack, "accepted": accepted, "seq": 9 })
    }

    pub(super) fn answers(&mut self, run: u64, accepted: bool) {
        self.says(run, &self.answer(run, accepted));
    }

    pub(super) fn gone(&mut self, run: u64) {
        self.act(|primary, now, out| primary.gone(RunId(run), now, out));
    }

    /// Who got which connection, since the last look.
    pub(super) fn offers(&mut self) -> Vec<(u64, u32)> {
        let sent = std::mem::take(&mut self.sent);
        sent.iter().filter_map(|(run, message, fd)| message.get("type").and(fd.map(|fd| (run.0, fd)))).collect()
    }

    pub(super) fn acts(&self, run: u64) -> Vec<&str> {
        self.sent.iter().filter(|(to, ..)| to.0 == run).filter_map(|(_, message, _)| message["act"].as_str()).collect()
    }
}

pub(super) const KEY: &str = "null:80:4:null";

pub(super) fn query(port: u16, index: u32, seq: u32) -> Value {
    json!({ "cmd": "NODE_CLUSTER", "act": "queryServer", "address": null, "port": port, "addressType": 4,
        "index": index, "backlog": 0, "data": null, "seq": seq })
}

pub(super) const PLAIN: Wishes = Wishes { shared: false, sticky: false };
