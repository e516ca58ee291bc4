//! What a config file would change against what runs: asked for before `apply` and `--diff` act. Changes nothing.

use serde::Serialize;
use serde_json::{Map, Value};

use super::aim::{Aim, aim, wanted_apps};
use super::{answer, bulk, caller};
use crate::client::action::{Answer, Context, Target};
use crate::client::error::CallError;
use crate::client::procs::text;
use crate::client::session::Session;
use crate::config::{self, StartOptions};

/// Fields of an app that are compared with the record of its processes.
const COMPARED: [&str; 24] = [
    "pm_exec_path",
    "pm_cwd",
    "exec_interpreter",
    "node_args",
    "args",
    "exec_mode",
    "namespace",
    "watch",
    "ignore_watch",
    "cron_restart",
    "autorestart",
    "max_memory_restart",
    "kill_timeout",
    "kill_signal",
    "shutdown_with_message",
    "treekill",
    "wait_ready",
    "listen_timeout",
    "restart_delay",
    "exp_backoff_restart_delay",
    "max_restarts",
    "min_uptime",
    "stop_exit_codes",
    "uid",
];

/// One app of the file, or a name that runs and is not in the file.
#[derive(Debug, Serialize)]
struct Step {
    name: String,
    /// `start`, `replace`, `same`, `delete`.
    action: &'static str,
    changes: Vec<Change>,
}

/// A field that differs: how it runs, and what the file says.
#[derive(Debug, Serialize)]
struct Change {
    field: String,
    from: Value,
    to: Value,
}

pub(super) async fn plan(
    session: &Session,
    target: Target,
    options: &Map<String, Value>,
    context: &Context,
) -> Result<Answer, CallError> {
    let caller = caller::caller(session, context);
    let listed = bulk::list(session).await?;
    let Aim::Config(value) = aim(target, &listed, context.base())? else {
        return Err(CallError::refused("INVALID_ARGUMENT", "only a config file can be compared with what runs"));
    };
    let start_options = StartOptions::from_map(options);
    let apps = wanted_apps(session, &value, &start_options)?;
    let raw = bulk::raw_list(session).await?;
    let list: Vec<Value> = serde_json::from_str(raw.get()).unwrap_or_default();
    let mut steps: Vec<Step> = Vec::new();
    for app in &apps {
        let Some(name) = config::app_name(app, &start_options) else { continue };
        let running: Vec<&Value> = list.iter().filter(|process| text(&process["name"]) == name).collect();
        let wanted = config::app_preview(app, &value, &start_options, &caller)?;
        let changes = running.first().map_or_else(Vec::new, |one| {
            let mut changes = differences(&wanted, &one["pm2_env"]);
            changes.extend(variables(app, start_options.env.as_deref(), &one["pm2_env"]));
            changes.extend(count(&wanted, running.len()));
            changes
        });
        let action = match (running.is_empty(), changes.is_empty()) {
            (true, _) => "start",
            (false, true) => "same",
            (false, false) => "replace",
        };
        steps.push(Step { name, action, changes });
    }
    for process in listed.iter().filter(|process| !process.is_module()) {
        if !steps.iter().any(|step| step.name == process.name()) {
            steps.push(Step { name: process.name(), action: "delete", changes: Vec::new() });
        }
    }
    answer(&steps)
}

/// What is not set and what is empty mean the same.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

fn differences(wanted: &Map<String, Value>, runs: &Value) -> Vec<Change> {
    let nothing = Value::Null;
    let mut changes = Vec::new();
    for field in COMPARED {
        let (from, to) = (&runs[field], wanted.get(field).unwrap_or(&nothing));
        // The daemon fills in what the file leaves open.
        let left_open = !wanted.contains_key(field);
        if !left_open && from != to && !(is_nothing(from) && is_nothing(to)) {
            changes.push(Change { field: field.to_owned(), from: from.clone(), to: to.clone() });
        }
    }
    changes
}

/// Variables that the file sets: those of the caller may differ each time.
fn variables(app: &Map<String, Value>, chosen: Option<&str>, runs: &Value) -> Vec<Change> {
    let mut wanted: Map<String, Value> = app.get("env").and_then(Value::as_object).cloned().unwrap_or_default();
    if let Some(more) = chosen.and_then(|name| app.get(&format!("env_{name}"))?.as_object()) {
        wanted.extend(more.clone());
    }
    let differs = |name: &str, to: &Value| text(&runs["env"][name]) != text(to);
    let changed = wanted.into_iter().filter(|(name, to)| !to.is_object() && differs(name, to));
    changed.map(|(name, to)| Change { from: runs["env"][&name].clone(), field: format!("env.{name}"), to }).collect()
}

fn count(wanted: &Map<String, Value>, running: usize) -> Option<Change> {
    let to = wanted.get("instances").and_then(Value::as_u64).filter(|count| *count > 0)?;
    (usize::try_from(to) != Ok(running)).then(|| Change {
        field: "instances".into(),
        from: running.into(),
        to: to.into(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_the_file_says_differently_is_a_change() {
        let Value::Object(wanted) = json!({ "pm_cwd": "/b", "args": [], "kill_timeout": 10, "instances": 2 }) else {
            return;
        };
        let runs = json!({ "pm_cwd": "/a", "kill_timeout": 10, "max_restarts": 3, "env": { "A": "1" } });
        let fields = |changes: Vec<Change>| changes.into_iter().map(|change| change.field).collect::<Vec<_>>();
        assert_eq!(fields(differences(&wanted, &runs)), ["pm_cwd"]);
        assert_eq!(fields(count(&wanted, 1).into_iter().collect()), ["instances"]);
        assert!(count(&wanted, 2).is_none());
        let Value::Object(app) = json!({ "env": { "A": 1, "B": "x" }, "env_prod": { "A": 2 } }) else { return };
        assert_eq!(fields(variables(&app, None, &runs)), ["env.B"]);
        assert_eq!(fields(variables(&app, Some("prod"), &runs)), ["env.A", "env.B"]);
    }
}
