//! `flush`: empties log files, on the caller's side (contract/api.md section 6.5).

use std::path::Path;

use serde_json::Value;

use super::bulk;
use crate::client::action::Answer;
use crate::client::error::CallError;
use crate::client::files;
use crate::client::procs::{Listed, parse, text};
use crate::client::session::Session;

/// Without target, or with `all`: everything, `pm2.log` too (Q25). The answer is the whole list.
pub(super) async fn flush(session: &Session, target: Option<&Value>) -> Result<Answer, CallError> {
    let list = bulk::raw_list(session).await?;
    let processes: Vec<Listed> = parse("getMonitorData", &list)?;
    let target = target.map(text).filter(|target| !target.is_empty() && target != "all");
    if target.is_none() {
        files::truncate(&session.home().log_file)?;
    }
    for process in &processes {
        if target.as_ref().is_some_and(|target| process.id() != *target && process.name() != *target) {
            continue;
        }
        let record = &process.pm2_env;
        for path in [&record.pm_out_log_path, &record.pm_err_log_path, &record.pm_log_path] {
            if let Some(path) = path.as_str() {
                files::truncate(Path::new(path))?;
            }
        }
    }
    Ok(list)
}
