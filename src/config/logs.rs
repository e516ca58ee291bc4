//! Where output and pid go (contract/options.md section 7.1). Instance numbers are put in by the daemon.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::Caller;
use super::name::of_file;
use super::paths::resolve;

/// Moves the four file options of `app` into the keys of the record; gives the folders that have to exist.
pub(super) fn place(app: &mut Map<String, Value>, name: &str, cwd: &Path, caller: &Caller) -> Vec<PathBuf> {
    let file = of_file(name);
    let mut folders = Vec::new();
    let logs = &caller.home.logs_dir;
    let pids = &caller.home.pids_dir;
    let in_logs = |name: String| if caller.home.keeps_no_logs() { logs.clone() } else { logs.join(name) };
    let slots = [
        ("log_file", "pm_log_path", None),
        ("out_file", "pm_out_log_path", Some(in_logs(format!("{file}-out.log")))),
        ("error_file", "pm_err_log_path", Some(in_logs(format!("{file}-error.log")))),
        ("pid_file", "pm_pid_path", Some(pids.join(format!("{file}.pid")))),
    ];
    for (option, key, default) in slots {
        let path = match app.shift_remove(option) {
            Some(Value::String(text)) if text == "NULL" || text == "/dev/null" => Some(PathBuf::from("/dev/null")),
            Some(Value::String(text)) if !text.is_empty() => {
                let path = resolve(cwd, &at_home(&text, caller));
                folders.extend(path.parent().map(Path::to_path_buf));
                Some(path)
            }
            Some(Value::Bool(true)) => Some(in_logs(format!("{file}.log"))),
            _ => default,
        };
        if let Some(path) = path {
            app.insert(key.to_owned(), Value::from(path.to_string_lossy()));
        }
    }
    folders
}

/// A leading `~` is the caller's home directory.
fn at_home(text: &str, caller: &Caller) -> String {
    let home = caller.env.get("HOME").and_then(Value::as_str).filter(|h| !h.is_empty());
    match (text.strip_prefix('~'), home) {
        (Some(rest), Some(home)) => format!("{home}{rest}"),
        _ => text.to_owned(),
    }
}
