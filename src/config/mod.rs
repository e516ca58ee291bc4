//! Options and config files -> complete app descriptions: exactly what a client sends to a daemon, stock or ours.
//!
//! Owns: the one table of options, validation, environment, script, interpreter, names, log paths, config files.
//! Must never: print, mutate the caller's environment, talk to a daemon, spawn an app. Runs in the caller's process, because
//! only there are the caller's directory, environment and PATH.

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::model::Home;

mod apps;
mod cron;
mod draft;
mod env;
mod error;
mod extensions;
mod file;
mod identity;
mod instances;
mod interpreter;
mod logs;
mod name;
mod nearest;
mod nvm;
mod paths;
mod program;
pub mod reference;
mod resolve;
pub mod schema;
mod script;
mod split;
mod start;
pub mod table;
mod validate;
mod value;
mod yaml;

#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod tests;

pub use apps::{apps_of, use_static_server};
pub use error::ConfigError;
pub use file::{is_config_file, read_file};
pub use split::split;
pub use start::{
    app_form, app_name, app_preview, app_restart, restart_overrides, script_form, script_name, update_env,
};

/// An ordered map of JSON values, as options and apps arrive.
pub type Options = Map<String, Value>;

/// Who calls: everything about the calling process that the resolution depends on.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The current directory of the calling process; absolute.
    pub cwd: PathBuf,
    /// Its environment, in order; the values are strings.
    pub env: Map<String, Value>,
    pub home: Home,
    /// The OS user (`username` of the app).
    pub username: String,
    /// Effective uid: `uid`/`gid` options need 0.
    pub uid: u32,
    /// `process.execPath`.
    pub node: PathBuf,
    pub node_version: Option<(u32, u32, u32)>,
    pub cpus: usize,
    /// `pm2.cwd`: what scripts and config files are relative to. Usually the same as `cwd`.
    pub instance_cwd: PathBuf,
    /// Called through `require('pm2')`, not through the CLI: the reserved names are dropped from the environment.
    pub programmatic: bool,
}

/// The options of `start(config, opts)` that count in the JSON form (contract/api.md section 6.1.2, point 4).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StartOptions {
    /// Only the apps of these names; empty: all.
    pub only: Vec<String>,
    /// The environment's NAME: `env_<name>` is merged.
    pub env: Option<String>,
    pub namespace: Option<String>,
    /// `watch: true`. Other values do not count.
    pub watch: bool,
    pub ignore_watch: Option<Value>,
    pub instances: Option<i64>,
    pub uid: Option<Value>,
    pub gid: Option<Value>,
    pub cwd: Option<String>,
    pub name_prefix: Option<String>,
    pub install_url: Option<String>,
    pub force_name: Option<String>,
    pub started_as_module: bool,
    /// `updateEnv`/`update_env`: take the caller's environment into a restart.
    pub update_env: bool,
    pub force: bool,
    pub parallel: Option<usize>,
}

/// What to send, and what to tell the user.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resolved {
    /// The argument of the rpc call `prepare`.
    pub prepare: Map<String, Value>,
    /// The app's own variables among those of its `env`: the others are the caller's.
    pub own_env: Map<String, Value>,
    /// `write: true`: the checked options for a file of this name, to be written by the caller.
    pub written: Option<(String, Map<String, Value>)>,
    /// Plain sentences. Nothing is printed here.
    pub warnings: Vec<String>,
}

/// What to send for processes that exist already.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides {
    /// The `env` of `restartProcessId({id, env})` and `reloadProcessId`: environment, and the options in `current_conf`.
    pub env: Map<String, Value>,
    /// As in [`Resolved`]; empty where only the caller's are sent.
    pub own_env: Map<String, Value>,
    pub warnings: Vec<String>,
}

/// Which reader a config file needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// `.json`, `.json5`, `package.json`.
    Json,
    /// `.yml`, `.yaml`.
    Yaml,
    /// `.config.js`, `.config.mjs`, `.config.ts` and the like: evaluated by the JavaScript layer.
    Js,
}
