//! The log lines that `monit` holds, of each process for itself: a chatty one drives out nobody else's.

use std::collections::{BTreeMap, VecDeque};

use super::super::super::render::harmless;

/// Lines kept of each process.
const KEPT: usize = 500;
/// Letters kept of a line: more would never be seen.
const LONGEST: usize = 1000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) is_error: bool,
    pub(super) text: String,
}

#[derive(Debug, Default)]
pub(super) struct Lines(BTreeMap<String, VecDeque<Line>>);

impl Lines {
    /// What a process wrote: one or several lines.
    pub(super) fn add(&mut self, id: &str, is_error: bool, text: &str) {
        let kept = self.0.entry(id.to_owned()).or_default();
        for line in text.trim_end_matches(['\n', '\r']).split('\n') {
            if kept.len() == KEPT {
                kept.pop_front();
            }
            kept.push_back(Line { is_error, text: plain(line.trim_end_matches('\r')) });
        }
    }

    pub(super) fn forget(&mut self, id: &str) {
        self.0.remove(id);
    }

    /// Only these are kept.
    pub(super) fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|id, _| is_there(id));
    }

    pub(super) fn of(&self, id: &str) -> impl DoubleEndedIterator<Item = &Line> + ExactSizeIterator {
        static NONE: VecDeque<Line> = VecDeque::new();
        self.0.get(id).unwrap_or(&NONE).iter()
    }
}

/// A line without its escape sequences: what an app writes must not reach the terminal of who looks at it.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut letters = line.chars().take(4 * LONGEST).peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\u{1b}' => match letters.next() {
                // Until its last letter.
                Some('[') => while letters.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
                // A title or a link: until BEL, or ESC and a backslash.
                Some(']') => while letters.next().is_some_and(|c| c != '\u{7}' && c != '\\') {},
                _ => {}
            },
            '\t' => text.push_str("    "),
            other => text.push(other),
        }
    }
    harmless(&text.chars().take(LONGEST).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_line_moves_the_cursor() {
        assert_eq!(plain("\u{1b}[1;32mgreen\u{1b}[0m \u{1b}]0;title\u{7}end"), "green end");
        assert_eq!(plain("a\u{1b}[2J\tb\u{8}c\rd"), "a    b c d");
        assert_eq!(plain("cut \u{1b}[3"), "cut ");
        assert_eq!(plain(&"x".repeat(9000)).len(), LONGEST);
    }

    #[test]
    fn each_process_keeps_its_own() {
        let mut lines = Lines::default();
        lines.add("1", false, "first\nsecond\r\n");
        for number in 0..2 * KEPT {
            lines.add("0", false, &number.to_string());
        }
        let texts = |id: &str| lines.of(id).map(|line| line.text.clone()).collect::<Vec<_>>();
        assert_eq!(texts("1"), ["first", "second"]);
        assert_eq!((texts("0").len(), texts("0").last().map(String::as_str)), (KEPT, Some("999")));
        assert_eq!(lines.of("7").len(), 0);
    }
}
