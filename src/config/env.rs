//! The environment of an app (contract/options.md section 3).
//!
//! Must never: change the caller's environment (Q12), or look at the daemon's.

use serde_json::{Map, Value};

use super::Caller;
use super::error::ConfigError;
use super::value::{text, type_name};

/// What pm2 puts into the environment of its apps: when a caller is such an app, its own apps do not inherit these
/// (contract/api.md section 15.5).
const RESERVED: &[&str] = &[
    "name",
    "exec_mode",
    "env",
    "args",
    "pm_cwd",
    "exec_interpreter",
    "pm_exec_path",
    "node_args",
    "pm_out_log_path",
    "pm_err_log_path",
    "pm_pid_path",
    "pm_id",
    "status",
    "pm_uptime",
    "created_at",
    "windowsHide",
    "username",
    "merge_logs",
    "kill_retry_time",
    "prev_restart_delay",
    "instance_var",
    "unstable_restarts",
    "restart_time",
    "axm_actions",
    "pmx_module",
    "command",
    "watch",
    "filter_env",
    "versioning",
    "vizion_runing",
    "MODULE_DEBUG",
    "pmx",
    "axm_options",
    "vizion",
    "axm_dynamic",
    "axm_monitor",
    "instances",
    "automation",
    "autostart",
    "autorestart",
    "stop_exit_codes",
    "unstable_restart",
    "treekill",
    "exit_code",
];

/// What the caller's environment gives to an app with this `filter_env`.
pub(super) fn inherited(filter: Option<&Value>, caller: &Caller) -> Map<String, Value> {
    let reserved = caller.programmatic || caller.env.contains_key("pm_id");
    let dropped = |name: &str| match filter {
        // Q5: everything.
        Some(Value::Bool(true)) => true,
        Some(Value::String(exact)) => name == exact,
        Some(Value::Array(parts)) => parts.iter().filter_map(Value::as_str).any(|p| !p.is_empty() && name.contains(p)),
        _ => false,
    };
    let mut env: Map<String, Value> = caller
        .env
        .iter()
        .filter(|(name, value)| {
            let ours = reserved && (RESERVED.contains(&name.as_str()) || value.as_str() == Some("[object Object]"));
            !ours && !dropped(name)
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if caller.programmatic {
        env.entry("PM2_PROGRAMMATIC").or_insert_with(|| Value::from("true"));
    }
    env
}

/// The same for a process that exists: what names the calling app's own instance must not go over what names the other's.
pub(super) fn inherited_by_running(filter: Option<&Value>, caller: &Caller) -> Map<String, Value> {
    let mut env = inherited(filter, caller);
    if caller.env.contains_key("pm_id") {
        for name in ["NODE_APP_INSTANCE", "unique_id", "namespace"] {
            env.shift_remove(name);
        }
    }
    env
}

/// An object of variables, or the validation error for anything else (Q11). Objects, lists and null become JSON text when
/// `flatten`: so pm2 does in the JSON form, and not in the script form.
pub(super) fn variables(name: &str, value: Option<&Value>, flatten: bool) -> Result<Map<String, Value>, ConfigError> {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => Ok(Map::new()),
        Some(Value::Object(env)) => Ok(env
            .iter()
            // Assigning this key in a stock daemon would change a prototype, not set a variable.
            .filter(|(k, _)| *k != "__proto__")
            .map(|(k, v)| match v {
                Value::Object(_) | Value::Array(_) | Value::Null if flatten => (k.clone(), Value::from(v.to_string())),
                _ => (k.clone(), v.clone()),
            })
            .collect()),
        Some(other) => Err(ConfigError::Invalid(format!(
            "Expect \"{name}\" to be a typeof [object Object], but now is [object {}]",
            type_name(other)
        ))),
    }
}

/// `deploy.<name>.env` of the config.
pub(super) fn of_deployment(config: &Value, name: &str) -> Map<String, Value> {
    config
        .get("deploy")
        .and_then(|d| d.get(name))
        .and_then(|d| d.get("env"))
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

/// The module configuration of the app `name` out of `module_conf.json`: its keys as variables, and a variable called like the
/// app with the whole as JSON. Nothing where there is none (Q10).
pub(super) fn of_module(name: &str, caller: &Caller) -> Map<String, Value> {
    const LIMIT: u64 = 16 << 20;
    let path = &caller.home.module_conf_file;
    let readable = std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() <= LIMIT);
    if !readable {
        return Map::new();
    }
    let config = std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let Some(Value::Object(mut env)) = config.as_ref().and_then(|c| c.get(name)).cloned() else { return Map::new() };
    if env.is_empty() {
        return env;
    }
    let whole = Value::Object(env.clone()).to_string();
    env.insert(name.to_owned(), Value::from(whole));
    env
}

/// The variables that options stand for: PORT, io, PYTHONUNBUFFERED, HOME.
pub(super) fn of_options(app: &Map<String, Value>, interpreter: &str, home: Option<String>) -> Map<String, Value> {
    let mut env = Map::new();
    if interpreter.contains("python") {
        env.insert("PYTHONUNBUFFERED".to_owned(), Value::from("1"));
    }
    if let Some(port) = app.get("port") {
        env.insert("PORT".to_owned(), port.clone());
    }
    if let Some(io) = app.get("io") {
        env.insert("io".to_owned(), Value::from(io.to_string()));
    }
    if let Some(home) = home {
        env.insert("HOME".to_owned(), Value::from(home));
    }
    env
}

/// `PWD` as the app will see it, when it has a directory of its own.
pub(super) fn of_directory(app: &Map<String, Value>, cwd: &std::path::Path) -> Map<String, Value> {
    let mut env = Map::new();
    if text(app, "cwd").is_some() {
        env.insert("PWD".to_owned(), Value::from(cwd.to_string_lossy()));
    }
    env
}
