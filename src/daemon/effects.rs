//! Carries out what the supervisor decided.
//!
//! Owns: one arm per effect. Must never: decide.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::cluster;
use super::core::Daemon;
use super::daemon_log::AppLabel;
use super::logs::LogSpec;
use super::notify;
use super::pid_file;
use super::record::{Record, Tree};
use super::spawn_plan::{self, PlanContext};
use crate::model::{Now, PmId, RunId, Signal};
use crate::supervisor::{Effect, Input, LogLine, StopHow};
use crate::sys::pidfd;
use crate::sys::process::{self, Member, Snapshot};

/// How long one look at all processes may serve several stops.
const SNAPSHOT_LIFE: Duration = Duration::from_millis(3);

impl Daemon {
    pub(super) fn carry_out(self: &Rc<Self>, effect: Effect, now: Now) {
        match effect {
            Effect::Spawn { id, run } => {
                self.rest.disturb();
                self.sync_cron(id);
                self.sync_watch(id);
                self.sync_limit(id);
                if let Err(error) = self.spawn(id, run, now) {
                    self.feed(Input::SpawnFailed { id, run, error });
                }
            }
            Effect::Stop { id, run, how, tree } => self.stop(id, run, how, tree),
            Effect::Kill { id, run, tree } => {
                let members = if tree { self.whole_tree(id, run, true) } else { Vec::new() };
                self.signal(id, run, &members, tree, Signal::KILL);
            }
            Effect::Publish { id, event, manually, outgoing, view } => {
                if self.bus.has_subscribers()
                    && let Some(record) = self.table.borrow().records.get(&id)
                {
                    notify::publish(&self.bus, record, &view, event.as_str(), manually, outgoing);
                }
            }
            Effect::Ended { id, run } => self.ended(id, run),
            Effect::Reply { ticket, outcome } => self.table.borrow_mut().reply(ticket, outcome),
            Effect::Remove { id } => {
                self.rest.disturb();
                self.clusters.removed(id);
                self.forget_cron(id);
                self.forget_watch(id);
                self.forget_limit(id);
                let mut table = self.table.borrow_mut();
                table.records.remove(&id);
                table.journal.del(id);
                drop(table);
                self.flush_journal();
            }
            Effect::Log { text } => self.write_log_line(&text),
        }
    }

    /// Plans the next process of an instance and asks the keeper for it. The error is the words for the client.
    fn spawn(self: &Rc<Self>, id: PmId, run: RunId, now: Now) -> Result<(), String> {
        let spec = {
            let mut table = self.table.borrow_mut();
            let view = table.supervisor.view(id).ok_or_else(|| format!("{id} id unknown"))?;
            let record = table.records.get_mut(&id).ok_or_else(|| format!("{id} id unknown"))?;
            record.said.options.clear();
            let extra_env = cluster::worker_env(record, run);
            let context = PlanContext {
                agent: self.agent.path(),
                node_options: &self.settings.node_options,
                path: &self.settings.path,
                now: now.wall,
                extra_env: &extra_env,
            };
            let spec = spawn_plan::plan(record, &view, &context).map_err(|error| error.to_string())?;
            self.logs.prepare(&log_spec(record)).map_err(|error| error.to_string())?;
            spec
        };
        self.keeper.spawn(id, run, &spec).map_err(|error| format!("cannot start {}: {error}", spec.program))
    }

    fn stop(self: &Rc<Self>, id: PmId, run: RunId, how: StopHow, tree: bool) {
        if !self.let_go(id, run, how, tree) {
            self.stop_now(id, run, how, tree);
        }
    }

    /// Asks the process to end, whatever it is doing.
    pub(super) fn stop_now(self: &Rc<Self>, id: PmId, run: RunId, how: StopHow, tree: bool) {
        let signal = match how {
            StopHow::Signal(signal) => signal,
            StopHow::Message => {
                let table = self.table.borrow();
                let channel = table.runs.get(&run).and_then(|run| run.channel.clone());
                if channel.is_some_and(|channel| channel.send(r#""shutdown""#).is_ok()) {
                    drop(table);
                    // Only the app itself was asked: nobody else is waited for.
                    self.feed(Input::TreeGone { id, run });
                    return;
                }
                let record = table.records.get(&id);
                record.map_or(Signal::INT, |record| record.policy(&self.settings.defaults).stop_signal)
            }
        };
        let members = if tree { self.whole_tree(id, run, false) } else { Vec::new() };
        self.signal(id, run, &members, tree, signal);
    }

    /// The descendants of a run now, deepest first, and those signalled earlier that may be orphans by now.
    pub(super) fn whole_tree(self: &Rc<Self>, id: PmId, run: RunId, fresh: bool) -> Vec<Member> {
        let (pid, known) = {
            let table = self.table.borrow();
            let tree = table.records.get(&id).and_then(|record| record.tree.as_ref()).filter(|tree| tree.run == run);
            let known = tree.map(|tree| tree.members.iter());
            let known: Vec<Member> =
                known.into_iter().flatten().map(|&(pid, start_time)| Member { pid, start_time }).collect();
            // The pid of one that has ended may be another process's already.
            (table.runs.get(&run).filter(|run| !run.ended).map(|run| run.pid), known)
        };
        let Some(pid) = pid else { return known };
        let mut members = match self.look(fresh) {
            Ok(snapshot) => snapshot.descendants(pid),
            Err(error) => {
                self.log.error(&format!("cannot look for the children of {pid}: {error}"));
                Vec::new()
            }
        };
        for member in known {
            if member.pid != pid && !members.contains(&member) {
                members.push(member);
            }
        }
        members
    }

    fn look(self: &Rc<Self>, fresh: bool) -> std::io::Result<Rc<Snapshot>> {
        if !fresh && let Some(snapshot) = &*self.snapshot.borrow() {
            return Ok(Rc::clone(snapshot));
        }
        let snapshot = Rc::new(Snapshot::take()?);
        if self.snapshot.replace(Some(Rc::clone(&snapshot))).is_none() {
            let daemon = Rc::clone(self);
            tokio::task::spawn_local(async move {
                tokio::time::sleep(SNAPSHOT_LIFE).await;
                daemon.snapshot.replace(None);
            });
        }
        Ok(snapshot)
    }

    /// Signals the descendants, then the process itself, and tells when the descendants are gone.
    pub(super) fn signal(self: &Rc<Self>, id: PmId, run: RunId, members: &[Member], tree: bool, signal: Signal) {
        let waiting = process::signal_all(members, signal);
        let mut pids: Vec<(i32, u64)> = members.iter().map(|member| (member.pid, member.start_time)).collect();
        if let Some(process) = self.table.borrow().runs.get(&run).filter(|process| !process.ended) {
            // An error means that it has ended by itself in this moment; its exit is on the way.
            let _ = process.signal(signal);
            pids.push((process.pid, process.start_time));
        }
        if tree {
            self.keep_tree(id, Tree { run, members: pids });
        }
        if waiting.is_empty() {
            self.feed(Input::TreeGone { id, run });
            return;
        }
        let daemon = Rc::clone(self);
        tokio::task::spawn_local(async move {
            wait_for_all(waiting).await;
            daemon.feed(Input::TreeGone { id, run });
        });
    }

    /// A later SIGKILL must find them also when they are orphans by then, and this daemon is another one.
    fn keep_tree(&self, id: PmId, tree: Tree) {
        {
            let mut table = self.table.borrow_mut();
            let Some(record) = table.records.get_mut(&id) else { return };
            record.tree = Some(tree);
            let said = record.to_stored_said();
            table.journal.said(id, &said);
        }
        self.flush_journal();
    }

    /// The process is gone: nothing of it may be shown as if it lived.
    fn ended(&self, id: PmId, run: RunId) {
        let mut table = self.table.borrow_mut();
        let pid = table.runs.get(&run).map(|run| run.pid);
        // While a worker is replaced its successor has said things already.
        let replaced = table.supervisor.view(id).and_then(|view| view.run).is_some_and(|holder| holder != run);
        let Some(record) = table.records.get_mut(&id) else { return };
        if let (Some(pid), Some(path)) = (pid, record.text("pm_pid_path")) {
            pid_file::remove(path, pid);
        }
        if !replaced {
            record.said.actions.clear();
            record.said.monitor.clear();
            let said = record.to_stored_said();
            table.journal.said(id, &said);
        }
    }

    fn write_log_line(&self, line: &LogLine) {
        let id = match line {
            LogLine::Starting { id }
            | LogLine::Online { id }
            | LogLine::Exited { id, .. }
            | LogLine::Stopping { id }
            | LogLine::StillAlive { id, .. }
            | LogLine::WillRestart { id, .. }
            | LogLine::Overlimit { id, .. }
            | LogLine::SpawnFailed { id, .. }
            | LogLine::NotReady { id, .. } => id,
        };
        let table = self.table.borrow();
        let record = table.records.get(id);
        let label = AppLabel {
            name: record.map_or("", Record::name),
            mode: if record.is_some_and(Record::is_cluster) { "cluster" } else { "fork" },
            script: record.and_then(|record| record.text("pm_exec_path")).unwrap_or_default(),
        };
        self.log.supervisor_line(line, &label);
    }
}

async fn wait_for_all(processes: Vec<OwnedFd>) {
    for process in processes {
        // A descriptor that cannot be waited for must not hold up a stop: SIGKILL follows in any case.
        let _ = pidfd::ended(process).await;
    }
}

/// Where the output of an instance goes.
pub(super) fn log_spec(record: &Record) -> LogSpec {
    let mut fields: Map<String, Value> = Map::new();
    for key in [
        "name",
        "namespace",
        "pm_out_log_path",
        "pm_err_log_path",
        "pm_log_path",
        "log_date_format",
        "log_type",
        "disable_logs",
        "log_max_size",
        "log_max_age",
        "log_keep",
        "log_compress",
        "versioning",
    ] {
        if let Some(value) = record.config().get(key) {
            fields.insert(key.to_owned(), value.clone());
        }
    }
    fields.insert("pm_id".to_owned(), Value::from(record.id.0));
    LogSpec::from_record(&fields)
}
