//! The list at the widths that terminals have, as texts.

use serde_json::json;
use unicode_width::UnicodeWidthStr;

use super::super::super::{Tty, Ui};
use super::*;

fn processes() -> Vec<Process> {
    serde_json::from_value(json!([
        {
            "name": "api", "pm_id": 0, "pid": 4711, "monit": { "memory": 51_065_651, "cpu": 1.25 },
            "pm2_env": { "namespace": "default", "version": "1.2.3", "exec_mode": "cluster_mode", "status": "online",
                "restart_time": 3, "username": "deploy", "watch": false, "pm_uptime": 0 }
        },
        {
            "name": "a worker with quite a long name", "pm_id": 12, "pid": 0, "monit": { "memory": 0, "cpu": 0 },
            "pm2_env": { "namespace": "jobs", "exec_mode": "fork_mode", "status": "waiting restart",
                "restart_time": 16, "username": "deploy", "watch": ["src"] }
        },
        {
            "name": "日本語", "pm_id": 13, "monit": { "memory": 1_288_490_189, "cpu": 100 },
            "pm2_env": { "namespace": "default", "version": "N/A", "exec_mode": "fork_mode", "status": "errored",
                "restart_time": 0, "username": "root", "watch": true, "_km_monitored": true }
        }
    ]))
    .expect("a list")
}

fn shown(columns: Option<usize>, colours: bool) -> String {
    let env = |name: &str| (colours && name == "FORCE_COLOR").then(|| "1".to_owned());
    let tty = Tty { stdout: columns.is_some(), stderr: false, columns };
    let mut ui = Ui::new(Box::new(std::io::sink()), Box::new(std::io::sink()), tty, &env);
    if !colours {
        ui.without_colours();
    }
    let mut processes = processes();
    sort(&mut processes, "id");
    let text = render(&processes, None, &ui);
    // The uptime of what runs since 1970 grows by one each year.
    let years = units::duration(f64::from(jiff::Timestamp::now().as_second().try_into().unwrap_or(i32::MAX)) * 1000.0);
    text.replace(&years, &"@".repeat(years.len()))
}

#[test]
fn at_200_columns() {
    assert_eq!(
        shown(Some(200), false),
        "\
┌────┬────────────────────────────────────┬─────────────┬─────────┬─────────┬──────────┬────────┬──────┬───────────┬──────────┬──────────┬──────────┬──────────┐
│ id │ name                               │ namespace   │ version │ mode    │ pid      │ uptime │ ↺    │ status    │ cpu      │ mem      │ user     │ watching │
├────┼────────────────────────────────────┼─────────────┼─────────┼─────────┼──────────┼────────┼──────┼───────────┼──────────┼──────────┼──────────┼──────────┤
│ 0  │ api                                │ default     │ 1.2.3   │ cluster │ 4711     │ @@@    │ 3    │ online    │ 1.3%     │ 48.7mb   │ deploy   │ disabled │
│ 12 │ a worker with quite a long name    │ jobs        │ N/A     │ fork    │ 0        │ 0      │ 16   │ waiting … │ 0%       │ 0b       │ deploy   │ enabled  │
│ 13 │ [M] 日本語                         │ default     │ N/A     │ fork    │ N/A      │ 0      │ 0    │ errored   │ 100%     │ 1.2gb    │ root     │ enabled  │
└────┴────────────────────────────────────┴─────────────┴─────────┴─────────┴──────────┴────────┴──────┴───────────┴──────────┴──────────┴──────────┴──────────┘
"
    );
}

#[test]
fn at_120_columns() {
    assert_eq!(
        shown(Some(120), false),
        "\
┌────┬────────────────────┬──────────┬──────┬───────────┬──────────┬──────────┐
│ id │ name               │ mode     │ ↺    │ status    │ cpu      │ memory   │
├────┼────────────────────┼──────────┼──────┼───────────┼──────────┼──────────┤
│ 0  │ api                │ cluster  │ 3    │ online    │ 1.3%     │ 48.7mb   │
│ 12 │ a worker with qui… │ fork     │ 16   │ waiting … │ 0%       │ 0b       │
│ 13 │ [M] 日本語         │ fork     │ 0    │ errored   │ 100%     │ 1.2gb    │
└────┴────────────────────┴──────────┴──────┴───────────┴──────────┴──────────┘
"
    );
}

#[test]
fn at_80_columns_the_condensed_list_fits_exactly() {
    let text = shown(Some(80), false);
    assert_eq!(text, shown(Some(120), false));
    assert!(text.lines().all(|line| line.width() <= 80));
}

#[test]
fn at_60_columns() {
    assert_eq!(
        shown(Some(60), false),
        "\
┌────┬────────────────┬───────────┬────────┬──────────┐
│ id │ name           │ status    │ cpu    │ mem      │
├────┼────────────────┼───────────┼────────┼──────────┤
│ 0  │ api            │ online    │ 1.3%   │ 48.7mb   │
│ 12 │ a worker with… │ waiting … │ 0%     │ 0b       │
│ 13 │ [M] 日本語     │ errored   │ 100%   │ 1.2gb    │
└────┴────────────────┴───────────┴────────┴──────────┘
"
    );
}

#[test]
fn piped_it_is_as_wide_as_it_likes_and_colours_do_not_move_anything() {
    let plain = shown(None, false);
    assert_eq!(plain, shown(Some(200), false));
    let coloured = shown(None, true);
    assert!(coloured.contains("\u{1b}[1;32monline"));
    let stripped = regex::Regex::new("\u{1b}\\[[0-9;]*m").expect("a pattern").replace_all(&coloured, "").into_owned();
    assert_eq!(stripped, plain);
}

#[test]
fn orders_are_by_field_and_direction() {
    for (order, ids) in [
        ("name", "12 0 13"),
        ("name:desc", "13 0 12"),
        ("memory:desc", "13 0 12"),
        ("status", "13 0 12"),
        ("nonsense", "12 0 13"),
    ] {
        let mut processes = processes();
        sort(&mut processes, order);
        let found: Vec<String> = processes.iter().map(Process::id).collect();
        assert_eq!(found.join(" "), ids, "{order}");
    }
}
