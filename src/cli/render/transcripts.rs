//! What tables look like on terminals of 80, 120 and 200 columns and in a pipe, as files in `transcripts/` (with the
//! colours: `cat` shows them as a terminal would). `UPDATE_SNAPSHOTS=1 cargo nextest run transcripts` writes them anew.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::super::process::Process;
use super::super::{Tty, Ui};
use super::{describe, list, metrics};

fn process(id: u32, name: &str, status: &str, more: &Value) -> Value {
    let now = jiff::Timestamp::now().as_millisecond();
    let mut env = json!({
        "namespace": "default", "version": "1.2.3", "exec_mode": "fork_mode", "status": status, "restart_time": id,
        "username": "deploy", "watch": false, "pm_uptime": now - 3 * 3_600_000, "created_at": 1_700_000_000_000_i64,
        "pm_exec_path": format!("/srv/www/releases/2026-11-22/packages/services/{name}/dist/index.js"),
        "pm_cwd": "/srv/www", "args": ["--port", "8080", "--verbose"], "node_args": ["--max-old-space-size=4096"],
        "exec_interpreter": "node", "node_version": "20.20.2", "unstable_restarts": 0,
        "pm_err_log_path": format!("/home/deploy/.pm2/logs/{name}-error.log"),
        "pm_out_log_path": format!("/home/deploy/.pm2/logs/{name}-out.log"),
        "pm_pid_path": format!("/home/deploy/.pm2/pids/{name}-{id}.pid"),
        "env": { "PATH": "/opt/node/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C" },
    });
    if let (Some(env), Some(more)) = (env.as_object_mut(), more.as_object()) {
        env.extend(more.clone());
    }
    let pid = if status == "online" { json!(4000 + id) } else { json!(0) };
    let monit = json!({ "memory": f64::from(id + 1) * 51_065_651.0, "cpu": f64::from(id) * 12.34 });
    json!({ "name": name, "pm_id": id, "pid": pid, "monit": monit, "pm2_env": env })
}

fn processes() -> Vec<Process> {
    let cluster = json!({ "exec_mode": "cluster_mode", "axm_monitor": { "Heap Size": { "value": "7.23", "unit": "MiB" } },
        "axm_actions": [{ "action_name": "km:heapdump" }] });
    serde_json::from_value(json!([
        process(0, "api", "online", &cluster),
        process(1, "api", "online", &cluster),
        process(
            2,
            "a worker with quite a long name, longer than any column",
            "waiting restart",
            &json!({ "watch": true })
        ),
        process(3, "日本語の名前が長いワーカー", "stopped", &json!({ "namespace": "jobs", "version": "N/A" })),
        process(4, "👩\u{200d}🚀 crew e\u{301}", "launching", &json!({ "_km_monitored": true })),
        process(
            12,
            "boom",
            "errored",
            &json!({ "username": "www-data", "namespace": "a-long-namespace",
            "exit_code": 1, "exited_at": jiff::Timestamp::now().as_millisecond() - 180_500 })
        ),
        process(7, "pm2-logrotate", "online", &json!({ "pmx_module": true })),
    ]))
    .expect("a list")
}

fn ui(columns: Option<usize>, colours: bool) -> Ui {
    let tty = Tty { stdout: columns.is_some(), stderr: false, columns };
    let env = |name: &str| (!colours && name == "NO_COLOR").then(|| "1".to_owned());
    Ui::new(Box::new(std::io::sink()), Box::new(std::io::sink()), tty, &env)
}

fn transcript(ui: &Ui) -> String {
    let figures = json!({ "CPU Usage": { "value": 72.5 }, "RAM Usage": { "value": 43.1 },
        "net:rx_5:eth0": { "value": 0.2 }, "net:tx_5:eth0": { "value": 11.5 }, "Disk Reads": { "value": 0 },
        "Disk Writes": { "value": 1.5 }, "fs:use:/": { "value": 91 } });
    let local = BTreeMap::from([("PATH".to_owned(), "/bin".to_owned()), ("LANG".to_owned(), "C".to_owned())]);
    let all = processes();
    let mut text = String::new();
    let mut add = |command: &str, output: &str| writeln!(text, "$ pm2-rs {command}\n{output}").expect("written");
    add("ls", &(list::render(&all, None, ui) + &metrics::line(&figures, ui).unwrap_or_default()));
    add("ls   (nothing there)", &list::render(&[], None, ui));
    add("show 0", &describe::render(&all[0], &local, ui));
    text
}

/// A line as a terminal shows it.
fn seen(line: &str) -> String {
    regex::Regex::new("\u{1b}\\[[0-9;]*m").expect("a pattern").replace_all(line, "").into_owned()
}

#[test]
fn transcripts_are_as_reviewed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/render/transcripts");
    for (name, columns) in
        [("80.ansi", Some(80)), ("120.ansi", Some(120)), ("200.ansi", Some(200)), ("piped.txt", None)]
    {
        let text = transcript(&ui(columns, columns.is_some()));
        let file = folder.join(name);
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(&file, &text).expect("written");
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(text, expected, "{name} looks different: UPDATE_SNAPSHOTS=1 if it should");
    }
}

#[test]
fn no_line_is_wider_than_the_terminal_and_all_lines_of_a_table_are_as_wide() {
    for columns in [80, 100, 120, 140, 160, 200] {
        let text = seen(&transcript(&ui(Some(columns), true)));
        assert!(text.lines().all(|line| line.width() <= columns), "{columns}:\n{text}");
        let mut width = 0;
        for line in text.lines() {
            match line.chars().next() {
                Some('┌') => width = line.width(),
                Some('│' | '├' | '└') => assert_eq!(line.width(), width, "{columns}: {line}"),
                _ => {}
            }
        }
    }
}

#[test]
fn piped_and_without_colours_there_is_no_escape_sequence() {
    assert!(!transcript(&ui(None, true)).contains('\u{1b}'));
    assert!(!transcript(&ui(Some(80), false)).contains('\u{1b}'));
    assert!(transcript(&ui(Some(80), true)).contains("\u{1b}[1;32monline"));
}
