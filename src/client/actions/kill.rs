//! `killDaemon`, `destroy` (contract/api.md sections 4.6 and 4.7).

use std::os::fd::OwnedFd;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::bulk::{self, Verb};
use super::{answer, success};
use crate::client::action::Answer;
use crate::client::connection::Connection;
use crate::client::error::CallError;
use crate::client::session::Session;
use crate::sys::pidfd;

/// So long may a daemon take to end after its apps have ended.
const LIMIT: Duration = Duration::from_secs(5);

/// Ends all apps, then the daemon; comes back when its process is gone, so that the next call meets no dying one.
/// Without a daemon there is nothing to do (Q36).
pub(super) async fn kill(session: &Session) -> Result<Answer, CallError> {
    let Some(connection) = session.connection_if_alive().await? else { return success() };
    let process = daemon_process(session, &connection).await;
    let nothing = [Map::new()];
    // Never answered; from now on no app is restarted.
    connection.send("notifyKillPM2", &nothing)?;
    delete_all(session).await?;
    connection.send("stopWatch", &("deleteAll", json!({})))?;
    // A pid would get SIGQUIT, which nobody here waits for; a stock daemon without one goes on all the same.
    connection.send("killMe", &nothing)?;
    let gone = timeout(LIMIT, async {
        connection.ended().await;
        if let Some(process) = process {
            let _ = pidfd::ended(process).await;
        }
    });
    let gone = gone.await.is_ok();
    session.disconnect().await;
    if !gone {
        let text = format!(
            "the daemon of {} did not end within 5 s; see {}",
            session.home().root.display(),
            session.home().log_file.display()
        );
        return Err(CallError::refused("DAEMON_NOT_STOPPED", text));
    }
    success()
}

/// The process whose end means that nobody lives here any more: the keeper of ours, or the stock daemon.
async fn daemon_process(session: &Session, connection: &Connection) -> Option<OwnedFd> {
    let told = connection.peer().await.and_then(|peer| peer.keeper_pid);
    let written = || std::fs::read_to_string(&session.home().pid_file).ok()?.trim().parse().ok();
    pidfd::open(told.or_else(written)?).ok()
}

/// Deletes all processes, modules included. What fails is left to the daemon's end.
async fn delete_all(session: &Session) -> Result<(), CallError> {
    let ids: Vec<Value> = bulk::list(session).await?.into_iter().map(|process| process.pm_id).collect();
    let width = bulk::width(session, ids.len(), None, 10).await;
    bulk::each(ids, width, |id| {
        let session = session.clone();
        async move {
            let _ = bulk::act(&session, Verb::Delete, &id, None).await;
            Ok(())
        }
    })
    .await
    .map(drop)
}

/// Kills the daemon and removes the home, unless it may be the user's own.
pub(super) async fn destroy(session: &Session) -> Result<Answer, CallError> {
    kill(session).await?;
    let home = session.home();
    if home.root.to_string_lossy().contains(".pm2") {
        return Err(CallError::refused("NOT_ALLOWED", "Destroy is not a allowed method on .pm2"));
    }
    // What is no home of pm2 is not removed.
    std::fs::File::open(&home.module_conf_file).map_err(CallError::io("open", &home.module_conf_file))?;
    std::fs::remove_dir_all(&home.root).map_err(CallError::io("remove", &home.root))?;
    answer(&Value::Null)
}
