//! The vocabulary that the binding and the CLI share: every verb with its arguments, as one serde enum.
//!
//! Owns: the names and arguments of the verbs. What each one does is in `actions/<verb>.rs`.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// JSON text of an answer. Long lists only pass through, so they are never taken apart.
pub type Answer = Box<RawValue>;

/// Who calls, at the time of the call: relative paths and inherited variables come from here.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Context {
    /// `process.cwd()`.
    pub cwd: PathBuf,
    /// `pm2.cwd` when it is another one: scripts and config files are relative to it.
    pub instance_cwd: Option<PathBuf>,
    /// `process.env`, in order; absent: the environment that the process has.
    pub env: Option<Map<String, Value>>,
    /// `process.execPath`; absent: the running executable, which is Node.
    pub node: Option<PathBuf>,
    /// `process.versions.node`.
    pub node_version: Option<String>,
    /// Called through `require('pm2')`, not by the CLI.
    pub programmatic: bool,
}

impl Default for Context {
    fn default() -> Context {
        let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        Context { cwd, instance_cwd: None, env: None, node: None, node_version: None, programmatic: true }
    }
}

impl Context {
    /// The folder that scripts and config files are relative to.
    pub fn base(&self) -> &std::path::Path {
        self.instance_cwd.as_deref().unwrap_or(&self.cwd)
    }
}

/// What a verb is to act on.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// A script, name, namespace, id, `all` or `/pattern/`; `{"name": "api"}`, or plainly a text or a number.
    Name(String),
    /// Apps: an object, an array, or what a config file held; `{"config": [...], "file": "/srv/app/eco.json"}`, or
    /// plainly an array.
    Config { value: Value, file: Option<PathBuf> },
    /// What names nothing (`undefined`, `true`): always "not found" (Q18).
    Nothing,
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Target, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Ok(Target::from_value(value))
    }
}

impl Target {
    /// Reads any JSON value as a target.
    pub fn from_value(value: Value) -> Target {
        match value {
            Value::String(name) => Target::Name(name),
            Value::Number(id) => Target::Name(id.to_string()),
            Value::Array(_) => Target::Config { value, file: None },
            Value::Object(mut map) => {
                if let Some(value) = map.remove("config") {
                    let file = map.get("file").and_then(Value::as_str).map(PathBuf::from);
                    return Target::Config { value, file };
                }
                match map.remove("name").or_else(|| map.remove("script")) {
                    Some(Value::String(name)) => Target::Name(name),
                    Some(Value::Number(id)) => Target::Name(id.to_string()),
                    _ => Target::Nothing,
                }
            }
            Value::Null | Value::Bool(_) => Target::Nothing,
        }
    }
}

/// Where the files of a module lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// `modules/<name>/node_modules/<name>`.
    Npm,
    /// `modules/<name>`; its apps are called `<name>:<app>`.
    Archive,
    /// A folder of the user's, watched; not remembered.
    Folder,
}

/// A module to start.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Module {
    pub name: String,
    pub origin: Origin,
    /// The folder of its package.json; absent: where an installation puts it.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// `uid` and `gid` to run it as.
    #[serde(default)]
    pub options: Map<String, Value>,
}

/// A verb with its arguments: `{"action": "stop", "target": "api", "context": {...}}`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "action", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Action {
    /// Connects, launching a daemon if there is none: `{new_pm2_instance, rpc_socket_file, pub_socket_file, pm2_home}`.
    Connect,
    Start {
        target: Target,
        #[serde(default)]
        options: Map<String, Value>,
        #[serde(default)]
        context: Context,
    },
    /// What starting these apps would change: `[{name, action, changes: [{field, from, to}]}]`.
    Plan {
        target: Target,
        #[serde(default)]
        options: Map<String, Value>,
        #[serde(default)]
        context: Context,
    },
    Stop {
        target: Target,
        #[serde(default)]
        options: Map<String, Value>,
        #[serde(default)]
        context: Context,
    },
    Restart {
        target: Target,
        #[serde(default)]
        options: Map<String, Value>,
        #[serde(default)]
        context: Context,
    },
    Reload {
        target: Target,
        #[serde(default)]
        options: Map<String, Value>,
        #[serde(default)]
        context: Context,
    },
    Delete {
        target: Target,
        #[serde(default)]
        options: Map<String, Value>,
        #[serde(default)]
        context: Context,
    },
    /// `count`: a total, or `"+2"`, `"-1"` (Q37).
    Scale {
        name: Value,
        count: Value,
    },
    Reset {
        target: Target,
        #[serde(default)]
        context: Context,
    },
    List,
    /// The same in the form of `daemon::delta`; a stock daemon gives the whole list.
    ListDelta,
    Describe {
        target: Value,
    },
    GetPid {
        #[serde(default)]
        name: Option<Value>,
    },
    GetProcessIdByName {
        name: Value,
        #[serde(default)]
        context: Context,
    },
    GetVersion,
    Ping,
    Env {
        id: Value,
    },
    SendSignalToProcessName {
        signal: Value,
        name: Value,
    },
    SendSignalToProcessId {
        signal: Value,
        id: Value,
    },
    SendDataToProcessId {
        #[serde(default)]
        id: Option<Value>,
        packet: Value,
    },
    SendLineToStdin {
        id: Value,
        line: Value,
        #[serde(default)]
        separator: Option<String>,
    },
    /// `options`: `{id | name, msg, opts?, uuid?}`.
    MsgProcess {
        options: Value,
    },
    /// Calls an action of the apps and waits for the answers of all that were addressed.
    Trigger {
        target: Value,
        name: String,
        #[serde(default)]
        params: Option<Value>,
    },
    Dump {
        #[serde(default)]
        force: bool,
    },
    ClearDump,
    Resurrect,
    Flush {
        #[serde(default)]
        target: Option<Value>,
    },
    ReloadLogs,
    KillDaemon,
    /// Daemon and keeper become the `pm2d` of this session; no app is restarted, unless a stock daemon lives there:
    /// `{success, from, to, restarted}`.
    Update,
    /// Kills the daemon and removes the home.
    Destroy,
    /// `state`: `monitor` or `unmonitor`.
    MonitorState {
        state: String,
        target: Value,
    },
    /// `method`: what a change of a file asks for (`restartProcessId`); `env`: `{id}`.
    StartWatch {
        method: String,
        env: Value,
    },
    StopWatch {
        method: String,
        env: Value,
    },
    ToggleWatch {
        method: String,
        env: Value,
    },
    NotifyByProcessId {
        id: Value,
        name: String,
    },
    Get {
        #[serde(default)]
        key: Option<String>,
    },
    Set {
        key: String,
        value: Value,
        #[serde(default)]
        context: Context,
    },
    Multiset {
        text: String,
        #[serde(default)]
        context: Context,
    },
    Unset {
        key: String,
    },
    /// Remembers an unpacked module and starts it; answers as `start` does.
    InstallModule {
        module: Module,
        #[serde(default)]
        context: Context,
    },
    /// Whether there was one of this name.
    UninstallModule {
        name: String,
    },
    /// Starts what is installed and does not run: `[{name, message}]` of what failed.
    LaunchModules {
        #[serde(default)]
        context: Context,
    },
    /// The names of what is installed.
    Modules,
    Report,
    /// A raw call: the arguments after the error that the daemon gave, as an array.
    Rpc {
        method: String,
        #[serde(default)]
        args: Vec<Value>,
    },
    /// Whether a daemon answers; launches none.
    PingDaemon,
}
