//! The room as a whole: what the recorded vectors cannot show, and that nothing is too odd.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::table::{FIELDS, Field};
use super::*;

struct World {
    dir: tempfile::TempDir,
    caller: Caller,
}

/// A directory with `app.js`, and a PATH on which there are these programs.
fn world(programs: &[&str]) -> World {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    for name in programs.iter().chain(&["node"]) {
        let path = root.join("bin").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    for name in ["app.js", "typed.ts"] {
        std::fs::write(root.join(name), "").unwrap();
    }
    let env = json!({ "PATH": root.join("bin"), "HOME": root.join("user"), "KEEP": "k" });
    let caller = Caller {
        cwd: root.clone(),
        env: env.as_object().unwrap().clone(),
        home: Home::new(root.join("home"), |_| None),
        username: "dev".to_owned(),
        uid: 1000,
        node: root.join("bin/node"),
        node_version: Some((20, 20, 2)),
        cpus: 2,
        instance_cwd: root,
        programmatic: false,
    };
    World { dir, caller }
}

fn map(value: &Value) -> Options {
    value.as_object().cloned().unwrap_or_default()
}

fn app(value: &Value, caller: &Caller) -> Result<Resolved, ConfigError> {
    app_form(&map(value), &Value::Null, &StartOptions::default(), caller)
}

#[test]
fn an_unknown_option_is_left_out_with_a_hint() {
    let w = world(&[]);
    // The last one is for editors: what a JSON file is checked with.
    let given = json!({ "script": "app.js", "max_memory_restrat": "1G", "wacth": true, "$schema": "./schema.json" });
    let app = app(&given, &w.caller).unwrap();
    assert!(!app.prepare.contains_key("$schema"));
    assert!(!app.prepare.contains_key("max_memory_restrat"));
    assert_eq!(
        app.warnings,
        [
            "unknown option \"max_memory_restrat\" is ignored; did you mean \"max_memory_restart\"?",
            "unknown option \"wacth\" is ignored; did you mean \"watch\"?"
        ]
    );
}

#[test]
fn our_own_options_are_stored_like_all_others() {
    let w = world(&[]);
    let given = json!({ "script": "app.js", "kill_signal": "SIGTERM", "log_max_size": "10M", "log_max_age": "24h",
        "log_keep": 0, "log_compress": true, "cron_tz": "Europe/Berlin", "ready_timeout": "error", "reloadParallel": "2",
        "sticky": true, "max_memory_tree": true, "clusterPolicy": "shared" });
    let stored = app(&given, &w.caller).unwrap().prepare;
    let wanted = json!({ "kill_signal": "SIGTERM", "log_max_size": 10 << 20, "log_max_age": 86_400_000, "log_keep": 0,
        "log_compress": true, "cron_tz": "Europe/Berlin", "ready_timeout": "error", "reload_parallel": 2, "sticky": true,
        "max_memory_tree": true, "cluster_policy": "shared" });
    for (key, value) in wanted.as_object().unwrap() {
        assert_eq!(stored.get(key), Some(value), "{key}");
    }
    let wrong = app(&json!({ "script": "app.js", "ready_timeout": "maybe" }), &w.caller).unwrap_err().to_string();
    assert_eq!(wrong, "Verify \"ready_timeout\" with regex failed, it should be \"online\" or \"error\"");
}

#[test]
fn typescript_runs_under_bun_or_a_node_that_can() {
    let typed = json!({ "script": "typed.ts" });
    let with_bun = world(&["bun"]);
    assert_eq!(app(&typed, &with_bun.caller).unwrap().prepare["exec_interpreter"], "bun");
    let mut w = world(&[]);
    for (version, arguments) in [
        ((22, 18, 0), json!([])),
        ((24, 1, 0), json!([])),
        ((23, 6, 0), json!([])),
        ((22, 6, 0), json!(["--experimental-strip-types"])),
        ((23, 0, 0), json!(["--experimental-strip-types"])),
    ] {
        w.caller.node_version = Some(version);
        let app = app(&typed, &w.caller).unwrap().prepare;
        assert_eq!((&app["exec_interpreter"], &app["node_args"]), (&json!("node"), &arguments), "{version:?}");
    }
    for version in [Some((20, 20, 2)), Some((22, 5, 9)), None] {
        w.caller.node_version = version;
        assert_eq!(app(&typed, &w.caller), Err(ConfigError::TypeScript));
    }
}

#[test]
fn a_version_of_node_is_taken_from_nvm_and_cannot_lead_elsewhere() {
    let mut w = world(&["../nvm/versions/node/v18.0.0/bin/node"]);
    let nvm = w.dir.path().canonicalize().unwrap().join("nvm");
    w.caller.env.insert("NVM_DIR".to_owned(), Value::from(nvm.to_string_lossy()));
    let with = |interpreter: &str| app(&json!({ "script": "app.js", "interpreter": interpreter }), &w.caller);
    let node = nvm.join("versions/node/v18.0.0/bin/node");
    assert_eq!(with("node@18.0.0").unwrap().prepare["exec_interpreter"], json!(node));
    assert!(matches!(with("node@19.0.0"), Err(ConfigError::InterpreterNotFound(_))));
    assert!(matches!(with("node@../../x"), Err(ConfigError::InterpreterNotFound(_))));
    for newer in ["v18.9.1", "v18.10.0", "v1.80.0"] {
        let path = nvm.join("versions/node").join(newer).join("bin/node");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::copy(&node, path).unwrap();
    }
    let chosen = |text: &str| with(text).unwrap().prepare["exec_interpreter"].as_str().unwrap().to_owned();
    assert!(chosen("node@18").ends_with("/v18.10.0/bin/node") && chosen("node@v18.9").ends_with("/v18.9.1/bin/node"));
    assert!(matches!(with("node@19"), Err(ConfigError::InterpreterNotFound(_))));
}

/// A folder of nvm whose `nvm install` makes a node of the version `21.7.3` for `21`, and knows no other.
fn with_nvm(w: &mut World) -> PathBuf {
    let nvm = w.dir.path().canonicalize().unwrap().join("nvm");
    std::fs::create_dir_all(&nvm).unwrap();
    let script = r#"nvm() {
        if [ "$1" = install ]; then
            echo "$2" >> "$NVM_DIR/asked"
            if [ "$2" != 21 ]; then echo "Version '$2' not found - try \`nvm ls-remote\`" >&2; return 3; fi
            mkdir -p "$NVM_DIR/versions/node/v21.7.3/bin"
            printf '#!/bin/sh\n' > "$NVM_DIR/versions/node/v21.7.3/bin/node"
            chmod +x "$NVM_DIR/versions/node/v21.7.3/bin/node"
        else return 3; fi
    }"#;
    std::fs::write(nvm.join("nvm.sh"), script).unwrap();
    w.caller.env.insert("NVM_DIR".to_owned(), Value::from(nvm.to_string_lossy()));
    let path = std::env::var("PATH").unwrap();
    let own = w.caller.env["PATH"].as_str().unwrap().to_owned();
    w.caller.env.insert("PATH".to_owned(), Value::from(format!("{own}:{path}")));
    nvm
}

#[test]
fn a_version_that_nvm_lacks_is_installed_once() {
    let mut w = world(&[]);
    let nvm = with_nvm(&mut w);
    let given = json!({ "script": "app.js", "interpreter": "node@21" });
    let preview = app_preview(&map(&given), &Value::Null, &StartOptions::default(), &w.caller);
    assert!(preview.is_err() && !nvm.join("asked").exists(), "a preview installs nothing");
    let node = json!(nvm.join("versions/node/v21.7.3/bin/node"));
    for _ in 0..2 {
        assert_eq!(app(&given, &w.caller).unwrap().prepare["exec_interpreter"], node);
    }
    assert_eq!(std::fs::read_to_string(nvm.join("asked")).unwrap(), "21\n");
    let again = app_restart(&map(&given), &Value::Null, &StartOptions::default(), &w.caller).unwrap();
    assert_eq!(again.env["current_conf"]["exec_interpreter"], node);
    let failed = app(&json!({ "script": "app.js", "interpreter": "node@99" }), &w.caller).unwrap_err();
    assert_eq!(failed.to_string(), "nvm could not install Node.js 99: Version '99' not found - try `nvm ls-remote`");
    assert_eq!(failed.code(), "INTERPRETER_NOT_FOUND");
}

#[test]
fn the_names_of_signals_and_of_policies_are_checked() {
    let w = world(&[]);
    for (option, wrong) in [("kill_signal", "SIGFOO"), ("cluster_policy", "random")] {
        let error = app(&json!({ "script": "app.js", option: wrong }), &w.caller).unwrap_err().to_string();
        assert!(error.starts_with(&format!("Verify \"{option}\" with regex failed")), "{error}");
    }
    assert!(app(&json!({ "script": "app.js", "kill_signal": "term" }), &w.caller).is_ok());
}

#[test]
fn write_gives_the_checked_options_for_a_file() {
    let w = world(&[]);
    let options = json!({ "name": "a/b", "write": true, "max_restarts": "3", "env": { "A": 1 } });
    let (file, values) = script_form("app.js", &map(&options), &w.caller).unwrap().written.unwrap();
    assert_eq!(file, "a-b-pm2.json");
    assert_eq!(
        (&values["script"], &values["max_restarts"], &values["env"]),
        (&json!("app.js"), &json!(3), &json!({ "A": 1 }))
    );
    assert!(app(&json!({ "script": "app.js", "write": true }), &w.caller).unwrap().written.is_none());
}

#[test]
fn the_variables_that_are_the_apps_own_are_told_from_the_callers() {
    let w = world(&[]);
    let given = json!({ "script": "app.js", "env": { "KEEP": "mine", "A": 1 }, "env_x": { "B": 2 }, "port": 80 });
    let options = StartOptions { env: Some("x".to_owned()), ..StartOptions::default() };
    let started = app_form(&map(&given), &Value::Null, &options, &w.caller).unwrap();
    let again = app_restart(&map(&given), &Value::Null, &options, &w.caller).unwrap();
    let home = w.caller.home.root.to_string_lossy().into_owned();
    let own = json!({ "KEEP": "mine", "A": 1, "PM2_HOME": home, "B": 2, "PORT": 80 });
    assert_eq!((Value::Object(started.own_env), Value::Object(again.own_env)), (own.clone(), own));
    assert!(started.prepare["env"].get("HOME").is_some(), "the caller's are there, too");
}

#[test]
fn reserved_names_are_dropped_inside_an_app_even_for_the_command_line() {
    let mut w = world(&[]);
    w.caller.env.insert("status".to_owned(), json!("online"));
    let plain = app(&json!({ "script": "app.js" }), &w.caller).unwrap().prepare;
    assert_eq!(plain["env"]["status"], "online");
    w.caller.env.insert("pm_id".to_owned(), json!("3"));
    let inside = app(&json!({ "script": "app.js" }), &w.caller).unwrap().prepare;
    assert_eq!((&inside["env"]["status"], &inside["env"]["pm_id"]), (&Value::Null, &Value::Null));
    assert_eq!(inside["env"]["KEEP"], "k");
}

#[test]
fn an_app_that_restarts_another_does_not_hand_on_who_it_is() {
    let mut w = world(&[]);
    for (name, value) in
        [("pm_id", "3"), ("NODE_APP_INSTANCE", "3"), ("unique_id", "u"), ("namespace", "mine"), ("NEW", "1")]
    {
        w.caller.env.insert(name.to_owned(), json!(value));
    }
    let restart = restart_overrides(&map(&json!({ "updateEnv": true })), "x", &w.caller).unwrap().env;
    let again =
        app_restart(&map(&json!({ "script": "app.js" })), &Value::Null, &StartOptions::default(), &w.caller).unwrap();
    for env in [&restart, &again.env] {
        assert_eq!(env.get("NEW"), Some(&json!("1")));
        for name in ["pm_id", "NODE_APP_INSTANCE", "unique_id", "namespace"] {
            assert_eq!(env.get(name), None, "{name}");
        }
    }
}

#[test]
fn uid_needs_root() {
    let w = world(&[]);
    assert_eq!(app(&json!({ "script": "app.js", "uid": "root" }), &w.caller), Err(ConfigError::NotRoot));
}

#[test]
fn folders_of_log_files_are_made() {
    let w = world(&[]);
    app(&json!({ "script": "app.js", "out_file": "a/b/out.log" }), &w.caller).unwrap();
    assert!(w.caller.cwd.join("a/b").is_dir());
    let failed = app(&json!({ "script": "app.js", "out_file": "app.js/out.log" }), &w.caller).unwrap_err();
    assert!(failed.to_string().starts_with("Could not create folder"), "{failed}");
}

#[test]
fn the_static_server_is_put_in() {
    let mut one = map(&json!({ "script": "serve" }));
    assert!(use_static_server(&mut one, Path::new("/pkg/static_server.js")));
    assert_eq!(Value::Object(one), json!({ "script": "/pkg/static_server.js", "name": "serve" }));
    assert!(!use_static_server(&mut map(&json!({ "script": "app.js" })), Path::new("/x")));
}

/// Rewrites the file when `UPDATE_SCHEMA` is set; else it must be as it is.
fn checked_in(path: &str, content: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, content).unwrap();
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(there == content, "{path} is out of date: UPDATE_SCHEMA=1 cargo test --lib config");
}

#[test]
fn the_schema_and_the_reference_are_up_to_date() {
    checked_in("schema.json", &format!("{:#}\n", schema::json_schema()));
    checked_in("docs/options.md", &reference::markdown());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(json!(0)),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "1G",
            "-1",
            "max",
            "null",
            "__proto__",
            "a b",
            "* * * * *",
            "~",
            "NULL",
            "node@1",
            "app.js"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,6}", inner), 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn any_options() -> impl Strategy<Value = Options> {
    let mut names: Vec<&str> = FIELDS.iter().flat_map(Field::names).collect();
    names.extend([
        "env_x",
        "only",
        "ext",
        "rawArgs",
        "scriptArgs",
        "updateEnv",
        "force_name",
        "constructor",
        "__proto__",
    ]);
    prop::collection::vec((prop::sample::select(names), any_json()), 0..8)
        .prop_map(|pairs| pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
}

proptest! {
    #[test]
    fn whatever_is_given_gives_a_complete_record_or_an_error(
        mut options in any_options(), start in any_options(), config in any_json(), script in ".{0,12}", keep in any::<bool>(),
    ) {
        let w = world(&["bash"]);
        if keep {
            options.insert("script".to_owned(), json!("app.js"));
        }
        let start = StartOptions::from_map(&start);
        let _ = (apps_of(&config), app_name(&options, &start), script_name(&script, &options));
        let _ = (restart_overrides(&options, "x", &w.caller), app_restart(&options, &config, &start, &w.caller));
        // The records, and not the finished forms: those make folders wherever a log file is wished.
        let records = [
            super::start::script_record("app.js", &options, &w.caller).map(|(record, _)| record),
            super::start::script_record(&script, &options, &w.caller).map(|(record, _)| record),
            super::start::app_record(&options, &config, &start, super::nvm::Missing::Refuse, &w.caller),
        ];
        for record in records.into_iter().flatten() {
            for key in ["pm_exec_path", "pm_cwd", "pm_out_log_path", "pm_err_log_path", "pm_pid_path"] {
                prop_assert!(record.prepare[key].as_str().is_some_and(|p| p.starts_with('/')), "{key}");
            }
            for key in ["env", "args", "node_args", "instances", "exec_mode", "name"] {
                let value = record.prepare.get(key);
                prop_assert!(value.is_some() || key == "args", "{key}");
            }
            let keys: BTreeSet<&str> = record.prepare.keys().map(String::as_str).collect();
            prop_assert!(!keys.contains("__proto__") && !keys.contains("constructor"));
        }
    }

    #[test]
    fn whatever_is_in_a_file_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}:,'\"a0&*<\n -]{0,60}") {
        let w = world(&[]);
        for (name, content) in [("a.json", &bytes[..]), ("a.yaml", &bytes[..]), ("b.json", text.as_bytes()), ("b.yml", text.as_bytes())] {
            let path = w.dir.path().join(name);
            std::fs::write(&path, content).unwrap();
            let _ = read_file(&path);
        }
    }
}
