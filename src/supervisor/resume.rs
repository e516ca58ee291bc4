//! What a new daemon does about a slot that an earlier one left in the middle of something.

use super::slot::{EndPhase, Ending, Phase, Slot, State};
use super::turn::Turn;
use super::types::Effect;
use crate::model::{Exit, Policy, RunId, Signal};

/// The end of a process that nobody saw: it is gone, and whoever does not know how it went assumes the worst.
const UNSEEN: Exit = Exit::Signal(Signal::KILL.0);

type Alive<'a> = &'a dyn Fn(RunId) -> Option<i32>;

impl Slot {
    /// After every `Spawned` and `Exited` that the keeper reported. `alive` names the pid of a run that lives.
    pub(super) fn resume(&mut self, alive: Alive<'_>, turn: &mut Turn<'_>) {
        self.resume_outgoing(alive, turn);
        self.resume_old(alive, turn);
        let holds_the_slot = matches!(self.state, State::Launching { .. });
        match &mut self.state {
            State::Stopped | State::Waiting { .. } | State::Errored { leftover: None } => {}
            State::Launching { launch, .. } | State::Reloading { new: launch, .. } => {
                let (run, phase) = (launch.run, launch.phase);
                match (phase, alive(run)) {
                    (Phase::Spawning, Some(pid)) => self.spawned(run, pid, turn),
                    (Phase::Spawning, None) if launch.asked_by_us => {}
                    (Phase::Spawning, None) => {
                        launch.asked_by_us = true;
                        // Under a new number: should the old request be carried out after all, it is recognised.
                        launch.run = turn.new_run();
                        (launch.since, launch.started_at) = (turn.now.mono, turn.now.wall);
                        if holds_the_slot {
                            self.started_at = Some(launch.started_at);
                        }
                        turn.want(Effect::Spawn { id: turn.id, run: launch.run });
                    }
                    (Phase::Starting { .. }, Some(_)) => {}
                    (Phase::Starting { .. }, None) => self.exited(run, UNSEEN, turn),
                }
            }
            State::Online { process } | State::Errored { leftover: Some(process) } => {
                let run = process.run;
                if alive(run).is_none() {
                    self.exited(run, UNSEEN, turn);
                }
            }
            State::Stopping { ending, .. } => {
                let (run, pid) = (ending.run, alive(ending.run));
                if Slot::resume_ending(ending, pid, &self.policy, turn) {
                    self.exited(run, UNSEEN, turn);
                }
            }
        }
        self.conclude(turn);
    }

    /// The spawns that nobody has answered, with the moment (mono) when they were asked for.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = (RunId, u64)> {
        let coming = match &self.state {
            State::Launching { launch, .. } | State::Reloading { new: launch, .. }
                if launch.phase == Phase::Spawning =>
            {
                Some((launch.run, launch.since))
            }
            State::Stopping { ending, .. } if ending.phase == EndPhase::AwaitSpawn => Some((ending.run, ending.since)),
            _ => None,
        };
        let leaving = self.outgoing.as_ref().map(|outgoing| &outgoing.ending);
        let leaving = leaving.filter(|ending| ending.phase == EndPhase::AwaitSpawn);
        coming.into_iter().chain(leaving.map(|ending| (ending.run, ending.since)))
    }

    /// The old process of a reload; before the new one, which may have to take its place.
    fn resume_old(&mut self, alive: Alive<'_>, turn: &mut Turn<'_>) {
        if let State::Reloading { old, .. } = &self.state
            && alive(old.run).is_none()
        {
            let run = old.run;
            self.exited(run, UNSEEN, turn);
        }
    }

    fn resume_outgoing(&mut self, alive: Alive<'_>, turn: &mut Turn<'_>) {
        let Some(outgoing) = &mut self.outgoing else { return };
        let (run, pid) = (outgoing.ending.run, alive(outgoing.ending.run));
        if Slot::resume_ending(&mut outgoing.ending, pid, &self.policy, turn) {
            self.exited(run, UNSEEN, turn);
        }
    }

    /// The grace time goes on where it was. Returns whether the process ended unseen.
    fn resume_ending(ending: &mut Ending, pid: Option<i32>, policy: &Policy, turn: &mut Turn<'_>) -> bool {
        match (pid, ending.phase) {
            (Some(pid), EndPhase::AwaitSpawn) => {
                ending.pid = Some(pid);
                ending.ask(policy, turn);
                false
            }
            // Said again: nobody knows whether the earlier daemon still did it, and it alone watched the tree.
            (Some(_), _) => {
                if !ending.by_us {
                    ending.tree_gone = false;
                    ending.signal(policy, turn);
                }
                false
            }
            (None, EndPhase::AwaitSpawn) if ending.by_us => false,
            (None, EndPhase::AwaitSpawn) => {
                ending.never_was();
                false
            }
            (None, _) => {
                ending.tree_gone = true;
                !ending.exited
            }
        }
    }
}
