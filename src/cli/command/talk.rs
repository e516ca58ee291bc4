//! `attach`, `inspect`, `monitor`, `unmonitor` (contract/cli.md section 12).

use std::io::BufRead;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::super::Ui;
use super::{Call, Failure, Process, refused};
use crate::client::{Action, BusEvent};

/// Shows what one app writes, and sends it what is typed, until the input ends.
pub(super) async fn attach(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let target = call.request.targets.first().map(String::as_str).unwrap_or_default();
    let separator = call.request.targets.get(1).cloned();
    let process = match call.meant_by(target).await?.as_slice() {
        [one] => one.clone(),
        several => return Err(Failure::Text(format!("`{target}` names {} processes; give an id", several.len()))),
    };
    let mut bus = call.session.subscribe();
    let mut typed = typed_lines();
    loop {
        tokio::select! {
            batch = bus.next_batch() => for (kind, data) in batch.iter().filter_map(|event| said(event, &process)) {
                if kind == "err" { ui.error_bytes(data.as_bytes()) } else { ui.data(&data) }
            },
            line = typed.recv() => {
                let Some(line) = line else { return Ok(()) };
                let id = process.pm_id.clone();
                let action = Action::SendLineToStdin { id, line: json!(line), separator: separator.clone() };
                let _: Value = call.ask(action).await.map_err(|error| Failure::Text(format!("Error: {error}")))?;
            }
        }
        if ui.is_closed() {
            return Ok(());
        }
    }
}

/// The lines of stdin, read by a thread of its own: a read from a terminal cannot be given up.
fn typed_lines() -> mpsc::Receiver<String> {
    let (sender, typed) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    typed
}

/// What this process wrote, if that is what the event tells.
fn said(event: &BusEvent, process: &Process) -> Option<(&'static str, String)> {
    let BusEvent::Message { topic, payload } = event else { return None };
    let kind = match topic.as_str() {
        "log:out" => "out",
        "log:err" => "err",
        _ => return None,
    };
    let payload: Value = serde_json::from_str(payload).ok()?;
    let of_it = payload["process"]["pm_id"] == process.pm_id;
    of_it.then(|| payload["data"].as_str().map(|text| (kind, text.to_owned())))?
}

/// How long an app may take to open its inspector.
const INSPECTOR_LIMIT: Duration = Duration::from_secs(5);

/// Opens the inspector of Node apps: they do so on SIGUSR1, and write where it listens.
pub(super) async fn inspect(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let mut failed = false;
    let mut found = Vec::new();
    for target in &call.request.targets {
        for process in call.meant_by(target).await? {
            let mut bus = call.session.subscribe();
            while !bus.next_batch().await.contains(&BusEvent::Connected) {}
            let runs_node = process.text("exec_interpreter").contains("node") && process.text("status") == "online";
            let mut address = None;
            if runs_node {
                let action = Action::SendSignalToProcessId { signal: json!("SIGUSR1"), id: process.pm_id.clone() };
                let _: Value = call.ask_about(target, action).await?;
                address = timeout(INSPECTOR_LIMIT, async {
                    loop {
                        let batch = bus.next_batch().await;
                        let mut said = batch.iter().filter_map(|event| said(event, &process));
                        if let Some(address) = said.find_map(|(_, text)| inspector_address(&text)) {
                            return address;
                        }
                    }
                })
                .await
                .ok();
            }
            match address {
                Some(address) if ui.is_json() => {
                    found.push(json!({ "name": process.name, "pm_id": process.pm_id, "url": address }));
                }
                Some(address) => ui.message(&format!("Inspect mode of {} ({}): {address}", process.name, process.id())),
                None => {
                    failed = true;
                    ui.complain(&format!("Unable to activate inspect mode on {} !!!", process.name));
                }
            }
        }
    }
    if ui.is_json() {
        ui.data(&format!("{}\n", Value::from(found)));
    }
    if failed { Err(Failure::Said) } else { Ok(()) }
}

/// `Debugger listening on ws://127.0.0.1:9229/<id>`.
fn inspector_address(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("Debugger listening on ")?;
    rest.split_whitespace().next().map(ToOwned::to_owned)
}

/// Sets or clears the mark `[M]` of the list.
pub(super) async fn monitor(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let command = call.request.command.as_str();
    if call.request.targets.is_empty() {
        return match command {
            "monitor" => refused::run(call, ui),
            _ => Err(Failure::Text("Please specify an <app_name|pm_id>".into())),
        };
    }
    for target in &call.request.targets {
        for process in call.meant_by(target).await? {
            let action = Action::MonitorState { state: command.to_owned(), target: process.pm_id.clone() };
            let _: Value = call.ask_about(target, action).await?;
        }
    }
    call.finish(ui, &[]).await
}
