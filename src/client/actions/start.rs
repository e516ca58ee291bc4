//! `start`: a script, or apps (contract/api.md section 6.1); and `restart` and `reload` of apps, which start what is
//! missing.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::aim::{Aim, Options, aim, flag, wanted_apps};
use super::bulk::{self, Scope, Verb, Wishes};
use super::renew::renew_ids;
use super::{answer, caller};
use crate::client::action::{Answer, Context, Target};
use crate::client::error::CallError;
use crate::client::files;
use crate::client::procs::{Listed, ProcFlat, StartedProc, parse, text};
use crate::client::select::{is_numeric, select};
use crate::client::session::Session;
use crate::config::{self, Caller, ConfigError, StartOptions};
use crate::wire::rpc::{ORIGIN, Origin};

pub(super) async fn start(
    session: &Session,
    target: Target,
    options: &Options,
    context: &Context,
) -> Result<Answer, CallError> {
    let caller = caller::caller(session, context);
    let list = bulk::list(session).await?;
    match aim(target, &list, context.base())? {
        Aim::Config(value) => start_apps(session, Verb::Restart, &value, options, &list, &caller).await,
        Aim::Name(script) => start_script(session, &script, options, &list, &caller).await,
    }
}

/// `start(script, options)`: restarts what the text names, else starts the script.
async fn start_script(
    session: &Session,
    script: &str,
    options: &Options,
    list: &[Listed],
    caller: &Caller,
) -> Result<Answer, CallError> {
    let is_name = !script.contains('/') && Path::new(script).extension().is_none();
    if is_numeric(script) || is_name {
        match select(script, list, &caller.cwd) {
            Ok(ids) => return answer(&renew_ids(session, Verb::Restart, ids, options, list, caller).await?),
            // No such name: then it is a script.
            Err(CallError::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    let path = files::resolve(&caller.instance_cwd, script);
    let name = config::script_name(script, options);
    if let Some(same) = list.iter().find(|process| process.runs(&path) && process.name() == name) {
        if ["stopped", "stopping", "errored"].contains(&text(&same.pm2_env.status).as_str()) {
            let ids = list.iter().filter(|process| process.name() == name).map(|process| process.pm_id.clone());
            return answer(&renew_ids(session, Verb::Restart, ids.collect(), options, list, caller).await?);
        }
        if !flag(options, "force") {
            return Err(CallError::refused("ALREADY_LAUNCHED", "Script already launched"));
        }
    }
    let resolved = config::script_form(script, options, caller)?;
    session.warn(resolved.warnings);
    if let Some((name, values)) = resolved.written {
        let file = caller.cwd.join(name);
        let text = serde_json::to_vec_pretty(&values);
        let text = text.map_err(|error| CallError::refused("INTERNAL", error.to_string()))?;
        files::replace(&file, &text)?;
    }
    answer(&prepare(session, &to_send(resolved.prepare, resolved.own_env)).await?)
}

/// An app with a word for our own daemon on where its variables come from.
fn to_send(mut app: Map<String, Value>, own_env: Map<String, Value>) -> Map<String, Value> {
    let origin = Origin { own_env: Some(own_env), offset: None };
    app.insert(ORIGIN.to_owned(), serde_json::to_value(origin).unwrap_or_default());
    app
}

/// Has the daemon start an app: one element for each instance.
pub(super) async fn prepare(session: &Session, app: &Map<String, Value>) -> Result<Vec<StartedProc>, CallError> {
    let mut app = Cow::Borrowed(app);
    let (connection, _) = session.connection().await?;
    if app.contains_key(ORIGIN) && connection.peer().await.is_none() {
        app.to_mut().shift_remove(ORIGIN);
    }
    let started = bulk::first("prepare", session.rpc("prepare", &[&*app]).await?)?;
    let started: Vec<&RawValue> = parse("prepare", &started)?;
    started.into_iter().map(StartedProc::read).collect()
}

/// One element of the answer: processes that existed, and new ones, have different shapes.
#[derive(Debug, serde::Serialize)]
#[serde(untagged)]
enum Done {
    Renewed(Box<ProcFlat>),
    Started(Box<StartedProc>),
}

/// What is to be done for one app.
enum Job {
    Renew(Value, Arc<Wishes>),
    Start(Map<String, Value>),
}

/// `start`, `restart` and `reload` of apps: names that exist are restarted (or reloaded), the others started.
///
/// # Errors
/// An invalid app ends all before anything is started; of what fails later, all is told together with what did start.
pub(super) async fn start_apps(
    session: &Session,
    verb: Verb,
    value: &Value,
    options: &Options,
    list: &[Listed],
    caller: &Caller,
) -> Result<Answer, CallError> {
    let start_options = StartOptions::from_map(options);
    let apps = wanted_apps(session, value, &start_options)?;
    let (jobs, mut errors) = plan(session, &apps, value, &start_options, list, caller)?;
    let (renewals, starts): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| matches!(job, Job::Renew(..)));
    let mut done = Vec::new();
    for jobs in [renewals, starts] {
        let width = bulk::width(session, jobs.len(), start_options.parallel, 2).await;
        let results = bulk::each(jobs, width, |job| {
            let session = session.clone();
            // Errors are answers here: the other apps go on.
            async move { Ok(carry_out(&session, verb, job).await) }
        })
        .await?;
        for result in results {
            match result {
                Ok(processes) => done.extend(processes),
                Err(error) => errors.push(error),
            }
        }
    }
    if errors.is_empty() {
        return answer(&done);
    }
    let partial = serde_json::to_value(&done).unwrap_or_default();
    Err(CallError::Several { errors, partial })
}

/// A warning that says which app it is about.
fn about(app: &config::Options, options: &StartOptions, warning: &str) -> String {
    match config::app_name(app, options) {
        Some(name) if !warning.contains(&format!("app {name}")) => format!("app {name}: {warning}"),
        _ => warning.to_owned(),
    }
}

/// A name that exists: what its processes get, and the app's own variables among that.
type Renewed = (String, Map<String, Value>, Map<String, Value>);

/// Decides for each app; what cannot be started is told, what is invalid ends it.
fn plan(
    session: &Session,
    apps: &[config::Options],
    value: &Value,
    options: &StartOptions,
    list: &[Listed],
    caller: &Caller,
) -> Result<(Vec<Job>, Vec<CallError>), CallError> {
    let mut starts = Vec::new();
    let mut errors = Vec::new();
    // One entry for each name: of two apps of one name, the later one's words count (contract/options.md section 9.4).
    let mut renewed: Vec<Renewed> = Vec::new();
    for app in apps {
        let name = config::app_name(app, options);
        let existing = name.filter(|name| list.iter().any(|process| process.name() == *name));
        let outcome = match &existing {
            Some(_) => config::app_restart(app, value, options, caller).map(|o| (o.env, o.own_env, o.warnings)),
            None => config::app_form(app, value, options, caller)
                .map(|r| (to_send(r.prepare, r.own_env), Map::new(), r.warnings)),
        };
        let outcome = outcome.map(|(env, own, warnings)| {
            session.warn(warnings.into_iter().map(|warning| about(app, options, &warning)).collect());
            (env, own)
        });
        match (outcome, existing) {
            (Ok((env, own)), Some(name)) => match renewed.iter_mut().find(|(known, ..)| *known == name) {
                Some((_, known, known_own)) => {
                    known.extend(env);
                    known_own.extend(own);
                }
                None => renewed.push((name, env, own)),
            },
            (Ok((app, _)), None) => starts.push(Job::Start(app)),
            (Err(error), _) if is_invalid(&error) => return Err(error.into()),
            (Err(error), _) => errors.push(error.into()),
        }
    }
    let mut jobs = Vec::new();
    for (name, env, own) in renewed {
        let scope = Scope::All(Origin { own_env: Some(own), offset: None });
        let wishes = Arc::new(Wishes { env: Value::Object(env), scope });
        let same = list.iter().filter(|process| process.name() == name);
        jobs.extend(same.map(|process| Job::Renew(process.pm_id.clone(), Arc::clone(&wishes))));
    }
    jobs.extend(starts);
    Ok((jobs, errors))
}

/// Whether an app is wrong in itself, so that nothing is started at all.
fn is_invalid(error: &ConfigError) -> bool {
    matches!(
        error,
        ConfigError::Invalid(_)
            | ConfigError::Cron(_)
            | ConfigError::Shape(_)
            | ConfigError::NotRoot
            | ConfigError::UnknownUser(_)
            | ConfigError::UnknownGroup(_)
    )
}

async fn carry_out(session: &Session, verb: Verb, job: Job) -> Result<Vec<Done>, CallError> {
    match job {
        Job::Renew(id, wishes) => {
            let renewed = bulk::act_on_all(session, verb, vec![(id, Some(wishes))], Some(1)).await?;
            Ok(renewed.into_iter().map(|flat| Done::Renewed(Box::new(flat))).collect())
        }
        Job::Start(app) => {
            Ok(prepare(session, &app).await?.into_iter().map(|new| Done::Started(Box::new(new))).collect())
        }
    }
}
