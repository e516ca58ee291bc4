//! What must be true after every step.

use super::world::{Life, World};
use crate::model::Status;
use crate::supervisor::{Effect, Input, Outcome, ProcessEvent, Refusal, Ticket, Verb};

impl World {
    /// A reload never lets a good worker go for one that is not ready.
    pub(super) fn check_stops(&self, input: &Input, effects: &[Effect]) {
        let taken_down = matches!(input, Input::Command { verb: Verb::Stop | Verb::Delete, .. });
        for effect in effects {
            let Effect::Stop { id, run, .. } = effect else { continue };
            let Some(view) = self.table.view(*id) else { continue };
            if taken_down || view.status != Status::Online {
                continue;
            }
            // One that is not ready in time goes instead of the old one.
            if self
                .procs
                .get(run)
                .is_some_and(|p| view.run.is_some_and(|holder| holder < *run) && p.wait_ready && !p.ready)
            {
                continue;
            }
            let new = view.run.filter(|new| new != run).and_then(|new| self.procs.get(&new));
            let new = new.unwrap_or_else(|| panic!("{id} loses its only worker: {input:?} -> {effects:?}"));
            let waited = self.now >= new.spawned_at + new.listen_timeout;
            assert!(new.known_alive() && (new.ready || waited), "{id} swaps too early: {new:?}");
        }
    }

    /// What has to say that it is ready is not online before it says so (or had its time, or died).
    pub(super) fn check_online(&self, effects: &[Effect]) {
        for effect in effects {
            let Effect::Publish { event: ProcessEvent::Online, view, .. } = effect else { continue };
            let Some(proc) = view.run.and_then(|run| self.procs.get(&run)) else { continue };
            let waited = self.now >= proc.spawned_at + proc.listen_timeout;
            let ready = !proc.wait_ready || proc.ready || waited || proc.reported;
            assert!(ready, "online too early: {proc:?}");
        }
    }

    pub(super) fn reply(&mut self, ticket: Ticket, outcome: &Outcome) {
        self.tally.replies += 1;
        let asked = self.tickets.remove(&ticket);
        let (id, verb) = asked.unwrap_or_else(|| panic!("{ticket:?} was answered twice: {outcome:?}"));
        let Outcome::Done { view, .. } = outcome else {
            assert!(!matches!(verb, Verb::Stop | Verb::Delete) || was_gone(outcome), "{verb:?}: {outcome:?}");
            return;
        };
        if matches!(verb, Verb::Stop | Verb::Delete) {
            let trouble = self.procs.values().any(|p| p.id == id && p.gives_trouble());
            let ends_well = view.status == Status::Stopped || (view.status == Status::Errored && trouble);
            let tree = self.procs.values().find(|p| p.id == id && p.tree_watched && !p.gives_trouble());
            assert!(tree.is_none(), "{verb:?} of {id} is answered before the children are gone: {tree:?}");
            assert!(ends_well, "{verb:?} of {id} ended in {view:?}");
        }
    }

    /// What must be true between any two steps.
    pub(super) fn look(&self) {
        for id in self.table.ids() {
            let slot = self.table.slot(id).unwrap();
            let view = slot.view();
            assert_eq!(view.pid.is_some(), view.run.is_some());
            if let Some(run) = view.run {
                let proc = self.procs.get(&run).unwrap_or_else(|| panic!("{id} shows {run}, which is over"));
                assert!(proc.known_alive() && Some(proc.pid) == view.pid, "{id} shows {view:?} of {proc:?}");
            }
            let asked = self.procs.values().any(|p| p.id == id && p.life == Life::Asked);
            let unasked = self.procs.iter().find(|(run, p)| {
                p.id == id && p.known_alive() && !p.asked_to_end && !p.gives_trouble() && view.run != Some(**run)
            });
            match view.status {
                Status::Online | Status::Launching | Status::Stopping => {
                    let reloading = view.status == Status::Online;
                    assert!(reloading || unasked.is_none(), "{id} forgot {unasked:?}: {slot:?}");
                    assert!(view.run.is_some() || view.status != Status::Online, "{id} is online without a process");
                }
                Status::Stopped | Status::WaitingRestart => {
                    assert!(view.run.is_none() && unasked.is_none() && !asked, "{id} is {view:?}: {unasked:?}");
                }
                Status::Errored => assert!(unasked.is_none() && !asked, "{id} is {view:?}: {unasked:?}"),
            }
            let waits = matches!(view.status, Status::Launching | Status::Stopping | Status::WaitingRestart);
            let will_wake = slot.deadline().is_some() || asked;
            assert!(!waits || will_wake, "{id} waits for nothing: {slot:?}");
            assert!(slot.deadline().is_none_or(|due| self.table.deadline().is_some_and(|first| first <= due)));
        }
    }
}

fn was_gone(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused { refusal: Refusal::UnknownId, .. })
}
