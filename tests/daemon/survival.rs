//! kill -9 of the daemon: no app notices, and the next daemon knows everything.

use pm2_rs::model::Signal;
use pm2_rs::sys::pidfd;
use serde_json::{Value, json};

use super::client::{Home, eventually, is_alive, pid};

const COUNT: &str = "trap 'exit 0' INT; n=0; while :; do n=$((n+1)); echo $n; sleep 0.01; done";

/// Kills the daemon and waits until the next one answers.
pub(crate) fn kill_daemon(home: &Home) {
    let before = home.info();
    let daemon = pid(&before["daemon_pid"]);
    pidfd::send_signal(pidfd::open(daemon).unwrap(), Signal::KILL).unwrap();
    eventually("the next daemon", || {
        let mut client = super::client::Client::try_connect(home.path())?;
        let info = client.call("pm2rsInfo", &json!([{}])).ok()?;
        (info["generation"].as_u64() > before["generation"].as_u64()).then_some(())
    });
}

#[test]
fn apps_keep_their_pids_and_the_list_and_the_logs_go_on() {
    let home = Home::start();
    home.start_app("count", COUNT);
    let script = home.script("idle.sh", "exec sleep 1000");
    home.call("prepare", &json!([home.app("idle", &script)])).unwrap();
    home.call("stopProcessId", &json!([1])).unwrap();
    home.call("restartProcessId", &json!([{ "id": 0, "env": { "FRESH": "1" } }])).unwrap();
    let without_figures = |home: &Home| -> Vec<Value> {
        let mut list = home.list();
        for app in &mut list {
            app["monit"] = Value::Null;
        }
        list
    };
    let before = without_figures(&home);
    for _ in 0..3 {
        kill_daemon(&home);
        assert_eq!(without_figures(&home), before);
    }
    assert!(is_alive(pid(&before[0]["pid"])));
    let last = |home: &Home| home.read("count-out.log").lines().last().and_then(|line| line.parse::<u64>().ok());
    let reached = last(&home);
    eventually("more lines", || (last(&home) > reached).then_some(()));

    // Nothing lost, nothing doubled: two runs, each counting from one without a gap.
    home.call("stopProcessId", &json!([0])).unwrap();
    let mut expected = 1;
    let mut runs = 0;
    for line in home.read("count-out.log").lines() {
        let number: u64 = line.parse().unwrap();
        if number == 1 {
            runs += 1;
            expected = 1;
        }
        assert_eq!(number, expected, "a line is missing or doubled");
        expected += 1;
    }
    assert_eq!(runs, 2);
}

#[test]
fn an_app_that_dies_while_no_daemon_runs_is_restarted_once() {
    let home = Home::start();
    let started = home.start_app("victim", COUNT);
    let victim = pid(&started["pid"]);
    let daemon = pid(&home.info()["daemon_pid"]);
    // Both at once: whichever of them the keeper sees first.
    pidfd::send_signal(pidfd::open(daemon).unwrap(), Signal::KILL).unwrap();
    pidfd::send_signal(pidfd::open(victim).unwrap(), Signal::KILL).unwrap();
    let app = eventually("the restart", || {
        let mut client = super::client::Client::try_connect(home.path())?;
        let list = client.call("getMonitorData", &json!([{}])).ok()?;
        let app = list[0].clone();
        (app["pm2_env"]["status"] == "online" && app["pid"] != victim).then_some(app)
    });
    assert_eq!(app["pm2_env"]["restart_time"], 1);
    assert!(is_alive(pid(&app["pid"])));
}

#[test]
fn a_stop_that_was_half_done_is_finished() {
    let home = Home::start();
    let script = home.script("stubborn.sh", "trap '' INT; echo up; while :; do sleep 0.05; done");
    let mut app = home.app("stubborn", &script);
    app["kill_timeout"] = json!(1000);
    let started = home.call("prepare", &json!([app])).unwrap();
    eventually("the trap", || home.read("stubborn-out.log").contains("up").then_some(()));
    home.client().send("stopProcessId", &json!([0]));
    home.wait_for_status("stopping");
    kill_daemon(&home);
    home.wait_for_status("stopped");
    assert!(!is_alive(pid(&started[0]["pid"])));
}
