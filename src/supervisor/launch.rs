//! Transitions on the way up: spawn, ready, online, and spawns that fail.

use super::accounting::{End, Verdict};
use super::slot::{EndPhase, Ending, Job, JobKind, Launch, Phase, Process, Slot, State, Then};
use super::turn::Turn;
use super::types::{Effect, LogLine, ProcessEvent, Refusal};
use crate::model::{Policy, RunId};

impl Slot {
    /// Launches from a state without a process.
    pub(super) fn launch(&mut self, job: Option<Job>, turn: &mut Turn<'_>) {
        let launch = self.ask_spawn(turn);
        self.started_at = Some(launch.started_at);
        self.created_at.get_or_insert(turn.now.wall);
        self.state = State::Launching { launch, job };
    }

    /// An automatic restart is due.
    pub(super) fn relaunch(&mut self, turn: &mut Turn<'_>) {
        self.accounting.restarted();
        self.launch(None, turn);
    }

    pub(super) fn ask_spawn(&self, turn: &mut Turn<'_>) -> Launch {
        let (id, run) = (turn.id, turn.new_run());
        turn.log(LogLine::Starting { id });
        turn.want(Effect::Spawn { id, run });
        let (since, started_at) = (turn.now.mono, turn.now.wall);
        let Policy { cluster, wait_ready, .. } = self.policy;
        Launch { run, since, started_at, cluster, wait_ready, phase: Phase::Spawning, asked_by_us: true }
    }

    pub(super) fn spawned(&mut self, run: RunId, pid: i32, turn: &mut Turn<'_>) {
        let ready_by = turn.now.mono.saturating_add(self.policy.listen_timeout);
        match &mut self.state {
            State::Launching { launch, .. } if launch.run == run => {
                if launch.phase == Phase::Spawning {
                    launch.phase = Phase::Starting { pid, ready_by };
                    if !launch.wait_ready {
                        self.come_online(turn);
                    }
                }
            }
            State::Reloading { new, .. } if new.run == run => {
                if new.phase == Phase::Spawning {
                    new.phase = Phase::Starting { pid, ready_by };
                    if !new.wait_ready {
                        self.publish_incoming(turn);
                    }
                }
            }
            State::Stopping { ending, .. } if ending.run == run => {
                if ending.phase == EndPhase::AwaitSpawn {
                    ending.pid = Some(pid);
                    ending.ask(&self.policy, turn);
                }
            }
            State::Online { process: known }
            | State::Reloading { old: known, .. }
            | State::Errored { leftover: Some(known) }
                if known.run == run => {}
            State::Stopped
            | State::Launching { .. }
            | State::Online { .. }
            | State::Reloading { .. }
            | State::Stopping { .. }
            | State::Waiting { .. }
            | State::Errored { .. } => self.spawned_beside(run, pid, turn),
        }
    }

    /// It is not the process that holds the slot: the second one of a reload, or one that nobody wants.
    fn spawned_beside(&mut self, run: RunId, pid: i32, turn: &mut Turn<'_>) {
        match &mut self.outgoing {
            Some(outgoing) if outgoing.ending.run == run => {
                if outgoing.ending.phase == EndPhase::AwaitSpawn {
                    outgoing.ending.pid = Some(pid);
                    outgoing.view.pid = Some(pid);
                    outgoing.view.run = Some(run);
                    outgoing.ending.ask(&self.policy, turn);
                }
            }
            // Asked for by an earlier daemon that died before it could write so down.
            Some(_) | None => turn.want(Effect::Kill { id: turn.id, run, tree: true }),
        }
    }

    pub(super) fn ready(&mut self, run: RunId, turn: &mut Turn<'_>) {
        match &self.state {
            State::Launching { launch, .. } if launch.run == run && launch.pid().is_some() => self.come_online(turn),
            State::Reloading { new, .. } if new.run == run && new.pid().is_some() => self.swap(turn),
            State::Stopped
            | State::Launching { .. }
            | State::Online { .. }
            | State::Reloading { .. }
            | State::Stopping { .. }
            | State::Waiting { .. }
            | State::Errored { .. } => {}
        }
    }

    /// `listen_timeout` has passed. pm2 takes that for ready; `ready_timeout: "error"` does not.
    pub(super) fn time_is_up(&mut self, turn: &mut Turn<'_>) {
        let State::Launching { launch, job } = &self.state else { return };
        if !launch.must_be_ready(&self.policy) {
            self.come_online(turn);
            return;
        }
        let (launch, job) = (*launch, *job);
        turn.log(LogLine::NotReady { id: turn.id, after: self.policy.listen_timeout });
        let ending = Ending::of_launch(&launch, &self.policy, turn);
        self.state = State::Stopping { ending, then: Then::Fail(job), waiters: Vec::new() };
    }

    pub(super) fn come_online(&mut self, turn: &mut Turn<'_>) {
        let State::Launching { launch, job } = &self.state else { return };
        let (Some(process), job) = (launch.process(), *job) else { return };
        turn.publish(ProcessEvent::Online, self.view());
        self.be_online(process, job, turn);
    }

    /// Online without saying so on the bus again.
    pub(super) fn be_online(&mut self, process: Process, job: Option<Job>, turn: &mut Turn<'_>) {
        self.state = State::Online { process };
        turn.log(LogLine::Online { id: turn.id });
        if let Some(job) = job {
            if job.kind == JobKind::Register {
                turn.publish(ProcessEvent::Start, self.view());
            }
            turn.done(job.ticket, &self.view());
        }
    }

    pub(super) fn spawn_failed(&mut self, run: RunId, error: String, turn: &mut Turn<'_>) {
        match &mut self.state {
            State::Launching { launch, job } if launch.run == run && launch.phase == Phase::Spawning => {
                let (since, job) = (launch.since, *job);
                turn.log(LogLine::SpawnFailed { id: turn.id, error: error.clone() });
                self.launch_failed(since, job, error, turn);
            }
            State::Reloading { old, new, ticket } if new.run == run && new.phase == Phase::Spawning => {
                let (process, ticket) = (*old, *ticket);
                turn.log(LogLine::SpawnFailed { id: turn.id, error: error.clone() });
                self.state = State::Online { process };
                turn.refuse(ticket, Refusal::ReloadFailed { reason: error });
            }
            State::Stopping { ending, .. } if ending.run == run && ending.phase == EndPhase::AwaitSpawn => {
                ending.never_was();
                self.conclude(turn);
            }
            State::Stopped
            | State::Launching { .. }
            | State::Online { .. }
            | State::Reloading { .. }
            | State::Stopping { .. }
            | State::Waiting { .. }
            | State::Errored { .. } => {
                if let Some(outgoing) = &mut self.outgoing
                    && outgoing.ending.run == run
                    && outgoing.ending.phase == EndPhase::AwaitSpawn
                {
                    outgoing.ending.never_was();
                    self.conclude(turn);
                }
            }
        }
    }

    /// A command hears of it and the slot is errored (Q15); an automatic restart follows the policy.
    pub(super) fn launch_failed(&mut self, since: u64, job: Option<Job>, error: String, turn: &mut Turn<'_>) {
        match job {
            Some(Job { kind: JobKind::Register | JobKind::Command, ticket, .. }) => {
                self.state = State::Errored { leftover: None };
                turn.refuse(ticket, Refusal::SpawnFailed { error });
                return;
            }
            Some(Job { kind: JobKind::Reload, ticket, .. }) => {
                turn.refuse(ticket, Refusal::ReloadFailed { reason: error });
            }
            None => {}
        }
        let verdict = self.verdict(since, End::NotSpawned, turn);
        // No process ended, so there is no `exit` to tell of.
        self.state = State::Stopped;
        match verdict {
            Verdict::StayDown => {}
            Verdict::GiveUp { count } => self.give_up(count, turn),
            Verdict::Restart { delay } => self.restart_after(delay, turn),
        }
    }
}

/// The words for a process that was not ready in time.
pub(super) fn not_ready(after: u64) -> String {
    format!("the process was not ready within {after}ms (listen_timeout) and ready_timeout is \"error\"")
}
