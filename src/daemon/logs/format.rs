//! From bytes of a stream to what is written: whole lines, with a date or as JSON. Pure.
//!
//! Owns: the three forms (contract/options.md section 7.3), and the rule which bytes wait for the end of their line.
//! Must never: lose or double a byte, or hold more than [`MAX_LINE`].
//!
//! pm2 loses the rest of a chunk behind its last line end (Q43); here it waits for its own.

use std::borrow::Cow;

use memchr::{memchr_iter, memrchr};

use super::date::{DateFormat, append_iso};
use super::text::incomplete_tail;

/// A line longer than this is written in pieces.
pub(super) const MAX_LINE: usize = 64 * 1024;

/// The form of what is written and published.
#[derive(Debug, Clone, Default)]
pub struct Format {
    /// `log_date_format`, compiled.
    pub date: Option<DateFormat>,
    /// `log_type: 'json'`.
    pub json: bool,
}

/// How the lines of one stream look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style<'a> {
    pub(super) format: &'a Format,
    /// `out` or `err`.
    pub(super) kind: &'static str,
    pub(super) pm_id: u32,
    pub(super) name: &'a str,
    /// Others write to the same file: an unfinished last line is closed, so that theirs does not continue it.
    pub(super) shared: bool,
}

/// What came, and what waits from before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) carry: &'a [u8],
    /// The beginning of the line that `carry` and `chunk` continue is written already.
    pub(super) continued: bool,
    pub(super) chunk: &'a [u8],
    /// Nothing more will come: an unfinished line is written too.
    pub(super) last: bool,
    /// Milliseconds since the epoch.
    pub(super) now: u64,
}

/// What waits now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tail {
    /// `None`: the old carry and the whole chunk. Otherwise the chunk from here on.
    pub(super) from: Option<usize>,
    pub(super) continued: bool,
}

/// Appends to `out` what is to be written now. The same piece always gives the same bytes: after a crash the rest of a
/// half written piece is found by formatting it again.
pub(super) fn format_lines(style: &Style<'_>, piece: &Piece<'_>, out: &mut Vec<u8>) -> Tail {
    let Piece { mut carry, mut continued, chunk, last, now } = *piece;
    let mut start = 0;
    out.reserve(carry.len() + chunk.len());
    if style.format.json || style.format.date.is_some() {
        let mut stamp = Stamp::new(style, now);
        for end in memchr_iter(b'\n', chunk) {
            stamp.line(out, carry, chunk.get(start..=end).unwrap_or_default(), continued);
            (carry, continued, start) = (&[], false, end + 1);
        }
    } else if let Some(end) = memrchr(b'\n', chunk) {
        out.extend_from_slice(carry);
        out.extend_from_slice(chunk.get(..=end).unwrap_or_default());
        (carry, continued, start) = (&[], false, end + 1);
    }
    let rest = chunk.get(start..).unwrap_or_default();
    if !last && carry.len() + rest.len() <= MAX_LINE {
        let from = if start == 0 && !piece.carry.is_empty() { None } else { Some(start) };
        return Tail { from, continued };
    }
    if carry.is_empty() && rest.is_empty() {
        return Tail { from: Some(chunk.len()), continued: continued && !last };
    }
    // A character that is not complete yet stays together, if it can.
    let cut = if last { 0 } else { incomplete_tail(rest) };
    let written = rest.get(..rest.len() - cut).unwrap_or_default();
    Stamp::new(style, now).part(out, carry, written, continued, last);
    Tail { from: Some(chunk.len() - cut), continued: !last }
}

/// What stands before and behind the lines of one chunk: they share one moment, so it is made once.
struct Stamp<'a> {
    style: &'a Style<'a>,
    before: Vec<u8>,
    behind: Vec<u8>,
    joined: Vec<u8>,
}

impl<'a> Stamp<'a> {
    fn new(style: &'a Style<'a>, now: u64) -> Stamp<'a> {
        let mut stamp = Stamp { style, before: Vec::new(), behind: Vec::new(), joined: Vec::new() };
        let date = style.format.date.as_ref();
        if style.format.json {
            stamp.before.extend_from_slice(b"{\"message\":");
            stamp.behind.extend_from_slice(b",\"timestamp\":");
            let text = date.map_or_else(
                || {
                    let mut iso = Vec::new();
                    append_iso(&mut iso, now);
                    String::from_utf8_lossy(&iso).into_owned()
                },
                |date| date.text(now),
            );
            append_json(&mut stamp.behind, &text);
            stamp.behind.extend_from_slice(b",\"type\":\"");
            stamp.behind.extend_from_slice(style.kind.as_bytes());
            stamp.behind.extend_from_slice(format!("\",\"process_id\":{},\"app_name\":", style.pm_id).as_bytes());
            append_json(&mut stamp.behind, style.name);
            stamp.behind.extend_from_slice(b"}\n");
        } else if let Some(date) = date {
            date.append(&mut stamp.before, now);
            stamp.before.extend_from_slice(b": ");
        }
        stamp
    }

    /// A line with its end.
    fn line(&mut self, out: &mut Vec<u8>, carry: &[u8], line: &[u8], continued: bool) {
        if !self.style.format.json {
            if !continued {
                out.extend_from_slice(&self.before);
            }
            out.extend_from_slice(carry);
            out.extend_from_slice(line);
            return;
        }
        out.extend_from_slice(&self.before);
        if let (true, Some(text)) = (carry.is_empty(), line.strip_suffix(b"\n").filter(|text| is_plain(text))) {
            out.push(b'"');
            out.extend_from_slice(text);
            out.extend_from_slice(b"\\n\"");
        } else {
            let message: Cow<'_, str> = if carry.is_empty() {
                String::from_utf8_lossy(line)
            } else {
                self.joined.clear();
                self.joined.extend_from_slice(carry);
                self.joined.extend_from_slice(line);
                String::from_utf8_lossy(&self.joined)
            };
            append_json(out, &message);
        }
        out.extend_from_slice(&self.behind);
    }

    /// A line without its end.
    fn part(&mut self, out: &mut Vec<u8>, carry: &[u8], part: &[u8], continued: bool, last: bool) {
        self.line(out, carry, part, continued);
        let closes = self.style.format.date.is_some() || self.style.shared;
        if last && closes && !self.style.format.json {
            out.push(b'\n');
        }
    }
}

/// Whether JSON has these bytes as they are: printable ASCII without quotes and backslashes, as most lines are. Without a
/// branch for each byte, which is what makes it fast.
fn is_plain(text: &[u8]) -> bool {
    let special = |byte: u8| u8::from(byte < 0x20) | u8::from(byte >= 0x7f) | u8::from(byte == b'"' || byte == b'\\');
    text.chunks(64).all(|part| part.iter().fold(0, |found, byte| found | special(*byte)) == 0)
}

fn append_json(out: &mut Vec<u8>, text: &str) {
    // Writing a text into memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::date::DateFormat;
    use super::*;

    /// Runs a whole stream in the given chunks; answers what was written.
    fn run(format: &Format, shared: bool, chunks: &[Vec<u8>]) -> Vec<u8> {
        let style = Style { format, kind: "out", pm_id: 7, name: "a\"b", shared };
        let (mut out, mut carry, mut continued) = (Vec::new(), Vec::new(), false);
        for index in 0..=chunks.len() {
            let last = index == chunks.len();
            let chunk = chunks.get(index).cloned().unwrap_or_default();
            let piece = Piece { carry: &carry, continued, chunk: &chunk, last, now: 0 };
            let tail = format_lines(&style, &piece, &mut out);
            match tail.from {
                None => carry.extend_from_slice(&chunk),
                Some(from) => carry = chunk[from..].to_vec(),
            }
            continued = tail.continued;
            assert!(carry.len() <= MAX_LINE);
        }
        assert!(carry.is_empty() && !continued);
        out
    }

    fn dated() -> Format {
        Format { date: Some(DateFormat::new("[D]")), json: false }
    }

    #[test]
    fn every_line_gets_its_date_however_it_was_cut() {
        let chunks = [b"one\ntw".to_vec(), b"o\n\nthr".to_vec(), b"ee".to_vec()];
        assert_eq!(run(&dated(), false, &chunks), b"D: one\nD: two\nD: \nD: three\n");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let format = Format { date: None, json: true };
        let out = run(&format, false, &[b"a\nb\xc3".to_vec(), b"\xa9".to_vec()]);
        let expected = "{\"message\":\"a\\n\",\"timestamp\":\"1970-01-01T00:00:00.000Z\",\"type\":\"out\",\"process_id\":7,\"app_name\":\"a\\\"b\"}\n{\"message\":\"bé\",\"timestamp\":\"1970-01-01T00:00:00.000Z\",\"type\":\"out\",\"process_id\":7,\"app_name\":\"a\\\"b\"}\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let format = Format { date: Some(DateFormat::new("[D]")), json: true };
        assert!(String::from_utf8(run(&format, false, &[b"a".to_vec()])).unwrap().contains("\"timestamp\":\"D\""));
    }

    #[test]
    fn an_endless_line_is_written_in_pieces_with_one_date() {
        let long = vec!["é".repeat(20_000).into_bytes(); 5];
        let mut expected = b"D: ".to_vec();
        expected.extend(long.concat());
        expected.push(b'\n');
        assert!(run(&dated(), false, &long) == expected);
    }

    #[test]
    fn in_a_shared_file_the_last_line_is_closed() {
        assert_eq!(run(&Format::default(), true, &[b"x\ny".to_vec()]), b"x\ny\n");
        assert_eq!(run(&Format::default(), false, &[b"x\ny".to_vec()]), b"x\ny");
    }

    #[test]
    fn json_escapes_what_it_must() {
        let json = Format { date: None, json: true };
        for special in ["\"", "\\", "\u{1}", "\t", "\u{7f}", "é", "plain", "\u{2028}", ""] {
            for line in [format!("{special}{}\n", "x".repeat(70)), format!("{}{special}\n", "x".repeat(63))] {
                let out = run(&json, false, &[line.clone().into_bytes()]);
                let value: Value = serde_json::from_slice(&out).unwrap();
                assert_eq!(value["message"], line);
            }
        }
    }

    fn chunks() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let byte = prop_oneof![4 => any::<u8>(), 2 => Just(b'\n'), 1 => Just(0)];
        prop::collection::vec(prop::collection::vec(byte, 0..40), 0..12)
    }

    proptest! {
        #[test]
        fn plain_bytes_come_out_as_they_went_in(chunks in chunks()) {
            prop_assert_eq!(run(&Format::default(), false, &chunks), chunks.concat());
        }

        #[test]
        fn chunking_does_not_show(chunks in chunks()) {
            let whole = [chunks.concat()];
            prop_assert_eq!(run(&dated(), false, &chunks), run(&dated(), false, &whole));
            let json = Format { date: None, json: true };
            prop_assert_eq!(run(&json, false, &chunks), run(&json, false, &whole));
        }

        #[test]
        fn json_lines_hold_the_text(chunks in chunks()) {
            let out = run(&Format { date: None, json: true }, true, &chunks);
            let mut text = String::new();
            for line in String::from_utf8(out).unwrap().lines() {
                let Value::Object(line) = serde_json::from_str(line).unwrap() else { panic!("an object") };
                text.push_str(line["message"].as_str().unwrap());
            }
            let whole = chunks.concat();
            let lines: String = whole.split_inclusive(|byte| *byte == b'\n').map(String::from_utf8_lossy).collect();
            prop_assert_eq!(text, lines);
        }
    }
}
