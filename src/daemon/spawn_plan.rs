//! From a record to what the keeper needs for fork and exec: program, arguments, environment.
//!
//! Owns: the command line (contract/options.md section 6.2), the environment of a child (section 3.2), the search in PATH.
//! Must never: let the daemon's own environment reach an app.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::cluster::is_worker;
use super::record::{Record, scalar_text};
use crate::supervisor::View;
use crate::wire::keeper::SpawnSpec;

/// What every plan needs besides the record.
#[derive(Debug)]
pub(crate) struct PlanContext<'a> {
    /// The script that Node apps preload.
    pub(crate) agent: Option<&'a Path>,
    /// `PM2_NODE_OPTIONS` of the daemon.
    pub(crate) node_options: &'a [String],
    /// PATH of the daemon, for an app whose environment has none.
    pub(crate) path: &'a str,
    /// Epoch milliseconds of this start.
    pub(crate) now: u64,
    /// Set by the cluster room: what makes the process a worker (`NODE_UNIQUE_ID` and the like).
    pub(crate) extra_env: &'a [(&'a str, String)],
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error("Interpreter {0} is NOT AVAILABLE in PATH. (type 'which {0}' to double check.)")]
    NoInterpreter(String),
    #[error("{name} of {app} contains a NUL byte, which no process can be given")]
    Nul { app: String, name: String },
    #[error(
        "{app}: {program} cannot be a worker of Node's cluster; use exec_mode: 'fork' (-x), or interpreter: 'node'"
    )]
    ClusterNeedsNode { app: String, program: String },
    #[error("{app} has no pm_exec_path: there is nothing to start")]
    NoScript { app: String },
}

/// The command line as clients see it: that of the app, without what we add to it.
pub(crate) fn visible_argv(record: &Record) -> Vec<String> {
    let script = record.text("pm_exec_path").unwrap_or_default().to_owned();
    let interpreter = record.text("exec_interpreter").filter(|name| !name.is_empty() && *name != "none");
    let mut argv: Vec<String> = interpreter.map(ToOwned::to_owned).into_iter().collect();
    if interpreter.is_some() {
        argv.extend(record.list("node_args"));
    }
    argv.push(script);
    argv.extend(record.list("args"));
    argv
}

/// The plan for the next process of this instance.
pub(crate) fn plan(record: &Record, view: &View, context: &PlanContext<'_>) -> Result<SpawnSpec, PlanError> {
    let app = || record.name().to_owned();
    let script = record.text("pm_exec_path").ok_or_else(|| PlanError::NoScript { app: app() })?;
    let cwd = record.text("pm_cwd").or_else(|| record.text("cwd")).unwrap_or("/").to_owned();
    let env = environment(record, view, context);
    let interpreter = record.text("exec_interpreter").filter(|name| !name.is_empty()).unwrap_or("none");
    if record.is_cluster() && matches!(interpreter.rsplit('/').next(), Some("bun" | "deno")) {
        // Only a stock client asks for it: our own says so before.
        return Err(PlanError::ClusterNeedsNode { app: app(), program: interpreter.to_owned() });
    }
    let (program, mut argv) = if interpreter == "none" {
        (absolute(script, &cwd), vec![script.to_owned()])
    } else {
        let path = env.get("PATH").and_then(Value::as_str).unwrap_or(context.path);
        let program = find(interpreter, &cwd, path).ok_or_else(|| PlanError::NoInterpreter(interpreter.to_owned()))?;
        let mut argv = vec![interpreter.to_owned()];
        argv.extend(record.list("node_args"));
        argv.extend(context.node_options.iter().cloned());
        if preloads(interpreter, record)
            && let Some(agent) = context.agent.and_then(Path::to_str)
        {
            argv.extend(["--require".to_owned(), agent.to_owned()]);
        }
        argv.push(script.to_owned());
        (program, argv)
    };
    argv.extend(record.list("args"));

    let mut lines = Vec::with_capacity(env.len() + context.extra_env.len());
    for (name, value) in &env {
        if let Some(text) = scalar_text(value) {
            lines.push(format!("{name}={text}"));
        }
    }
    lines.extend(context.extra_env.iter().map(|(name, value)| format!("{name}={value}")));
    let nul = |name: &str| PlanError::Nul { app: app(), name: name.to_owned() };
    if let Some(line) = lines.iter().find(|line| line.contains('\0')) {
        return Err(nul(&format!("environment variable {}", line.split(['=', '\0']).next().unwrap_or_default())));
    }
    if argv.iter().any(|argument| argument.contains('\0')) {
        return Err(nul("an argument"));
    }
    if cwd.contains('\0') {
        return Err(nul("the working directory"));
    }
    Ok(SpawnSpec {
        program: program.to_string_lossy().into_owned(),
        argv,
        env: lines,
        cwd,
        uid: user_number(record, "uid"),
        gid: user_number(record, "gid"),
        groups: Vec::new(),
        ipc: true,
    })
}

/// Exactly the scalar entries of `pm2_env`: pm2's own keys, then the variables, then the state.
fn environment(record: &Record, view: &View, context: &PlanContext<'_>) -> Map<String, Value> {
    let mut env = record.config().clone();
    env.retain(|_, value| scalar_text(value).is_some());
    for (name, value) in record.env().to_map() {
        // A name that no environment can hold would change the name of its neighbour.
        if !name.is_empty() && !name.contains(['=', '\0']) {
            env.insert(name, value);
        }
    }
    // What the daemon sets comes last: a variable inherited from another pm2 app never hides it.
    for key in super::keys::STATE {
        env.shift_remove(key);
    }
    for key in ["NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE", "NODE_UNIQUE_ID"] {
        env.shift_remove(key);
    }
    let var = super::instances::instance_var(record.config());
    if let Some(number) = record.config().get(&var) {
        env.insert(var, number.clone());
    }
    env.insert("unique_id".to_owned(), json!(record.unique_id));
    env.insert("status".to_owned(), json!("launching"));
    env.insert("pm_uptime".to_owned(), json!(context.now));
    env.insert("created_at".to_owned(), json!(view.created_at.unwrap_or(context.now)));
    env.insert("pm_id".to_owned(), json!(record.id.0));
    env.insert("restart_time".to_owned(), json!(view.restart_time));
    env.insert("unstable_restarts".to_owned(), json!(view.unstable_restarts));
    if let Some(version) = &record.version {
        env.insert("version".to_owned(), json!(**version));
    }
    env
}

/// Whether the agent is loaded into this app: Node and Bun, unless `pmx` is off. A cluster worker has it in any case: it
/// then does nothing but let kept connections go when the worker is replaced.
fn preloads(interpreter: &str, record: &Record) -> bool {
    let base = interpreter.rsplit('/').next().unwrap_or(interpreter);
    (base.ends_with("node") || base.ends_with("bun")) && (record.flag("pmx") != Some(false) || is_worker(record))
}

fn user_number(record: &Record, key: &str) -> Option<u32> {
    match record.config().get(key)? {
        Value::Number(number) => number.as_u64().and_then(|n| u32::try_from(n).ok()),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn absolute(path: &str, cwd: &str) -> PathBuf {
    Path::new(cwd).join(path)
}

/// The executable that a name means: a path as it is, anything else as the shell would find it.
fn find(name: &str, cwd: &str, path: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(absolute(name, cwd));
    }
    path.split(':').map(|folder| absolute(folder, cwd).join(name)).find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::env_block::EnvBlock;
    use crate::model::{PmId, Status};

    fn view() -> View {
        View {
            status: Status::Launching,
            pid: None,
            run: None,
            started_at: None,
            created_at: None,
            restart_time: 0,
            unstable_restarts: 0,
            last_exit: None,
            ended_at: None,
            prev_restart_delay: None,
        }
    }

    fn spec(config: Value, env: Value) -> Result<SpawnSpec, PlanError> {
        let (Value::Object(config), Value::Object(env)) = (config, env) else { panic!("objects") };
        let record = Record::new(PmId(4), config, EnvBlock::new(&env), "u");
        let context = PlanContext {
            agent: Some(Path::new("/agent.js")),
            node_options: &["--trace-gc".to_owned()],
            path: "/bin:/usr/bin",
            now: 5,
            extra_env: &[],
        };
        plan(&record, &view(), &context)
    }

    #[test]
    fn a_node_app_has_its_script_as_first_argument() {
        let spec = spec(
            json!({ "name": "a", "pm_exec_path": "/x/a.js", "pm_cwd": "/x", "exec_interpreter": "/opt/node",
                    "node_args": ["--inspect"], "args": ["one", 2] }),
            json!({}),
        )
        .unwrap();
        assert_eq!(spec.program, "/opt/node");
        let argv = ["/opt/node", "--inspect", "--trace-gc", "--require", "/agent.js", "/x/a.js", "one", "2"];
        assert_eq!(spec.argv, argv);
    }

    #[test]
    fn without_pmx_only_workers_get_the_agent_and_other_interpreters_never() {
        for (interpreter, pmx, mode, preloaded) in [
            ("/opt/node", json!("false"), "fork_mode", false),
            ("sh", json!(true), "fork_mode", false),
            ("/opt/node", json!("false"), "cluster_mode", true),
        ] {
            let spec = spec(
                json!({ "name": "a", "pm_exec_path": "/x/a", "pm_cwd": "/x", "exec_interpreter": interpreter, "pmx": pmx,
                        "exec_mode": mode }),
                json!({}),
            );
            assert_eq!(spec.unwrap().argv.contains(&"--require".to_owned()), preloaded, "{interpreter} {mode}");
        }
    }

    #[test]
    fn bun_and_deno_are_no_workers() {
        for (interpreter, mode, starts) in
            [("/opt/bun", "cluster_mode", false), ("deno", "cluster_mode", false), ("/opt/bun", "fork_mode", true)]
        {
            let config = json!({ "name": "a", "pm_exec_path": "/x/a", "pm_cwd": "/x", "exec_interpreter": interpreter,
                                 "exec_mode": mode });
            let said = spec(config, json!({})).err().map(|error| error.to_string());
            // Where the program is not installed that is said as well.
            let refused = said.as_ref().is_some_and(|said| said.contains("exec_mode: 'fork'"));
            assert_eq!(refused, !starts, "{interpreter} {mode}: {said:?}");
        }
    }

    #[test]
    fn the_environment_is_the_scalars_of_pm2_env_and_nothing_else() {
        let spec = spec(
            json!({ "name": "a", "env": null, "pm_exec_path": "/x/a", "exec_interpreter": "none", "args": ["x"],
                    "watch": false, "NODE_APP_INSTANCE": 1 }),
            json!({ "A": "1", "B": true, "O": {}, "name": "mine", "status": "evil", "NODE_CHANNEL_FD": "9", "x=y": "1" }),
        )
        .unwrap();
        let mut env = spec.env.clone();
        env.sort();
        let wanted = "A=1 B=true NODE_APP_INSTANCE=1 created_at=5 exec_interpreter=none name=mine pm_exec_path=/x/a \
                      pm_id=4 pm_uptime=5 restart_time=0 status=launching unique_id=u unstable_restarts=0 version=N/A \
                      watch=false";
        assert_eq!(env, wanted.split_whitespace().collect::<Vec<_>>());
        assert_eq!(spec.argv, ["/x/a", "x"]);
    }

    #[test]
    fn a_missing_interpreter_is_named() {
        let error =
            spec(json!({ "name": "a", "pm_exec_path": "/x", "exec_interpreter": "zzz" }), json!({})).unwrap_err();
        assert_eq!(error.to_string(), "Interpreter zzz is NOT AVAILABLE in PATH. (type 'which zzz' to double check.)");
    }

    #[test]
    fn the_search_uses_the_apps_own_path() {
        let found = spec(
            json!({ "name": "a", "pm_exec_path": "/x", "exec_interpreter": "sh" }),
            json!({ "PATH": "/nope:/bin" }),
        );
        assert_eq!(found.unwrap().program, "/bin/sh");
        let lost =
            spec(json!({ "name": "a", "pm_exec_path": "/x", "exec_interpreter": "sh" }), json!({ "PATH": "/nope" }));
        assert!(lost.is_err());
    }

    #[test]
    fn nul_bytes_are_refused_with_words() {
        let config = json!({ "name": "a", "pm_exec_path": "/x", "exec_interpreter": "none" });
        let error = spec(config, json!({ "BAD": "x\0y" })).unwrap_err();
        assert_eq!(
            error.to_string(),
            "environment variable BAD of a contains a NUL byte, which no process can be given"
        );
    }
}
