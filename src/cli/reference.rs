//! Every command beside pm2's: the page `docs/cli.md`. A test keeps the checked-in page equal, and complete.

use std::fmt::Write;

use super::args;

enum Standing {
    Same,
    Better,
    Refused,
}

use Standing::{Better, Refused, Same};

/// Command, its rank in contract/cli.md (must, should, could, out of scope), how it stands, and how it differs.
const TABLE: &[(&str, &str, Standing, &str)] = &[
    (
        "start",
        "M",
        Better,
        "`--wait`; `--diff`; config files in TypeScript and ES modules; says which options a config file ignores; a failure of `--wait` is exit code 1",
    ),
    ("restart", "M", Better, "several targets of every kind"),
    ("reload", "M", Better, "several targets; the table afterwards on a terminal"),
    ("stop", "M", Better, "tries all targets before it fails; `--if-exists`"),
    ("delete", "M", Better, "tries all targets before it fails; `--if-exists`"),
    ("scale", "M", Better, "every kind of target; `-1` works, `50%` of the processors, `--newest`"),
    ("startOrRestart", "M", Same, "a file that is no config file is an error instead of a crash"),
    ("startOrReload", "M", Same, ""),
    ("startOrGracefulReload", "M", Same, ""),
    (
        "list",
        "M",
        Better,
        "`--json`, `--columns`, `--filter`; the last exit where the terminal has room beyond pm2's table; cells are cut by what is seen, so `waiting restart` stays readable; launches no daemon",
    ),
    ("jlist", "M", Same, "launches no daemon; nothing but JSON on stdout"),
    ("prettylist", "M", Same, "byte for byte what Node prints; launches no daemon"),
    (
        "describe",
        "M",
        Better,
        "several targets of every kind; `--json`; how and when the last run ended; no advertisement",
    ),
    (
        "logs",
        "M",
        Better,
        "several targets; whole last lines of files of any size, also out of rotated ones, merged by time; `--since`, `--until`, `--grep`, `--exclude`; `--json` gives one object a line",
    ),
    ("flush", "M", Better, "several targets; an unknown one is exit code 1"),
    ("reloadLogs", "M", Same, ""),
    ("pid", "M", Same, "every kind of target; launches no daemon"),
    ("save", "M", Better, "the file is private and replaced as a whole; `--check` says whether it is what runs"),
    ("resurrect", "M", Same, "exit code 0 as the boot unit needs; a broken dump is kept"),
    (
        "startup",
        "M",
        Better,
        "systemd, upstart, systemv, openrc, launchd, rcd, rcd-openbsd, smf; the unit runs the native executable, so a boot needs no Node, and under nvm it finds that of another version; `--print`, `--root`, `--now`, `--user-unit` (no root); the line for sudo carries every option",
    ),
    ("unstartup", "M", Better, "exit code 1 when something failed"),
    ("kill", "M", Better, "launches no daemon to kill it; `--timeout`"),
    ("ping", "M", Better, "`--no-launch`"),
    ("update", "M", Better, "restarts no app and leaves the dump alone"),
    ("sendSignal", "M", Better, "several targets of every kind; a stopped id is an error"),
    ("init", "M", Better, "never overwrites without `--force`; `.cjs` beside `\"type\": \"module\"`"),
    ("env", "S", Better, "names; `--json`, `--export`"),
    ("id", "S", Same, "every kind of target; launches no daemon"),
    ("reset", "S", Better, "every kind of target; an unknown id is exit code 1"),
    ("cleardump", "S", Same, ""),
    (
        "monit",
        "S",
        Better,
        "one view from 80 x 24 on: list with graphs of CPU and memory, logs (also those from before), metrics, metadata; filter, search, sort; restart, reload, stop and delete with a question first; help; mouse; without a terminal exit code 1",
    ),
    ("send", "S", Better, "names that mean one process"),
    ("attach", "S", Better, "names that mean one process"),
    ("trigger", "S", Better, "`--timeout`; patterns and paths"),
    (
        "serve",
        "S",
        Better,
        "checks the folder first; links cannot lead outside; 304, single ranges, Content-Length, gzip; `--host`; half a login is an error",
    ),
    (
        "deploy",
        "S",
        Better,
        "built in: runs `ssh` and `git`, no other package; the same keys, steps and folders; setting up twice is no error",
    ),
    (
        "set",
        "S",
        Same,
        "launches no daemon; without a value it is an error instead of an editor; restarts the app or module",
    ),
    ("get", "S", Better, "prints plain top-level values, too; `--json`"),
    ("conf", "S", Same, ""),
    ("config", "S", Same, ""),
    ("multiset", "S", Same, ""),
    ("unset", "S", Better, "says when there is no such key"),
    (
        "install",
        "S",
        Better,
        "npm packages, folders, archives, `.`; whatever launches the daemon starts modules; prints nothing then. No bun",
    ),
    ("uninstall", "S", Same, "takes its settings along"),
    ("completion", "S", Better, "options, live names, scripts, and fish; `install` and `uninstall` work"),
    ("report", "S", Same, ""),
    ("examples", "S", Same, "our own"),
    ("module:list", "-", Better, "ours: what is installed, and whether it runs"),
    ("inspect", "C", Better, "works: SIGUSR1, and prints where the inspector listens"),
    ("slist", "C", Same, "`--json`"),
    ("monitor", "C", Same, "an unknown target is exit code 1"),
    ("unmonitor", "C", Same, ""),
    (
        "apply",
        "-",
        Better,
        "ours: starts what is missing, replaces what differs, `--prune` deletes what is gone; `--diff`",
    ),
    (
        "doctor",
        "-",
        Better,
        "ours: looks at home, sockets, daemon, dump, boot unit, scripts, interpreters, limits, disk, and says what to do",
    ),
    ("logrotate", "C", Refused, "copytruncate or `reloadLogs` in a file of your own"),
    ("pull", "C", Refused, "git, then `reload`"),
    ("forward", "C", Refused, "git, then `reload`"),
    ("backward", "C", Refused, "git, then `reload`"),
    ("module:generate", "C", Better, "writes the sample itself: no network"),
    ("module:update", "C", Same, ""),
    ("module:publish", "X", Refused, "npm publish does it"),
    ("package", "C", Same, ""),
    ("install-otel", "C", Refused, "exit code 0: OpenTelemetry belongs into the app"),
    ("uninstall-otel", "C", Refused, "exit code 0"),
    ("profile:cpu", "X", Refused, "the daemon is native; `inspect` for apps"),
    ("profile:mem", "X", Refused, "the daemon is native; `inspect` for apps"),
    ("link", "X", Refused, "hosted service; `link delete` and `link stop` are exit code 0"),
    ("unlink", "X", Refused, "hosted service; exit code 0"),
    ("plus", "X", Refused, "hosted service"),
    ("login", "X", Refused, "hosted service"),
    ("logout", "X", Refused, "hosted service; exit code 0"),
    ("open", "X", Refused, "hosted service"),
    ("create", "X", Refused, "sample projects"),
    ("autoinstall", "X", Refused, "broken in pm2 as well"),
    ("deepUpdate", "X", Refused, "the package manager does it"),
];

const HEAD: &str = "# The command line, command by command

<!-- written from src/cli/reference.rs; change it there, then: UPDATE_SCHEMA=1 cargo test --lib cli -->

Rank: how much pm2's users depend on a command (must, should, could, out of scope). Everywhere: `--json` gives one object or
array on stdout and nothing else; targets are id, name, script, namespace, `all` or `/pattern/`, and several of them; queries
launch no daemon; no network call, ever.

| command | aliases | rank | here | difference |
|---|---|---|---|---|
";

const TAIL: &str = "
## Other programs

| program | here | difference |
|---|---|---|
| `pm2-rs-runtime` (pm2-runtime) | better | no Node stays in the container; refuses a home where a daemon runs (`--attach-daemon`); ends at once when nothing can come back (exit code 2, or the app's with `--exit-code-from`); a missing script is exit code 1; SIGHUP and SIGQUIT end in order, too; reaps orphans as PID 1; hands SIGUSR1 and SIGUSR2 on; writes no log file that was not named; `--quiet`; `--web` works, with `GET /health` for probes (docs/containers.md) |
| `pm2-rs-dev` (pm2-dev) | better | a failed start is exit code 1; `--post-exec` runs after each start |
| `pm2d cli <words>` | ours | the same command line without Node, from the addon beside it (`PM2_RS_ADDON`); a link to `pm2d` named `pm2-rs`, `pm2-rs-runtime` or `pm2-rs-dev` (or by pm2's names) is that program |
";

fn markdown() -> String {
    let mut page = HEAD.to_owned();
    for (name, rank, standing, how) in TABLE {
        let standing = match standing {
            Same => "same",
            Better => "better",
            Refused => "refused",
        };
        let aliases: Vec<String> = args::aliases(name).iter().map(|alias| format!("`{alias}`")).collect();
        let rank = match *rank {
            "M" => "must",
            "S" => "should",
            "C" => "could",
            "X" => "out of scope",
            _ => "ours",
        };
        let _ = writeln!(page, "| `{name}` | {} | {rank} | {standing} | {how} |", aliases.join(", "));
    }
    page + TAIL
}

#[test]
fn every_command_is_on_the_page_once() {
    let mut listed: Vec<&str> = TABLE.iter().map(|row| row.0).collect();
    let mut known: Vec<&str> = args::commands().collect();
    listed.sort_unstable();
    known.sort_unstable();
    assert_eq!(listed, known);
}

#[test]
fn the_page_is_as_it_is_checked_in() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cli.md");
    let page = markdown();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(path, &page).expect("written");
    }
    assert_eq!(
        std::fs::read_to_string(path).unwrap_or_default(),
        page,
        "UPDATE_SCHEMA=1 cargo test --lib cli writes it"
    );
}
