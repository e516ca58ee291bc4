//! Node's `util.inspect` of plain JSON, byte for byte: unlimited depth, no colours, 80 columns, arrays cut at 100.
//!
//! Scripts grep the output of `prettylist` line by line (contract/cli.md section 18), so line breaks must fall where Node
//! puts them. Pure.

use serde_json::{Map, Value};
use unicode_width::UnicodeWidthStr;

const BREAK_LENGTH: usize = 80;
/// Objects with at most this many levels inside may stand on one line.
const COMPACT: usize = 3;
const MAX_ITEMS: usize = 100;
const MAX_TEXT: usize = 10_000;
/// Texts up to this length are never split at their line feeds.
const MIN_SPLIT: usize = 16;

/// The text of a value, without a line feed at its end.
pub(in crate::cli) fn inspect(value: &Value) -> String {
    Inspector { indent: 0, current: 0 }.value(value, 0)
}

struct Inspector {
    indent: usize,
    /// Level of the container that was entered last: tells how deep the one being closed is nested.
    current: usize,
}

impl Inspector {
    fn value(&mut self, value: &Value, level: usize) -> String {
        match value {
            Value::Null => "null".to_owned(),
            Value::Bool(flag) => flag.to_string(),
            Value::Number(number) => js_number(number.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => self.text(text),
            Value::Array(items) => self.array(items, level),
            Value::Object(map) => self.object(map, level),
        }
    }

    fn text(&self, text: &str) -> String {
        let length = units(text);
        let (text, trailer) = if length > MAX_TEXT {
            let more = length - MAX_TEXT;
            (first_units(text, MAX_TEXT), format!("... {more} more character{}", if more > 1 { "s" } else { "" }))
        } else {
            (text, String::new())
        };
        let length = length.min(MAX_TEXT);
        if length > MIN_SPLIT && length + self.indent + 4 > BREAK_LENGTH {
            let lines: Vec<String> = text.split_inclusive('\n').map(quoted).collect();
            return lines.join(&format!(" +\n{}", " ".repeat(self.indent + 2))) + &trailer;
        }
        quoted(text) + &trailer
    }

    fn array(&mut self, items: &[Value], level: usize) -> String {
        if items.is_empty() {
            return "[]".to_owned();
        }
        self.current = level;
        let mut output: Vec<String> = items.iter().take(MAX_ITEMS).map(|item| self.inner(item, level)).collect();
        let more = items.len().saturating_sub(MAX_ITEMS);
        if more > 0 {
            output.push(format!("... {more} more item{}", if more > 1 { "s" } else { "" }));
        }
        let entries = output.len();
        if entries > 6 {
            output = self.grouped(output, items, more > 0);
        }
        self.joined(&output, entries, level, ['[', ']'])
    }

    fn object(&mut self, map: &Map<String, Value>, level: usize) -> String {
        if map.is_empty() {
            return "{}".to_owned();
        }
        self.current = level;
        let mut keys: Vec<(&String, &Value)> = map.iter().collect();
        // JavaScript puts keys that are array indexes first.
        keys.sort_by_key(|(key, _)| array_index(key).map_or(u64::MAX, u64::from));
        let output: Vec<String> =
            keys.into_iter().map(|(key, value)| format!("{}: {}", shown_key(key), self.inner(value, level))).collect();
        let entries = output.len();
        self.joined(&output, entries, level, ['{', '}'])
    }

    fn inner(&mut self, value: &Value, level: usize) -> String {
        self.indent += 2;
        let text = self.value(value, level + 1);
        self.indent -= 2;
        text
    }

    /// On one line if it is flat enough and short enough, else one entry a line. `entries`: how many there were before
    /// they were grouped.
    fn joined(&self, output: &[String], entries: usize, level: usize, [open, close]: [char; 2]) -> String {
        if self.current - level < COMPACT && entries == output.len() {
            let start = output.len() + self.indent + 1 + 10;
            let total: usize = output.iter().map(|entry| units(entry)).sum::<usize>() + output.len() + start;
            if total <= BREAK_LENGTH && !output.iter().any(|entry| entry.contains('\n')) {
                return format!("{open} {} {close}", output.join(", "));
            }
        }
        let margin = format!("\n{}", " ".repeat(self.indent));
        format!("{open}{margin}  {}{margin}{close}", output.join(&format!(",{margin}  ")))
    }

    /// Several short entries on each line, in columns.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most 101 entries, each far below 2^52 columns; the results are small and positive"
    )]
    fn grouped(&self, output: Vec<String>, items: &[Value], has_more: bool) -> Vec<String> {
        const SEPARATOR: usize = 2;
        let shown = output.len() - usize::from(has_more);
        let widths: Vec<usize> = output.iter().take(shown).map(|entry| entry.width()).collect();
        let total: usize = widths.iter().map(|width| width + SEPARATOR).sum();
        let longest = widths.iter().copied().max().unwrap_or(0);
        let widest = longest + SEPARATOR;
        let even = total as f64 / widest as f64 > 5.0 || longest <= 6;
        if widest * 3 + self.indent >= BREAK_LENGTH || !even {
            return output;
        }
        let bias = (widest as f64 - total as f64 / output.len() as f64).sqrt();
        let biased = (widest as f64 - 3.0 - bias).max(1.0);
        let square = ((2.5 * biased * shown as f64).sqrt() / biased).round() as usize;
        let columns = square.min((BREAK_LENGTH - self.indent) / widest).min(COMPACT * 4).min(15);
        if columns <= 1 {
            return output;
        }
        let column_widths: Vec<usize> = (0..columns)
            .map(|column| widths.iter().skip(column).step_by(columns).copied().max().unwrap_or(0) + SEPARATOR)
            .collect();
        let numbers = items.iter().take(output.len()).all(Value::is_number);
        let mut lines = Vec::new();
        for (line, line_widths) in output[..shown].chunks(columns).zip(widths.chunks(columns)) {
            let mut text = String::new();
            for (at, ((entry, width), column)) in line.iter().zip(line_widths).zip(&column_widths).enumerate() {
                let is_last = at + 1 == line.len();
                let pad = " ".repeat(column - SEPARATOR - width);
                match (numbers, is_last) {
                    (true, false) => text += &[&pad, entry.as_str(), ", "].concat(),
                    (true, true) => text += &[&pad, entry.as_str()].concat(),
                    (false, false) => text += &[entry.as_str(), ", ", &pad].concat(),
                    (false, true) => text += entry,
                }
            }
            lines.push(text);
        }
        lines.extend(output.into_iter().skip(shown));
        lines
    }
}

/// A number as JavaScript writes it.
pub(in crate::cli) fn js_number(number: f64) -> String {
    if number == 0.0 {
        return if number.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    if !number.is_finite() {
        return if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .to_owned();
    }
    let sign = if number < 0.0 { "-" } else { "" };
    let text = format!("{:e}", number.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = mantissa.replace('.', "");
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    // The position of the decimal point, counted from the first digit.
    let point = exponent.parse::<i32>().unwrap_or(0) + 1;
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    let body = if count <= point && point <= 21 {
        digits + &zeros(point - count)
    } else if 0 < point && point <= 21 {
        let (whole, part) = digits.split_at(usize::try_from(point).unwrap_or(0));
        format!("{whole}.{part}")
    } else if -6 < point && point <= 0 {
        format!("0.{}{digits}", zeros(-point))
    } else {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        format!("{first}{dot}{rest}e{}{}", if point > 0 { "+" } else { "-" }, (point - 1).abs())
    };
    format!("{sign}{body}")
}

fn shown_key(key: &str) -> String {
    if key == "__proto__" {
        return "['__proto__']".to_owned();
    }
    let mut letters = key.chars();
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let plain = letters.next().is_some_and(|first| is_word(first) && !first.is_ascii_digit()) && letters.all(is_word);
    if plain { key.to_owned() } else { quoted(key) }
}

/// A key that names an element of an array: no leading zero, below 2^32 - 1.
fn array_index(key: &str) -> Option<u32> {
    let number = key.parse::<u32>().ok().filter(|number| *number < u32::MAX)?;
    (number.to_string() == key).then_some(number)
}

/// In the quotes that need the least escapes.
fn quoted(text: &str) -> String {
    let quote = match (text.contains('\''), text.contains('"'), text.contains('`') || text.contains("${")) {
        (true, false, _) => '"',
        (true, true, false) => '`',
        (false, ..) | (true, true, true) => '\'',
    };
    let mut shown = String::with_capacity(text.len() + 2);
    shown.push(quote);
    for letter in text.chars() {
        match letter {
            '\u{8}' => shown.push_str("\\b"),
            '\t' => shown.push_str("\\t"),
            '\n' => shown.push_str("\\n"),
            '\u{c}' => shown.push_str("\\f"),
            '\r' => shown.push_str("\\r"),
            '\\' => shown.push_str("\\\\"),
            '\'' if quote == '\'' => shown.push_str("\\'"),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => {
                shown.push_str(&format_args!("\\x{:02X}", u32::from(letter)).to_string());
            }
            _ => shown.push(letter),
        }
    }
    shown.push(quote);
    shown
}

/// The length that JavaScript gives a text.
fn units(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

/// The first `count` units, without half of a character.
fn first_units(text: &str, count: usize) -> &str {
    let mut left = count;
    for (at, letter) in text.char_indices() {
        match left.checked_sub(letter.len_utf16()) {
            Some(rest) => left = rest,
            None => return &text[..at],
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_written_as_in_javascript() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (1e21, "1e+21"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            (1e-6, "0.000001"),
            (1.25e-7, "1.25e-7"),
            (-0.1, "-0.1"),
        ] {
            assert_eq!(js_number(number), text);
        }
    }

    #[test]
    fn quotes_are_chosen_to_spare_escapes() {
        assert_eq!(quoted("it's"), "\"it's\"");
        assert_eq!(quoted("it's \"x\""), "`it's \"x\"`");
        assert_eq!(quoted("a\u{1b}\n\\"), "'a\\x1B\\n\\\\'");
    }

    #[test]
    fn short_things_stand_on_one_line() {
        assert_eq!(inspect(&json!([])), "[]");
        assert_eq!(inspect(&json!({ "a": [1, 2], "b-c": "x" })), "{ a: [ 1, 2 ], 'b-c': 'x' }");
        assert_eq!(inspect(&json!({ "b": 1, "2": 2, "1": 3 })), "{ '1': 3, '2': 2, b: 1 }");
    }

    /// Node itself is the judge: the recorded list, and a thousand random values.
    #[test]
    fn it_is_what_node_prints() {
        let script = r#"
            const { inspect } = require('node:util')
            const { readFileSync } = require('node:fs')
            let seed = 12345
            const random = (n) => { seed = (seed * 1103515245 + 12345) % 2147483648; return Math.floor(seed / 65536) % n }
            const texts = ['', 'a', 'online', 'it\'s', '"q" \'s\'', 'x`${\'"', 'line\nline two is a longer one\n', 'tab\t', '\u001b[1m', 'é', '日本語', '😀', 'x'.repeat(70), 'y'.repeat(100), 'v\\w', '/usr/bin/node', 'with blank and more words in it']
            const text = () => texts[random(texts.length)] + (random(3) ? '' : texts[random(texts.length)])
            const key = () => ['name', 'pm_id', 'a-b', '0', '17', '__x', 'ключ', 'axm_monitor', 'Event Loop Latency p95'][random(9)] + (random(2) ? random(100) : '')
            const number = () => [0, 1, 42, 1.5, -3, 0.1 + 0.2, 1e21, 1e-7, 2 ** 60, random(1e6) / 1000][random(10)]
            const value = (depth) => {
              const kind = random(depth > 5 ? 4 : 8)
              if (kind === 0) return number()
              if (kind === 1) return [true, false, null][random(3)]
              if (kind < 4) return text()
              if (kind === 4) { const n = random(30); return Array.from({ length: n }, number) }
              if (kind === 5) { const n = [0, 3, 7, 12, 101, 130][random(6)]; const short = random(2); return Array.from({ length: n }, () => short ? text().slice(0, 8) : value(6)) }
              const n = random(8); return Object.fromEntries(Array.from({ length: n }, () => [key(), value(depth + 1)]))
            }
            const values = Array.from({ length: 1000 }, () => value(0))
            values.push(JSON.parse(readFileSync(process.argv[1], 'utf8')))
            values.push('z'.repeat(10003), ['z'.repeat(10001)])
            process.stdout.write(JSON.stringify(values.map((v) => [JSON.stringify(v), inspect(JSON.parse(JSON.stringify(v)), { depth: null })])))
        "#;
        let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/render/recorded_jlist.json");
        let mut node = std::process::Command::new("node");
        node.args(["-e", script, "--", recorded]);
        let output = node.output().expect("node runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let cases: Vec<(String, String)> = serde_json::from_slice(&output.stdout).expect("JSON");
        assert!(cases.len() > 1000);
        for (json, expected) in cases {
            let value: Value = serde_json::from_str(&json).expect("JSON");
            assert_eq!(inspect(&value), expected, "of {json}");
        }
    }
}
