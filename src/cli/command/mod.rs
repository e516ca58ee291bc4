//! One file per command, or per family of commands.

mod act;
mod apply;
mod completion;
mod config_target;
mod daemon;
mod deploy;
mod describe;
mod doctor;
mod done;
mod init;
mod list;
pub(super) mod logs;
mod machine;
mod messages;
mod modules;
mod monit;
mod refused;
mod save;
mod serve;
mod settings;
mod start;
mod startup;
mod talk;
mod target;
mod wait;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::grammar::Request;
use super::process::Process;
use super::{Exit, LoadConfig, Ui};
use crate::client::{self, Action, CallError, Context, Session};

/// What a command works with.
pub(super) struct Call<'a> {
    pub(super) session: &'a Session,
    pub(super) context: Context,
    /// The variables of the caller.
    pub(super) local: &'a BTreeMap<String, String>,
    pub(super) config: &'a dyn LoadConfig,
    pub(super) request: &'a Request,
    /// What the user called, for commands that write down how to be called again.
    pub(super) program: Option<&'a std::path::Path>,
}

/// Why a command failed, as a line for stderr.
#[derive(Debug)]
pub(super) enum Failure {
    /// A refusal by client or daemon, about this target.
    Call { target: String, error: CallError },
    /// The same as `[PM2][ERROR] text`.
    Text(String),
    /// Already said.
    Said,
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Failure {
        Failure::Call { target: String::new(), error }
    }
}

/// Runs the command of a request; failures are told here, once.
pub(super) async fn run(call: &mut Call<'_>, ui: &mut Ui) -> Exit {
    let done = match call.request.command.as_str() {
        "start" => start::run(call, ui).await,
        "startOrRestart" | "startOrReload" | "startOrGracefulReload" => start::start_or(call, ui).await,
        "restart" | "reload" | "stop" | "delete" => act::run(call, ui).await,
        "scale" => act::scale(call, ui).await,
        "reset" => act::reset(call, ui).await,
        "list" => list::list(call, ui).await,
        "jlist" => list::jlist(call, ui).await,
        "id" => list::id(call, ui).await,
        "pid" => list::pid(call, ui).await,
        "describe" => describe::run(call, ui).await,
        "env" => describe::env(call, ui).await,
        "logs" => logs::run(call, ui).await,
        "flush" => save::flush(call, ui).await,
        "reloadLogs" => save::reload_logs(call, ui).await,
        "save" => save::save(call, ui).await,
        "resurrect" => save::resurrect(call, ui).await,
        "cleardump" => save::clear(call, ui).await,
        "send" => messages::send(call, ui).await,
        "sendSignal" => messages::signal(call, ui).await,
        "trigger" => messages::trigger(call, ui).await,
        "ping" => daemon::ping(call, ui).await,
        "kill" => daemon::kill(call, ui).await,
        "update" => daemon::update(call, ui).await,
        "prettylist" => machine::prettylist(call, ui).await,
        "slist" => machine::slist(call, ui).await,
        "report" => machine::report(call, ui).await,
        "apply" => apply::run(call, ui).await,
        "monit" => monit::run(call, ui).await,
        "doctor" => doctor::run(call, ui).await,
        "init" => init::run(call, ui),
        "startup" | "unstartup" => startup::run(call, ui),
        "set" | "get" | "conf" | "config" | "multiset" | "unset" => settings::run(call, ui).await,
        "attach" => talk::attach(call, ui).await,
        "inspect" => talk::inspect(call, ui).await,
        "monitor" | "unmonitor" => talk::monitor(call, ui).await,
        "serve" => serve::run(call, ui).await,
        "completion" => completion::run(call, ui).await,
        "deploy" => deploy::run(call, ui).await,
        "install" | "uninstall" | "module:update" | "module:generate" | "module:list" | "package" => {
            modules::run(call, ui).await
        }
        "examples" => {
            ui.data(refused::EXAMPLES);
            Ok(())
        }
        _ => refused::run(call, ui),
    };
    call.warn(ui);
    let succeeded = done.is_ok();
    if let Err(failure) = done {
        tell(call, &failure, ui).await;
    }
    // With `--json` every command says at least whether it did what it was asked for.
    if ui.is_json() && !ui.has_written() {
        let action = &call.request.command;
        ui.data(&format!("{}\n", json!({ "ok": succeeded, "action": action, "processes": [], "errors": [] })));
    }
    if succeeded { Exit::Success } else { Exit::Failure }
}

/// One line on stderr, with the words that scripts look for (contract/cli.md sections 3 to 5).
async fn tell(call: &Call<'_>, failure: &Failure, ui: &mut Ui) {
    if ui.is_json() {
        let errors = match failure {
            Failure::Said => return,
            Failure::Text(text) => vec![json!({ "code": "FAILED", "message": text, "target": "" })],
            Failure::Call { target, error } => {
                vec![json!({ "code": error.code(), "message": error.to_string(), "target": target })]
            }
        };
        let action = &call.request.command;
        ui.data(&format!("{}\n", json!({ "ok": false, "action": action, "processes": [], "errors": errors })));
        return;
    }
    let (target, error) = match failure {
        Failure::Said => return,
        Failure::Text(text) => return ui.error(text),
        Failure::Call { target, error } => (target, error),
    };
    match error {
        CallError::NotFound => {
            ui.error(&format!("Process or Namespace {target} not found"));
            call.hint(target, ui).await;
        }
        CallError::NoMatch => ui.warn("No process found"),
        CallError::Several { errors, .. } => {
            for one in errors {
                ui.error(&format!("Error: {one}"));
            }
        }
        other => match other.to_string().as_str() {
            "Script already launched" => {
                ui.error("Script already launched, add -f option to force re-execution");
            }
            "Unknown process name" => ui.complain("Unknown process name"),
            text => ui.error(text),
        },
    }
}

impl Call<'_> {
    /// Runs one action of the client and reads its answer.
    pub(super) async fn ask<T: DeserializeOwned>(&self, action: Action) -> Result<T, CallError> {
        let answer = client::run(self.session, action).await?;
        serde_json::from_str(answer.get())
            .map_err(|error| CallError::BadAnswer { method: "the client".into(), reason: error.to_string() })
    }

    /// Says what the client has to say about the options of what it was asked for.
    pub(super) fn warn(&self, ui: &mut Ui) {
        for warning in self.session.take_warnings() {
            ui.warn(&warning);
        }
    }

    /// The same, with the target that a failure is about.
    pub(super) async fn ask_about<T: DeserializeOwned>(&self, target: &str, action: Action) -> Result<T, Failure> {
        self.ask(action).await.map_err(|error| Failure::Call { target: target.to_owned(), error })
    }

    /// Whether a daemon answers. Queries ask this first: they launch none.
    pub(super) async fn has_daemon(&self) -> Result<bool, CallError> {
        self.session.connect_if_alive().await
    }

    /// On a terminal, the nearest names to one that nothing has.
    async fn hint(&self, target: &str, ui: &mut Ui) {
        if !ui.is_terminal() {
            return;
        }
        let mut names: Vec<String> =
            self.processes().await.unwrap_or_default().into_iter().map(|process| process.name).collect();
        names.sort();
        names.dedup();
        names.sort_by_key(|name| distance(name, target));
        names.truncate(3);
        if !names.is_empty() {
            ui.complain(&format!("hint: there is {}", names.join(", ")));
        }
    }

    /// The whole list; empty without a daemon.
    pub(super) async fn processes(&self) -> Result<Vec<Process>, CallError> {
        if !self.has_daemon().await? {
            return Ok(Vec::new());
        }
        self.ask(Action::List).await
    }

    /// What an action ends with: the table, the short list, or one JSON object.
    pub(super) async fn finish(&self, ui: &mut Ui, done: &[Value]) -> Result<(), Failure> {
        if ui.is_json() {
            let report = json!({
                "ok": true,
                "action": self.request.command,
                "processes": done.iter().map(brief).collect::<Vec<_>>(),
                "errors": [],
            });
            ui.data(&format!("{report}\n"));
            return Ok(());
        }
        if self.request.is_set("quiet") {
            return Ok(());
        }
        list::show(self, ui).await
    }
}

/// How many letters must change to make one word of another.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        for (cell, right) in row.iter_mut().skip(1).zip(b.chars()) {
            let next = (diagonal + usize::from(left != right)).min(before + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, next);
            before = next;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// What `--json` says of one process.
fn brief(process: &Value) -> Value {
    let env = &process["pm2_env"];
    let pick = |key: &str| process.get(key).filter(|v| !v.is_null()).or_else(|| env.get(key)).cloned();
    json!({
        "name": pick("name"),
        "pm_id": pick("pm_id"),
        "namespace": pick("namespace"),
        "status": pick("status"),
        "pid": pick("pid"),
        "restart_time": pick("restart_time"),
    })
}
