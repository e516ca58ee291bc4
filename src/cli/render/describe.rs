//! The block about one process (contract/cli.md section 7).

use std::collections::BTreeMap;

use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use super::super::Ui;
use super::super::process::Process;
use super::super::ui::Colour;
use super::list::{last_exit_text, uptime_text};
use super::table::{self, Cell};

/// Where a table is not made narrower any more: the terminal breaks its lines then.
const NARROWEST: usize = 22;

/// Everything that is known about `process`; `local` is the caller's environment.
pub(in crate::cli) fn render(process: &Process, local: &BTreeMap<String, String>, ui: &Ui) -> String {
    let title = format!(" Describing process with id {} - name {} ", process.id(), process.name);
    let mut text = section(&title, &facts(process), ui);
    let actions: Vec<Vec<String>> = list(process, "axm_actions")
        .iter()
        .filter_map(|action| action.get("action_name")?.as_str())
        .map(|name| vec![name.to_owned()])
        .collect();
    if !actions.is_empty() {
        text.push_str(&section(" Actions available ", &actions, ui));
        text += &[" Trigger via: pm2-rs trigger ", &process.name, " <action_name>\n\n"].concat();
    }
    let metrics: Vec<Vec<String>> = match process.pm2_env.get("axm_monitor") {
        Some(Value::Object(metrics)) => metrics.iter().map(|(name, value)| vec![name.clone(), metric(value)]).collect(),
        _ => Vec::new(),
    };
    if !metrics.is_empty() {
        text.push_str(&section(" Code metrics value ", &metrics, ui));
    }
    let divergent = divergent(process, local);
    text.push_str(&head(" Divergent env variables from local env ", ui));
    if !divergent.is_empty() {
        text.push_str(&boxed(&divergent, ui));
    }
    text.push('\n');
    text
}

fn list<'a>(process: &'a Process, key: &str) -> &'a [Value] {
    process.pm2_env.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The value of one metric with its unit.
pub(in crate::cli) fn metric(metric: &Value) -> String {
    let plain = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "N/A".into(),
        other => other.to_string(),
    };
    let value = plain(metric.get("value").unwrap_or(&Value::Null));
    match metric.get("unit").and_then(Value::as_str) {
        Some(unit) if !unit.is_empty() => format!("{value} {unit}"),
        _ => value,
    }
}

/// The rows of the first table, in pm2's order; those in the middle of it only if they are set.
fn facts(process: &Process) -> Vec<Vec<String>> {
    let text = |key: &str| Some(process.text(key)).filter(|text| !text.is_empty()).unwrap_or_else(|| "N/A".into());
    let words = |key: &str| {
        let words: Vec<String> =
            list(process, key).iter().map(|w| w.as_str().map_or_else(|| w.to_string(), ToOwned::to_owned)).collect();
        if words.is_empty() { "N/A".to_owned() } else { words.join(" ") }
    };
    let optional = |name: &str, key: &str| {
        Some(process.text(key)).filter(|text| !text.is_empty()).map(|text| vec![name.to_owned(), text])
    };
    let row = |name: &str, value: String| Some(vec![name.to_owned(), value]);
    let watching = !matches!(process.text("watch").as_str(), "" | "false");
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds since the epoch")]
    let created = process
        .number("created_at")
        .and_then(|millis| jiff::Timestamp::from_millisecond(millis as i64).ok())
        .map_or_else(|| "N/A".to_owned(), |time| format!("{time:.3}"));
    [
        row("status", text("status")),
        row("name", process.name.clone()),
        row("namespace", text("namespace")),
        row("version", text("version")),
        row("restarts", text("restart_time")),
        optional("max memory restart", "max_memory_restart"),
        optional("cron restart", "cron_restart"),
        row("uptime", uptime_text(process)),
        optional("entire log path", "pm_log_path"),
        row("script path", text("pm_exec_path")),
        row("script args", words("args")),
        row("error log path", text("pm_err_log_path")),
        row("out log path", text("pm_out_log_path")),
        row("pid path", text("pm_pid_path")),
        row("interpreter", text("exec_interpreter")),
        row("interpreter args", words("node_args")),
        row("script id", process.id()),
        row("exec cwd", text("pm_cwd")),
        row("exec mode", text("exec_mode")),
        row("node.js version", text("node_version")),
        row("node env", process.pm2_env.get("NODE_ENV").and_then(Value::as_str).unwrap_or("N/A").to_owned()),
        row("watch & reload", if watching { "✔" } else { "✘" }.to_owned()),
        row("unstable restarts", text("unstable_restarts")),
        row("created at", created),
        process.last_exit().map(|_| vec!["last exit".to_owned(), last_exit_text(process)]),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Variables of the caller's environment that have another value in the process.
fn divergent(process: &Process, local: &BTreeMap<String, String>) -> Vec<Vec<String>> {
    let Some(Value::Object(env)) = process.pm2_env.get("env") else { return Vec::new() };
    local
        .iter()
        .filter_map(|(name, here)| match env.get(name) {
            Some(Value::String(there)) if there != here => Some(vec![name.clone(), there.clone()]),
            _ => None,
        })
        .collect()
}

fn head(title: &str, ui: &Ui) -> String {
    format!("{}\n", ui.paint(Colour::InverseBold, title))
}

fn section(title: &str, rows: &[Vec<String>], ui: &Ui) -> String {
    head(title, ui) + &boxed(rows, ui)
}

/// A table as wide as its content. On a narrower terminal what stands in the last column is wrapped, not lost.
fn boxed(rows: &[Vec<String>], ui: &Ui) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut widths: Vec<usize> = (0..columns)
        .map(|at| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.width() + 2).max().unwrap_or(2))
        .collect();
    let needed = widths.iter().map(|width| width + 1).sum::<usize>() + 1;
    if let (Some(room), Some(last)) = (ui.columns(), widths.last_mut()) {
        *last = last.saturating_sub(needed.saturating_sub(room)).max(NARROWEST.min(*last));
    }
    let room = widths.last().map_or(0, |width| width - 2);
    let mut cells: Vec<Vec<Cell>> = Vec::new();
    for row in rows {
        let Some((text, labels)) = row.split_last() else { continue };
        for (at, line) in table::wrap(text, room).into_iter().enumerate() {
            let label = |label: &String| Cell::plain(if at == 0 { label.as_str() } else { "" });
            cells.push(labels.iter().map(label).chain([Cell::plain(line)]).collect());
        }
    }
    table::render(&widths, None, &cells, ui)
}
