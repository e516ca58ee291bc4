//! What the daemon says about processes: only the fields a verb needs are read, the rest passes through as text.
//!
//! Owns: the shapes that the API answers with (contract/api.md section 7): `ProcFlat` and `StartedProc`.
//! Invariant: an unknown or missing field never makes a call fail; records also come from stock daemons.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::CallError;

/// One element of `getMonitorData`, as far as verbs look into it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Listed {
    #[serde(default, deserialize_with = "lenient_pid")]
    pub(super) pid: i64,
    #[serde(default)]
    pub(super) name: Value,
    #[serde(default)]
    pub(super) pm_id: Value,
    #[serde(default)]
    pub(super) pm2_env: Record,
}

/// The part of `pm2_env` that verbs look into.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    pub(super) namespace: Value,
    pub(super) status: Value,
    pub(super) pm_exec_path: Value,
    pub(super) pmx_module: Value,
    pub(super) pm_out_log_path: Value,
    pub(super) pm_err_log_path: Value,
    pub(super) pm_log_path: Value,
}

impl Listed {
    /// The id as text; users and wire give it as number or text.
    pub(super) fn id(&self) -> String {
        text(&self.pm_id)
    }

    pub(super) fn name(&self) -> String {
        text(&self.name)
    }

    pub(super) fn namespace(&self) -> String {
        text(&self.pm2_env.namespace)
    }

    pub(super) fn is_module(&self) -> bool {
        matches!(&self.pm2_env.pmx_module, Value::Bool(true)) || text(&self.pm2_env.pmx_module) == "true"
    }

    pub(super) fn runs(&self, path: &std::path::Path) -> bool {
        self.pm2_env.pm_exec_path.as_str().is_some_and(|script| std::path::Path::new(script) == path)
    }
}

/// `null` (and a missing key) is 0, as for a process that is not running.
fn lenient_pid<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    Ok(Value::deserialize(deserializer)?.as_i64().unwrap_or(0))
}

/// A name or id as text, also when it came as a number.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// One element of `restart`, `reload`, `stop` and `delete` (contract/api.md section 7.3).
#[derive(Debug, Clone, Serialize)]
pub(super) struct ProcFlat {
    #[serde(flatten)]
    facts: Facts,
    pm2_env: FlatRecord,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Facts {
    #[serde(default)]
    name: Value,
    #[serde(default)]
    namespace: Value,
    #[serde(default)]
    pm_id: Value,
    #[serde(default)]
    status: Value,
    #[serde(default)]
    restart_time: Value,
}

#[derive(Debug, Clone, Serialize)]
struct FlatRecord {
    #[serde(flatten)]
    facts: Facts,
    env: Box<RawValue>,
}

/// What `ProcFlat` is made of, wherever a process came from.
#[derive(Debug, Deserialize)]
struct Source {
    pm2_env: Option<SourceRecord>,
}

#[derive(Debug, Deserialize)]
struct SourceRecord {
    #[serde(default)]
    name: Value,
    #[serde(default)]
    namespace: Value,
    #[serde(default)]
    pm_id: Value,
    #[serde(default)]
    status: Value,
    #[serde(default)]
    restart_time: Value,
    #[serde(default)]
    env: Option<Box<RawValue>>,
}

impl ProcFlat {
    /// Reads an answer of the daemon. `None` for one that is no process: stopping what has no pid is such a success.
    pub(super) fn read(method: &str, answer: &RawValue) -> Result<Option<ProcFlat>, CallError> {
        let source: Source = parse(method, answer)?;
        let Some(record) = source.pm2_env else { return Ok(None) };
        let SourceRecord { name, namespace, pm_id, status, restart_time, env } = record;
        let facts = Facts { name, namespace, pm_id, status, restart_time };
        let env = env.unwrap_or_else(|| RawValue::from_string("{}".to_owned()).unwrap_or_default());
        Ok(Some(ProcFlat { facts: facts.clone(), pm2_env: FlatRecord { facts, env } }))
    }

    /// The answer to a reload may be the worker that was replaced, which nobody can use (Q17).
    pub(super) fn is_outgoing(&self) -> bool {
        self.facts.pm_id.as_str().is_some_and(|id| id.starts_with("_old_"))
    }
}

/// One element of `start` for a new process: the useful parts of the daemon's answer (contract/api.md section 7.2), and
/// `pid`, `name` and `pm_id` in both modes.
#[derive(Debug, Clone, Serialize)]
pub(super) struct StartedProc {
    pid: Value,
    name: Value,
    pm_id: Value,
    #[serde(flatten)]
    top: Parts,
    process: Process,
    pm2_env: Box<RawValue>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(non_snake_case, reason = "Node's names")]
struct Parts {
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connected: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    signalCode: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    exitCode: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    killed: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spawnfile: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spawnargs: Option<Value>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Process {
    #[serde(flatten)]
    parts: Parts,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pid: Value,
}

/// Keeps an explicit `null` apart from a missing key: `exitCode: null` says that the process runs.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[derive(Debug, Deserialize)]
struct StartedSource {
    #[serde(default)]
    pid: Value,
    #[serde(flatten)]
    parts: Parts,
    #[serde(default)]
    process: Option<Process>,
}

/// `pm2_env` apart: a raw value cannot be read beside flattened fields.
#[derive(Debug, Deserialize)]
struct StartedRecord {
    pm2_env: Box<RawValue>,
}

#[derive(Debug, Deserialize)]
struct Named {
    #[serde(default)]
    name: Value,
    #[serde(default)]
    pm_id: Value,
}

impl StartedProc {
    pub(super) fn read(answer: &RawValue) -> Result<StartedProc, CallError> {
        let StartedSource { pid, parts, process } = parse("prepare", answer)?;
        let StartedRecord { pm2_env } = parse("prepare", answer)?;
        let Named { name, pm_id } = parse("prepare", &pm2_env)?;
        let process = process.unwrap_or_default();
        let pid = [pid, process.pid.clone()].into_iter().find(|pid| !pid.is_null()).unwrap_or_else(|| 0.into());
        Ok(StartedProc { pid, name, pm_id, top: parts, process, pm2_env })
    }
}

/// Reads an answer, naming the method when it cannot be read.
pub(super) fn parse<'a, T: Deserialize<'a>>(method: &str, answer: &'a RawValue) -> Result<T, CallError> {
    serde_json::from_str(answer.get())
        .map_err(|error| CallError::BadAnswer { method: method.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn raw(value: &Value) -> Box<RawValue> {
        serde_json::value::to_raw_value(value).unwrap()
    }

    #[test]
    fn a_flat_process_has_the_contracts_keys_and_no_pid() {
        let answer = json!({ "pid": 0, "name": "x", "pm_id": 3, "pm2_env": { "name": "loop", "namespace": "default",
            "pm_id": 3, "status": "stopped", "restart_time": 1, "watch": false, "env": { "A": "1" } } });
        let flat = ProcFlat::read("stopProcessId", &raw(&answer)).unwrap().unwrap();
        let facts =
            json!({ "name": "loop", "namespace": "default", "pm_id": 3, "status": "stopped", "restart_time": 1 });
        let mut expected = facts.clone();
        expected["pm2_env"] = facts;
        expected["pm2_env"]["env"] = json!({ "A": "1" });
        assert_eq!(serde_json::to_string(&flat).unwrap(), expected.to_string());
    }

    #[test]
    fn stopping_what_has_no_pid_is_no_process() {
        let answer = json!({ "error": true, "message": "could not kill process w/o pid" });
        assert!(ProcFlat::read("stopProcessId", &raw(&answer)).unwrap().is_none());
    }

    #[test]
    fn a_started_process_is_trimmed_to_what_is_useful() {
        let fork = json!({ "_events": {}, "connected": true, "signalCode": null, "exitCode": null, "killed": false,
            "spawnfile": "node", "spawnargs": ["node"], "pid": 7, "stdin": { "x": 1 }, "process": { "pid": 7 },
            "pm2_env": { "name": "a", "pm_id": 0, "status": "online" } });
        let started = serde_json::to_value(StartedProc::read(&raw(&fork)).unwrap()).unwrap();
        assert_eq!(started["pid"], 7);
        assert_eq!(started["exitCode"], Value::Null);
        assert!(started.get("exitCode").is_some() && started.get("stdin").is_none() && started.get("state").is_none());
        assert_eq!(started["pm2_env"]["status"], "online");
    }

    #[test]
    fn a_cluster_worker_gets_its_pid_on_top() {
        let worker = json!({ "state": "online", "id": 1, "process": { "pid": 9, "connected": true, "stdio": [] },
            "pm2_env": { "name": "a", "pm_id": 4 } });
        let started = serde_json::to_value(StartedProc::read(&raw(&worker)).unwrap()).unwrap();
        assert_eq!((&started["pid"], &started["pm_id"], &started["state"]), (&json!(9), &json!(4), &json!("online")));
        assert!(started["process"].get("stdio").is_none());
    }

    #[test]
    fn an_app_that_is_not_started_has_pid_0() {
        let stopped = json!({ "process": { "pid": 0 }, "pm2_env": { "name": "a", "pm_id": 4, "status": "stopped" } });
        assert_eq!(serde_json::to_value(StartedProc::read(&raw(&stopped)).unwrap()).unwrap()["pid"], 0);
    }
}
