//! Messages to apps: data, lines on stdin, actions and their answers (contract/api.md section 6.4).

use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{answer, bulk, pass};
use crate::client::action::Answer;
use crate::client::error::CallError;
use crate::client::procs::{Listed, parse, text};
use crate::client::select::is_numeric;
use crate::client::session::Session;
use crate::client::subscription::{BusEvent, Subscription};

/// Sends a packet by IPC; answered as soon as it is sent.
pub(super) async fn send_data(session: &Session, id: Option<Value>, packet: Value) -> Result<Answer, CallError> {
    let missing = || CallError::refused("INVALID_ARGUMENT", "ID, DATA or TOPIC field is missing");
    let Value::Object(mut packet) = packet else { return Err(missing()) };
    if let Some(id) = id {
        packet.insert("id".to_owned(), id);
    }
    let topic = packet.get("topic").is_some_and(is_truthy);
    if !topic || packet.get("id").is_none_or(Value::is_null) || !packet.contains_key("data") {
        return Err(missing());
    }
    pass(session, "sendDataToProcessId", &[packet]).await
}

/// What JavaScript takes for true.
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        _ => true,
    }
}

/// Writes a line to the stdin of an app; the separator is a line feed unless given.
pub(super) async fn send_line(
    session: &Session,
    id: &Value,
    line: &Value,
    separator: Option<String>,
) -> Result<Answer, CallError> {
    if id.is_null() || text(id).is_empty() || line.is_null() {
        return Err(CallError::refused("INVALID_ARGUMENT", "pm_id or line field missing"));
    }
    let separator = separator.filter(|text| !text.is_empty()).unwrap_or_else(|| "\n".to_owned());
    pass(session, "sendLineToStdin", &[json!({ "pm_id": id, "line": text(line) + &separator })]).await
}

/// What `msgProcess` tells.
#[derive(Debug, Deserialize)]
struct Count {
    #[serde(default)]
    process_count: usize,
}

/// Calls an action and waits for one `axm:reply` of each process that was addressed. There is no limit of time: an
/// action may take as long as it likes, and one that never answers is waited for as in pm2.
pub(super) async fn trigger(
    session: &Session,
    target: &Value,
    name: &str,
    params: Option<Value>,
) -> Result<Answer, CallError> {
    let target = text(target);
    let mut message = Map::new();
    message.insert("msg".to_owned(), name.into());
    if let Some(params) = params.filter(|params| !params.is_null()) {
        message.insert("opts".to_owned(), params);
    }
    message.insert(if is_numeric(&target) { "id" } else { "name" }.to_owned(), target.clone().into());

    let list = bulk::list(session).await?;
    let addressed: Vec<String> = list.iter().filter(|process| is_addressed(process, &target)).map(Listed::id).collect();
    let mut bus = session.subscribe();
    while !bus.next_batch().await.contains(&BusEvent::Connected) {}
    // The daemon takes the subscription in the same loop that answers this: from here on nothing is missed.
    session.rpc("ping", &[Map::new()]).await?;

    let answered = pass(session, "msgProcess", &[message]).await?;
    let Count { process_count } = parse("msgProcess", &answered)?;
    if process_count == 0 {
        return Err(CallError::refused("PROCESS_NOT_FOUND", "Unknown process"));
    }
    answer(&replies(&mut bus, process_count, name, &addressed).await?)
}

/// What `msgProcess` addresses: an id, or a name, namespace, script file name, or `all`.
fn is_addressed(process: &Listed, target: &str) -> bool {
    if is_numeric(target) {
        return process.id() == target;
    }
    let script = process.pm2_env.pm_exec_path.as_str().map(Path::new).and_then(Path::file_name);
    target == "all"
        || process.name() == target
        || process.namespace() == target
        || script.is_some_and(|script| script == target)
}

async fn replies(
    bus: &mut Subscription,
    count: usize,
    action: &str,
    addressed: &[String],
) -> Result<Vec<Box<RawValue>>, CallError> {
    #[derive(Deserialize)]
    struct Reply {
        process: From,
        data: Data,
    }
    #[derive(Deserialize)]
    struct From {
        pm_id: Value,
    }
    #[derive(Deserialize)]
    struct Data {
        #[serde(default)]
        action_name: Option<String>,
    }
    let mut replies = Vec::new();
    loop {
        for event in bus.next_batch().await {
            match event {
                BusEvent::Message { topic, payload } if topic == "axm:reply" => {
                    let Ok(reply) = serde_json::from_str::<Reply>(&payload) else { continue };
                    let ours = reply.data.action_name.is_none_or(|name| name == action);
                    if ours && addressed.contains(&text(&reply.process.pm_id)) {
                        replies.extend(RawValue::from_string(payload));
                    }
                }
                BusEvent::Closed => return Err(CallError::WentAway("msgProcess".to_owned())),
                _ => {}
            }
        }
        if replies.len() >= count {
            replies.truncate(count);
            return Ok(replies);
        }
    }
}
