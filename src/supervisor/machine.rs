//! The table of slots and the way of every input to its slot.
//!
//! Owns: which slots there are, the next numbers, what is due when, whether the daemon is being killed.
//! Must never: know what a state means; that is the slots' own matter.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::slot::{Job, JobKind, Slot};
use super::turn::Turn;
use super::types::{Effect, Input, Outcome, ProcessEvent, Refusal, Ticket, View};
use crate::model::{Now, PmId, Policy, RunId};

/// Every slot, and what is due when.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Supervisor {
    slots: BTreeMap<PmId, Entry>,
    /// The deadlines of all entries, in order.
    due: BTreeSet<(u64, PmId)>,
    next_id: u32,
    next_run: u64,
    shutting_down: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    slot: Slot,
    /// As it stands in `due`.
    due: Option<u64>,
}

impl Supervisor {
    /// An empty table. `next_run` is the first run number to give out: higher than any that was ever used in this home.
    pub fn new(next_run: u64) -> Supervisor {
        Supervisor { slots: BTreeMap::new(), due: BTreeSet::new(), next_id: 0, next_run, shutting_down: false }
    }

    /// Feeds one input and returns what has to be done because of it, in this order.
    ///
    /// What is late, repeated or about a process of the past is ignored on purpose: all of that is normal.
    pub fn on(&mut self, input: Input, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Register { id, policy, start, ticket } => {
                self.register(id, policy, start, ticket, now, &mut effects);
            }
            Input::Configure { id, policy } => {
                self.turn(id, now, &mut effects, |slot, _| slot.policy = policy);
            }
            Input::Command { id, verb, ticket } => {
                if !self.turn(id, now, &mut effects, |slot, turn| slot.command(verb, ticket, turn)) {
                    effects.extend(ticket.map(|ticket| refused(id, ticket, Refusal::UnknownId)));
                }
            }
            Input::Reset { id } => {
                self.turn(id, now, &mut effects, |slot, turn| {
                    slot.accounting.reset();
                    slot.created_at = Some(turn.now.wall);
                });
            }
            Input::Spawned { id, run, pid } => {
                if !self.turn(id, now, &mut effects, |slot, turn| slot.spawned(run, pid, turn)) {
                    // Asked for by an earlier daemon, for a slot that is gone.
                    effects.push(Effect::Kill { id, run, tree: true });
                }
            }
            Input::SpawnFailed { id, run, error } => {
                self.turn(id, now, &mut effects, |slot, turn| slot.spawn_failed(run, error, turn));
            }
            Input::Exited { id, run, exit } => {
                self.turn(id, now, &mut effects, |slot, turn| slot.exited(run, exit, turn));
            }
            Input::TreeGone { id, run } => {
                self.turn(id, now, &mut effects, |slot, turn| slot.tree_gone(run, turn));
            }
            Input::Ready { id, run } => {
                self.turn(id, now, &mut effects, |slot, turn| slot.ready(run, turn));
            }
            Input::Tick => {
                let due: Vec<PmId> = self.due.range(..=(now.mono, PmId(u32::MAX))).map(|(_, id)| *id).collect();
                for id in due {
                    self.turn(id, now, &mut effects, Slot::tick);
                }
            }
            Input::ShuttingDown => {
                self.shutting_down = true;
                self.each(now, &mut effects, Slot::shut_down);
            }
        }
        effects
    }

    /// When the next [`Input::Tick`] is due, in `mono` milliseconds. Cheap: meant to be asked after every input.
    pub fn deadline(&self) -> Option<u64> {
        self.due.first().map(|(due, _)| *due)
    }

    pub fn view(&self, id: PmId) -> Option<View> {
        self.slot(id).map(Slot::view)
    }

    /// Spawns that were asked for and not answered: id, run, and when that was (mono).
    pub fn unanswered(&self) -> impl Iterator<Item = (PmId, RunId, u64)> {
        self.slots.iter().flat_map(|(id, entry)| entry.slot.unanswered().map(|(run, since)| (*id, run, since)))
    }

    /// Every slot, lowest id first.
    pub fn ids(&self) -> impl Iterator<Item = PmId> {
        self.slots.keys().copied()
    }

    /// The id for the next slot: one more than the highest that was ever given out, 0 again when the table is empty.
    pub fn next_id(&self) -> PmId {
        PmId(if self.slots.is_empty() { 0 } else { self.next_id })
    }

    /// The run number that the next spawn will have: what the next daemon gives to [`Supervisor::new`].
    pub fn next_run(&self) -> u64 {
        self.next_run
    }

    /// The slot as it goes into the journal.
    pub fn slot(&self, id: PmId) -> Option<&Slot> {
        self.slots.get(&id).map(|entry| &entry.slot)
    }

    /// Puts back a slot from the journal.
    pub fn restore(&mut self, id: PmId, slot: Slot) {
        if let Some(RunId(run)) = slot.highest_run() {
            self.next_run = self.next_run.max(run.saturating_add(1));
        }
        self.insert(id, slot);
        self.reschedule(id);
    }

    /// After the last [`Supervisor::restore`] and the `Spawned` and `Exited` inputs for all that the keeper reported:
    /// goes on with what the earlier daemon left half done. `alive` names the pid of a run that lives.
    pub fn after_restore(&mut self, now: Now, alive: &dyn Fn(RunId) -> Option<i32>) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.each(now, &mut effects, |slot, turn| slot.resume(alive, turn));
        effects
    }

    fn register(
        &mut self,
        id: PmId,
        policy: Policy,
        start: bool,
        ticket: Option<Ticket>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        if self.slots.contains_key(&id) {
            effects.extend(ticket.map(|ticket| refused(id, ticket, Refusal::AlreadyOnline)));
            return;
        }
        if self.shutting_down {
            effects.extend(ticket.map(|ticket| refused(id, ticket, Refusal::ShuttingDown)));
            effects.push(Effect::Remove { id });
            return;
        }
        self.insert(id, Slot::new(policy));
        self.turn(id, now, effects, |slot, turn| {
            if start {
                slot.launch(Some(Job { kind: JobKind::Register, counts: false, ticket }), turn);
            } else {
                turn.publish(ProcessEvent::Start, slot.view());
                turn.done(ticket, &slot.view());
            }
        });
    }

    fn insert(&mut self, id: PmId, slot: Slot) {
        self.next_id = self.next_id().0.max(id.0.saturating_add(1));
        self.slots.insert(id, Entry { slot, due: None });
    }

    /// One turn of one slot. Returns whether there is such a slot.
    fn turn(
        &mut self,
        id: PmId,
        now: Now,
        effects: &mut Vec<Effect>,
        act: impl FnOnce(&mut Slot, &mut Turn<'_>),
    ) -> bool {
        let Some(entry) = self.slots.get_mut(&id) else { return false };
        let (next_run, shutting_down) = (&mut self.next_run, self.shutting_down);
        let mut turn = Turn { id, now, shutting_down, next_run, effects, removed: false };
        act(&mut entry.slot, &mut turn);
        entry.slot.work_off_queue(&mut turn);
        if turn.removed {
            if let Some(due) = entry.due {
                self.due.remove(&(due, id));
            }
            self.slots.remove(&id);
        } else {
            self.reschedule(id);
        }
        true
    }

    fn each(&mut self, now: Now, effects: &mut Vec<Effect>, act: impl Fn(&mut Slot, &mut Turn<'_>)) {
        let ids: Vec<PmId> = self.ids().collect();
        for id in ids {
            self.turn(id, now, effects, &act);
        }
    }

    fn reschedule(&mut self, id: PmId) {
        let Some(entry) = self.slots.get_mut(&id) else { return };
        let due = entry.slot.deadline();
        if due == entry.due {
            return;
        }
        if let Some(earlier) = entry.due {
            self.due.remove(&(earlier, id));
        }
        self.due.extend(due.map(|due| (due, id)));
        entry.due = due;
    }
}

fn refused(id: PmId, ticket: Ticket, refusal: Refusal) -> Effect {
    Effect::Reply { ticket, outcome: Outcome::Refused { id, refusal } }
}
