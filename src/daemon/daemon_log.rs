//! The daemon's own log: `pm2.log`, and `log:PM2` on the bus (contract/options.md sections 11.2 and 12).
//!
//! Owns: the file and its rotation, the form of a line, the texts of the supervisor's lines.
//! Must never: fail or wait for anybody (a line that cannot be written is lost), or grow without end: an app that crashes
//! again and again for years says so in here each time.

use std::fmt;
use std::path::Path;
use std::rc::Rc;

use serde::Serialize;

use super::bus::Bus;
use super::logs::{DateFormat, LogFile, RotationSpec};
use crate::model::{Exit, Signal};
use crate::supervisor::types::LogLine;
use crate::sys::clock;

/// `PM2_LOG_DATE_FORMAT` when it is not set.
const DEFAULT_FORMAT: &str = "YYYY-MM-DDTHH:mm:ss";

/// What holds for `pm2.log` where the module configuration is silent: pm2's grows for ever, and nobody looks after it.
const ROTATION: RotationSpec =
    RotationSpec { max_size: Some(10 << 20), max_age: None, keep: Some(5), compress: Some(false) };

/// Writes lines to `pm2.log` and publishes them. A cheap handle.
#[derive(Clone)]
pub struct DaemonLog(Rc<Inner>);

struct Inner {
    file: LogFile,
    /// `None`: no prefix, and nothing on the bus.
    date: Option<DateFormat>,
    bus: Bus,
}

impl fmt::Debug for DaemonLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DaemonLog").field("path", &self.0.file.path()).finish_non_exhaustive()
    }
}

/// What the supervisor's lines say about a slot, which it knows only by id.
#[derive(Debug, Clone, Copy)]
pub struct AppLabel<'a> {
    pub name: &'a str,
    /// `fork` or `cluster`.
    pub mode: &'a str,
    /// `pm_exec_path`.
    pub script: &'a str,
}

/// The payload of `log:PM2` (contract/api.md section 14.3).
#[derive(Serialize)]
struct Event<'a> {
    process: Process,
    at: u64,
    data: &'a str,
}

#[derive(Serialize)]
struct Process {
    pm_id: &'static str,
    name: &'static str,
    rev: Option<&'static str>,
}

impl DaemonLog {
    /// A log at `path`, opened for append when the first line is written. `date_format` is the daemon's
    /// `PM2_LOG_DATE_FORMAT`: `None` for pm2's default `YYYY-MM-DDTHH:mm:ss`; empty for lines without prefix and no
    /// `log:PM2` events.
    pub fn new(path: &Path, date_format: Option<&str>, bus: Bus) -> DaemonLog {
        let date = Some(date_format.unwrap_or(DEFAULT_FORMAT)).filter(|format| !format.is_empty()).map(DateFormat::new);
        let log = DaemonLog(Rc::new(Inner { file: LogFile::new(path), date, bus }));
        log.set_rotation(RotationSpec::default());
        log
    }

    /// Sets what the module configuration says about the files of all apps; what it does not say stays as it is here.
    pub fn set_rotation(&self, conf: RotationSpec) {
        self.0.file.set_rotation(RotationSpec { compress: None, ..conf }, ROTATION);
    }

    /// `<date>: PM2 log: <text>`.
    pub fn log(&self, text: &str) {
        self.write("PM2 log: ", text);
    }

    /// `<date>: PM2 error: <text>`.
    pub fn error(&self, text: &str) {
        self.write("PM2 error: ", text);
    }

    /// The text pm2 has for a line of the supervisor.
    pub fn supervisor_line(&self, line: &LogLine, app: &AppLabel<'_>) {
        let text = supervisor_text(line, app);
        match line {
            LogLine::SpawnFailed { .. } | LogLine::NotReady { .. } => self.error(&text),
            _ => self.log(&text),
        }
    }

    /// Opens the file again by its name (`reloadLogs`): after an external rotation the old one is no longer written to.
    pub fn reopen(&self) {
        // With nobody to tell: the old one stays open.
        let _ = self.0.file.reopen();
    }

    fn write(&self, kind: &str, text: &str) {
        let now = clock::now().1;
        let mut line = Vec::with_capacity(text.len() + 48);
        if let Some(date) = &self.0.date {
            date.append(&mut line, now);
            line.extend_from_slice(b": ");
            line.extend_from_slice(kind.as_bytes());
        }
        line.extend_from_slice(text.as_bytes());
        line.push(b'\n');
        // A full disk is not worth a death; the next line tries again.
        self.0.file.write_line(&line);
        if self.0.date.is_some() && self.0.bus.has_subscribers() {
            let process = Process { pm_id: "PM2", name: "PM2", rev: None };
            self.0.bus.publish("log:PM2", &Event { process, at: now, data: &format!("{text}\n") });
        }
    }
}

/// The exact texts that other tools look for (contract/options.md section 12).
fn supervisor_text(line: &LogLine, app: &AppLabel<'_>) -> String {
    let AppLabel { name, mode, script } = app;
    match line {
        LogLine::Starting { id } => format!("App [{name}:{id}] starting in -{mode} mode-"),
        LogLine::Online { id } => format!("App [{name}:{id}] online"),
        LogLine::Exited { id, exit } => {
            // pm2 says SIGINT when no signal is known.
            let (code, signal) = match exit {
                Exit::Code(code) => (*code, Signal::INT),
                Exit::Signal(number) => (0, Signal(*number)),
            };
            format!("App [{name}:{id}] exited with code [{code}] via signal [{signal}]")
        }
        LogLine::Stopping { id } => format!("Stopping app:{name} id:{id}"),
        LogLine::StillAlive { pid, after, .. } => {
            format!("Process with pid {pid} still alive after {after}ms, sending SIGKILL to remaining pids...")
        }
        LogLine::WillRestart { id, delay } => format!("App [{name}:{id}] will restart in {delay}ms"),
        LogLine::Overlimit { count, .. } => {
            format!("Script {script} had too many unstable restarts ({count}). Stopped. \"errored\"")
        }
        LogLine::NotReady { id, after } => {
            format!("App [{name}:{id}] was not ready within {after}ms: stopping it (ready_timeout is \"error\")")
        }
        LogLine::SpawnFailed { id, error } => format!("App [{name}:{id}] cannot be started: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PmId;

    fn label() -> AppLabel<'static> {
        AppLabel { name: "web", mode: "fork", script: "/a/web.js" }
    }

    #[test]
    fn lines_have_pm2s_form_and_survive_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/pm2.log");
        let log = DaemonLog::new(&path, Some("[D]"), Bus::new());
        log.log("one");
        log.error("two");
        std::fs::rename(&path, folder.path().join("old")).unwrap();
        log.log("three");
        log.reopen();
        log.supervisor_line(&LogLine::Online { id: PmId(4) }, &label());
        let old = std::fs::read_to_string(folder.path().join("old")).unwrap();
        assert_eq!(old, "D: PM2 log: one\nD: PM2 error: two\nD: PM2 log: three\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "D: PM2 log: App [web:4] online\n");
    }

    #[test]
    fn it_is_rotated_by_itself_and_by_what_is_set_for_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pm2.log");
        let log = DaemonLog::new(&path, Some(""), Bus::new());
        let line = "x".repeat(1 << 20);
        for _ in 0..80 {
            log.log(&line);
        }
        let sizes = || -> Vec<(String, u64)> {
            let entries = std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap);
            let mut sizes: Vec<_> = entries
                .map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len()))
                .collect();
            sizes.sort();
            sizes
        };
        let names = ["pm2.log", "pm2.log.1", "pm2.log.2", "pm2.log.3", "pm2.log.4", "pm2.log.5"];
        assert_eq!(sizes().iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
        assert!(sizes().iter().all(|(_, size)| *size <= 10 << 20), "{:?}", sizes());

        log.set_rotation(RotationSpec { max_size: Some(8), keep: Some(1), ..RotationSpec::default() });
        for text in ["one", "two", "three"] {
            log.log(text);
        }
        assert_eq!(sizes(), [("pm2.log".to_owned(), 6), ("pm2.log.1".to_owned(), 8)]);
        std::fs::remove_file(&path).unwrap();
        log.log("four");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "four\n", "a deleted one is made anew");
        log.set_rotation(RotationSpec { max_size: Some(0), ..RotationSpec::default() });
        log.log(&line);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 5 + line.len() as u64 + 1, "0 is no limit");
    }

    #[test]
    fn an_empty_format_means_no_prefix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pm2.log");
        DaemonLog::new(&path, Some(""), Bus::new()).log("bare");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "bare\n");
    }

    #[test]
    fn the_default_prefix_is_pm2s() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pm2.log");
        DaemonLog::new(&path, None, Bus::new()).log("x");
        let line = std::fs::read_to_string(&path).unwrap();
        let shape: String = line.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000-00-00T00:00:00: PM0 log: x\n");
    }

    #[test]
    fn texts_are_those_that_tools_look_for() {
        let id = PmId(0);
        for (line, expected) in [
            (LogLine::Starting { id }, "App [web:0] starting in -fork mode-"),
            (LogLine::Exited { id, exit: Exit::Code(3) }, "App [web:0] exited with code [3] via signal [SIGINT]"),
            (LogLine::Exited { id, exit: Exit::Signal(9) }, "App [web:0] exited with code [0] via signal [SIGKILL]"),
            (LogLine::Stopping { id }, "Stopping app:web id:0"),
            (LogLine::WillRestart { id, delay: 150 }, "App [web:0] will restart in 150ms"),
            (
                LogLine::Overlimit { id, count: 16 },
                "Script /a/web.js had too many unstable restarts (16). Stopped. \"errored\"",
            ),
        ] {
            assert_eq!(supervisor_text(&line, &label()), expected);
        }
    }
}
