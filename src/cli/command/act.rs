//! `restart`, `reload`, `stop`, `delete`, `scale`, `reset` (contract/cli.md section 5).

use serde_json::{Map, Value, json};

use super::super::Ui;
use super::config_target::{config_target, steering};
use super::done::{announce, applied, ticks, told};
use super::{Call, Failure};
use crate::client::{Action, CallError, Target};

pub(super) async fn run(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let verb = call.request.command.as_str();
    // Without a daemon there is nothing to end, and none is launched to find that out.
    let nobody = matches!(verb, "stop" | "delete") && !call.has_daemon().await?;
    let renews = matches!(verb, "restart" | "reload");
    let mut hinted = call.request.is_set("update-env") || (renews && call.request.is_set("env"));
    let mut done = Vec::new();
    let mut failed = false;
    for name in &call.request.targets {
        let config = config_target(call, name).await?;
        let from_file = config.is_some();
        let target = config.unwrap_or_else(|| Target::Name(name.clone()));
        if renews && !from_file && !std::mem::replace(&mut hinted, true) {
            ui.message("Use --update-env to update environment variables");
        }
        let mut options = if renews { call.request.attributes.clone() } else { Map::new() };
        options.append(&mut steering(call));
        if let Some(args) = &call.request.app_args {
            options.insert("args".into(), json!(args));
        }
        let context = call.context.clone();
        let (method, action) = match verb {
            "restart" => ("restartProcessId", Action::Restart { target, options, context }),
            "reload" => ("reloadProcessId", Action::Reload { target, options, context }),
            "stop" => ("stopProcessId", Action::Stop { target, options, context }),
            _ => ("deleteProcessId", Action::Delete { target, options, context }),
        };
        let answered = match (nobody, from_file) {
            (false, _) => call.ask_about(name, action).await,
            (true, true) => Ok(Vec::new()),
            (true, false) => {
                let pattern = name.len() > 1 && name.starts_with('/') && name.ends_with('/');
                let error = if name == "all" || pattern { CallError::NoMatch } else { CallError::NotFound };
                Err(Failure::Call { target: name.clone(), error })
            }
        };
        call.warn(ui);
        let answer: Vec<Value> = match answered {
            Ok(answer) => answer,
            Err(Failure::Call { error: CallError::NotFound | CallError::NoMatch, .. })
                if call.request.is_set("if-exists") =>
            {
                continue;
            }
            Err(failure) => {
                if name.parse::<u64>().is_ok() {
                    announce(ui, method, name, &format!("'{name}'"));
                }
                if matches!(verb, "stop" | "delete") && call.request.targets.len() > 1 && !ui.is_json() {
                    // The other targets are still to be stopped; the exit code tells that one was not.
                    super::tell(call, &failure, ui).await;
                    failed = true;
                    continue;
                }
                return Err(failure);
            }
        };
        done.extend(match (from_file, renews) {
            (true, true) => told(ui, method, answer),
            (true, false) => {
                ticks(ui, answer.iter());
                answer
            }
            (false, _) => {
                applied(ui, method, name, &answer);
                answer
            }
        });
    }
    if failed {
        return Err(Failure::Said);
    }
    // pm2 prints no table here, which scripts may know; a person wants to see what the reload came to.
    if verb == "reload" && !ui.is_json() && ui.columns().is_none() {
        return Ok(());
    }
    call.finish(ui, &done).await
}

pub(super) async fn scale(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let [target, count] = call.request.targets.as_slice() else {
        return Err(Failure::Text("scale takes a name and a number".into()));
    };
    let unknown = |_| Failure::Text(format!("Application {target} not found"));
    let meant = call.meant_by(target).await.map_err(unknown)?;
    let mut names: Vec<&str> = meant.iter().map(|process| process.name.as_str()).collect();
    names.dedup();
    names.sort_unstable();
    names.dedup();
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut changed = false;
    for name in names {
        let same: Vec<_> = call.meant_by(name).await?.into_iter().filter(|process| process.name == name).collect();
        let count = total(count, same.len(), cpus).ok_or_else(|| Failure::Text("Nothing to do".into()))?;
        if count == same.len() {
            continue;
        }
        changed = true;
        if count < same.len() && call.request.is_set("newest") {
            for process in same.iter().skip(count) {
                let target = Target::from_value(process.pm_id.clone());
                let action = Action::Delete { target, options: Map::new(), context: call.context.clone() };
                let _: Value = call.ask_about(name, action).await?;
            }
            continue;
        }
        for _ in same.len()..count {
            ui.say("Scaling up application");
        }
        let action = Action::Scale { name: json!(name), count: json!(count) };
        let _: Value = call.ask_about(name, action).await?;
    }
    if !changed {
        return Err(Failure::Text("Nothing to do".into()));
    }
    call.finish(ui, &[]).await
}

/// How many there shall be: `4`, `+2`, `-1`, or `50%` of the processors.
fn total(text: &str, now: usize, cpus: usize) -> Option<usize> {
    if let Some(percent) = text.strip_suffix('%') {
        return percent.parse::<usize>().ok().map(|percent| (cpus.saturating_mul(percent) / 100).max(1));
    }
    match text.split_at_checked(1)? {
        ("+", more) => now.checked_add(more.parse().ok()?),
        ("-", fewer) => Some(now.saturating_sub(fewer.parse().ok()?)),
        _ => text.parse().ok(),
    }
}

pub(super) async fn reset(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    for name in &call.request.targets {
        let unknown = |_| Failure::Call {
            target: name.clone(),
            error: CallError::Refused { code: "PROCESS_NOT_FOUND", message: "Unknown process name".into() },
        };
        for process in call.meant_by(name).await.map_err(unknown)? {
            let action = Action::Rpc { method: "resetMetaProcessId".into(), args: vec![process.pm_id.clone()] };
            let _: Value = call.ask_about(name, action).await?;
            ui.say(&format!("Resetting meta for process id {}", process.id()));
        }
    }
    call.finish(ui, &[]).await
}

#[cfg(test)]
mod tests {
    use super::total;

    #[test]
    fn a_number_of_processes_is_total_difference_or_share() {
        for (text, expected) in [
            ("4", Some(4)),
            ("+2", Some(5)),
            ("-1", Some(2)),
            ("-9", Some(0)),
            ("50%", Some(4)),
            ("1%", Some(1)),
            ("x", None),
            ("", None),
            ("+", None),
        ] {
            assert_eq!(total(text, 3, 8), expected, "{text}");
        }
    }
}
