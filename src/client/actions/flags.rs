//! `reset`, `monitorState`, and what is told on the bus by hand.

use serde_json::{Value, json};

use super::{answer, bulk, success};
use crate::client::action::{Answer, Context, Target};
use crate::client::error::CallError;
use crate::client::procs::text;
use crate::client::select::{by_name_or_path, in_namespace, is_numeric};
use crate::client::session::Session;

/// Counters to zero: `all`, a name or path, a namespace, or an id. An unknown id is an error (Q46).
pub(super) async fn reset(session: &Session, target: &Target, context: &Context) -> Result<Answer, CallError> {
    let unknown = || CallError::refused("PROCESS_NOT_FOUND", "Unknown process name");
    let Target::Name(name) = target else { return Err(unknown()) };
    let list = bulk::list(session).await?;
    let mut ids = if name == "all" {
        list.iter().map(|process| process.pm_id.clone()).collect()
    } else {
        by_name_or_path(name, &list, &context.cwd)
    };
    if ids.is_empty() {
        // pm2 knows no namespaces here; every other verb does.
        ids = in_namespace(name, &list);
    }
    if ids.is_empty() && is_numeric(name) {
        ids.push(Value::String(name.clone()));
    }
    if ids.is_empty() && name != "all" {
        return Err(unknown());
    }
    let width = bulk::width(session, ids.len(), None, 2).await;
    bulk::each(ids, width, |id| {
        let session = session.clone();
        async move { session.rpc("resetMetaProcessId", &[id]).await }
    })
    .await?;
    success()
}

/// Sets or clears `_km_monitored`; the answers of the daemon, one for each process.
pub(super) async fn monitor(session: &Session, state: &str, target: &Value) -> Result<Answer, CallError> {
    if !["monitor", "unmonitor"].contains(&state) {
        let text = format!("the state must be `monitor` or `unmonitor`, but is `{state}`");
        return Err(CallError::refused("INVALID_ARGUMENT", text));
    }
    let name = text(target);
    if name.is_empty() {
        return Err(CallError::refused("INVALID_ARGUMENT", "argument missing"));
    }
    let list = bulk::list(session).await?;
    let wanted = list.iter().filter(|process| name == "all" || process.name() == name);
    let mut ids: Vec<Value> = wanted.map(|process| process.pm_id.clone()).collect();
    if ids.is_empty() {
        ids = in_namespace(&name, &list);
    }
    if ids.is_empty() && name != "all" {
        ids.push(Value::String(name));
    }
    let mut answers = Vec::new();
    for id in ids {
        answers.push(bulk::first(state, session.rpc(state, &[id]).await?)?);
    }
    answer(&answers)
}

/// Has the daemon publish `process:event` with this event, as done by hand.
pub(super) async fn notify(session: &Session, id: &Value, event: &str) -> Result<Answer, CallError> {
    let note = json!({ "id": id, "action_name": event, "manually": true });
    session.rpc("notifyByProcessId", &[note]).await?;
    answer(&Value::Null)
}
