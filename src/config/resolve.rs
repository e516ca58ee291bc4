//! A checked description -> the record that `prepare` takes: every path absolute, nothing left to guess.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::draft::Draft;
use super::error::ConfigError;
use super::interpreter::{self, Interpreter};
use super::nvm::Missing;
use super::script::{self, Script};
use super::{Caller, StartOptions, env, instances, logs};

/// Where the variables of an app come from, and in which form they are stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sources<'a> {
    pub(super) config: &'a Value,
    pub(super) options: &'a StartOptions,
    /// Objects in `env` become JSON text: the JSON form.
    pub(super) flatten: bool,
    /// For a process that exists already.
    pub(super) running: bool,
    /// A Node that nvm lacks.
    pub(super) missing: Missing,
}

/// A finished record, and the folders that its log and pid files need.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) prepare: Map<String, Value>,
    pub(super) own_env: Map<String, Value>,
    pub(super) warnings: Vec<String>,
    pub(super) folders: Vec<PathBuf>,
}

/// Finds script and interpreter, places the files, collects the environment.
pub(super) fn record(draft: Draft, sources: Sources<'_>, caller: &Caller) -> Result<Record, ConfigError> {
    let Draft { mut values, home, mut warnings } = draft;
    let cwd = script::directory(super::value::text(&values, "cwd"), caller);
    let script = values.shift_remove("script");
    let script = script.as_ref().and_then(Value::as_str).ok_or(ConfigError::NoScript)?;
    let given = super::value::text(&values, "exec_interpreter");
    let (path, interpreter) = match script::find(script, &cwd, caller)? {
        Script::File(path) => {
            let interpreter = interpreter::choose(given, &path, sources.missing, caller)?;
            (path, interpreter)
        }
        Script::Command { shell, line } => {
            let interpreter = interpreter::choose(Some(given.unwrap_or("none")), &shell, sources.missing, caller)?;
            values.insert("args".to_owned(), Value::from(vec!["-c".to_owned(), line]));
            (shell, interpreter)
        }
    };
    let mode = instances::mode(&values, interpreter.can_cluster());
    if mode == "fork_mode" && values.get("exec_mode").and_then(Value::as_str) == Some("cluster_mode") {
        if interpreter.has_own_cluster() {
            let app = super::value::text(&values, "name").unwrap_or_default().to_owned();
            return Err(ConfigError::ClusterNeedsNode { app, program: interpreter.program });
        }
        warnings.push(format!("cluster mode needs Node; {} runs in fork mode", interpreter.program));
    }
    let Variables { all, own } = environment(&values, sources, &cwd, &interpreter.program, home, caller)?;
    warnings.extend(missing_environment(&values, sources));
    let name = super::value::text(&values, "name").unwrap_or_default().to_owned();

    values.shift_remove("execute_command");
    values.shift_remove("disable_trace");
    values.insert("env".to_owned(), Value::Object(all));
    values.insert("pm_exec_path".to_owned(), Value::from(path.to_string_lossy()));
    values.insert("pm_cwd".to_owned(), Value::from(cwd.to_string_lossy()));
    values.insert("exec_mode".to_owned(), Value::from(mode));
    interpreted(&mut values, interpreter);
    values.entry("instances").or_insert_with(|| Value::from(1));
    if sources.options.started_as_module {
        values.insert("pmx_module".to_owned(), Value::Bool(true));
    }
    let folders = logs::place(&mut values, &name, &cwd, caller);
    values.insert("km_link".to_owned(), Value::Bool(false));
    Ok(Record { prepare: values, own_env: own, warnings, folders })
}

/// Stores the interpreter, its own arguments before the user's.
fn interpreted(values: &mut Map<String, Value>, interpreter: Interpreter) {
    values.insert("exec_interpreter".to_owned(), Value::from(interpreter.program));
    if let Value::Array(arguments) = values.entry("node_args").or_insert_with(|| Value::Array(Vec::new())) {
        arguments.splice(0..0, interpreter.arguments.into_iter().map(Value::from));
    }
}

/// All variables of an app, and those among them that are not the caller's.
pub(super) struct Variables {
    pub(super) all: Map<String, Value>,
    pub(super) own: Map<String, Value>,
}

/// All variables of an app; later ones win (contract/options.md section 3.1; the deployment's are lowest, Q6).
pub(super) fn environment(
    values: &Map<String, Value>,
    sources: Sources<'_>,
    cwd: &Path,
    interpreter: &str,
    home: Option<String>,
    caller: &Caller,
) -> Result<Variables, ConfigError> {
    let filter = values.get("filter_env");
    let mut all =
        if sources.running { env::inherited_by_running(filter, caller) } else { env::inherited(filter, caller) };
    let mut own = env::of_directory(values, cwd);
    if let Some(name) = &sources.options.env {
        own.extend(env::of_deployment(sources.config, name));
    }
    own.extend(env::variables("env", values.get("env"), sources.flatten)?);
    own.insert("PM2_HOME".to_owned(), Value::from(caller.home.root.to_string_lossy()));
    if let Some(name) = &sources.options.env {
        let key = format!("env_{name}");
        own.extend(env::variables(&key, values.get(&key), false)?);
    }
    let name = super::value::text(values, "name").unwrap_or_default();
    own.extend(env::of_module(name, caller));
    own.extend(env::of_options(values, interpreter, home));
    all.extend(own.clone());
    Ok(Variables { all, own })
}

/// The sentence for `--env <name>` without such an environment.
pub(super) fn missing_environment(values: &Map<String, Value>, sources: Sources<'_>) -> Option<String> {
    let name = sources.options.env.as_ref()?;
    let there = values.contains_key(&format!("env_{name}"));
    let app = super::value::text(values, "name").unwrap_or_default();
    (!there).then(|| format!("Environment [{name}] is not defined in process file (app {app})"))
}
