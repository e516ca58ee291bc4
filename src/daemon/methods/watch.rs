//! `startWatch`, `stopWatch`, `toggleWatch`: the flag; the watcher itself follows it (`crate::daemon::watch`).

use std::rc::Rc;

use serde_json::{Value, json};

use super::{Id, id_argument};
use crate::daemon::answer::Answer;
use crate::daemon::core::Daemon;
use crate::daemon::dispatch::{Args, Reply};
use crate::model::PmId;

pub(in crate::daemon) fn start(daemon: &Rc<Daemon>, args: Args<'_>) -> Reply {
    let ids = meant(daemon, args);
    let already = !ids.is_empty() && ids.iter().all(|id| is_watched(daemon, *id));
    for id in ids.into_iter().filter(|_| !already) {
        set(daemon, id, true);
    }
    let answer = if already { json!({ "success": true, "notrestarted": true }) } else { json!({ "success": true }) };
    Reply::Now(Answer::value(&answer))
}

pub(in crate::daemon) fn stop(daemon: &Rc<Daemon>, args: Args<'_>) -> Reply {
    for id in meant(daemon, args) {
        set(daemon, id, false);
    }
    Reply::Now(Answer::value(&json!({ "success": true })))
}

pub(in crate::daemon) fn toggle(daemon: &Rc<Daemon>, args: Args<'_>) -> Reply {
    for id in meant(daemon, args) {
        set(daemon, id, !is_watched(daemon, id));
    }
    Reply::Now(Answer::value(&json!({ "success": true })))
}

/// Two arguments: the name of a method, and what it would be given. A method for names takes a name.
fn meant(daemon: &Rc<Daemon>, args: Args<'_>) -> Vec<PmId> {
    let method: String = serde_json::from_str(args.text(0)).unwrap_or_default();
    let table = daemon.table.borrow();
    if method.starts_with("deleteAll") {
        return table.records.keys().copied().collect();
    }
    if method.ends_with("ProcessName") {
        let name: Option<Id> = serde_json::from_str(args.text(1)).ok();
        return name.map(|name| table.named(&name.0)).unwrap_or_default();
    }
    id_argument(args.text(1)).and_then(|id| table.find(&id.0)).into_iter().collect()
}

fn is_watched(daemon: &Rc<Daemon>, id: PmId) -> bool {
    let table = daemon.table.borrow();
    let watch = table.records.get(&id).and_then(|record| record.config().get("watch"));
    watch.is_some_and(|watch| !matches!(watch, Value::Null | Value::Bool(false)) && watch.as_str() != Some("false"))
}

/// Sets the flag, and lets the watcher follow it.
pub(super) fn set(daemon: &Rc<Daemon>, id: PmId, on: bool) {
    let mut table = daemon.table.borrow_mut();
    let Some(record) = table.records.get_mut(&id) else { return };
    if record.config().get("watch") == Some(&Value::Bool(on)) {
        return;
    }
    record.config_mut().insert("watch".to_owned(), Value::Bool(on));
    let stored = record.to_stored();
    table.journal.put(id, &stored);
    drop(table);
    daemon.flush_journal();
    daemon.sync_watch(id);
}
