//! `prepare` and `duplicateProcessId`: new instances.

use std::rc::Rc;

use tokio::sync::oneshot;

use super::{id_argument, render_clu, shown};
use crate::daemon::answer::{Answer, Rendered};
use crate::daemon::core::Daemon;
use crate::daemon::dispatch::{Args, Reply, outcome};
use crate::daemon::instances::App;
use crate::daemon::render::Clu;
use crate::daemon::settings::cpus;
use crate::supervisor::Input;

pub(in crate::daemon) fn prepare(daemon: &Rc<Daemon>, args: Args<'_>) -> Reply {
    let value = match serde_json::from_str(args.text(0)) {
        Ok(value) => value,
        Err(error) => return Reply::error(&format!("prepare: {error}")),
    };
    let settings = &daemon.settings;
    match App::read(value, cpus(), settings.instance_var.as_deref()) {
        Ok(app) => {
            let replies = register(daemon, &app);
            Reply::Later(Box::pin(async move { all(replies).await }))
        }
        Err(error) => Reply::error(&error.to_string()),
    }
}

pub(in crate::daemon) fn duplicate(daemon: &Rc<Daemon>, args: Args<'_>) -> Reply {
    let id = id_argument(args.text(0));
    let app = {
        let table = daemon.table.borrow();
        let record = id.as_ref().and_then(|id| table.find(&id.0)).and_then(|id| table.records.get(&id));
        match record {
            Some(record) => App::copy_of(record),
            None => return Reply::error(&format!("{} id unknown", shown(id.as_ref()))),
        }
    };
    match register(daemon, &app).pop() {
        Some(reply) => Reply::after(reply),
        None => Reply::error("Error when getting proc || proc.pm2_env"),
    }
}

/// Makes one record and one slot for each instance; the replies come when they are up.
fn register(daemon: &Rc<Daemon>, app: &App) -> Vec<oneshot::Receiver<Rendered>> {
    let shared = app.shared_env();
    let mut replies = Vec::new();
    for _ in 0..app.count {
        let (input, reply) = {
            let mut table = daemon.table.borrow_mut();
            let id = table.supervisor.next_id();
            let name = app.name();
            let same_name = table.records.values().filter(|record| record.name() == name);
            let record = app.instance(id, same_name, &shared);
            let policy = record.policy(&daemon.settings.defaults);
            let start = policy.autostart && !app.saved_stopped;
            let shape = match (app.saved_stopped, start) {
                (true, _) => Clu::Saved,
                (false, false) => Clu::NotStarted,
                (false, true) => Clu::Running,
            };
            let stored = record.to_stored();
            table.journal.put(id, &stored);
            table.records.insert(id, record);
            let (ticket, reply) = table.ticket(Box::new(move |table, outcome| render_clu(table, outcome, shape)));
            (Input::Register { id, policy, start, ticket: Some(ticket) }, reply)
        };
        daemon.feed(input);
        replies.push(reply);
    }
    replies
}

/// All of them, or the first error.
async fn all(replies: Vec<oneshot::Receiver<Rendered>>) -> Answer {
    let mut list = String::from("[");
    let mut failed = None;
    for reply in replies {
        match outcome(reply).await {
            Ok(text) => {
                if list.len() > 1 {
                    list.push(',');
                }
                list.push_str(&text);
            }
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    list.push(']');
    Answer::rendered(failed.map_or(Ok(list), Err))
}
