//! Files and folders that say no.

use std::os::unix::fs::{PermissionsExt, chown};

use nix::unistd::{Uid, geteuid, setfsuid};

use super::rotate::until;
use super::*;

/// Somebody whom permissions bind: this thread, for files, while it lives.
struct Nobody;

impl Nobody {
    const ID: u32 = 65_534;

    fn become_in(folder: &Path) -> Nobody {
        if geteuid().is_root() {
            chown(folder, Some(Nobody::ID), Some(Nobody::ID)).unwrap();
            setfsuid(Uid::from_raw(Nobody::ID));
        }
        Nobody
    }
}

impl Drop for Nobody {
    fn drop(&mut self) {
        setfsuid(geteuid());
    }
}

#[test]
fn a_folder_without_permission_is_told_once_and_used_again_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let _nobody = Nobody::become_in(folder.path());
    let set_mode = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    run(async {
        let logs = room(folder.path());
        let mut client = Client::connect(&logs.shared.bus).await;
        let inner = folder.path().join("logs");
        fs::create_dir(&inner).unwrap();
        set_mode(&inner, 0o500);
        let spec = plain(&inner);
        let error = logs.prepare(&spec).unwrap_err();
        assert_eq!(error.code, "EACCES");
        let (app, mut out, _err) = start(&logs, 1, spec);
        let said = || String::from_utf8(read(folder.path().join("pm2.log"))).unwrap();
        let log = inner.join("out.log");
        let mut sent = 0;
        // More than one try to open it.
        let end = std::time::Instant::now() + Duration::from_millis(2500);
        while !said().contains("Permission denied") || std::time::Instant::now() < end {
            out.write_all(b"lost\n").unwrap();
            sent += 5;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(said().lines().count(), 1, "{}", said());
        set_mode(&inner, 0o700);
        while read(&log).is_empty() {
            out.write_all(b"again\n").unwrap();
            sent += 6;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drop(out);
        app.drained().await;
        let kept = read(&log);
        assert!(kept.starts_with(b"again\n") && said().lines().count() == 2, "{}", said());
        let mut told = Vec::new();
        while told.len() < 2 {
            let (topic, event) = client.next().await.unwrap();
            if topic.starts_with("pm2rs:log_") {
                told.push((topic, event["code"].clone(), event["dropped"].clone()));
            }
        }
        assert_eq!((told[0].0.as_str(), &told[0].1), ("pm2rs:log_dropped", &json!("EACCES")));
        let dropped = sent - kept.len();
        assert_eq!(told[1], ("pm2rs:log_recovered".to_owned(), Value::Null, json!(dropped)), "all is counted");
    });
}

#[test]
fn a_file_that_may_not_be_opened_again_stays_open() {
    let folder = tempfile::tempdir().unwrap();
    let _nobody = Nobody::become_in(folder.path());
    run(async {
        let logs = room(folder.path());
        let (app, mut out, _err) = start(&logs, 1, plain(folder.path()));
        let log = folder.path().join("out.log");
        out.write_all(b"one\n").unwrap();
        until(|| read(&log) == b"one\n").await;
        fs::set_permissions(&log, fs::Permissions::from_mode(0o400)).unwrap();
        logs.reopen();
        out.write_all(b"two\n").unwrap();
        drop(out);
        app.drained().await;
        assert_eq!(read(&log), b"one\ntwo\n");
        let said = String::from_utf8(read(folder.path().join("pm2.log"))).unwrap();
        assert!(said.contains("cannot open log file") && said.contains("the old one stays open"), "{said}");
    });
}

#[test]
fn a_folder_that_comes_and_goes_costs_only_what_was_written_into_it() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let logs = room(folder.path());
        let inner = folder.path().join("a/b");
        let (app, mut out, _err) = start(&logs, 1, plain(&inner));
        let log = inner.join("out.log");
        for round in 0..10 {
            let line = format!("round {round}\n").into_bytes();
            out.write_all(&line).unwrap();
            until(|| read(&log) == line).await;
            if round % 2 == 0 {
                fs::remove_dir_all(folder.path().join("a")).unwrap();
            } else {
                fs::remove_file(&log).unwrap();
            }
        }
        drop(out);
        app.drained().await;
        assert_eq!(read(folder.path().join("pm2.log")), b"", "nothing went wrong");
    });
}
