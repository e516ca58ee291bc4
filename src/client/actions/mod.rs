//! What each verb does; one file per family.
//!
//! Owns: the order of calls to the daemon, and the shape of each answer. Does not own: the options (`config`), the
//! connection (`session`).

mod aim;
mod bulk;
mod caller;
mod control;
mod dump;
mod flags;
mod kill;
mod logs;
mod messages;
mod modules;
mod plan;
mod query;
mod reload_lock;
mod renew;
mod scale;
mod settings;
mod start;
mod update;

use serde::Serialize;
use serde_json::{Value, json};

use super::action::{Action, Answer};
use super::error::CallError;
use super::session::Session;
use bulk::Verb;

/// An answer made here.
fn answer<T: Serialize + ?Sized>(value: &T) -> Result<Answer, CallError> {
    serde_json::value::to_raw_value(value).map_err(|error| CallError::refused("INTERNAL", error.to_string()))
}

/// What many verbs answer.
fn success() -> Result<Answer, CallError> {
    answer(&json!({ "success": true }))
}

/// Calls a method whose answer is the verb's.
async fn pass<A: Serialize + Sync + ?Sized>(session: &Session, method: &str, args: &A) -> Result<Answer, CallError> {
    bulk::first(method, session.rpc(method, args).await?)
}

/// Carries out one verb. The answer is exactly what pm2's errback gets (contract/api.md section 6).
pub async fn run(session: &Session, action: Action) -> Result<Answer, CallError> {
    let answer = carry_out(session, action).await;
    modules::launch_with_daemon(session).await;
    answer
}

async fn carry_out(session: &Session, action: Action) -> Result<Answer, CallError> {
    let nothing = serde_json::Map::new();
    match action {
        Action::Connect => connect(session).await,
        Action::PingDaemon => answer(&session.is_alive().await?),
        Action::Start { target, options, context } => start::start(session, target, &options, &context).await,
        Action::Plan { target, options, context } => plan::plan(session, target, &options, &context).await,
        Action::Stop { target, options, context } => {
            control::end(session, Verb::Stop, target, &options, &context).await
        }
        Action::Delete { target, options, context } => {
            control::end(session, Verb::Delete, target, &options, &context).await
        }
        Action::Restart { target, options, context } => {
            control::renew(session, Verb::Restart, target, &options, &context).await
        }
        Action::Reload { target, options, context } => {
            control::renew(session, Verb::Reload, target, &options, &context).await
        }
        Action::Scale { name, count } => scale::scale(session, &name, &count).await,
        Action::Reset { target, context } => flags::reset(session, &target, &context).await,
        Action::List => bulk::raw_list(session).await,
        Action::ListDelta => bulk::ask_list(session, json!({ "delta": true })).await,
        Action::Describe { target } => query::describe(session, &target).await,
        Action::GetPid { name } => query::pids(session, name.as_ref()).await,
        Action::GetProcessIdByName { name, context } => query::ids(session, &name, &context).await,
        Action::GetVersion => pass(session, "getVersion", &[nothing]).await,
        Action::Ping => pass(session, "ping", &[nothing]).await,
        Action::Env { id } => query::env(session, &id).await,
        Action::Report => pass(session, "getReport", &[nothing]).await,
        Action::SendSignalToProcessName { signal, name } => {
            pass(session, "sendSignalToProcessName", &[json!({ "signal": signal, "process_name": name })]).await
        }
        Action::SendSignalToProcessId { signal, id } => {
            pass(session, "sendSignalToProcessId", &[json!({ "signal": signal, "process_id": id })]).await
        }
        Action::SendDataToProcessId { id, packet } => messages::send_data(session, id, packet).await,
        Action::SendLineToStdin { id, line, separator } => messages::send_line(session, &id, &line, separator).await,
        Action::MsgProcess { options } => pass(session, "msgProcess", &[options]).await,
        Action::Trigger { target, name, params } => messages::trigger(session, &target, &name, params).await,
        Action::Dump { force } => dump::dump(session, force).await,
        Action::ClearDump => dump::clear(session),
        Action::Resurrect => dump::resurrect(session).await,
        Action::Flush { target } => logs::flush(session, target.as_ref()).await,
        Action::ReloadLogs => pass(session, "reloadLogs", &[nothing]).await,
        Action::KillDaemon => kill::kill(session).await,
        Action::Update => update::update(session).await,
        Action::Destroy => kill::destroy(session).await,
        Action::MonitorState { state, target } => flags::monitor(session, &state, &target).await,
        Action::StartWatch { method, env } => pass(session, "startWatch", &(method, env)).await,
        Action::StopWatch { method, env } => pass(session, "stopWatch", &(method, env)).await,
        Action::ToggleWatch { method, env } => pass(session, "toggleWatch", &(method, env)).await,
        Action::NotifyByProcessId { id, name } => flags::notify(session, &id, &name).await,
        Action::Get { key } => settings::get(session, key.as_deref()),
        Action::Set { key, value, context } => settings::set(session, &key, value, &context).await,
        Action::Multiset { text, context } => settings::multiset(session, &text, &context).await,
        Action::Unset { key } => settings::unset(session, &key),
        Action::InstallModule { module, context } => modules::install(session, &module, &context).await,
        Action::UninstallModule { name } => modules::uninstall(session, &name).await,
        Action::LaunchModules { context } => modules::launch(session, &context).await,
        Action::Modules => modules::names(session),
        // What stock clients call `getExposedMethods` is a question of its own on the wire.
        Action::Rpc { method, .. } if method == "$methods" => answer(&session.methods().await?),
        Action::Rpc { method, args } => answer(&session.rpc(&method, &args).await?),
    }
}

/// What `connect` tells (contract/api.md section 4.1).
async fn connect(session: &Session) -> Result<Answer, CallError> {
    let launched = session.connect().await?;
    let home = session.home();
    let meta: Value = json!({
        "new_pm2_instance": launched,
        "rpc_socket_file": home.rpc_socket,
        "pub_socket_file": home.pub_socket,
        "pm2_home": home.root,
    });
    answer(&meta)
}
