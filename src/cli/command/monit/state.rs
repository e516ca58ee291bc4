//! What `monit` shows and what keys do to it. Pure: keys and processes in, orders out.

use std::collections::BTreeMap;

use ratatui_core::layout::{Position, Rect};
use ratatui_widgets::table::TableState;

use super::history::History;
use super::lines::Lines;
use super::terminal::{Deed, Key, Mouse};
use crate::cli::process::Process;
use crate::cli::render::list;

/// What the list can be sorted by, in the order of the key that changes it.
const SORTS: [&str; 7] = ["name", "id", "cpu", "memory", "uptime", "status", "namespace"];
/// Lines that a page key and a turn of the wheel move.
const PAGE: usize = 10;
const WHEEL: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Restart,
    Reload,
    Stop,
    Delete,
}

impl Verb {
    pub(super) fn name(self) -> &'static str {
        match self {
            Verb::Restart => "restart",
            Verb::Reload => "reload",
            Verb::Stop => "stop",
            Verb::Delete => "delete",
        }
    }
}

/// What a key asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    Nothing,
    Leave,
    /// Confirmed; the id it is about.
    Act(Verb, String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Panel {
    List,
    Logs,
    Metrics,
    Metadata,
}

impl Panel {
    const ALL: [Panel; 4] = [Panel::List, Panel::Logs, Panel::Metrics, Panel::Metadata];

    /// The panel that many steps further, around.
    fn step(self, steps: usize) -> Panel {
        let at = Panel::ALL.iter().position(|panel| *panel == self).unwrap_or(0);
        Panel::ALL.get((at + steps) % Panel::ALL.len()).copied().unwrap_or(Panel::List)
    }
}

/// What letters are for at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Typing {
    Commands,
    /// A text that processes must contain.
    Filter,
    /// A text that is looked for in the logs.
    Search,
}

#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) cpu: History,
    pub(super) memory: History,
}

/// Where the panels were drawn last: for the mouse, and for how far one can scroll.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Areas {
    pub(super) list: Rect,
    pub(super) logs: Rect,
    pub(super) metrics: Rect,
    pub(super) metadata: Rect,
}

#[derive(Debug)]
pub(super) struct State {
    processes: Vec<Process>,
    pub(super) figures: BTreeMap<String, Figures>,
    pub(super) lines: Lines,
    /// Id of the selected process: it stays selected when the list changes.
    selected: Option<String>,
    pub(super) panel: Panel,
    pub(super) typing: Typing,
    pub(super) filter: String,
    pub(super) search: String,
    pub(super) sort: String,
    pub(super) descending: bool,
    /// What waits for a yes.
    pub(super) asked: Option<(Verb, String)>,
    pub(super) told: String,
    pub(super) help: bool,
    /// How far the logs are scrolled back from their end.
    pub(super) back: usize,
    /// How far metrics and metadata are scrolled down.
    pub(super) metrics_down: usize,
    pub(super) metadata_down: usize,
    pub(super) table: TableState,
    pub(super) areas: Areas,
}

impl State {
    pub(super) fn new(order: &str) -> State {
        let (sort, direction) = order.split_once(':').unwrap_or((order, "asc"));
        State {
            processes: Vec::new(),
            figures: BTreeMap::new(),
            lines: Lines::default(),
            selected: None,
            panel: Panel::List,
            typing: Typing::Commands,
            filter: String::new(),
            search: String::new(),
            sort: SORTS.iter().find(|known| **known == sort).unwrap_or(&"name").to_string(),
            descending: direction == "desc",
            asked: None,
            told: String::new(),
            help: false,
            back: 0,
            metrics_down: 0,
            metadata_down: 0,
            table: TableState::default(),
            areas: Areas::default(),
        }
    }

    pub(super) fn knows(&self, id: &str) -> bool {
        self.figures.contains_key(id)
    }

    /// The list of now: figures are added to those before, what is gone is forgotten.
    pub(super) fn set_processes(&mut self, processes: Vec<Process>) {
        self.processes = processes;
        let ids: Vec<String> = self.processes.iter().map(Process::id).collect();
        self.figures.retain(|id, _| ids.contains(id));
        self.lines.retain(|id| ids.iter().any(|known| known == id));
        for process in &self.processes {
            let figures = self.figures.entry(process.id()).or_default();
            figures.cpu.add(process.monit.cpu);
            figures.memory.add(process.monit.memory);
        }
        self.sort_again();
    }

    fn sort_again(&mut self) {
        let direction = if self.descending { "desc" } else { "asc" };
        list::sort(&mut self.processes, &format!("{}:{direction}", self.sort));
        self.keep_selection();
    }

    /// Somebody is selected as long as somebody is shown.
    fn keep_selection(&mut self) {
        let at = self.position();
        self.select(at);
    }

    pub(super) fn tell(&mut self, text: String) {
        self.told = text;
    }

    pub(super) fn all(&self) -> &[Process] {
        &self.processes
    }

    pub(super) fn shown(&self) -> Vec<&Process> {
        self.processes.iter().filter(|process| self.is_shown(process)).collect()
    }

    fn is_shown(&self, process: &Process) -> bool {
        let wanted = self.filter.to_lowercase();
        let texts = [process.name.clone(), process.id(), process.text("namespace"), process.text("status")];
        texts.iter().any(|text| text.to_lowercase().contains(&wanted))
    }

    pub(super) fn selected(&self) -> Option<&Process> {
        self.shown().get(self.position()).copied()
    }

    /// Where the selected process stands among those that are shown; another takes its place when it is gone.
    pub(super) fn position(&self) -> usize {
        let shown = self.shown();
        let found = shown.iter().position(|process| Some(process.id()) == self.selected);
        found.unwrap_or_else(|| self.table.selected().unwrap_or(0).min(shown.len().saturating_sub(1)))
    }

    fn select(&mut self, position: usize) {
        let shown = self.shown();
        let position = position.min(shown.len().saturating_sub(1));
        let id = shown.get(position).map(|process| process.id());
        self.table.select(id.is_some().then_some(position));
        if id != self.selected {
            (self.back, self.metrics_down, self.metadata_down) = (0, 0, 0);
        }
        self.selected = id;
    }

    /// The lines of the selected process that are looked for, or all of it.
    pub(super) fn is_hit(&self, text: &str) -> bool {
        !self.search.is_empty() && text.to_lowercase().contains(&self.search.to_lowercase())
    }

    pub(super) fn press(&mut self, key: Key) -> Order {
        if key == Key::Interrupt {
            return Order::Leave;
        }
        if let Some((verb, id)) = self.asked.take() {
            let yes = matches!(key, Key::Letter('y' | 'Y'));
            return if yes { Order::Act(verb, id) } else { Order::Nothing };
        }
        if std::mem::take(&mut self.help) {
            return Order::Nothing;
        }
        self.told.clear();
        if self.typing == Typing::Commands {
            return self.command(key);
        }
        self.write(key);
        Order::Nothing
    }

    /// A key while a text is written.
    fn write(&mut self, key: Key) {
        let text = if self.typing == Typing::Filter { &mut self.filter } else { &mut self.search };
        match key {
            Key::Letter(letter) => text.push(letter),
            Key::Backspace => drop(text.pop()),
            Key::Escape => text.clear(),
            _ => {}
        }
        if matches!(key, Key::Enter | Key::Escape) {
            if self.typing == Typing::Search {
                self.find(true);
            }
            self.typing = Typing::Commands;
        }
        self.keep_selection();
    }

    fn command(&mut self, key: Key) -> Order {
        match key {
            Key::Letter('q') => return Order::Leave,
            // Out of what was set first, then out of here, as one expects of this key.
            Key::Escape if self.filter.is_empty() && self.search.is_empty() => return Order::Leave,
            Key::Escape => {
                self.filter.clear();
                self.search.clear();
                self.keep_selection();
            }
            Key::Letter('?' | 'h') => self.help = true,
            Key::Right | Key::Tab => self.panel = self.panel.step(1),
            Key::Left | Key::BackTab => self.panel = self.panel.step(Panel::ALL.len() - 1),
            Key::Up | Key::Letter('k') => self.scroll(self.panel, false, 1),
            Key::Down | Key::Letter('j') => self.scroll(self.panel, true, 1),
            Key::PageUp => self.scroll(self.panel, false, PAGE),
            Key::PageDown => self.scroll(self.panel, true, PAGE),
            Key::First | Key::Letter('g') => self.scroll(self.panel, false, usize::MAX),
            Key::Last | Key::Letter('G') => self.scroll(self.panel, true, usize::MAX),
            Key::Letter('/') if self.panel == Panel::Logs => {
                self.search.clear();
                self.typing = Typing::Search;
            }
            Key::Letter('/') => self.typing = Typing::Filter,
            Key::Letter('n') => self.find(false),
            Key::Letter('o') => {
                let at = SORTS.iter().position(|sort| *sort == self.sort).unwrap_or(0);
                self.sort = SORTS.iter().cycle().nth(at + 1).map_or_else(String::new, ToString::to_string);
                // Of figures one wants to see the highest.
                self.descending = ["cpu", "memory"].contains(&self.sort.as_str());
                self.sort_again();
            }
            Key::Letter('O') => {
                self.descending = !self.descending;
                self.sort_again();
            }
            Key::Letter('r') => self.ask(Verb::Restart),
            Key::Letter('l') => self.ask(Verb::Reload),
            Key::Letter('s') => self.ask(Verb::Stop),
            Key::Letter('d') => self.ask(Verb::Delete),
            _ => {}
        }
        Order::Nothing
    }

    fn ask(&mut self, verb: Verb) {
        self.asked = self.selected().map(|process| (verb, process.id()));
    }

    /// The next older line with what is looked for, from the newest one or from where the logs are scrolled to.
    fn find(&mut self, from_newest: bool) {
        let Some(id) = self.selected.clone() else { return };
        let start = if from_newest { 0 } else { self.back + 1 };
        let hit =
            |at: usize| self.lines.of(&id).rev().skip(at).position(|line| self.is_hit(&line.text)).map(|n| n + at);
        match hit(start).or_else(|| hit(0)) {
            Some(back) => {
                self.panel = Panel::Logs;
                self.back = back;
            }
            None if self.search.is_empty() => self.told = "nothing is looked for: press / in the logs".into(),
            None => self.told = format!("no line has: {}", self.search),
        }
    }

    fn scroll(&mut self, panel: Panel, down: bool, by: usize) {
        let moved = |at: usize| if down { at.saturating_add(by) } else { at.saturating_sub(by) };
        match panel {
            Panel::List => self.select(moved(self.position())),
            // Held at their ends when they are drawn.
            Panel::Logs => self.back = if down { self.back.saturating_sub(by) } else { self.back.saturating_add(by) },
            Panel::Metrics => self.metrics_down = moved(self.metrics_down),
            Panel::Metadata => self.metadata_down = moved(self.metadata_down),
        }
    }

    /// A click selects a process or a panel; the wheel scrolls what is under it.
    pub(super) fn point(&mut self, mouse: Mouse) {
        let areas = self.areas;
        let places = [areas.list, areas.logs, areas.metrics, areas.metadata];
        let at = Position::new(mouse.column, mouse.row);
        let under = Panel::ALL.into_iter().zip(places).find(|(_, area)| area.contains(at));
        let Some((panel, area)) = under.filter(|_| self.asked.is_none() && !self.help) else { return };
        match mouse.deed {
            Deed::WheelUp => self.scroll(panel, false, if panel == Panel::List { 1 } else { WHEEL }),
            Deed::WheelDown => self.scroll(panel, true, if panel == Panel::List { 1 } else { WHEEL }),
            Deed::Click => {
                self.panel = panel;
                // Below the border and the head.
                if let Some(row) = mouse.row.checked_sub(area.y + 2).filter(|_| panel == Panel::List) {
                    let position = self.table.offset() + usize::from(row);
                    if position < self.shown().len() {
                        self.select(position);
                    }
                }
            }
        }
    }
}
