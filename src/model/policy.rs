//! What was asked for one instance about restarting, stopping and being ready.
//!
//! Read leniently from a `pm2_env` record, because such records also come from stock clients and old dumps.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::signal::Signal;

/// Everything the supervisor needs to know about the wishes for one instance. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// `false`: the instance is added as stopped, and only an explicit start or restart starts it.
    pub autostart: bool,
    pub autorestart: bool,
    /// An exit sooner than this after the start is unstable.
    pub min_uptime: u64,
    /// So many unstable exits, and the instance is `errored`. 0: an exit is never followed by a restart.
    pub max_restarts: u32,
    /// Fixed delay before an automatic restart.
    pub restart_delay: u64,
    /// First delay of the growing kind; wins over `restart_delay`. 0: off.
    pub exp_backoff_restart_delay: u64,
    /// Up so long, and the growing delay starts again from the first one (`EXP_BACKOFF_RESET_TIMER`).
    pub backoff_reset_after: u64,
    /// Exit codes that mean "do not restart".
    pub stop_exit_codes: Vec<i32>,
    pub stop_signal: Signal,
    /// From the stop signal to SIGKILL.
    pub kill_timeout: u64,
    /// Signal the whole tree of descendants, not only the process itself.
    pub treekill: bool,
    /// Send the IPC message `shutdown` instead of a signal.
    pub shutdown_with_message: bool,
    /// Online only after the app said `ready`, or after `listen_timeout`.
    pub wait_ready: bool,
    pub listen_timeout: u64,
    /// `ready_timeout: "error"`: with `wait_ready`, not ready within `listen_timeout` is a failed start, not a success.
    #[serde(default)]
    pub ready_required: bool,
    /// Cluster mode: a Node worker, replaced without a gap on reload.
    pub cluster: bool,
}

/// The daemon-wide defaults that the environment of the daemon may change (contract/options.md section 11.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defaults {
    pub stop_signal: Signal,
    pub kill_timeout: u64,
    pub kill_use_message: bool,
    pub listen_timeout: u64,
    pub backoff_reset_after: u64,
}

impl Default for Defaults {
    fn default() -> Defaults {
        Defaults {
            stop_signal: Signal::INT,
            kill_timeout: 1600,
            kill_use_message: false,
            listen_timeout: 3000,
            backoff_reset_after: 30_000,
        }
    }
}

impl Defaults {
    /// Reads `PM2_KILL_SIGNAL`, `PM2_KILL_TIMEOUT` and the like; what is absent or unreadable keeps its default.
    pub fn from_env(env: impl Fn(&str) -> Option<String>) -> Defaults {
        let base = Defaults::default();
        let millis = |name: &str, default: u64| env(name).and_then(|t| t.trim().parse().ok()).unwrap_or(default);
        Defaults {
            stop_signal: env("PM2_KILL_SIGNAL").and_then(|t| Signal::parse(&t)).unwrap_or(base.stop_signal),
            kill_timeout: millis("PM2_KILL_TIMEOUT", base.kill_timeout),
            kill_use_message: env("PM2_KILL_USE_MESSAGE").is_some_and(|t| !t.is_empty()),
            listen_timeout: millis("PM2_GRACEFUL_LISTEN_TIMEOUT", base.listen_timeout),
            backoff_reset_after: millis("EXP_BACKOFF_RESET_TIMER", base.backoff_reset_after),
        }
    }
}

impl Policy {
    /// Reads the wishes out of a `pm2_env` record.
    pub fn from_record(record: &Map<String, Value>, defaults: &Defaults) -> Policy {
        let flag = |key: &str, default: bool| boolean(record.get(key)).unwrap_or(default);
        let millis = |key: &str, default: u64| whole(record.get(key)).unwrap_or(default);
        Policy {
            autostart: flag("autostart", true),
            autorestart: flag("autorestart", true),
            min_uptime: millis("min_uptime", 1000),
            max_restarts: u32::try_from(millis("max_restarts", 16)).unwrap_or(u32::MAX),
            restart_delay: millis("restart_delay", 0),
            exp_backoff_restart_delay: millis("exp_backoff_restart_delay", 0),
            backoff_reset_after: defaults.backoff_reset_after,
            stop_exit_codes: exit_codes(record.get("stop_exit_codes")),
            stop_signal: record
                .get("kill_signal")
                .and_then(Value::as_str)
                .and_then(Signal::parse)
                .unwrap_or(defaults.stop_signal),
            kill_timeout: millis("kill_timeout", defaults.kill_timeout),
            treekill: flag("treekill", true),
            shutdown_with_message: defaults.kill_use_message || flag("shutdown_with_message", false),
            wait_ready: flag("wait_ready", false),
            listen_timeout: millis("listen_timeout", defaults.listen_timeout),
            ready_required: record.get("ready_timeout").and_then(Value::as_str) == Some("error"),
            cluster: record.get("exec_mode").and_then(Value::as_str).is_some_and(|m| m.starts_with("cluster")),
        }
    }
}

/// A boolean as JSON or, as it comes from environments and old dumps, as text.
fn boolean(value: Option<&Value>) -> Option<bool> {
    match value? {
        Value::Bool(b) => Some(*b),
        Value::String(s) if s == "true" => Some(true),
        Value::String(s) if s == "false" => Some(false),
        _ => None,
    }
}

/// A whole number that is not negative, as JSON number (also `5.0`) or text.
fn whole(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::Number(n) => n.as_u64().or_else(|| {
            let float = n.as_f64()?;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "range is checked")]
            (0.0..9e15).contains(&float).then_some(float as u64)
        }),
        Value::String(s) => s.trim().parse().ok(),
        _ => None,
    }
}

/// One code or a list of them, as numbers or numeric texts.
fn exit_codes(value: Option<&Value>) -> Vec<i32> {
    let one = |v: &Value| match v {
        Value::Number(n) => n.as_i64().and_then(|n| i32::try_from(n).ok()),
        Value::String(s) => s.trim().parse().ok(),
        _ => None,
    };
    match value {
        Some(Value::Array(list)) => list.iter().filter_map(one).collect(),
        Some(single) => one(single).into_iter().collect(),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(record: Value) -> Policy {
        let Value::Object(record) = record else { panic!("an object") };
        Policy::from_record(&record, &Defaults::default())
    }

    #[test]
    fn absent_wishes_have_pm2s_defaults() {
        let p = policy(json!({}));
        assert!(p.autorestart && p.autostart && p.treekill && !p.wait_ready && !p.cluster);
        assert_eq!((p.min_uptime, p.max_restarts, p.kill_timeout, p.listen_timeout), (1000, 16, 1600, 3000));
    }

    #[test]
    fn numbers_may_be_texts_and_codes_may_be_single() {
        let p = policy(json!({ "kill_timeout": "250", "autorestart": "false", "stop_exit_codes": ["0", 3] }));
        assert_eq!((p.kill_timeout, p.autorestart, p.stop_exit_codes), (250, false, vec![0, 3]));
        assert_eq!(policy(json!({ "stop_exit_codes": 7 })).stop_exit_codes, vec![7]);
    }
}
