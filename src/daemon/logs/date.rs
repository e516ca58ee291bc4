//! Dates in the words of day.js: `YYYY-MM-DD HH:mm:ss` (contract/options.md section 7.3).

use std::cell::RefCell;
use std::fmt::Write;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::sys::clock;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The tokens, the longest of each letter first.
const TOKENS: [(&str, Token); 25] = [
    ("YYYY", Token::Year),
    ("YY", Token::ShortYear),
    ("MMMM", Token::MonthName),
    ("MMM", Token::ShortMonthName),
    ("MM", Token::Month2),
    ("M", Token::Month),
    ("DD", Token::Day2),
    ("D", Token::Day),
    ("dddd", Token::WeekdayName),
    ("ddd", Token::ShortWeekdayName),
    ("dd", Token::MinWeekdayName),
    ("d", Token::Weekday),
    ("HH", Token::Hour2),
    ("H", Token::Hour),
    ("hh", Token::TwelveHour2),
    ("h", Token::TwelveHour),
    ("mm", Token::Minute2),
    ("m", Token::Minute),
    ("ss", Token::Second2),
    ("s", Token::Second),
    ("SSS", Token::Millisecond),
    ("A", Token::UpperMeridiem),
    ("a", Token::LowerMeridiem),
    ("ZZ", Token::PlainOffset),
    ("Z", Token::Offset),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Year,
    ShortYear,
    MonthName,
    ShortMonthName,
    Month2,
    Month,
    Day2,
    Day,
    WeekdayName,
    ShortWeekdayName,
    MinWeekdayName,
    Weekday,
    Hour2,
    Hour,
    TwelveHour2,
    TwelveHour,
    Minute2,
    Minute,
    Second2,
    Second,
    Millisecond,
    UpperMeridiem,
    LowerMeridiem,
    PlainOffset,
    Offset,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Token(Token),
}

/// A compiled date format in the words of day.js (contract/options.md section 7.3), in local time and English.
#[derive(Debug, Clone)]
pub struct DateFormat {
    parts: Vec<Part>,
    /// The text changes with the second only, so it is made once a second.
    whole_seconds: bool,
    zone: TimeZone,
    last: RefCell<(i64, String)>,
}

impl DateFormat {
    /// Compiles a format. Every text is one: what is no token stands for itself.
    pub fn new(format: &str) -> DateFormat {
        DateFormat::in_zone(format, clock::local_zone())
    }

    /// A format with a zone other than the system's.
    fn in_zone(format: &str, zone: TimeZone) -> DateFormat {
        let parts = compile(format);
        let whole_seconds = !parts.contains(&Part::Token(Token::Millisecond));
        DateFormat { parts, whole_seconds, zone, last: RefCell::new((i64::MIN, String::new())) }
    }

    /// Appends the text for a moment, in milliseconds since the epoch.
    pub fn append(&self, out: &mut Vec<u8>, millis: u64) {
        let millis = i64::try_from(millis).unwrap_or(i64::MAX);
        let stamp = if self.whole_seconds { millis.div_euclid(1000) } else { millis };
        let mut last = self.last.borrow_mut();
        if last.0 != stamp {
            let time = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(self.zone.clone());
            last.0 = stamp;
            last.1.clear();
            for part in &self.parts {
                match part {
                    Part::Literal(text) => last.1.push_str(text),
                    Part::Token(token) => write_token(&mut last.1, *token, &time),
                }
            }
        }
        out.extend_from_slice(last.1.as_bytes());
    }

    /// The text for a moment, in milliseconds since the epoch.
    pub fn text(&self, millis: u64) -> String {
        let mut out = Vec::new();
        self.append(&mut out, millis);
        String::from_utf8_lossy(&out).into_owned()
    }
}

/// ISO 8601 in UTC with milliseconds, as JavaScript's `toISOString`.
pub(super) fn append_iso(out: &mut Vec<u8>, millis: u64) {
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    let time = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH);
    let _ = std::io::Write::write_fmt(out, format_args!("{time:.3}"));
}

fn compile(format: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = format;
    while let Some(first) = rest.chars().next() {
        if let Some((inside, after)) = rest.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
            literal.push_str(inside);
            rest = after;
            continue;
        }
        // A library bug that formats rely on: lone `Y` and `YYY` mean the offset.
        let years = rest.len() - rest.trim_start_matches('Y').len();
        let token = match years {
            1 | 3 => Some((years, Token::Offset)),
            _ => TOKENS.iter().find(|(text, _)| rest.starts_with(text)).map(|(text, token)| (text.len(), *token)),
        };
        let length = if let Some((length, token)) = token {
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Token(token));
            length
        } else {
            literal.push(first);
            first.len_utf8()
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    parts
}

fn write_token(out: &mut String, token: Token, time: &Zoned) {
    let month = MONTHS.get(usize::try_from(time.month() - 1).unwrap_or(0)).copied().unwrap_or_default();
    let weekday = time.weekday().to_sunday_zero_offset();
    let day = DAYS.get(usize::try_from(weekday).unwrap_or(0)).copied().unwrap_or_default();
    let twelve = match time.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let afternoon = time.hour() >= 12;
    let offset = time.offset().seconds();
    let (sign, hours, minutes) = (if offset < 0 { '-' } else { '+' }, offset.abs() / 3600, offset.abs() % 3600 / 60);
    // Writing into a String cannot fail.
    let _ = match token {
        Token::Year => write!(out, "{:04}", time.year()),
        Token::ShortYear => write!(out, "{:02}", time.year() % 100),
        Token::MonthName => write!(out, "{month}"),
        Token::ShortMonthName => write!(out, "{month:.3}"),
        Token::Month2 => write!(out, "{:02}", time.month()),
        Token::Month => write!(out, "{}", time.month()),
        Token::Day2 => write!(out, "{:02}", time.day()),
        Token::Day => write!(out, "{}", time.day()),
        Token::WeekdayName => write!(out, "{day}"),
        Token::ShortWeekdayName => write!(out, "{day:.3}"),
        Token::MinWeekdayName => write!(out, "{day:.2}"),
        Token::Weekday => write!(out, "{weekday}"),
        Token::Hour2 => write!(out, "{:02}", time.hour()),
        Token::Hour => write!(out, "{}", time.hour()),
        Token::TwelveHour2 => write!(out, "{twelve:02}"),
        Token::TwelveHour => write!(out, "{twelve}"),
        Token::Minute2 => write!(out, "{:02}", time.minute()),
        Token::Minute => write!(out, "{}", time.minute()),
        Token::Second2 => write!(out, "{:02}", time.second()),
        Token::Second => write!(out, "{}", time.second()),
        Token::Millisecond => write!(out, "{:03}", time.millisecond()),
        Token::UpperMeridiem => write!(out, "{}", if afternoon { "PM" } else { "AM" }),
        Token::LowerMeridiem => write!(out, "{}", if afternoon { "pm" } else { "am" }),
        Token::PlainOffset => write!(out, "{sign}{hours:02}{minutes:02}"),
        Token::Offset => write!(out, "{sign}{hours:02}:{minutes:02}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    // 2026-03-01T13:05:09.007Z, a Sunday.
    const MOMENT: u64 = 1_772_370_309_007;

    fn text(format: &str, zone: TimeZone) -> String {
        DateFormat::in_zone(format, zone).text(MOMENT)
    }

    #[test]
    fn tokens_are_those_of_dayjs() {
        for (format, expected) in [
            ("YYYY-MM-DDTHH:mm:ss", "2026-03-01T13:05:09"),
            ("YYYY-MM-DD HH:mm:ss.SSS", "2026-03-01 13:05:09.007"),
            ("YY M MMM MMMM D d dd ddd dddd", "26 3 Mar March 1 0 Su Sun Sunday"),
            ("H h hh m s A a", "13 1 01 5 9 PM pm"),
            ("Z ZZ", "+00:00 +0000"),
            ("[YYYY] YYYY [at] HH", "YYYY 2026 at 13"),
            ("Do", "1o"),
            ("S SS X x Q k w W L", "S SS X x Q k w W L"),
            ("Y YYY", "+00:00 +00:00"),
            ("[open", "[open"),
            ("é⏰", "é⏰"),
            ("", ""),
        ] {
            assert_eq!(text(format, TimeZone::UTC), expected, "{format}");
        }
    }

    #[test]
    fn offsets_and_midnight() {
        let zone = TimeZone::fixed(jiff::tz::Offset::from_seconds(-5 * 3600 - 1800).unwrap());
        assert_eq!(text("HH:mm Z ZZ", zone), "07:35 -05:30 -0530");
        let zone = TimeZone::fixed(jiff::tz::Offset::from_seconds(11 * 3600).unwrap());
        assert_eq!(text("DD hh A", zone), "02 12 AM");
    }

    #[test]
    fn a_cached_second_is_not_used_for_the_next() {
        let format = DateFormat::in_zone("ss", TimeZone::UTC);
        let texts: Vec<_> = [0, 999, 1000, 500].iter().map(|ms| format.text(*ms)).collect();
        assert_eq!(texts, ["00", "00", "01", "00"]);
        let millis = DateFormat::in_zone("SSS", TimeZone::UTC);
        assert_eq!((millis.text(1), millis.text(2)), ("001".into(), "002".into()));
    }

    #[test]
    fn iso_is_that_of_javascript() {
        let mut out = Vec::new();
        append_iso(&mut out, MOMENT);
        assert_eq!(out, b"2026-03-01T13:05:09.007Z");
    }
}
