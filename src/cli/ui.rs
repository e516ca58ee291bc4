//! Where words go: messages with pm2's prefixes, data, colours, silence (contract/cli.md sections 1.2 to 1.4).

use std::io::{self, Write};

use super::Tty;
use super::grammar::Request;

/// The two streams of one command, and what may be written to them.
pub struct Ui {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    tty: Tty,
    colour: bool,
    silent: bool,
    /// With `--json`: no messages on stdout, one object at the end.
    json: bool,
    /// Something was written to stdout.
    wrote: bool,
    /// The reader of stdout went away: go on without it, and say nothing more (`ls | head`).
    closed: bool,
}

impl std::fmt::Debug for Ui {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ui").field("tty", &self.tty).field("silent", &self.silent).finish_non_exhaustive()
    }
}

/// Colours as SGR numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Red,
    Green,
    Yellow,
    Blue,
    Grey,
    BoldRed,
    BoldGreen,
    BoldBlue,
    BoldCyan,
    BoldGrey,
    Bold,
    InverseBold,
}

impl Colour {
    fn code(self) -> &'static str {
        match self {
            Colour::Red => "31",
            Colour::Green => "32",
            Colour::Yellow => "33",
            Colour::Blue => "34",
            Colour::Grey => "90",
            Colour::BoldRed => "1;31",
            Colour::BoldGreen => "1;32",
            Colour::BoldBlue => "1;34",
            Colour::BoldCyan => "1;36",
            Colour::BoldGrey => "1;90",
            Colour::Bold => "1",
            Colour::InverseBold => "7;1",
        }
    }
}

impl Ui {
    pub(super) fn new(
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
        tty: Tty,
        env: &impl Fn(&str) -> Option<String>,
    ) -> Ui {
        let forced = env("FORCE_COLOR").is_some_and(|text| text != "0");
        let off = env("NO_COLOR").is_some() || env("FORCE_COLOR").is_some_and(|t| t == "0");
        let dumb = env("TERM").is_some_and(|text| text == "dumb");
        let colour = !off && (forced || (tty.stdout && !dumb));
        Ui { out, err, tty, colour, silent: env("PM2_SILENT").is_some(), json: false, wrote: false, closed: false }
    }

    pub(super) fn apply(&mut self, request: &Request) {
        self.silent |= request.is_set("silent");
        self.json = request.is_set("json");
        self.colour &= !request.is_set("no-color");
    }

    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    pub(super) fn has_colours(&self) -> bool {
        self.colour
    }

    #[cfg(test)]
    pub(super) fn without_colours(&mut self) {
        self.colour = false;
    }

    /// Whether a person reads what goes to stderr.
    pub(super) fn is_terminal(&self) -> bool {
        self.tty.stderr
    }

    /// Whether stdout got anything.
    pub(super) fn has_written(&self) -> bool {
        self.wrote
    }

    /// Whether the reader of stdout went away.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Columns that a table may fill; `None`: as wide as it likes.
    pub(super) fn columns(&self) -> Option<usize> {
        if self.tty.stdout { self.tty.columns } else { None }
    }

    /// `text` in a colour, if colours are on.
    pub(super) fn paint(&self, colour: Colour, text: &str) -> String {
        if self.colour { format!("\u{1b}[{}m{text}\u{1b}[0m", colour.code()) } else { text.to_owned() }
    }

    /// Progress: `[PM2] text`.
    pub(super) fn say(&mut self, text: &str) {
        let prefix = self.paint(Colour::Green, "[PM2] ");
        self.message(&format!("{prefix}{text}"));
    }

    /// Progress of a module command: `[PM2][Module] text`.
    pub(super) fn module(&mut self, text: &str) {
        let prefix = self.paint(Colour::BoldGreen, "[PM2][Module] ");
        self.message(&format!("{prefix}{text}"));
    }

    /// Its failure, on stderr.
    pub(super) fn module_error(&mut self, text: &str) {
        let prefix = self.paint(Colour::Red, "[PM2][Module][ERROR] ");
        self.complain(&format!("{prefix}{text}"));
    }

    /// A line on stdout that machine readers do not want.
    pub(super) fn message(&mut self, line: &str) {
        if !self.silent && !self.json {
            self.data(&format!("{line}\n"));
        }
    }

    /// What pm2 calls a warning though it is progress: `[PM2][WARN] text` on stdout.
    pub(super) fn note(&mut self, text: &str) {
        let prefix = self.paint(Colour::Yellow, "[PM2][WARN] ");
        self.message(&format!("{prefix}{text}"));
    }

    /// A warning on stderr: `[PM2][WARN] text`.
    pub(super) fn warn(&mut self, text: &str) {
        let prefix = self.paint(Colour::Yellow, "[PM2][WARN] ");
        self.complain(&format!("{prefix}{text}"));
    }

    /// A failure on stderr: `[PM2][ERROR] text`.
    pub(super) fn error(&mut self, text: &str) {
        let prefix = self.paint(Colour::Red, "[PM2][ERROR] ");
        self.complain(&format!("{prefix}{text}"));
    }

    /// A line on stderr.
    pub(super) fn complain(&mut self, line: &str) {
        if !self.silent {
            // With nobody to read stderr there is nobody to tell.
            let _ = writeln!(self.err, "{line}").and_then(|()| self.err.flush());
        }
    }

    /// What was asked for, on stdout, as it is; also when silent.
    pub(super) fn data(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// What was asked for, unless silent: tables and the like.
    pub(super) fn show(&mut self, text: &str) {
        if !self.silent && !self.json {
            self.data(text);
        }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        if self.closed {
            return;
        }
        self.wrote = true;
        if let Err(error) = self.out.write_all(bytes).and_then(|()| self.out.flush()) {
            self.closed = true;
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.complain(&format!("cannot write to stdout: {error}"));
            }
        }
    }

    /// Bytes on stderr, as they are.
    pub(super) fn error_bytes(&mut self, bytes: &[u8]) {
        let _ = self.err.write_all(bytes).and_then(|()| self.err.flush());
    }
}
