//! Connections that an earlier daemon had accepted, and no worker had answered for when it was killed.
//!
//! Owns: what becomes of each, so that it is served once: who was sent it may still take it, and only if it does not
//! another one gets it. Must never: offer a connection that was sent to somebody before that one has refused it or is gone.

use bytes::Bytes;

use super::handle::Waiting;
use super::primary::{Action, Number, Offer, Primary, WINDOW, offer_line};
use crate::model::RunId;

/// How long a worker may take to answer for what an earlier daemon had sent it, in milliseconds. Every answer is found
/// again, but for one that was taken together with a descriptor; a worker that is busy for longer gets the next one early.
const PATIENCE: u64 = 10_000;

/// One of them.
#[derive(Debug)]
pub(super) struct Inherited<C> {
    pub(super) connection: C,
    pub(super) peer: Option<std::net::IpAddr>,
    /// Who was sent it.
    pub(super) sent: Option<(RunId, Number)>,
}

impl<C: Clone> Primary<C> {
    /// What an earlier daemon had accepted is not known yet: until [`Primary::begin`] nothing is accepted.
    pub(super) fn wait(&mut self) {
        self.early.get_or_insert_default();
    }

    /// Takes one over. The answer is the line it was sent with, if that may still wait in the socket of the worker.
    pub(super) fn inherit(&mut self, key: &str, inherited: Inherited<C>, now: u64) -> Option<(RunId, Bytes)> {
        let Inherited { connection, peer, sent } = inherited;
        let (key, handle) = self.handles.get_key_value(key)?;
        let key = std::rc::Rc::clone(key);
        let mut waiting = Waiting { connection, peer, tried: Vec::new() };
        if let Some((run, number)) = sent {
            let seq = number.seq();
            let early = self.early.iter().flatten().find(|(from, ack, _)| *from == run && *ack == seq);
            match (early.map(|(_, _, accepted)| *accepted), self.workers.get_mut(&run)) {
                (None, Some(worker)) if worker.offers.len() < WINDOW => {
                    debug_assert!(!handle.shared, "workers accept here themselves");
                    let line = offer_line(number, &key);
                    let until = Some(now.saturating_add(PATIENCE));
                    worker.offers.push_back(Offer { seq, key, waiting, since: now, until });
                    return line.map(|line| (run, line));
                }
                // Taken; so counts what is more than a worker is ever offered before it answers: it was sent to it.
                (Some(true), _) | (None, Some(_)) => return None,
                (Some(false), _) => waiting.tried.push(run),
                // It died without an answer, and so without reading anything.
                (None, None) => {}
            }
        }
        if let Some(handle) = self.handles.get_mut(&key) {
            handle.waiting.push_back(waiting);
        }
        None
    }

    /// All that there was is taken over.
    pub(super) fn begin(&mut self, now: u64, out: &mut Vec<Action<C>>) {
        self.early = None;
        self.distribute_all(now, out);
    }
}
