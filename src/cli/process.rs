//! A process as the command line looks at it: one element of the daemon's list.
//!
//! Owns: what of it is read, and how. Must never: ask the daemon, or print.

use serde::Deserialize;
use serde_json::Value;

/// One element of the list, as far as the command line looks at it.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::cli) struct Process {
    #[serde(default)]
    pub(in crate::cli) pid: Option<i64>,
    #[serde(default)]
    pub(in crate::cli) name: String,
    pub(in crate::cli) pm_id: Value,
    #[serde(default)]
    pub(in crate::cli) monit: Monit,
    pub(in crate::cli) pm2_env: serde_json::Map<String, Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::cli) struct Monit {
    pub(in crate::cli) memory: f64,
    pub(in crate::cli) cpu: f64,
}

impl Process {
    /// A field of `pm2_env` as text; "" when it is absent.
    pub(in crate::cli) fn text(&self, key: &str) -> String {
        match self.pm2_env.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        }
    }

    pub(in crate::cli) fn number(&self, key: &str) -> Option<f64> {
        self.pm2_env.get(key).and_then(Value::as_f64)
    }

    pub(in crate::cli) fn id(&self) -> String {
        match &self.pm_id {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// How the last run ended: `code 1` or `SIGKILL`; `None` before the first end.
    pub(in crate::cli) fn last_exit(&self) -> Option<String> {
        match self.text("exit_signal") {
            signal if !signal.is_empty() => Some(signal),
            _ => self.number("exit_code").map(|code| format!("code {code}")),
        }
    }

    pub(in crate::cli) fn is_module(&self) -> bool {
        self.pm2_env.get("pmx_module").is_some_and(|value| value == &Value::Bool(true))
    }

    /// Whether a command's target means this process: `all`, id, name, namespace or `/pattern/`.
    pub(in crate::cli) fn is_meant_by(&self, target: &str) -> bool {
        if target == "all" || target == self.name || target == self.id() || target == self.text("namespace") {
            return true;
        }
        let pattern = target.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
        pattern.is_some_and(|pattern| regex::Regex::new(pattern).is_ok_and(|regex| regex.is_match(&self.name)))
    }
}
