//! What goes into the supervisor and what comes out of it.

use serde::{Deserialize, Serialize};

use crate::model::{Exit, PmId, Policy, RunId, Signal, Status};

/// Names one client call that waits for an answer. Given out by the daemon; echoed in [`Effect::Reply`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ticket(pub u64);

/// What a client (or cron, watch, the memory limit) wants done to one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verb {
    /// Start what is not running. Online or launching: refused with [`Refusal::AlreadyOnline`].
    Start,
    /// Ends in `stopped`; already stopped is a success.
    Stop,
    /// Stop if it runs, then start. Also starts a stopped or errored one. Counted if it was online or launching, or
    /// waiting for an automatic restart (which it brings forward).
    Restart,
    /// Cluster and online: a new process first, then the old one goes. Otherwise the same as `Restart`.
    Reload,
    /// Stop if it runs, then forget.
    Delete,
}

/// Everything the supervisor can be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Input {
    /// A new slot. With `start` it launches at once and the ticket is answered when it is up (or failed); otherwise it
    /// is `stopped` and the ticket is answered at once.
    Register {
        id: PmId,
        policy: Policy,
        start: bool,
        ticket: Option<Ticket>,
    },
    /// The wishes changed; they count from the next decision on.
    Configure {
        id: PmId,
        policy: Policy,
    },
    /// A command without a ticket comes from cron, watch or a limit; it gets no reply.
    Command {
        id: PmId,
        verb: Verb,
        ticket: Option<Ticket>,
    },
    /// `reset`: counters to zero, `created_at` to now.
    Reset {
        id: PmId,
    },
    Spawned {
        id: PmId,
        run: RunId,
        pid: i32,
    },
    SpawnFailed {
        id: PmId,
        run: RunId,
        error: String,
    },
    Exited {
        id: PmId,
        run: RunId,
        exit: Exit,
    },
    /// Every process of the tree that [`Effect::Stop`] or [`Effect::Kill`] signalled is gone (descendants; the exit of
    /// the process itself is `Exited`).
    TreeGone {
        id: PmId,
        run: RunId,
    },
    /// The app can serve: with `wait_ready` it said `ready` (listening does not count then), else (cluster) it listens.
    Ready {
        id: PmId,
        run: RunId,
    },
    /// Time has passed; sent when the deadline of [`super::Supervisor::deadline`] is due. Too early or late is harmless.
    Tick,
    /// `notifyKillPM2`: from now on nothing is restarted by itself.
    ShuttingDown,
}

/// Everything the supervisor can want done. Effects of one input are carried out in their order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Effect {
    /// Start a process for this slot; answered by `Input::Spawned` or `Input::SpawnFailed` with the same run.
    Spawn {
        id: PmId,
        run: RunId,
    },
    /// Ask the process to end. With `tree` its descendants are signalled too, deepest first, and `TreeGone` is told
    /// when they are gone; without, `TreeGone` is told at once.
    Stop {
        id: PmId,
        run: RunId,
        how: StopHow,
        tree: bool,
    },
    /// SIGKILL to what is left of it (and of its tree). `TreeGone` is told as for `Stop`.
    Kill {
        id: PmId,
        run: RunId,
        tree: bool,
    },
    /// An event for the bus, with the view at this very moment. `outgoing`: it is about the process that a cluster
    /// reload lets go (pm2 shows its `pm_id` as `_old_<id>`), not about the one that holds the slot.
    Publish {
        id: PmId,
        event: ProcessEvent,
        manually: bool,
        outgoing: bool,
        view: View,
    },
    /// The process of this run has ended: remove its pid file, empty what the app had registered (actions, metrics).
    Ended {
        id: PmId,
        run: RunId,
    },
    Reply {
        ticket: Ticket,
        outcome: Outcome,
    },
    /// The slot is gone from the table. Always the last effect about it.
    Remove {
        id: PmId,
    },
    /// A line for `pm2.log`.
    Log {
        text: LogLine,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopHow {
    Signal(Signal),
    /// The IPC message `shutdown`; the daemon falls back to the policy's signal when there is no channel.
    Message,
}

/// The `event` texts of `process:event` that the daemon itself emits (contract/api.md section 14.5). Those that a client
/// asks for by `notifyByProcessId` do not pass through here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessEvent {
    Online,
    Start,
    Exit,
    RestartOverlimit,
    Delete,
}

impl ProcessEvent {
    pub fn as_str(self) -> &'static str {
        match self {
            ProcessEvent::Online => "online",
            ProcessEvent::Start => "start",
            ProcessEvent::Exit => "exit",
            ProcessEvent::RestartOverlimit => "restart overlimit",
            ProcessEvent::Delete => "delete",
        }
    }
}

/// The answer to one command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// Done. The view is that of the moment of the answer (after a delete: the last one).
    Done { id: PmId, view: View },
    /// Not done.
    Refused { id: PmId, refusal: Refusal },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Refusal {
    UnknownId,
    AlreadyOnline,
    /// A reload of this slot is under way.
    ReloadInProgress,
    /// The daemon is being killed.
    ShuttingDown,
    /// The process could not be started.
    SpawnFailed {
        error: String,
    },
    /// Another command overtook this one (a delete while a start waited, say).
    Superseded {
        by: Verb,
    },
    /// Reload: the new process did not come up; the old one stays.
    ReloadFailed {
        reason: String,
    },
}

/// What clients see of a slot, as far as the supervisor knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    pub status: Status,
    /// `None` while there is no process.
    pub pid: Option<i32>,
    /// The run whose process the pid names.
    pub run: Option<RunId>,
    /// `pm_uptime`: epoch milliseconds of the last start; `None` before the first.
    pub started_at: Option<u64>,
    /// Epoch milliseconds; `None` after `errored` (pm2 stores null).
    pub created_at: Option<u64>,
    pub restart_time: u32,
    pub unstable_restarts: u32,
    /// `None` until the first exit.
    pub last_exit: Option<Exit>,
    /// Epoch milliseconds of that exit.
    #[serde(default)]
    pub ended_at: Option<u64>,
    /// Present after a manual restart (0) or with growing back-off.
    pub prev_restart_delay: Option<u64>,
}

/// A line for the daemon's log, with the texts that tools look for (contract/options.md section 12).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum LogLine {
    Starting {
        id: PmId,
    },
    Online {
        id: PmId,
    },
    Exited {
        id: PmId,
        exit: Exit,
    },
    Stopping {
        id: PmId,
    },
    StillAlive {
        id: PmId,
        pid: i32,
        after: u64,
    },
    WillRestart {
        id: PmId,
        delay: u64,
    },
    Overlimit {
        id: PmId,
        count: u32,
    },
    SpawnFailed {
        id: PmId,
        error: String,
    },
    /// Not ready within `listen_timeout`, and that counts as a failed start.
    NotReady {
        id: PmId,
        after: u64,
    },
}
