//! `start --wait`: until every process is up, or one is not (contract/cli.md section 21.3).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::Ui;
use super::logs::last_lines;
use super::{Call, Failure, Process};

/// How often the list is asked for.
const PAUSE: Duration = Duration::from_millis(100);
/// How long `--wait` waits unless told otherwise.
const LIMIT: Duration = Duration::from_mins(1);
/// An app that names no `min_uptime` is up when it has run so long.
const MIN_UPTIME: f64 = 1000.0;

/// With `--wait`: comes back when all that was started is up; the last error lines of what failed are told.
pub(super) async fn settled(call: &Call<'_>, ui: &mut Ui, done: &[Value]) -> Result<(), Failure> {
    if !call.request.is_set("wait") {
        return Ok(());
    }
    let id =
        |app: &Value| app.get("pm_id").filter(|id| !id.is_null()).or_else(|| app.get("pm2_env")?.get("pm_id")).cloned();
    let ids: Vec<String> = done.iter().filter_map(id).map(|id| id.to_string()).collect();
    let limit =
        call.request.value("wait-timeout").and_then(|text| text.parse().ok()).map_or(LIMIT, Duration::from_secs_f64);
    let since = Instant::now();
    let mut restarts: BTreeMap<String, f64> = BTreeMap::new();
    loop {
        let list = call.processes().await?;
        let mine: Vec<&Process> = list.iter().filter(|process| ids.contains(&process.id())).collect();
        for process in &mine {
            let count = process.number("restart_time").unwrap_or(0.0);
            let before = *restarts.entry(process.id()).or_insert(count);
            let gave_up = ["stopped", "errored"].contains(&process.text("status").as_str())
                && process.text("autostart") != "false";
            if gave_up || count > before || process.text("status") == "waiting restart" {
                return Err(failed(process, ui));
            }
        }
        if mine.len() < ids.len() {
            return Err(Failure::Text("a process was deleted while it was waited for".into()));
        }
        if mine.iter().all(|process| is_up(process)) {
            return Ok(());
        }
        if since.elapsed() > limit {
            let names: Vec<&str> =
                mine.iter().filter(|process| !is_up(process)).map(|process| process.name.as_str()).collect();
            return Err(Failure::Text(format!("not up within {} s: {}", limit.as_secs(), names.join(", "))));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Ready, or running for its `min_uptime`.
fn is_up(process: &Process) -> bool {
    if process.text("autostart") == "false" {
        return true;
    }
    let ready = process.text("wait_ready") == "true";
    let needed = if ready { 0.0 } else { process.number("min_uptime").unwrap_or(MIN_UPTIME) };
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since the epoch fit into 53 bits")]
    let now = jiff::Timestamp::now().as_millisecond() as f64;
    process.text("status") == "online" && process.number("pm_uptime").is_some_and(|since| now - since >= needed)
}

fn failed(process: &Process, ui: &mut Ui) -> Failure {
    let path = process.text("pm_err_log_path");
    let lines = last_lines(std::path::Path::new(&path), 10).unwrap_or_default();
    for line in lines {
        ui.complain(&format!("{}|{} | {}", process.id(), process.name, String::from_utf8_lossy(&line)));
    }
    let code = process.number("exit_code").map_or_else(String::new, |code| format!(" (exit code {code})"));
    Failure::Text(format!("{} did not come up: it is {}{code}", process.name, process.text("status")))
}
