//! The terminal as `monit` holds it: raw, on the other screen, without a cursor; keys and the mouse as they come.

use std::io::{self, Write};
use std::time::Duration;

use ratatui_crossterm::crossterm::event::{
    self, Event, KeyCode, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind,
};
use ratatui_crossterm::crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use tokio::sync::mpsc;

use super::super::super::Ui;

/// The other screen, no cursor, buttons and wheel of the mouse; and all of it back.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?1000h\u{1b}[?1006h";
const LEAVE: &str = "\u{1b}[?1006l\u{1b}[?1000l\u{1b}[?25h\u{1b}[?1049l";

/// A key, as far as it means something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    First,
    Last,
    Tab,
    BackTab,
    Enter,
    Backspace,
    Escape,
    Letter(char),
    /// Ctrl-C.
    Interrupt,
}

/// What the mouse did, at a column and a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mouse {
    pub(super) deed: Deed,
    pub(super) column: u16,
    pub(super) row: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Click,
    WheelUp,
    WheelDown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    Key(Key),
    Mouse(Mouse),
    Resized,
}

/// The terminal, until this is dropped.
pub(super) struct Held<'a>(&'a mut Ui);

impl<'a> Held<'a> {
    pub(super) fn take(ui: &'a mut Ui) -> io::Result<Held<'a>> {
        enable_raw_mode()?;
        ui.data(ENTER);
        Ok(Held(ui))
    }

    pub(super) fn colours(&self) -> bool {
        self.0.has_colours()
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.data(LEAVE);
        let _ = disable_raw_mode();
    }
}

/// Collects a whole picture, so that the terminal gets it in one piece.
pub(super) struct Output<'a, 'ui> {
    held: &'a mut Held<'ui>,
    bytes: Vec<u8>,
}

impl<'a, 'ui> Output<'a, 'ui> {
    pub(super) fn new(held: &'a mut Held<'ui>) -> Self {
        Output { held, bytes: Vec::new() }
    }
}

impl Write for Output<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.held.0.bytes(&self.bytes);
        self.bytes.clear();
        if self.held.0.is_closed() { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }
}

/// Keys and mouse, read by a thread of its own: reading from a terminal blocks. It ends when nobody listens any more.
pub(super) fn inputs() -> mpsc::Receiver<Input> {
    let (sender, inputs) = mpsc::channel(64);
    std::thread::spawn(move || {
        while !sender.is_closed() {
            match event::poll(Duration::from_millis(100)) {
                Ok(false) => {}
                Ok(true) => match event::read().map(|event| understand(&event)) {
                    Ok(Some(input)) if sender.blocking_send(input).is_err() => return,
                    Ok(_) => {}
                    Err(_) => return,
                },
                Err(_) => return,
            }
        }
    });
    inputs
}

fn understand(event: &Event) -> Option<Input> {
    let key = match event {
        Event::Resize(..) => return Some(Input::Resized),
        Event::Mouse(mouse) => {
            let deed = match mouse.kind {
                MouseEventKind::Down(MouseButton::Left) => Deed::Click,
                MouseEventKind::ScrollUp => Deed::WheelUp,
                MouseEventKind::ScrollDown => Deed::WheelDown,
                _ => return None,
            };
            return Some(Input::Mouse(Mouse { deed, column: mouse.column, row: mouse.row }));
        }
        Event::Key(key) if key.kind != KeyEventKind::Release => key,
        _ => return None,
    };
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(Input::Key(match key.code {
        KeyCode::Char('c') if control => Key::Interrupt,
        KeyCode::Char(_) if control || key.modifiers.contains(KeyModifiers::ALT) => return None,
        KeyCode::Char(letter) => Key::Letter(letter),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::First,
        KeyCode::End => Key::Last,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Enter => Key::Enter,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Esc => Key::Escape,
        _ => return None,
    }))
}
