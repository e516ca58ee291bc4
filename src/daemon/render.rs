//! One instance as the replies of the RPC methods show it (contract/wire.md section 6, contract/api.md section 7).

use super::env_block::{push_json, push_key, push_member};
use super::record::Record;
use super::sampler::Monit;
use super::spawn_plan;
use crate::supervisor::View;
use crate::wire::rpc::{ORIGIN, Origin};

/// `{pid, name, pm2_env, pm_id, monit?}`, as list and describe show it.
pub(crate) fn push_proc(out: &mut String, record: &Record, view: &View, monit: Option<Monit>) {
    out.push('{');
    push_key(out, "pid");
    push_json(out, &view.pid.unwrap_or(0));
    push_key(out, "name");
    out.push_str(record.name_json());
    push_key(out, "pm2_env");
    record.push_pm2_env(out, view, true, false);
    push_key(out, "pm_id");
    record.push_pm_id(out, false);
    if let Some(monit) = monit {
        push_key(out, "monit");
        push_json(out, &monit);
    }
    out.push('}');
}

/// What the verbs of our own client look into, and nothing that has to be measured.
pub(crate) fn push_brief(out: &mut String, record: &Record, view: &View) {
    out.push('{');
    push_key(out, "pid");
    push_json(out, &view.pid.unwrap_or(0));
    push_key(out, "name");
    push_json(out, record.name());
    push_key(out, "pm2_env");
    out.push_str(r#"{"status":"#);
    push_json(out, &view.status);
    for key in ["namespace", "pm_exec_path", "pmx_module", "pm_out_log_path", "pm_err_log_path", "pm_log_path"] {
        if let Some(value) = record.config().get(key) {
            push_member(out, key, value);
        }
    }
    out.push('}');
    push_key(out, "pm_id");
    record.push_pm_id(out, false);
    out.push('}');
}

/// What our own client saves: `pm2_env`, and in it what is needed to renew the environment of a process that is made of it.
pub(crate) fn push_saved(out: &mut String, record: &Record, view: &View) {
    out.push_str(r#"{"pm2_env":"#);
    record.push_pm2_env(out, view, true, false);
    let origin = record.origin();
    if origin != Origin::default() && out.ends_with('}') {
        out.pop();
        push_key(out, ORIGIN);
        push_json(out, &origin);
        out.push('}');
    }
    out.push('}');
}

/// The reply to a start or restart: the useful part of what stock sends of its worker object
/// (contract/api.md section 7.2).
pub(crate) fn push_clu(out: &mut String, record: &Record, view: &View, shape: Clu) {
    let process = |out: &mut String| {
        out.push_str(r#""connected":true,"signalCode":null,"exitCode":null,"killed":false"#);
        push_key(out, "spawnfile");
        let argv = spawn_plan::visible_argv(record);
        push_json(out, argv.first().map_or("", String::as_str));
        push_key(out, "spawnargs");
        push_json(out, &argv);
        push_key(out, "pid");
        push_json(out, &view.pid.unwrap_or(0));
    };
    out.push('{');
    match (shape, record.is_cluster()) {
        (Clu::Saved, _) => out.push_str(r#""process":{}"#),
        (Clu::NotStarted, _) => out.push_str(r#""process":{"pid":0}"#),
        (Clu::Running, false) => {
            process(out);
            push_key(out, "process");
            out.push('{');
            push_key(out, "pid");
            push_json(out, &view.pid.unwrap_or(0));
            out.push('}');
        }
        (Clu::Running, true) => {
            out.push_str(r#""state":"online""#);
            push_key(out, "id");
            push_json(out, &view.run.map_or(0, |run| run.0));
            push_key(out, "process");
            out.push('{');
            process(out);
            out.push('}');
            push_key(out, "pid");
            push_json(out, &view.pid.unwrap_or(0));
        }
    }
    push_key(out, "name");
    push_json(out, record.name());
    push_key(out, "pm_id");
    record.push_pm_id(out, false);
    push_key(out, "pm2_env");
    record.push_pm2_env(out, view, true, false);
    out.push('}');
}

/// Which of the three shapes a reply to `prepare` has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clu {
    Running,
    /// `autostart: false`.
    NotStarted,
    /// A stopped app of a dump.
    Saved,
}
