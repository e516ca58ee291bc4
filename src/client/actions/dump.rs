//! `dump`, `clearDump`, `resurrect`: the list of apps, saved by the caller (contract/api.md sections 6.5, 7.5 and 12.6).
//!
//! Owns: `dump.pm2` and its backup. Invariant: no file that could be read is ever lost; a broken one is moved aside.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{answer, bulk, start, success};
use crate::client::action::Answer;
use crate::client::error::CallError;
use crate::client::files;
use crate::client::procs::{parse, text};
use crate::client::session::Session;

/// Keys of the moment, which must not be given to the process that is made of a saved one.
const NOT_SAVED: [&str; 3] = ["instances", "pm_id", "prev_restart_delay"];

pub(super) async fn dump(session: &Session, force: bool) -> Result<Answer, CallError> {
    #[derive(Deserialize)]
    struct WithRecord {
        #[serde(default)]
        pm2_env: Map<String, Value>,
    }
    let list = bulk::ask_list(session, json!({ "saving": true })).await?;
    let processes: Vec<WithRecord> = parse("getMonitorData", &list)?;
    let is_module = |record: &Map<String, Value>| record.get("pmx_module").is_some_and(|flag| text(flag) == "true");
    let records = processes.into_iter().map(|process| process.pm2_env).filter(|record| !is_module(record));
    let saved: Vec<Map<String, Value>> = records.map(without_moment).collect();
    write(session, &saved, force || session.variable("FORCE").is_some())?;
    success()
}

fn without_moment(mut record: Map<String, Value>) -> Map<String, Value> {
    for key in NOT_SAVED {
        record.shift_remove(key);
    }
    record
}

fn write(session: &Session, saved: &[Map<String, Value>], force: bool) -> Result<(), CallError> {
    let home = session.home();
    files::create_home(home)?;
    let old = files::read(&home.dump_file)?;
    if saved.is_empty() && !force {
        if old.is_none() {
            files::replace(&home.dump_file, b"[]")?;
        }
        return Err(CallError::refused("EMPTY_LIST", "Process list empty, cannot save empty list"));
    }
    if let Some(old) = old {
        files::replace(&home.dump_backup_file, &old)?;
    }
    let text = serde_json::to_vec_pretty(saved).map_err(|error| CallError::refused("INTERNAL", error.to_string()))?;
    files::replace(&home.dump_file, &text)
}

/// Empties the dump; the backup stays.
pub(super) fn clear(session: &Session) -> Result<Answer, CallError> {
    files::create_home(session.home())?;
    files::replace(&session.home().dump_file, b"[]")?;
    answer(&Value::Null)
}

/// Starts every saved process whose name is not in the list. `{dump, restored: [name], failed: [{name, message}]}`:
/// `dump` is the text of the file, which pm2's callback gets as a Buffer. One that cannot be started stops no other.
pub(super) async fn resurrect(session: &Session) -> Result<Answer, CallError> {
    let (file, apps) = read_dump(session)?;
    let list = bulk::list(session).await?;
    let apps: Vec<Map<String, Value>> =
        apps.into_iter().filter(|app| list.iter().all(|process| process.name() != name_of(app))).collect();
    let width = bulk::width(session, apps.len(), Some(at_a_time(session)), 2).await;
    let results = bulk::each(apps, width, |app| {
        let session = session.clone();
        async move {
            let result = start::prepare(&session, &app).await;
            Ok((name_of(&app), result.err().map(|error| error.to_string())))
        }
    })
    .await?;
    let (restored, failed): (Vec<_>, Vec<_>) = results.into_iter().partition(|(_, error)| error.is_none());
    let restored: Vec<String> = restored.into_iter().map(|(name, _)| name).collect();
    let failed: Vec<Value> =
        failed.into_iter().map(|(name, message)| json!({ "name": name, "message": message })).collect();
    answer(&json!({ "dump": file, "restored": restored, "failed": failed }))
}

/// How many saved apps are started at a time, in the order of the dump: a machine that boots has other things to do, too,
/// and one that waits to be ready keeps its place.
fn at_a_time(session: &Session) -> usize {
    let asked = session.variable("PM2_CONCURRENT_ACTIONS").and_then(|text| text.parse().ok());
    asked.filter(|count| *count > 0).unwrap_or_else(|| 2 * std::thread::available_parallelism().map_or(1, usize::from))
}

fn name_of(app: &Map<String, Value>) -> String {
    app.get("name").map(text).unwrap_or_default()
}

/// The first of dump and backup that can be read, as text and as apps.
fn read_dump(session: &Session) -> Result<(String, Vec<Map<String, Value>>), CallError> {
    let home = session.home();
    let mut broken = None;
    for path in [&home.dump_file, &home.dump_backup_file] {
        let Some(content) = files::read(path)? else { continue };
        let file = String::from_utf8_lossy(&content).into_owned();
        match apps(&file) {
            Ok(apps) => return Ok((file, apps)),
            Err(reason) => broken = Some((move_aside(path)?, reason)),
        }
    }
    Err(match broken {
        None => CallError::refused("NO_DUMP", "No processes saved; DUMP file doesn't exist"),
        Some((path, reason)) => {
            let text = format!("No processes can be restored: the dump is broken ({reason}) and was moved to {path}");
            CallError::refused("BROKEN_DUMP", text)
        }
    })
}

/// pm2 reads a dump as JavaScript, so hand-made ones may have comments and the like.
fn apps(file: &str) -> Result<Vec<Map<String, Value>>, String> {
    let value: Value =
        serde_json::from_str(file).or_else(|error| json5::from_str(file).map_err(|_| error.to_string()))?;
    let Value::Array(apps) = value else { return Err("it is no list".to_owned()) };
    let object = |app| match app {
        Value::Object(app) => Ok(app),
        other => Err(format!("`{other}` is no process")),
    };
    apps.into_iter().map(object).collect()
}

/// Keeps a broken dump for whoever wants to repair it.
fn move_aside(path: &Path) -> Result<String, CallError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".broken-{now}"));
    std::fs::rename(path, &aside).map_err(CallError::io("move aside", path))?;
    Ok(aside.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::launch::Options;

    fn session() -> (tempfile::TempDir, Session) {
        let folder = tempfile::tempdir().unwrap();
        let options =
            Options { home: folder.path().join("home"), daemon_mode: true, pm2d: "/nowhere".into(), agent: "".into() };
        (folder, Session::new(options))
    }

    fn record(name: &str) -> Map<String, Value> {
        let Value::Object(record) = json!({ "name": name, "instances": 2, "pm_id": 1, "status": "online" }) else {
            panic!("an object")
        };
        without_moment(record)
    }

    #[test]
    fn a_dump_is_indented_and_the_one_before_is_kept() {
        let (_folder, session) = session();
        write(&session, &[record("a")], false).unwrap();
        write(&session, &[record("b")], false).unwrap();
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        let expected = "[\n  {\n    \"name\": \"b\",\n    \"status\": \"online\"\n  }\n]";
        assert_eq!(read(&session.home().dump_file), expected);
        assert!(read(&session.home().dump_backup_file).contains("\"a\""));
    }

    #[test]
    fn an_empty_list_replaces_nothing_unless_forced() {
        let (_folder, session) = session();
        let refused = write(&session, &[], false).unwrap_err();
        assert_eq!(refused.to_string(), "Process list empty, cannot save empty list");
        assert_eq!(std::fs::read(&session.home().dump_file).unwrap(), b"[]");
        write(&session, &[record("a")], false).unwrap();
        write(&session, &[], false).unwrap_err();
        assert!(std::fs::read_to_string(&session.home().dump_file).unwrap().contains("\"a\""));
        write(&session, &[], true).unwrap();
        assert_eq!(std::fs::read(&session.home().dump_file).unwrap(), b"[]");
    }

    #[test]
    fn a_broken_dump_is_moved_aside_and_the_backup_read() {
        let (_folder, session) = session();
        write(&session, &[record("a")], false).unwrap();
        write(&session, &[record("b")], false).unwrap();
        std::fs::write(&session.home().dump_file, "[{\"name\":").unwrap();
        let (_, apps) = read_dump(&session).unwrap();
        assert_eq!(name_of(&apps[0]), "a");
        let kept = std::fs::read_dir(&session.home().root).unwrap().flatten();
        let kept: Vec<_> = kept.filter(|entry| entry.file_name().to_string_lossy().contains(".broken-")).collect();
        assert_eq!(kept.len(), 1);
        assert_eq!(std::fs::read(kept[0].path()).unwrap(), b"[{\"name\":");
    }

    #[test]
    fn without_a_dump_there_is_an_error_instead_of_silence() {
        let (_folder, session) = session();
        let error = read_dump(&session).unwrap_err();
        assert_eq!(error.to_string(), "No processes saved; DUMP file doesn't exist");
    }

    #[test]
    fn dumps_may_be_javascript_and_anything_else_is_refused() {
        assert_eq!(apps("// mine\n[{ name: 'a', }]").unwrap().len(), 1);
        for bad in ["", "{}", "[1]", "null", "\u{0}"] {
            assert!(apps(bad).is_err(), "{bad:?}");
        }
    }
}
