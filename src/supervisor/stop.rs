//! Transitions on the way down: signal, SIGKILL, giving up, and what follows.

use super::launch::not_ready;
use super::slot::{EndPhase, Ending, Job, JobKind, Launch, Outgoing, Process, Slot, State, Then};
use super::turn::Turn;
use super::types::{Effect, LogLine, ProcessEvent, Refusal, StopHow, Ticket, Verb};
use crate::model::{Policy, RunId, Status};

/// SIGKILL takes a moment even for a willing process: with a tiny `kill_timeout` it gets so many milliseconds all the
/// same before it is called unkillable.
const LEAST_KILL_WAIT: u64 = 500;

impl Ending {
    /// Begins to end a process that is up.
    pub(super) fn of_process(process: &Process, policy: &Policy, turn: &mut Turn<'_>) -> Ending {
        let mut ending = Ending::awaiting(process.run, process.since, process.cluster, policy);
        ending.pid = Some(process.pid);
        ending.ask(policy, turn);
        ending
    }

    /// Begins to end a process on its way up; it cannot be signalled before it exists.
    pub(super) fn of_launch(launch: &Launch, policy: &Policy, turn: &mut Turn<'_>) -> Ending {
        if let Some(process) = launch.process() {
            return Ending::of_process(&process, policy, turn);
        }
        let awaiting = Ending::awaiting(launch.run, launch.since, launch.cluster, policy);
        Ending { by_us: launch.asked_by_us, ..awaiting }
    }

    fn awaiting(run: RunId, since: u64, cluster: bool, policy: &Policy) -> Ending {
        Ending {
            run,
            since,
            cluster,
            pid: None,
            tree: policy.treekill,
            phase: EndPhase::AwaitSpawn,
            exited: false,
            tree_gone: false,
            by_us: false,
        }
    }

    pub(super) fn ask(&mut self, policy: &Policy, turn: &mut Turn<'_>) {
        turn.log(LogLine::Stopping { id: turn.id });
        self.phase = EndPhase::Asked { kill_at: turn.now.mono.saturating_add(policy.kill_timeout) };
        self.signal(policy, turn);
    }

    /// Sends what this phase says.
    pub(super) fn signal(&mut self, policy: &Policy, turn: &mut Turn<'_>) {
        self.by_us = true;
        let (id, run, tree) = (turn.id, self.run, self.tree);
        let by_message = policy.shutdown_with_message;
        match self.phase {
            EndPhase::Asked { .. } => {
                let how = if by_message { StopHow::Message } else { StopHow::Signal(policy.stop_signal) };
                turn.want(Effect::Stop { id, run, how, tree });
            }
            EndPhase::Killed { .. } => turn.want(Effect::Kill { id, run, tree }),
            EndPhase::AwaitSpawn | EndPhase::GivenUp => {}
        }
    }

    /// The process itself has ended.
    pub(super) fn end(&mut self) {
        self.exited = true;
        if self.phase == EndPhase::AwaitSpawn {
            // Its end is the first we hear of it; nobody was signalled, so no tree is watched.
            self.tree_gone = true;
        }
    }

    /// The spawn failed: there is nothing to end.
    pub(super) fn never_was(&mut self) {
        (self.exited, self.tree_gone) = (true, true);
    }

    pub(super) fn tick(&mut self, policy: &Policy, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        match self.phase {
            EndPhase::Asked { kill_at } if now >= kill_at => {
                let pid = self.pid.unwrap_or_default();
                turn.log(LogLine::StillAlive { id: turn.id, pid, after: policy.kill_timeout });
                let give_up_at = now.saturating_add(policy.kill_timeout.max(LEAST_KILL_WAIT));
                self.phase = EndPhase::Killed { give_up_at };
                self.signal(policy, turn);
            }
            EndPhase::Killed { give_up_at } if now >= give_up_at => self.phase = EndPhase::GivenUp,
            EndPhase::AwaitSpawn | EndPhase::Asked { .. } | EndPhase::Killed { .. } | EndPhase::GivenUp => {}
        }
    }
}

impl Slot {
    /// Stop or delete: overtakes everything that waits.
    pub(super) fn take_down(&mut self, verb: Verb, ticket: Option<Ticket>, turn: &mut Turn<'_>) {
        self.supersede(verb, turn);
        let then = if verb == Verb::Delete { Then::Remove } else { Then::Stay };
        let waiters = ticket.into_iter().collect();
        match &mut self.state {
            State::Stopped | State::Waiting { .. } | State::Errored { leftover: None } => match self.outgoing.take() {
                Some(Outgoing { ending, .. }) => self.state = State::Stopping { ending, then, waiters },
                None => self.finish_stop(then, waiters, turn),
            },
            State::Online { process } | State::Errored { leftover: Some(process) } => {
                let ending = Ending::of_process(process, &self.policy, turn);
                self.state = State::Stopping { ending, then, waiters };
            }
            State::Launching { launch, .. } => {
                let ending = Ending::of_launch(launch, &self.policy, turn);
                self.state = State::Stopping { ending, then, waiters };
            }
            State::Reloading { old, new, .. } => {
                let (old, new) = (*old, *new);
                let view = self.incoming_view(&new);
                let ending = Ending::of_launch(&new, &self.policy, turn);
                self.outgoing = Some(Outgoing { ending, view, ticket: None });
                let ending = Ending::of_process(&old, &self.policy, turn);
                self.state = State::Stopping { ending, then, waiters };
            }
            State::Stopping { then: planned, waiters: waiting, .. } => {
                waiting.extend(waiters);
                if !matches!(planned, Then::Remove) {
                    *planned = then;
                }
            }
        }
    }

    /// Answers every command that a stop or delete overtakes.
    fn supersede(&mut self, by: Verb, turn: &mut Turn<'_>) {
        let in_work = match &mut self.state {
            State::Launching { job, .. } => job.as_mut().and_then(|job| job.ticket.take()),
            State::Reloading { ticket, .. } => ticket.take(),
            State::Stopping { then: Then::Launch(job) | Then::Fail(Some(job)), .. } => job.ticket.take(),
            State::Stopped
            | State::Online { .. }
            | State::Stopping { then: Then::Stay | Then::Remove | Then::Fail(None), .. }
            | State::Waiting { .. }
            | State::Errored { .. } => None,
        };
        turn.refuse(in_work, Refusal::Superseded { by });
        let reload = self.outgoing.as_mut().and_then(|outgoing| outgoing.ticket.take());
        turn.refuse(reload, Refusal::Superseded { by });
        for queued in self.queue.drain(..) {
            turn.refuse(queued.ticket, Refusal::Superseded { by });
        }
    }

    /// Stops what runs in order to launch again.
    pub(super) fn stop_then_launch(&mut self, ending: Ending, job: Job) {
        self.state = State::Stopping { ending, then: Then::Launch(job), waiters: Vec::new() };
    }

    pub(super) fn tree_gone(&mut self, run: RunId, turn: &mut Turn<'_>) {
        if let State::Stopping { ending, .. } = &mut self.state
            && ending.run == run
        {
            ending.tree_gone = true;
        } else if let Some(outgoing) = &mut self.outgoing
            && outgoing.ending.run == run
        {
            outgoing.ending.tree_gone = true;
        }
        self.conclude(turn);
    }

    /// Goes on once whatever is on its way out is out: first the second process of a reload, then the slot's own.
    pub(super) fn conclude(&mut self, turn: &mut Turn<'_>) {
        if let Some(outgoing) = self.outgoing.take_if(|outgoing| outgoing.ending.is_over()) {
            self.outgoing_gone(outgoing, turn);
        }
        if self.outgoing.is_some() {
            return;
        }
        let State::Stopping { ending, then, waiters } = &mut self.state else { return };
        if !ending.is_over() {
            return;
        }
        let (ending, then, waiters) = (*ending, *then, std::mem::take(waiters));
        if ending.phase == EndPhase::GivenUp && !(ending.exited && ending.tree_gone) {
            self.survived(&ending, then, waiters, turn);
            return;
        }
        self.state = match then {
            Then::Fail(Some(Job { kind: JobKind::Register | JobKind::Command, .. })) => {
                State::Errored { leftover: None }
            }
            _ => State::Stopped,
        };
        if ending.pid.is_some() {
            turn.publish(ProcessEvent::Exit, self.view());
        }
        match then {
            Then::Fail(job) => self.launch_failed(ending.since, job, not_ready(self.policy.listen_timeout), turn),
            _ => self.finish_stop(then, waiters, turn),
        }
    }

    fn outgoing_gone(&mut self, mut outgoing: Outgoing, turn: &mut Turn<'_>) {
        let survived = !(outgoing.ending.exited && outgoing.ending.tree_gone);
        outgoing.view.status = if survived { Status::Errored } else { Status::Stopped };
        if outgoing.ending.pid.is_some() {
            turn.publish_outgoing_exit(outgoing.view);
        }
        turn.done(outgoing.ticket, &self.view());
    }

    fn finish_stop(&mut self, then: Then, waiters: Vec<Ticket>, turn: &mut Turn<'_>) {
        self.state = State::Stopped;
        match then {
            // A failed start has no successor here (see `conclude`).
            Then::Stay | Then::Fail(_) => turn.done(waiters, &self.view()),
            Then::Remove => self.remove(waiters, turn),
            Then::Launch(job) => {
                if job.counts {
                    self.accounting.restarted();
                }
                self.launch(Some(job), turn);
            }
        }
    }

    /// Not even SIGKILL helped. pm2 says `errored` and answers success; only what needs the place cannot be done.
    fn survived(&mut self, ending: &Ending, then: Then, waiters: Vec<Ticket>, turn: &mut Turn<'_>) {
        self.state = State::Errored { leftover: ending.survivor() };
        turn.publish(ProcessEvent::Exit, self.view());
        match then {
            Then::Stay => turn.done(waiters, &self.view()),
            Then::Remove => self.remove(waiters, turn),
            Then::Fail(None) => {}
            Then::Launch(job) | Then::Fail(Some(job)) => {
                let pid = ending.pid.unwrap_or_default();
                let error = format!("process {pid} or one of its children is still alive after SIGKILL; end it first");
                turn.refuse(job.ticket, Refusal::SpawnFailed { error });
            }
        }
    }

    fn remove(&mut self, waiters: Vec<Ticket>, turn: &mut Turn<'_>) {
        let view = self.view();
        turn.publish(ProcessEvent::Delete, view.clone());
        turn.done(waiters, &view);
        turn.want(Effect::Remove { id: turn.id });
        turn.removed = true;
    }
}
