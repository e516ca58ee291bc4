//! `watch`: restarts when files change (contract/options.md section 8, contract/api.md section 13.3).
//!
//! Owns: who watches what, and what a change leads to. Instances of one app with the same wishes share one watch, because
//! a change restarts all of that name.
//! Must never: take a log, pid or dump file of ours for a change, or have a thread while nobody watches.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use notify::event::{MetadataKind, ModifyKind};
use notify::{Event, EventKind};
use serde_json::Value;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::timeout;

use self::eyes::Eyes;
use self::spec::Spec;
use super::core::Daemon;
use super::dispatch::outcome;
use super::methods::render_proc;
use super::record::Record;
use crate::model::{PmId, Status};
use crate::supervisor::Verb;

mod eyes;
mod glob;
mod spec;

/// Somebody who writes without a pause must not put a restart off for ever: so many quiet times are the most.
const MOST_QUIETS: u32 = 20;

/// Everything that is watched.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    groups: RefCell<Vec<Group>>,
    next: Cell<u64>,
    eyes: Eyes,
}

/// Instances of one name with the same wishes.
#[derive(Debug)]
struct Group {
    key: String,
    number: u64,
    members: BTreeSet<PmId>,
    eyes: Eyes,
    task: tokio::task::JoinHandle<()>,
}

/// What the task of a group needs.
#[derive(Debug)]
struct Watcher {
    number: u64,
    name: String,
    spec: Arc<Spec>,
    eyes: Eyes,
    sender: UnboundedSender<Event>,
}

/// What several events of one moment come to.
#[derive(Debug, Default)]
struct Change {
    path: Option<PathBuf>,
    /// Folders may have come or gone.
    moved: bool,
    gone: Vec<PathBuf>,
}

impl Daemon {
    /// The instance is started, or its wishes changed.
    pub(crate) fn sync_watch(self: &Rc<Self>, id: PmId) {
        let wish = {
            let table = self.table.borrow();
            let record = table.records.get(&id);
            record.filter(|record| record.config().get("watch").is_some_and(spec::is_on)).map(key)
        };
        let groups = self.watches.groups.borrow();
        let known = groups.iter().find(|group| group.members.contains(&id)).map(|group| group.key.clone());
        drop(groups);
        if wish == known {
            return;
        }
        self.forget_watch(id);
        let Some(key) = wish else { return };
        let mut groups = self.watches.groups.borrow_mut();
        if let Some(group) = groups.iter_mut().find(|group| group.key == key) {
            group.members.insert(id);
            return;
        }
        drop(groups);
        self.begin_watch(id, key);
    }

    fn begin_watch(self: &Rc<Self>, id: PmId, key: String) {
        let (name, spec) = {
            let table = self.table.borrow();
            let Some(record) = table.records.get(&id) else { return };
            let Some((spec, bad)) = Spec::of(record.config()) else { return };
            for text in bad {
                self.log.error(&format!("[Watch] {}: a pattern cannot be read and is left out: {text}", record.name()));
            }
            (record.name().to_owned(), Arc::new(spec))
        };
        let number = self.watches.next.get();
        self.watches.next.set(number + 1);
        let eyes = spec.poll.map_or_else(|| self.watches.eyes.clone(), Eyes::polling);
        let (sender, receiver) = mpsc::unbounded_channel();
        let watcher = Watcher { number, name, spec, eyes: eyes.clone(), sender };
        let task = tokio::task::spawn_local(Rc::clone(self).watch_over(watcher, receiver));
        self.watches.groups.borrow_mut().push(Group { key, number, members: BTreeSet::from([id]), eyes, task });
    }

    /// The instance is gone, or is stopped.
    pub(crate) fn forget_watch(&self, id: PmId) {
        let mut groups = self.watches.groups.borrow_mut();
        let Some(at) = groups.iter().position(|group| group.members.contains(&id)) else { return };
        let name = self.table.borrow().records.get(&id).map(|record| record.name().to_owned());
        self.log.log(&format!("[Watch] Stop watching {}", name.unwrap_or_default()));
        if let Some(group) = groups.get_mut(at) {
            group.members.remove(&id);
            if group.members.is_empty() {
                let group = groups.swap_remove(at);
                group.task.abort();
                tokio::task::spawn_blocking(move || group.eyes.leave(group.number));
            }
        }
    }

    async fn watch_over(self: Rc<Self>, watcher: Watcher, mut events: UnboundedReceiver<Event>) {
        self.rescan(&watcher, Vec::new()).await;
        self.log.log(&format!("[Watch] Start watching {}", watcher.name));
        loop {
            let Some(change) = self.next_change(&watcher, &mut events).await else { return };
            let shown = change.strip_prefix(&watcher.spec.cwd).unwrap_or(&change).display();
            self.log.log(&format!("Change detected on path {shown} for app {} - restarting", watcher.name));
            if !watcher.spec.delay.is_zero() {
                tokio::time::sleep(watcher.spec.delay).await;
            }
            self.restart_named(&watcher.name).await;
            // What changed meanwhile is what was restarted for.
            let mut missed = Change::default();
            while let Ok(event) = events.try_recv() {
                self.judge(&watcher.spec, &event, &mut missed);
            }
            if missed.moved {
                self.rescan(&watcher, missed.gone).await;
            }
        }
    }

    /// Waits for a change that counts, and then until it is complete.
    async fn next_change(&self, watcher: &Watcher, events: &mut UnboundedReceiver<Event>) -> Option<PathBuf> {
        loop {
            let mut change = Change::default();
            self.judge(&watcher.spec, &events.recv().await?, &mut change);
            let quiet = watcher.spec.quiet;
            let _ = timeout(quiet * MOST_QUIETS, async {
                while change.path.is_some() || change.moved {
                    let Ok(Some(event)) = timeout(quiet, events.recv()).await else { break };
                    self.judge(&watcher.spec, &event, &mut change);
                }
            })
            .await;
            let mut found = change.path;
            if change.moved {
                let inside = self.rescan(watcher, change.gone).await;
                found = found.or(inside);
            }
            if found.is_some() {
                return found;
            }
        }
    }

    fn judge(&self, spec: &Spec, event: &Event, change: &mut Change) {
        if event.need_rescan() {
            // The kernel had more to tell than it could keep.
            (change.moved, change.path) = (true, Some(spec.cwd.clone()));
            return;
        }
        match event.kind {
            EventKind::Create(_) => change.moved |= event.paths.iter().any(|path| path.is_dir()),
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => {
                change.moved = true;
                change.gone.extend(event.paths.iter().filter(|path| !path.is_file()).cloned());
            }
            _ => {}
        }
        for path in &event.paths {
            if change.path.is_none() && is_change(event.kind, path) && spec.counts(path) && !self.is_ours(path) {
                change.path = Some(path.clone());
            }
        }
    }

    /// Watches the folders that are there now. Gives a file that came in a new folder before that was watched.
    async fn rescan(&self, watcher: &Watcher, gone: Vec<PathBuf>) -> Option<PathBuf> {
        let (spec, eyes, sender) = (Arc::clone(&watcher.spec), watcher.eyes.clone(), watcher.sender.clone());
        let number = watcher.number;
        let looked = tokio::task::spawn_blocking(move || {
            if !gone.is_empty() {
                eyes.lost(&gone);
            }
            let (added, failed) = eyes.look(number, &sender, &spec.folders());
            let inside = |folder: &PathBuf| {
                let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
                entries.map(|entry| entry.path()).find(|path| spec.counts(path))
            };
            (added.iter().find_map(inside), failed)
        });
        let (found, failed) = looked.await.unwrap_or_default();
        if let Some(error) = failed {
            self.log.error(&format!("[Watch] {}: {error}", watcher.name));
        }
        found.filter(|path| !self.is_ours(path))
    }

    async fn restart_named(self: &Rc<Self>, name: &str) {
        let ids = self.table.borrow().named(name);
        let mut replies = Vec::new();
        for id in ids {
            let stopping = self.table.borrow().supervisor.view(id).is_some_and(|view| view.status == Status::Stopping);
            if stopping {
                self.log.error(&format!("[Watch] Process name {name} is being stopped so I won't restart it"));
                continue;
            }
            replies.push(self.command(id, Verb::Restart, Box::new(render_proc)));
        }
        for reply in replies {
            // It is told in the log by others.
            let _ = outcome(reply).await;
        }
    }

    /// What we write ourselves: logs (also rotated ones), pid files, and what lies in `PM2_HOME`.
    fn is_ours(&self, path: &Path) -> bool {
        let home = &self.home;
        if path.parent() == Some(&home.root) || path.starts_with(&home.logs_dir) || path.starts_with(&home.pids_dir) {
            return true;
        }
        let table = self.table.borrow();
        table.records.values().any(|record| {
            let keys = ["pm_out_log_path", "pm_err_log_path", "pm_log_path", "pm_pid_path"];
            keys.iter().filter_map(|key| record.text(key)).any(|own| is_or_was(path, Path::new(own)))
        })
    }
}

/// The file itself, or what a rotation made of it: `web-out.log.1`, `web-out-2026-01-01.log.gz`.
fn is_or_was(path: &Path, own: &Path) -> bool {
    if path == own {
        return true;
    }
    let text = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = own.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let name = text(path);
    let rest = name.strip_prefix(&stem).unwrap_or_default();
    path.parent() == own.parent() && rest.starts_with(['.', '-', '_']) && rest.contains(".log")
}

/// A change of content or of existence. Where only attributes changed, the time of the last change tells.
fn is_change(kind: EventKind, path: &Path) -> bool {
    match kind {
        EventKind::Modify(ModifyKind::Metadata(MetadataKind::WriteTime)) => true,
        EventKind::Modify(ModifyKind::Metadata(_)) => {
            let changed = std::fs::metadata(path).and_then(|meta| meta.modified());
            changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age < Duration::from_secs(2))) && path.is_file()
        }
        EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Any => true,
        EventKind::Access(_) | EventKind::Other => false,
    }
}

/// Everything that a watch depends on.
fn key(record: &Record) -> String {
    let wishes = ["name", "pm_cwd", "watch", "ignore_watch", "watch_options", "watch_delay"];
    let list: Vec<&Value> = wishes.iter().map(|name| record.config().get(*name).unwrap_or(&Value::Null)).collect();
    serde_json::to_string(&list).unwrap_or_default()
}
