//! How the state of `monit` looks on a screen of any size. Pure: draws into a buffer.

use ratatui_core::layout::{Alignment, Constraint, Layout, Rect};
use ratatui_core::style::{Color, Modifier, Style};
use ratatui_core::terminal::Frame;
use ratatui_core::text::{Line, Span};
use ratatui_widgets::block::Block;
use ratatui_widgets::borders::BorderType;
use ratatui_widgets::clear::Clear;
use ratatui_widgets::paragraph::Paragraph;
use ratatui_widgets::sparkline::Sparkline;
use ratatui_widgets::table::{Cell, Row, Table};

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::details;
use super::history::{cpu_top, memory_top};
use super::state::{Areas, Panel, State, Typing};
use crate::cli::process::Process;
use crate::cli::render::{fit, list::uptime_text, units};

const KEYS: &str = " ? help  / filter  o sort  r restart  l reload  s stop  d delete  q quit";
const HELP: [(&str, &str); 13] = [
    ("up down  k j", "select a process, or scroll the panel"),
    ("left right  tab", "the next panel"),
    ("pgup pgdn  g G", "ten lines; to the beginning, to the end"),
    ("/", "filter the list; in the logs: search"),
    ("n", "the next older line that was searched for"),
    ("o  O", "sort by another column; turn the order"),
    ("r  l", "restart; reload without a gap"),
    ("s  d", "stop; delete from the list"),
    ("y", "yes, do it; any other key: no"),
    ("esc", "forget filter and search; then leave"),
    ("mouse", "click selects, the wheel scrolls"),
    ("? h", "this help; any key closes it"),
    ("q  ctrl-c", "leave"),
];
/// Letters of the small graphs in the list.
const SPARK: u16 = 8;

const DIM: Style = Style::new().fg(Color::DarkGray);
const HEAD: Style = Style::new().fg(Color::Cyan).add_modifier(Modifier::BOLD);

pub(super) fn draw(frame: &mut Frame<'_>, state: &mut State, colours: bool) {
    let whole = frame.area();
    state.areas = Areas::default();
    if whole.width < 20 || whole.height < 5 {
        frame.render_widget(Paragraph::new("monit needs a larger terminal (q quits)"), whole);
        return;
    }
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)]).areas(whole);
    frame.render_widget(Line::from(summary(state)), head);
    let rows = u16::try_from(state.shown().len()).unwrap_or(u16::MAX);
    // Two borders and a head; the lower half is for what is known of the selected one.
    let height = rows.saturating_add(3).clamp(4, (body.height / 2).max(4));
    let height = if body.height < height + 3 { body.height } else { height };
    let [upper, lower] = Layout::vertical([Constraint::Length(height), Constraint::Fill(1)]).areas(body);
    processes(frame, state, upper, colours);
    if lower.height >= 3 {
        let side = if lower.width >= 70 { (lower.width * 2 / 5).clamp(30, 70) } else { 0 };
        let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(side)]).areas(lower);
        // Where there is no place for a side, the panel that has the focus takes the room of the logs.
        match (side, state.panel) {
            (0, panel @ (Panel::Metrics | Panel::Metadata)) => table(frame, state, panel, left),
            _ => logs(frame, state, left),
        }
        if side > 0 {
            sides(frame, state, right);
        }
    }
    frame.render_widget(footer(state), foot);
    if state.help {
        help(frame, body);
    } else if let Some((verb, id)) = &state.asked {
        let name = state.selected().map_or_else(String::new, |process| process.name.clone());
        let question = format!("{} {name} (id {id})?", verb.name());
        popup(frame, body, " confirm ", &[question, "y: yes   any other key: no".into()]);
    }
    if !colours {
        for cell in &mut frame.buffer_mut().content {
            (cell.fg, cell.bg) = (Color::Reset, Color::Reset);
        }
    }
}

fn summary(state: &State) -> Vec<Span<'static>> {
    let all = state.all();
    let with = |status: &[&str]| all.iter().filter(|process| status.contains(&process.text("status").as_str())).count();
    let (online, errored) = (with(&["online"]), with(&["errored"]));
    let cpu: f64 = all.iter().map(|process| process.monit.cpu).sum();
    let memory: f64 = all.iter().map(|process| process.monit.memory).sum();
    let mut spans = vec![
        Span::styled(" pm2-rs monit ", HEAD),
        Span::raw(format!(" {} processes  ", all.len())),
        Span::styled(format!("{online} online"), Style::new().fg(Color::Green)),
    ];
    if errored > 0 {
        spans.push(Span::styled(format!("  {errored} errored"), Style::new().fg(Color::Red)));
    }
    spans.push(Span::raw(format!("  cpu {}%  mem {}", rounded(cpu), units::bytes(memory))));
    spans
}

/// One decimal at most.
fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn frame_of(title: String, has_focus: bool) -> Block<'static> {
    let style = if has_focus { Style::new().fg(Color::Blue).add_modifier(Modifier::BOLD) } else { DIM };
    Block::bordered().border_type(BorderType::Plain).border_style(style).title(Span::styled(title, HEAD))
}

fn status_style(status: &str) -> Style {
    Style::new().add_modifier(Modifier::BOLD).fg(match status {
        "online" => Color::Green,
        "launching" => Color::Blue,
        _ => Color::Red,
    })
}

/// Green, yellow or red.
fn level(value: f64, low: f64, high: f64) -> Style {
    Style::new().fg(match value {
        v if v < low => Color::Green,
        v if v < high => Color::Yellow,
        _ => Color::Red,
    })
}

fn processes(frame: &mut Frame<'_>, state: &mut State, area: Rect, colours: bool) {
    // Reversed, graphs and coloured texts would be blocks: so only where nothing else shows what is selected.
    let chosen = if colours { Style::new().fg(Color::White).bg(Color::Blue).bold() } else { Style::new().reversed() };
    state.areas.list = area;
    let sparks = area.width >= 76;
    let head = |title: &str| {
        let key = if title == "mem" { "memory" } else { title };
        let mark = match (key == state.sort, state.descending) {
            (true, true) => "▼",
            (true, false) => "▲",
            _ => "",
        };
        Cell::from(format!("{title}{mark}"))
    };
    let mut titles = vec![head("id"), head("name"), head("status"), head("cpu")];
    let mut widths = vec![Constraint::Length(4), Constraint::Fill(1), Constraint::Length(9), Constraint::Length(6)];
    if sparks {
        titles.push(Cell::from(""));
        widths.push(Constraint::Length(SPARK));
    }
    titles.push(head("mem"));
    widths.push(Constraint::Length(8));
    if sparks {
        titles.extend([Cell::from(""), Cell::from("↺"), head("uptime")]);
        widths.extend([Constraint::Length(SPARK), Constraint::Length(4), Constraint::Length(7)]);
    }
    // What the others leave, and the blanks between them: so that a name that is cut says so.
    let fixed: u16 = widths.iter().map(|width| if let Constraint::Length(length) = width { *length } else { 0 }).sum();
    let blanks = u16::try_from(widths.len()).unwrap_or(0).saturating_sub(1);
    let room = usize::from(area.width.saturating_sub(2 + fixed + blanks));
    let total: f64 = state.all().iter().map(|process| process.monit.memory).sum();
    let rows: Vec<Row<'_>> =
        state.shown().into_iter().map(|process| row(state, process, total, sparks, room)).collect();
    let filter = if state.filter.is_empty() { String::new() } else { format!("filter: {} ", state.filter) };
    let count =
        if state.filter.is_empty() { String::new() } else { format!("({} of {}) ", rows.len(), state.all().len()) };
    let empty = rows.is_empty();
    let table = Table::new(rows, widths)
        .header(Row::new(titles).style(HEAD))
        .block(frame_of(format!(" Processes {count}{filter}"), state.panel == Panel::List))
        .row_highlight_style(chosen);
    frame.render_stateful_widget(table, area, &mut state.table);
    if empty && area.height > 3 {
        let text = if state.all().is_empty() { "no process runs: pm2-rs start <script>" } else { "no process matches" };
        let inner = Rect { x: area.x + 1, y: area.y + 2, width: area.width - 2, height: 1 };
        frame.render_widget(Paragraph::new(text).style(DIM), inner);
    }
}

fn row<'a>(state: &State, process: &Process, total: f64, sparks: bool, room: usize) -> Row<'a> {
    let status = process.text("status");
    let cpu = process.monit.cpu;
    let memory = process.monit.memory;
    let share = if total > 0.0 { memory / total * 100.0 } else { 0.0 };
    let mut cells = vec![
        Cell::from(process.id()),
        Cell::from(fit(&process.name, room)),
        Cell::from(if status == "waiting restart" { "waiting".to_owned() } else { status.clone() })
            .style(status_style(&status)),
        Cell::from(format!("{}%", rounded(cpu))).style(level(cpu, 40.0, 70.0)),
    ];
    let spark = |history: Option<String>| Cell::from(history.unwrap_or_default()).style(Style::new().fg(Color::Cyan));
    let figures = state.figures.get(&process.id());
    if sparks {
        cells.push(spark(figures.map(|figures| figures.cpu.spark(SPARK.into(), cpu_top(&figures.cpu)))));
    }
    cells.push(Cell::from(units::bytes(memory)).style(level(share, 60.0, 85.0)));
    if sparks {
        cells.push(spark(figures.map(|figures| figures.memory.spark(SPARK.into(), memory_top(&figures.memory)))));
        cells.extend([Cell::from(process.text("restart_time")), Cell::from(uptime_text(process))]);
    }
    Row::new(cells)
}

/// Of a path that is too long the end says more than the beginning.
fn fit_end(text: &str, wide: usize) -> String {
    let text = cut(text);
    if !text.starts_with('/') || text.width() <= wide {
        return fit(&text, wide);
    }
    let mut start = text.len();
    let mut used = 1;
    for (at, letter) in text.grapheme_indices(true).rev() {
        used += letter.width();
        if used > wide {
            break;
        }
        start = at;
    }
    ["…", &text[start..]].concat()
}

/// A text without what moves the cursor.
fn cut(text: &str) -> String {
    crate::cli::render::harmless(text)
}

fn logs(frame: &mut Frame<'_>, state: &mut State, area: Rect) {
    state.areas.logs = area;
    let selected = state.selected().map(|process| (process.id(), cut(&process.name)));
    let room = usize::from(area.height.saturating_sub(2));
    let (id, name) = selected.unwrap_or_default();
    let count = state.lines.of(&id).len();
    state.back = state.back.min(count.saturating_sub(room));
    let first = count.saturating_sub(room + state.back);
    let lines: Vec<Line<'_>> = state
        .lines
        .of(&id)
        .skip(first)
        .take(room)
        .map(|line| {
            let style = if line.is_error { Style::new().fg(Color::Red) } else { Style::new() };
            let style = if state.is_hit(&line.text) { style.add_modifier(Modifier::REVERSED) } else { style };
            Line::styled(line.text.clone(), style)
        })
        .collect();
    let back = if state.back > 0 { format!("({} lines back) ", state.back) } else { String::new() };
    let search = if state.search.is_empty() { String::new() } else { format!("search: {} ", state.search) };
    let block = frame_of(format!(" {name} Logs {back}{search}"), state.panel == Panel::Logs);
    let text = if lines.is_empty() { Paragraph::new("nothing written yet").style(DIM) } else { Paragraph::new(lines) };
    frame.render_widget(text.block(block), area);
}

/// Graphs, metrics, metadata: as many of them as there is room for.
fn sides(frame: &mut Frame<'_>, state: &mut State, area: Rect) {
    let graph = match area.height {
        0..=9 => 0,
        10..=19 => 6,
        _ => 10,
    };
    let [top, rest] = Layout::vertical([Constraint::Length(graph), Constraint::Fill(1)]).areas(area);
    if graph > 0 {
        graphs(frame, state, top);
    }
    if rest.height < 14 {
        let panel = if state.panel == Panel::Metrics { Panel::Metrics } else { Panel::Metadata };
        return table(frame, state, panel, rest);
    }
    let count = state.selected().map_or(0, |process| details::metrics(process).len());
    let height = u16::try_from(count).unwrap_or(u16::MAX).saturating_add(2).clamp(3, rest.height / 2);
    let [metrics, metadata] = Layout::vertical([Constraint::Length(height), Constraint::Fill(1)]).areas(rest);
    table(frame, state, Panel::Metrics, metrics);
    table(frame, state, Panel::Metadata, metadata);
}

fn graphs(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let block = frame_of(" CPU and memory ".into(), false);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let Some(process) = state.selected() else { return };
    let Some(figures) = state.figures.get(&process.id()) else { return };
    let one = Constraint::Length(1);
    let [cpu_head, cpu, memory_head, memory] =
        Layout::vertical([one, Constraint::Fill(1), one, Constraint::Fill(1)]).areas(inner);
    let text = format!("cpu {}%  highest {}%", rounded(process.monit.cpu), rounded(figures.cpu.max()));
    frame.render_widget(Line::from(text), cpu_head);
    let data = figures.cpu.newest(cpu.width.into(), cpu_top(&figures.cpu));
    frame.render_widget(Sparkline::default().data(data).max(1000).style(Style::new().fg(Color::Green)), cpu);
    let memory_text = units::bytes(process.monit.memory);
    let text = format!("mem {memory_text}  highest {}", units::bytes(figures.memory.max()));
    frame.render_widget(Line::from(text), memory_head);
    let data = figures.memory.newest(memory.width.into(), memory_top(&figures.memory));
    frame.render_widget(Sparkline::default().data(data).max(1000).style(Style::new().fg(Color::Yellow)), memory);
}

/// Labels and texts of the selected process.
fn table(frame: &mut Frame<'_>, state: &mut State, panel: Panel, area: Rect) {
    let (title, rows, down) = match (panel, state.selected()) {
        (Panel::Metrics, process) => (" Metrics ", process.map(details::metrics), &mut state.metrics_down),
        (_, process) => (" Metadata ", process.map(details::metadata), &mut state.metadata_down),
    };
    let rows = rows.unwrap_or_default();
    let room = usize::from(area.height.saturating_sub(2));
    *down = (*down).min(rows.len().saturating_sub(room));
    let first = *down;
    if panel == Panel::Metrics {
        state.areas.metrics = area;
    } else {
        state.areas.metadata = area;
    }
    let block = frame_of(title.to_owned(), state.panel == panel);
    if rows.is_empty() {
        let text = if panel == Panel::Metrics { "the app reports none" } else { "no process" };
        frame.render_widget(Paragraph::new(text).style(DIM).block(block), area);
        return;
    }
    let label = rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0).min(24);
    let wide = usize::from(area.width).saturating_sub(3 + label);
    let shown = rows
        .into_iter()
        .skip(first)
        .take(room)
        .map(|(label, text)| Row::new([Cell::from(cut(&label)).style(DIM), Cell::from(fit_end(&text, wide))]));
    let widths = [Constraint::Length(u16::try_from(label).unwrap_or(24)), Constraint::Fill(1)];
    frame.render_widget(Table::new(shown, widths).block(block), area);
}

fn footer(state: &State) -> Paragraph<'static> {
    match state.typing {
        Typing::Filter => Paragraph::new(format!(" filter: {}_   enter: keep   esc: forget", state.filter)),
        Typing::Search => Paragraph::new(format!(" search: {}_   enter: find   esc: forget", state.search)),
        Typing::Commands if state.told.is_empty() => Paragraph::new(KEYS).style(DIM),
        Typing::Commands => Paragraph::new(format!(" {}", cut(&state.told))),
    }
}

fn help(frame: &mut Frame<'_>, area: Rect) {
    let lines: Vec<String> = HELP.iter().map(|(keys, what)| format!("{keys:<17}{what}")).collect();
    popup(frame, area, " keys ", &lines);
}

/// A box in the middle, over everything else.
fn popup(frame: &mut Frame<'_>, area: Rect, title: &str, lines: &[String]) {
    let widest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let width = u16::try_from(widest + 4).unwrap_or(u16::MAX).min(area.width);
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let place = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    let text: Vec<Line<'_>> = lines.iter().map(|line| Line::from(format!(" {line}"))).collect();
    frame.render_widget(Clear, place);
    let block = frame_of(title.to_owned(), true);
    frame.render_widget(Paragraph::new(text).alignment(Alignment::Left).block(block), place);
}
