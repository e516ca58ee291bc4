//! What is said of processes that something was done to (contract/cli.md section 5).

use serde_json::Value;

use super::super::Ui;

/// The line that names the method and the ids, and a tick for each process done.
pub(super) fn applied(ui: &mut Ui, method: &str, target: &str, done: &[Value]) {
    let ids: Vec<String> = if target.parse::<u64>().is_ok() && done.len() == 1 {
        vec![format!("'{target}'")]
    } else {
        done.iter().filter_map(|app| field(app, "pm_id")).map(ToString::to_string).collect()
    };
    announce(ui, method, target, &ids.join(", "));
    ticks(ui, done.iter());
}

pub(super) fn announce(ui: &mut Ui, method: &str, target: &str, ids: &str) {
    ui.say(&format!("Applying action {method} on app [{target}](ids: [ {ids} ])"));
}

pub(super) fn ticks<'a>(ui: &mut Ui, done: impl Iterator<Item = &'a Value>) {
    for app in done {
        let name = field(app, "name").and_then(Value::as_str).unwrap_or_default();
        let id = field(app, "pm_id").map(ToString::to_string).unwrap_or_default();
        ui.say(&format!("[{name}]({id}) \u{2713}"));
    }
}

/// Says what became of the apps of a config file: those that were there, each name with its ids, then those that were not.
pub(super) fn told(ui: &mut Ui, method: &str, answer: Vec<Value>) -> Vec<Value> {
    let mut known: Vec<(String, Vec<Value>)> = Vec::new();
    for app in answer.iter().filter(|app| app.get("process").is_none()) {
        let name = field(app, "name").and_then(Value::as_str).unwrap_or_default();
        match known.iter_mut().find(|(one, _)| one == name) {
            Some((_, apps)) => apps.push(app.clone()),
            None => known.push((name.to_owned(), vec![app.clone()])),
        }
    }
    for (name, apps) in &known {
        applied(ui, method, name, apps);
    }
    tell_launched(ui, &answer);
    answer
}

/// `App [name] launched (n instances)`, for what is new.
pub(super) fn tell_launched(ui: &mut Ui, answer: &[Value]) {
    let mut names: Vec<(String, usize)> = Vec::new();
    for app in answer.iter().filter(|app| app.get("process").is_some()) {
        let name = app["pm2_env"]["name"].as_str().unwrap_or_default();
        match names.iter_mut().find(|(known, _)| known == name) {
            Some((_, count)) => *count += 1,
            None => names.push((name.to_owned(), 1)),
        }
    }
    if !names.is_empty() {
        let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
        ui.note(&format!("Applications {} not running, starting...", names.join(", ")));
    }
    for (name, count) in names {
        ui.say(&format!("App [{name}] launched ({count} instances)"));
    }
}

/// A field of an answer, wherever the verb puts it.
fn field<'a>(app: &'a Value, key: &str) -> Option<&'a Value> {
    app.get(key).or_else(|| app.get("pm2_env")?.get(key))
}
