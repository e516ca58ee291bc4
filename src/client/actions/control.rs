//! `stop`, `delete`, `restart`, `reload` (contract/api.md sections 5 and 6.2).

use serde_json::Value;
use serde_json::value::RawValue;

use super::aim::{Aim, Options, aim, asked_width, flag, wanted_apps};
use super::bulk::{self, Verb};
use super::reload_lock::ReloadLock;
use super::renew::renew_ids;
use super::{answer, caller, start};
use crate::client::action::{Answer, Context, Target};
use crate::client::error::CallError;
use crate::client::procs::Listed;
use crate::client::select::select;
use crate::client::session::Session;
use crate::config::{self, StartOptions};

/// `stop` and `delete`.
pub(super) async fn end(
    session: &Session,
    verb: Verb,
    target: Target,
    options: &Options,
    context: &Context,
) -> Result<Answer, CallError> {
    let list = bulk::list(session).await?;
    let plain_value = matches!(&target, Target::Config { file: None, .. });
    match aim(target, &list, &context.cwd)? {
        Aim::Name(name) => {
            let targets = select(&name, &list, &context.cwd)?.into_iter().map(|id| (id, None)).collect();
            answer(&bulk::act_on_all(session, verb, targets, asked_width(options)).await?)
        }
        Aim::Config(value) => {
            let start_options = StartOptions::from_map(options);
            let apps = wanted_apps(session, &value, &start_options)?;
            let names: Vec<String> = apps.iter().filter_map(|app| config::app_name(app, &start_options)).collect();
            if names.is_empty() && plain_value {
                // `{}` or `[]` as a target names nothing (Q18); a file without apps has nothing to end.
                return Err(CallError::NotFound);
            }
            answer(&end_apps(session, verb, &names, &list, options).await?)
        }
    }
}

/// Through a config file: whole process descriptions, and never "not found".
async fn end_apps(
    session: &Session,
    verb: Verb,
    names: &[String],
    list: &[Listed],
    options: &Options,
) -> Result<Vec<Box<RawValue>>, CallError> {
    let ids: Vec<Value> =
        list.iter().filter(|process| names.contains(&process.name())).map(|process| process.pm_id.clone()).collect();
    let wide = if verb == Verb::Delete { 10 } else { 2 };
    let width = bulk::width(session, ids.len(), asked_width(options), wide).await;
    let answers = bulk::each(ids, width, |id| {
        let session = session.clone();
        async move { bulk::act(&session, verb, &id, None).await }
    })
    .await?;
    // A process without pid answers what is no process.
    Ok(answers.into_iter().filter(|answer| answer.get().contains("\"pm2_env\"")).collect())
}

/// What a reload of this target is known as to other callers; empty: it may be anything.
fn lock_name(target: &Target) -> String {
    match target {
        Target::Name(name) => name.clone(),
        Target::Config { file: Some(file), .. } => file.to_string_lossy().into_owned(),
        Target::Config { value, .. } => {
            let apps = value.get("apps").unwrap_or(value);
            let apps = apps.as_array().map_or(std::slice::from_ref(apps), Vec::as_slice);
            let names: Vec<&str> = apps.iter().filter_map(|app| app.get("name")?.as_str()).collect();
            names.join(",")
        }
        Target::Nothing => String::new(),
    }
}

/// `restart` and `reload`.
pub(super) async fn renew(
    session: &Session,
    verb: Verb,
    target: Target,
    options: &Options,
    context: &Context,
) -> Result<Answer, CallError> {
    let caller = caller::caller(session, context);
    // Held to the end, whatever the end is.
    let _lock = match verb {
        Verb::Reload => Some(ReloadLock::take(session, &lock_name(&target), flag(options, "force"))?),
        _ => None,
    };
    let list = bulk::list(session).await?;
    match aim(target, &list, context.base())? {
        Aim::Config(value) => start::start_apps(session, verb, &value, options, &list, &caller).await,
        Aim::Name(name) => {
            let ids = select(&name, &list, &context.cwd)?;
            answer(&renew_ids(session, verb, ids, options, &list, &caller).await?)
        }
    }
}
