//! `pm2d`: one executable, two roles. Parses the arguments, runs the role, passes on its exit code.
//!
//! `pm2d keeper --home <root> [--agent <path>] [--executable <path>] [--detach] [--ready-fd <n>] [--lifeline-fd <n>]`
//! `pm2d keeper --home <root> [--agent <path>] --adopt-fd <n> [--lock-fd <n>] [--detach]` (a daemon starts it, see `sys::detach`)
//! `pm2d keeper --home <root> [--agent <path>] --renew-fd <n>` (a keeper becomes it, see `keeper::renewal`)
//! `pm2d daemon --home <root> [--agent <path>] --keeper-fd <n>` (only a keeper of another version starts it so: one of its
//! own version forks the daemon off itself)
//! `pm2d cli <words>`: the command line without Node; `pm2d runtime <words>`, `pm2d dev <words>`: apps in the foreground.
//! All three are in the addon, which is loaded for them. A link to `pm2d` named `pm2-rs`, `pm2-rs-runtime` or
//! `pm2-rs-dev` (or pm2's own names) plays its role without the word.
//! `pm2d --version`
//! `pm2d --versions` (what a daemon asks that is to be replaced by this executable)

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pm2_rs::model::Home;
use pm2_rs::sys::{detach, library, limits, priority, title};
use pm2_rs::{PM2_VERSION, VERSION, daemon, keeper};

const USAGE: &str = "pm2d is started by pm2-rs.\n\
    usage: pm2d keeper --home <root> [--agent <path>] [--executable <path>] [--detach] [--ready-fd <n>] \
    [--lifeline-fd <n>]\n       pm2d --version";

/// What the command line says.
#[derive(Debug, Default)]
struct Arguments {
    home: Option<PathBuf>,
    agent: Option<PathBuf>,
    executable: Option<PathBuf>,
    detach: bool,
    ready: Option<OwnedFd>,
    lifeline: Option<OwnedFd>,
    keeper: Option<OwnedFd>,
    adopt: Option<OwnedFd>,
    lock: Option<OwnedFd>,
    renew: Option<OwnedFd>,
}

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let result = match called_as(&args.next().unwrap_or_default()) {
        Some(role) => run_words(role, args),
        None => run_role(&args.next().unwrap_or_default(), args),
    };
    match result {
        Ok(code) => ExitCode::from(u8::try_from(code & 0xff).unwrap_or(1)),
        Err(error) => {
            let _ = writeln!(io::stderr(), "pm2d: {error}");
            ExitCode::from(2)
        }
    }
}

fn run_role(role: &OsStr, args: impl Iterator<Item = OsString>) -> Result<i32, String> {
    match role.to_str() {
        Some("keeper") => Arguments::read(args).and_then(run_keeper),
        Some("daemon") => Arguments::read(args).and_then(run_daemon),
        Some(role @ ("cli" | "runtime" | "dev")) => run_words(role, args),
        Some("--version" | "-V") => {
            let _ = writeln!(io::stdout(), "pm2d {VERSION} (pm2 {PM2_VERSION})");
            Ok(0)
        }
        Some("--versions") => {
            let _ = writeln!(io::stdout(), "{}", daemon::versions());
            Ok(0)
        }
        _ => Err(USAGE.to_owned()),
    }
}

fn run_keeper(arguments: Arguments) -> Result<i32, String> {
    let home = arguments.home()?;
    if arguments.detach {
        detach::fork_off().map_err(|error| format!("cannot fork: {error}"))?;
    }
    Ok(keeper::run(keeper::Options {
        home,
        executable: arguments.executable,
        daemon: Some(play_daemon),
        agent: arguments.agent,
        ready: arguments.ready,
        lifeline: arguments.lifeline,
        adopt: arguments.adopt,
        lock: arguments.lock,
        renew: arguments.renew,
    }))
}

/// The command line is the addon's: its code is installed once, and the daemon does not carry it about.
fn run_words(role: &str, words: impl Iterator<Item = OsString>) -> Result<i32, String> {
    let addon = addon().map_err(|error| format!("cannot find out where this is: {error}"))?;
    let words: Vec<OsString> = std::iter::once(role.into()).chain(words).collect();
    library::call(&addon, c"pm2_rs_cli", &words)
        .map_err(|error| format!("cannot load the command line: {error}; reinstall pm2-rs"))
}

/// `PM2_RS_ADDON`, or the file beside this executable.
fn addon() -> io::Result<PathBuf> {
    if let Some(named) = std::env::var_os("PM2_RS_ADDON").filter(|named| !named.is_empty()) {
        return Ok(named.into());
    }
    let executable = std::env::current_exe()?;
    let name = library::addon_name();
    let mut places = executable.ancestors().skip(1).take(2).map(|folder| folder.join(&name));
    Ok(places.find(|file| file.is_file()).unwrap_or_else(|| executable.with_file_name(&name)))
}

/// The role in the name that this was called by: a link named `pm2-rs` or `pm2`, `pm2-rs-runtime`, `pm2-rs-dev`.
fn called_as(program: &OsStr) -> Option<&'static str> {
    match Path::new(program).file_name()?.to_str()? {
        "pm2-rs" | "pm2" => Some("cli"),
        "pm2-rs-runtime" | "pm2-runtime" | "pm2-docker" => Some("runtime"),
        "pm2-rs-dev" | "pm2-dev" => Some("dev"),
        _ => None,
    }
}

fn run_daemon(arguments: Arguments) -> Result<i32, String> {
    let home = arguments.home()?;
    let keeper = arguments.keeper.ok_or("the daemon is started by its keeper (--keeper-fd is missing)")?;
    Ok(play_daemon(home, arguments.agent, keeper))
}

fn play_daemon(home: Home, agent: Option<PathBuf>, keeper: OwnedFd) -> i32 {
    // Its executable was named by a link in /proc, which would show as "exe".
    title::set_name("pm2d");
    // An error leaves the limit that the keeper has set already.
    let _ = limits::raise_open_files();
    // Nor does it matter if this is refused: the apps are then interrupted more often by what they ask of the daemon.
    let _ = priority::wait_for_turns();
    daemon::run(daemon::Options { home, agent, keeper })
}

impl Arguments {
    fn read(mut args: impl Iterator<Item = OsString>) -> Result<Arguments, String> {
        let mut read = Arguments::default();
        while let Some(option) = args.next() {
            let option = option.to_string_lossy().into_owned();
            let mut value = || args.next().ok_or_else(|| format!("{option} needs a value"));
            match option.as_str() {
                "--home" => read.home = Some(value()?.into()),
                "--agent" => read.agent = Some(value()?.into()),
                "--executable" => read.executable = Some(value()?.into()),
                "--detach" => read.detach = true,
                "--ready-fd" => read.ready = Some(descriptor(&option, &value()?)?),
                "--lifeline-fd" => read.lifeline = Some(descriptor(&option, &value()?)?),
                "--adopt-fd" => read.adopt = Some(descriptor(&option, &value()?)?),
                "--lock-fd" => read.lock = Some(descriptor(&option, &value()?)?),
                "--renew-fd" => read.renew = Some(descriptor(&option, &value()?)?),
                "--keeper-fd" => read.keeper = Some(descriptor(&option, &value()?)?),
                _ => return Err(format!("unknown option {option}\n{USAGE}")),
            }
        }
        Ok(read)
    }

    fn home(&self) -> Result<Home, String> {
        let root = self.home.clone().ok_or("--home is missing")?;
        Ok(Home::new(root, |name| std::env::var(name).ok()))
    }
}

fn descriptor(option: &str, number: &OsString) -> Result<OwnedFd, String> {
    let number = number.to_str().and_then(|number| number.parse().ok());
    let number = number.ok_or_else(|| format!("{option} needs the number of a descriptor"))?;
    detach::inherited(number).map_err(|error| format!("{option} {number}: {error}"))
}
