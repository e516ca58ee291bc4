//! Keeper, or keeper and daemon, are killed while a child of the keeper is on the way to its program: it looks like its
//! keeper then, and nobody knows of it. When it has executed it must not run beside another.
//!
//! A write lease on the program holds the child where it is: its exec waits until the lease is given up.

#![expect(unsafe_code, reason = "leases are in no library")]

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use pm2_rs::model::Signal;
use pm2_rs::sys::{pidfd, process};
use serde_json::{Value, json};

use super::client::{Client, Home, eventually, is_alive, launch, pause, pid, sweep};

const F_SETSIG: libc::c_int = 10;

/// Holds whoever wants to execute this program. At most 45 s, the kernel's limit.
struct Lease(File);

impl Lease {
    fn take(program: &Path) -> Lease {
        let file = File::open(program).unwrap();
        // SAFETY: numbers only. The signal that says that somebody waits is one that does nothing by default.
        let taken = |file: &File| unsafe {
            libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG) == 0
                && libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK) == 0
        };
        // Whoever wrote it may still have it open.
        eventually("the lease", || taken(&file).then_some(()));
        Lease(file)
    }

    fn wait_until_wanted(&self) {
        eventually("an exec", || {
            // SAFETY: a number goes in and a number comes out.
            let lease = unsafe { libc::fcntl(self.0.as_raw_fd(), libc::F_GETLEASE) };
            (lease != libc::F_WRLCK).then_some(())
        });
    }
}

/// Everything of this home that is left at the end of a test, also of one that failed.
struct Rest(PathBuf);

impl Drop for Rest {
    fn drop(&mut self) {
        let home = self.0.display();
        sweep(&[format!("HOME={home}"), format!("MARK={home}")]);
    }
}

/// A home where `held` is a program, and an app that runs it. Its marks: what only its processes have.
fn home() -> (Home, Rest, PathBuf, Value) {
    let home = Home::start();
    let rest = Rest(home.path().to_owned());
    let held = home.path().join("held");
    fs::copy("/bin/sleep", &held).unwrap();
    fs::set_permissions(&held, fs::Permissions::from_mode(0o755)).unwrap();
    let mut app = home.app("held", &held);
    app["exec_interpreter"] = json!("none");
    app["args"] = json!(["1000"]);
    app["env"]["MARK"] = json!(home.path());
    (home, rest, held, app)
}

fn kill(process: i32) {
    let process = pidfd::open(process).unwrap();
    pidfd::send_signal(&process, Signal::KILL).unwrap();
    assert!(pidfd::wait_all(&[process], 30_000));
}

/// The pids of keeper and daemon, once a keeper that is not `before` is in charge.
fn in_charge(home: &Home, before: i32) -> (i32, i32) {
    eventually("a keeper", || {
        let info = Client::try_connect(home.path())?.call("pm2rsInfo", &json!([{}])).ok()?;
        let keeper = pid(&info["keeper_pid"]);
        (keeper != before).then(|| (keeper, pid(&info["daemon_pid"])))
    })
}

/// The app runs, and no other process of it does.
fn one_runs(home: &Home) {
    let app = eventually("the app", || {
        let list = Client::try_connect(home.path())?.call("getMonitorData", &json!([{}])).ok()?;
        let app = list[0].clone();
        (app["pm2_env"]["status"] == "online" && app["pid"] != 0).then_some(app)
    });
    let mark = format!("MARK={}", home.path().display());
    let running: Vec<i32> = process::with_environment(&[&mark]).iter().map(|member| member.pid).collect();
    assert_eq!(running, [pid(&app["pid"])]);
}

#[test]
fn the_keeper_alone() {
    let (home, _rest, held, app) = home();
    // Also of a keeper that another one was before: its descriptors have other numbers.
    let mut keeper = in_charge(&home, 0).0;
    for _ in 0..2 {
        let lease = Lease::take(&held);
        home.client().send("prepare", &json!([app]));
        lease.wait_until_wanted();
        kill(keeper);
        // Nothing is to happen until it has executed. A daemon that goes on too soon is given the time to do so.
        let mut client = home.client();
        for _ in 0..100 {
            let info = client.call("pm2rsInfo", &json!([{}])).unwrap();
            assert_eq!(pid(&info["keeper_pid"]), keeper, "a process is before its exec, and the daemon goes on");
            pause();
        }
        drop(lease);
        keeper = in_charge(&home, keeper).0;
        one_runs(&home);
        home.call("deleteProcessId", &json!([0])).unwrap();
    }
}

#[test]
fn keeper_and_daemon() {
    let (mut home, _rest, held, app) = home();
    let (keeper, daemon) = in_charge(&home, 0);
    let lease = Lease::take(&held);
    home.client().send("prepare", &json!([app]));
    lease.wait_until_wanted();
    kill(keeper);
    kill(daemon);
    home.keeper.wait().unwrap();
    // The home is not free before it has executed.
    assert_eq!(launch(home.path()).wait().unwrap().code(), Some(1));
    drop(lease);
    eventually("the next keeper", || {
        home.keeper = launch(home.path());
        eventually("its start or end", || {
            let ended = home.keeper.try_wait().unwrap().is_some();
            (ended
                || fs::read_to_string(home.path().join("pm2.pid")).unwrap_or_default() == home.keeper.id().to_string())
            .then_some(())
        });
        is_alive(pid(&json!(home.keeper.id()))).then_some(())
    });
    one_runs(&home);
}
