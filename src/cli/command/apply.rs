//! `apply`, `start --diff`: makes what runs equal to a config file, or says what that would change.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::Ui;
use super::super::ui::Colour;
use super::config_target::{config_options, config_target};
use super::done::tell_launched;
use super::{Call, Failure, wait};
use crate::client::{Action, Target};

#[derive(Debug, Deserialize)]
struct Step {
    name: String,
    action: String,
    changes: Vec<Value>,
}

/// What each config file would change; nothing is changed.
pub(super) async fn diff(call: &Call<'_>, ui: &mut Ui, targets: &[String]) -> Result<(), Failure> {
    for name in targets {
        let (_, steps) = plan(call, ui, name).await?;
        show(ui, &steps, call.request.is_set("prune"));
    }
    Ok(())
}

/// Starts what is missing, replaces what differs, leaves alone what is equal; with `--prune` deletes what is not in the
/// file.
pub(super) async fn run(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    if call.request.is_set("dry-run") || call.request.is_set("diff") {
        return diff(call, ui, &call.request.targets).await;
    }
    let prune = call.request.is_set("prune");
    let mut done = Vec::new();
    for file in &call.request.targets {
        let (target, steps) = plan(call, ui, file).await?;
        show(ui, &steps, prune);
        let context = || call.context.clone();
        for step in steps.iter().filter(|step| step.action == "replace" || (prune && step.action == "delete")) {
            let name = Target::Name(step.name.clone());
            let options = serde_json::Map::new();
            let _: Value =
                call.ask_about(&step.name, Action::Delete { target: name, options, context: context() }).await?;
        }
        let fresh: Vec<&str> = steps
            .iter()
            .filter(|step| ["start", "replace"].contains(&step.action.as_str()))
            .map(|step| step.name.as_str())
            .collect();
        if fresh.is_empty() {
            continue;
        }
        let mut options = config_options(call, ui);
        options.insert("only".into(), fresh.join(",").into());
        let started: Vec<Value> = call.ask_about(file, Action::Start { target, options, context: context() }).await?;
        tell_launched(ui, &started);
        done.extend(started);
    }
    wait::settled(call, ui, &done).await?;
    call.finish(ui, &done).await
}

async fn plan(call: &Call<'_>, ui: &mut Ui, file: &str) -> Result<(Target, Vec<Step>), Failure> {
    let target = config_target(call, file).await?;
    let target = target.ok_or_else(|| Failure::Text(format!("{file} is no config file (.json, .yml, .config.js)")))?;
    let (options, context) = (config_options(call, ui), call.context.clone());
    let steps = call.ask_about(file, Action::Plan { target: target.clone(), options, context }).await?;
    Ok((target, steps))
}

fn show(ui: &mut Ui, steps: &[Step], prune: bool) {
    if ui.is_json() {
        let list: Vec<Value> = steps
            .iter()
            .map(|step| json!({ "name": step.name, "action": step.action, "changes": step.changes }))
            .collect();
        ui.data(&format!("{}\n", Value::from(list)));
    }
    for step in steps {
        let (mark, colour, what) = match step.action.as_str() {
            "start" => ("+", Colour::Green, "to be started"),
            "replace" => ("~", Colour::Yellow, "to be replaced"),
            "delete" if prune => ("-", Colour::Red, "to be deleted"),
            "delete" => (" ", Colour::Grey, "not in the file (--prune deletes it)"),
            _ => ("=", Colour::Grey, "unchanged"),
        };
        let mark = ui.paint(colour, mark);
        ui.message(&format!("{mark} {} {what}", step.name));
        for change in &step.changes {
            let field = change["field"].as_str().unwrap_or_default();
            ui.message(&format!("    {field}: {} -> {}", change["from"], change["to"]));
        }
    }
}
