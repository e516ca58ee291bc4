//! Says by itself what has to follow when a process ends: nothing, a restart after which delay, or the end of all tries.
//! Written from contract/api.md section 10 and the table of options, not from `accounting`.

use crate::model::{Exit, PmId, Policy};
use crate::supervisor::{Effect, Input, LogLine, ProcessEvent, Supervisor, View};

use super::oracle::Step;

/// What is remembered of one slot between its ends.
#[derive(Debug, Default)]
pub(super) struct Referee {
    /// When (wall) the first of the unstable processes that are counted was launched; `None`: not seen, or none.
    window: Option<u64>,
}

/// What has to follow.
#[derive(Debug, PartialEq, Eq)]
enum Sentence {
    StayDown,
    GiveUp,
    Restart { delay: u64 },
}

impl Referee {
    pub(super) fn see(&mut self, step: &Step<'_>, wall: u64, table: &Supervisor) {
        if let Some(before) = step.before {
            self.see_end(step, before, wall, table);
        }
        let not_ready =
            |effect: &Effect| matches!(effect, Effect::Log { text: LogLine::NotReady { id, .. } } if *id == step.id);
        if matches!(step.input, Input::SpawnFailed { .. }) || step.effects.iter().any(not_ready) {
            // These count as well, and may begin a window; they are not followed here.
            self.window = None;
        }
        let unstable = table.view(step.id).map_or(0, |view| view.unstable_restarts);
        if unstable == 0 {
            self.window = None;
        } else if step.before.is_none_or(|before| before.unstable_restarts == 0) {
            // The first of them; one that was stopped because it was not ready in time is not followed here.
            let exited = matches!(step.input, Input::Exited { .. } | Input::SpawnFailed { .. });
            let launched = step.before.filter(|_| exited).and_then(|before| before.started_at);
            self.window = launched.filter(|_| end_of_the_holder(step).is_some());
        }
    }

    /// The holder of the slot ended by itself: what was decided is what had to be.
    fn see_end(&mut self, step: &Step<'_>, before: &View, wall: u64, table: &Supervisor) {
        let Some((after, exit)) = end_of_the_holder(step) else { return };
        let (policy, Some(launched)) = (step.policy, before.started_at) else { return };
        let uptime = wall - launched;
        let stable = uptime >= policy.min_uptime;
        let length = policy.min_uptime * u64::from(policy.max_restarts);
        let count = match (stable, before.unstable_restarts, self.window) {
            (true, ..) => 0,
            (false, 0, _) => 1,
            (false, count, Some(start)) if wall - start < length => count + 1,
            (false, _, Some(_)) => {
                self.window = Some(launched);
                1
            }
            // When the window began was not seen: either is possible.
            (false, count, None) => {
                assert!([1, count + 1].contains(&after.unstable_restarts), "{step:#?}");
                after.unstable_restarts
            }
        };
        assert_eq!(after.unstable_restarts, count, "counted unstable exits: {self:?} {step:#?}");
        let wanted = sentence(policy, before, exit, uptime, count, step.shutting_down);
        let mut done = carried_out(step);
        // A command that waited starts what stays down: that is no restart, and is not counted as one.
        let restarts = table.view(step.id).map_or(0, |view| view.restart_time);
        if done == (Sentence::Restart { delay: 0 }) && restarts == before.restart_time {
            done = Sentence::StayDown;
        }
        assert_eq!(done, wanted, "after the end of a process: {self:?} {step:#?}");
        if let Sentence::Restart { delay } = wanted
            && policy.exp_backoff_restart_delay > 0
        {
            assert_eq!(after.prev_restart_delay, Some(delay), "{step:#?}");
        }
    }
}

/// After a tick nobody has a grown delay who was up for long enough to lose it.
pub(super) fn has_cooled_down(policy: &Policy, view: &View, wall: u64) -> bool {
    let grown = view.prev_restart_delay.is_some_and(|delay| delay > 0);
    let uptime = view.started_at.map_or(0, |at| wall.saturating_sub(at));
    !grown || uptime <= policy.backoff_reset_after
}

/// How the slot was seen at the end of its holder, and that end; `None` when this step is none.
fn end_of_the_holder<'a>(step: &'a Step<'_>) -> Option<(&'a View, Exit)> {
    let (Input::Exited { run, exit, .. }, Some(before)) = (step.input, step.before) else { return None };
    let decided = step.effects.iter().find_map(|effect| match effect {
        Effect::Publish { id, event: ProcessEvent::RestartOverlimit, view, .. } if *id == step.id => Some(view),
        Effect::Publish { id, event: ProcessEvent::Exit, outgoing: false, view, .. } if *id == step.id => Some(view),
        _ => None,
    })?;
    let by_itself = matches!(before.status, crate::model::Status::Online | crate::model::Status::Launching);
    (before.run == Some(*run) && by_itself).then_some((decided, *exit))
}

fn sentence(policy: &Policy, before: &View, exit: Exit, uptime: u64, count: u32, ending: bool) -> Sentence {
    let chosen = matches!(exit, Exit::Code(code) if policy.stop_exit_codes.contains(&code));
    if ending || chosen || !policy.autorestart || policy.max_restarts == 0 {
        return Sentence::StayDown;
    }
    if count >= policy.max_restarts {
        return Sentence::GiveUp;
    }
    let first = policy.exp_backoff_restart_delay;
    if first == 0 {
        return Sentence::Restart { delay: policy.restart_delay };
    }
    let delay = match before.prev_restart_delay {
        Some(last) if last > 0 && uptime <= policy.backoff_reset_after => (last * 3 / 2).min(15_000),
        _ => first,
    };
    Sentence::Restart { delay }
}

fn carried_out(step: &Step<'_>) -> Sentence {
    let mut spawned = false;
    for effect in step.effects {
        match effect {
            Effect::Publish { id, event: ProcessEvent::RestartOverlimit, .. } if *id == step.id => {
                return Sentence::GiveUp;
            }
            Effect::Log { text: LogLine::WillRestart { id, delay } } if *id == step.id => {
                return Sentence::Restart { delay: *delay };
            }
            Effect::Spawn { id, .. } if *id == step.id => spawned = true,
            _ => {}
        }
    }
    if spawned { Sentence::Restart { delay: 0 } } else { Sentence::StayDown }
}

/// The slots of a world.
pub(super) type Referees = std::collections::BTreeMap<PmId, Referee>;
