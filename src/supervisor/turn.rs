//! One turn of one slot: the moment, and the effects it causes.
//!
//! Owns: the list of effects under construction and the giving out of run numbers.

use super::types::{Effect, LogLine, Outcome, ProcessEvent, Refusal, Ticket, View};
use crate::model::{Now, PmId, RunId};

#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) id: PmId,
    pub(super) now: Now,
    pub(super) shutting_down: bool,
    pub(super) next_run: &'a mut u64,
    pub(super) effects: &'a mut Vec<Effect>,
    /// The slot leaves the table at the end of this turn.
    pub(super) removed: bool,
}

impl Turn<'_> {
    pub(super) fn new_run(&mut self) -> RunId {
        let run = RunId(*self.next_run);
        *self.next_run = self.next_run.saturating_add(1);
        run
    }

    pub(super) fn want(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(super) fn log(&mut self, text: LogLine) {
        self.want(Effect::Log { text });
    }

    /// An event about the process that holds the slot.
    pub(super) fn publish(&mut self, event: ProcessEvent, view: View) {
        let manually = matches!(event, ProcessEvent::Start | ProcessEvent::Delete);
        self.want(Effect::Publish { id: self.id, event, manually, outgoing: false, view });
    }

    /// An `exit` of the process that a reload lets go.
    pub(super) fn publish_outgoing_exit(&mut self, view: View) {
        let event = ProcessEvent::Exit;
        self.want(Effect::Publish { id: self.id, event, manually: false, outgoing: true, view });
    }

    pub(super) fn done(&mut self, ticket: impl IntoIterator<Item = Ticket>, view: &View) {
        for ticket in ticket {
            let outcome = Outcome::Done { id: self.id, view: view.clone() };
            self.want(Effect::Reply { ticket, outcome });
        }
    }

    pub(super) fn refuse(&mut self, ticket: Option<Ticket>, refusal: Refusal) {
        if let Some(ticket) = ticket {
            let outcome = Outcome::Refused { id: self.id, refusal };
            self.want(Effect::Reply { ticket, outcome });
        }
    }
}
