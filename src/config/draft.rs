//! The part that a start and a restart share: a raw description, start options applied, pm2's own rules, checked
//! (contract/options.md section 2.1, in that order).

use serde_json::{Map, Value};

use super::error::ConfigError;
use super::validate::{Absent, check};
use super::value::{get, put, take_out, text, truthy};
use super::{Caller, Options, StartOptions, cron, identity, instances, name};

/// A checked description.
#[derive(Debug)]
pub(super) struct Draft {
    /// Options under their own names, converted.
    pub(super) values: Map<String, Value>,
    /// Home directory of the `uid`.
    pub(super) home: Option<String>,
    pub(super) warnings: Vec<String>,
}

/// Checks one app, with the defaults of absent options.
pub(super) fn app(
    raw: &Options,
    options: &StartOptions,
    known: &[&str],
    caller: &Caller,
) -> Result<Draft, ConfigError> {
    let mut app = raw.clone();
    // Before the start options: as in pm2, `instances` given there does not change the names of log files.
    let merges = merges_logs(&app);
    apply(&mut app, options);
    match get(&app, "script") {
        None => return Err(ConfigError::NoScript),
        Some(script) if !truthy(script) => return Err(ConfigError::NoScript),
        Some(_) => {}
    }
    if let Some(name) = name::of_app(&app, options) {
        put(&mut app, "name", Value::from(name));
    }
    if get(&app, "execute_command") == Some(&Value::Bool(true)) {
        take_out(&mut app, "execute_command");
        put(&mut app, "exec_mode", Value::from("fork_mode"));
    }
    put(&mut app, "username", Value::from(caller.username.as_str()));
    let set = |variable: &str| caller.env.get(variable).is_some_and(truthy);
    if set("ASZ_MODE") {
        put(&mut app, "time", Value::Bool(true));
    }
    if set("PM2_DEEP_MONITORING") {
        put(&mut app, "deep_monitoring", Value::Bool(true));
    }
    let merges = merges && get(&app, "merge_logs").is_none();
    let mut draft = finish(app, Absent::GetsDefault, known, caller)?;
    if merges {
        draft.values.insert("merge_logs".to_owned(), Value::Bool(true));
    }
    if draft.values.get("namespace").and_then(Value::as_str) == Some("") {
        draft.values.insert("namespace".to_owned(), Value::from("default"));
    }
    Ok(draft)
}

/// Checks the overrides of a restart: only what is given.
pub(super) fn overrides(raw: &Options, known: &[&str], caller: &Caller) -> Result<Draft, ConfigError> {
    finish(raw.clone(), Absent::StaysAbsent, known, caller)
}

/// The options of start that count for every app (contract/api.md section 6.1.2, point 4).
fn apply(app: &mut Options, options: &StartOptions) {
    let mut over = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            put(app, name, value);
        }
    };
    over("watch", options.watch.then_some(Value::Bool(true)));
    over("instances", options.instances.map(Value::from));
    over("cwd", options.cwd.clone().map(Value::from));
    over("uid", options.uid.clone());
    over("gid", options.gid.clone());
    over("install_url", options.install_url.clone().map(Value::from));
    // These do not win over what the app itself says.
    if !get(app, "namespace").is_some_and(truthy) {
        match &options.namespace {
            Some(namespace) => put(app, "namespace", Value::from(namespace.as_str())),
            None => take_out(app, "namespace"),
        }
    }
    if let Some(ignore) = options.ignore_watch.as_ref().filter(|_| !get(app, "ignore_watch").is_some_and(truthy)) {
        put(app, "ignore_watch", ignore.clone());
    }
}

/// Whether log files carry no instance number by default.
fn merges_logs(app: &Options) -> bool {
    let mut counted = app.clone();
    instances::normalise(&mut counted);
    if get(app, "execute_command") == Some(&Value::Bool(true)) {
        take_out(&mut counted, "exec_mode");
    }
    instances::merges_logs(&counted)
}

/// The rules from `time` to the schema.
fn finish(mut app: Options, absent: Absent, known: &[&str], caller: &Caller) -> Result<Draft, ConfigError> {
    if let Some(short @ ("fork" | "cluster")) = text(&app, "exec_mode") {
        let long = format!("{short}_mode");
        put(&mut app, "exec_mode", Value::from(long));
    }
    if get(&app, "time").is_some_and(truthy) {
        put(&mut app, "log_date_format", Value::from("YYYY-MM-DDTHH:mm:ss"));
    }
    let home = identity::resolve(&mut app, caller)?;
    if get(&app, "automation") == Some(&Value::Bool(false)) {
        put(&mut app, "pmx", Value::Bool(false));
    }
    if get(&app, "disable_trace").is_some_and(truthy) {
        take_out(&mut app, "disable_trace");
        put(&mut app, "trace", Value::Bool(false));
    }
    instances::normalise(&mut app);
    match get(&app, "cron_restart") {
        Some(Value::String(pattern)) if !pattern.is_empty() && pattern != "0" => {
            cron::check(pattern).map_err(ConfigError::Cron)?;
        }
        Some(Value::Number(n)) if n.as_f64() != Some(0.0) => {
            return Err(ConfigError::Cron("CronPattern: Pattern has to be of type string.".to_owned()));
        }
        _ => {}
    }
    let checked = check(&app, absent, known)?;
    Ok(Draft { values: checked.values, home, warnings: checked.warnings })
}
