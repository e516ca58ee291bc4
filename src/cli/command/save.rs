//! `save`, `resurrect`, `cleardump`, `flush`, `reloadLogs` (contract/cli.md sections 8.2, 8.3, 10).

use serde_json::{Map, Value, json};

use super::super::Ui;
use super::{Call, Failure, Process};
use crate::client::{Action, CallError};

pub(super) async fn save(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    if call.request.is_set("check") {
        return check(call, ui).await;
    }
    ui.say("Saving current process list...");
    let force = call.request.is_set("force") || call.local.get("FORCE").is_some_and(|text| !text.is_empty());
    // Without a daemon nothing runs, and none is launched to save that; `--force` says that it is meant.
    let saved = if force || call.has_daemon().await? {
        call.ask::<Value>(Action::Dump { force }).await
    } else {
        Err(CallError::Refused { code: "EMPTY_LIST", message: "cannot save empty list".into() })
    };
    match saved {
        Ok(_) => {
            ui.say(&format!("Successfully saved in {}", call.session.home().dump_file.display()));
            Ok(())
        }
        // Scripts save after every deploy: nothing to save is no failure (contract/cli.md section 10.1).
        Err(error) if error.to_string().contains("cannot save empty list") => {
            ui.warn("PM2 is not managing any process, skipping save...");
            ui.warn("To force saving use: pm2-rs save --force");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// What a boot would bring back, beside what runs: exit code 1 when they differ.
async fn check(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let path = &call.session.home().dump_file;
    let saved: Vec<Map<String, Value>> = match std::fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|error| Failure::Text(format!("{} is broken: {error}", path.display())))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(Failure::Text(format!("cannot read {}: {error}", path.display()))),
    };
    let running = call.processes().await?.into_iter().filter(|process| !process.is_module());
    let mut left: Vec<(String, String)> = running.map(|process| (process.name, essence(&process.pm2_env))).collect();
    let mut gone = Vec::new();
    for record in &saved {
        let name = record.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let one = (name, essence(record));
        match left.iter().position(|running| *running == one) {
            Some(at) => drop(left.swap_remove(at)),
            None => gone.push(one.0),
        }
    }
    if ui.is_json() {
        let running: Vec<&String> = left.iter().map(|one| &one.0).collect();
        ui.data(&format!(
            "{}\n",
            json!({ "ok": left.is_empty() && gone.is_empty(), "saved": gone, "running": running })
        ));
    }
    for (name, _) in &left {
        ui.message(&format!("+ {name} runs and is not saved like that"));
    }
    for name in &gone {
        ui.message(&format!("- {name} is saved and does not run like that"));
    }
    if !left.is_empty() || !gone.is_empty() {
        ui.complain("pm2-rs save makes them equal");
        return Err(Failure::Said);
    }
    ui.say(&format!("{} processes: what runs is what is saved", saved.len()));
    Ok(())
}

/// What makes a process the one that it is, without what changes while it runs.
fn essence(record: &Map<String, Value>) -> String {
    const KEYS: [&str; 12] = [
        "namespace",
        "pm_exec_path",
        "pm_cwd",
        "args",
        "node_args",
        "exec_interpreter",
        "exec_mode",
        "watch",
        "autorestart",
        "max_memory_restart",
        "cron_restart",
        "env",
    ];
    let mut values: Vec<Value> = KEYS.iter().map(|key| record.get(*key).cloned().unwrap_or(Value::Null)).collect();
    if let Some(Value::Object(env)) = values.last_mut() {
        env.shift_remove("unique_id");
        env.sort_keys();
    }
    // Whether it shall run counts; how it is just now does not.
    let down = record.get("status").is_some_and(|status| status == "stopped");
    format!("{down} {}", Value::from(values))
}

/// Always a success: the boot unit runs it, and a first boot has nothing saved (contract/cli.md section 10.3).
pub(super) async fn resurrect(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    ui.say("Resurrecting");
    let before: Vec<String> = call.processes().await?.iter().map(Process::id).collect();
    ui.say(&format!("Restoring processes located in {}", call.session.home().dump_file.display()));
    // The daemon is launched even if there is nothing to restore: the boot unit counts on it.
    let _: Value = call.ask(Action::Ping).await?;
    if let Err(error) = call.ask::<Value>(Action::Resurrect).await {
        ui.error(&error.to_string());
        return Ok(());
    }
    for process in call.processes().await?.iter().filter(|process| !before.contains(&process.id())) {
        ui.say(&format!("Process {} restored", process.text("pm_exec_path")));
    }
    call.finish(ui, &[]).await
}

pub(super) async fn clear(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let _: Value = call.ask(Action::ClearDump).await?;
    ui.say(&format!("Successfully created {}", call.session.home().dump_file.display()));
    Ok(())
}

pub(super) async fn flush(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let processes = call.processes().await?;
    let paths = |process: &Process| {
        ["pm_out_log_path", "pm_err_log_path", "pm_log_path"]
            .map(|key| process.text(key))
            .into_iter()
            .filter(|p| !p.is_empty())
    };
    if call.request.targets.is_empty() {
        ui.say(&format!("Flushing {}", call.session.home().log_file.display()));
        tell_paths(ui, processes.iter().flat_map(paths));
        if !processes.is_empty() {
            let _: Value = call.ask(Action::Flush { target: None }).await?;
        }
    }
    for target in &call.request.targets {
        let meant = super::target::select(&processes, target, &call.context.cwd)?;
        tell_paths(ui, meant.iter().flat_map(|process| paths(process)));
        for process in meant {
            let target = Some(process.pm_id.clone());
            let _: Value = call.ask(Action::Flush { target }).await?;
        }
    }
    ui.say("Logs flushed");
    Ok(())
}

fn tell_paths(ui: &mut Ui, paths: impl Iterator<Item = String>) {
    ui.say("Flushing:");
    for path in paths {
        ui.say(&path);
    }
}

pub(super) async fn reload_logs(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    ui.message("Reloading all logs...");
    if call.has_daemon().await? {
        let _: Value = call.ask(Action::ReloadLogs).await?;
    }
    ui.message("All logs reloaded");
    Ok(())
}
