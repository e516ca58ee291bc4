//! The daemon's heart beat: inputs go to the supervisor, effects come out and are carried out, all in one task.
//!
//! Owns: everything that lives as long as the daemon, the order of inputs, the one deadline.
//! Must never: feed an input while effects of an earlier one are being carried out (it is queued), or acknowledge an
//! exit before the journal knows it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::agent::Agent;
use super::answer::Rendered;
use super::bus::Bus;
use super::cluster::Clusters;
use super::cron::Crons;
use super::daemon_log::DaemonLog;
use super::keeper_link::KeeperLink;
use super::limits::Limits;
use super::logs::Logs;
use super::rest::Rest;
use super::sampler::Sampler;
use super::settings::Settings;
use super::system_data::SystemData;
use super::table::{Render, Table};
use super::watch::Watches;
use crate::model::{Home, Now, PmId};
use crate::supervisor::{Effect, Input, Verb};
use crate::sys::process::Snapshot;

/// Everything that lives as long as the daemon.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) home: Home,
    pub(crate) settings: Settings,
    pub(crate) agent: Agent,
    /// As a keeper of ours is to be started with.
    pub(crate) agent_option: Option<PathBuf>,
    pub(crate) bus: Bus,
    pub(crate) log: DaemonLog,
    pub(crate) logs: Logs,
    pub(crate) system: SystemData,
    pub(crate) sampler: RefCell<Sampler>,
    pub(crate) keeper: Rc<KeeperLink>,
    pub(crate) generation: u64,
    pub(crate) keeper_pid: Cell<i32>,
    /// The daemons before this one did not come so far that every process was in the care of this keeper.
    pub(crate) unsettled: bool,
    /// Why the upgrade that was tried last did not succeed.
    pub(crate) failed_update: Option<String>,
    /// Epoch milliseconds.
    pub(crate) started_at: u64,
    pub(crate) table: RefCell<Table>,
    pub(super) clusters: Rc<Clusters>,
    pub(crate) crons: Crons,
    pub(crate) limits: Limits,
    pub(crate) watches: Watches,
    pub(crate) end: End,
    pub(crate) rest: Rest,
    /// One look at all processes serves all stops of the same moment.
    pub(crate) snapshot: RefCell<Option<Rc<Snapshot>>>,
    /// The tasks that accept clients and subscribers.
    pub(crate) listeners: RefCell<Vec<JoinHandle<()>>>,
    /// Frames that could not be answered.
    pub(crate) ignored_frames: Cell<u64>,
    inputs: RefCell<VecDeque<Input>>,
    feeding: Cell<bool>,
    deadline: Cell<Option<u64>>,
    deadline_changed: Notify,
    journal_complained: Cell<bool>,
}

/// How and when the daemon ends.
#[derive(Debug, Default)]
pub(crate) struct End {
    begun: Cell<bool>,
    code: Cell<Option<i32>>,
    asked: Notify,
}

impl End {
    /// Whether this is the first who asks: the end happens once.
    pub(crate) fn begin(&self) -> bool {
        !self.begun.replace(true)
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.begun.get()
    }

    pub(crate) fn set(&self, code: i32) {
        if self.code.get().is_none() {
            self.code.set(Some(code));
            self.asked.notify_one();
        }
    }

    pub(crate) async fn wait(&self) -> i32 {
        loop {
            if let Some(code) = self.code.get() {
                return code;
            }
            self.asked.notified().await;
        }
    }
}

/// The parts that are made before the daemon itself.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) home: Home,
    pub(crate) settings: Settings,
    pub(crate) agent: Option<PathBuf>,
    pub(crate) bus: Bus,
    pub(crate) log: DaemonLog,
    pub(crate) logs: Logs,
    pub(crate) keeper: Rc<KeeperLink>,
    pub(crate) generation: u64,
    pub(crate) keeper_pid: i32,
    pub(crate) failed_update: Option<String>,
    pub(crate) unsettled: bool,
    pub(crate) table: Table,
    pub(super) clusters: Rc<Clusters>,
}

impl Daemon {
    pub(crate) fn new(parts: Parts) -> Rc<Daemon> {
        Rc::new(Daemon {
            agent_option: parts.agent.clone(),
            agent: Agent::new(parts.agent, &parts.home),
            system: SystemData::new(&parts.home.module_conf_file),
            home: parts.home,
            settings: parts.settings,
            bus: parts.bus,
            log: parts.log,
            logs: parts.logs,
            sampler: RefCell::new(Sampler::new()),
            keeper: parts.keeper,
            generation: parts.generation,
            keeper_pid: Cell::new(parts.keeper_pid),
            unsettled: parts.unsettled,
            failed_update: parts.failed_update,
            started_at: now().wall,
            table: RefCell::new(parts.table),
            clusters: parts.clusters,
            crons: Crons::default(),
            limits: Limits::default(),
            watches: Watches::default(),
            end: End::default(),
            rest: Rest::default(),
            snapshot: RefCell::default(),
            listeners: RefCell::default(),
            ignored_frames: Cell::new(0),
            inputs: RefCell::default(),
            feeding: Cell::new(false),
            deadline: Cell::new(None),
            deadline_changed: Notify::new(),
            journal_complained: Cell::new(false),
        })
    }

    /// Tells the supervisor, and does what it wants done. From within an effect: in its turn.
    pub(crate) fn feed(self: &Rc<Self>, input: Input) {
        self.inputs.borrow_mut().push_back(input);
        self.run_inputs();
    }

    fn run_inputs(self: &Rc<Self>) {
        if self.feeding.replace(true) {
            return;
        }
        loop {
            let Some(input) = self.inputs.borrow_mut().pop_front() else { break };
            let subject = subject(&input);
            let is_exit = matches!(input, Input::Exited { .. });
            let now = now();
            let mut effects = self.table.borrow_mut().supervisor.on(input, now);
            if is_exit {
                // Nobody serves until the next process runs; events, logs and files of the last one can wait for that.
                effects.sort_by_key(|effect| !matches!(effect, Effect::Spawn { .. }));
            }
            self.carry_out_all(subject, effects, now);
        }
        self.feeding.set(false);
        let deadline = self.table.borrow().supervisor.deadline();
        if self.deadline.replace(deadline) != deadline {
            self.deadline_changed.notify_one();
        }
    }

    /// What the supervisor wants after a restore, then whatever came in meanwhile.
    pub(crate) fn feed_effects(self: &Rc<Self>, effects: Vec<Effect>) {
        self.feeding.set(true);
        self.carry_out_all(None, effects, now());
        self.feeding.set(false);
        self.run_inputs();
    }

    /// The journal first: a daemon that dies in the middle is followed by one that knows what was decided.
    fn carry_out_all(self: &Rc<Self>, subject: Option<PmId>, effects: Vec<Effect>, now: Now) {
        self.write_slots(subject);
        for effect in effects {
            self.carry_out(effect, now);
        }
    }

    fn write_slots(&self, subject: Option<PmId>) {
        {
            let mut table = self.table.borrow_mut();
            let Table { supervisor, journal, .. } = &mut *table;
            let next_run = supervisor.next_run();
            let ids: Vec<PmId> = match subject {
                Some(id) => vec![id],
                None => supervisor.ids().collect(),
            };
            for id in ids {
                if let Some(slot) = supervisor.slot(id) {
                    journal.slot(id, slot, next_run);
                }
            }
        }
        self.flush_journal();
    }

    /// Writes what the journal collected; all of it anew when the file is broken or has grown too much.
    pub(crate) fn flush_journal(&self) {
        let mut table = self.table.borrow_mut();
        let mut written = Ok(());
        if table.journal.is_broken() || table.journal.is_bloated() {
            let alive = table.all_alive();
            let Table { supervisor, journal, records, .. } = &mut *table;
            journal.begin_rewrite();
            for (id, alive) in alive {
                journal.alive(id, alive);
            }
            for record in records.values() {
                journal.put(record.id, &record.to_stored());
                journal.said(record.id, &record.to_stored_said());
                if let Some(slot) = supervisor.slot(record.id) {
                    journal.slot(record.id, slot, supervisor.next_run());
                }
            }
            written = journal.end_rewrite();
        } else if let Err(error) = table.journal.flush() {
            written = Err(error);
        }
        drop(table);
        match written {
            Ok(()) => self.journal_complained.set(false),
            Err(error) if !self.journal_complained.replace(true) => {
                let path = self.home.journal_file.display();
                self.log.error(&format!("cannot write {path}: {error}; a restart of the daemon would lose its list"));
            }
            Err(_) => {}
        }
    }

    /// A command; the reply is what `render` makes of its outcome.
    pub(crate) fn command(self: &Rc<Self>, id: PmId, verb: Verb, render: Render) -> oneshot::Receiver<Rendered> {
        let (ticket, reply) = self.table.borrow_mut().ticket(render);
        self.feed(Input::Command { id, verb, ticket: Some(ticket) });
        reply
    }

    /// Feeds ticks when they are due. Runs as long as the daemon; sleeps for ever when nothing is due.
    pub(crate) async fn keep_time(self: Rc<Self>) {
        loop {
            let changed = self.deadline_changed.notified();
            let Some(deadline) = self.deadline.get() else {
                changed.await;
                continue;
            };
            let left = deadline.saturating_sub(now().mono);
            if left == 0 {
                self.feed(Input::Tick);
                // A deadline that stays in the past must not keep everybody else waiting.
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(Duration::from_millis(left)) => {}
            }
        }
    }
}

/// The slot that an input is about; `None` when it may be about all of them.
fn subject(input: &Input) -> Option<PmId> {
    match input {
        Input::Register { id, .. }
        | Input::Configure { id, .. }
        | Input::Command { id, .. }
        | Input::Reset { id }
        | Input::Spawned { id, .. }
        | Input::SpawnFailed { id, .. }
        | Input::Exited { id, .. }
        | Input::TreeGone { id, .. }
        | Input::Ready { id, .. } => Some(*id),
        Input::Tick | Input::ShuttingDown => None,
    }
}

pub(crate) fn now() -> Now {
    let (mono, wall) = crate::sys::clock::now();
    Now { mono, wall }
}
