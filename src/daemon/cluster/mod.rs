//! Cluster mode: workers of Node's `cluster` module, without Node in the daemon.
//!
//! Owns: which app a worker belongs to, the listening sockets, and what a next daemon has to know of both.
//! Must never: decide who gets a connection (that is `primary`), or accept one that nobody is free to take.

mod app;
mod custody;
mod drain;
mod handle;
mod inherited;
mod primary;
mod queue;
mod stored;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use serde_json::Value;
use serde_json::value::RawValue;

use self::app::App;
use self::custody::Custody;
use self::primary::Wishes;
use self::queue::ReloadQueue;
use self::stored::Stored;
use super::channel::{Channel, Passenger};
use super::core::Daemon;
use super::daemon_log::DaemonLog;
use super::keeper_link::KeeperLink;
use super::record::{Record, scalar_text};
use crate::model::{PmId, RunId};
use crate::supervisor::Input;
use crate::sys::packet;
use crate::wire::cluster::{FromWorker, WorkerAct};
use crate::wire::keeper::ToKeeper;

/// What the keeper holds for us: the state of an app, and its listening sockets.
const STATE: &str = "cluster/";
const LISTEN: &str = "listen/";

/// Largest state of an app, in bytes.
const MAX_STATE: usize = 16 << 20;

/// Every app that has cluster workers.
#[derive(Debug)]
pub(super) struct Clusters {
    keeper: Rc<KeeperLink>,
    custody: Rc<Custody>,
    generation: u64,
    apps: RefCell<BTreeMap<Rc<str>, Rc<App>>>,
    /// The app of each worker. It stays what it was when the worker came, whatever the app is called since.
    app_of: RefCell<HashMap<RunId, (PmId, Rc<App>)>>,
    reloads: ReloadQueue,
    /// Instances that are being deleted.
    deleted: RefCell<HashSet<PmId>>,
}

impl Clusters {
    /// Takes out of `held` what an earlier daemon had given into the keeper's care.
    pub(super) fn new(
        keeper: &Rc<KeeperLink>,
        log: DaemonLog,
        generation: u64,
        held: &mut HashMap<String, OwnedFd>,
    ) -> Rc<Clusters> {
        let clusters = Clusters {
            keeper: Rc::clone(keeper),
            custody: Custody::new(keeper, log, generation, held),
            generation,
            apps: RefCell::default(),
            app_of: RefCell::default(),
            reloads: ReloadQueue::default(),
            deleted: RefCell::default(),
        };
        let names: Vec<String> = held.keys().filter(|name| name.starts_with(STATE)).cloned().collect();
        for name in names {
            let state = held.remove(&name).and_then(|fd| packet::read_memory_file(&fd, MAX_STATE).ok());
            match state.and_then(|state| serde_json::from_slice::<Stored>(&state).ok()) {
                Some(stored) => clusters.restore(stored, held),
                None => keeper.send(&ToKeeper::Release { name }, Vec::new()),
            }
        }
        // A socket that was bound, and then its daemon died: the worker asks again.
        let unknown: Vec<String> = held.keys().filter(|name| name.starts_with(LISTEN)).cloned().collect();
        for name in unknown {
            held.remove(&name);
            keeper.send(&ToKeeper::Release { name }, Vec::new());
        }
        Rc::new(clusters)
    }

    fn restore(&self, stored: Stored, held: &mut HashMap<String, OwnedFd>) {
        let app = App::restored(&self.keeper, &self.custody, self.generation, stored, held);
        for (run, id) in app.workers() {
            self.app_of.borrow_mut().insert(run, (id, Rc::clone(&app)));
        }
        self.apps.borrow_mut().insert(app.name(), app);
    }

    /// After the processes were taken back: those that live go on, the others are gone.
    pub(super) fn settle(self: &Rc<Self>, lives: &HashMap<RunId, Channel>) {
        let known: Vec<(RunId, PmId, Rc<App>)> =
            self.app_of.borrow().iter().map(|(run, (id, app))| (*run, *id, Rc::clone(app))).collect();
        for (run, id, app) in known {
            match lives.get(&run) {
                Some(channel) => app.join(run, id, channel.clone()),
                None => self.gone(run),
            }
        }
        if self.custody.inherits() {
            let clusters = Rc::clone(self);
            tokio::task::spawn_local(async move { clusters.inherit().await });
        } else {
            for app in self.apps.borrow().values() {
                app.resume();
            }
        }
    }

    /// First what earlier daemons had accepted, then what comes.
    async fn inherit(&self) {
        let apps: Vec<Rc<App>> = self.apps.borrow().values().cloned().collect();
        let mut listeners = HashMap::new();
        let mut places = HashMap::new();
        for app in &apps {
            for (number, key, listener) in app.sources() {
                listeners.insert(number, listener);
                places.insert(number, (Rc::clone(app), key));
            }
        }
        let mut found = self.custody.take_over(&listeners).await;
        // A worker answers in the order in which it was offered them.
        found.sort_by_key(|found| found.sent.map(|(_, number)| (number.generation, number.count)));
        for found in found {
            if let Some((app, key)) = places.get(&found.key) {
                app.inherit(key, found.connection, found.sent);
            }
        }
        for app in apps {
            app.begin();
        }
    }

    /// The daemon ends on purpose.
    pub(super) fn end(&self) {
        self.custody.end();
    }

    /// The app that a worker belongs to: that of its instance or of another one of this name, else a new one.
    fn app_for(&self, id: PmId, record: &Record, siblings: &HashSet<PmId>) -> Rc<App> {
        let app_of = self.app_of.borrow();
        let of = |wanted: &dyn Fn(PmId) -> bool| app_of.values().find(|(id, _)| wanted(*id)).map(|(_, app)| app);
        if let Some(app) = of(&|known| known == id).or_else(|| of(&|known| siblings.contains(&known))) {
            return Rc::clone(app);
        }
        let mut apps = self.apps.borrow_mut();
        let name: Rc<str> = record.name().into();
        let new = || App::new(&self.keeper, &self.custody, self.generation, Rc::clone(&name), wishes(record));
        Rc::clone(apps.entry(Rc::clone(&name)).or_insert_with(new))
    }

    fn app_of(&self, run: RunId) -> Option<Rc<App>> {
        self.app_of.borrow().get(&run).map(|(_, app)| Rc::clone(app))
    }

    /// A worker is gone, or its channel is: then it takes nothing any more.
    pub(super) fn gone(&self, run: RunId) {
        let Some((_, app)) = self.app_of.borrow_mut().remove(&run) else { return };
        app.gone(run);
        if app.is_empty() {
            app.end();
            self.apps.borrow_mut().remove(&app.name());
        }
    }

    /// The channel gave up passing a connection on.
    pub(super) fn not_passed(&self, run: RunId, handle: &Rc<dyn Passenger>) {
        if let Some(app) = self.app_of(run) {
            app.not_passed(run, handle);
        }
    }
}

fn wishes(record: &Record) -> Wishes {
    let env = record.env().to_map();
    let policy = record.text("cluster_policy").or_else(|| env.get("NODE_CLUSTER_SCHED_POLICY").and_then(Value::as_str));
    Wishes { shared: matches!(policy, Some("none" | "shared")), sticky: record.flag("sticky") == Some(true) }
}

/// Whether a process of this instance is a Node worker.
pub(super) fn is_worker(record: &Record) -> bool {
    let interpreter = record.text("exec_interpreter").unwrap_or_default();
    record.is_cluster() && interpreter.rsplit('/').next().is_some_and(|base| base.starts_with("node"))
}

/// What makes `node app.js` a worker (contract/node-ipc-and-cluster.md section 1).
pub(super) fn worker_env(record: &Record, run: RunId) -> Vec<(&'static str, String)> {
    if !is_worker(record) {
        return Vec::new();
    }
    let mut env = vec![("NODE_UNIQUE_ID", run.0.to_string())];
    if let Some(policy) = record.config().get("NODE_CLUSTER_SCHED_POLICY").and_then(scalar_text) {
        env.push(("NODE_CLUSTER_SCHED_POLICY", policy));
    }
    env
}

impl Daemon {
    /// A message `{"cmd":"NODE_CLUSTER",...}` of a worker.
    pub(super) fn on_cluster(self: &Rc<Self>, id: PmId, run: RunId, text: &RawValue) {
        let message = match FromWorker::parse(text) {
            Ok(message) => message,
            Err(error) => {
                self.log.error(&format!("id {id}: {error}"));
                // Refused, it is at least not waiting for ever.
                FromWorker { seq: error.seq, act: WorkerAct::QueryServer(crate::wire::cluster::Listen::default()) }
            }
        };
        let Some(app) = self.join_cluster(id, run) else { return };
        if app.message(run, message) && !self.waits_for_ready(id) {
            self.feed(Input::Ready { id, run });
        }
    }

    fn waits_for_ready(&self, id: PmId) -> bool {
        self.table.borrow().records.get(&id).is_some_and(|record| record.flag("wait_ready") == Some(true))
    }

    /// The app of a worker that speaks.
    fn join_cluster(&self, id: PmId, run: RunId) -> Option<Rc<App>> {
        let table = self.table.borrow();
        let channel = table.runs.get(&run).and_then(|run| run.channel.clone())?;
        let known = self.clusters.app_of(run);
        let app = if let Some(app) = known {
            app
        } else {
            let record = table.records.get(&id)?;
            let siblings: HashSet<PmId> = table.named(record.name()).into_iter().collect();
            let app = self.clusters.app_for(id, record, &siblings);
            app.set_wishes(wishes(record));
            self.clusters.app_of.borrow_mut().insert(run, (id, Rc::clone(&app)));
            app
        };
        app.join(run, id, channel);
        Some(app)
    }
}
