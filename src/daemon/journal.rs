//! What a new daemon needs to go on where a killed one was: every record and slot, written as they change.
//!
//! Owns: the journal file: one JSON line per entry, a header first; a line that was cut by the kill is ignored.
//! Must never: be needed by anything but a restart (a daemon whose journal cannot be written goes on and says so), or
//! grow without bound: it is written anew when it has become several times larger than what it holds.

mod read;

use std::collections::HashMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use self::read::Restored;
use super::record::{Stored, StoredSaid};
use crate::model::{PmId, RunId};
use crate::supervisor::Slot;
use crate::sys::file::{self, Durability};

/// Goes up when the meaning of an entry changes. A newer one is refused with words, as its apps may run; an older one
/// is read for ever.
pub(crate) const VERSION: u32 = 1;

/// A journal smaller than this is never written anew, in bytes.
const SMALL: u64 = 256 * 1024;

/// How much larger than its living content the file may become.
const SLACK: u64 = 4;

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    pm2rs_journal: u32,
    boot: String,
}

/// Entries are added and never changed; unknown ones are ignored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Entry<R, S, L, A> {
    /// The record of an instance: configuration and environment.
    Put(PmId, R),
    /// What the app said about itself.
    Said(PmId, S),
    /// The state that the supervisor has of it, and the next run number at that time.
    Slot(PmId, L, u64),
    /// The processes of an instance that live: for the case that the keeper dies with us.
    Alive(PmId, A),
    Del(PmId),
}

/// A process that no other can be mistaken for: run, pid and start time (`/proc/<pid>/stat` field 22).
pub(crate) type Alive = (RunId, i32, u64);

/// The journal of a daemon that is newer than this one, and whose apps may run.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} was written by a newer pm2-rs (version {version}; this one reads up to {VERSION}): use that one, or end its apps \
     and remove the file", .path.display()
)]
pub(crate) struct Newer {
    path: PathBuf,
    version: u32,
}

/// The kinds of entry that are kept once for each id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Kind {
    Put,
    Said,
    Slot,
    Alive,
}

#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    boot: String,
    file: Option<File>,
    size: u64,
    /// Length and hash of the newest line of each kind: what a rewrite would keep, and what need not be written again.
    newest: HashMap<(PmId, Kind), (u64, u64)>,
    live: u64,
    /// Lines collected since the last [`Journal::flush`].
    pending: String,
}

impl Journal {
    /// A journal that begins empty: what is at `path` is replaced by the first rewrite.
    pub(crate) fn new(path: &Path) -> Journal {
        Journal {
            path: path.to_path_buf(),
            boot: boot_id(),
            file: None,
            size: 0,
            newest: HashMap::new(),
            live: 0,
            pending: String::new(),
        }
    }

    pub(crate) fn put(&mut self, id: PmId, record: &Stored) {
        self.add(id, Kind::Put, &Entry::<_, (), (), ()>::Put(id, record));
    }

    pub(crate) fn said(&mut self, id: PmId, said: &StoredSaid) {
        self.add(id, Kind::Said, &Entry::<(), _, (), ()>::Said(id, said));
    }

    pub(crate) fn slot(&mut self, id: PmId, slot: &Slot, next_run: u64) {
        self.add(id, Kind::Slot, &Entry::<(), (), _, ()>::Slot(id, slot, next_run));
    }

    pub(crate) fn alive(&mut self, id: PmId, alive: Vec<Alive>) {
        self.add(id, Kind::Alive, &Entry::<(), (), (), _>::Alive(id, alive));
    }

    pub(crate) fn del(&mut self, id: PmId) {
        for kind in [Kind::Put, Kind::Said, Kind::Slot, Kind::Alive] {
            if let Some((length, _)) = self.newest.remove(&(id, kind)) {
                self.live -= length;
            }
        }
        if let Ok(line) = serde_json::to_string(&Entry::<(), (), (), ()>::Del(id)) {
            self.pending.push_str(&line);
            self.pending.push('\n');
        }
    }

    fn add(&mut self, id: PmId, kind: Kind, entry: &impl Serialize) {
        let Ok(line) = serde_json::to_string(entry) else { return };
        let newest = fingerprint(&line);
        let known = self.newest.insert((id, kind), newest);
        if known == Some(newest) {
            return;
        }
        self.live = self.live + newest.0 - known.map_or(0, |(length, _)| length);
        self.pending.push_str(&line);
        self.pending.push('\n');
    }

    /// Whether the file has grown so much that it should be written anew, by [`Journal::begin_rewrite`], adding
    /// everything, and [`Journal::end_rewrite`].
    pub(crate) fn is_bloated(&self) -> bool {
        let size = self.size + self.pending.len() as u64;
        size > SMALL && size > self.live.saturating_mul(SLACK)
    }

    /// Writes what was added. An error means that the file is not complete: rewrite it before the next flush.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let Some(file) = &mut self.file else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no journal file is open"));
        };
        // One call for all: a kill leaves either all of it or, rarely, a cut last line.
        if let Err(error) = file.write_all(self.pending.as_bytes()) {
            self.file = None;
            return Err(error);
        }
        self.size += self.pending.len() as u64;
        self.pending.clear();
        self.pending.shrink_to(64 * 1024);
        Ok(())
    }

    /// Whether the file lacks something: it was never written, or a write failed.
    pub(crate) fn is_broken(&self) -> bool {
        self.file.is_none()
    }

    /// Forgets what was written; everything that lives is then added again.
    pub(crate) fn begin_rewrite(&mut self) {
        self.newest.clear();
        self.pending.clear();
        self.live = 0;
    }

    /// Replaces the file with what was added since [`Journal::begin_rewrite`], in one step.
    pub(crate) fn end_rewrite(&mut self) -> io::Result<()> {
        let mut content = serde_json::to_string(&Header { pm2rs_journal: VERSION, boot: self.boot.clone() })?;
        content.push('\n');
        content.push_str(&self.pending);
        self.file = None;
        file::replace(&self.path, content.as_bytes(), Durability::Cache)?;
        self.file = Some(file::append(&self.path, 0o600)?);
        self.size = content.len() as u64;
        self.pending = String::new();
        Ok(())
    }

    /// Removes the file: the daemon ends on purpose.
    pub(crate) fn remove(&mut self) {
        self.file = None;
        // One that stays is ignored by the next first daemon.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Length in the file, and hash, of a line.
fn fingerprint(line: &str) -> (u64, u64) {
    let mut hasher = DefaultHasher::new();
    line.hash(&mut hasher);
    (line.len() as u64 + 1, hasher.finish())
}

/// Names this boot of the machine, and the container: pids and monotonic times of another one mean nothing.
fn boot_id() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let pids = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{} {}", boot.trim(), pids.display())
}

#[cfg(test)]
mod tests;
