//! The table: every instance with its record, its state and its process, and the calls that wait for an outcome.
//!
//! Owns: supervisor, records, runs, pending replies, the journal of them all; what a list shows.
//! Must never: be borrowed over an await, or do what an effect says (see `effects`).

use std::collections::{BTreeMap, HashMap};

use tokio::sync::oneshot;

use super::answer::Rendered;
use super::journal::{Alive, Journal};
use super::record::Record;
use super::render::{push_brief, push_proc, push_saved};
use super::run::Run;
use super::sampler::Figures;
use crate::model::{PmId, RunId, Status};
use crate::supervisor::{Outcome, Supervisor, Ticket, View};

/// Turns the outcome of a command into the value or the words of its reply, at the very moment of the outcome.
pub(crate) type Render = Box<dyn FnOnce(&Table, Outcome) -> Rendered>;

pub(crate) struct Table {
    pub(crate) supervisor: Supervisor,
    pub(crate) records: BTreeMap<PmId, Record>,
    pub(crate) runs: HashMap<RunId, Run>,
    pub(crate) journal: Journal,
    pending: HashMap<Ticket, (Render, oneshot::Sender<Rendered>)>,
    next_ticket: u64,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table")
            .field("records", &self.records.len())
            .field("runs", &self.runs.len())
            .finish_non_exhaustive()
    }
}

impl Table {
    pub(crate) fn new(supervisor: Supervisor, journal: Journal) -> Table {
        Table {
            supervisor,
            records: BTreeMap::new(),
            runs: HashMap::new(),
            journal,
            pending: HashMap::new(),
            next_ticket: 1,
        }
    }

    /// A ticket for a command, and where its reply arrives.
    pub(crate) fn ticket(&mut self, render: Render) -> (Ticket, oneshot::Receiver<Rendered>) {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let (sender, receiver) = oneshot::channel();
        self.pending.insert(ticket, (render, sender));
        (ticket, receiver)
    }

    pub(crate) fn reply(&mut self, ticket: Ticket, outcome: Outcome) {
        if let Some((render, sender)) = self.pending.remove(&ticket) {
            // Whoever asked may have gone.
            let _ = sender.send(render(self, outcome));
        }
    }

    /// Looks an id up as clients name it: a number, or its text.
    pub(crate) fn find(&self, id: &str) -> Option<PmId> {
        let id = PmId(id.trim().parse().ok()?);
        self.records.contains_key(&id).then_some(id)
    }

    /// The run whose process holds this id now.
    pub(crate) fn run_of(&self, id: PmId) -> Option<&Run> {
        let run = self.supervisor.view(id)?.run?;
        self.runs.get(&run)
    }

    /// Which processes of an instance live, for the journal.
    pub(crate) fn alive(&self, id: PmId) -> Vec<Alive> {
        let mut alive: Vec<Alive> = self
            .runs
            .values()
            .filter(|run| run.id == id && !run.ended)
            .map(|run| (run.number, run.pid, run.start_time))
            .collect();
        alive.sort_unstable();
        alive
    }

    /// The same of every instance at once.
    pub(crate) fn all_alive(&self) -> BTreeMap<PmId, Vec<Alive>> {
        let mut all: BTreeMap<PmId, Vec<Alive>> = self.records.keys().map(|id| (*id, Vec::new())).collect();
        for run in self.runs.values().filter(|run| !run.ended) {
            all.entry(run.id).or_default().push((run.number, run.pid, run.start_time));
        }
        for alive in all.values_mut() {
            alive.sort_unstable();
        }
        all
    }

    /// Ids of the records of this name.
    pub(crate) fn named(&self, name: &str) -> Vec<PmId> {
        self.records.values().filter(|record| record.name() == name).map(|record| record.id).collect()
    }

    /// Every instance that is `wanted`, lowest id first. With `monit` one figure for each is shown.
    pub(crate) fn push_list(&self, out: &mut String, monit: Option<&Figures>, wanted: impl Fn(&Record) -> bool) {
        self.push_each(out, wanted, |out, record, view| {
            let monit = monit.map(|all| all.of(record.id));
            push_proc(out, record, view, monit);
        });
    }

    /// The same with what our client's verbs look into.
    pub(crate) fn push_brief_list(&self, out: &mut String, wanted: impl Fn(&Record) -> bool) {
        self.push_each(out, wanted, push_brief);
    }

    /// The same to be saved.
    pub(crate) fn push_saved_list(&self, out: &mut String, wanted: impl Fn(&Record) -> bool) {
        self.push_each(out, wanted, push_saved);
    }

    fn push_each(
        &self,
        out: &mut String,
        wanted: impl Fn(&Record) -> bool,
        push: impl Fn(&mut String, &Record, &View),
    ) {
        out.push('[');
        let mut first = true;
        for record in self.records.values().filter(|record| wanted(record)) {
            let Some(view) = self.supervisor.view(record.id) else { continue };
            if !std::mem::take(&mut first) {
                out.push(',');
            }
            push(out, record, &view);
        }
        out.push(']');
    }

    /// The process that is measured for each online instance: `axm_options.pid` if the app set it, else its own.
    pub(crate) fn measured(&self, wanted: impl Fn(&Record) -> bool) -> Vec<(PmId, i32)> {
        let pid = |record: &Record| {
            let view = self.supervisor.view(record.id)?;
            let pid = record.said.measured_pid().or(view.pid)?;
            (view.status == Status::Online).then_some((record.id, pid))
        };
        self.records.values().filter(|record| wanted(record)).filter_map(pid).collect()
    }
}
