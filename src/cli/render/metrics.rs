//! The line of host figures below the list (contract/cli.md section 6.3).

use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use super::super::Ui;
use super::super::ui::Colour;

/// The line, or `None` when the daemon has no figures.
pub(in crate::cli) fn line(data: &Value, ui: &Ui) -> Option<String> {
    let figure = |name: &str| data.get(name)?.get("value")?.as_f64();
    let level = |value: f64, (low, high): (f64, f64), text: &str| {
        let colour = match value {
            v if v < low => Colour::Green,
            v if v < high => Colour::Yellow,
            _ => Colour::Red,
        };
        ui.paint(colour, text)
    };
    let cpu = figure("CPU Usage")?;
    let mut parts = vec![format!("cpu: {}", level(cpu, (40.0, 70.0), &format!("{cpu}%")))];
    if let Some(ram) = figure("RAM Usage") {
        parts.push(format!("ram usage: {}", level(ram, (70.0, 90.0), &format!("{ram}%"))));
    }
    for name in data.as_object()?.keys().filter_map(|key| key.strip_prefix("net:rx_5:")) {
        let (down, up) = (figure(&format!("net:rx_5:{name}"))?, figure(&format!("net:tx_5:{name}")).unwrap_or(0.0));
        if down > 0.0 || up > 0.0 {
            let show = |value: f64| level(value, (10.0, 20.0), &format!("{value}mb/s"));
            parts.push(format!("{name}: ⇓ {} ⇑ {}", show(down), show(up)));
        }
    }
    if let (Some(reads), Some(writes)) = (figure("Disk Reads"), figure("Disk Writes")) {
        parts.push(format!("disk: ⇓ {reads}mb/s ⇑ {writes}mb/s"));
    }
    for (key, entry) in data.as_object()? {
        if let (Some(mount), Some(used)) = (key.strip_prefix("fs:use:"), entry.get("value").and_then(Value::as_f64))
            && used > 60.0
        {
            parts.push(format!("{mount}: {}", level(used, (70.0, 90.0), &format!("{used}%"))));
        }
    }
    Some(format!("host metrics | {}\n", fitting(&parts, ui).join(" | ")))
}

/// The parts that stand on one line of the terminal; all of them elsewhere.
fn fitting<'a>(parts: &'a [String], ui: &Ui) -> Vec<&'a str> {
    let room = ui.columns().unwrap_or(usize::MAX);
    let mut used = "host metrics".len();
    let fits = |part: &&str| {
        let wide = 3 + seen(part).width();
        let fits = used + wide <= room;
        used += if fits { wide } else { 0 };
        fits
    };
    parts.iter().map(String::as_str).filter(fits).collect()
}

/// A part without its colours.
fn seen(part: &str) -> String {
    let mut text = String::new();
    let mut is_escape = false;
    for letter in part.chars() {
        match letter {
            '\u{1b}' => is_escape = true,
            'm' if is_escape => is_escape = false,
            _ if is_escape => {}
            other => text.push(other),
        }
    }
    text
}
