//! Start, stop, restart, delete, crash: what clients see, and what the kernel says.

use serde_json::{Value, json};

use super::client::{Home, eventually, is_alive, pid};

/// Runs until it is told to end.
const FOREVER: &str = "trap 'exit 0' INT; echo up $WHO $pm_id $NODE_APP_INSTANCE; while :; do sleep 0.05; done";

#[test]
fn an_app_is_started_listed_stopped_restarted_and_deleted() {
    let home = Home::start();
    let started = home.start_app("web", FOREVER);
    let first = pid(&started["pid"]);
    assert!(is_alive(first));
    assert_eq!(started["process"]["pid"], first);
    assert_eq!(started["pm2_env"]["status"], "online");

    let app = home.only();
    assert_eq!((&app["pid"], &app["pm_id"], &app["name"]), (&json!(first), &json!(0), &json!("web")));
    assert_eq!(app["pm2_env"]["WHO"], "web");
    assert_eq!(app["pm2_env"]["env"]["WHO"], "web");
    assert_eq!(app["pm2_env"]["restart_time"], 0);
    eventually("its first line", || home.read("web-out.log").contains("up web 0 0").then_some(()));
    assert_eq!(home.read("pids/web-0.pid"), first.to_string());

    let restarted = home.call("restartProcessId", &json!([{ "id": "0", "env": {} }])).unwrap();
    let second = pid(&restarted["pid"]);
    assert!(second != first && is_alive(second) && !is_alive(first));
    assert_eq!(restarted["pm2_env"]["restart_time"], 1);

    let stopped = home.call("stopProcessId", &json!([0])).unwrap();
    assert_eq!((&stopped["pid"], &stopped["pm2_env"]["status"]), (&json!(0), &json!("stopped")));
    assert!(!is_alive(second));
    assert!(!home.path().join("pids/web-0.pid").exists());
    assert_eq!(home.call("stopProcessId", &json!([0])).unwrap()["pm2_env"]["status"], "stopped");

    let again = home.call("restartProcessId", &json!([{ "id": 0 }])).unwrap();
    assert_eq!(again["pm2_env"]["restart_time"], 1, "starting a stopped one is no restart");
    let third = pid(&again["pid"]);
    home.call("deleteProcessId", &json!([0])).unwrap();
    assert!(!is_alive(third));
    assert!(home.list().is_empty());
    home.start_app("next", FOREVER);
    assert_eq!(home.only()["pm_id"], 0, "ids begin again when the list was empty");
}

#[test]
fn unknown_ids_are_answered_in_stocks_words() {
    let home = Home::start();
    for (method, args, error) in [
        ("startProcessId", json!([77]), "77 id unknown"),
        ("stopProcessId", json!(["77"]), "77 : id unknown"),
        ("stopProcessId", json!([{ "id": 77 }]), "77 : id unknown"),
        ("deleteProcessId", json!([77]), "77 : id unknown"),
        ("restartProcessId", json!([{}]), "opts.id not passed to restartProcessId"),
        ("restartProcessId", json!([{ "id": 77 }]), "God db process id unknown"),
        ("reloadProcessId", json!([{ "id": 77 }]), "PM2 ID unknown"),
        ("softReloadProcessId", json!([{ "id": 77 }]), "pm_id 77 not available in 77"),
        ("duplicateProcessId", json!([77]), "77 id unknown"),
        ("resetMetaProcessId", json!([77]), "77 id unknown"),
        ("sendLineToStdin", json!([{}]), "pm_id or line field missing"),
        ("sendLineToStdin", json!([{ "pm_id": 77, "line": "x" }]), "Process with ID <77> unknown."),
        ("sendDataToProcessId", json!([{ "id": 1 }]), "ID, DATA or TOPIC field is missing"),
        ("sendDataToProcessId", json!([{ "id": 77, "data": 1, "topic": "t" }]), "Process with ID <77> unknown."),
        ("msgProcess", json!([{}]), "method requires name or id field"),
        ("msgProcess", json!([{ "id": 77, "msg": "x" }]), "77 id unknown"),
        ("sendSignalToProcessId", json!([{ "process_id": 77, "signal": "SIGUSR2" }]), "77 id unknown"),
        ("sendSignalToProcessName", json!([{ "process_name": "zz", "signal": "SIGUSR2" }]), "Unknown process name"),
        ("notifyByProcessId", json!([{}]), "process id missing"),
        ("notifyByProcessId", json!([{ "id": 77 }]), "process id doesnt exists"),
        ("monitor", json!([77]), "Unknown pm_id"),
    ] {
        assert_eq!(home.call(method, &args).unwrap_err(), error, "{method} {args}");
    }
    for method in ["startWatch", "stopWatch", "toggleWatch"] {
        let answer = home.call(method, &json!(["restartProcessId", { "id": 77 }])).unwrap();
        assert_eq!(answer, json!({ "success": true }), "{method}");
    }
}

#[test]
fn a_crash_is_restarted_and_a_crash_loop_ends_in_errored() {
    let home = Home::start();
    home.start_app("crash", "echo run; exit 3");
    let app = home.wait_for_status("errored");
    assert_eq!(app["pm2_env"]["restart_time"], 15);
    assert_eq!(app["pm2_env"]["exit_code"], 3);
    assert_eq!((&app["pid"], &app["pm2_env"]["created_at"]), (&json!(0), &Value::Null));
    assert_eq!(home.read("crash-out.log"), "run\n".repeat(16), "every word of every run");
}

#[test]
fn a_growing_delay_is_waited_for_and_a_stop_ends_it() {
    let home = Home::start();
    let script = home.script("back.sh", "exit 1");
    let mut app = home.app("back", &script);
    app["exp_backoff_restart_delay"] = json!(60_000);
    home.call("prepare", &json!([app])).unwrap();
    home.wait_for_status("waiting restart");
    let stopped = home.call("stopProcessId", &json!([0])).unwrap();
    assert_eq!(stopped["pm2_env"]["status"], "stopped");
}

#[test]
fn what_cannot_be_started_says_why_and_is_errored() {
    let home = Home::start();
    let script = home.script("ok.sh", FOREVER);
    let mut nowhere = home.app("nowhere", &script);
    nowhere["pm_cwd"] = json!("/nonexistent/folder");
    let error = home.call("prepare", &json!([nowhere])).unwrap_err();
    assert!(error.contains("/nonexistent/folder"), "{error}");
    assert_eq!(home.only()["pm2_env"]["status"], "errored");
    home.call("deleteProcessId", &json!([0])).unwrap();

    let plain = home.path().join("plain.txt");
    std::fs::write(&plain, "no program").unwrap();
    let mut plain = home.app("plain", &plain);
    plain["exec_interpreter"] = json!("none");
    let error = home.call("prepare", &json!([plain])).unwrap_err();
    assert!(error.contains("plain.txt"), "{error}");
    home.call("deleteProcessId", &json!([0])).unwrap();

    let mut lost = home.app("lost", &script);
    lost["exec_interpreter"] = json!("no-such-interpreter");
    let error = home.call("prepare", &json!([lost])).unwrap_err();
    assert!(error.starts_with("Interpreter no-such-interpreter is NOT AVAILABLE in PATH."), "{error}");
}

#[test]
fn instances_have_numbers_and_a_copy_gets_the_next_one() {
    let home = Home::start();
    let script = home.script("many.sh", FOREVER);
    let mut app = home.app("many", &script);
    app["instances"] = json!(3);
    app["increment_var"] = json!("PORT");
    app["env"]["PORT"] = json!(3000);
    app["merge_logs"] = json!(false);
    let started = home.call("prepare", &json!([app])).unwrap();
    let field = |list: &Value, key: &str| -> Vec<Value> {
        list.as_array().unwrap().iter().map(|app| app["pm2_env"][key].clone()).collect()
    };
    assert_eq!(field(&started, "NODE_APP_INSTANCE"), [json!(0), json!(1), json!(2)]);
    assert_eq!(field(&started, "PORT"), [json!(3000), json!(3001), json!(3002)]);
    let ids = field(&started, "unique_id");
    assert!(ids[0] != ids[1] && ids[1] != ids[2]);
    home.call("deleteProcessId", &json!([1])).unwrap();
    let copy = home.call("duplicateProcessId", &json!([0])).unwrap();
    assert_eq!((&copy["pm_id"], &copy["pm2_env"]["NODE_APP_INSTANCE"]), (&json!(3), &json!(1)));
    assert_eq!(copy["pm2_env"]["PORT"], 3003);
    assert!(copy["pm2_env"]["pm_out_log_path"].as_str().unwrap().ends_with("many-out-3.log"));
}

#[test]
fn new_wishes_come_with_a_restart() {
    let home = Home::start();
    home.start_app("web", FOREVER);
    let patch = json!({ "FRESH": "yes", "name": "evil", "current_conf": { "max_restarts": 3, "env": { "OLD": 1 } } });
    let app = home.call("restartProcessId", &json!([{ "id": 0, "env": patch }])).unwrap();
    let env = &app["pm2_env"];
    assert_eq!((&env["FRESH"], &env["OLD"], &env["max_restarts"]), (&json!("yes"), &json!(1), &json!(3)));
    assert_eq!(env["name"], "web", "a variable never renames an app");
}

#[test]
fn signals_reach_only_a_process_that_runs() {
    let home = Home::start();
    home.start_app("sig", "trap 'echo got usr2' USR2; trap 'exit 0' INT; echo up; while :; do sleep 0.05; done");
    eventually("the trap", || home.read("sig-out.log").contains("up").then_some(()));
    let list = home.call("sendSignalToProcessId", &json!([{ "process_id": 0, "signal": "SIGUSR2" }])).unwrap();
    assert_eq!(list[0]["name"], "sig");
    eventually("the signal", || home.read("sig-out.log").contains("got usr2").then_some(()));
    let unknown = json!([{ "process_id": 0, "signal": "SIGFOO" }]);
    assert_eq!(home.call("sendSignalToProcessId", &unknown).unwrap_err(), "Error when sending signal (signal unknown)");
    home.call("stopProcessId", &json!([0])).unwrap();
    let error = home.call("sendSignalToProcessId", &json!([{ "process_id": 0, "signal": "SIGTERM" }])).unwrap_err();
    assert_eq!(error, "Error when sending signal (process 0 is not running)");
    home.call("ping", &json!([{}])).unwrap();
}

#[test]
fn lines_go_to_stdin() {
    let home = Home::start();
    home.start_app("cat", "exec cat");
    let packet = json!({ "pm_id": 0, "line": "hello\n" });
    assert_eq!(home.call("sendLineToStdin", &json!([packet])).unwrap(), packet);
    eventually("the echo", || (home.read("cat-out.log") == "hello\n").then_some(()));
}

#[test]
fn a_stop_ends_the_whole_tree() {
    let home = Home::start();
    home.start_app("tree", "sleep 1000 & echo child $!; wait");
    let child = eventually("the child", || {
        home.read("tree-out.log").trim().strip_prefix("child ").and_then(|text| text.parse::<i32>().ok())
    });
    assert!(is_alive(child));
    let stopped = home.call("stopProcessId", &json!([0])).unwrap();
    assert!(!is_alive(child));
    let tree = stopped["pm2_env"]["_tree_pids"].as_array().unwrap();
    assert!(tree.contains(&json!(child)));
}

#[test]
fn one_that_ignores_the_signal_is_killed() {
    let home = Home::start();
    let script = home.script("deaf.sh", "trap '' INT; echo up; while :; do sleep 0.05; done");
    let mut app = home.app("deaf", &script);
    app["kill_timeout"] = json!(100);
    let started = home.call("prepare", &json!([app])).unwrap();
    eventually("the trap", || home.read("deaf-out.log").contains("up").then_some(()));
    let stopped = home.call("stopProcessId", &json!([0])).unwrap();
    assert_eq!(stopped["pm2_env"]["status"], "stopped");
    assert!(!is_alive(pid(&started[0]["pid"])));
}
