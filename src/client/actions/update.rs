//! `update`: daemon and keeper become the executable of this package; no app is restarted.
//!
//! Where a stock daemon lives there is no such road: its list is saved, it is ended, and ours starts what was saved.

use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep};

use super::{answer, dump, kill};
use crate::client::action::Answer;
use crate::client::error::CallError;
use crate::client::session::Session;

/// So long may the new one take; it takes some ten milliseconds. The keeper goes back to the old one before.
const LIMIT: Duration = Duration::from_secs(30);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Debug, Deserialize)]
struct Info {
    generation: u64,
    version: String,
    #[serde(default)]
    failed_update: Option<String>,
}

/// `{success, from, to, restarted}`.
pub(super) async fn update(session: &Session) -> Result<Answer, CallError> {
    let Some(connection) = session.connection_if_alive().await? else {
        session.connect().await?;
        return answer(&json!({ "success": true, "from": null, "to": crate::VERSION, "restarted": false }));
    };
    if connection.peer().await.is_none() {
        return take_over(session).await;
    }
    let before = info(session).await?;
    let (pm2d, agent) = session.executables();
    let agent = (!agent.as_os_str().is_empty()).then_some(agent);
    session.rpc("pm2rsUpdate", &[json!({ "executable": pm2d, "agent": agent })]).await?;
    let end = Instant::now() + LIMIT;
    let after = loop {
        sleep(PAUSE).await;
        match info(session).await {
            Ok(info) if info.generation > before.generation => break info,
            Ok(_) | Err(CallError::WentAway(_)) if Instant::now() < end => {}
            Ok(_) => return Err(CallError::refused("UPDATE_FAILED", "the old daemon did not hand over within 30 s")),
            Err(error) => return Err(error),
        }
    };
    match after.failed_update {
        Some(reason) => {
            let text = format!("{} goes on, because {} did not come up: {reason}", after.version, pm2d.display());
            Err(CallError::refused("UPDATE_FAILED", text))
        }
        None => answer(&json!({ "success": true, "from": before.version, "to": after.version, "restarted": false })),
    }
}

async fn info(session: &Session) -> Result<Info, CallError> {
    let values = session.rpc("pm2rsInfo", &[serde_json::Map::new()]).await?;
    let text = values.first().map_or("null", |value| value.get());
    serde_json::from_str(text)
        .map_err(|error| CallError::BadAnswer { method: "pm2rsInfo".to_owned(), reason: error.to_string() })
}

/// From stock's daemon to ours.
async fn take_over(session: &Session) -> Result<Answer, CallError> {
    // An empty list is no reason to stay.
    dump::dump(session, true).await?;
    kill::kill(session).await?;
    session.connect().await?;
    dump::resurrect(session).await?;
    answer(&json!({ "success": true, "from": "pm2", "to": crate::VERSION, "restarted": true }))
}
