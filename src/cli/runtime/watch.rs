//! What the list says about going on or ending.

use serde_json::{Value, json};

use super::super::process::Process;
use crate::client::{self, Action, Session};

/// What is not there (a daemon that is about to end) is an empty list.
pub(super) async fn list(session: &Session) -> Option<Vec<Process>> {
    let answer = client::run(session, Action::List).await.ok()?;
    serde_json::from_str(answer.get()).ok()
}

pub(super) async fn ids(session: &Session) -> Vec<Value> {
    list(session).await.unwrap_or_default().into_iter().map(|process| process.pm_id).collect()
}

pub(super) async fn pids(session: &Session) -> Vec<i32> {
    let running = list(session).await.unwrap_or_default();
    running.iter().filter_map(|process| i32::try_from(process.pid?).ok()).filter(|pid| *pid > 1).collect()
}

/// Nothing runs, is about to run, or waits for a time.
pub(super) async fn nothing_can_come_back(session: &Session) -> bool {
    let Some(list) = list(session).await else { return false };
    list.iter().filter(|process| !process.is_module()).all(is_over)
}

/// Whether the app does what it should: it runs, or waits for its time or for somebody to start it.
pub(super) fn is_well(process: &Process) -> bool {
    process.text("status") == "online" || (process.text("status") == "stopped" && !is_over(process))
}

fn is_over(process: &Process) -> bool {
    let cron = process.text("cron_restart");
    let waits = !["", "0", "false"].contains(&cron.as_str());
    // What was added without being started waits for somebody to start it.
    let parked = process.text("autostart") == "false"
        && process.number("restart_time").unwrap_or(0.0) == 0.0
        && process.pm2_env.get("exit_code").is_none();
    ["stopped", "errored"].contains(&process.text("status").as_str()) && !waits && !parked
}

/// The code that the app left with.
pub(super) async fn exit_code(session: &Session, name: &str) -> Option<u8> {
    let list = list(session).await?;
    let app = list.iter().find(|process| process.name == name || json!(name) == process.pm_id)?;
    let code = app.number("exit_code")?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an exit code is a byte")]
    let code = code.rem_euclid(256.0) as u8;
    Some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nothing_starts_again_is_over() {
        for (env, expected) in [
            (json!({ "status": "online" }), false),
            (json!({ "status": "waiting restart" }), false),
            (json!({ "status": "launching" }), false),
            (json!({ "status": "stopped", "exit_code": 0 }), true),
            (json!({ "status": "errored", "exit_code": 1 }), true),
            (json!({ "status": "stopped", "cron_restart": "0 0 * * *" }), false),
            (json!({ "status": "stopped", "autostart": false }), false),
        ] {
            let process: Process = serde_json::from_value(json!({ "pm_id": 0, "pm2_env": env })).expect("a process");
            assert_eq!(is_over(&process), expected, "{env}");
        }
    }
}
