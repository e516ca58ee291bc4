//! `sendSignalToProcessId` and `sendSignalToProcessName`.

use std::rc::Rc;

use serde::Deserialize;

use super::{Id, shown};
use crate::daemon::answer::Answer;
use crate::daemon::core::Daemon;
use crate::daemon::dispatch::{Args, Reply};
use crate::daemon::record::Record;
use crate::model::{PmId, Signal, Status};

#[derive(Debug, Default, Deserialize)]
struct ById {
    #[serde(default)]
    process_id: Option<Id>,
    #[serde(default)]
    signal: Option<Id>,
}

pub(in crate::daemon) fn to_id(daemon: &Rc<Daemon>, args: Args<'_>) -> Reply {
    let wish: ById = serde_json::from_str(args.text(0)).unwrap_or_default();
    let Some(id) = daemon.table.borrow().find(&shown(wish.process_id.as_ref())) else {
        return Reply::error(&format!("{} id unknown", shown(wish.process_id.as_ref())));
    };
    let Some(signal) = wish.signal.and_then(|signal| Signal::parse(&signal.0)) else {
        return Reply::error("Error when sending signal (signal unknown)");
    };
    if let Err(error) = send(daemon, id, signal) {
        return Reply::error(&format!("Error when sending signal ({error})"));
    }
    list(daemon)
}

#[derive(Debug, Default, Deserialize)]
struct ByName {
    #[serde(default)]
    process_name: Option<Id>,
    #[serde(default)]
    signal: Option<Id>,
}

pub(in crate::daemon) fn to_name(daemon: &Rc<Daemon>, args: Args<'_>) -> Reply {
    let wish: ByName = serde_json::from_str(args.text(0)).unwrap_or_default();
    let name = shown(wish.process_name.as_ref()).into_owned();
    let ids: Vec<PmId> = {
        let table = daemon.table.borrow();
        let meant = |record: &&Record| {
            name == "all" || record.name() == name || record.text("pm_exec_path") == Some(name.as_str())
        };
        let named: Vec<PmId> = table.records.values().filter(meant).map(|record| record.id).collect();
        let grouped = table.records.values().filter(|record| named.is_empty() && record.namespace() == name);
        // pm2 knows no namespaces here; every other verb does.
        let grouped: Vec<PmId> = grouped.map(|record| record.id).collect();
        if named.is_empty() { grouped } else { named }
    };
    if ids.is_empty() {
        return Reply::error("Unknown process name");
    }
    let wished = wish.signal.as_ref();
    let Some(signal) = wished.and_then(|signal| Signal::parse(&signal.0)) else {
        return Reply::error(&format!("Unknown signal: {}", shown(wished)));
    };
    for id in ids {
        // Those that do not run are passed over, as stock does.
        let _ = send(daemon, id, signal);
    }
    list(daemon)
}

/// Signals the process that this id has now, through its descriptor: never a group, never a stranger.
fn send(daemon: &Rc<Daemon>, id: PmId, signal: Signal) -> Result<(), String> {
    let table = daemon.table.borrow();
    let up = table
        .supervisor
        .view(id)
        .is_some_and(|view| matches!(view.status, Status::Online | Status::Launching) && view.pid.is_some());
    let run = table.run_of(id).filter(|run| up && !run.ended).ok_or_else(|| format!("process {id} is not running"))?;
    run.signal(signal).map_err(|error| format!("process {id}, {signal}: {error}"))
}

fn list(daemon: &Rc<Daemon>) -> Reply {
    let table = daemon.table.borrow();
    Reply::Now(Answer::build(|out| table.push_list(out, None, |_| true)))
}
