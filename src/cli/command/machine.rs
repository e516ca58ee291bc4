//! `prettylist`, `slist`, `report`: what programs and bug reports read (contract/cli.md sections 6.5 and 11).

use std::time::Duration;

use serde_json::{Value, json};

use super::super::Ui;
use super::super::render::inspect::{inspect, js_number};
use super::logs::last_lines;
use super::{Call, Failure, list};
use crate::client::Action;

/// The list as Node prints it, without a line feed at the end.
pub(super) async fn prettylist(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let processes: Value = if call.has_daemon().await? { call.ask(Action::List).await? } else { json!([]) };
    ui.data(&inspect(&processes));
    Ok(())
}

/// How often, and after which pauses, figures are asked for; they may also be switched off.
const FIRST_READING: usize = 40;
const PAUSE: Duration = Duration::from_millis(50);

async fn figures(call: &Call<'_>) -> Result<Value, Failure> {
    if !call.has_daemon().await? {
        return Ok(json!({}));
    }
    // A daemon that was not asked before has nothing at once: the first reading takes a moment.
    for _ in 0..FIRST_READING {
        let action = Action::Rpc { method: "getSystemData".into(), args: vec![json!({})] };
        // A raw call answers with the list of what the callback would get.
        let answer: Vec<Value> = call.ask(action).await?;
        let figures = answer.into_iter().next().unwrap_or_default();
        if figures.as_object().is_none_or(|figures| !figures.is_empty()) {
            return Ok(figures);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(json!({}))
}

/// Figures of the machine.
pub(super) async fn slist(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let figures = figures(call).await?;
    if ui.is_json() {
        ui.data(&format!("{figures}\n"));
    } else if call.request.is_set("tree") {
        let mut text = String::new();
        tree(&figures, "", &mut text);
        ui.data(&text);
    } else {
        ui.data(&format!("{}\n", inspect(&figures)));
    }
    Ok(())
}

fn tree(value: &Value, margin: &str, text: &mut String) {
    let Value::Object(map) = value else { return };
    for (at, (key, value)) in map.iter().enumerate() {
        let (branch, below) = if at + 1 == map.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let shown = match value {
            Value::Object(_) | Value::Array(_) => String::new(),
            Value::String(text) => format!(": {text}"),
            Value::Number(number) => format!(": {}", js_number(number.as_f64().unwrap_or(f64::NAN))),
            other => format!(": {other}"),
        };
        *text += &[margin, branch, key, &shown, "\n"].concat();
        tree(value, &[margin, below].concat(), text);
    }
}

/// The facts that a bug report needs, between code fences.
pub(super) async fn report(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let daemon: Value = if call.has_daemon().await? { call.ask(Action::Report).await? } else { Value::Null };
    if ui.is_json() {
        ui.data(&format!("{}\n", json!({ "daemon": daemon, "version": crate::VERSION })));
        return Ok(());
    }
    let mut text = "\n```\n".to_owned();
    let mut section = |title: &str, lines: &[(&str, String)]| {
        text += &["--- ", title, " ", &"-".repeat(75usize.saturating_sub(title.len())), "\n"].concat();
        for (key, value) in lines {
            text += &[&format!("{key:<20}"), " : ", value.as_str(), "\n"].concat();
        }
        text += &["=".repeat(79).as_str(), "\n"].concat();
    };
    section("PM2 report", &[("Date", jiff::Zoned::now().to_string())]);
    let mut known: Vec<(&str, String)> = Vec::new();
    for (key, title) in [
        ("pm2_version", "pm2d version"),
        ("pm2rs_version", "pm2-rs version"),
        ("node_version", "node version"),
        ("node_path", "node path"),
        ("argv", "argv"),
        ("user", "user"),
        ("uid", "uid"),
        ("gid", "gid"),
    ] {
        known.push((title, plain(&daemon[key])));
    }
    section("Daemon", &known);
    let variable = |name: &str| call.local.get(name).cloned().unwrap_or_else(|| "not found".into());
    section(
        "CLI",
        &[
            ("local pm2", crate::VERSION.to_owned()),
            ("node version", call.context.node_version.clone().unwrap_or_else(|| "not found".into())),
            ("user", variable("USER")),
            ("uid", nix::unistd::getuid().to_string()),
            ("gid", nix::unistd::getgid().to_string()),
        ],
    );
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    section(
        "System info",
        &[
            ("arch", std::env::consts::ARCH.to_owned()),
            ("platform", std::env::consts::OS.to_owned()),
            ("cpus nb", cpus.to_string()),
            ("home", variable("HOME")),
        ],
    );
    section("PM2 list", &[]);
    ui.data(&text);
    list::show(call, ui).await?;
    let log = &call.session.home().log_file;
    let mut text = format!("--- Daemon logs {}\n{} last 20 lines:\n", "-".repeat(63), log.display());
    for line in last_lines(log, 20).unwrap_or_default() {
        text += &["PM2        | ", &String::from_utf8_lossy(&line), "\n"].concat();
    }
    ui.data(&(text + "```\n"));
    Ok(())
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(","),
        Value::Null => "not found".to_owned(),
        other => other.to_string(),
    }
}
