//! `start` (contract/cli.md section 4).

use std::path::Path;

use serde_json::{Value, json};

use super::super::Ui;
use super::config_target::{config_options, config_target, steering};
use super::done::{applied, told};
use super::{Call, Failure, apply, wait};
use crate::client::{Action, Target};
use crate::config;

pub(super) async fn run(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let mut targets = call.request.targets.clone();
    if targets.is_empty() {
        targets.push(default_file(&call.context.cwd)?);
    }
    if call.request.is_set("diff") || call.request.is_set("dry-run") {
        return apply::diff(call, ui, &targets).await;
    }
    let mut done = Vec::new();
    for target in &targets {
        let answer = match config_target(call, target).await? {
            Some(config) => from_config(call, ui, target, config).await?,
            None => from_script(call, ui, target).await?,
        };
        done.extend(answer);
    }
    wait::settled(call, ui, &done).await?;
    call.finish(ui, &done).await
}

/// What `start` alone starts: pm2 knows the first name only.
fn default_file(cwd: &Path) -> Result<String, Failure> {
    let endings = ["config.js", "config.cjs", "config.mjs", "config.ts", "json", "yml", "yaml"];
    let known = endings.iter().map(|ending| format!("ecosystem.{ending}")).find(|name| cwd.join(name).is_file());
    let manifest = || {
        let value = config::read_file(&cwd.join("package.json")).ok()?;
        (value.get("pm2").is_some() || value.get("apps").is_some()).then(|| "package.json".to_owned())
    };
    known.or_else(manifest).ok_or_else(|| Failure::Text("File ecosystem.config.js not found".into()))
}

/// `startOrRestart`, `startOrReload`, `startOrGracefulReload`: a config file only.
pub(super) async fn start_or(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let mut done: Vec<Value> = Vec::new();
    for name in &call.request.targets {
        let Some(target) = config_target(call, name).await? else {
            return Err(Failure::Text(format!("{name} is no config file (.json, .yml, .config.js)")));
        };
        let (options, context) = (config_options(call, ui), call.context.clone());
        let action = if call.request.command == "startOrRestart" {
            Action::Start { target, options, context }
        } else {
            Action::Reload { target, options, context }
        };
        let method = if call.request.command == "startOrRestart" { "restartProcessId" } else { "reloadProcessId" };
        let answer = call.ask_about(name, action).await;
        call.warn(ui);
        done.extend(told(ui, method, answer?));
    }
    wait::settled(call, ui, &done).await?;
    call.finish(ui, &done).await
}

async fn from_config(call: &Call<'_>, ui: &mut Ui, name: &str, target: Target) -> Result<Vec<Value>, Failure> {
    let options = config_options(call, ui);
    let action = Action::Start { target, options, context: call.context.clone() };
    let answer = call.ask_about(name, action).await;
    call.warn(ui);
    Ok(told(ui, "restartProcessId", answer?))
}

async fn from_script(call: &Call<'_>, ui: &mut Ui, script: &str) -> Result<Vec<Value>, Failure> {
    let mut options = call.request.attributes.clone();
    options.append(&mut steering(call));
    if options.remove("env").is_some() {
        ui.warn("`--env` chooses an env_<name> of a config file; it has no effect on a script");
    }
    if let Some(args) = &call.request.app_args {
        options.insert("args".into(), json!(args));
    }
    let (target, context) = (Target::Name(script.to_owned()), call.context.clone());
    // `/^a/`, and a name with a dot in it, which the client takes for a script. A file of that name wins.
    let may_be_known = script.contains(['/', '.']) && !script.contains(' ') && !call.context.cwd.join(script).exists();
    let is_known = may_be_known && call.meant_by(script).await.is_ok();
    // pm2's command line gives these to every script; its test suite counts them (contract/cli.md section 18).
    if !is_known && call.context.cwd.join(script).exists() {
        options.entry("watch").or_insert(Value::Bool(false));
        options.entry("filter_env").or_insert(json!([]));
    }
    let action = if is_known {
        Action::Restart { target, options, context }
    } else {
        Action::Start { target, options, context }
    };
    let answer = call.ask_about::<Vec<Value>>(script, action).await;
    call.warn(ui);
    let answer = answer?;
    if answer.iter().any(|app| app.get("process").is_some()) {
        let env = &answer[0]["pm2_env"];
        let path =
            env["pm_exec_path"].as_str().map_or_else(|| script.to_owned(), |p| Path::new(p).display().to_string());
        let (mode, count) = (env["exec_mode"].as_str().unwrap_or("fork_mode"), answer.len());
        ui.say(&format!("Starting {path} in {mode} ({count} instance{})", if count > 1 { "s" } else { "" }));
        ui.say("Done.");
    } else {
        applied(ui, "restartProcessId", script, &answer);
        ui.say("Process successfully started");
    }
    Ok(answer)
}
