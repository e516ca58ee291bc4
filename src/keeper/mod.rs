//! The hands: spawns what the daemon asks for, reaps, and holds every descriptor that matters. Decides nothing.
//!
//! Owns: the one poll loop, the table of runs and held descriptors, the daemon's restart, `pm2.pid`, the lock.
//! Must never: block, start a thread, parse what apps say, or grow with anything but the number of runs.

mod brain;
mod child;
mod core;
mod fork;
mod outbox;
mod renewal;
mod setup;
mod spawn;
mod table;
mod watchdog;

use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use self::setup::SetupError;
use crate::model::Home;

/// The daemon's whole life in a process forked off a keeper: home, agent script, the socket to the keeper. The answer is
/// its exit code.
pub type PlayDaemon = fn(Home, Option<PathBuf>, OwnedFd) -> i32;

/// What a keeper is started with.
#[derive(Debug)]
pub struct Options {
    pub home: Home,
    /// The executable of the daemon. `None`: the one that runs now, whatever became of its name.
    pub executable: Option<PathBuf>,
    /// Plays the daemon, with our code, when `executable` is `None`. `None`: our executable is executed again.
    pub daemon: Option<PlayDaemon>,
    /// The script that is preloaded into Node apps; passed on to the daemon.
    pub agent: Option<PathBuf>,
    /// Where one line says how the start went.
    pub ready: Option<OwnedFd>,
    /// Whoever started us is gone when this hangs up, and then we go too.
    pub lifeline: Option<OwnedFd>,
    /// The socket of a daemon whose keeper was killed: serve that one, which hands over what it has.
    pub adopt: Option<OwnedFd>,
    /// With `adopt`: the lock of the home, so that there is no moment at which nobody has it, whoever dies.
    pub lock: Option<OwnedFd>,
    /// The state of the keeper that this process was before it became this executable.
    pub renew: Option<OwnedFd>,
}

/// Is the keeper, until the daemon ends on purpose. Call it in a process with one thread that does nothing else. The
/// answer is the exit code: that of the daemon's `Quit`; 1 when the home is busy or the daemon could not be started.
pub fn run(mut options: Options) -> i32 {
    let renewed = match options.renew.take().map(renewal::read).transpose() {
        Ok(renewed) => renewed,
        // The daemon sees our end and starts another keeper.
        Err(error) => {
            core::say(&format!("cannot go on as a new keeper: {error}"));
            return 1;
        }
    };
    match setup::prepare(&options, renewed.as_ref()) {
        Ok(ground) => match core::Keeper::new(options, ground, renewed) {
            Ok(keeper) => keeper.run(),
            // Only a daemon that is to be adopted and has just ended: nobody waits for a word.
            Err(error) => {
                core::say(&format!("cannot serve the daemon that was there: {error}"));
                1
            }
        },
        Err(error) => {
            let code = if matches!(error, SetupError::Busy(_)) { "busy" } else { "failed" };
            let text = serde_json::Value::from(error.to_string());
            core::say(&error.to_string());
            if let Some(ready) = options.ready.take() {
                tell(ready, &format!(r#"{{"success":false,"code":"{code}","error":{text}}}"#));
            }
            1
        }
    }
}

/// One line to whoever started us. It may be gone: then nobody wants to know.
fn tell(ready: OwnedFd, line: &str) {
    let _ = writeln!(std::fs::File::from(ready), "{line}");
}
