//! `start`, `stop`, `restart`, `reload`, `delete`, `reset` of one process.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::watch;
use super::{Id, id_argument, render_clu, render_proc, shown};
use crate::daemon::answer::Answer;
use crate::daemon::core::Daemon;
use crate::daemon::dispatch::{Args, Reply};
use crate::daemon::merge::{self, Patch, Scope};
use crate::daemon::render::Clu;
use crate::daemon::table::Table;
use crate::model::{PmId, Status};
use crate::supervisor::{Input, Verb};
use crate::wire::rpc::Origin;

pub(in crate::daemon) fn start(daemon: &Rc<Daemon>, args: Args<'_>) -> Reply {
    let id = id_argument(args.text(0));
    match find(daemon, id.as_ref()) {
        Some(id) => Reply::after(daemon.command(
            id,
            Verb::Start,
            Box::new(|table, outcome| render_clu(table, outcome, Clu::Running)),
        )),
        None => Reply::error(&format!("{} id unknown", shown(id.as_ref()))),
    }
}

pub(in crate::daemon) fn stop(daemon: &Rc<Daemon>, args: Args<'_>) -> Reply {
    end(daemon, args, Verb::Stop)
}

pub(in crate::daemon) fn delete(daemon: &Rc<Daemon>, args: Args<'_>) -> Reply {
    end(daemon, args, Verb::Delete)
}

fn end(daemon: &Rc<Daemon>, args: Args<'_>, verb: Verb) -> Reply {
    let id = id_argument(args.text(0));
    match find(daemon, id.as_ref()) {
        Some(id) => {
            if verb == Verb::Delete {
                daemon.clusters.deletes(id);
                daemon.forget_watch(id);
            } else {
                // A stop turns watching off for good (Q23).
                watch::set(daemon, id, false);
            }
            Reply::after(daemon.command(id, verb, Box::new(render_proc)))
        }
        None => Reply::error(&format!("{} : id unknown", shown(id.as_ref()))),
    }
}

/// `{id, env}`, where `env` is what [`merge`] takes.
#[derive(Debug, Default, Deserialize)]
struct Renewal {
    id: Option<Id>,
    #[serde(default)]
    env: Option<Value>,
    /// The variables in `env` are all there are.
    #[serde(default)]
    replace_env: bool,
    /// The variables in `env` are the whole environment of the caller.
    #[serde(default)]
    renew_env: bool,
    #[serde(default)]
    pm2rs: Origin,
}

impl Renewal {
    fn read(args: Args<'_>) -> Option<Renewal> {
        serde_json::from_str(args.text(0))
            .ok()
            .or_else(|| Some(Renewal { id: id_argument(args.text(0)), ..Renewal::default() }))
    }

    fn patch(self) -> Patch {
        let wishes = match self.env {
            Some(Value::Object(wishes)) => wishes,
            _ => Map::new(),
        };
        let scope = match (self.replace_env, self.renew_env) {
            (true, _) => Scope::All { own: self.pm2rs.own_env },
            (false, true) => Scope::Caller,
            (false, false) => Scope::Named,
        };
        Patch { wishes, scope }
    }
}

pub(in crate::daemon) fn restart(daemon: &Rc<Daemon>, args: Args<'_>) -> Reply {
    let Some(renewal @ Renewal { id: Some(_), .. }) = Renewal::read(args) else {
        return Reply::error("opts.id not passed to restartProcessId");
    };
    let Some(id) = find(daemon, renewal.id.as_ref()) else { return Reply::error("God db process id unknown") };
    renew(daemon, id, Verb::Restart, renewal.patch())
}

pub(in crate::daemon) fn reload(daemon: &Rc<Daemon>, args: Args<'_>) -> Reply {
    let found = Renewal::read(args).and_then(|renewal| Some((find(daemon, renewal.id.as_ref())?, renewal)));
    match found {
        Some((id, renewal)) => renew(daemon, id, Verb::Reload, renewal.patch()),
        None => Reply::error("PM2 ID unknown"),
    }
}

pub(in crate::daemon) fn soft_reload(daemon: &Rc<Daemon>, args: Args<'_>) -> Reply {
    let Some(renewal) = Renewal::read(args) else { return Reply::error("PM2 ID unknown") };
    let Some(id) = find(daemon, renewal.id.as_ref()) else {
        let id = shown(renewal.id.as_ref());
        return Reply::error(&format!("pm_id {id} not available in {id}"));
    };
    renew(daemon, id, Verb::Reload, renewal.patch())
}

/// New wishes first, then the restart that makes them count.
fn renew(daemon: &Rc<Daemon>, id: PmId, verb: Verb, patch: Patch) -> Reply {
    let (policy, replaced) = {
        let mut table = daemon.table.borrow_mut();
        let view = table.supervisor.view(id);
        let Some(record) = table.records.get_mut(&id) else { return Reply::error("God db process id unknown") };
        let changed = merge::merge(record, patch);
        let policy = changed.then(|| record.policy(&daemon.settings.defaults));
        let online = view.is_some_and(|view| view.status == Status::Online);
        let replaced = verb == Verb::Reload && record.is_cluster() && online;
        if changed {
            let stored = record.to_stored();
            table.journal.put(id, &stored);
        }
        (policy, replaced)
    };
    if let Some(policy) = policy {
        daemon.feed(Input::Configure { id, policy });
    }
    // A worker that was replaced is answered as a process, a restarted one as a worker object (contract/wire.md 5).
    let render = move |table: &Table, outcome| {
        if replaced { render_proc(table, outcome) } else { render_clu(table, outcome, Clu::Running) }
    };
    if replaced {
        daemon.reload_in_turn(id, Box::new(render))
    } else {
        Reply::after(daemon.command(id, verb, Box::new(render)))
    }
}

pub(in crate::daemon) fn reset(daemon: &Rc<Daemon>, args: Args<'_>) -> Reply {
    let id = id_argument(args.text(0));
    let Some(known) = find(daemon, id.as_ref()) else {
        return Reply::error(&format!("{} id unknown", shown(id.as_ref())));
    };
    daemon.feed(Input::Reset { id: known });
    let table = daemon.table.borrow();
    Reply::Now(Answer::build(|out| table.push_list(out, None, |_| true)))
}

fn find(daemon: &Rc<Daemon>, id: Option<&Id>) -> Option<PmId> {
    daemon.table.borrow().find(&id?.0)
}
