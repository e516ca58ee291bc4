//! What an earlier daemon left in a journal, and how the next one goes on writing to it.
//!
//! Owns: which lines count: the last one of each kind and id, and only these are looked into. It is all that a recovery
//! waits for, so nothing is parsed twice and nothing written that is there already.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::value::RawValue;

use super::{Alive, Entry, Header, Journal, Kind, Newer, VERSION, boot_id, fingerprint};
use crate::daemon::record::{Stored, StoredSaid};
use crate::model::PmId;
use crate::supervisor::Slot;
use crate::sys::file;

/// What a journal held.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    pub(crate) instances: BTreeMap<PmId, (Stored, Option<StoredSaid>, Option<Slot>)>,
    pub(crate) alive: BTreeMap<PmId, Vec<Alive>>,
    pub(crate) next_run: u64,
}

/// The newest lines of one instance: the whole line, and what is in it.
type Newest<'a> = BTreeMap<Kind, (&'a str, &'a RawValue)>;

impl Journal {
    /// Goes on with the journal that an earlier daemon left: what it held, and the same file to be appended to. One of
    /// another boot of the machine, or none, is empty; it, one of an older version and one whose last line is cut are
    /// written anew with the first flush.
    pub(crate) fn resume(path: &Path) -> Result<(Journal, Restored), Newer> {
        let fresh = || (Journal::new(path), Restored::default());
        let Ok(content) = std::fs::read(path) else { return Ok(fresh()) };
        let end = content.iter().position(|byte| *byte == b'\n').unwrap_or(content.len());
        let (first, entries) = content.split_at(end);
        let header = serde_json::from_slice::<Header>(first).ok();
        let Some(header) = header.filter(|header| header.boot == boot_id()) else { return Ok(fresh()) };
        if header.pm2rs_journal > VERSION {
            return Err(Newer { path: path.to_path_buf(), version: header.pm2rs_journal });
        }
        let (newest, next_run) = newest(entries);
        let mut journal = Journal::new(path);
        for (id, lines) in &newest {
            for (kind, (line, _)) in lines {
                let fingerprint = fingerprint(line);
                journal.live += fingerprint.0;
                journal.newest.insert((*id, *kind), fingerprint);
            }
        }
        let is_whole = header.pm2rs_journal == VERSION && content.ends_with(b"\n");
        if is_whole && let Ok(file) = file::append(path, 0o600) {
            journal.file = Some(file);
            journal.size = content.len() as u64;
        }
        Ok((journal, restored(&newest, next_run)))
    }
}

/// The lines that count, and the highest number of the next run.
fn newest(entries: &[u8]) -> (BTreeMap<PmId, Newest<'_>>, u64) {
    let mut newest: BTreeMap<PmId, Newest<'_>> = BTreeMap::new();
    let mut highest = 0;
    for line in entries.split(|byte| *byte == b'\n') {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        // The cut last line, and entries of a later version, are passed over.
        let Ok(entry) = serde_json::from_str::<Entry<&RawValue, &RawValue, &RawValue, &RawValue>>(line) else {
            continue;
        };
        let (kind, id, content) = match entry {
            Entry::Put(id, content) => (Kind::Put, id, content),
            Entry::Said(id, content) => (Kind::Said, id, content),
            Entry::Slot(id, content, next_run) => {
                highest = highest.max(next_run);
                (Kind::Slot, id, content)
            }
            Entry::Alive(id, content) => (Kind::Alive, id, content),
            Entry::Del(id) => {
                newest.remove(&id);
                continue;
            }
        };
        newest.entry(id).or_default().insert(kind, (line, content));
    }
    (newest, highest)
}

fn restored(newest: &BTreeMap<PmId, Newest<'_>>, next_run: u64) -> Restored {
    let mut restored = Restored { next_run, ..Restored::default() };
    for (id, lines) in newest {
        let text = |kind| lines.get(&kind).map(|(_, content)| content.get());
        if let Some(alive) = text(Kind::Alive).and_then(|text| serde_json::from_str(text).ok()) {
            restored.alive.insert(*id, alive);
        }
        let Some(stored) = text(Kind::Put).and_then(|text| serde_json::from_str(text).ok()) else { continue };
        let said = text(Kind::Said).and_then(|text| serde_json::from_str(text).ok());
        let slot = text(Kind::Slot).and_then(|text| serde_json::from_str(text).ok());
        restored.instances.insert(*id, (stored, said, slot));
    }
    restored
}
