//! One listening place of an app: who serves it, and the connections that wait for a worker.
//!
//! Owns: the key, the choice of a worker, the back-off when all refuse.
//! Must never: know a descriptor as such: a connection is a `C`.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::path::PathBuf;
use std::rc::Rc;

use serde_json::value::RawValue;

use crate::model::{PmId, RunId};
use crate::sys::listen::{Host, Place};
use crate::wire::cluster::{AddressType, Listen, Seq, SocketName};

/// First and longest wait before a connection is offered again that every worker has refused, in milliseconds.
const BACK_OFF: (u64, u64) = (10, 250);

/// Identifies a listening place within an app; opaque to workers.
pub(super) type Key = Rc<str>;

/// An accepted connection that no worker has taken yet.
#[derive(Debug)]
pub(super) struct Waiting<C> {
    pub(super) connection: C,
    pub(super) peer: Option<IpAddr>,
    /// Workers that refused it.
    pub(super) tried: Vec<RunId>,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) run: RunId,
    /// `seq` of the question: the same question again gets the same answer.
    pub(super) ack: Option<Seq>,
    /// When it got its last connection, in turns.
    pub(super) turn: u64,
}

#[derive(Debug)]
pub(super) struct Handle<C> {
    /// The workers accept themselves.
    pub(super) shared: bool,
    pub(super) udp: bool,
    /// TLS ticket keys and the like, from the first worker.
    pub(super) data: Option<Box<RawValue>>,
    pub(super) sockname: Option<SocketName>,
    /// To be removed at the end.
    pub(super) path: Option<PathBuf>,
    pub(super) members: Vec<Member>,
    pub(super) waiting: VecDeque<Waiting<C>>,
    turns: u64,
    delay: u64,
    /// All have refused: nothing is offered before this (mono).
    pub(super) blocked_until: Option<u64>,
}

/// What is known of a member when a worker is chosen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) run: RunId,
    pub(super) id: PmId,
    /// How many connections it has not answered for; `None`: it can be offered no more now.
    pub(super) owes: Option<usize>,
}

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Offer(RunId),
    /// Somebody may take it who is busy now.
    Later,
    /// Everybody has refused it.
    AllRefused,
}

impl<C> Handle<C> {
    pub(super) fn new(shared: bool, udp: bool, sockname: Option<SocketName>, path: Option<PathBuf>) -> Handle<C> {
        Handle {
            shared,
            udp,
            data: None,
            sockname,
            path,
            members: Vec::new(),
            waiting: VecDeque::new(),
            turns: 0,
            delay: 0,
            blocked_until: None,
        }
    }

    pub(super) fn member(&self, run: RunId) -> Option<&Member> {
        self.members.iter().find(|member| member.run == run)
    }

    pub(super) fn add(&mut self, run: RunId, ack: Option<Seq>) {
        self.members.push(Member { run, ack, turn: 0 });
    }

    /// Whether it was a member.
    pub(super) fn remove(&mut self, run: RunId) -> bool {
        let before = self.members.len();
        self.members.retain(|member| member.run != run);
        self.members.len() != before
    }

    /// Of those who owe least whoever has waited longest; with `sticky` whom the address of the client names, as long as there is that instance.
    pub(super) fn choose(&self, waiting: &Waiting<C>, candidates: &[Candidate], sticky: bool) -> Choice {
        let untried = || candidates.iter().filter(|candidate| !waiting.tried.contains(&candidate.run));
        let chosen = match waiting.peer.filter(|_| sticky) {
            Some(peer) => untried().max_by_key(|candidate| (weight(peer, candidate.id), candidate.run)),
            None => untried()
                .filter_map(|candidate| Some((candidate.owes?, candidate)))
                .min_by_key(|(owes, candidate)| (*owes, self.turn_of(candidate.run)))
                .map(|(_, candidate)| candidate),
        };
        match chosen {
            Some(candidate) if candidate.owes.is_some() => Choice::Offer(candidate.run),
            Some(_) => Choice::Later,
            None if untried().next().is_some() || candidates.is_empty() => Choice::Later,
            None => Choice::AllRefused,
        }
    }

    fn turn_of(&self, run: RunId) -> u64 {
        self.member(run).map_or(0, |member| member.turn)
    }

    /// This worker had its turn.
    pub(super) fn took_turn(&mut self, run: RunId) {
        self.turns += 1;
        let turn = self.turns;
        if let Some(member) = self.members.iter_mut().find(|member| member.run == run) {
            member.turn = turn;
        }
    }

    pub(super) fn block(&mut self, now: u64) {
        self.delay = (self.delay * 2).clamp(BACK_OFF.0, BACK_OFF.1);
        self.blocked_until = Some(now.saturating_add(self.delay));
    }

    /// Everybody may be asked again.
    pub(super) fn unblock(&mut self) {
        self.blocked_until = None;
        for waiting in &mut self.waiting {
            waiting.tried.clear();
        }
    }

    /// Somebody takes connections: the next back-off is short again.
    pub(super) fn accepted(&mut self) {
        self.delay = 0;
        if self.blocked_until.is_some() {
            self.unblock();
        }
    }
}

/// Each client address ranks the instances in an order of its own, so that one more or less moves few clients.
fn weight(peer: IpAddr, id: PmId) -> u64 {
    let mut hasher = DefaultHasher::new();
    (peer, id.0).hash(&mut hasher);
    hasher.finish()
}

/// The key of a question. As in newer versions of Node the index counts only where the port is chosen by the kernel.
pub(super) fn key_of(listen: &Listen) -> Key {
    let or_null = |number: Option<i64>| number.map_or_else(|| "null".to_owned(), |number| number.to_string());
    let kind = match &listen.address_type {
        AddressType::Tcp4 => "4",
        AddressType::Tcp6 => "6",
        AddressType::Unix => "-1",
        AddressType::Udp4 => "udp4",
        AddressType::Udp6 => "udp6",
        AddressType::None => "null",
        AddressType::Other(_) => "other",
    };
    let address = listen.address.as_deref().unwrap_or("null");
    let mut key = format!("{address}:{}:{kind}:{}", or_null(listen.port), or_null(listen.fd));
    if listen.port.unwrap_or(0) == 0 {
        key.push(':');
        key.push_str(&or_null(listen.index));
    }
    key.into()
}

/// What a question asks for; an error is an errno (contract/node-ipc-and-cluster.md section 3).
pub(super) fn place_of(listen: &Listen) -> Result<Place, i32> {
    const EINVAL: i32 = 22;
    if listen.fd.is_some_and(|fd| fd >= 0) {
        // A number that means something in the worker, or would in a Node primary: not here.
        return Err(-EINVAL);
    }
    let flags = listen.flags.unwrap_or(0);
    let backlog = listen.backlog.unwrap_or(0);
    let ipv6_only = flags & 1 != 0;
    let port = || u16::try_from(listen.port.unwrap_or(0)).map_err(|_| -EINVAL);
    let host = || match listen.address.as_deref().filter(|address| !address.is_empty()) {
        Some(address) => Host::parse(address).map(Some).ok_or(-EINVAL),
        None => Ok(None),
    };
    match listen.address_type {
        AddressType::Tcp4 => Ok(Place::Tcp { address: host()?, port: port()?, ipv6_only, backlog }),
        AddressType::Tcp6 => {
            Ok(Place::Tcp { address: Some(host()?.unwrap_or(Host::any(true))), port: port()?, ipv6_only, backlog })
        }
        AddressType::Udp4 | AddressType::Udp6 => {
            let any = Host::any(listen.address_type == AddressType::Udp6);
            Ok(Place::Udp { address: host()?.unwrap_or(any), port: port()?, ipv6_only, reuse: flags & 4 != 0 })
        }
        AddressType::Unix => Ok(Place::Unix {
            path: listen.address.as_deref().filter(|path| path.starts_with('/')).ok_or(-EINVAL)?.into(),
            readable_all: listen.readable_all == Some(true),
            writable_all: listen.writable_all == Some(true),
            backlog,
        }),
        AddressType::None | AddressType::Other(_) => Err(-EINVAL),
    }
}
