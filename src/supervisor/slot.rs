//! One slot: an instance over all its restarts, as data.
//!
//! Owns: the states and what exists in each of them. The transitions are in `launch`, `exit`, `stop`, `reload` and
//! `resume`, a file for each topic.
//! Must never: change itself without a `Turn`.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::accounting::Accounting;
use super::turn::Turn;
use super::types::{Ticket, Verb, View};
use crate::model::{Exit, Policy, RunId, Status};

/// One instance, over all its restarts: what the journal keeps of it. Tickets are not kept: whoever waited for an
/// answer lost it together with the daemon; what was asked for is done all the same.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Slot {
    pub(super) policy: Policy,
    pub(super) state: State,
    /// The second process of a reload, on its way out: the old one, or a new one that is no longer wanted.
    pub(super) outgoing: Option<Outgoing>,
    /// Commands that wait until the slot is at rest. Stop and delete never wait here.
    pub(super) queue: VecDeque<Queued>,
    pub(super) accounting: Accounting,
    /// Epoch milliseconds.
    pub(super) started_at: Option<u64>,
    /// Epoch milliseconds.
    pub(super) created_at: Option<u64>,
    pub(super) last_exit: Option<Exit>,
    /// Epoch milliseconds of that exit.
    pub(super) ended_at: Option<u64>,
}

/// What a slot is doing. Each state carries the data that exist in it and no other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum State {
    Stopped,
    /// `job`: the command behind it; `None` for an automatic restart.
    Launching {
        launch: Launch,
        job: Option<Job>,
    },
    Online {
        process: Process,
    },
    /// Cluster: the old one still serves, the new one comes up.
    Reloading {
        old: Process,
        new: Launch,
        #[serde(skip)]
        ticket: Option<Ticket>,
    },
    Stopping {
        ending: Ending,
        then: Then,
        /// Stops and deletes that wait for the end.
        #[serde(skip)]
        waiters: Vec<Ticket>,
    },
    /// An automatic restart is due at `until` (mono).
    Waiting {
        until: u64,
    },
    /// `leftover`: it survived SIGKILL.
    Errored {
        leftover: Option<Process>,
    },
}

/// A process that is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    pub(super) run: RunId,
    pub(super) pid: i32,
    /// When it was launched (mono).
    pub(super) since: u64,
    /// It was started as a cluster worker, whatever the policy says by now.
    pub(super) cluster: bool,
}

/// A process on its way up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Launch {
    pub(super) run: RunId,
    pub(super) since: u64,
    /// Epoch milliseconds.
    pub(super) started_at: u64,
    pub(super) cluster: bool,
    /// Ready only when the app says so; as it was asked for at the launch.
    pub(super) wait_ready: bool,
    pub(super) phase: Phase,
    /// This daemon asked for the spawn; never so in a slot that comes from the journal.
    #[serde(skip)]
    pub(super) asked_by_us: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    /// The spawn is asked for and not yet answered.
    Spawning,
    /// It runs; taken for ready at `ready_by` (mono) at the latest.
    Starting { pid: i32, ready_by: u64 },
}

impl Launch {
    pub(super) fn pid(&self) -> Option<i32> {
        match self.phase {
            Phase::Spawning => None,
            Phase::Starting { pid, .. } => Some(pid),
        }
    }

    /// It runs, and has had the time it may take to say that it is ready.
    pub(super) fn is_due(&self, now: u64) -> bool {
        matches!(self.phase, Phase::Starting { ready_by, .. } if now >= ready_by)
    }

    /// Its time is up, and that is a failure.
    pub(super) fn must_be_ready(&self, policy: &Policy) -> bool {
        self.wait_ready && policy.ready_required
    }

    /// The same once it is up; `None` while the spawn is not answered.
    pub(super) fn process(&self) -> Option<Process> {
        let pid = self.pid()?;
        Some(Process { run: self.run, pid, since: self.since, cluster: self.cluster })
    }
}

/// A process on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ending {
    pub(super) run: RunId,
    pub(super) since: u64,
    pub(super) cluster: bool,
    /// `None`: there is none yet, or there never was one.
    pub(super) pid: Option<i32>,
    /// Its descendants go with it.
    pub(super) tree: bool,
    pub(super) phase: EndPhase,
    pub(super) exited: bool,
    pub(super) tree_gone: bool,
    /// This daemon did what the phase says (asked for the spawn, sent the signal); never so in a slot that comes from the journal.
    #[serde(skip)]
    pub(super) by_us: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum EndPhase {
    /// The spawn is not answered yet: nobody to signal.
    AwaitSpawn,
    /// Asked to end; SIGKILL at `kill_at` (mono).
    Asked { kill_at: u64 },
    /// Sent SIGKILL; given up at `give_up_at` (mono).
    Killed { give_up_at: u64 },
    /// It survived.
    GivenUp,
}

impl Ending {
    /// Nothing more is expected of it.
    pub(super) fn is_over(&self) -> bool {
        self.phase == EndPhase::GivenUp || (self.exited && self.tree_gone)
    }

    /// The process itself, if it survived everything.
    pub(super) fn survivor(&self) -> Option<Process> {
        let pid = self.pid.filter(|_| !self.exited)?;
        Some(Process { run: self.run, pid, since: self.since, cluster: self.cluster })
    }

    fn deadline(&self) -> Option<u64> {
        match self.phase {
            EndPhase::AwaitSpawn | EndPhase::GivenUp => None,
            EndPhase::Asked { kill_at } => Some(kill_at),
            EndPhase::Killed { give_up_at } => Some(give_up_at),
        }
    }
}

/// The second process of a reload, leaving.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Outgoing {
    pub(super) ending: Ending,
    /// What is said about it on the bus.
    pub(super) view: View,
    /// The reload that is done when it is gone.
    #[serde(skip)]
    pub(super) ticket: Option<Ticket>,
}

/// What follows a stop.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Then {
    Stay,
    Launch(Job),
    /// It was not ready in time: the start has failed. `None`: an automatic one.
    Fail(Option<Job>),
    Remove,
}

/// The command behind a launch.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) kind: JobKind,
    /// It counts as a restart when the new process is launched.
    pub(super) counts: bool,
    #[serde(skip)]
    pub(super) ticket: Option<Ticket>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum JobKind {
    Register,
    Command,
    /// A reload whose old process died on the way.
    Reload,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Queued {
    pub(super) verb: Verb,
    #[serde(skip)]
    pub(super) ticket: Option<Ticket>,
}

impl Slot {
    pub(super) fn new(policy: Policy) -> Slot {
        Slot {
            policy,
            state: State::Stopped,
            outgoing: None,
            queue: VecDeque::new(),
            accounting: Accounting::default(),
            started_at: None,
            created_at: None,
            last_exit: None,
            ended_at: None,
        }
    }

    /// What clients see.
    pub fn view(&self) -> View {
        let running = |process: &Process| Some((process.run, process.pid));
        let (status, process) = match &self.state {
            State::Stopped => (Status::Stopped, None),
            State::Launching { launch, .. } => (Status::Launching, launch.pid().map(|pid| (launch.run, pid))),
            State::Online { process } => (Status::Online, running(process)),
            State::Reloading { old, .. } => (Status::Online, running(old)),
            State::Stopping { ending, .. } => (Status::Stopping, ending.survivor().as_ref().and_then(running)),
            State::Waiting { .. } => (Status::WaitingRestart, None),
            State::Errored { leftover } => (Status::Errored, leftover.as_ref().and_then(running)),
        };
        View {
            status,
            pid: process.map(|(_, pid)| pid),
            run: process.map(|(run, _)| run),
            started_at: self.started_at,
            created_at: self.created_at,
            restart_time: self.accounting.restart_time,
            unstable_restarts: self.accounting.unstable_restarts,
            last_exit: self.last_exit,
            ended_at: self.ended_at,
            prev_restart_delay: self.accounting.prev_restart_delay,
        }
    }

    /// When (mono) this slot wants a tick.
    pub(super) fn deadline(&self) -> Option<u64> {
        let own = match &self.state {
            State::Stopped | State::Errored { .. } => None,
            State::Launching { launch, .. } | State::Reloading { new: launch, .. } => match launch.phase {
                Phase::Spawning => None,
                Phase::Starting { ready_by, .. } => Some(ready_by),
            },
            State::Online { process } => self.cool_down_at(process),
            State::Stopping { ending, .. } => ending.deadline(),
            State::Waiting { until } => Some(*until),
        };
        let leaving = self.outgoing.as_ref().and_then(|outgoing| outgoing.ending.deadline());
        own.into_iter().chain(leaving).min()
    }

    /// The first moment at which [`Accounting::cool_down`] has something to do.
    fn cool_down_at(&self, process: &Process) -> Option<u64> {
        let after = self.policy.backoff_reset_after.saturating_add(1);
        self.accounting.has_grown().then(|| process.since.saturating_add(after))
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.ending.tick(&self.policy, turn);
        }
        match &mut self.state {
            State::Stopped | State::Errored { .. } => {}
            State::Launching { launch, .. } => {
                if launch.is_due(now) {
                    self.time_is_up(turn);
                }
            }
            State::Reloading { new, .. } => {
                if new.is_due(now) {
                    self.reload_time_is_up(turn);
                }
            }
            State::Online { process } => {
                let uptime = now.saturating_sub(process.since);
                self.accounting.cool_down(&self.policy, uptime);
            }
            State::Stopping { ending, .. } => ending.tick(&self.policy, turn),
            State::Waiting { until } => {
                if now >= *until {
                    self.relaunch(turn);
                }
            }
        }
        self.conclude(turn);
    }

    /// The highest run number in it.
    pub(super) fn highest_run(&self) -> Option<RunId> {
        let (first, second) = match &self.state {
            State::Stopped | State::Waiting { .. } => (None, None),
            State::Launching { launch, .. } => (Some(launch.run), None),
            State::Online { process } => (Some(process.run), None),
            State::Reloading { old, new, .. } => (Some(old.run), Some(new.run)),
            State::Stopping { ending, .. } => (Some(ending.run), None),
            State::Errored { leftover } => (leftover.map(|process| process.run), None),
        };
        let outgoing = self.outgoing.as_ref().map(|outgoing| outgoing.ending.run);
        first.into_iter().chain(second).chain(outgoing).max()
    }
    /// Nothing is asked for or on its way. (For the simulation.)
    #[cfg(test)]
    pub(super) fn is_at_rest(&self) -> bool {
        let state = match &self.state {
            State::Launching { .. } | State::Reloading { .. } | State::Stopping { .. } => false,
            State::Stopped | State::Online { .. } | State::Waiting { .. } | State::Errored { .. } => true,
        };
        state && self.outgoing.is_none() && self.queue.is_empty()
    }

    /// It has to do with this run. (For the simulation.)
    #[cfg(test)]
    pub(super) fn knows(&self, run: RunId) -> bool {
        let old = matches!(&self.state, State::Reloading { old, .. } if old.run == run);
        let outgoing = self.outgoing.as_ref().is_some_and(|outgoing| outgoing.ending.run == run);
        let own = match &self.state {
            State::Stopped | State::Waiting { .. } | State::Errored { leftover: None } => false,
            State::Launching { launch, .. } | State::Reloading { new: launch, .. } => launch.run == run,
            State::Online { process } | State::Errored { leftover: Some(process) } => process.run == run,
            State::Stopping { ending, .. } => ending.run == run,
        };
        old || outgoing || own
    }
}
