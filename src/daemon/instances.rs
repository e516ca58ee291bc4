//! From one app, as `prepare` takes it, to the records of its instances.
//!
//! Owns: how many instances, which numbers and paths they get, and the same for a copy (`scale` up).
//! Must never: touch the table; it is given what it needs to know of the other records.

use std::cell::Cell;
use std::collections::HashSet;
use std::path::Path;
use std::rc::Rc;

use serde_json::{Map, Value, json};

use super::env_block::EnvBlock;
use super::record::{self, Record};
use crate::model::PmId;
use crate::wire::rpc::{ORIGIN, Origin};

/// More instances than this in one call are a mistake, not a wish.
const MAX_INSTANCES: u64 = 4096;

/// One app, read and checked.
#[derive(Debug)]
pub(crate) struct App {
    config: Map<String, Value>,
    env: Map<String, Value>,
    /// Which of `env` are the app's own (see `Record`).
    own: Option<Rc<str>>,
    /// How far a saved instance's `increment_var` is above the configured value.
    offset: i64,
    version: Option<Rc<str>>,
    pub(crate) count: u32,
    /// The value of `increment_var` that was given out last.
    counter: Cell<Option<i64>>,
    /// It comes from a dump, where it was stopped: listed, not started.
    pub(crate) saved_stopped: bool,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum AppError {
    #[error("prepare: expected an app as an object, got {0}")]
    NotAnObject(&'static str),
    #[error("prepare: the app has no {0}")]
    Missing(&'static str),
    #[error("prepare: {0} instances are more than the {MAX_INSTANCES} that one call may start")]
    TooMany(u64),
}

impl App {
    /// Reads what a client sent. `cpus` is the number of processors of the daemon, `forced_var` its
    /// `PM2_PROCESS_INSTANCE_VAR`, which overrides `instance_var` of every app.
    pub(crate) fn read(value: Value, cpus: u32, forced_var: Option<&str>) -> Result<App, AppError> {
        let mut config = match value {
            Value::Object(config) => config,
            Value::Null => return Err(AppError::NotAnObject("null")),
            Value::Array(_) => return Err(AppError::NotAnObject("an array")),
            _ => return Err(AppError::NotAnObject("a scalar")),
        };
        for key in ["name", "pm_exec_path"] {
            if config.get(key).and_then(Value::as_str).is_none_or(str::is_empty) {
                return Err(AppError::Missing(key));
            }
        }
        let env = match config.insert("env".to_owned(), Value::Null) {
            Some(Value::Object(env)) => env,
            _ => Map::new(),
        };
        let origin: Origin =
            config.shift_remove(ORIGIN).and_then(|origin| serde_json::from_value(origin).ok()).unwrap_or_default();
        let own = origin.own_env.as_ref().map(record::own_text);
        let saved_stopped = config.get("status").and_then(Value::as_str) == Some("stopped");
        record::clean(&mut config, &env);
        let count = count(config.get("instances"), cpus)?;
        if config.contains_key("instances") {
            config.insert("instances".to_owned(), json!(count));
        }
        // A stopped app of a dump is one entry for each instance.
        let count = if saved_stopped { 1 } else { count };
        if let Some(var) = forced_var.filter(|name| !name.is_empty()) {
            config.insert("instance_var".to_owned(), json!(var));
        }
        config.entry("vizion_running").or_insert(Value::Bool(false));
        let version = version_near(config.get("pm_exec_path").and_then(Value::as_str).unwrap_or_default());
        let offset = origin.offset.unwrap_or(0);
        Ok(App { config, env, own, offset, version, count, counter: Cell::new(None), saved_stopped })
    }

    /// The app of an instance that is there already, for one more of it.
    pub(crate) fn copy_of(record: &Record) -> App {
        let mut config = record.config().clone();
        config.shift_remove(instance_var(&config).as_str());
        let (mut env, version) = (record.env().to_map(), record.version.clone());
        if let Some(value) = increment_var(&config).and_then(|counter| env.get_mut(counter))
            && let Some(n) = number(value)
        {
            // As it was configured; the copy counts on from there by itself.
            *value = json!(n.saturating_sub(record.offset));
        }
        let own = record.own_env().cloned();
        App { config, env, own, offset: 0, version, count: 1, counter: Cell::new(None), saved_stopped: false }
    }

    pub(crate) fn name(&self) -> &str {
        self.config.get("name").and_then(Value::as_str).unwrap_or_default()
    }

    /// The environment block that all instances may share.
    pub(crate) fn shared_env(&self) -> Rc<EnvBlock> {
        let mut env = self.env.clone();
        strip_env(&mut env, &instance_var(&self.config));
        EnvBlock::new(&env)
    }

    /// The record of the next instance. `same_name` are the records of this name that are there already.
    pub(crate) fn instance<'a>(
        &self,
        id: PmId,
        same_name: impl Iterator<Item = &'a Record> + Clone,
        shared: &Rc<EnvBlock>,
    ) -> Record {
        let mut config = self.config.clone();
        let var = instance_var(&config);
        let saved = config.get(&var).and_then(Value::as_u64).is_some();
        if !saved {
            let used: HashSet<u64> =
                same_name.clone().filter_map(|r| r.config().get(&var).and_then(Value::as_u64)).collect();
            config.insert(var.clone(), json!(next_number(&used)));
        }
        let mut env = Rc::clone(shared);
        let mut offset = self.offset;
        if let Some(Value::String(counter)) = config.get("increment_var").cloned().filter(|_| !saved) {
            let mut own = self.env.clone();
            strip_env(&mut own, &var);
            // Looking into all environments is slow: once for all instances of this start.
            let highest = self
                .counter
                .get()
                .or_else(|| same_name.filter_map(|r| r.env().to_map().get(&counter).and_then(number)).max());
            let configured = own.get(&counter).and_then(number).unwrap_or(0);
            let value = highest.map_or(configured, |n| n.saturating_add(1));
            self.counter.set(Some(value));
            offset = value.saturating_sub(configured);
            own.insert(counter, json!(value));
            env = EnvBlock::new(&own);
        }
        suffix_paths(&mut config, id);
        let mut record = Record::new(id, config, env, &uuid::Uuid::new_v4().to_string());
        record.version.clone_from(&self.version);
        record.set_own_env(self.own.clone());
        record.offset = offset;
        record
    }
}

/// Variables that name one instance never belong to the environment that several share.
pub(crate) fn strip_env(env: &mut Map<String, Value>, instance_var: &str) {
    env.shift_remove("unique_id");
    env.shift_remove(instance_var);
}

/// The name of the variable that holds the instance number (contract/api.md section 12.2).
pub(crate) fn instance_var(config: &Map<String, Value>) -> String {
    config
        .get("instance_var")
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty())
        .unwrap_or("NODE_APP_INSTANCE")
        .to_owned()
}

/// The name of the variable that grows by one from instance to instance.
pub(crate) fn increment_var(config: &Map<String, Value>) -> Option<&str> {
    config.get("increment_var").and_then(Value::as_str).filter(|name| !name.is_empty())
}

/// The smallest number that is free below the highest one used, else one more than the highest.
fn next_number(used: &HashSet<u64>) -> u64 {
    let limit = used.len() as u64;
    (0..limit).find(|n| !used.contains(n)).unwrap_or(limit)
}

/// 0 is one for each processor, a negative number so many fewer, but at least one.
fn count(wish: Option<&Value>, cpus: u32) -> Result<u32, AppError> {
    let Some(number) = wish.and_then(number) else { return Ok(1) };
    let count = match number {
        0 => i64::from(cpus),
        n if n < 0 => (i64::from(cpus) + n).max(1),
        n => n,
    };
    let count = u64::try_from(count).unwrap_or(1);
    if count > MAX_INSTANCES {
        return Err(AppError::TooMany(count));
    }
    Ok(u32::try_from(count).unwrap_or(1))
}

/// A whole number as JSON number or text; a fraction is cut off.
pub(crate) fn number(value: &Value) -> Option<i64> {
    match value {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "cutting off the fraction is meant; out of range saturates"
        )]
        Value::Number(n) => n.as_i64().or_else(|| n.as_f64().map(|f| f as i64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Gives the pid file, and the log files unless they are merged, the id of their instance (contract/options.md 7.1).
fn suffix_paths(config: &mut Map<String, Value>, id: PmId) {
    let merged = config.get("merge_logs").is_some_and(|v| v == &Value::Bool(true) || v.as_str() == Some("true"));
    let mut suffix = |key: &str, extension: &str| {
        if let Some(Value::String(path)) = config.get_mut(key) {
            *path = with_id(path, extension, id);
        }
    };
    suffix("pm_pid_path", ".pid");
    if !merged {
        for key in ["pm_out_log_path", "pm_err_log_path", "pm_log_path"] {
            suffix(key, ".log");
        }
    }
}

fn with_id(path: &str, extension: &str, id: PmId) -> String {
    let Some(stem) = path.strip_suffix(extension) else { return path.to_owned() };
    let without_digits = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let stem = match without_digits.strip_suffix('-') {
        Some(base) if without_digits.len() < stem.len() => base,
        _ => stem,
    };
    format!("{stem}-{id}{extension}")
}

/// `version` of the nearest `package.json` at or above the script; `N/A` without such a file, `None` when it names none.
fn version_near(script: &str) -> Option<Rc<str>> {
    for folder in Path::new(script).ancestors().skip(1) {
        let Ok(text) = std::fs::read(folder.join("package.json")) else { continue };
        let parsed: Option<Value> = serde_json::from_slice(&text).ok();
        return parsed.as_ref().and_then(|p| p.get("version")).and_then(Value::as_str).map(Rc::from);
    }
    Some(Rc::from("N/A"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(value: Value) -> App {
        App::read(value, 4, None).expect("an app")
    }

    fn instance(app: &App, id: u32, others: &[Record]) -> Record {
        app.instance(PmId(id), others.iter(), &app.shared_env())
    }

    #[test]
    fn the_number_of_instances_is_pm2s() {
        for (wish, wanted) in
            [(json!(3), 3), (json!(0), 4), (json!(-1), 3), (json!(-9), 1), (json!("2"), 2), (json!(1.5), 1)]
        {
            let app = app(json!({ "name": "a", "pm_exec_path": "/x/a.js", "instances": wish }));
            assert_eq!(app.count, wanted, "{wish}");
            assert_eq!(app.config["instances"], json!(wanted));
        }
        assert_eq!(app(json!({ "name": "a", "pm_exec_path": "/x" })).count, 1);
        let many = App::read(json!({ "name": "a", "pm_exec_path": "/x", "instances": 100_000 }), 4, None);
        assert!(matches!(many, Err(AppError::TooMany(100_000))));
    }

    #[test]
    fn instance_numbers_fill_the_gaps() {
        assert_eq!(next_number(&HashSet::new()), 0);
        assert_eq!(next_number(&HashSet::from([0, 2])), 1);
        assert_eq!(next_number(&HashSet::from([1, 2])), 0);
        assert_eq!(next_number(&HashSet::from([0, 1])), 2);
    }

    #[test]
    fn ports_count_on_from_the_highest() {
        let app =
            app(json!({ "name": "a", "pm_exec_path": "/x/a.js", "increment_var": "PORT", "env": { "PORT": 3000 } }));
        let first = instance(&app, 0, &[]);
        assert_eq!(first.env().members(), r#""PORT":3000"#);
        let others = [first];
        let second = instance(&app, 1, &others);
        assert_eq!(second.env().members(), r#""PORT":3001"#);
        assert_eq!(second.config()["NODE_APP_INSTANCE"], 1);
    }

    #[test]
    fn paths_get_the_id_once() {
        assert_eq!(with_id("/l/web.pid", ".pid", PmId(4)), "/l/web-4.pid");
        assert_eq!(with_id("/l/web-2.pid", ".pid", PmId(4)), "/l/web-4.pid");
        assert_eq!(with_id("/l/web2.pid", ".pid", PmId(4)), "/l/web2-4.pid");
        assert_eq!(with_id("/l/web.txt", ".pid", PmId(4)), "/l/web.txt");
        assert_eq!(with_id("/dev/null", ".log", PmId(4)), "/dev/null");
    }

    #[test]
    fn merged_logs_have_no_id() {
        let text = json!({ "name": "a", "pm_exec_path": "/x/a.js", "merge_logs": true,
            "pm_out_log_path": "/l/a-out.log", "pm_pid_path": "/p/a.pid" });
        let record = instance(&app(text), 7, &[]);
        assert_eq!(record.config()["pm_out_log_path"], "/l/a-out.log");
        assert_eq!(record.config()["pm_pid_path"], "/p/a-7.pid");
    }

    #[test]
    fn a_saved_app_keeps_its_instance_number_and_gets_new_paths() {
        let saved = json!({ "name": "a", "pm_exec_path": "/x/a.js", "NODE_APP_INSTANCE": 5, "status": "stopped",
            "restart_time": 9, "pm_out_log_path": "/l/a-out-2.log", "env": { "A": "1", "unique_id": "old" }, "A": "1" });
        let app = app(saved);
        assert!(app.saved_stopped);
        let record = instance(&app, 0, &[]);
        assert_eq!(record.config()["NODE_APP_INSTANCE"], 5);
        assert_eq!(record.config()["pm_out_log_path"], "/l/a-out-0.log");
        assert!(!record.config().contains_key("restart_time") && !record.config().contains_key("A"));
        assert_eq!(record.env().members(), r#""A":"1""#);
    }

    #[test]
    fn what_is_no_app_is_refused_with_words() {
        for bad in [
            json!(null),
            json!([1]),
            json!("x"),
            json!({}),
            json!({ "name": "a" }),
            json!({ "name": 1, "pm_exec_path": "/x" }),
        ] {
            assert!(App::read(bad.clone(), 4, None).is_err(), "{bad}");
        }
    }
}
