//! `describe` and `env` (contract/cli.md section 7). Neither launches a daemon.

use serde_json::{Map, Value, json};

use super::super::Ui;
use super::super::render::describe as render;
use super::target::select;
use super::{Call, Failure};
use crate::client::Action;

pub(super) async fn run(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let processes = call.processes().await?;
    let mut missing = false;
    let mut found = Vec::new();
    let whole: Vec<Value> =
        if ui.is_json() && !processes.is_empty() { call.ask(Action::List).await? } else { Vec::new() };
    for target in &call.request.targets {
        let Ok(meant) = select(&processes, target, &call.context.cwd) else {
            ui.warn(&format!("{target} doesn't exist"));
            missing = true;
            continue;
        };
        for process in meant {
            if ui.is_json() {
                found.extend(whole.iter().filter(|entry| entry["pm_id"] == process.pm_id).cloned());
                continue;
            }
            let text = render::render(process, call.local, ui);
            ui.show(&text);
        }
    }
    if ui.is_json() {
        ui.data(&format!("{}\n", Value::from(found)));
    }
    if missing { Err(Failure::Said) } else { Ok(()) }
}

/// What the command line leaves out of `env`: fields of the record that are no variables.
const NO_VARIABLES: &[&str] = &[
    "name",
    "env",
    "args",
    "node_args",
    "pm_cwd",
    "pm_exec_path",
    "pm_out_log_path",
    "pm_err_log_path",
    "pm_log_path",
    "pm_pid_path",
    "pm_id",
    "pm_uptime",
    "status",
    "axm_actions",
    "axm_monitor",
    "axm_options",
    "axm_dynamic",
    "watch",
    "ignore_watch",
    "instances",
    "exec_mode",
    "exec_interpreter",
    "created_at",
    "restart_time",
    "unstable_restarts",
    "merge_logs",
    "autorestart",
    "autostart",
    "instance_var",
    "treekill",
    "kill_retry_time",
    "versioning",
    "vizion_running",
    "filter_env",
    "automation",
    "exit_code",
    "exit_signal",
    "exited_at",
    "pmx",
    "username",
    "vizion",
    "windowsHide",
];

pub(super) async fn env(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    for target in &call.request.targets {
        let Ok(meant) = call.meant_by(target).await else {
            return Err(Failure::Text(format!("Modules with id {target} not found")));
        };
        for process in &meant {
            if ui.is_json() {
                ui.data(&format!("{}\n", process.pm2_env.get("env").unwrap_or(&json!({}))));
            } else if call.request.is_set("export") {
                ui.data(&exports(process.pm2_env.get("env")));
            } else {
                ui.data(&variables(&process.pm2_env, ui));
            }
        }
    }
    Ok(())
}

/// `key: value` for what is no field of the record.
fn variables(record: &Map<String, Value>, ui: &Ui) -> String {
    let mut text = String::new();
    for (key, value) in record.iter().filter(|(key, _)| !NO_VARIABLES.contains(&key.as_str())) {
        text += &[key, ": ", &ui.paint(super::super::ui::Colour::Green, &plain(value)), "\n"].concat();
    }
    text
}

/// Lines that a shell can read.
fn exports(env: Option<&Value>) -> String {
    let mut text = String::new();
    for (name, value) in env.and_then(Value::as_object).into_iter().flatten() {
        text += &["export ", name, "='", &plain(value).replace('\'', r"'\''"), "'\n"].concat();
    }
    text
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}
