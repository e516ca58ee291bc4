//! `getMonitorData`, `getSystemData`, `monitor`, `unmonitor`.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::json;

use super::id_argument;
use crate::daemon::answer::Answer;
use crate::daemon::core::Daemon;
use crate::daemon::delta;
use crate::daemon::dispatch::{Args, Reply};
use crate::daemon::record::Record;
use crate::daemon::sampler::Figures;

/// What our own client says it needs: `[{"pm2rs": {..}}]`, which a stock daemon ignores.
#[derive(Debug, Default, Deserialize)]
struct Wish {
    #[serde(default)]
    pm2rs: Wanted,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    /// What is common said once (see `delta`).
    delta: bool,
    /// Only what verbs look into, without figures (`client::procs::Listed`).
    brief: bool,
    /// Records as they are saved, with where their variables come from.
    saving: bool,
    /// Only the processes of this name or id.
    target: Option<String>,
}

impl Wanted {
    fn has(&self, record: &Record) -> bool {
        let target = self.target.as_deref();
        target.is_none_or(|target| record.name_is(target) || target == record.id.to_string())
    }
}

/// Every instance with its figures: zeros for what is not online, and never because of somebody else (Q15).
pub(in crate::daemon) fn monitor_data(daemon: &Rc<Daemon>, args: Args<'_>) -> Reply {
    let Wish { pm2rs: wanted } = serde_json::from_str(args.text(0)).unwrap_or_default();
    let table = daemon.table.borrow();
    if wanted.brief {
        return Reply::Now(Answer::build(|out| table.push_brief_list(out, |record| wanted.has(record))));
    }
    if wanted.saving {
        return Reply::Now(Answer::build(|out| table.push_saved_list(out, |record| wanted.has(record))));
    }
    let measured = table.measured(|record| wanted.has(record));
    let (ids, pids): (Vec<_>, Vec<_>) = measured.into_iter().unzip();
    let figures = Figures::new(ids.into_iter(), daemon.sampler.borrow_mut().sample(&pids));
    Reply::Now(Answer::build(|out| {
        if wanted.delta {
            delta::push_list(out, &table, &figures, |record| wanted.has(record));
        } else {
            table.push_list(out, Some(&figures), |record| wanted.has(record));
        }
    }))
}

pub(in crate::daemon) fn system_data(daemon: &Rc<Daemon>, _: Args<'_>) -> Reply {
    Reply::Now(Answer::value(&daemon.system.get()))
}

pub(in crate::daemon) fn monitor(daemon: &Rc<Daemon>, args: Args<'_>) -> Reply {
    set_monitored(daemon, args, true)
}

pub(in crate::daemon) fn unmonitor(daemon: &Rc<Daemon>, args: Args<'_>) -> Reply {
    set_monitored(daemon, args, false)
}

fn set_monitored(daemon: &Rc<Daemon>, args: Args<'_>, monitored: bool) -> Reply {
    let mut table = daemon.table.borrow_mut();
    let Some(id) = id_argument(args.text(0)).and_then(|id| table.find(&id.0)) else {
        return Reply::error("Unknown pm_id");
    };
    if let Some(record) = table.records.get_mut(&id) {
        record.monitored = Some(monitored);
        let stored = record.to_stored();
        table.journal.put(id, &stored);
    }
    drop(table);
    daemon.flush_journal();
    Reply::Now(Answer::value(&json!({ "success": true, "pm_id": id })))
}
