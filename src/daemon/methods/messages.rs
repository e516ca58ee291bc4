//! `sendLineToStdin`, `sendDataToProcessId`, `msgProcess`, `notifyByProcessId`: words to apps and about them.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Id, shown};
use crate::daemon::answer::Answer;
use crate::daemon::core::Daemon;
use crate::daemon::dispatch::{Args, Reply};
use crate::daemon::notify as bus_event;
use crate::daemon::record::Record;
use crate::model::{PmId, Status};

#[derive(Debug, Default, Deserialize)]
struct Line {
    #[serde(default)]
    pm_id: Option<Id>,
    #[serde(default)]
    line: Option<String>,
}

pub(in crate::daemon) fn send_line(daemon: &Rc<Daemon>, args: Args<'_>) -> Reply {
    let packet: Line = serde_json::from_str(args.text(0)).unwrap_or_default();
    let (Some(id), Some(line)) = (packet.pm_id, packet.line) else {
        return Reply::error("pm_id or line field missing");
    };
    let table = daemon.table.borrow();
    let Some(record) = table.find(&id.0).and_then(|id| table.records.get(&id)) else {
        return Reply::error(&format!("Process with ID <{}> unknown.", id.0));
    };
    if record.is_cluster() {
        return Reply::error("Cannot send line to processes in cluster mode");
    }
    let stdin = table.run_of(record.id).filter(|run| !run.ended).and_then(|run| run.stdin.clone());
    let Some(stdin) = stdin.filter(|_| is_up(daemon, record.id)) else {
        return Reply::error(&format!("Process with ID <{}> offline.", id.0));
    };
    match stdin.write(line.as_bytes()) {
        Ok(()) => Reply::Now(Answer::build(|out| out.push_str(args.text(0)))),
        Err(error) => Reply::error(&format!("Process with ID <{}>: {error}", id.0)),
    }
}

#[derive(Debug, Default, Deserialize)]
struct Packet {
    #[serde(default)]
    id: Option<Id>,
    #[serde(default)]
    data: Option<Box<RawValue>>,
    #[serde(default)]
    topic: Option<Value>,
}

pub(in crate::daemon) fn send_data(daemon: &Rc<Daemon>, args: Args<'_>) -> Reply {
    let packet: Packet = serde_json::from_str(args.text(0)).unwrap_or_default();
    let topic = packet.topic.is_some_and(|topic| topic != json!("") && topic != json!(false) && topic != json!(0));
    let (Some(id), true, true) = (packet.id, topic, has_data(args.text(0), packet.data.is_some())) else {
        return Reply::error("ID, DATA or TOPIC field is missing");
    };
    let Some(known) = daemon.table.borrow().find(&id.0) else {
        return Reply::error(&format!("Process with ID <{}> unknown.", id.0));
    };
    match send(daemon, known, args.text(0)) {
        Ok(()) => Reply::Now(Answer::build(|out| {
            out.push_str(r#"{"success":true,"data":"#);
            out.push_str(args.text(0));
            out.push('}');
        })),
        Err(SendError::Offline) => Reply::error(&format!("Process with ID <{}> offline.", id.0)),
        Err(SendError::Refused(error)) => Reply::error(&error),
    }
}

/// `data` may be null, but it must be there.
fn has_data(packet: &str, some: bool) -> bool {
    some || serde_json::from_str::<Value>(packet).is_ok_and(|packet| packet.get("data").is_some())
}

#[derive(Debug, Default, Deserialize)]
struct Command {
    #[serde(default)]
    id: Option<Id>,
    #[serde(default)]
    name: Option<Id>,
    #[serde(default)]
    msg: Option<Value>,
    #[serde(default)]
    opts: Option<Box<RawValue>>,
    #[serde(default)]
    uuid: Option<Value>,
}

pub(in crate::daemon) fn msg_process(daemon: &Rc<Daemon>, args: Args<'_>) -> Reply {
    let command: Command = serde_json::from_str(args.text(0)).unwrap_or_default();
    let action = match &command.msg {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let bare = json!(action).to_string();
    if let Some(id) = &command.id {
        let whole = command.opts.is_some() || command.uuid.as_ref().is_some_and(|uuid| !uuid.is_null());
        let message = if whole { args.text(0) } else { &bare };
        return message_one(daemon, id, &action, message);
    }
    let Some(name) = command.name else { return Reply::error("method requires name or id field") };
    let message = if command.opts.is_some() { args.text(0) } else { &bare };
    let ids: Vec<PmId> = {
        let table = daemon.table.borrow();
        let meant = |record: &&Record| record.answers_to(&name.0) && has_action(record, &action);
        table.records.values().filter(meant).map(|record| record.id).collect()
    };
    let count = ids.into_iter().filter(|id| send(daemon, *id, message).is_ok()).count();
    Reply::Now(Answer::value(&json!({ "process_count": count, "success": true })))
}

fn message_one(daemon: &Rc<Daemon>, id: &Id, action: &str, message: &str) -> Reply {
    let known = {
        let table = daemon.table.borrow();
        let Some(record) = table.find(&id.0).and_then(|id| table.records.get(&id)) else {
            return Reply::error(&format!("{} id unknown", id.0));
        };
        if !is_up(daemon, record.id) {
            return Reply::error(&format!("{} : id offline", id.0));
        }
        if !has_action(record, action) {
            return Reply::error(&format!("Action doesn't exist {action} for {}", record.name()));
        }
        record.id
    };
    match send(daemon, known, message) {
        Ok(()) => Reply::Now(Answer::value(&json!({ "process_count": 1, "success": true }))),
        Err(SendError::Offline) => Reply::error(&format!("{} : id offline", id.0)),
        Err(SendError::Refused(error)) => Reply::error(&error),
    }
}

fn has_action(record: &Record, action: &str) -> bool {
    record.said.actions.iter().any(|(name, _)| **name == *action)
}

enum SendError {
    Offline,
    Refused(String),
}

/// Sends one JSON text over the channel of an instance that runs.
fn send(daemon: &Rc<Daemon>, id: PmId, message: &str) -> Result<(), SendError> {
    if !is_up(daemon, id) {
        return Err(SendError::Offline);
    }
    let channel = daemon.table.borrow().run_of(id).and_then(|run| run.channel.clone()).ok_or(SendError::Offline)?;
    // A message is one line: a client may have sent JSON with line breaks between its tokens.
    let one_line = if message.contains('\n') {
        let value: Value = serde_json::from_str(message).map_err(|error| SendError::Refused(error.to_string()))?;
        value.to_string()
    } else {
        message.to_owned()
    };
    channel.send(&one_line).map_err(|error| SendError::Refused(error.to_string()))
}

fn is_up(daemon: &Rc<Daemon>, id: PmId) -> bool {
    let view = daemon.table.borrow().supervisor.view(id);
    view.is_some_and(|view| matches!(view.status, Status::Online | Status::Launching) && view.pid.is_some())
}

#[derive(Debug, Default, Deserialize)]
struct Notice {
    #[serde(default)]
    id: Option<Id>,
    #[serde(default)]
    action_name: Option<String>,
    #[serde(default)]
    manually: Option<bool>,
}

pub(in crate::daemon) fn notify(daemon: &Rc<Daemon>, args: Args<'_>) -> Reply {
    let notice: Notice = serde_json::from_str(args.text(0)).unwrap_or_default();
    if notice.id.is_none() {
        return Reply::error("process id missing");
    }
    let table = daemon.table.borrow();
    let known = table.find(&shown(notice.id.as_ref()));
    let found = known.and_then(|id| Some((table.records.get(&id)?, table.supervisor.view(id)?)));
    let Some((record, view)) = found else { return Reply::error("process id doesnt exists") };
    let event = notice.action_name.as_deref().unwrap_or_default();
    bus_event::publish(&daemon.bus, record, &view, event, notice.manually.unwrap_or(false), false);
    Reply::Now(Answer::nothing())
}
