//! What stands in each column of the list (contract/cli.md section 6.1).

use super::super::super::process::Process;
use super::super::super::ui::Colour;
use super::super::table::Cell;
use super::super::units;

fn or_missing(text: String) -> String {
    if text.is_empty() { "N/A".into() } else { text }
}

pub(super) fn id(process: &Process) -> Cell {
    Cell::coloured(process.id(), Colour::BoldCyan)
}

pub(super) fn name(process: &Process) -> Cell {
    Cell::plain(&process.name).after(marks(process), Colour::Green)
}

/// What stands before a name: whether it is monitored, and traced.
pub(super) fn marks(process: &Process) -> String {
    let mark = |key: &str, mark: &'static str| if process.text(key) == "true" { mark } else { "" };
    [mark("_km_monitored", "[M] "), mark("trace", "[T] ")].concat()
}

pub(super) fn namespace(process: &Process) -> Cell {
    Cell::plain(or_missing(process.text("namespace")))
}

pub(super) fn version(process: &Process) -> Cell {
    Cell::plain(or_missing(process.text("version")))
}

pub(super) fn mode(process: &Process) -> Cell {
    if process.text("exec_mode").starts_with("cluster") {
        Cell::coloured("cluster", Colour::BoldBlue)
    } else {
        Cell::coloured("fork", Colour::InverseBold)
    }
}

pub(super) fn pid(process: &Process) -> Cell {
    Cell::plain(process.pid.map_or_else(|| "N/A".into(), |pid| pid.to_string()))
}

pub(super) fn uptime(process: &Process) -> Cell {
    Cell::plain(uptime_text(process))
}

pub(in crate::cli) fn uptime_text(process: &Process) -> String {
    match process.number("pm_uptime") {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since the epoch fit into 53 bits")]
        Some(since) if process.text("status") == "online" => {
            units::duration(jiff::Timestamp::now().as_millisecond() as f64 - since)
        }
        _ => "0".into(),
    }
}

/// How and when the last run ended; nothing before that.
pub(super) fn last_exit(process: &Process) -> Cell {
    Cell::plain(last_exit_text(process))
}

/// `code 1, 3m ago`, `SIGKILL, 2D ago`.
pub(in crate::cli) fn last_exit_text(process: &Process) -> String {
    let Some(how) = process.last_exit() else { return String::new() };
    match process.number("exited_at") {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since the epoch fit into 53 bits")]
        Some(at) => format!("{how}, {} ago", units::duration(jiff::Timestamp::now().as_millisecond() as f64 - at)),
        None => how,
    }
}

pub(super) fn restarts(process: &Process) -> Cell {
    Cell::plain(process.text("restart_time"))
}

pub(super) fn status(process: &Process) -> Cell {
    let status = process.text("status");
    let colour = match status.as_str() {
        "online" => Colour::BoldGreen,
        "launching" => Colour::BoldBlue,
        _ => Colour::BoldRed,
    };
    Cell::coloured(status, colour)
}

pub(super) fn cpu(process: &Process) -> Cell {
    Cell::plain(format!("{}%", (process.monit.cpu * 10.0).round() / 10.0))
}

pub(super) fn memory(process: &Process) -> Cell {
    Cell::plain(units::bytes(process.monit.memory))
}

pub(super) fn user(process: &Process) -> Cell {
    Cell::coloured(or_missing(process.text("username")), Colour::Bold)
}

pub(super) fn watching(process: &Process) -> Cell {
    if is_watching(process) {
        Cell::coloured("enabled", Colour::BoldGreen)
    } else {
        Cell::coloured("disabled", Colour::Grey)
    }
}

pub(super) fn is_watching(process: &Process) -> bool {
    !matches!(process.text("watch").as_str(), "" | "false")
}
