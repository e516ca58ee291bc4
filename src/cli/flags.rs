//! The options that every command takes (contract/cli.md section 2), and which attribute of an app each one sets.

/// How an option is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `--time`: sets the attribute to true.
    Switch,
    /// `--no-autorestart`: sets the attribute to false.
    Off,
    /// `--name <value>`.
    Value,
    /// `--name <value>`, repeatable: a list.
    List,
    /// `--watch [value]`: true, or the value; repeatable.
    Optional,
}

/// One option.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag {
    pub(super) long: &'static str,
    pub(super) aliases: &'static [&'static str],
    pub(super) short: Option<char>,
    pub(super) kind: Kind,
    /// The attribute of the app it sets; `None` for those that only steer the command.
    pub(super) attribute: Option<&'static str>,
    pub(super) help: &'static str,
}

const fn flag(
    short: Option<char>,
    long: &'static str,
    kind: Kind,
    attribute: Option<&'static str>,
    help: &'static str,
) -> Flag {
    Flag { long, aliases: &[], short, kind, attribute, help }
}

const fn also(flag: Flag, aliases: &'static [&'static str]) -> Flag {
    Flag { aliases, ..flag }
}

use Kind::{List, Off, Optional, Switch, Value};

/// Every option, in the order of the help.
pub(super) const FLAGS: &[Flag] = &[
    flag(Some('s'), "silent", Switch, None, "print no messages, also no errors"),
    flag(Some('q'), "quiet", Switch, None, "print no table after an action"),
    flag(None, "json", Switch, None, "print the result as JSON"),
    flag(Some('m'), "mini-list", Switch, None, "print a short list instead of the table"),
    flag(None, "sort", Value, None, "order of the list: field[:asc|:desc]"),
    flag(None, "no-color", Switch, None, "no colours"),
    flag(None, "no-daemon", Switch, None, "stay in the foreground; the apps end with this command"),
    flag(None, "attach", Switch, None, "show the logs afterwards"),
    flag(Some('n'), "name", Value, Some("name"), "name of the app"),
    flag(None, "namespace", Value, Some("namespace"), "group of the app"),
    flag(None, "cwd", Value, Some("cwd"), "folder to run in"),
    flag(None, "interpreter", Value, Some("exec_interpreter"), "program that runs the script; none: run it directly"),
    also(flag(None, "node-args", Value, Some("node_args"), "arguments for the interpreter"), &["interpreter-args"]),
    flag(Some('i'), "instances", Value, Some("instances"), "number of processes, or max"),
    flag(Some('x'), "execute-command", Switch, Some("execute_command"), "run it in fork mode"),
    flag(Some('o'), "output", Value, Some("out_file"), "file for what the app writes to stdout"),
    flag(Some('e'), "error", Value, Some("error_file"), "file for what the app writes to stderr"),
    flag(Some('l'), "log", Optional, Some("log_file"), "file for both"),
    flag(None, "merge-logs", Switch, Some("merge_logs"), "one log file for all instances"),
    flag(None, "disable-logs", Switch, Some("disable_logs"), "keep no logs"),
    flag(None, "log-type", Value, Some("log_type"), "json: one JSON object a line"),
    flag(None, "log-date-format", Value, Some("log_date_format"), "date before each line, such as YYYY-MM-DD HH:mm:ss"),
    flag(None, "time", Switch, Some("time"), "date before each line"),
    flag(Some('p'), "pid", Value, Some("pid_file"), "pid file"),
    flag(None, "env", Value, None, "choose env_<name> of a config file"),
    flag(Some('a'), "update-env", Switch, None, "give the process the variables of this shell"),
    flag(None, "filter-env", Optional, Some("filter_env"), "drop variables whose name contains this"),
    flag(Some('f'), "force", Switch, None, "do it although something speaks against it"),
    flag(None, "only", Value, None, "only these apps of the config file"),
    flag(None, "parallel", Value, None, "processes acted on at the same time"),
    flag(Some('k'), "kill-timeout", Value, Some("kill_timeout"), "ms from the stop signal to SIGKILL"),
    flag(None, "kill-signal", Value, Some("kill_signal"), "signal that stops the app"),
    flag(None, "shutdown-with-message", Switch, Some("shutdown_with_message"), "stop by message instead of a signal"),
    flag(None, "listen-timeout", Value, Some("listen_timeout"), "ms to wait for ready"),
    flag(None, "wait-ready", Switch, Some("wait_ready"), "online only when the app says ready"),
    flag(None, "max-memory-restart", Value, Some("max_memory_restart"), "restart above this memory, such as 150M"),
    flag(None, "restart-delay", Value, Some("restart_delay"), "ms before an automatic restart"),
    flag(
        None,
        "exp-backoff-restart-delay",
        Value,
        Some("exp_backoff_restart_delay"),
        "first ms of a delay that grows with each crash",
    ),
    flag(None, "max-restarts", Value, Some("max_restarts"), "unstable restarts until it is given up"),
    flag(None, "min-uptime", Value, Some("min_uptime"), "ms; an exit sooner than this is unstable"),
    flag(None, "stop-exit-codes", List, Some("stop_exit_codes"), "exit codes after which it is not restarted"),
    flag(Some('u'), "user", Value, Some("user"), "user to run as"),
    flag(None, "uid", Value, Some("uid"), "user to run as"),
    flag(None, "gid", Value, Some("gid"), "group to run as"),
    also(flag(Some('c'), "cron-restart", Value, Some("cron_restart"), "restart by this cron pattern"), &["cron"]),
    flag(Some('w'), "write", Switch, Some("write"), "write the options to <name>-pm2.json"),
    flag(None, "watch", Optional, Some("watch"), "restart when files change"),
    flag(None, "ignore-watch", Value, Some("ignore_watch"), "paths that are not watched"),
    flag(None, "watch-delay", Value, Some("watch_delay"), "seconds, or 500ms, from a change to the restart"),
    flag(None, "ext", Value, None, "watch only files with these extensions"),
    flag(None, "source-map-support", Switch, Some("source_map_support"), "accepted for compatibility"),
    flag(None, "disable-source-map-support", Switch, Some("disable_source_map_support"), "no source maps in the app"),
    flag(None, "no-vizion", Off, Some("vizion"), "no git data"),
    flag(None, "no-autostart", Off, Some("autostart"), "add it without starting it"),
    flag(None, "no-autorestart", Off, Some("autorestart"), "never restart it by itself"),
    flag(None, "no-treekill", Off, Some("treekill"), "stop only the process, not its children"),
    flag(None, "no-pmx", Off, Some("pmx"), "nothing of ours inside the app"),
    flag(None, "no-automation", Off, Some("automation"), "nothing of ours inside the app"),
    flag(None, "trace", Switch, Some("trace"), "accepted for compatibility"),
    flag(None, "disable-trace", Switch, Some("disable_trace"), "accepted for compatibility"),
    flag(None, "v8", Switch, Some("v8"), "accepted for compatibility"),
    flag(None, "event-loop-inspector", Switch, Some("event_loop_inspector"), "accepted for compatibility"),
    flag(None, "deep-monitoring", Switch, Some("deep_monitoring"), "accepted for compatibility"),
];

/// The option written as `word`, which starts with a dash and has no `=value`.
pub(super) fn find(word: &str) -> Option<&'static Flag> {
    if let Some(long) = word.strip_prefix("--") {
        return FLAGS.iter().find(|flag| flag.long == long || flag.aliases.contains(&long));
    }
    let mut letters = word.strip_prefix('-')?.chars();
    let (letter, rest) = (letters.next()?, letters.next());
    FLAGS.iter().find(|flag| flag.short == Some(letter) && rest.is_none())
}
