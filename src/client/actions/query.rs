//! `describe`, `getPID`, `getProcessIdByName`, `env` (contract/api.md section 6.3).

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{answer, bulk};
use crate::client::action::{Answer, Context};
use crate::client::error::CallError;
use crate::client::procs::{Listed, parse, text};
use crate::client::select::{by_name_or_path, is_numeric};
use crate::client::session::Session;

/// The elements of the list with this id or exactly this name; none is no error (Q47).
pub(super) async fn describe(session: &Session, target: &Value) -> Result<Answer, CallError> {
    let target = text(target);
    let list = bulk::ask_list(session, json!({ "target": target })).await?;
    let processes: Vec<&RawValue> = parse("getMonitorData", &list)?;
    let mut found = Vec::new();
    for process in processes {
        let seen: Listed = parse("getMonitorData", process)?;
        if seen.name() == target || (is_numeric(&target) && seen.id() == target) {
            found.push(process);
        }
    }
    answer(&found)
}

/// The pids of all processes, or of those of exactly this name.
pub(super) async fn pids(session: &Session, name: Option<&Value>) -> Result<Answer, CallError> {
    let name = name.map(text).filter(|name| !name.is_empty());
    let list = bulk::list(session).await?;
    let wanted = list.iter().filter(|process| name.as_ref().is_none_or(|name| process.name() == *name));
    answer(&wanted.map(|process| process.pid).collect::<Vec<_>>())
}

/// The ids of the processes of this name, or that run this script.
pub(super) async fn ids(session: &Session, name: &Value, context: &Context) -> Result<Answer, CallError> {
    let list = bulk::list(session).await?;
    answer(&by_name_or_path(&text(name), &list, &context.cwd))
}

/// Keys of `pm2_env` that are pm2's, not the app's environment (contract/api.md section 15, point 5).
const RESERVED: &str = "name exec_mode env args pm_cwd exec_interpreter pm_exec_path node_args pm_out_log_path \
    pm_err_log_path pm_pid_path pm_id status pm_uptime created_at windowsHide username merge_logs kill_retry_time \
    prev_restart_delay instance_var unstable_restarts restart_time axm_actions pmx_module command watch filter_env \
    versioning vizion_running MODULE_DEBUG pmx axm_options vizion axm_dynamic axm_monitor instances automation autostart \
    autorestart stop_exit_codes unstable_restart treekill exit_code";

/// The environment of one process: the flattened variables of its record (Q21).
pub(super) async fn env(session: &Session, id: &Value) -> Result<Answer, CallError> {
    #[derive(Deserialize)]
    struct WithRecord {
        pm2_env: Map<String, Value>,
    }
    let id = text(id);
    let list = bulk::ask_list(session, json!({ "target": id })).await?;
    let processes: Vec<&RawValue> = parse("getMonitorData", &list)?;
    for process in processes {
        let seen: Listed = parse("getMonitorData", process)?;
        if seen.id() == id {
            let WithRecord { mut pm2_env } = parse("getMonitorData", process)?;
            for key in RESERVED.split_ascii_whitespace() {
                pm2_env.shift_remove(key);
            }
            return answer(&pm2_env);
        }
    }
    Err(CallError::refused("PROCESS_NOT_FOUND", format!("{id} id unknown")))
}
