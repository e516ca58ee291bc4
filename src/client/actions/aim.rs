//! What a verb is asked to act on, and how: its target and its options, read.

use std::path::Path;

use serde_json::{Map, Value};

use crate::client::action::Target;
use crate::client::error::CallError;
use crate::client::files;
use crate::client::procs::Listed;
use crate::client::session::Session;
use crate::config::{self, StartOptions};

/// What a verb gets as options.
pub(super) type Options = Map<String, Value>;

/// A target after a look at the list: a config file is read, unless a process has that name (Q44).
pub(super) enum Aim {
    Name(String),
    Config(Value),
}

/// Reads the config file that a target names, relative to `base`.
pub(super) fn aim(target: Target, list: &[Listed], base: &Path) -> Result<Aim, CallError> {
    match target {
        Target::Config { value, .. } => Ok(Aim::Config(value)),
        Target::Nothing => Err(CallError::NotFound),
        Target::Name(name) => {
            if config::is_config_file(&name).is_none() || list.iter().any(|process| process.name() == name) {
                return Ok(Aim::Name(name));
            }
            Ok(Aim::Config(config::read_file(&files::resolve(base, &name))?))
        }
    }
}

/// `parallel` of the options.
pub(super) fn asked_width(options: &Options) -> Option<usize> {
    let value = options.get("parallel")?;
    value.as_u64().and_then(|n| usize::try_from(n).ok()).or_else(|| value.as_str()?.parse().ok())
}

/// Whether an option is set, as JavaScript sees it for the values that options have.
pub(super) fn flag(options: &Options, name: &str) -> bool {
    !matches!(options.get(name), None | Some(Value::Null | Value::Bool(false)))
}

/// The apps of a config, as far as `only` lets them through.
pub(super) fn wanted_apps(
    session: &Session,
    value: &Value,
    options: &StartOptions,
) -> Result<Vec<config::Options>, CallError> {
    let mut apps = config::apps_of(value)?;
    let agent = &session.options().agent;
    if !agent.as_os_str().is_empty() {
        let server = agent.with_file_name("static_server.js");
        for app in &mut apps {
            config::use_static_server(app, &server);
        }
    }
    if !options.only.is_empty() {
        apps.retain(|app| config::app_name(app, options).is_some_and(|name| options.only.contains(&name)));
    }
    Ok(apps)
}
