//! The two start forms and the restart: options in, rpc argument out.

use serde_json::{Map, Value};

use super::draft::{self, Draft};
use super::error::ConfigError;
use super::nvm::Missing;
use super::resolve::{self, Record, Sources, Variables};
use super::value::{get, put, take_out, truthy};
use super::{
    Caller, Options, Overrides, Resolved, StartOptions, env, extensions, interpreter, name, nvm, script, validate,
};

/// Options of start and restart that are no options of an app.
const OF_THE_CALL: &[&str] =
    &["only", "updateEnv", "update_env", "parallel", "scriptArgs", "rawArgs", "ext", "force_name", "started_as_module"];

/// `start(script, options)` (contract/api.md section 6.1.1). Snake case, camel case and `args` are all accepted; snake case
/// wins (Q1). `watchDelay` is in seconds here; `watch_delay` in milliseconds. Creates missing folders of log files.
///
/// # Errors
/// The first thing that makes the app impossible to start, in pm2's words.
pub fn script_form(script: &str, options: &Options, caller: &Caller) -> Result<Resolved, ConfigError> {
    let write = get(options, "write") == Some(&Value::Bool(true));
    let (record, values) = script_record(script, options, caller)?;
    let mut resolved = finished(record)?;
    resolved.written = write.then(|| (written_name(&values), values));
    Ok(resolved)
}

/// The record, and the checked options that it is made of.
pub(super) fn script_record(
    script: &str,
    options: &Options,
    caller: &Caller,
) -> Result<(Record, Map<String, Value>), ConfigError> {
    let mut app = call_options(options);
    put(&mut app, "script", Value::from(script));
    if let Some(list) = options.get("ext").and_then(Value::as_str)
        && !get(&app, "ignore_watch").is_some_and(truthy)
    {
        put(&mut app, "ignore_watch", Value::from(extensions::others(&caller.cwd, list)));
    }
    let start = StartOptions::default();
    let draft = draft::app(&app, &start, OF_THE_CALL, caller)?;
    let values = draft.values.clone();
    let sources =
        Sources { config: &Value::Null, options: &start, flatten: false, running: false, missing: Missing::Install };
    Ok((resolve::record(draft, sources, caller)?, values))
}

/// The file of `write: true`, in the caller's directory whatever the name is.
fn written_name(values: &Map<String, Value>) -> String {
    let name = super::value::text(values, "name").unwrap_or("app");
    format!("{}-pm2.json", name.replace('/', "-"))
}

/// One app of `start(object | array | file, options)` (contract/api.md section 6.1.2). `config` is the whole file, for
/// `deploy.<env>.env`. Creates missing folders of log files.
///
/// # Errors
/// As `script_form`.
pub fn app_form(
    app: &Options,
    config: &Value,
    options: &StartOptions,
    caller: &Caller,
) -> Result<Resolved, ConfigError> {
    finished(app_record(app, config, options, Missing::Install, caller)?)
}

/// What `app_form` would send, without making any folder or installing any Node.
///
/// # Errors
/// As `script_form`.
pub fn app_preview(
    app: &Options,
    config: &Value,
    options: &StartOptions,
    caller: &Caller,
) -> Result<Map<String, Value>, ConfigError> {
    Ok(app_record(app, config, options, Missing::Refuse, caller)?.prepare)
}

pub(super) fn app_record(
    app: &Options,
    config: &Value,
    options: &StartOptions,
    missing: Missing,
    caller: &Caller,
) -> Result<Record, ConfigError> {
    let draft = draft::app(app, options, &[], caller)?;
    resolve::record(draft, Sources { config, options, flatten: true, running: false, missing }, caller)
}

/// The same app for a process of its name that exists already: what `restartProcessId`/`reloadProcessId` get as `env`
/// (contract/api.md section 6.1.3). The whole environment goes along, the app's over the caller's (Q7).
///
/// # Errors
/// As `script_form`; but a script that is missing now is no error, because it is not looked at.
pub fn app_restart(
    app: &Options,
    config: &Value,
    options: &StartOptions,
    caller: &Caller,
) -> Result<Overrides, ConfigError> {
    let Draft { mut values, home, mut warnings } = draft::app(app, options, &[], caller)?;
    nvm::resolve(&mut values, caller)?;
    let sources = Sources { config, options, flatten: true, running: true, missing: Missing::Install };
    let cwd = script::directory(super::value::text(&values, "cwd"), caller);
    let text = super::value::text(&values, "script").unwrap_or_default();
    let found = script::find(text, &cwd, caller).ok();
    let program = match &found {
        Some(script::Script::File(path)) => {
            interpreter::choose(super::value::text(&values, "exec_interpreter"), path, Missing::Refuse, caller).ok()
        }
        _ => None,
    };
    let program = program.map(|i| i.program).unwrap_or_default();
    let Variables { mut all, own } = resolve::environment(&values, sources, &cwd, &program, home, caller)?;
    warnings.extend(resolve::missing_environment(&values, sources));
    if let Some(script::Script::Command { line, .. }) = found {
        values.insert("args".to_owned(), Value::from(vec!["-c".to_owned(), line]));
    }
    // Absent means unchanged here, and the default of node_args would empty it.
    if !get(app, "node_args").is_some_and(truthy) {
        values.shift_remove("node_args");
    }
    values.insert("env".to_owned(), Value::Object(all.clone()));
    all.insert("current_conf".to_owned(), Value::Object(values));
    Ok(Overrides { env: all, own_env: own, warnings })
}

/// `restart(name, options)`, `reload(name, options)`, and `start(name, options)` of something that exists. `name` is the
/// process's, for its module configuration. With `updateEnv` the caller's environment goes along. Always normalised and
/// validated (Q8, Q53); only what is given is sent.
///
/// # Errors
/// Invalid values, in pm2's words; `env` given (an environment's name) is refused as pm2 refuses it.
pub fn restart_overrides(options: &Options, name: &str, caller: &Caller) -> Result<Overrides, ConfigError> {
    if options.get("env").is_some_and(truthy) {
        let text = "Using --env [env] without passing the ecosystem.config.js does not work";
        return Err(ConfigError::Invalid(text.to_owned()));
    }
    let mut raw = call_options(options);
    raw.shift_remove("env");
    take_out(&mut raw, "script");
    let Draft { mut values, home, mut warnings } = draft::overrides(&raw, OF_THE_CALL, caller)?;
    nvm::resolve(&mut values, caller)?;
    if values.shift_remove("exec_mode").is_some() {
        warnings.push("exec_mode is ignored: a restart cannot change it".to_owned());
    }
    let mut all = if update_env(options) { env::inherited_by_running(None, caller) } else { Map::new() };
    all.extend(env::of_module(name, caller));
    if let Some(home) = home {
        all.insert("HOME".to_owned(), Value::from(home));
    }
    values.insert("km_link".to_owned(), Value::Bool(false));
    all.insert("current_conf".to_owned(), Value::Object(values));
    Ok(Overrides { env: all, own_env: Map::new(), warnings })
}

/// The name `script_form` would give.
pub fn script_name(script: &str, options: &Options) -> String {
    let given = get(options, "name").and_then(Value::as_str).filter(|name| !name.is_empty());
    given.map_or_else(|| name::of_script(script), str::to_owned)
}

/// The name `app_form` would give; `None` without script.
pub fn app_name(app: &Options, options: &StartOptions) -> Option<String> {
    name::of_app(app, options)
}

/// What is special about options given beside a script or a name: the unit of `watchDelay`, and where arguments are.
fn call_options(options: &Options) -> Options {
    let mut app = options.clone();
    if let Some(delay) = app.get("watchDelay").and_then(validate::watch_delay_seconds) {
        app.insert("watchDelay".to_owned(), delay);
    }
    let after_dashes = options.get("rawArgs").and_then(Value::as_array).and_then(|list| {
        let dashes = list.iter().position(|arg| arg == "--")?;
        Some(Value::from(list.get(dashes + 1..).unwrap_or_default().to_vec()))
    });
    if let Some(args) = after_dashes {
        put(&mut app, "args", args);
    } else if let (false, Some(args)) = (get(options, "args").is_some_and(truthy), options.get("scriptArgs")) {
        put(&mut app, "args", args.clone());
    }
    app
}

/// Whether the caller's environment is to go along.
pub fn update_env(options: &Options) -> bool {
    ["update_env", "updateEnv"].iter().any(|key| options.get(*key).is_some_and(truthy))
}

/// The last step, with the only trace on disk: folders of log and pid files.
fn finished(record: Record) -> Result<Resolved, ConfigError> {
    for folder in record.folders {
        std::fs::create_dir_all(&folder)
            .map_err(|e| ConfigError::Folder { path: folder.clone(), text: e.to_string() })?;
    }
    Ok(Resolved { prepare: record.prepare, own_env: record.own_env, written: None, warnings: record.warnings })
}

impl StartOptions {
    /// Reads the options as they come from JavaScript or the CLI, in snake or camel case.
    pub fn from_map(options: &Map<String, Value>) -> StartOptions {
        let text = |name: &str| super::value::text(options, name).map(str::to_owned);
        let given = |name: &str| get(options, name).filter(|v| truthy(v)).cloned();
        let words = |value: &Value| match value {
            Value::String(text) => text.split([',', ' ']).filter(|w| !w.is_empty()).map(str::to_owned).collect(),
            Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        let mut count = Map::new();
        if let Some(n) = options.get("instances") {
            count.insert("instances".to_owned(), n.clone());
            super::instances::normalise(&mut count);
        }
        StartOptions {
            only: options.get("only").map(words).unwrap_or_default(),
            env: options.get("env").and_then(Value::as_str).filter(|e| !e.is_empty()).map(str::to_owned),
            namespace: text("namespace"),
            watch: options.get("watch") == Some(&Value::Bool(true)),
            ignore_watch: given("ignore_watch"),
            instances: count.get("instances").and_then(Value::as_i64),
            uid: given("uid"),
            gid: given("gid"),
            cwd: text("cwd"),
            name_prefix: text("name_prefix"),
            install_url: text("install_url"),
            force_name: options.get("force_name").and_then(Value::as_str).map(str::to_owned),
            started_as_module: options.get("started_as_module") == Some(&Value::Bool(true)),
            update_env: update_env(options),
            force: options.get("force") == Some(&Value::Bool(true)),
            parallel: options.get("parallel").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()),
        }
    }

    /// Whether `only` lets an app of this name through.
    pub fn selects(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}
