//! What we would send against what the stock client sent: every case of `__test__/oracle/prepare_vectors.json` (recorded by
//! `scripts/record_prepare.js`) is resolved again here. Differences are allowed only where `DEVIATIONS` lists them, word for
//! word.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::*;

mod deviations;

use deviations::DEVIATIONS;

struct Oracle {
    dir: tempfile::TempDir,
    vectors: Value,
}

impl Oracle {
    fn new() -> Oracle {
        let vectors: Value = serde_json::from_str(include_str!("../../__test__/oracle/prepare_vectors.json")).unwrap();
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in vectors["files"].as_object().unwrap() {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let bytes: Vec<u8> =
                content.as_str().unwrap().chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
            std::fs::write(&path, bytes).unwrap();
            if name.starts_with("bin/") {
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        std::fs::create_dir_all(dir.path().join("real")).unwrap();
        std::fs::create_dir_all(dir.path().join("pm2home")).unwrap();
        std::fs::copy(dir.path().join("bin/node"), dir.path().join("real/node")).unwrap();
        Oracle { dir, vectors }
    }

    /// Real paths in the place of the recorded marks.
    fn unmask(&self, value: &Value) -> Value {
        let dir = self.dir.path().canonicalize().unwrap();
        let dir = dir.to_str().unwrap();
        let text = value.to_string().replace("{dir}", dir).replace("{node}", &format!("{dir}/real/node"));
        serde_json::from_str(&text).unwrap()
    }

    fn caller(&self, case: &Value) -> Caller {
        let dir = self.dir.path().canonicalize().unwrap();
        let root = dir.join("pm2home");
        let mut env = json!({ "PATH": dir.join("bin"), "HOME": dir.join("user"), "PM2_HOME": root });
        let env = env.as_object_mut().unwrap();
        env.extend(self.unmask(&case["env"]).as_object().cloned().unwrap_or_default());
        let conf = root.join("module_conf.json");
        let _ = std::fs::remove_file(&conf);
        if !case["module_conf"].is_null() {
            std::fs::write(&conf, case["module_conf"].to_string()).unwrap();
        }
        let cwd = dir.join(case["cwd"].as_str().unwrap());
        Caller {
            cwd: cwd.clone(),
            env: env.clone(),
            home: Home::new(root, |_| None),
            username: "root".to_owned(),
            uid: 0,
            node: dir.join("real/node"),
            node_version: Some((20, 20, 2)),
            cpus: 2,
            instance_cwd: cwd,
            programmatic: true,
        }
    }

    /// What stock sent and answered.
    fn stock(&self, case: &Value) -> Vec<(String, Value)> {
        let mut out: Vec<(String, Value)> = Vec::new();
        for call in case["calls"].as_array().unwrap() {
            let args = self.unmask(&call["args"][0]);
            // A start that only prepares the hidden state.
            if !case["before"].is_null() && call["method"] == "prepare" {
                continue;
            }
            match call["method"].as_str().unwrap() {
                "prepare" => out.push(("prepare".to_owned(), args)),
                _ => out.push(("restart".to_owned(), args["env"].clone())),
            }
        }
        let thrown = case["thrown"].as_str().map(str::to_owned);
        let errors = case["errors"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
        out.extend(errors.chain(thrown).map(|e| ("error".to_owned(), self.unmask(&Value::from(e)))));
        out
    }

    /// What we would send and answer.
    fn ours(&self, case: &Value) -> Vec<(String, Value)> {
        let caller = self.caller(case);
        let args = self.unmask(&case["args"]);
        let names: BTreeSet<&str> =
            case["existing"].as_array().into_iter().flatten().filter_map(|p| p["name"].as_str()).collect();
        let options = args[1].as_object().cloned().unwrap_or_default();
        let prepare = |r: Result<Resolved, ConfigError>| r.map(|r| ("prepare".to_owned(), Value::Object(r.prepare)));
        let restart = |r: Result<Overrides, ConfigError>| r.map(|r| ("restart".to_owned(), Value::Object(r.env)));
        let results: Vec<Result<(String, Value), ConfigError>> = match &args[0] {
            Value::String(_) | Value::Number(_) if case["call"] != "start" => {
                let name = if args[0].is_number() { "" } else { "app" };
                vec![restart(restart_overrides(&options, name, &caller))]
            }
            Value::String(text) if !names.is_empty() && case["name"] != "script force" => {
                vec![restart(restart_overrides(&options, &script_name(text, &options), &caller))]
            }
            Value::String(text) => vec![prepare(script_form(text, &options, &caller))],
            config => {
                let start = StartOptions::from_map(&options);
                let mut results = Vec::new();
                for app in apps_of(config).unwrap() {
                    let name = app_name(&app, &start).unwrap_or_default();
                    if !start.selects(&name) {
                        continue;
                    }
                    results.push(if names.contains(name.as_str()) {
                        restart(app_restart(&app, config, &start, &caller))
                    } else {
                        prepare(app_form(&app, config, &start, &caller))
                    });
                }
                results
            }
        };
        results.into_iter().map(|r| r.unwrap_or_else(|e| ("error".to_owned(), Value::from(e.to_string())))).collect()
    }
}

/// Takes away what differs in every case: marks that pm2 leaves in its own environment (contract/api.md section 4.9), the
/// empty variable called like the app (Q10), and what a restart sends without having been asked (Q7, Q8).
fn normalise(kind: &str, value: &mut Value) {
    let Some(map) = value.as_object_mut() else { return };
    let env = match kind {
        "prepare" => map.get_mut("env").and_then(Value::as_object_mut),
        _ => Some(map),
    };
    let Some(env) = env else { return };
    env.shift_remove("PM2_JSON_PROCESSING");
    env.shift_remove("updateEnv");
    env.retain(|_, v| *v != json!("{}") && *v != json!({}));
    let Some(conf) = env.get_mut("current_conf").and_then(Value::as_object_mut) else { return };
    conf.shift_remove("km_link");
    conf.shift_remove("env");
    if !conf.contains_key("script") {
        for key in ["merge_logs", "instance_var", "username", "windowsHide", "kill_retry_time"] {
            conf.shift_remove(key);
        }
    }
}

/// Every place where two values differ, as lines.
fn differences(at: &str, stock: Option<&Value>, ours: Option<&Value>, out: &mut Vec<String>) {
    match (stock, ours) {
        (a, b) if a == b => {}
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                differences(&format!("{at}.{key}"), a.get(key), b.get(key), out);
            }
        }
        (a, b) => {
            let show = |v: Option<&Value>| match v {
                None => "absent".to_owned(),
                Some(Value::Object(map)) if map.len() > 3 => "a record".to_owned(),
                Some(Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
            };
            out.push(format!("{at}: {} -> {}", show(a), show(b)));
        }
    }
}

fn compare(oracle: &Oracle, case: &Value) -> Vec<String> {
    let (mut stock, mut ours) = (oracle.stock(case), oracle.ours(case));
    for (kind, value) in stock.iter_mut().chain(&mut ours) {
        normalise(kind, value);
    }
    let mut out = Vec::new();
    for i in 0..stock.len().max(ours.len()) {
        let value = |side: &[(String, Value)]| side.get(i).map(|(kind, value)| json!({ kind.as_str(): value }));
        differences("", value(&stock).as_ref(), value(&ours).as_ref(), &mut out);
    }
    let dir = oracle.dir.path().canonicalize().unwrap();
    out.iter().map(|line| line.replace(dir.to_str().unwrap(), "{dir}")).collect()
}

#[test]
fn we_send_what_the_stock_client_sends_except_where_it_is_decided_otherwise() {
    let oracle = Oracle::new();
    let decided: BTreeMap<&str, &[&str]> = DEVIATIONS.iter().map(|d| (d.case, d.lines)).collect();
    let mut wrong = String::new();
    let mut seen = BTreeSet::new();
    for case in oracle.vectors["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        seen.insert(name);
        let found = compare(&oracle, case);
        let wanted = decided.get(name).copied().unwrap_or_default();
        if found != wanted {
            let _ = writeln!(wrong, "\n{name}\n  found  {found:#?}\n  wanted {wanted:#?}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(seen.len() >= 150, "the vectors are complete");
    for d in DEVIATIONS {
        assert!(seen.contains(d.case), "no case is called {}", d.case);
        assert!(!d.why.is_empty() && !d.lines.is_empty());
    }
}

#[test]
fn a_restart_carries_the_whole_environment_of_the_app_over_the_callers() {
    let oracle = Oracle::new();
    let case = json!({ "cwd": "app", "env": { "A": "caller", "OTHER": "o", "pm_id": "3" } });
    let caller = oracle.caller(&case);
    let app = json!({ "script": "app.js", "env": { "A": "app" } });
    let restart = app_restart(app.as_object().unwrap(), &Value::Null, &StartOptions::default(), &caller).unwrap();
    let env = &restart.env["current_conf"]["env"];
    assert_eq!((&env["A"], &env["OTHER"], &env["pm_id"]), (&json!("app"), &json!("o"), &Value::Null));
    assert_eq!(restart.env["A"], "app");
}
