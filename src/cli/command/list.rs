//! `list`, `jlist`, `id`, `pid` (contract/cli.md section 6). None of them launches a daemon.

use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::Ui;
use super::super::render::{list as table, metrics};
use super::{Call, Failure, Process};
use crate::client::{Action, CallError};

/// How often `--watch` shows the list again.
const REFRESH: Duration = Duration::from_millis(900);

pub(super) async fn list(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    if ui.is_json() {
        if let Some(filter) = call.request.value("filter") {
            let ids: Vec<Value> = filtered(call.processes().await?, filter)?.into_iter().map(|p| p.pm_id).collect();
            let list: Vec<Value> = if ids.is_empty() { Vec::new() } else { call.ask(Action::List).await? };
            let list: Vec<Value> = list.into_iter().filter(|entry| ids.contains(&entry["pm_id"])).collect();
            ui.data(&format!("{}\n", Value::from(list)));
            return Ok(());
        }
        jlist(call, ui).await?;
        ui.data("\n");
        return Ok(());
    }
    if !call.request.attributes.contains_key("watch") {
        return show(call, ui).await;
    }
    while !ui.is_closed() {
        let now = jiff::Timestamp::now();
        ui.data(&format!("\u{1b}[2J\u{1b}[0fLast refresh:  {now:.3}\n"));
        show(call, ui).await?;
        tokio::time::sleep(REFRESH).await;
    }
    Ok(())
}

/// The list and the figures of the host, asked for at once: the second answer is there when the first is drawn. A daemon that
/// has no figures is no failure of the list.
async fn read(call: &Call<'_>) -> Result<(Vec<Process>, Option<Vec<Value>>), CallError> {
    let figures = Action::Rpc { method: "getSystemData".into(), args: vec![json!({})] };
    tokio::try_join!(call.ask(Action::List), async { Ok(call.ask(figures).await.ok()) })
}

/// The table, as every action ends with.
pub(super) async fn show(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let (mut processes, figures) =
        if call.has_daemon().await? { Box::pin(read(call)).await? } else { Default::default() };
    if let Some(filter) = call.request.value("filter") {
        processes = filtered(processes, filter)?;
    }
    if call.request.is_set("mini-list") {
        let text: String = processes.iter().map(table::mini).collect();
        ui.show(&text);
        return Ok(());
    }
    table::sort(&mut processes, call.request.value("sort").unwrap_or("name:asc"));
    let mut text = table::render(&processes, call.request.value("columns"), ui);
    if !processes.is_empty()
        && let Some(line) = figures.as_deref().and_then(<[Value]>::first).and_then(|data| metrics::line(data, ui))
    {
        text += &line;
    }
    ui.show(&text);
    Ok(())
}

/// `status=errored,namespace=web`: what has these values; `a!=b` is what has another.
fn filtered(processes: Vec<Process>, filter: &str) -> Result<Vec<Process>, Failure> {
    let mut conditions = Vec::new();
    for condition in filter.split(',') {
        let (key, wanted) = condition.split_once('=').ok_or_else(|| {
            Failure::Text(format!("--filter takes field=value, such as status=errored, not `{condition}`"))
        })?;
        let is_not = key.ends_with('!');
        conditions.push((key.trim_end_matches('!'), wanted, is_not));
    }
    let value = |process: &Process, key: &str| match key {
        "name" => process.name.clone(),
        "id" | "pm_id" => process.id(),
        "pid" => process.pid.unwrap_or(0).to_string(),
        "mode" => process.text("exec_mode").trim_end_matches("_mode").to_owned(),
        "user" => process.text("username"),
        "restarts" => process.text("restart_time"),
        other => process.text(other),
    };
    let meant =
        |process: &Process| conditions.iter().all(|(key, wanted, is_not)| (value(process, key) == **wanted) != *is_not);
    Ok(processes.into_iter().filter(meant).collect())
}

/// One line of JSON without a newline at its end, as the daemon gave it.
pub(super) async fn jlist(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    if !call.has_daemon().await? {
        ui.data("[]");
        return Ok(());
    }
    let list: Box<RawValue> = call.ask(Action::List).await?;
    ui.data(list.get());
    Ok(())
}

/// The ids of a name, as pm2 prints an array: `[ 0, 1 ]`.
pub(super) async fn id(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let ids: Vec<String> = matching(call).await?.iter().map(Process::id).collect();
    if ui.is_json() {
        ui.data(&format!("[{}]\n", ids.join(",")));
        return Ok(());
    }
    ui.data(&if ids.is_empty() { "[]\n".to_owned() } else { format!("[ {} ]\n", ids.join(", ")) });
    Ok(())
}

/// One pid a line, 0 for what is stopped; an empty line for nothing.
pub(super) async fn pid(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let processes = if call.request.targets.is_empty() { call.processes().await? } else { matching(call).await? };
    let pids: Vec<String> = processes.iter().map(|process| process.pid.unwrap_or(0).to_string()).collect();
    let text = if ui.is_json() { format!("[{}]", pids.join(",")) } else { pids.join("\n") };
    ui.data(&format!("{text}\n"));
    Ok(())
}

/// What the targets name, each process once.
async fn matching(call: &Call<'_>) -> Result<Vec<Process>, Failure> {
    let mut found: Vec<Process> = Vec::new();
    for name in &call.request.targets {
        // What nobody is called is no failure here: scripts count on it (contract/cli.md section 19).
        let meant = match call.meant_by(name).await {
            Err(Failure::Call { error: CallError::NotFound | CallError::NoMatch, .. }) => Vec::new(),
            other => other?,
        };
        for process in meant {
            if found.iter().all(|known| known.pm_id != process.pm_id) {
                found.push(process);
            }
        }
    }
    Ok(found)
}
