//! `monit` on a terminal that is only a buffer: what stands there at several sizes, and what keys do.
//!
//! The pictures are in `snapshots/`; `UPDATE_SNAPSHOTS=1 cargo nextest run monit` writes them anew.

use std::path::Path;

use ratatui_core::backend::TestBackend;
use ratatui_core::terminal::Terminal;
use serde_json::{Value, json};

use super::state::{Order, Panel, State, Verb};
use super::terminal::{Deed, Key, Mouse};
use super::view::draw;

fn processes(look: u32) -> Vec<super::Process> {
    let process = |id: u32, name: &str, status: &str, cpu: f64, memory: f64, more: &Value| {
        let mut env = json!({ "namespace": "default", "version": "1.2.3", "status": status, "restart_time": id,
            "exec_mode": "fork_mode", "pm_exec_path": format!("/srv/{name}.js"), "exec_interpreter": "node",
            "node_version": "20.20.2", "unstable_restarts": 0, "watch": false, "args": ["--port", 80],
            "pm_out_log_path": "/dev/null", "pm_err_log_path": "/dev/null" });
        if let (Some(env), Some(more)) = (env.as_object_mut(), more.as_object()) {
            env.extend(more.clone());
        }
        json!({ "name": name, "pm_id": id, "pid": 4000 + id, "monit": { "cpu": cpu, "memory": memory }, "pm2_env": env })
    };
    let metrics = json!({ "axm_monitor": { "Heap Size": { "value": "7.23", "unit": "MiB" },
        "Event Loop Latency p95": { "value": "1.12", "unit": "ms" }, "Active handles": { "value": 3 } } });
    let wave = f64::from(look % 7);
    serde_json::from_value(json!([
        process(0, "api", "online", 12.0 * wave, 5e7 + 4e6 * wave, &metrics),
        process(1, "api", "online", 98.5, 6e7, &json!({})),
        process(2, "日本語の名前が長いワーカー", "stopped", 0.0, 0.0, &json!({ "namespace": "jobs" })),
        process(3, "boom", "waiting restart", 0.0, 0.0, &json!({})),
        process(4, "👩\u{200d}🚀 crew e\u{301}", "errored", 0.0, 0.0, &json!({ "versioning": { "branch": "main" } })),
    ]))
    .expect("processes")
}

fn state() -> State {
    let mut state = State::new("id");
    for look in 0..20 {
        state.set_processes(processes(look));
    }
    for number in 0..40 {
        state.lines.add("0", number % 5 == 4, &format!("GET /items/{number} 200"));
    }
    state.lines.add("0", false, "\u{1b}[32mgreen\u{1b}[0m 日本語 \u{1b}[2Jend");
    state
}

fn screen(state: &mut State, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| draw(frame, state, true)).expect("drawn");
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..height {
        let mut skip = 0;
        for x in 0..width {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let symbol = buffer[(x, y)].symbol();
            skip = unicode_width::UnicodeWidthStr::width(symbol).saturating_sub(1);
            text.push_str(symbol);
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}

/// Compares with the picture in `snapshots/`.
fn same(name: &str, text: &str) {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/command/monit/snapshots").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&file, text).expect("written");
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(text, expected, "{name} looks different: UPDATE_SNAPSHOTS=1 if it should");
}

fn press(state: &mut State, keys: &str) -> Vec<Order> {
    keys.chars().map(|letter| state.press(if letter == '\n' { Key::Enter } else { Key::Letter(letter) })).collect()
}

#[test]
fn it_looks_the_same_at_every_size() {
    for (width, height) in [(80, 24), (120, 30), (200, 50), (40, 12)] {
        same(&format!("{width}x{height}"), &screen(&mut state(), width, height));
    }
}

#[test]
fn overlays_stand_over_the_rest() {
    let mut state = state();
    press(&mut state, "?");
    same("help", &screen(&mut state, 80, 24));
    press(&mut state, "xs");
    same("confirm", &screen(&mut state, 80, 24));
    press(&mut state, "n/ERR");
    same("filter", &screen(&mut state, 80, 24));
}

#[test]
fn no_size_is_too_small_or_too_large() {
    for width in [0, 1, 19, 20, 40, 70, 76, 150] {
        for height in [0, 1, 4, 5, 6, 7, 9, 14, 40] {
            for keys in ["", "?", "s", "/zzz\n"] {
                let mut state = state();
                press(&mut state, keys);
                screen(&mut state, width, height);
                screen(&mut State::new("name"), width, height);
            }
        }
    }
}

#[test]
fn nothing_runs_without_a_yes() {
    let mut state = state();
    for (key, verb) in [('r', Verb::Restart), ('l', Verb::Reload), ('s', Verb::Stop), ('d', Verb::Delete)] {
        assert_eq!(press(&mut state, &format!("{key}n")), [Order::Nothing, Order::Nothing]);
        assert_eq!(press(&mut state, &format!("{key}y")), [Order::Nothing, Order::Act(verb, "0".into())]);
    }
    assert_eq!(press(&mut state, "y"), [Order::Nothing]);
    assert_eq!(press(&mut State::new("id"), "sy"), [Order::Nothing, Order::Nothing], "nobody is selected");
}

#[test]
fn the_filter_hides_and_the_selection_follows() {
    let mut state = state();
    state.press(Key::Down);
    assert_eq!(state.selected().map(super::Process::id).as_deref(), Some("1"));
    press(&mut state, "/boo\n");
    assert_eq!(state.shown().len(), 1);
    assert_eq!(press(&mut state, "sy")[1], Order::Act(Verb::Stop, "3".into()));
    assert_eq!(state.press(Key::Escape), Order::Nothing);
    assert_eq!(state.shown().len(), 5);
    assert_eq!(state.press(Key::Escape), Order::Leave);
    press(&mut state, "/q\n");
    assert_eq!((state.filter.as_str(), state.shown().len()), ("q", 0), "letters are no commands while one types");
}

#[test]
fn sorting_keeps_who_is_selected() {
    let mut state = state();
    let first = |state: &State| state.shown().first().map(|process| process.id());
    state.press(Key::Down);
    press(&mut state, "o");
    assert_eq!((state.sort.as_str(), first(&state).as_deref()), ("cpu", Some("1")));
    assert_eq!(state.selected().map(super::Process::id).as_deref(), Some("1"));
    press(&mut state, "O");
    assert_eq!(first(&state).as_deref(), Some("2"));
    assert_eq!(state.selected().map(super::Process::id).as_deref(), Some("1"));
    let gone = processes(0).into_iter().filter(|process| process.id() != "1").collect();
    state.set_processes(gone);
    assert!(state.selected().is_some(), "somebody takes the place of who is gone");
}

#[test]
fn logs_scroll_and_are_searched() {
    let mut state = state();
    screen(&mut state, 80, 24);
    state.press(Key::Tab);
    assert_eq!(state.panel, Panel::Logs);
    press(&mut state, "/items/3 \n");
    assert_eq!(state.back, 37);
    assert!(screen(&mut state, 80, 24).contains("GET /items/3 200"));
    press(&mut state, "/nowhere\n");
    assert_eq!(state.told, "no line has: nowhere");
    state.press(Key::PageUp);
    state.press(Key::First);
    assert!(screen(&mut state, 80, 24).contains("GET /items/0 200"));
    state.press(Key::Last);
    assert!(screen(&mut state, 80, 24).contains("green 日本語 end"));
}

#[test]
fn the_mouse_selects_and_scrolls() {
    let mut state = state();
    screen(&mut state, 80, 24);
    let mouse = |deed, column, row| Mouse { deed, column, row };
    state.point(mouse(Deed::Click, 5, 5));
    assert_eq!(state.selected().map(super::Process::id).as_deref(), Some("2"));
    state.point(mouse(Deed::WheelUp, 5, 5));
    state.point(mouse(Deed::WheelUp, 5, 5));
    state.point(mouse(Deed::WheelUp, 5, 15));
    assert_eq!((state.selected().map(super::Process::id).as_deref(), state.back), (Some("0"), 3));
    state.point(mouse(Deed::Click, 500, 500));
}

#[test]
fn without_colours_nothing_is_coloured() {
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).expect("a terminal");
    terminal.draw(|frame| draw(frame, &mut state(), false)).expect("drawn");
    let reset = ratatui_core::style::Color::Reset;
    assert!(terminal.backend().buffer().content.iter().all(|cell| (cell.fg, cell.bg) == (reset, reset)));
}
