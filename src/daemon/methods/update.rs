//! `pm2rsUpdate {executable, agent?}`, which stock does not have: another executable takes over, and no app notices.
//!
//! Owns: what is asked of the new executable before it may try. Does not own: going back to this one if it does not come
//! up (the keeper does that).

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use crate::VERSION;
use crate::daemon::answer::Answer;
use crate::daemon::core::Daemon;
use crate::daemon::dispatch::{Args, Reply};
use crate::daemon::journal;
use crate::sys::detach;
use crate::wire::keeper::{PROTOCOL, ToKeeper};

/// How long an executable may take to tell its versions.
const PATIENCE: Duration = Duration::from_secs(10);

/// The answer should reach the client before its connection closes.
const ANSWERED: Duration = Duration::from_millis(20);

#[derive(Debug, Deserialize)]
struct Request {
    executable: PathBuf,
    #[serde(default)]
    agent: Option<String>,
}

/// What `pm2d --versions` tells.
#[derive(Debug, Deserialize)]
struct Versions {
    version: String,
    journal: u32,
    keeper: u32,
}

pub(in crate::daemon) fn update(daemon: &Rc<Daemon>, args: Args<'_>) -> Reply {
    let request: Request = match serde_json::from_str(args.text(0)) {
        Ok(request) => request,
        Err(error) => return Reply::error(&format!("pm2rsUpdate: expected {{executable}}: {error}")),
    };
    let daemon = Rc::clone(daemon);
    Reply::Later(Box::pin(async move {
        match check(request.executable.clone()).await {
            Ok(version) if daemon.end.begin() => {
                daemon.log.log(&format!("handing over to pm2d {version}, {}", request.executable.display()));
                tokio::task::spawn_local(hand_over(Rc::clone(&daemon), request));
                Answer::value(&json!({ "from": VERSION, "to": version, "generation": daemon.generation }))
            }
            Ok(_) => Answer::error("the daemon is ending or being replaced already"),
            Err(error) => Answer::error(&error),
        }
    }))
}

/// Its version, if it can read what we wrote and speak with the keeper.
async fn check(executable: PathBuf) -> Result<String, String> {
    let name = executable.display().to_string();
    let asked = tokio::task::spawn_blocking(move || detach::ask(&executable, "--versions", PATIENCE)).await;
    let told = match asked {
        Ok(Ok(told)) => told,
        Ok(Err(error)) => return Err(format!("cannot update to {name}: {error}")),
        Err(error) => return Err(format!("cannot update to {name}: {error}")),
    };
    let Versions { version, journal, keeper } =
        serde_json::from_slice(&told).map_err(|_| format!("cannot update to {name}: it is no pm2d"))?;
    if journal < journal::VERSION || keeper < PROTOCOL {
        return Err(format!(
            "cannot update to {name}: pm2d {version} is older than {VERSION} and cannot read its list; save, kill and \
             resurrect instead"
        ));
    }
    Ok(version)
}

async fn hand_over(daemon: Rc<Daemon>, request: Request) {
    tokio::time::sleep(ANSWERED).await;
    let executable = request.executable.to_string_lossy().into_owned();
    daemon.flush_journal();
    daemon.keeper.send(&ToKeeper::Replace { executable, agent: request.agent }, Vec::new());
    daemon.keeper.flushed().await;
    // Nothing is stopped and nothing is closed: the keeper holds it all for the next one.
    daemon.end.set(0);
}
