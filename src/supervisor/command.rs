//! Commands: which one acts at once, which one waits, which one is refused.
//!
//! Invariant: on one slot commands act in the order in which they came, one at a time; only a stop or delete overtakes.

use super::slot::{Ending, Job, JobKind, Queued, Slot, State, Then};
use super::turn::Turn;
use super::types::{Refusal, Ticket, Verb};

impl Slot {
    pub(super) fn command(&mut self, verb: Verb, ticket: Option<Ticket>, turn: &mut Turn<'_>) {
        if matches!(verb, Verb::Stop | Verb::Delete) {
            self.take_down(verb, ticket, turn);
        } else if let Some(refusal) = self.refusal(verb, turn) {
            turn.refuse(ticket, refusal);
        } else if self.is_busy() || !self.queue.is_empty() {
            // Cron or a watcher that asks again while its last request still waits asks for the same restart.
            let again = ticket.is_none() && self.queue.back().is_some_and(|q| q.ticket.is_none() && q.verb == verb);
            if !again {
                self.queue.push_back(Queued { verb, ticket });
            }
        } else {
            self.execute(verb, ticket, turn);
        }
    }

    /// Lets commands act that waited, as long as the slot is at rest.
    pub(super) fn work_off_queue(&mut self, turn: &mut Turn<'_>) {
        while !turn.removed && !self.is_busy() {
            let Some(Queued { verb, ticket }) = self.queue.pop_front() else { return };
            match self.refusal(verb, turn) {
                Some(refusal) => turn.refuse(ticket, refusal),
                None => self.execute(verb, ticket, turn),
            }
        }
    }

    /// What can never be done, however long it waits.
    fn refusal(&self, verb: Verb, turn: &Turn<'_>) -> Option<Refusal> {
        if turn.shutting_down {
            return Some(Refusal::ShuttingDown);
        }
        match (&self.state, verb) {
            (State::Stopping { then: Then::Remove, .. }, _) => Some(Refusal::Superseded { by: Verb::Delete }),
            (State::Online { .. } | State::Launching { .. } | State::Reloading { .. }, Verb::Start)
                if self.queue.is_empty() =>
            {
                Some(Refusal::AlreadyOnline)
            }
            (State::Reloading { .. }, Verb::Reload) => Some(Refusal::ReloadInProgress),
            (_, Verb::Reload) if self.outgoing.is_some() => Some(Refusal::ReloadInProgress),
            _ => None,
        }
    }

    /// An earlier command is still at work. An automatic launch is none: whoever restarts does not want to wait for it.
    fn is_busy(&self) -> bool {
        self.outgoing.is_some()
            || match &self.state {
                State::Stopped | State::Online { .. } | State::Waiting { .. } | State::Errored { .. } => false,
                State::Launching { job, .. } => job.is_some(),
                State::Reloading { .. } | State::Stopping { .. } => true,
            }
    }

    /// Start, restart or reload of a slot that is not busy.
    fn execute(&mut self, verb: Verb, ticket: Option<Ticket>, turn: &mut Turn<'_>) {
        let job = |counts| Job { kind: JobKind::Command, counts, ticket };
        match &self.state {
            State::Online { .. } | State::Launching { .. } if verb == Verb::Start => {
                turn.refuse(ticket, Refusal::AlreadyOnline);
            }
            State::Online { process } if verb == Verb::Reload && process.cluster && self.policy.cluster => {
                let process = *process;
                self.begin_reload(process, ticket, turn);
            }
            State::Online { process } => {
                let process = *process;
                self.forgive(turn);
                let ending = Ending::of_process(&process, &self.policy, turn);
                self.stop_then_launch(ending, job(true));
            }
            State::Launching { launch, .. } => {
                let launch = *launch;
                self.forgive(turn);
                let ending = Ending::of_launch(&launch, &self.policy, turn);
                self.stop_then_launch(ending, job(true));
            }
            State::Errored { leftover: Some(process) } => {
                let process = *process;
                self.forgive(turn);
                let ending = Ending::of_process(&process, &self.policy, turn);
                self.stop_then_launch(ending, job(false));
            }
            State::Waiting { .. } => {
                // The restart that was due is brought forward.
                self.forgive(turn);
                self.accounting.restarted();
                self.launch(Some(job(true)), turn);
            }
            State::Stopped | State::Errored { leftover: None } => {
                self.forgive(turn);
                self.launch(Some(job(false)), turn);
            }
            State::Reloading { .. } | State::Stopping { .. } => self.queue.push_back(Queued { verb, ticket }),
        }
    }

    /// A client's wish wipes the slate: earlier crashes do not count against it.
    fn forgive(&mut self, turn: &Turn<'_>) {
        self.accounting.forgive();
        self.created_at = Some(turn.now.wall);
    }

    /// From now on nothing is launched any more; what is up stays up until it is stopped or deleted.
    pub(super) fn shut_down(&mut self, turn: &mut Turn<'_>) {
        match &mut self.state {
            State::Waiting { .. } => self.state = State::Stopped,
            State::Stopping { then, .. } => {
                if let Then::Launch(job) = *then {
                    *then = Then::Stay;
                    turn.refuse(job.ticket, Refusal::ShuttingDown);
                }
            }
            State::Stopped
            | State::Launching { .. }
            | State::Online { .. }
            | State::Reloading { .. }
            | State::Errored { .. } => {}
        }
        for queued in self.queue.drain(..) {
            turn.refuse(queued.ticket, Refusal::ShuttingDown);
        }
    }
}
