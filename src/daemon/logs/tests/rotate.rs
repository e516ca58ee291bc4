//! Rotation, by us and by others, and disks that fail.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::super::rotation::{numbered, old_files};
use super::killed::killed_again_and_again;
use super::*;

/// What was ever written to a log: its old files, the oldest first, and itself.
pub(super) fn whole(log: &Path) -> Vec<u8> {
    let old = old_files(log).unwrap();
    let mut bytes: Vec<u8> = old.keys().rev().flat_map(|number| read(numbered(log, *number, false))).collect();
    bytes.extend(read(log));
    bytes
}

fn rotating(folder: &Path, options: &Value) -> LogSpec {
    let mut record = json!({ "pm_out_log_path": folder.join("out.log"), "pm_err_log_path": folder.join("err.log") });
    for (key, value) in options.as_object().unwrap() {
        record[key] = value.clone();
    }
    spec(&record)
}

/// Waits until `done`.
pub(super) async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn a_full_file_is_followed_by_the_next_and_no_line_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let logs = room(folder.path());
        let options = json!({ "log_max_size": "1K", "log_keep": 1000, "pm_log_path": folder.path().join("all.log") });
        let (app, mut out, mut err) = start(&logs, 1, rotating(folder.path(), &options));
        let text: Vec<u8> = (0..2000).flat_map(|number| format!("line {number}\n").into_bytes()).collect();
        let expected = text.clone();
        let writer = thread::spawn(move || {
            for piece in text.chunks(777) {
                out.write_all(piece).unwrap();
                thread::yield_now();
            }
            err.write_all(b"one error\n").unwrap();
        });
        ended(&app).await;
        writer.join().unwrap();
        let log = folder.path().join("out.log");
        assert!(whole(&log) == expected);
        assert_eq!(whole(&folder.path().join("all.log")).len(), expected.len() + 10);
        let old = old_files(&log).unwrap();
        assert!(old.len() > expected.len() / 1024 - 2, "{old:?}");
        for number in old.keys() {
            let file = read(numbered(&log, *number, false));
            assert!(file.ends_with(b"\n") && file.len() <= 1024 + 20, "{number}: {}", file.len());
        }
        assert_eq!(read(folder.path().join("pm2.log")), b"");
    });
}

#[test]
fn the_default_holds_for_all_and_old_ones_go() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let logs = room(folder.path());
        let (app, mut out, _err) = start(&logs, 1, rotating(folder.path(), &json!({})));
        let log = folder.path().join("out.log");
        fs::set_permissions(&log, fs::Permissions::from_mode(0o600)).unwrap_or_default();
        out.write_all(&b"before\n".repeat(100)).unwrap();
        until(|| read(&log).len() == 700).await;
        assert!(old_files(&log).unwrap().is_empty());
        fs::set_permissions(&log, fs::Permissions::from_mode(0o640)).unwrap();
        logs.set_rotation_defaults(RotationSpec::from_module_conf(
            br#"{"pm2-rs":{"log_max_size":"10","log_keep":"2"}}"#,
        ));
        for number in 0..5 {
            out.write_all(format!("number {number}\n").as_bytes()).unwrap();
            until(|| read(&log) == format!("number {number}\n").as_bytes()).await;
        }
        drop(out);
        app.drained().await;
        assert_eq!(whole(&log), b"number 2\nnumber 3\nnumber 4\n");
        assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o640, "as readable as the old one");
    });
}

#[test]
fn an_old_file_is_followed_at_the_next_line() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let logs = room(folder.path());
        let log = folder.path().join("out.log");
        let (app, mut out, _err) = start(&logs, 1, rotating(folder.path(), &json!({ "log_max_age": 200 })));
        out.write_all(b"half ").unwrap();
        until(|| read(&log) == b"half ").await;
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert!(old_files(&log).unwrap().is_empty(), "nothing is done while nothing is written");
        out.write_all(b"line\nnext\n").unwrap();
        drop(out);
        app.drained().await;
        assert_eq!((read(numbered(&log, 1, false)), read(&log)), (b"half line\n".to_vec(), b"next\n".to_vec()));
    });
}

#[test]
fn old_files_are_compressed_while_writing_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let logs = room(folder.path());
        let log = folder.path().join("out.log");
        let options = json!({ "log_max_size": "64K", "log_keep": 1000, "log_compress": true });
        let (app, mut out, err) = start(&logs, 1, rotating(folder.path(), &options));
        let text: Vec<u8> = (0..100_000).flat_map(|number| format!("line {number}\n").into_bytes()).collect();
        let expected = text.clone();
        let writer = thread::spawn(move || {
            out.write_all(&text).unwrap();
            drop((out, err));
        });
        ended(&app).await;
        writer.join().unwrap();
        until(|| old_files(&log).unwrap().values().all(|kinds| kinds.compressed && !kinds.plain)).await;
        let old = old_files(&log).unwrap();
        let mut got = Vec::new();
        for number in old.keys().rev() {
            let file = File::open(numbered(&log, *number, true)).unwrap();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(file), &mut got).unwrap();
        }
        got.extend(read(&log));
        assert!(old.len() > 10 && got == expected);
        assert_eq!(read(folder.path().join("pm2.log")), b"");
    });
}

#[test]
fn a_deleted_folder_comes_back_with_the_next_line() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let logs = room(folder.path());
        let inner = folder.path().join("logs");
        let (app, mut out, _err) = start(&logs, 1, rotating(&inner, &json!({})));
        let log = inner.join("out.log");
        out.write_all(b"one\n").unwrap();
        until(|| read(&log) == b"one\n").await;
        fs::remove_dir_all(&inner).unwrap();
        out.write_all(b"two\n").unwrap();
        drop(out);
        app.drained().await;
        assert_eq!(read(&log), b"two\n");
    });
}

#[test]
fn a_folder_in_which_nothing_can_be_renamed_costs_no_line() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let logs = room(folder.path());
        let mut client = Client::connect(&logs.shared.bus).await;
        let log = folder.path().join("out.log");
        // A folder in the way of the first old file, which no rename can replace.
        fs::create_dir_all(numbered(&log, 1, false).join("x")).unwrap();
        fs::create_dir_all(numbered(&log, 2, false).join("x")).unwrap();
        let options = json!({ "log_max_size": 5, "log_keep": 1 });
        let (app, mut out, _err) = start(&logs, 1, rotating(folder.path(), &options));
        out.write_all(b"line one\n").unwrap();
        until(|| read(&log) == b"line one\n").await;
        out.write_all(b"line two\nline three\n").unwrap();
        drop(out);
        app.drained().await;
        assert_eq!(read(&log), b"line one\nline two\nline three\n");
        let said = String::from_utf8(read(folder.path().join("pm2.log"))).unwrap();
        assert!(said.lines().count() == 1 && said.contains("cannot rotate log file"), "{said}");
        loop {
            let (topic, event) = client.next().await.unwrap();
            if topic == "pm2rs:log_dropped" {
                assert_eq!((&event["path"], &event["dropped"]), (&json!(log), &json!(0)));
                break;
            }
        }
    });
}

/// A small file system of its own; `None` where we may not mount.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(path: &Path) -> Option<SmallDisk> {
        fs::create_dir(path).unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k", "none"])
            .arg(path)
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success()).then(|| SmallDisk(path.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_stops_no_app_and_is_used_again_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&folder.path().join("disk")) else {
        eprintln!("skipped: mounting a tmpfs needs root");
        return;
    };
    run(async {
        let logs = room(folder.path());
        let log = disk.0.join("out.log");
        let ballast = disk.0.join("ballast");
        let (app, mut out, err) = start(&logs, 1, rotating(&disk.0, &json!({})));
        drop(err);
        let line = |number: usize| format!("{number:099}\n").into_bytes();
        fs::write(&ballast, vec![0; 32 << 10]).unwrap();
        // Far more than fits; the app is not held up.
        for number in 0..2000 {
            out.write_all(&line(number)).unwrap();
            tokio::task::yield_now().await;
        }
        let said = || String::from_utf8(read(folder.path().join("pm2.log"))).unwrap();
        until(|| said().contains("No space left")).await;
        fs::remove_file(&ballast).unwrap();
        let mut number = 2000;
        while !said().contains("can be written again") {
            out.write_all(&line(number)).unwrap();
            number += 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(out);
        app.drained().await;
        assert_eq!(said().lines().count(), 2, "{}", said());
        let text = String::from_utf8(read(&log)).unwrap();
        let torn = text.lines().filter(|line| line.len() != 99).count();
        assert!(torn <= 2, "only where the disk was full and where it had room again: {torn}");
        assert!(text.lines().any(|line| line.len() == 99 && line.trim_start_matches('0').parse().unwrap_or(0) >= 2000));
    });
}

#[test]
fn a_kill_at_any_step_of_a_rotation_loses_and_doubles_nothing() {
    killed_again_and_again(
        |folder| {
            json!({ "pm_out_log_path": folder.join("out"), "pm_err_log_path": folder.join("err"),
                "pm_log_path": folder.join("all"), "log_max_size": 2000, "log_keep": 100_000 })
        },
        false,
    );
    killed_again_and_again(
        |folder| {
            json!({ "pm_out_log_path": folder.join("out"), "pm_err_log_path": folder.join("out"),
                "log_max_size": 3000, "log_keep": 100_000 })
        },
        true,
    );
}

#[test]
fn what_was_written_before_a_rename_is_found_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.log");
    let files = LogFiles::default();
    let marked = std::cell::Cell::new(None);
    files.get(&path).append(b"12345", 0, |_, mark| marked.set(Some(mark)));
    fs::rename(&path, folder.path().join("x.log-20260101")).unwrap();
    fs::write(&path, "").unwrap();
    assert_eq!(files.get(&path).already_written(marked.get().unwrap(), 9), 5);
}
