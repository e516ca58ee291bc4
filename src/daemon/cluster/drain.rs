//! How a worker leaves without losing a request: no new connections, then `disconnect`, then the stop signal
//! (contract/node-ipc-and-cluster.md section 3, "Graceful end").
//!
//! Owns: which stops are graceful, how long a worker may drain, and the turn of each reload.
//! Must never: hold up a stop that the user wants at once, or wait longer than the supervisor's own limit.

use std::rc::Rc;
use std::time::Duration;

use super::Clusters;
use crate::daemon::answer::{Answer, Rendered};
use crate::daemon::core::Daemon;
use crate::daemon::dispatch::{Reply, outcome};
use crate::daemon::table::Render;
use crate::model::{PmId, RunId, Signal, Status};
use crate::supervisor::{Input, StopHow, Verb};
use crate::sys::pidfd;

/// A worker that has nothing left to do ends by itself; one that still has timers or the like waits for the signal.
const OWN_END: Duration = Duration::from_millis(100);

/// How long a worker may take to let go of connections that are kept alive.
const LET_GO: Duration = Duration::from_secs(2);

impl Clusters {
    /// The instance is gone; another one may get its id.
    pub(in crate::daemon) fn removed(&self, id: PmId) {
        self.deleted.borrow_mut().remove(&id);
    }

    /// Our script in this worker has let its connections go.
    pub(in crate::daemon) fn drained(&self, run: RunId) {
        if let Some(app) = self.app_of(run) {
            app.step(|primary, _, out| primary.drained(run, out));
        }
    }

    /// This instance is being deleted: when others go on serving (`scale` down) it may finish what it has.
    pub(in crate::daemon) fn deletes(&self, id: PmId) {
        self.deleted.borrow_mut().insert(id);
    }
}

impl Daemon {
    /// Lets a worker finish what it has before it is asked to end. False: it is none that may.
    pub(in crate::daemon) fn let_go(self: &Rc<Self>, id: PmId, run: RunId, how: StopHow, tree: bool) -> bool {
        let Some(app) = self.clusters.app_of(run) else { return false };
        let deleted = self.clusters.deleted.borrow_mut().remove(&id);
        let (channel, closed, process, kill_timeout) = {
            let table = self.table.borrow();
            // The process that a reload has replaced no longer holds its slot.
            let view = table.supervisor.view(id);
            let replaced = view.is_some_and(|view| view.status == Status::Online && view.run != Some(run));
            let spared = deleted && app.can_be_spared(run);
            if !replaced && !spared {
                return false;
            }
            let (Some(record), Some(run)) = (table.records.get(&id), table.runs.get(&run)) else { return false };
            let Some(channel) = run.channel.clone().filter(|channel| channel.is_open() && !run.ended) else {
                return false;
            };
            let kill_timeout = record.policy(&self.settings.defaults).kill_timeout;
            (channel, Rc::clone(&run.closed), Rc::clone(&run.pidfd), kill_timeout)
        };
        let told = how == StopHow::Message && channel.send(r#""shutdown""#).is_ok();
        // The descendants as they are now: later they may be orphans that nobody finds.
        let members = if tree && !told { self.whole_tree(id, run, true) } else { Vec::new() };
        app.step(|primary, now, out| primary.drain(run, !told, now, out));
        if told {
            self.feed(Input::TreeGone { id, run });
            return true;
        }
        let daemon = Rc::clone(self);
        tokio::task::spawn_local(async move {
            // The rest is for what the app does on the signal.
            let grace = Duration::from_millis(kill_timeout.saturating_mul(3) / 4);
            let first = LET_GO.min(grace * 2 / 3);
            let mut drained = tokio::time::timeout(first, closed.wait()).await.is_ok();
            if !drained {
                daemon.clusters.drained(run);
                drained = tokio::time::timeout(grace.saturating_sub(first), closed.wait()).await.is_ok();
            }
            if drained && let Ok(process) = process.try_clone() {
                let _ = tokio::time::timeout(OWN_END.min(grace), pidfd::ended(process)).await;
            }
            let signal = match how {
                StopHow::Signal(signal) => signal,
                StopHow::Message => daemon.stop_signal(id),
            };
            let mut all = if tree { daemon.whole_tree(id, run, true) } else { Vec::new() };
            all.extend(members.into_iter().filter(|member| !all.contains(member)).collect::<Vec<_>>());
            daemon.signal(id, run, &all, tree, signal);
        });
        true
    }

    fn stop_signal(&self, id: PmId) -> Signal {
        let table = self.table.borrow();
        table.records.get(&id).map_or(Signal::INT, |record| record.policy(&self.settings.defaults).stop_signal)
    }

    /// Replaces a worker when it is its turn among those of its app: `reload_parallel` at a time, one by default.
    pub(in crate::daemon) fn reload_in_turn(self: &Rc<Self>, id: PmId, render: Render) -> Reply {
        let (app, width) = {
            let table = self.table.borrow();
            let Some(record) = table.records.get(&id) else { return Reply::error("PM2 ID unknown") };
            let wanted = record.config().get("reload_parallel");
            let wanted = wanted.and_then(|value| value.as_u64().or_else(|| value.as_str()?.trim().parse().ok()));
            (record.name().to_owned(), usize::try_from(wanted.unwrap_or(1)).unwrap_or(usize::MAX))
        };
        let Some(turn) = self.clusters.reloads.enter(&app, id, width) else {
            return Reply::error(&format!("Reload already in progress for process id {id}, retry later"));
        };
        let (sender, reply) = tokio::sync::oneshot::channel();
        let daemon = Rc::clone(self);
        // A task of its own: it goes on, and lets the next one begin, also when the client has gone.
        tokio::task::spawn_local(async move {
            let _ = sender.send(daemon.reload_when(turn, app, id, width, render).await);
        });
        Reply::Later(Box::pin(async move { Answer::rendered(outcome(reply).await) }))
    }

    async fn reload_when(
        self: Rc<Self>,
        turn: super::queue::Turn,
        app: String,
        id: PmId,
        width: usize,
        render: Render,
    ) -> Rendered {
        match turn.await {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => return Err(reason),
            Err(_) => return Err("the daemon is ending".to_owned()),
        }
        let rendered = outcome(self.command(id, Verb::Reload, render)).await;
        self.clusters.reloads.leave(&app, id, width, rendered.as_ref().err().map(String::as_str));
        rendered
    }
}
