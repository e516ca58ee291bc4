//! `send`, `sendSignal`, `trigger` (contract/cli.md section 12).

use std::time::Duration;

use serde_json::{Value, json};

use super::super::Ui;
use super::{Call, Failure};
use crate::client::{Action, CallError};

pub(super) async fn send(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let [target, line @ ..] = call.request.targets.as_slice() else {
        return Err(Failure::Text("send takes an id and a line".into()));
    };
    if line.is_empty() {
        return Err(Failure::Text("send takes an id and a line".into()));
    }
    // Names are taken as well, where they mean one process.
    let meant: Vec<Value> = match call.meant_by(target).await {
        Ok(meant) => meant.into_iter().map(|process| process.pm_id).collect(),
        Err(_) => Vec::new(),
    };
    let id = match meant.as_slice() {
        [one] => one.clone(),
        [] => json!(target),
        several => {
            return Err(Failure::Text(format!("`{target}` names {} processes; give an id", several.len())));
        }
    };
    if meant.is_empty() && !call.has_daemon().await? {
        return Err(Failure::Text(format!("Error: Process with ID <{target}> unknown.")));
    }
    let action = Action::SendLineToStdin { id, line: json!(line.join(" ")), separator: None };
    match call.ask::<Value>(action).await {
        Ok(_) => call.finish(ui, &[]).await,
        Err(error) => Err(Failure::Text(format!("Error: {error}"))),
    }
}

pub(super) async fn signal(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let [signal, targets @ ..] = call.request.targets.as_slice() else {
        return Err(Failure::Text("sendSignal takes a signal and a target".into()));
    };
    if targets.is_empty() {
        return Err(Failure::Text("sendSignal takes a signal and a target".into()));
    }
    for target in targets {
        signal_one(call, ui, signal, target).await?;
    }
    call.finish(ui, &[]).await
}

async fn signal_one(call: &Call<'_>, ui: &mut Ui, signal: &str, target: &str) -> Result<(), Failure> {
    // pm2 takes every word that starts with a digit for an id; a name may start with one, too.
    let by_id = target.parse::<u64>().is_ok();
    let kind = if by_id { "id" } else { "name" };
    if !call.has_daemon().await? {
        ui.complain(&if by_id { format!("{target} id unknown") } else { "Unknown process name".to_owned() });
        return Err(Failure::Said);
    }
    ui.say(&format!("Sending signal to process {kind} {target}"));
    let (signal_text, signal) = (signal, json!(signal));
    let sent = if by_id {
        call.ask::<Value>(Action::SendSignalToProcessId { signal, id: json!(target) }).await
    } else {
        match call.ask::<Value>(Action::SendSignalToProcessName { signal: signal.clone(), name: json!(target) }).await {
            Err(error) if error.to_string().contains("Unknown process name") => {
                match wider(call, target, &signal).await {
                    Some(sent) => sent,
                    None => Err(error),
                }
            }
            other => other,
        }
    };
    match sent {
        Ok(_) => {
            ui.message(&format!("successfully sent signal {signal_text} to process {kind} {target}"));
            Ok(())
        }
        Err(error) => {
            ui.complain(&error.to_string());
            Err(Failure::Said)
        }
    }
}

/// What no process is called may be a namespace, `all` or a pattern.
async fn wider(call: &Call<'_>, target: &str, signal: &Value) -> Option<Result<Value, CallError>> {
    let meant = call.meant_by(target).await.ok()?;
    let mut last = None;
    for process in meant.iter().filter(|process| process.pid.is_some_and(|pid| pid > 0)) {
        let action = Action::SendSignalToProcessId { signal: signal.clone(), id: process.pm_id.clone() };
        last = Some(call.ask::<Value>(action).await);
        if matches!(last, Some(Err(_))) {
            break;
        }
    }
    last
}

pub(super) async fn trigger(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let [target, name, params @ ..] = call.request.targets.as_slice() else {
        return Err(Failure::Text("trigger takes a target and an action".into()));
    };
    let params = params.first().map(|text| json!(text));
    let limit = call.request.value("timeout").and_then(|text| text.parse().ok()).map(Duration::from_secs_f64);
    // The daemon finds names, ids, namespaces, file names and `all`; patterns and paths are for the resolver.
    let targets: Vec<Value> = if target.contains('/') {
        call.meant_by(target).await?.into_iter().map(|process| process.pm_id).collect()
    } else {
        vec![json!(target)]
    };
    if !call.has_daemon().await? {
        return Err(Failure::Text("Not any process has received a command (offline or unexistent)".into()));
    }
    let mut replies: Vec<Value> = Vec::new();
    for target in targets {
        let action = Action::Trigger { target, name: name.clone(), params: params.clone() };
        let asked = async {
            match limit {
                Some(limit) => tokio::time::timeout(limit, call.ask(action)).await.unwrap_or_else(|_| {
                    Err(CallError::Refused { code: "TIMEOUT", message: format!("no answer to {name} in time") })
                }),
                None => call.ask(action).await,
            }
        };
        let answered: Vec<Value> = match asked.await {
            Ok(answered) => answered,
            Err(error) if error.to_string() == "Unknown process" => {
                return Err(Failure::Text("Not any process has received a command (offline or unexistent)".into()));
            }
            Err(error) => return Err(error.into()),
        };
        replies.extend(answered);
    }
    ui.message(&format!("{} processes have received command {name}", replies.len()));
    for reply in replies {
        let process = &reply["process"];
        let text = |key: &str| process[key].as_str().unwrap_or_default().to_owned();
        let answer = &reply["data"]["return"];
        ui.data(&format!("[{}:{}:{}]={answer}\n", text("name"), process["pm_id"], text("namespace")));
    }
    Ok(())
}
