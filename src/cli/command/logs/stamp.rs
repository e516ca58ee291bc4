//! The time that a line carries: an ISO date at its front, a date in the app's own `log_date_format`, or a JSON line.
//!
//! Owns: the reading of what `daemon::logs` writes (contract/options.md section 7.3). Must never: guess. A line whose time
//! is not complete has none, and belongs to the line before it.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use serde::Deserialize;
use serde_json::Value;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// The tokens that are understood, the longest of each letter first.
const TOKENS: [&str; 25] = [
    "YYYY", "YY", "MMMM", "MMM", "MM", "M", "DD", "D", "dddd", "ddd", "dd", "d", "HH", "H", "hh", "h", "mm", "m",
    "SSS", "ss", "s", "A", "a", "ZZ", "Z",
];

/// Reads the times of one app's lines.
#[derive(Debug, Clone)]
pub(super) struct Stamps {
    zone: TimeZone,
    /// The app's `log_date_format`, if it is more than an ISO date.
    format: Option<Vec<Part>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Token(&'static str),
    Literal(char),
}

/// A line of `log_type: 'json'`.
#[derive(Debug, Deserialize)]
pub(super) struct JsonLine {
    pub(super) message: String,
    #[serde(default)]
    timestamp: Value,
    #[serde(default, rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) process_id: Value,
    #[serde(default)]
    pub(super) app_name: String,
}

/// `{"message":...}` as the daemon writes it.
pub(super) fn json_line(line: &[u8]) -> Option<JsonLine> {
    if line.starts_with(b"{\"message\":") { serde_json::from_slice(line).ok() } else { None }
}

impl Stamps {
    /// For an app with this `log_date_format` (empty: none).
    pub(super) fn new(format: &str) -> Stamps {
        Stamps::in_zone(format, TimeZone::system())
    }

    fn in_zone(format: &str, zone: TimeZone) -> Stamps {
        let parts = compile(format);
        let has =
            |wanted: &[&str]| parts.iter().any(|part| matches!(part, Part::Token(token) if wanted.contains(token)));
        // Without a day a time says nothing.
        let complete = has(&["YYYY", "YY"]) && has(&["MMMM", "MMM", "MM", "M"]) && has(&["DD", "D"]);
        Stamps { zone, format: complete.then_some(parts) }
    }

    /// When the line was written, in milliseconds since the epoch.
    pub(super) fn of(&self, line: &[u8]) -> Option<i64> {
        let head = line.get(..64.min(line.len())).unwrap_or_default();
        if head.starts_with(b"{\"message\":") {
            return match json_line(line)?.timestamp {
                Value::String(text) => self.iso(text.as_bytes()).or_else(|| self.custom(&text, "")),
                Value::Number(millis) => millis.as_i64(),
                _ => None,
            };
        }
        self.iso(head).or_else(|| self.custom(&String::from_utf8_lossy(head), ": "))
    }

    /// `2026-11-22T10:00:00.123+01:00`, or less of it from the right.
    pub(super) fn iso(&self, text: &[u8]) -> Option<i64> {
        let mut text = Cursor(text);
        let mut time = Moment { year: text.number(4, 4)?, ..Moment::default() };
        text.byte(b"-")?;
        time.month = text.number(2, 2)?;
        text.byte(b"-")?;
        time.day = text.number(2, 2)?;
        if text.byte(b"T ").is_none() {
            // A day alone, and nothing that goes on in another way.
            return if text.0.is_empty() { time.millis(&self.zone) } else { None };
        }
        time.hour = text.number(2, 2)?;
        text.byte(b":")?;
        time.minute = text.number(2, 2)?;
        // Or it is the colon behind the date.
        if matches!(text.0, [b':', ten, one, ..] if ten.is_ascii_digit() && one.is_ascii_digit()) {
            text.byte(b":")?;
            time.second = text.number(2, 2)?;
            if text.byte(b".,").is_some() {
                time.nanos = text.fraction()?;
            }
        }
        let spaced = text.0.strip_prefix(b" ").unwrap_or(text.0);
        time.offset = Cursor(spaced).offset();
        time.millis(&self.zone)
    }

    fn custom(&self, text: &str, behind: &str) -> Option<i64> {
        let (mut time, mut text) = (Moment::default(), Cursor(text.as_bytes()));
        let mut afternoon = None;
        for part in self.format.as_ref()? {
            match part {
                Part::Literal(letter) => {
                    let mut bytes = [0; 4];
                    text.0 = text.0.strip_prefix(letter.encode_utf8(&mut bytes).as_bytes())?;
                }
                Part::Token("YYYY") => time.year = text.number(4, 4)?,
                Part::Token("YY") => time.year = 2000 + text.number(2, 2)?,
                Part::Token("MMMM" | "MMM") => time.month = text.month()?,
                Part::Token("MM") => time.month = text.number(2, 2)?,
                Part::Token("M") => time.month = text.number(1, 2)?,
                Part::Token("DD") => time.day = text.number(2, 2)?,
                Part::Token("D") => time.day = text.number(1, 2)?,
                Part::Token("HH" | "hh") => time.hour = text.number(2, 2)?,
                Part::Token("H" | "h") => time.hour = text.number(1, 2)?,
                Part::Token("mm") => time.minute = text.number(2, 2)?,
                Part::Token("m") => time.minute = text.number(1, 2)?,
                Part::Token("ss") => time.second = text.number(2, 2)?,
                Part::Token("s") => time.second = text.number(1, 2)?,
                Part::Token("SSS") => time.nanos = text.number(3, 3)? * 1_000_000,
                Part::Token("A" | "a") => afternoon = Some(text.word()?.eq_ignore_ascii_case(b"pm")),
                Part::Token("Z" | "ZZ") => time.offset = Some(text.offset()?),
                Part::Token("d") => _ = text.number(1, 1)?,
                Part::Token(_) => _ = text.word()?,
            }
        }
        if let Some(afternoon) = afternoon {
            time.hour = time.hour % 12 + if afternoon { 12 } else { 0 };
        }
        text.0.starts_with(behind.as_bytes()).then(|| time.millis(&self.zone)).flatten()
    }
}

fn compile(format: &str) -> Vec<Part> {
    let (mut parts, mut rest) = (Vec::new(), format);
    while let Some(letter) = rest.chars().next() {
        if let Some((literal, behind)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            parts.extend(literal.chars().map(Part::Literal));
            rest = behind;
        } else if let Some(token) = TOKENS.into_iter().find(|token| rest.starts_with(token)) {
            parts.push(Part::Token(token));
            rest = rest.get(token.len()..).unwrap_or_default();
        } else {
            parts.push(Part::Literal(letter));
            rest = rest.get(letter.len_utf8()..).unwrap_or_default();
        }
    }
    parts
}

#[derive(Debug, Default)]
struct Moment {
    year: i32,
    month: i32,
    day: i32,
    hour: i32,
    minute: i32,
    second: i32,
    nanos: i32,
    /// Seconds; `None`: local time.
    offset: Option<i32>,
}

impl Moment {
    fn millis(&self, zone: &TimeZone) -> Option<i64> {
        let small = |number: i32| i8::try_from(number).ok();
        let (month, day, hour) = (small(self.month)?, small(self.day)?, small(self.hour)?);
        let (minute, second) = (small(self.minute)?, small(self.second)?);
        let time = DateTime::new(i16::try_from(self.year).ok()?, month, day, hour, minute, second, self.nanos).ok()?;
        let stamp = match self.offset {
            Some(seconds) => Offset::from_seconds(seconds).ok()?.to_timestamp(time).ok()?,
            None => zone.to_ambiguous_zoned(time).compatible().ok()?.timestamp(),
        };
        Some(stamp.as_millisecond())
    }
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, most: usize, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let count = self.0.iter().take(most).take_while(|byte| wanted(**byte)).count();
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn number(&mut self, least: usize, most: usize) -> Option<i32> {
        let digits = self.take(most, |byte| byte.is_ascii_digit());
        if digits.len() < least {
            return None;
        }
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    fn byte(&mut self, one_of: &[u8]) -> Option<()> {
        (self.take(1, |byte| one_of.contains(&byte)).len() == 1).then_some(())
    }

    fn word(&mut self) -> Option<&'a [u8]> {
        Some(self.take(usize::MAX, |byte| byte.is_ascii_alphabetic())).filter(|word| !word.is_empty())
    }

    fn month(&mut self) -> Option<i32> {
        let name = self.word()?.get(..3)?.to_ascii_lowercase();
        MONTHS.iter().position(|month| month.as_bytes() == name).and_then(|index| i32::try_from(index + 1).ok())
    }

    /// Nanoseconds.
    fn fraction(&mut self) -> Option<i32> {
        let digits = self.take(usize::MAX, |byte| byte.is_ascii_digit());
        let first = std::str::from_utf8(digits.get(..9.min(digits.len()))?).ok()?;
        format!("{first:0<9}").parse().ok()
    }

    /// `Z`, `+01:00` or `+0100`, in seconds.
    fn offset(&mut self) -> Option<i32> {
        if self.byte(b"Z").is_some() {
            return Some(0);
        }
        let sign = match self.take(1, |byte| byte == b'+' || byte == b'-') {
            b"+" => 1,
            b"-" => -1,
            _ => return None,
        };
        let hours = self.number(2, 2)?;
        let _ = self.byte(b":");
        Some(sign * (hours * 3600 + self.number(2, 2)? * 60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(format: &str, line: &str) -> Option<String> {
        let stamps = Stamps::in_zone(format, TimeZone::fixed(Offset::from_seconds(3600).unwrap()));
        stamps.of(line.as_bytes()).map(|at| jiff::Timestamp::from_millisecond(at).unwrap().to_string())
    }

    #[test]
    fn dates_at_the_front_are_read() {
        let ten = Some("2026-11-22T09:00:00Z".to_owned());
        for (format, line) in [
            ("", "2026-11-22T10:00:00: text"),
            ("", "2026-11-22 10:00: text"),
            ("", "2026-11-22T10:00:00+01:00: text"),
            ("", "2026-11-22 09:00:00 Z"),
            ("", "2026-11-22"),
            ("DD/MM/YYYY HH:mm:ss", "22/11/2026 10:00:00: text"),
            ("D MMM YY, h:mm a", "22 Nov 26, 10:00 am: text"),
            ("dddd, MMMM D YYYY [at] H:m:s", "Sunday, November 22 2026 at 10:0:0: x"),
            ("", r#"{"message":"x\n","timestamp":"2026-11-22T09:00:00.000Z","type":"out"}"#),
            ("DD.MM.YYYY HH:mm", r#"{"message":"x\n","timestamp":"22.11.2026 10:00"}"#),
        ] {
            let ten = if line.len() == 10 { Some("2026-11-21T23:00:00Z".to_owned()) } else { ten.clone() };
            assert_eq!(of(format, line), ten, "{format} | {line}");
        }
        assert_eq!(
            of("YYYY.MM.DD hh:mm:ss.SSS A ZZ", "2026.11.22 01:02:03.045 PM +0200: x").unwrap(),
            "2026-11-22T11:02:03.045Z"
        );
        assert_eq!(of("", "2026-11-22T10:00:00.5: x").unwrap(), "2026-11-22T09:00:00.5Z");
    }

    #[test]
    fn everything_else_is_no_time() {
        for (format, line) in [
            ("", ""),
            ("", "text"),
            ("", "2026-13-22T10:00:00: x"),
            ("", "2026-11-22x"),
            ("", "20261-11-22"),
            ("HH:mm:ss", "10:00:00: x"),
            ("DD/MM/YYYY", "22/11/2026 x"),
            ("", "{\"message\":"),
            ("", "\u{fffd}\u{fffd}é"),
        ] {
            assert_eq!(of(format, line), None, "{format} | {line}");
        }
    }
}
