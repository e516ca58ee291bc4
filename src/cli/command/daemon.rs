//! `ping`, `kill` and `update` (contract/cli.md section 11).

use std::time::Duration;

use serde_json::Value;

use super::super::Ui;
use super::{Call, Failure};
use crate::client::Action;

pub(super) async fn ping(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    if call.request.is_set("no-launch") && !call.has_daemon().await? {
        return Err(Failure::Text(format!("no daemon answers in {}", call.session.home().root.display())));
    }
    let _: Value = call.ask(Action::Ping).await?;
    ui.data("{ msg: 'pong' }\n");
    Ok(())
}

/// Stops all apps and the daemon. Without a daemon there is nothing to do, and none is launched for it.
pub(super) async fn kill(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    if call.has_daemon().await? {
        let limit = call.request.value("timeout").and_then(|text| text.parse().ok()).map(Duration::from_secs_f64);
        let killed = call.ask::<Value>(Action::KillDaemon);
        match limit {
            Some(limit) => tokio::time::timeout(limit, killed)
                .await
                .map_err(|_| Failure::Text(format!("not everything ended within {} s", limit.as_secs_f64())))??,
            None => killed.await?,
        };
        ui.say("[v] All Applications Stopped");
    } else {
        ui.warn("No process found");
    }
    ui.say("[v] PM2 Daemon Stopped");
    Ok(())
}

/// The installed version takes over in place.
pub(super) async fn update(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let done: Value = call.ask(Action::Update).await?;
    if done["restarted"] == true {
        ui.say("A daemon of pm2 was there: its apps were saved and started again under pm2-rs");
        ui.say("Back to pm2: pm2-rs save && pm2-rs kill && pm2 resurrect");
    }
    ui.message(">>>>>>>>>> PM2 updated");
    call.finish(ui, &[]).await
}
