//! Transitions of a cluster reload: a new process first, then the old one goes (Q58: never a worse one for a good one).

use super::exit::{before_ready, ended};
use super::launch::not_ready;
use super::slot::{Ending, Job, JobKind, Launch, Outgoing, Phase, Process, Slot, State};
use super::turn::Turn;
use super::types::{LogLine, ProcessEvent, Refusal, Ticket, View};
use crate::model::{Exit, Status};

impl Slot {
    pub(super) fn begin_reload(&mut self, old: Process, ticket: Option<Ticket>, turn: &mut Turn<'_>) {
        let new = self.ask_spawn(turn);
        self.state = State::Reloading { old, new, ticket };
    }

    /// The new process of a reload, as it will be seen once it holds the slot.
    pub(super) fn incoming_view(&self, new: &Launch) -> View {
        View {
            status: Status::Launching,
            pid: new.pid(),
            run: new.pid().map(|_| new.run),
            started_at: Some(new.started_at),
            created_at: Some(new.started_at),
            restart_time: self.accounting.restart_time.saturating_add(1),
            unstable_restarts: 0,
            last_exit: self.last_exit,
            ended_at: self.ended_at,
            prev_restart_delay: Some(0),
        }
    }

    pub(super) fn publish_incoming(&self, turn: &mut Turn<'_>) {
        if let State::Reloading { new, .. } = &self.state {
            turn.publish(ProcessEvent::Online, self.incoming_view(new));
        }
    }

    /// The new process is ready: it takes the slot, the old one is stopped. The reload is done when that is gone.
    pub(super) fn swap(&mut self, turn: &mut Turn<'_>) {
        let State::Reloading { old, new, ticket } = &self.state else { return };
        let (old, new, ticket) = (*old, *new, *ticket);
        let Some(process) = new.process() else { return };
        if new.wait_ready {
            self.publish_incoming(turn);
        }
        let view = self.view();
        self.take_over(&new, turn);
        self.be_online(process, None, turn);
        let ending = Ending::of_process(&old, &self.policy, turn);
        self.outgoing = Some(Outgoing { ending, view, ticket });
    }

    /// `listen_timeout` has passed: taken for ready, unless the app's word is required.
    pub(super) fn reload_time_is_up(&mut self, turn: &mut Turn<'_>) {
        let State::Reloading { old, new, ticket } = &self.state else { return };
        if !new.must_be_ready(&self.policy) {
            self.swap(turn);
            return;
        }
        let (old, new, ticket) = (*old, *new, *ticket);
        let after = self.policy.listen_timeout;
        turn.log(LogLine::NotReady { id: turn.id, after });
        let view = self.incoming_view(&new);
        let ending = Ending::of_launch(&new, &self.policy, turn);
        self.outgoing = Some(Outgoing { ending, view, ticket: None });
        self.state = State::Online { process: old };
        turn.refuse(ticket, Refusal::ReloadFailed { reason: not_ready(after) });
    }

    /// The counters now speak of the new process.
    fn take_over(&mut self, new: &Launch, turn: &Turn<'_>) {
        self.accounting.restarted();
        self.accounting.forgive();
        self.started_at = Some(new.started_at);
        self.created_at = Some(turn.now.wall);
    }

    /// The old process crashed meanwhile: the new one, already on its way, is the restart.
    pub(super) fn old_died(&mut self, exit: Exit, turn: &mut Turn<'_>) {
        let State::Reloading { old, new, ticket } = &self.state else { return };
        let (old, new, ticket) = (*old, *new, *ticket);
        self.note_exit(exit, turn);
        ended(old.run, exit, turn);
        let view = View { status: Status::Stopped, pid: None, run: None, ..self.view() };
        turn.publish_outgoing_exit(view);
        self.take_over(&new, turn);
        let job = Some(Job { kind: JobKind::Reload, counts: false, ticket });
        match new.process() {
            // Its `online` was published when it was spawned.
            Some(process) if !new.wait_ready => self.be_online(process, job, turn),
            Some(_) | None => self.state = State::Launching { launch: new, job },
        }
    }

    /// The new process ended before it was ready: the old one stays.
    pub(super) fn new_died(&mut self, exit: Exit, turn: &mut Turn<'_>) {
        let State::Reloading { old, new, ticket } = &self.state else { return };
        let (old, new, ticket) = (*old, *new, *ticket);
        ended(new.run, exit, turn);
        let seen = matches!(new.phase, Phase::Starting { .. }) && !new.wait_ready;
        if seen {
            let ended_at = Some(turn.now.wall);
            let view = View { status: Status::Stopped, last_exit: Some(exit), ended_at, ..self.incoming_view(&new) };
            turn.publish_outgoing_exit(View { pid: None, run: None, ..view });
        }
        self.state = State::Online { process: old };
        turn.refuse(ticket, Refusal::ReloadFailed { reason: before_ready(exit) });
    }
}
