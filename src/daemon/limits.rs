//! `max_memory_restart`: who takes more memory than allowed is restarted (contract/api.md section 13.1).
//!
//! Owns: the look at the memory of those that have a limit, once a second.
//! Must never: wake up while nobody has a limit.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::Notify;

use super::core::Daemon;
use super::record::Record;
use crate::model::units::parse_bytes;
use crate::model::{PmId, RunId, Status};
use crate::supervisor::{Input, Verb};
use crate::sys::process::Snapshot;
use crate::sys::stat;

const PERIOD: Duration = Duration::from_secs(1);

/// A process that was to be replaced and still is there (its reload failed) is left alone for so long: pm2's period.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(crate) struct Limits {
    changed: Notify,
    /// Whom we have had restarted already, and when.
    acted: RefCell<HashMap<PmId, (RunId, Instant)>>,
}

/// One process that has a limit.
#[derive(Debug, Clone, Copy)]
struct Limited {
    id: PmId,
    run: RunId,
    pid: i32,
    limit: u64,
    tree: bool,
    verb: Verb,
}

/// In bytes; `None`: as much as it wants.
fn limit(record: &Record) -> Option<u64> {
    let limit = match record.config().get("max_memory_restart")? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => parse_bytes(text),
        _ => None,
    };
    limit.filter(|limit| *limit > 0)
}

impl Daemon {
    /// This instance is started: it may be the first that has a limit.
    pub(crate) fn sync_limit(&self, id: PmId) {
        // Not for the others, or each start would look through all that there are.
        if self.table.borrow().records.get(&id).is_some_and(|record| limit(record).is_some()) {
            self.limits.changed.notify_one();
        }
    }

    /// Looks as long as somebody has a limit. Runs as long as the daemon.
    pub(crate) async fn keep_limits(self: Rc<Self>) {
        loop {
            let changed = self.limits.changed.notified();
            if self.table.borrow().records.values().all(|record| limit(record).is_none()) {
                changed.await;
                continue;
            }
            tokio::time::sleep(PERIOD).await;
            for limited in self.limited() {
                self.check(limited);
            }
        }
    }

    fn limited(&self) -> Vec<Limited> {
        let table = self.table.borrow();
        let one = |record: &Record| {
            let limit = limit(record)?;
            let view = table.supervisor.view(record.id)?;
            let (run, pid) = view.run.zip(view.pid).filter(|_| view.status == Status::Online)?;
            // It names another process to be measured: pm2 leaves such an app alone.
            if record.said.options.iter().any(|(name, _)| **name == *"pid") {
                return None;
            }
            let verb = if record.is_cluster() { Verb::Reload } else { Verb::Restart };
            let tree = record.flag("max_memory_tree") == Some(true);
            Some(Limited { id: record.id, run, pid, limit, tree, verb })
        };
        table.records.values().filter_map(one).collect()
    }

    fn check(self: &Rc<Self>, limited: Limited) {
        let Limited { id, run, pid, limit, tree, verb } = limited;
        let used = if tree { of_tree(pid) } else { of_one(pid) };
        let told = |(before, at): &(RunId, Instant)| *before == run && at.elapsed() < PATIENCE;
        if used <= limit || self.limits.acted.borrow().get(&id).is_some_and(told) {
            return;
        }
        self.limits.acted.borrow_mut().insert(id, (run, Instant::now()));
        self.log.log(&format!(
            "[PM2][WORKER] Process {id} restarted because it exceeds --max-memory-restart value \
             (current_memory={used} max_memory_limit={limit} [octets])"
        ));
        self.feed(Input::Command { id, verb, ticket: None });
    }

    /// The instance is gone.
    pub(crate) fn forget_limit(&self, id: PmId) {
        self.limits.acted.borrow_mut().remove(&id);
    }
}

/// Resident bytes; 0 for one that has ended.
fn of_one(pid: i32) -> u64 {
    stat::read(pid).map_or(0, |stat| stat.rss)
}

fn of_tree(pid: i32) -> u64 {
    let children = Snapshot::take().map(|all| all.descendants(pid)).unwrap_or_default();
    of_one(pid) + children.iter().map(|child| of_one(child.pid)).sum::<u64>()
}
