//! From a request to the method it names.
//!
//! Owns: the list of methods, and the answer to what is no call.
//! Must never: fail on what a client sent: it answers.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use serde_json::value::RawValue;

use super::answer::{Answer, Rendered};
use super::core::Daemon;
use super::methods::{about, lifecycle, list, messages, prepare, shutdown, signals, update, watch};

/// How a method answers.
pub(crate) enum Reply {
    Now(Answer),
    Later(Pin<Box<dyn Future<Output = Answer>>>),
    /// `notifyKillPM2` and `killMe`: the connection simply closes.
    Never,
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Reply::Now(_) => "Now",
            Reply::Later(_) => "Later",
            Reply::Never => "Never",
        })
    }
}

impl Reply {
    pub(crate) fn error(message: &str) -> Reply {
        Reply::Now(Answer::error(message))
    }

    /// The answer is what a command's reply will be.
    pub(crate) fn after(reply: tokio::sync::oneshot::Receiver<Rendered>) -> Reply {
        Reply::Later(Box::pin(async move { Answer::rendered(outcome(reply).await) }))
    }
}

/// What a command's reply says; a daemon that ends answers what it can.
pub(crate) async fn outcome(reply: tokio::sync::oneshot::Receiver<Rendered>) -> Rendered {
    reply.await.unwrap_or_else(|_| Err("the daemon is ending".to_owned()))
}

/// The arguments of a call, as JSON texts. One that is missing is null.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Args<'a>(pub(crate) &'a [Box<RawValue>]);

impl Args<'_> {
    pub(crate) fn text(&self, index: usize) -> &str {
        self.0.get(index).map_or("null", |raw| raw.get())
    }
}

type Method = fn(&Rc<Daemon>, Args<'_>) -> Reply;

/// Every method with the names of its parameters, as stock lists them (contract/vectors/rpc-methods.json).
const METHODS: [(&str, &[&str], Method); 30] = [
    ("killMe", &[], shutdown::kill_me),
    ("profileCPU", &[], about::profile),
    ("profileMEM", &[], about::profile),
    ("prepare", &["env", "cb"], prepare::prepare),
    ("getMonitorData", &["env", "cb"], list::monitor_data),
    ("getSystemData", &["env", "cb"], list::system_data),
    ("startProcessId", &["id", "cb"], lifecycle::start),
    ("stopProcessId", &["id", "cb"], lifecycle::stop),
    ("restartProcessId", &["opts", "cb"], lifecycle::restart),
    ("deleteProcessId", &["id", "cb"], lifecycle::delete),
    ("sendLineToStdin", &["packet", "cb"], messages::send_line),
    ("softReloadProcessId", &["opts", "cb"], lifecycle::soft_reload),
    ("reloadProcessId", &["opts", "cb"], lifecycle::reload),
    ("duplicateProcessId", &["id", "cb"], prepare::duplicate),
    ("resetMetaProcessId", &["id", "cb"], lifecycle::reset),
    ("stopWatch", &["method", "value", "fn"], watch::stop),
    ("startWatch", &["method", "value", "fn"], watch::start),
    ("toggleWatch", &["method", "value", "fn"], watch::toggle),
    ("notifyByProcessId", &["opts", "cb"], messages::notify),
    ("notifyKillPM2", &[], shutdown::notify_kill),
    ("monitor", &["pm_id", "cb"], list::monitor),
    ("unmonitor", &["pm_id", "cb"], list::unmonitor),
    ("msgProcess", &["cmd", "cb"], messages::msg_process),
    ("sendDataToProcessId", &["packet", "cb"], messages::send_data),
    ("sendSignalToProcessId", &["opts", "cb"], signals::to_id),
    ("sendSignalToProcessName", &["opts", "cb"], signals::to_name),
    ("ping", &["env", "cb"], about::ping),
    ("getVersion", &["env", "cb"], about::version),
    ("getReport", &["arg", "cb"], about::report),
    ("reloadLogs", &["opts", "cb"], about::reload_logs),
];

/// Methods that stock does not have.
const OURS: [(&str, &[&str], Method); 2] =
    [("pm2rsInfo", &["env", "cb"], about::info), ("pm2rsUpdate", &["opts", "cb"], update::update)];

/// Calls a method.
pub(crate) fn call(daemon: &Rc<Daemon>, method: &str, args: &[Box<RawValue>]) -> Reply {
    match METHODS.iter().chain(&OURS).find(|(name, ..)| *name == method) {
        Some((.., run)) => run(daemon, Args(args)),
        None => Reply::Now(Answer::refusal(&format!("method \"{method}\" does not exist"))),
    }
}

/// The reply to `{type: "methods"}`.
pub(crate) fn methods() -> Answer {
    #[derive(serde::Serialize)]
    struct Described {
        name: &'static str,
        params: &'static [&'static str],
    }
    let mut text = String::from(r#"{"methods":{"#);
    for (name, params, _) in METHODS.iter().chain(&OURS) {
        super::env_block::push_key(&mut text, name);
        super::env_block::push_json(&mut text, &Described { name, params });
    }
    text.push_str("}}");
    Answer::payload(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_methods_are_stocks_and_two_of_ours() {
        let vector = include_str!("../../tests/vectors/rpc-methods.json");
        let vector: serde_json::Value = serde_json::from_str(vector).unwrap();
        let stock = &vector["calls"]["methods"][0]["methods"];
        let mut answer: serde_json::Value = serde_json::from_str(methods().text()).unwrap();
        let ours = answer["methods"].as_object_mut().unwrap();
        assert!(ours.remove("pm2rsInfo").is_some() && ours.remove("pm2rsUpdate").is_some());
        assert_eq!(serde_json::Value::Object(ours.clone()), *stock);
    }
}
