//! `set`, `get`, `conf`, `config`, `multiset`, `unset` (contract/cli.md section 14.5). They launch no daemon.

use serde_json::{Map, Value, json};

use super::super::Ui;
use super::{Call, Failure};
use crate::client::{Action, CallError};

pub(super) async fn run(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let words = call.request.targets.as_slice();
    match (call.request.command.as_str(), words) {
        ("set" | "config", [key, value]) => set(call, ui, key, value).await,
        ("get" | "config", [key]) => get(call, ui, key).await,
        ("get" | "conf", _) => show(call, ui, None).await,
        ("multiset", words) => {
            let text = words.join(" ");
            let _: Value = call.ask(Action::Multiset { text: text.clone(), context: call.context.clone() }).await?;
            show(call, ui, text.split_whitespace().next().and_then(module)).await
        }
        ("unset", [key]) => {
            let known = key == "all" || !matches!(value_of(call, key).await?, Value::Null);
            let _: Value = call.ask(Action::Unset { key: key.clone() }).await?;
            if !known {
                ui.warn(&format!("no setting `{key}`"));
            }
            show(call, ui, None).await
        }
        (name, _) => Err(Failure::Text(format!("{name} takes a key and a value: pm2-rs {name} app:key value"))),
    }
}

/// The first part of a key that has several.
fn module(key: &str) -> Option<&str> {
    key.split_once(['.', ':']).map(|(module, _)| module)
}

async fn value_of(call: &Call<'_>, key: &str) -> Result<Value, CallError> {
    match call.ask::<Value>(Action::Get { key: Some(key.to_owned()) }).await {
        Ok(mut answer) => Ok(answer["value"].take()),
        Err(error) if error.code() == "KEY_NOT_FOUND" => Ok(Value::Null),
        Err(error) => Err(error),
    }
}

async fn set(call: &Call<'_>, ui: &mut Ui, key: &str, value: &str) -> Result<(), Failure> {
    let action = Action::Set { key: key.to_owned(), value: json!(value), context: call.context.clone() };
    let is_running = |name: &str, list: &[super::Process]| list.iter().any(|process| process.name == name);
    let restarted = match module(key) {
        Some(module) => is_running(module, &call.processes().await?),
        None => false,
    };
    let _: Value = call.ask(action).await?;
    if let Some(module) = module(key) {
        if restarted {
            ui.say(&format!("Module {module} restarted"));
        }
        ui.say("Setting changed");
        return show(call, ui, Some(module)).await;
    }
    if ui.is_json() {
        ui.data("{\"ok\":true,\"errors\":[]}\n");
    }
    Ok(())
}

/// Prints a value; an unknown key is exit code 1 and no output, as in pm2.
async fn get(call: &Call<'_>, ui: &mut Ui, key: &str) -> Result<(), Failure> {
    let value = value_of(call, key).await?;
    if ui.is_json() {
        ui.data(&format!("{value}\n"));
        return if value.is_null() { Err(Failure::Said) } else { Ok(()) };
    }
    match (value, key.split_once(['.', ':'])) {
        (Value::Null, _) => Err(Failure::Said),
        (Value::Object(map), _) => {
            lines(ui, key, &map);
            Ok(())
        }
        (value, Some((module, name))) => {
            ui.data(&format!("Value for module {module} key {name}: {}\n", plain(&value)));
            Ok(())
        }
        (value, None) => {
            ui.data(&format!("{}\n", plain(&value)));
            Ok(())
        }
    }
}

/// All settings, or those of one app, as commands to copy.
async fn show(call: &Call<'_>, ui: &mut Ui, only: Option<&str>) -> Result<(), Failure> {
    let mut answer: Value = call.ask(Action::Get { key: None }).await?;
    let mut store = answer["value"].take();
    // The names of what is installed are no settings of anybody.
    if let (Value::Object(store), None) = (&mut store, only) {
        store.retain(|name, _| !["module-db-v2", "tar-modules"].contains(&name.as_str()));
    }
    if ui.is_json() {
        ui.data(&format!("{store}\n"));
        return Ok(());
    }
    for (name, value) in store.as_object().into_iter().flatten() {
        match value {
            Value::Object(map) if only.is_none_or(|only| only == name) => lines(ui, name, map),
            Value::Object(_) => {}
            other if only.is_none() => ui.message(&format!("$ pm2-rs set {name} {}", plain(other))),
            _ => {}
        }
    }
    Ok(())
}

fn lines(ui: &mut Ui, module: &str, map: &Map<String, Value>) {
    ui.message(&format!("Module: {module}"));
    for (key, value) in map {
        ui.message(&format!("$ pm2-rs set {module}:{key} {}", plain(value)));
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}
