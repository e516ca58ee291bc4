use serde_json::json;

use super::*;
use crate::model::Status;

fn view() -> View {
    View {
        status: Status::Online,
        pid: Some(5),
        run: None,
        started_at: Some(1000),
        created_at: Some(900),
        restart_time: 2,
        unstable_restarts: 1,
        last_exit: Some(Exit::Signal(9)),
        ended_at: Some(2000),
        prev_restart_delay: Some(0),
    }
}

fn record(config: Value, env: Value) -> Record {
    let (Value::Object(config), Value::Object(env)) = (config, env) else { panic!("objects") };
    Record::new(PmId(3), config, EnvBlock::new(&env), "u-u")
}

fn rendered(record: &Record, with_env: bool) -> Value {
    let mut text = String::new();
    record.push_pm2_env(&mut text, &view(), with_env, false);
    serde_json::from_str(&text).expect("valid JSON")
}

#[test]
fn the_keys_come_in_the_recorded_order() {
    let mut r = record(
        json!({ "name": "w", "env": null, "merge_logs": true, "vizion_running": false, "NODE_APP_INSTANCE": 0 }),
        json!({ "PATH": "/bin", "w": {} }),
    );
    r.tree = Some(Tree { run: RunId(1), members: vec![(7, 70)] });
    let value = rendered(&r, true);
    let keys: Vec<&str> = value.as_object().expect("object").keys().map(String::as_str).collect();
    let wanted = "name env merge_logs vizion_running NODE_APP_INSTANCE PATH unique_id status pm_uptime axm_actions \
                  axm_monitor axm_options axm_dynamic created_at pm_id restart_time unstable_restarts version \
                  prev_restart_delay _tree_pids exit_code exit_signal exited_at";
    assert_eq!(keys, wanted.split_whitespace().collect::<Vec<_>>());
    assert_eq!(value["env"], json!({ "PATH": "/bin", "w": {}, "unique_id": "u-u" }));
    assert_eq!((&value["exit_code"], &value["exit_signal"]), (&json!(0), &json!("SIGKILL")));
    assert_eq!(value["exited_at"], 2000);
}

#[test]
fn events_leave_the_environment_out_but_keep_its_flat_copy() {
    let value = rendered(&record(json!({ "env": null }), json!({ "A": "1" })), false);
    assert!(value.get("env").is_none());
    assert_eq!(value["A"], "1");
}

#[test]
fn a_change_of_the_configuration_is_seen_at_once() {
    let mut r = record(json!({ "name": "a" }), json!({}));
    assert_eq!(rendered(&r, true)["name"], "a");
    r.config_mut().insert("name".into(), json!("b"));
    assert_eq!(rendered(&r, true)["name"], "b");
}

#[test]
fn state_and_flat_copies_are_no_configuration() {
    let mut config = json!({ "name": "x", "status": "stopped", "PATH": "/bin", "left": "over", "watch": true });
    let env = json!({ "PATH": "/bin", "watch": "no" });
    let (Value::Object(config), Value::Object(env)) = (&mut config, env) else { panic!("objects") };
    clean(config, &env);
    assert_eq!(config.keys().map(String::as_str).collect::<Vec<_>>(), ["name", "left", "watch"]);
}
