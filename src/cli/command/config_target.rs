//! A target that is a config file: the apps that it holds, and which options of the command line count with it.

use std::io::Read;

use serde_json::{Map, Value};

use super::super::Ui;
use super::super::grammar::is_javascript;
use super::{Call, Failure};
use crate::client::Target;
use crate::config;

/// The apps that a target holds, if it is a config file or `-`.
pub(super) async fn config_target(call: &Call<'_>, target: &str) -> Result<Option<Target>, Failure> {
    if target == "-" {
        let mut text = String::new();
        std::io::stdin()
            .take(16 << 20)
            .read_to_string(&mut text)
            .map_err(|error| Failure::Text(format!("cannot read apps from stdin: {error}")))?;
        let value = json5::from_str(&text)
            .map_err(|error| Failure::Text(format!("what came from stdin is not JSON: {error}")))?;
        return Ok(Some(Target::Config { value, file: None }));
    }
    if config::is_config_file(target).is_none() {
        return Ok(None);
    }
    let path = call.context.cwd.join(target);
    if !path.exists() {
        return Err(Failure::Text(format!("File {target} not found")));
    }
    let value = if is_javascript(&path) {
        call.config.load(&path).await.map_err(|why| malformed(target, &why))?
    } else {
        match config::read_file(&path) {
            // pm2 evaluates such files, too: `{ cwd: process.cwd() }`.
            Err(config::ConfigError::NeedsJavaScript(_)) => {
                call.config.load(&path).await.map_err(|why| malformed(target, &why))?
            }
            read => read.map_err(|error| malformed(target, &error.to_string()))?,
        }
    };
    Ok(Some(Target::Config { value, file: Some(path) }))
}

fn malformed(target: &str, why: &str) -> Failure {
    Failure::Text(format!("File {target} malformated\n{why}"))
}

/// Of the command line only these count next to a config file; what is dropped is said.
pub(super) fn config_options(call: &Call<'_>, ui: &mut Ui) -> Map<String, Value> {
    const KEPT: [&str; 5] = ["namespace", "watch", "uid", "gid", "cwd"];
    let mut options = steering(call);
    let mut dropped = Vec::new();
    for (key, value) in &call.request.attributes {
        if KEPT.contains(&key.as_str()) {
            options.insert(key.clone(), value.clone());
        } else {
            dropped.push(format!("`{key}`"));
        }
    }
    if call.request.app_args.is_some() {
        dropped.push("the arguments after `--`".into());
    }
    if !dropped.is_empty() {
        ui.warn(&format!("{} not used with a config file: set it there", dropped.join(", ")));
    }
    options
}

/// The options of the command line that steer an action, in the client's words.
pub(super) fn steering(call: &Call<'_>) -> Map<String, Value> {
    let mut options = Map::new();
    for (flag, option) in [("env", "env"), ("only", "only"), ("parallel", "parallel")] {
        if let Some(text) = call.request.value(flag) {
            options.insert(option.into(), text.into());
        }
    }
    for (flag, option) in [("force", "force"), ("update-env", "updateEnv")] {
        if call.request.is_set(flag) {
            options.insert(option.into(), true.into());
        }
    }
    options
}
