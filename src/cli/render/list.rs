//! The list of processes: three layouts by width, order, the short list (contract/cli.md section 6).

mod columns;
mod layout;

use std::cmp::Ordering;

use super::super::Ui;
use super::super::process::Process;
use super::super::ui::Colour;
use super::{table, units};
pub(in crate::cli) use columns::{last_exit_text, uptime_text};
use layout::Kind;

/// Sorts by `field[:asc|:desc]`; an unknown field means the name; ties by id.
pub(in crate::cli) fn sort(processes: &mut [Process], order: &str) {
    let (field, direction) = order.split_once(':').unwrap_or((order, "asc"));
    let id = |process: &Process| process.pm_id.as_f64().unwrap_or(f64::INFINITY);
    let by_number = |a: f64, b: f64| a.partial_cmp(&b).unwrap_or(Ordering::Equal);
    processes.sort_by(|a, b| {
        let ordering = match field {
            "id" => by_number(id(a), id(b)),
            "pid" => a.pid.cmp(&b.pid),
            "cpu" => by_number(a.monit.cpu, b.monit.cpu),
            "memory" | "mem" => by_number(a.monit.memory, b.monit.memory),
            "uptime" => by_number(a.number("pm_uptime").unwrap_or(0.0), b.number("pm_uptime").unwrap_or(0.0)),
            "status" => a.text("status").cmp(&b.text("status")),
            "namespace" => a.text("namespace").cmp(&b.text("namespace")),
            _ => a.name.cmp(&b.name),
        };
        let ordering = if direction == "desc" { ordering.reverse() } else { ordering };
        ordering.then_with(|| by_number(id(a), id(b)))
    });
}

/// The widest layout that fits, or the columns that the caller names, such as `id,name,exit`; apps first, then modules in
/// a table of their own.
pub(in crate::cli) fn render(processes: &[Process], wanted: Option<&str>, ui: &Ui) -> String {
    let shown = processes.iter().filter(|process| process.name != HIDDEN);
    let (modules, apps): (Vec<&Process>, Vec<&Process>) = shown.partition(|process| process.is_module());
    let mut text = block(Kind::Apps, &apps, wanted, ui);
    if !modules.is_empty() {
        let title = if modules.len() == 1 { "Module" } else { "Modules" };
        text += &[&ui.paint(Colour::Bold, title), "\n", &block(Kind::Modules, &modules, wanted, ui)].concat();
    }
    text
}

/// A helper of pm2's that is in nobody's list.
const HIDDEN: &str = "pm2-sysmonit";

fn block(kind: Kind, processes: &[&Process], wanted: Option<&str>, ui: &Ui) -> String {
    let columns = match wanted {
        Some(wanted) => layout::named(wanted, processes),
        None => layout::choose(kind, processes, ui.columns()),
    };
    let head: Vec<&str> = columns.iter().map(|column| column.title).collect();
    let widths: Vec<usize> = columns.iter().map(|column| column.width).collect();
    let rows: Vec<Vec<table::Cell>> =
        processes.iter().map(|process| columns.iter().map(|column| (column.cell)(process)).collect()).collect();
    table::render(&widths, Some(&head), &rows, ui)
}

/// `--mini-list`: a few `key : value` lines for one process.
pub(in crate::cli) fn mini(process: &Process) -> String {
    let mode = if process.text("exec_mode").starts_with("cluster") { "cluster" } else { "fork" };
    let lines = [
        ("namespace", process.text("namespace")),
        ("version", process.text("version")),
        ("pid", process.pid.map_or_else(|| "N/A".into(), |pid| pid.to_string())),
        ("pm2 id", process.id()),
        ("status", process.text("status")),
        ("mode", mode.to_owned()),
        ("restarted", process.text("restart_time")),
        ("uptime", uptime_text(process)),
        ("memory usage", units::bytes(process.monit.memory)),
        ("error log", process.text("pm_err_log_path")),
        ("watching", if columns::is_watching(process) { "yes" } else { "no" }.to_owned()),
        ("PID file", process.text("pm_pid_path")),
    ];
    let mut text = format!("+--- {}\n", process.name);
    for (key, value) in lines {
        text += &[key, " : ", &value, "\n"].concat();
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests;
