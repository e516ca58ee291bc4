//! The one table of options: every name, type, default and rule of `config` comes from here.
//!
//! Owns: `FIELDS` (facts: contract/options.md section 1; the order is the one in which pm2 reports errors, recorded in
//! `__test__/oracle`). Must never: hold a rule that only one option has and that needs code; such rules live beside the code.

/// A JSON type that an option accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    Number,
    String,
    Array,
    Object,
}

/// What a number means, or a text stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    None,
    Bytes,
    Millis,
    /// Milliseconds; seconds when given as `watchDelay` in the script form.
    WatchDelay,
}

/// A rule for texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    Any,
    /// `cluster`, `fork`, with or without `_mode`.
    Mode,
    /// Digits and one of `G`, `M`, `K`.
    Bytes,
    /// Digits and one of `h`, `m`, `s`.
    Millis,
    /// Digits and one of `d`, `h`, `m`, `s`.
    Age,
    /// The name of a signal.
    Signal,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

impl Pattern {
    /// The regular expression as the JSON Schema has it.
    pub fn regex(self) -> Option<String> {
        match self {
            Pattern::Any => None,
            Pattern::Mode => Some("^(cluster|fork)(_mode)?$".to_owned()),
            Pattern::Bytes => Some(r"^\d+(G|M|K)?$".to_owned()),
            Pattern::Millis => Some(r"^\d+(h|m|s)?$".to_owned()),
            Pattern::Age => Some(r"^\d+(d|h|m|s)?$".to_owned()),
            Pattern::Signal => Some("^([Ss][Ii][Gg])?[A-Za-z0-9]+$".to_owned()),
            Pattern::OneOf(words) => Some(format!("^({})$", words.join("|"))),
        }
    }

    /// How the error message goes on after "it should be".
    pub fn wish(self) -> String {
        match self {
            Pattern::Any => "anything".to_owned(),
            Pattern::Mode => r#""cluster"("cluster_mode") or "fork"("fork_mode") only"#.to_owned(),
            Pattern::Bytes => {
                r#"a NUMBER - byte, "[NUMBER]G"(Gigabyte), "[NUMBER]M"(Megabyte) or "[NUMBER]K"(Kilobyte)"#.to_owned()
            }
            Pattern::Millis => {
                r#"a NUMBER - milliseconds, "[NUMBER]h"(hours), "[NUMBER]m"(minutes) or "[NUMBER]s"(seconds)"#
                    .to_owned()
            }
            Pattern::Age => {
                r#"a NUMBER - milliseconds, "[NUMBER]d"(days), "[NUMBER]h"(hours), "[NUMBER]m"(minutes) or "[NUMBER]s"(seconds)"#
                    .to_owned()
            }
            Pattern::Signal => r#"the name of a signal, such as "SIGTERM""#.to_owned(),
            Pattern::OneOf(words) => words.iter().map(|w| format!("{w:?}")).collect::<Vec<_>>().join(" or "),
        }
    }
}

/// What is stored when an option is absent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fallback {
    Absent,
    True,
    Number(f64),
    Text(&'static str),
    EmptyList,
    EmptyObject,
}

/// One option.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    pub name: &'static str,
    /// Other spellings, in the order in which they are tried.
    pub aliases: &'static [&'static str],
    pub kinds: &'static [Kind],
    pub fallback: Fallback,
    pub unit: Unit,
    pub pattern: Pattern,
    pub min: Option<f64>,
    /// The `pm2_env` key it ends in; empty: none of its own.
    pub stored: &'static str,
    /// One sentence for people.
    pub text: &'static str,
    /// Not an option of pm2: ours alone.
    pub added: bool,
}

impl Field {
    /// Whether a falsy value counts as absent in pm2: only names with an underscore (Q2).
    pub fn drops_falsy(&self) -> bool {
        self.name.contains('_')
    }

    /// The name and all aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    const fn new(name: &'static str, kinds: &'static [Kind], text: &'static str) -> Field {
        Field {
            name,
            aliases: &[],
            kinds,
            fallback: Fallback::Absent,
            unit: Unit::None,
            pattern: Pattern::Any,
            min: None,
            stored: name,
            text,
            added: false,
        }
    }

    const fn alias(mut self, aliases: &'static [&'static str]) -> Field {
        self.aliases = aliases;
        self
    }

    const fn default(mut self, fallback: Fallback) -> Field {
        self.fallback = fallback;
        self
    }

    const fn on(self) -> Field {
        self.default(Fallback::True)
    }

    const fn millis(mut self) -> Field {
        self.unit = Unit::Millis;
        self
    }

    const fn pattern(mut self, pattern: Pattern) -> Field {
        self.pattern = pattern;
        self
    }

    const fn unit(mut self, unit: Unit) -> Field {
        self.unit = unit;
        self
    }

    const fn min(mut self, min: f64) -> Field {
        self.min = Some(min);
        self
    }

    const fn stored(mut self, key: &'static str) -> Field {
        self.stored = key;
        self
    }

    const fn added(mut self) -> Field {
        self.added = true;
        self
    }
}

/// The option of this name or alias.
pub fn field(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|f| f.names().any(|n| n == name))
}

const BOOL: &[Kind] = &[Kind::Boolean];
const NUMBER: &[Kind] = &[Kind::Number];
const TEXT: &[Kind] = &[Kind::String];
const LIST: &[Kind] = &[Kind::Array];
const OBJECT: &[Kind] = &[Kind::Object];
const WORDS: &[Kind] = &[Kind::Array, Kind::String];
const BOOL_TEXT: &[Kind] = &[Kind::Boolean, Kind::String];
const BOOL_LIST_TEXT: &[Kind] = &[Kind::Boolean, Kind::Array, Kind::String];
const NUMBER_TEXT: &[Kind] = &[Kind::Number, Kind::String];
const TEXT_NUMBER: &[Kind] = &[Kind::String, Kind::Number];

/// `env_<name>`: not in the table, because its name is open.
pub const ENV_NAMED: Field =
    Field::new("env_<name>", &[Kind::Object, Kind::String], "variables merged over `env` when `--env <name>` is given");

/// Whether a key is of the kind `env_<name>`.
pub fn is_env_named(key: &str) -> bool {
    key.strip_prefix("env_").is_some_and(|rest| !rest.contains(char::is_whitespace))
}

/// Every option, in the order in which errors are reported.
#[rustfmt::skip]
pub static FIELDS: &[Field] = &[
    Field::new("script", TEXT, "file, directory or command to run").alias(&["exec", "cmd", "command"]).stored("pm_exec_path"),
    Field::new("name", TEXT, "name in the list; default: the script's file name without its last extension"),
    Field::new("name_prefix", TEXT, "as an option of start: names become `prefix:name`").alias(&["namePrefix"]),
    Field::new("filter_env", BOOL_LIST_TEXT, "which inherited variables the app does not get: a list of parts of names, one exact name, or `true` for all").alias(&["filterEnv"]),
    Field::new("namespace", TEXT, "group of apps that can be addressed together").default(Fallback::Text("default")),
    Field::new("install_url", TEXT, "where a module was installed from; stored only").alias(&["installUrl"]),
    Field::new("cwd", TEXT, "directory to run in; relative to the caller's").stored("pm_cwd"),
    Field::new("args", WORDS, "arguments for the script; a text is split at blanks outside quotes"),
    Field::new("exec_interpreter", TEXT, "program that runs the script, `none` to execute it directly, `node@20` for that Node of nvm; default: by extension").alias(&["interpreter", "execInterpreter"]),
    Field::new("node_args", WORDS, "arguments for the interpreter, before the script").alias(&["interpreter_args", "interpreterArgs", "nodeArgs"]).default(Fallback::EmptyList),
    Field::new("out_file", TEXT, "file for standard output").alias(&["out_log", "output", "out", "outFile"]).stored("pm_out_log_path"),
    Field::new("error_file", TEXT, "file for standard error").alias(&["err_log", "err_file", "err", "error", "errorFile"]).stored("pm_err_log_path"),
    Field::new("log_file", BOOL_TEXT, "file for both streams together; `true` for the default name").alias(&["log", "logFile"]).stored("pm_log_path"),
    Field::new("disable_logs", BOOL, "throw all output away").alias(&["disableLogs"]),
    Field::new("log_type", TEXT, "`json` writes each chunk as one JSON line").alias(&["logType"]),
    Field::new("log_date_format", TEXT, "date in front of each line, in day.js tokens").alias(&["logDateFormat"]),
    Field::new("time", BOOL, "the same as log_date_format `YYYY-MM-DDTHH:mm:ss`"),
    Field::new("env", OBJECT, "variables for the app").default(Fallback::EmptyObject),
    Field::new("max_memory_restart", TEXT_NUMBER, "restart above this much memory").alias(&["maxMemoryRestart"]).unit(Unit::Bytes).pattern(Pattern::Bytes),
    Field::new("pid_file", TEXT, "file that holds the pid").alias(&["pid", "pidFile"]).stored("pm_pid_path"),
    Field::new("restart_delay", NUMBER, "wait before an automatic restart").alias(&["restartDelay"]).millis(),
    Field::new("exp_backoff_restart_delay", NUMBER, "first wait before an automatic restart; grows with each unstable one").alias(&["expBackoffRestartDelay"]).millis(),
    Field::new("source_map_support", BOOL, "stored only; has no effect since pm2 7").alias(&["sourceMapSupport"]),
    Field::new("disable_source_map_support", BOOL, "do not turn on source maps in Node apps").alias(&["disableSourceMapSupport"]),
    Field::new("wait_ready", BOOL, "online only after the app called `process.send('ready')`").alias(&["waitReady"]),
    Field::new("instances", NUMBER, "how many processes; 0 or `max`: one per CPU, negative: CPUs less that many"),
    Field::new("kill_timeout", NUMBER, "from the stop signal to SIGKILL (1600 without it)").alias(&["killTimeout"]).millis(),
    Field::new("shutdown_with_message", BOOL, "stop with the message `shutdown` instead of a signal").alias(&["shutdownWithMessage"]),
    Field::new("listen_timeout", NUMBER, "how long to wait for ready or listening (3000 without it)").alias(&["listenTimeout"]).millis(),
    Field::new("cron_restart", TEXT_NUMBER, "restart at these times: a cron pattern of 5 or 6 fields; `0`: never").alias(&["cron", "cronRestart"]),
    Field::new("merge_logs", BOOL, "no instance number in the names of log files").alias(&["combine_logs", "mergeLogs"]),
    Field::new("vizion", BOOL, "read git metadata, where the daemon allows it").on(),
    Field::new("autostart", BOOL, "`false`: add to the list without starting").on(),
    Field::new("autorestart", BOOL, "start again after an exit").on(),
    Field::new("stop_exit_codes", &[Kind::Array, Kind::Number], "exit codes that are not followed by a restart").alias(&["stopExitCodes"]),
    Field::new("watch_delay", NUMBER, "wait after a changed file before restarting").alias(&["watchDelay"]).unit(Unit::WatchDelay),
    Field::new("watch", BOOL_LIST_TEXT, "restart when files change: `true` for the working directory, or paths"),
    Field::new("ignore_watch", WORDS, "paths that do not count as changed").alias(&["ignoreWatch"]),
    Field::new("watch_options", OBJECT, "settings of the watcher, in chokidar's words").alias(&["watchOptions"]),
    Field::new("min_uptime", NUMBER_TEXT, "an exit sooner than this counts as unstable (1000 without it)").alias(&["minUptime"]).millis().pattern(Pattern::Millis).min(100.0),
    Field::new("max_restarts", NUMBER, "unstable exits in a row before giving up (16 without it); 0: never restart").alias(&["maxRestarts"]).min(0.0),
    Field::new("execute_command", BOOL, "fork mode whatever else is said").alias(&["executeCommand"]).stored("exec_mode"),
    Field::new("exec_mode", TEXT, "`fork`, or `cluster` for a Node cluster worker").alias(&["execMode"]).pattern(Pattern::Mode),
    Field::new("force", BOOL, "script form: start even if it runs already"),
    Field::new("append_env_to_name", BOOL, "with `--env <name>` the app's name becomes `name-<name>`").alias(&["appendEnvToName"]),
    Field::new("post_update", LIST, "commands to run after a pull").alias(&["postUpdate"]),
    Field::new("trace", BOOL, "pm2.io; stored only"),
    Field::new("disable_trace", BOOL, "the same as `trace: false`").alias(&["disableTrace"]).stored("trace"),
    Field::new("v8", BOOL, "pm2.io; stored only"),
    Field::new("event_loop_inspector", BOOL, "pm2.io; stored only").alias(&["eventLoopInspector"]),
    Field::new("deep_monitoring", BOOL, "pm2.io; stored only").alias(&["deepMonitoring"]),
    Field::new("increment_var", TEXT, "variable whose value grows by one from instance to instance").alias(&["incrementVar"]),
    Field::new("instance_var", TEXT, "variable that holds the number of the instance").alias(&["instanceVar"]).default(Fallback::Text("NODE_APP_INSTANCE")),
    Field::new("pmx", BOOL_TEXT, "`false`: no probe inside the app").on(),
    Field::new("automation", BOOL, "`false`: the same as `pmx: false`").on(),
    Field::new("treekill", BOOL, "signal all descendants too").on(),
    Field::new("port", NUMBER, "sets the variable PORT"),
    Field::new("uid", NUMBER_TEXT, "user to run as; needs root").alias(&["user"]),
    Field::new("gid", NUMBER_TEXT, "group to run as; needs root"),
    Field::new("username", TEXT, "the caller's user; a given value is replaced"),
    Field::new("windowsHide", BOOL, "no console window on Windows").on(),
    Field::new("kill_retry_time", NUMBER, "how often pm2 looks whether a stopping process is gone; stored only: we are told of it at once").alias(&["killRetryTime"]).millis().default(Fallback::Number(100.0)),
    Field::new("write", BOOL, "script form: write the options to `<name>-pm2.json` in the current directory"),
    Field::new("io", OBJECT, "settings of the probe; also put into the variable `io` as JSON"),

    Field::new("kill_signal", TEXT, "signal that asks the app to stop; default: the daemon's (SIGINT)").alias(&["killSignal"]).pattern(Pattern::Signal).added(),
    Field::new("log_max_size", TEXT_NUMBER, "start a new log file above this size").alias(&["logMaxSize"]).unit(Unit::Bytes).pattern(Pattern::Bytes).added(),
    Field::new("log_max_age", NUMBER_TEXT, "start a new log file after this time").alias(&["logMaxAge"]).millis().pattern(Pattern::Age).added(),
    Field::new("log_keep", NUMBER, "how many old log files to keep").alias(&["logKeep"]).min(0.0).added(),
    Field::new("log_compress", BOOL, "compress old log files").alias(&["logCompress"]).added(),
    Field::new("cron_tz", TEXT, "time zone of `cron_restart`, as `Europe/Berlin`").alias(&["cronTz"]).added(),
    Field::new("ready_timeout", TEXT, "what becomes of an app that was not ready in time: `online` (as pm2) or `error`").alias(&["readyTimeout"]).pattern(Pattern::OneOf(&["online", "error"])).added(),
    Field::new("reload_parallel", NUMBER, "how many instances a reload replaces at once").alias(&["reloadParallel"]).min(1.0).added(),
    Field::new("sticky", BOOL, "cluster mode: connections of one address go to the same instance").added(),
    Field::new("cluster_policy", TEXT, "cluster mode: `rr` hands connections out in turn (the default), `shared` or `none` lets all instances accept from one socket").alias(&["clusterPolicy"]).pattern(Pattern::OneOf(&["rr", "shared", "none"])).added(),
    Field::new("max_memory_tree", BOOL, "count the memory of all descendants for `max_memory_restart`").alias(&["maxMemoryTree"]).added(),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_name_stands_for_two_options() {
        let mut seen = HashSet::new();
        for name in FIELDS.iter().flat_map(Field::names) {
            assert!(seen.insert(name), "{name} twice");
        }
    }
}
