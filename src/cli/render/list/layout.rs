//! Which columns a list has, and how wide they are: the widest layout that fits (contract/cli.md sections 6.1 and 6.3).
//!
//! Every width counts the cell with one blank on each side. What a layout needs is the sum of its widths and its borders,
//! so a column that is added or changed needs no other number changed.

use unicode_width::UnicodeWidthStr;

use super::columns;
use crate::cli::process::Process;
use crate::cli::render::table::Cell;

/// What a table is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Apps,
    Modules,
}

/// One column of a table.
#[derive(Clone, Copy)]
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) width: usize,
    pub(super) cell: fn(&Process) -> Cell,
}

const fn column(title: &'static str, width: usize, cell: fn(&Process) -> Cell) -> Column {
    Column { title, width, cell }
}

/// Columns that pm2 has not, added to the full layout of apps where a terminal has room beyond it and there is something to
/// show, never in a pipe: scripts count its columns.
const MORE: [Column; 1] = [column("last exit", 20, columns::last_exit)];

/// The widest layout that fits into `room` columns, the narrowest one if none does; `None`: pm2's full one.
pub(super) fn choose(kind: Kind, processes: &[&Process], room: Option<usize>) -> Vec<Column> {
    let (id, name) = widths(processes);
    let mut full = full(kind, id, name);
    let Some(room) = room else { return full };
    if needs(&full) <= room {
        let has_ended = processes.iter().any(|process| process.last_exit().is_some());
        for more in MORE.into_iter().filter(|_| kind == Kind::Apps && has_ended) {
            full.push(more);
            if needs(&full) > room {
                full.pop();
            }
        }
        return full;
    }
    let condensed = condensed(kind, id, name.min(20));
    if needs(&condensed) <= room {
        return condensed;
    }
    vec![
        column("id", id, columns::id),
        column("name", name.min(16), columns::name),
        column("status", 11, columns::status),
        column("cpu", 8, columns::cpu),
        column("mem", 10, columns::memory),
    ]
}

/// The columns that somebody named: `--columns id,name,exit`. Unknown names are left out.
pub(super) fn named(wanted: &str, processes: &[&Process]) -> Vec<Column> {
    let (id, name) = widths(processes);
    let title = |name: &str| match name {
        "restarts" => "↺".to_owned(),
        "memory" => "mem".to_owned(),
        "exit" | "last_exit" | "last-exit" => "last exit".to_owned(),
        "watch" => "watching".to_owned(),
        other => other.to_owned(),
    };
    let all: Vec<Column> = full(Kind::Apps, id, name).into_iter().chain(MORE).collect();
    wanted.split(',').filter_map(|name| all.iter().find(|column| column.title == title(name.trim()))).copied().collect()
}

/// Of the columns whose width depends on what stands in them: id and name.
fn widths(processes: &[&Process]) -> (usize, usize) {
    let id = processes.iter().map(|process| process.id().width() + 2).max().unwrap_or(4).max(4);
    let longest = |process: &&Process| process.name.width() + columns::marks(process).width() + 5;
    (id, processes.iter().map(longest).max().unwrap_or(11).clamp(8, 40))
}

/// A line is the sum of the widths, and a border around each.
fn needs(layout: &[Column]) -> usize {
    layout.iter().map(|column| column.width + 1).sum::<usize>() + 1
}

fn full(kind: Kind, id: usize, name: usize) -> Vec<Column> {
    match kind {
        Kind::Apps => vec![
            column("id", id, columns::id),
            column("name", name, columns::name),
            column("namespace", 13, columns::namespace),
            column("version", 9, columns::version),
            column("mode", 9, columns::mode),
            column("pid", 10, columns::pid),
            column("uptime", 8, columns::uptime),
            column("↺", 6, columns::restarts),
            column("status", 11, columns::status),
            column("cpu", 10, columns::cpu),
            column("mem", 10, columns::memory),
            column("user", 10, columns::user),
            column("watching", 10, columns::watching),
        ],
        Kind::Modules => vec![
            column("id", id, columns::id),
            column("module", 30, columns::name),
            column("version", 15, columns::version),
            column("pid", 10, columns::pid),
            column("status", 10, columns::status),
            column("↺", 6, columns::restarts),
            column("cpu", 10, columns::cpu),
            column("mem", 10, columns::memory),
            column("user", 10, columns::user),
        ],
    }
}

fn condensed(kind: Kind, id: usize, name: usize) -> Vec<Column> {
    match kind {
        Kind::Apps => vec![
            column("id", id, columns::id),
            column("name", name, columns::name),
            column("mode", 10, columns::mode),
            column("↺", 6, columns::restarts),
            column("status", 11, columns::status),
            column("cpu", 10, columns::cpu),
            column("memory", 10, columns::memory),
        ],
        Kind::Modules => vec![
            column("id", id, columns::id),
            column("name", name, columns::name),
            column("status", 10, columns::status),
            column("cpu", 10, columns::cpu),
            column("mem", 10, columns::memory),
        ],
    }
}
