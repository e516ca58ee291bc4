//! The primary against what was recorded with real workers.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::super::primary::Wishes;
use super::world::World;
use crate::model::{PmId, RunId};
use crate::wire::cluster::SocketName;

/// The recorded sessions (contract: cluster-messages.jsonl): the same questions get the same answers.
#[test]
fn what_was_recorded_with_real_workers_is_answered_the_same() {
    let text = include_str!("../../../../tests/vectors/cluster-messages.jsonl");
    let mut sessions: BTreeMap<(String, String, String), Vec<Value>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let value: Value = serde_json::from_str(line).unwrap();
        let part = |name: &str| value[name].as_str().unwrap().to_owned();
        sessions.entry((part("scenario"), part("node"), part("mode"))).or_default().push(value);
    }
    let mut compared = 0;
    for ((scenario, node, mode), messages) in sessions {
        compared += replay(&format!("{scenario}, Node {node}, {mode}"), mode == "shared", &messages);
    }
    assert_eq!(compared, 78, "recorded answers");
}

fn replay(name: &str, shared: bool, messages: &[Value]) -> usize {
    let mut world = World::new(Wishes { shared, sticky: false });
    let mut compared = 0;
    // Recorded numbers of offers, and ours.
    let mut seqs: HashMap<(u64, Value), Value> = HashMap::new();
    for (index, entry) in messages.iter().enumerate() {
        let run = entry["worker"].as_u64().unwrap();
        world.primary.join(RunId(run), PmId(u32::try_from(run).unwrap()));
        let message = &entry["msg"];
        let inner = if message["cmd"] == "NODE_HANDLE" { &message["msg"] } else { message };
        if inner["cmd"] != "NODE_CLUSTER" {
            continue;
        }
        if entry["dir"] == "w2p" {
            let mut said = inner.clone();
            if let Some(ours) = said.get("ack").and_then(|ack| seqs.get(&(run, ack.clone()))) {
                said["ack"] = ours.clone();
            }
            let recorded = recorded_bind(&messages[index..], run, &said["seq"]);
            if said["act"] == "queryServer" && recorded.is_none() {
                // The recording ends before the answer.
                continue;
            }
            world.bind = recorded.unwrap_or(Err(-22));
            world.says(run, &said);
        } else if inner["act"] == "newconn" {
            let key = inner["key"].as_str().unwrap();
            world.act(|primary, now, out| primary.connection(key, 7, None, now, out));
            let at = world.sent.iter().position(|(to, sent, _)| to.0 == run && sent["msg"]["act"] == "newconn");
            if let Some(at) = at {
                seqs.insert((run, inner["seq"].clone()), world.sent.remove(at).1["msg"]["seq"].clone());
            }
        } else {
            if inner["act"] == "disconnect" {
                world.act(|primary, now, out| primary.drain(RunId(run), false, now, out));
            }
            let at = world.sent.iter().position(|(to, sent, _)| to.0 == run && sent["msg"]["act"] != "newconn");
            let at = at.unwrap_or_else(|| panic!("{name}: nothing sent, recorded {inner}"));
            let (_, mut ours, fd) = world.sent.remove(at);
            assert_eq!(fd.is_some(), entry["fd"] == true, "{name}: {ours}");
            let mut wanted = message.clone();
            for message in [&mut ours, &mut wanted] {
                let inner = if message["cmd"] == "NODE_HANDLE" { &mut message["msg"] } else { message };
                inner.as_object_mut().unwrap().remove("seq");
            }
            assert_eq!(ours, wanted, "{name}");
            compared += 1;
        }
    }
    compared
}

/// What the recorded primary made of this question.
fn recorded_bind(rest: &[Value], run: u64, seq: &Value) -> Option<Result<Option<SocketName>, i32>> {
    let answer = rest.iter().filter(|entry| entry["dir"] == "p2w" && entry["worker"] == run).find_map(|entry| {
        let message = &entry["msg"];
        let inner = if message["cmd"] == "NODE_HANDLE" { &message["msg"] } else { message };
        (inner["ack"] == *seq).then_some(inner)
    });
    Some(match answer?["errno"].as_i64() {
        Some(errno) if errno < 0 => Err(i32::try_from(errno).unwrap()),
        _ => Ok(serde_json::from_value(answer?["sockname"].clone()).ok()),
    })
}
