//! `kill -9` of the reader at every step of its work: nothing is lost, doubled or torn.

use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};

use super::*;

const VICTIM: &str = "PM2RS_TEST_VICTIM";

/// Not a test of its own: the daemon that the kill tests kill. It reads two pipes of its parent into files.
#[test]
fn victim() {
    let Ok(order) = std::env::var(VICTIM) else { return };
    let order: Value = serde_json::from_str(&order).unwrap();
    STEPS_TO_LIVE.store(order["steps"].as_i64().unwrap(), Ordering::Relaxed);
    let open = |name: &str, write: bool| -> OwnedFd {
        File::options().read(true).write(write).open(order[name].as_str().unwrap()).unwrap().into()
    };
    run(async {
        let bus = Bus::new();
        let log = DaemonLog::new(Path::new(order["log"].as_str().unwrap()), None, bus.clone());
        let logs = Logs::open(bus, log, Some(open("journal", true))).unwrap();
        let app = logs.attach(RunId(1), spec(&order["record"]), open("out", false), open("err", false)).unwrap();
        logs.resume();
        while app.streams.iter().any(|stream| Rc::strong_count(stream) > 1) {
            app.waiters.notified().await;
            tokio::task::yield_now().await;
        }
    });
}

/// Kills the reader at every kind of step, many times, while two streams are written; answers the folder's two files.
pub(super) fn killed_again_and_again(record: impl Fn(&Path) -> Value, shared: bool) -> (Vec<u8>, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::create().unwrap();
    let (out, mut out_writer) = io::pipe().unwrap();
    let (err, mut err_writer) = io::pipe().unwrap();
    let path = |fd: &dyn AsRawFd| format!("/proc/{}/fd/{}", std::process::id(), fd.as_raw_fd());
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = std::sync::Arc::clone(&stop);
    let writer = thread::spawn(move || {
        for number in 0.. {
            // Pieces that end in the middle of lines.
            let line = format!("out {number} {}\n", "é".repeat(number % 50));
            let (one, two) = line.as_bytes().split_at(line.len() / 2);
            out_writer.write_all(one).unwrap();
            err_writer.write_all(format!("err {number}\n").as_bytes()).unwrap();
            out_writer.write_all(two).unwrap();
            if stopped.load(Ordering::Relaxed) {
                return number;
            }
        }
        0
    });
    let start = |steps: i64| {
        let order = json!({
            "steps": steps, "journal": path(&journal.as_fd()), "out": path(&out), "err": path(&err),
            "log": folder.path().join("pm2.log"), "record": record(folder.path()),
        });
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "daemon::logs::tests::killed::victim", "--test-threads=1"])
            .env(VICTIM, order.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    // Every step of a chunk is two calls; one after the other they are all hit, and recovery itself is hit too.
    for steps in (0..40).chain([0, 1, 2, 3, 4, 5, 6, 0, 0, 1, 1]) {
        let status = start(steps).wait().unwrap();
        assert!(!status.success(), "died at step {steps}");
    }
    stop.store(true, Ordering::Relaxed);
    let mut last = start(i64::MAX);
    let count = writer.join().unwrap();
    let status = last.wait().unwrap();
    assert!(status.success());
    assert_eq!(read(folder.path().join("pm2.log")), b"", "no complaint");
    let lines = |kind: &str, body: &dyn Fn(usize) -> String| -> Vec<u8> {
        (0..=count).flat_map(|number| format!("{kind} {number}{}\n", body(number)).into_bytes()).collect()
    };
    let (expected_out, expected_err) =
        (lines("out", &|number| format!(" {}", "é".repeat(number % 50))), lines("err", &|_| String::new()));
    let (got_out, got_err) = (rotate::whole(&folder.path().join("out")), rotate::whole(&folder.path().join("err")));
    if shared {
        let of = |kind: &str| -> Vec<u8> {
            String::from_utf8(got_out.clone())
                .unwrap()
                .split_inclusive('\n')
                .filter(|line| line.starts_with(kind))
                .collect::<String>()
                .into_bytes()
        };
        assert!(of("out") == expected_out && of("err") == expected_err, "lines lost, doubled or torn");
        assert_eq!(got_out.len(), expected_out.len() + expected_err.len());
    } else {
        let strip = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace("D: ", "").into_bytes();
        assert!(
            strip(got_out.clone()) == expected_out && strip(got_err.clone()) == expected_err,
            "lines lost, doubled or torn"
        );
    }
    (got_out, got_err)
}

#[test]
fn a_kill_at_any_step_loses_and_doubles_nothing() {
    killed_again_and_again(
        |folder| json!({ "pm_out_log_path": folder.join("out"), "pm_err_log_path": folder.join("err") }),
        false,
    );
}

#[test]
fn a_kill_at_any_step_tears_no_line_of_a_shared_file() {
    killed_again_and_again(
        |folder| json!({ "pm_out_log_path": folder.join("out"), "pm_err_log_path": folder.join("out") }),
        true,
    );
}

#[test]
fn a_kill_at_any_step_tears_no_dated_line() {
    let dated = |folder: &Path| json!({ "pm_out_log_path": folder.join("out"), "pm_err_log_path": folder.join("err"), "log_date_format": "[D]" });
    let (out, _) = killed_again_and_again(dated, false);
    assert!(String::from_utf8(out).unwrap().lines().all(|line| line.starts_with("D: out ")));
}
