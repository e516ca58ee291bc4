//! `ping`, `getVersion`, `getReport`, `reloadLogs`, `profile*`, and our own `pm2rsInfo`.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::json;

use crate::daemon::answer::Answer;
use crate::daemon::core::Daemon;
use crate::daemon::dispatch::{Args, Reply};
use crate::{PM2_VERSION, VERSION};

pub(in crate::daemon) fn ping(_: &Rc<Daemon>, _: Args<'_>) -> Reply {
    Reply::Now(Answer::value(&json!({ "msg": "pong" })))
}

pub(in crate::daemon) fn version(_: &Rc<Daemon>, _: Args<'_>) -> Reply {
    Reply::Now(Answer::value(PM2_VERSION))
}

/// Who runs here. A client uses it to tell this daemon from stock's.
pub(in crate::daemon) fn info(daemon: &Rc<Daemon>, _: Args<'_>) -> Reply {
    Reply::Now(Answer::value(&json!({
        "version": VERSION,
        "pm2_version": PM2_VERSION,
        "keeper_pid": daemon.keeper_pid.get(),
        "daemon_pid": std::process::id(),
        "generation": daemon.generation,
        "failed_update": daemon.failed_update,
    })))
}

/// The fields that `pm2 report` prints. There is no Node here to speak of.
pub(in crate::daemon) fn report(daemon: &Rc<Daemon>, _: Args<'_>) -> Reply {
    let argv: Vec<String> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let env: BTreeMap<String, String> = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .collect();
    let user = env.get("USER").or_else(|| env.get("LOGNAME")).cloned();
    Reply::Now(Answer::value(&json!({
        "pm2_version": PM2_VERSION,
        "pm2rs_version": VERSION,
        "node_version": "none (native daemon)",
        "node_path": env.get("_").map_or("not found", String::as_str),
        "argv0": argv.first(),
        "argv": argv,
        "user": user,
        "uid": nix::unistd::getuid().as_raw(),
        "gid": nix::unistd::getgid().as_raw(),
        "env": env,
        "managed_apps": daemon.table.borrow().records.len(),
        "started_at": daemon.started_at,
    })))
}

pub(in crate::daemon) fn reload_logs(daemon: &Rc<Daemon>, _: Args<'_>) -> Reply {
    daemon.reopen_logs();
    Reply::Now(Answer::value(&json!({})))
}

/// A failure that is a success, as stock answers one.
pub(in crate::daemon) fn profile(_: &Rc<Daemon>, _: Args<'_>) -> Reply {
    Reply::Now(Answer::value(&json!({ "error": "not supported by the native daemon" })))
}
