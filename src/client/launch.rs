//! Finding the daemon of a home, or starting one.
//!
//! Owns: what a refused connection means, the wait for the ready line of `pm2d keeper`, trying again while somebody else
//! starts or ends a daemon. Does not own: how the process is made (`sys::detach`).
//! Must never: end or signal a process, or remove a socket (the keeper owns the sockets).

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::time::{Instant, sleep, timeout};

use super::error::CallError;
use super::files;
use crate::model::Home;
use crate::sys::detach::{self, Launch};

/// Which home, and what to launch when nobody lives there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Options {
    pub home: PathBuf,
    /// `false`: a daemon launched by us ends when we do.
    #[serde(default = "yes")]
    pub daemon_mode: bool,
    /// The executable `pm2d`; `PM2_RS_DAEMON` in our environment wins.
    pub pm2d: PathBuf,
    /// The folder of the JavaScript that runs inside apps; handed on to the daemon.
    pub agent: PathBuf,
}

fn yes() -> bool {
    true
}

/// An environment, in order.
pub(super) type Environment = Vec<(OsString, OsString)>;

/// So long is tried while others start or end a daemon on this home.
const PATIENCE: Duration = Duration::from_secs(10);

/// So long may a keeper take until it says how the start went.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// Between two tries. A daemon starts in about 10 ms.
const PAUSE: Duration = Duration::from_millis(20);

/// What a keeper says when it serves, or cannot.
#[derive(Debug, Deserialize)]
struct Ready {
    success: bool,
    #[serde(default)]
    code: String,
    #[serde(default)]
    error: String,
}

/// How one launch went.
enum Outcome {
    Online,
    /// Somebody else holds the lock: starting, serving or ending.
    Busy,
}

/// Connects to the daemon of this home; `None` when nobody listens. Works with a stock daemon, too.
pub(super) async fn connect(home: &Home) -> Result<Option<UnixStream>, CallError> {
    let path = &home.rpc_socket;
    let end = Instant::now() + PATIENCE;
    loop {
        match UnixStream::connect(path).await {
            Ok(stream) => return Ok(Some(stream)),
            // The queue of connections is full: somebody is there, and busy.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < end => sleep(PAUSE).await,
            Err(error) => {
                return match error.kind() {
                    io::ErrorKind::PermissionDenied => Err(CallError::Permission(path.clone())),
                    io::ErrorKind::NotFound
                    | io::ErrorKind::NotADirectory
                    | io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::ConnectionReset => Ok(None),
                    _ => Err(CallError::io("connect to", path)(error)),
                };
            }
        }
    }
}

/// Connects, launching a daemon when nobody listens. `true`: it was launched here.
pub(super) async fn connect_or_launch(
    options: &Options,
    home: &Home,
    env: &Environment,
) -> Result<(UnixStream, bool), CallError> {
    let end = Instant::now() + PATIENCE;
    let mut launched = false;
    loop {
        if let Some(stream) = connect(home).await? {
            return Ok((stream, launched));
        }
        if Instant::now() > end {
            return Err(CallError::Launch(format!(
                "no daemon answers on {}, but another process holds {}: wait until it has ended, or end it",
                home.rpc_socket.display(),
                home.lock_file.display()
            )));
        }
        if launched {
            sleep(PAUSE).await;
        }
        files::create_home(home)?;
        match launch(options, home, env).await? {
            Outcome::Online => launched = true,
            Outcome::Busy => sleep(PAUSE).await,
        }
    }
}

async fn launch(options: &Options, home: &Home, env: &Environment) -> Result<Outcome, CallError> {
    let variable = |name: &str| env.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let program = variable("PM2_RS_DAEMON").filter(|text| !text.is_empty()).map(PathBuf::from);
    let program = program.unwrap_or_else(|| options.pm2d.clone());
    let mut env: Environment = env.iter().filter(|(name, _)| name != "PM2_HOME").cloned().collect();
    env.push(("PM2_HOME".into(), home.root.clone().into()));

    let flag = |name: &str| OsStr::new(name).to_owned();
    let mut args = vec![flag("keeper"), flag("--home"), home.root.clone().into()];
    if !options.agent.as_os_str().is_empty() {
        args.extend([flag("--agent"), options.agent.clone().into()]);
    }
    let tied = !options.daemon_mode;
    let launch = Launch { program: &program, args: &args, env: Some(&env), log_file: &home.log_file, tied };
    let launched = match detach::launch(&launch) {
        Ok(launched) => launched,
        // The executable is being written, as by an installation that runs now.
        Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => return Ok(Outcome::Busy),
        Err(error) => {
            let text = format!("cannot start the daemon `{}`: {error}; reinstall pm2-rs", program.display());
            return Err(CallError::Launch(text));
        }
    };
    let line = timeout(READY_LIMIT, ready_line(launched.ready)).await;
    let told = |text: &str| {
        let log = home.log_file.display().to_string();
        let see = if text.contains(&log) { String::new() } else { format!("; see {log}") };
        CallError::Launch(format!("the daemon did not start: {text}{see}"))
    };
    let line = line.map_err(|_| told("it did not say so within 30 s"))?.map_err(|error| told(&error.to_string()))?;
    if line.is_empty() {
        return Err(told("it ended at once"));
    }
    let ready: Ready =
        serde_json::from_slice(&line).map_err(|error| told(&format!("it said what is no JSON ({error})")))?;
    match (ready.success, ready.code.as_str()) {
        (true, _) => {
            keep(launched.lifeline);
            Ok(Outcome::Online)
        }
        (false, "busy") => Ok(Outcome::Busy),
        (false, _) => Err(told(&ready.error)),
    }
}

/// Everything up to the end of the first line, or of the pipe.
async fn ready_line(ready: OwnedFd) -> io::Result<Vec<u8>> {
    nix::fcntl::fcntl(&ready, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
    let mut ready = pipe::Receiver::from_owned_fd(ready)?;
    let mut line = Vec::new();
    while !line.contains(&b'\n') && line.len() < 64 << 10 {
        if ready.read_buf(&mut line).await? == 0 {
            break;
        }
    }
    Ok(line)
}

/// The lifeline must live as long as this process, whatever becomes of the session: when it closes, all apps end.
fn keep(lifeline: Option<OwnedFd>) {
    static LIFELINES: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());
    LIFELINES.lock().unwrap_or_else(PoisonError::into_inner).extend(lifeline);
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    /// Stands in for `pm2d`: says what the script says on its ready descriptor, which is stdin.
    fn launch_script(script: &str) -> Result<(UnixStream, bool), CallError> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("pm2d");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let home = folder.path().join("home");
        let options = Options { home: home.clone(), daemon_mode: true, pm2d: program, agent: PathBuf::new() };
        let env = vec![("PATH".into(), std::env::var_os("PATH").unwrap())];
        let home = Home::new(home, |_| None);
        runtime().block_on(connect_or_launch(&options, &home, &env))
    }

    #[test]
    fn a_daemon_that_cannot_start_is_told_with_its_reason() {
        let error = launch_script(r#"echo '{"success":false,"code":"failed","error":"no room"}' >&0"#).unwrap_err();
        assert!(error.to_string().starts_with("the daemon did not start: no room; see "), "{error}");
        assert_eq!(error.code(), "DAEMON_NOT_LAUNCHED");
    }

    #[test]
    fn a_daemon_that_dies_at_once_is_told() {
        let error = launch_script("exit 3").unwrap_err();
        assert!(error.to_string().contains("it ended at once"), "{error}");
    }

    #[test]
    fn a_missing_executable_is_named() {
        let options = Options {
            home: tempfile::tempdir().unwrap().path().join("home"),
            daemon_mode: true,
            pm2d: "/nowhere/pm2d".into(),
            agent: PathBuf::new(),
        };
        let home = Home::new(options.home.clone(), |_| None);
        let error = runtime().block_on(connect_or_launch(&options, &home, &Vec::new())).unwrap_err();
        assert!(error.to_string().contains("`/nowhere/pm2d`"), "{error}");
        std::fs::remove_dir_all(&home.root).unwrap();
    }

    #[test]
    fn while_somebody_else_starts_the_daemon_we_wait_for_it() {
        // The first launch finds the lock taken and, as the other one would, lets a listener appear.
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path(), |_| None);
        let program = folder.path().join("pm2d");
        let marker = folder.path().join("launched");
        let script =
            format!("#!/bin/sh\n: > {}\necho '{{\"success\":false,\"code\":\"busy\"}}' >&0\n", marker.display());
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let options = Options { home: folder.path().into(), daemon_mode: true, pm2d: program, agent: PathBuf::new() };
        runtime().block_on(async {
            let other = async {
                while !marker.exists() {
                    sleep(PAUSE).await;
                }
                tokio::net::UnixListener::bind(&home.rpc_socket).unwrap()
            };
            let env = Vec::new();
            let (result, _listener) = tokio::join!(connect_or_launch(&options, &home, &env), other);
            let (_, launched) = result.unwrap();
            assert!(!launched, "the daemon is the other one's");
        });
    }
}
