//! The room as a whole: real pipes, real files, real kills.

use std::fs::{self, File};
use std::io::{PipeWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::daemon::bus::tests::Client;
use crate::daemon::test_runtime::run;

mod gather;
mod killed;
mod rotate;
mod trouble;

/// Counts down to death: the victim of the kill tests dies at a step of the journal.
static STEPS_TO_LIVE: AtomicI64 = AtomicI64::new(i64::MAX);

pub(super) fn at_every_step() {
    if STEPS_TO_LIVE.fetch_sub(1, Ordering::Relaxed) == 0 {
        let _ = nix::sys::signal::kill(nix::unistd::getpid(), nix::sys::signal::SIGKILL);
    }
}

fn room(folder: &Path) -> Logs {
    let bus = Bus::new();
    let logs = Logs::open(bus.clone(), DaemonLog::new(&folder.join("pm2.log"), None, bus), None).unwrap();
    logs.resume();
    logs
}

fn spec(record: &Value) -> LogSpec {
    let record: Map<String, Value> = serde_json::from_value(record.clone()).unwrap();
    LogSpec::from_record(&record)
}

fn plain(folder: &Path) -> LogSpec {
    spec(&json!({ "pm_out_log_path": folder.join("out.log"), "pm_err_log_path": folder.join("err.log") }))
}

/// Attaches a run; answers the ends that its process would write to.
fn start(logs: &Logs, run: u64, spec: LogSpec) -> (AppLogs, PipeWriter, PipeWriter) {
    let (out, out_writer) = io::pipe().unwrap();
    let (err, err_writer) = io::pipe().unwrap();
    (logs.attach(RunId(run), spec, out.into(), err.into()).unwrap(), out_writer, err_writer)
}

/// Waits until both pipes were read to their end.
async fn ended(app: &AppLogs) {
    while app.streams.iter().any(|stream| Rc::strong_count(stream) > 1) {
        tokio::task::yield_now().await;
    }
}

fn read(path: impl AsRef<Path>) -> Vec<u8> {
    fs::read(path).unwrap_or_default()
}

#[test]
fn bytes_are_kept_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let logs = room(folder.path());
        let spec = plain(&folder.path().join("new/folder"));
        logs.prepare(&spec).unwrap();
        let (app, mut out, mut err) = start(&logs, 1, spec);
        let bytes: Vec<u8> = (0..=255).cycle().take(1_000_000).collect();
        let expected = bytes.clone();
        let writer = thread::spawn(move || out.write_all(&bytes).unwrap());
        err.write_all(b"no line end").unwrap();
        drop(err);
        ended(&app).await;
        writer.join().unwrap();
        assert!(read(folder.path().join("new/folder/out.log")) == expected);
        assert_eq!(read(folder.path().join("new/folder/err.log")), b"no line end");
    });
}

#[test]
fn the_last_line_is_there_when_a_grandchild_keeps_the_pipe_open() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let logs = room(folder.path());
        let log = folder.path().join("out.log");
        let spec = spec(&json!({ "pm_out_log_path": log, "log_date_format": "[D]" }));
        let (app, mut out, _err) = start(&logs, 1, spec);
        out.write_all(b"one\nlast words").unwrap();
        app.drained().await;
        app.drained().await;
        assert_eq!(read(&log), b"D: one\nD: last words\n");
        out.write_all(b"later\n").unwrap();
        drop(out);
        while !read(&log).ends_with(b"later\n") {
            tokio::task::yield_now().await;
        }
        assert_eq!(read(&log), b"D: one\nD: last words\nD: later\n");
    });
}

#[test]
fn nothing_is_written_for_null_and_disabled() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let logs = room(folder.path());
        let log = folder.path().join("out.log");
        let disabled = spec(&json!({ "pm_out_log_path": log, "pm_err_log_path": "NULL", "disable_logs": true }));
        logs.prepare(&disabled).unwrap();
        let (app, mut out, mut err) = start(&logs, 1, disabled);
        out.write_all(b"x\n").unwrap();
        err.write_all(b"x\n").unwrap();
        drop((out, err));
        app.drained().await;
        assert!(log.exists(), "created all the same");
        assert_eq!(read(&log), b"");
    });
}

#[test]
fn a_start_learns_why_a_file_cannot_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let logs = room(folder.path());
    let spec = spec(&json!({ "pm_out_log_path": folder.path() }));
    let error = logs.prepare(&spec).unwrap_err();
    assert!(error.to_string().starts_with("EISDIR: "), "{error}");
}

#[test]
fn a_combined_file_gets_both_and_rotation_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let logs = room(folder.path());
        let path = |name: &str| folder.path().join(name);
        let spec = spec(
            &json!({ "pm_out_log_path": path("out"), "pm_err_log_path": path("err"), "pm_log_path": path("all") }),
        );
        let (app, mut out, mut err) = start(&logs, 1, spec);
        out.write_all(b"half ").unwrap();
        err.write_all(b"error\n").unwrap();
        while read(path("all")).is_empty() {
            tokio::task::yield_now().await;
        }
        fs::rename(path("all"), path("all.1")).unwrap();
        logs.reopen();
        out.write_all(b"line\n").unwrap();
        drop((out, err));
        app.drained().await;
        assert_eq!((read(path("out")), read(path("err"))), (b"half line\n".to_vec(), b"error\n".to_vec()));
        assert_eq!((read(path("all.1")), read(path("all"))), (b"error\n".to_vec(), b"half line\n".to_vec()));
    });
}

#[test]
fn a_truncated_file_goes_on_at_its_new_end() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let logs = room(folder.path());
        let (app, mut out, err) = start(&logs, 1, plain(folder.path()));
        let log = folder.path().join("out.log");
        out.write_all(b"before\n").unwrap();
        while read(&log).is_empty() {
            tokio::task::yield_now().await;
        }
        File::options().write(true).open(&log).unwrap().set_len(0).unwrap();
        out.write_all(b"after\n").unwrap();
        drop((out, err));
        app.drained().await;
        assert_eq!(read(&log), b"after\n");
    });
}

#[test]
fn a_slow_reader_of_a_fifo_loses_nothing_and_holds_up_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let logs = room(folder.path());
        let fifo = folder.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut slow = File::options().read(true).write(true).open(&fifo).unwrap();
        let spec = spec(&json!({ "pm_out_log_path": fifo }));
        logs.prepare(&spec).unwrap();
        let (app, mut out, err) = start(&logs, 1, spec);
        let bytes: Vec<u8> = (0..=255).cycle().take(500_000).collect();
        let expected = bytes.clone();
        let writer = thread::spawn(move || {
            out.write_all(&bytes).unwrap();
            drop((out, err));
        });
        let (other, mut out, err) = start(&logs, 2, plain(folder.path()));
        out.write_all(b"line\n").unwrap();
        drop((out, err));
        ended(&other).await;
        let reader = thread::spawn(move || {
            let mut got = vec![0; 500_000];
            std::io::Read::read_exact(&mut slow, &mut got).unwrap();
            got
        });
        ended(&app).await;
        writer.join().unwrap();
        assert!(reader.join().unwrap() == expected);
        assert_eq!(read(folder.path().join("pm2.log")), b"");
    });
}

#[test]
fn a_flood_does_not_starve_the_others() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let logs = room(folder.path());
        let flood = spec(&json!({ "pm_out_log_path": "/dev/null" }));
        let (_flooding, mut out, _err) = start(&logs, 1, flood);
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stopped = std::sync::Arc::clone(&stop);
        let writer = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                out.write_all(&vec![b'x'; 65536]).unwrap();
            }
        });
        for number in 0..20 {
            let (app, mut out, err) = start(&logs, 2 + number, plain(folder.path()));
            out.write_all(b"line\n").unwrap();
            drop((out, err));
            app.drained().await;
        }
        stop.store(true, Ordering::Relaxed);
        assert_eq!(read(folder.path().join("out.log")), b"line\n".repeat(20));
        // The flood is drained to its end, or the writer could not be joined.
        while !writer.is_finished() {
            tokio::task::yield_now().await;
        }
        writer.join().unwrap();
    });
}

#[test]
fn events_have_pm2s_form_and_whole_characters() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let logs = room(folder.path());
        let mut client = Client::connect(&logs.shared.bus).await;
        let base = json!({ "pm_id": 4, "name": "web", "namespace": "default", "pm_err_log_path": "/dev/null" });
        let (app, mut out, mut err) = start(&logs, 1, spec(&base));
        out.write_all(b"caf\xc3").unwrap();
        let (topic, event) = client.next().await.unwrap();
        assert_eq!((topic.as_str(), &event["data"]), ("log:out", &json!("caf")));
        assert_eq!(event["process"], json!({ "pm_id": 4, "name": "web", "rev": null, "namespace": "default" }));
        assert!(event["at"].as_u64().unwrap() > 1_700_000_000_000);
        out.write_all(b"\xa9\n").unwrap();
        assert_eq!(client.next().await.unwrap().1["data"], "é\n");
        app.set_tag(Tag { name: "renamed".into(), ..spec(&base).tag });
        err.write_all(b"\xff\0!").unwrap();
        let (topic, event) = client.next().await.unwrap();
        assert_eq!((topic.as_str(), &event["data"]), ("log:err", &json!("\u{fffd}\0!")));
        assert_eq!(event["process"]["name"], "renamed");
        out.write_all(b"\xe2\x8f").unwrap();
        drop(out);
        assert_eq!(client.next().await.unwrap().1["data"], "\u{fffd}", "what never became whole is not lost");

        let mut disabled = base.clone();
        disabled["disable_logs"] = json!(true);
        let (silent, mut out, _err) = start(&logs, 2, spec(&disabled));
        out.write_all(b"silence\n").unwrap();
        silent.drained().await;
        let mut dated = base;
        dated["log_date_format"] = json!("[D]");
        let (_app, mut out, _err) = start(&logs, 3, spec(&dated));
        out.write_all(b"one\ntwo\nhalf").unwrap();
        assert_eq!(client.next().await.unwrap().1["data"], "D: one\nD: two\n");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Several writers on one file: every line whole, every writer's lines in order, whatever the pieces.
    #[test]
    fn lines_of_a_shared_file_are_never_cut(
        writers in prop::collection::vec(prop::collection::vec((0_usize..300, 1_usize..200), 1..20), 2..5)
    ) {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("all.log");
        let mut expected = Vec::new();
        run(async {
            let logs = room(folder.path());
            let mut apps = Vec::new();
            let mut threads = Vec::new();
            for (index, lines) in writers.iter().enumerate() {
                let spec = spec(&json!({ "pm_out_log_path": log, "pm_err_log_path": log }));
                let (app, mut out, err) = start(&logs, index as u64, spec);
                let text: Vec<String> = lines.iter().enumerate()
                    .map(|(number, (length, _))| format!("{index}:{number}:{}", "x".repeat(*length))).collect();
                expected.push(text.clone());
                let pieces: Vec<usize> = lines.iter().map(|(_, piece)| *piece).collect();
                threads.push(thread::spawn(move || {
                    let bytes = text.join("\n").into_bytes();
                    let mut rest = bytes.as_slice();
                    for piece in pieces.iter().cycle() {
                        if rest.is_empty() { break }
                        let (now, later) = rest.split_at((*piece).min(rest.len()));
                        out.write_all(now).unwrap();
                        thread::yield_now();
                        rest = later;
                    }
                    drop(err);
                }));
                apps.push(app);
            }
            for app in &apps {
                ended(app).await;
            }
            for thread in threads { thread.join().unwrap() }
        });
        let text = String::from_utf8(read(&log)).unwrap();
        let mut seen: Vec<String> = vec![String::new(); expected.len()];
        for line in text.lines() {
            let index: Option<usize> = line.split(':').next().and_then(|index| index.parse().ok());
            match index {
                Some(index) if index < seen.len() && line.matches(':').count() == 2 => seen[index].push_str(line),
                _ => prop_assert!(false, "torn line {line:?}"),
            }
        }
        for (seen, expected) in seen.iter().zip(&expected) {
            prop_assert_eq!(seen, &expected.concat());
        }
    }
}
