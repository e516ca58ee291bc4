//! The commands and their arguments, from one definition: parsing, help and errors come from here.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::flags::{FLAGS, Kind};

/// What is shown when there are no arguments at all.
pub(super) const SHORT_USAGE: &str = "\
usage: pm2-rs <command> [options]

  pm2-rs -h              all commands and options
  pm2-rs <command> -h    one command
  pm2-rs list            what runs
";

/// How many arguments a command takes.
#[derive(Clone, Copy)]
enum Takes {
    None,
    Any,
    AtLeastOne,
    Exactly(usize),
    AtMost(usize),
}

struct Verb {
    name: &'static str,
    aliases: &'static [&'static str],
    takes: Takes,
    argument: &'static str,
    help: &'static str,
}

const fn verb(
    name: &'static str,
    aliases: &'static [&'static str],
    takes: Takes,
    argument: &'static str,
    help: &'static str,
) -> Verb {
    Verb { name, aliases, takes, argument, help }
}

use Takes::{Any, AtLeastOne, AtMost, Exactly, None as Nothing};

const VERBS: &[Verb] = &[
    verb("start", &[], Any, "target", "start a script, a command, a config file, or what is known by name or id"),
    verb("restart", &[], AtLeastOne, "target", "stop and start"),
    verb("reload", &[], AtLeastOne, "target", "replace without a gap (cluster mode), else restart"),
    verb("stop", &[], AtLeastOne, "target", "stop; it stays in the list"),
    verb("delete", &["del"], AtLeastOne, "target", "stop and forget"),
    verb("scale", &[], Exactly(2), "name> <n", "change the number of processes: 4, +2, -1"),
    verb("reset", &[], AtLeastOne, "target", "set the restart counters to 0"),
    verb("list", &["ls", "l", "ps", "status"], Nothing, "", "what runs, as a table"),
    verb("jlist", &[], Nothing, "", "what runs, as JSON"),
    verb("describe", &["desc", "info", "show"], AtLeastOne, "target", "all about a process"),
    verb("id", &[], AtLeastOne, "target", "the ids of a name"),
    verb("pid", &[], Any, "target", "the pids of a name, or of all"),
    verb("env", &[], AtLeastOne, "target", "the variables of a process"),
    verb("logs", &["log"], Any, "target", "show and follow the logs"),
    verb("flush", &[], Any, "target", "empty the log files"),
    verb("reloadLogs", &["reloadlogs"], Nothing, "", "open the log files again, after a rotation"),
    verb("send", &[], AtLeastOne, "id> <line", "write a line to the stdin of a process"),
    verb("sendSignal", &["sendsignal"], AtLeastOne, "signal> <target", "send a signal"),
    verb("trigger", &[], AtLeastOne, "target> <action> [param", "call an action that the app offers"),
    verb("save", &["dump"], Nothing, "", "save the list, for resurrect"),
    verb("resurrect", &[], Nothing, "", "start what was saved"),
    verb("cleardump", &[], Nothing, "", "empty the saved list"),
    verb("ping", &[], Nothing, "", "ask whether the daemon answers; start it if there is none"),
    verb("kill", &[], Nothing, "", "stop all apps and the daemon"),
    verb("startOrRestart", &[], AtLeastOne, "config file", "start what a config file names; restart what runs"),
    verb("startOrReload", &[], AtLeastOne, "config file", "start what a config file names; reload what runs"),
    verb("startOrGracefulReload", &[], AtLeastOne, "config file", "the same as startOrReload"),
    verb("prettylist", &[], Nothing, "", "what runs, as Node prints objects"),
    verb("slist", &["sysinfos"], Nothing, "", "figures of this machine"),
    verb("update", &["updatePM2"], Nothing, "", "replace the daemon by the installed version; apps run on"),
    verb("startup", &[], AtMost(1), "init system", "start the saved apps at boot"),
    verb("unstartup", &[], AtMost(1), "init system", "remove what startup installed"),
    verb("init", &["ecosystem"], AtMost(1), "simple", "write an example ecosystem.config.js"),
    verb("set", &[], Any, "key> <value", "write a setting; its app is restarted with it"),
    verb("get", &[], AtMost(1), "key", "read a setting, or all"),
    verb("conf", &[], AtMost(1), "key", "all settings"),
    verb("config", &[], AtMost(2), "key> [value", "read or write a setting"),
    verb("multiset", &[], AtLeastOne, "\"key value ...", "write several settings"),
    verb("unset", &[], Exactly(1), "key", "remove a setting, or all"),
    verb("attach", &[], AtMost(2), "target> [separator", "type into an app and see what it writes"),
    verb("inspect", &[], AtLeastOne, "target", "open the inspector of Node apps"),
    verb("monitor", &[], Any, "target", "mark as monitored"),
    verb("unmonitor", &[], Any, "target", "take that mark away"),
    verb("serve", &["expose"], AtMost(2), "folder> [port", "serve files over HTTP"),
    verb("report", &[], Nothing, "", "facts for a bug report"),
    verb("apply", &[], AtLeastOne, "config file", "make what runs equal to a config file; leave alone what is"),
    verb("doctor", &[], Nothing, "", "look for what may be wrong here"),
    verb("examples", &[], Nothing, "", "commands to copy"),
    verb("completion", &[], AtMost(1), "bash|zsh|fish|install|uninstall", "completion for the shell"),
    verb("monit", &["dashboard", "dash", "imonit"], Any, "", "a dashboard: processes, and the logs of one"),
    verb("deploy", &[], Any, "file> <environment> [command", "deploy over ssh what a config file describes"),
    verb("logrotate", &[], Any, "", "not part of this program"),
    verb("install", &["module:install"], Any, "package|folder|archive", "install a module and run it beside the apps"),
    verb("uninstall", &["module:uninstall"], Any, "module", "remove a module, or all"),
    verb("module:list", &[], Nothing, "", "the modules that are installed"),
    verb("module:update", &[], Any, "module", "install a module anew"),
    verb("module:generate", &[], AtMost(1), "name", "write a sample of a module"),
    verb("module:publish", &["publish"], Any, "folder", "not part of this program"),
    verb("package", &[], AtMost(1), "folder", "pack a module for install"),
    verb("install-otel", &[], Any, "", "not part of this program"),
    verb("uninstall-otel", &[], Any, "", "not part of this program"),
    verb("pull", &[], Any, "name", "not part of this program"),
    verb("forward", &[], Any, "name", "not part of this program"),
    verb("backward", &[], Any, "name", "not part of this program"),
    verb("profile:cpu", &[], Any, "ms", "not part of this program"),
    verb("profile:mem", &[], Any, "ms", "not part of this program"),
    verb("link", &[], Any, "", "belongs to a hosted service"),
    verb("unlink", &[], Any, "", "belongs to a hosted service"),
    verb("plus", &["register"], Any, "", "belongs to a hosted service"),
    verb("login", &[], Any, "", "belongs to a hosted service"),
    verb("logout", &[], Any, "", "belongs to a hosted service"),
    verb("open", &[], Any, "", "belongs to a hosted service"),
    verb("create", &[], Any, "", "not part of this program"),
    verb("autoinstall", &[], Any, "", "not part of this program"),
    verb("deepUpdate", &[], Any, "", "not part of this program"),
];

/// Commands that only say why they do nothing: they are not in the help.
pub(super) fn is_refused(verb: &str) -> bool {
    VERBS
        .iter()
        .any(|known| known.name == verb && (known.help.starts_with("not part") || known.help.starts_with("belongs")))
}

/// Names and aliases of all commands that do something, for completion.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    VERBS
        .iter()
        .filter(|verb| !is_refused(verb.name))
        .flat_map(|verb| std::iter::once(verb.name).chain(verb.aliases.iter().copied()))
}

/// The other names of a command.
#[cfg(test)]
pub(super) fn aliases(name: &str) -> &'static [&'static str] {
    VERBS.iter().find(|verb| verb.name == name).map_or(&[], |verb| verb.aliases)
}

/// Every command, also those that are refused.
#[cfg(test)]
pub(super) fn commands() -> impl Iterator<Item = &'static str> {
    VERBS.iter().map(|verb| verb.name)
}

/// Whether a command (or its alias) acts on processes.
pub(super) fn takes_targets(word: &str) -> bool {
    let verb = VERBS.iter().find(|verb| verb.name == word || verb.aliases.contains(&word));
    verb.is_some_and(|verb| {
        [
            "target",
            "name",
            "id",
            "id> <line",
            "target> <action> [param",
            "target> [separator",
            "name> <n",
            "signal> <target",
        ]
        .contains(&verb.argument)
    })
}

/// One option of a single command: id, whether it takes a value, help.
type Own = (&'static str, bool, &'static str);

/// Options of single commands.
const OWN: &[(&[&str], &[Own])] = &[
    (
        &["logs"],
        &[
            ("lines", true, "how many last lines to show first (15)"),
            ("since", true, "from this time on: 10m, 2h, 1d (ago), 10:30, or an ISO date and time"),
            ("last", true, "the same as --since: --last 10m"),
            ("until", true, "up to this time, and end"),
            ("nostream", false, "show the last lines and end"),
            ("out", false, "only stdout"),
            ("err", false, "only stderr"),
            ("raw", false, "the text alone"),
            ("timestamp", true, "time before each line that arrives"),
            ("format", false, "one key=value line for each line"),
            ("highlight", true, "mark this text"),
            ("exclude", true, "leave out lines that match this pattern"),
            ("grep", true, "only lines that match this pattern"),
        ],
    ),
    (
        &["install", "module:update"],
        &[
            ("tarball", false, "the module is an archive (.tar.gz)"),
            ("install", false, "run npm install in what was unpacked"),
            ("safe", true, "take it back when it keeps ending: [ms] (3000)"),
            ("v1", false, "accepted for compatibility"),
            ("docker", false, "accepted for compatibility"),
        ],
    ),
    (
        &["list"],
        &[
            ("columns", true, "only these columns, such as id,name,exit"),
            ("filter", true, "only what has these values, such as status=errored"),
        ],
    ),
    (&["save"], &[("check", false, "change nothing; fail when what is saved is not what runs")]),
    (&["kill"], &[("timeout", true, "seconds to wait for the apps at most")]),
    (&["scale"], &[("newest", false, "remove the newest first")]),
    (&["slist"], &[("tree", false, "as a tree")]),
    (
        &["startup", "unstartup"],
        &[
            ("hp", true, "home folder of the user"),
            ("service-name", true, "name of the service"),
            ("wait-ip", false, "systemd: wait until the network is online"),
            ("user-unit", false, "systemd: a unit of the user's own, which needs no root"),
            ("now", false, "start the service at once, too"),
            ("print", false, "print the file and write nothing"),
            ("root", true, "write below this folder and run nothing, as for an image"),
        ],
    ),
    (
        &["serve"],
        &[
            ("port", true, "port (8080)"),
            ("host", true, "address to listen on (0.0.0.0)"),
            ("spa", false, "answer what is missing with index.html"),
            ("ftp", false, "list folders"),
            ("monitor", false, "accepted; it belonged to a hosted service"),
            ("basic-auth-username", true, "user for basic authentication"),
            ("basic-auth-password", true, "password for basic authentication"),
        ],
    ),
    (
        &["start", "startOrRestart", "apply"],
        &[
            ("diff", false, "say what a config file would change, and change nothing"),
            ("dry-run", false, "the same"),
            ("wait", false, "wait until the processes are up; fail when one is not"),
            ("wait-timeout", true, "seconds that --wait waits at most (60)"),
        ],
    ),
    (&["stop", "delete"], &[("if-exists", false, "no failure when there is no such process")]),
    (&["apply"], &[("prune", false, "delete what is not in the file")]),
    (&["env"], &[("export", false, "as lines for a shell")]),
    (&["trigger"], &[("timeout", true, "seconds to wait for answers (no limit)")]),
    (&["ping"], &[("no-launch", false, "fail when there is no daemon")]),
];

/// The ids of a command's own options.
pub(super) fn own_options(name: &str) -> Vec<&'static str> {
    OWN.iter()
        .filter(|(commands, _)| commands.contains(&name))
        .flat_map(|(_, options)| options.iter().map(|o| o.0))
        .collect()
}

/// The value of one of a command's own options, "" for a switch; `None` when it was not given.
pub(super) fn given(matches: &ArgMatches, id: &str) -> Option<String> {
    if matches.value_source(id) != Some(clap::parser::ValueSource::CommandLine) {
        return None;
    }
    Some(matches.try_get_one::<String>(id).ok().flatten().cloned().unwrap_or_default())
}

/// The whole command line.
pub(super) fn command() -> Command {
    command_of(VERBS)
}

/// The command line with only those commands that one of `words` names. The whole one takes clap 6 ms, as it gives each command
/// each option; what this one accepts the whole one accepts, and means the same by it.
pub(super) fn command_for(words: &[String]) -> Command {
    command_of(
        VERBS.iter().filter(|verb| words.iter().any(|word| verb.name == word || verb.aliases.contains(&&**word))),
    )
}

fn command_of(verbs: impl IntoIterator<Item = &'static Verb>) -> Command {
    Command::new("pm2-rs")
        .about("A process manager: starts your apps and keeps them running")
        .disable_help_subcommand(false)
        .subcommand_required(false)
        .max_term_width(100)
        .args(FLAGS.iter().map(|flag| {
            let arg = Arg::new(flag.long)
                .long(flag.long)
                .visible_aliases(flag.aliases.iter().copied())
                .help(flag.help)
                .global(true);
            let arg = match flag.short {
                Some(letter) => arg.short(letter),
                None => arg,
            };
            match flag.kind {
                Kind::Switch | Kind::Off => arg.action(ArgAction::SetTrue),
                Kind::Value => arg.action(ArgAction::Append).allow_hyphen_values(true),
                Kind::List => arg.action(ArgAction::Append),
                Kind::Optional => {
                    arg.action(ArgAction::Append).num_args(0..=1).require_equals(true).default_missing_value("")
                }
            }
        }))
        .subcommands(verbs.into_iter().map(|verb| {
            let command = Command::new(verb.name)
                .visible_aliases(verb.aliases.iter().copied())
                .about(verb.help)
                .hide(is_refused(verb.name));
            let targets = Arg::new("targets").value_name(verb.argument).allow_negative_numbers(true);
            let command = match verb.takes {
                Takes::None => command,
                Takes::Any => command.arg(targets.num_args(0..)),
                Takes::AtLeastOne => command.arg(targets.num_args(1..).required(true)),
                Takes::Exactly(n) => {
                    command.arg(targets.value_names(verb.argument.split("> <")).num_args(n).required(true))
                }
                Takes::AtMost(n) => command.arg(targets.num_args(0..=n)),
            };
            let own =
                OWN.iter().filter(|(names, _)| names.contains(&verb.name)).flat_map(|(_, options)| options.iter());
            command.args(own.map(|(id, takes_value, help)| {
                let arg = Arg::new(*id).long(*id).help(*help);
                match (*takes_value, *id) {
                    (false, _) => arg.action(ArgAction::SetTrue),
                    (true, "timestamp" | "highlight" | "safe") => arg.num_args(0..=1).default_missing_value(""),
                    (true, _) => arg.allow_negative_numbers(true),
                }
            }))
        }))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definition_is_consistent() {
        super::command().debug_assert();
    }
}
