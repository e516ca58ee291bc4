//! The kernel's news of folders, shared by all who watch.
//!
//! Owns: the one watcher, and who wants which folder. There is no watcher, and no thread, while nobody watches.
//! Must never: decide what a change means. All functions may take a while: they are for blocking threads.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::{Config, Event, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::UnboundedSender;

type Listeners = Arc<Mutex<HashMap<u64, UnboundedSender<Event>>>>;

#[derive(Clone, Default)]
pub(super) struct Eyes(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    watcher: Option<Box<dyn Watcher + Send>>,
    poll: Option<Duration>,
    folders: HashMap<PathBuf, HashSet<u64>>,
    listeners: Listeners,
}

impl std::fmt::Debug for Eyes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Eyes")
    }
}

impl Eyes {
    /// Eyes that look so often instead of being told.
    pub(super) fn polling(period: Duration) -> Eyes {
        Eyes(Arc::new(Mutex::new(Inner { poll: Some(period), ..Inner::default() })))
    }

    /// Makes `wanted` the folders of one listener. Gives those that are new, and words for what cannot be watched.
    pub(super) fn look(
        &self,
        who: u64,
        sender: &UnboundedSender<Event>,
        wanted: &BTreeSet<PathBuf>,
    ) -> (Vec<PathBuf>, Option<String>) {
        let mut inner = locked(&self.0);
        let inner = &mut *inner;
        let mut failed = None;
        if inner.watcher.is_none() {
            match make(inner.poll, Arc::clone(&inner.listeners)) {
                Ok(watcher) => inner.watcher = Some(watcher),
                Err(error) => return (Vec::new(), Some(words(&error, None))),
            }
        }
        locked(&inner.listeners).insert(who, sender.clone());
        let Some(watcher) = &mut inner.watcher else { return (Vec::new(), None) };
        let mut added = Vec::new();
        for folder in wanted {
            let owners = inner.folders.entry(folder.clone()).or_default();
            if owners.contains(&who) {
                continue;
            }
            if owners.is_empty()
                && let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive)
            {
                inner.folders.remove(folder);
                failed.get_or_insert_with(|| words(&error, Some(folder)));
                continue;
            }
            owners.insert(who);
            added.push(folder.clone());
        }
        let stale: Vec<PathBuf> = inner
            .folders
            .iter()
            .filter(|(folder, owners)| owners.contains(&who) && !wanted.contains(*folder))
            .map(|(folder, _)| folder.clone())
            .collect();
        for folder in stale {
            inner.release(&folder, who);
        }
        (added, failed)
    }

    /// These folders were removed or renamed: whatever has their names now is another folder.
    pub(super) fn lost(&self, gone: &[PathBuf]) {
        let mut inner = locked(&self.0);
        let below = |folder: &PathBuf| gone.iter().any(|gone| folder.starts_with(gone));
        let lost: Vec<PathBuf> = inner.folders.keys().filter(|folder| below(folder)).cloned().collect();
        for folder in lost {
            inner.folders.remove(&folder);
            if let Some(watcher) = &mut inner.watcher {
                // The kernel may have forgotten it already.
                let _ = watcher.unwatch(&folder);
            }
        }
    }

    /// This listener watches no more. With the last one the watcher goes.
    pub(super) fn leave(&self, who: u64) {
        let mut inner = locked(&self.0);
        let nobody = {
            let mut listeners = locked(&inner.listeners);
            listeners.remove(&who);
            listeners.is_empty()
        };
        if nobody {
            inner.folders.clear();
            inner.watcher = None;
            return;
        }
        let own: Vec<PathBuf> = inner.folders.keys().cloned().collect();
        for folder in own {
            inner.release(&folder, who);
        }
    }
}

impl Inner {
    fn release(&mut self, folder: &Path, who: u64) {
        let Some(owners) = self.folders.get_mut(folder) else { return };
        if owners.remove(&who) && owners.is_empty() {
            self.folders.remove(folder);
            if let Some(watcher) = &mut self.watcher {
                let _ = watcher.unwatch(folder);
            }
        }
    }
}

fn make(poll: Option<Duration>, listeners: Listeners) -> notify::Result<Box<dyn Watcher + Send>> {
    let told = move |event: notify::Result<Event>| {
        let Ok(event) = event else { return };
        // Reading a file is no change, and there are many readers.
        if event.kind.is_access() {
            return;
        }
        for listener in locked(&listeners).values() {
            // It may be leaving.
            let _ = listener.send(event.clone());
        }
    };
    Ok(match poll {
        Some(period) => Box::new(PollWatcher::new(told, Config::default().with_poll_interval(period))?),
        None => Box::new(RecommendedWatcher::new(told, Config::default())?),
    })
}

fn words(error: &notify::Error, folder: Option<&Path>) -> String {
    let hint = match error.kind {
        notify::ErrorKind::MaxFilesWatch => "; raise fs.inotify.max_user_watches or ignore more (ignore_watch)",
        _ => "",
    };
    match folder {
        Some(folder) => format!("cannot watch {}: {error}{hint}", folder.display()),
        None => format!("cannot watch files: {error}{hint}"),
    }
}

/// A panic elsewhere leaves nothing half done in here.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
