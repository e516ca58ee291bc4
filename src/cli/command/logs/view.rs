//! What is shown of the logs, and how a line looks (contract/cli.md section 8.1).

use serde_json::{Value, json};

use super::super::super::Ui;
use super::super::super::ui::Colour;
use super::super::{Call, Failure};
use super::LINES;
use super::chain::Wanted;
use super::stamp::json_line;
use super::when::moment;

/// What is shown, and how.
pub(in crate::cli) struct View {
    pub(super) targets: Vec<String>,
    pub(super) wanted: Wanted,
    only_out: bool,
    only_err: bool,
    raw: bool,
    pub(super) json: bool,
    pub(super) format: bool,
    timestamp: Option<String>,
    highlight: Option<String>,
    exclude: Option<regex::Regex>,
    grep: Option<regex::Regex>,
    /// Letters of the longest name seen.
    pub(super) width: usize,
}

/// Who wrote a line.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) id: String,
    pub(super) name: String,
    /// `out`, `err` or `PM2`.
    pub(super) kind: &'static str,
}

impl View {
    pub(super) fn of(call: &Call<'_>) -> Result<View, Failure> {
        let request = call.request;
        let pattern = |name: &str| match request.value(name).map(regex::Regex::new) {
            None => Ok(None),
            Some(Ok(pattern)) => Ok(Some(pattern)),
            Some(Err(error)) => Err(Failure::Text(format!("--{name} is no regular expression: {error}"))),
        };
        let now = jiff::Timestamp::now().as_millisecond();
        let time = |name: &str| match request.value(name).map(|text| (text, moment(text, now))) {
            None => Ok(None),
            Some((_, Some(time))) => Ok(Some(time)),
            Some((text, None)) => Err(Failure::Text(format!(
                "--{name} {text} is no time: say 10m, 2h, 1d, 10:30, 2026-11-22 or 2026-11-22T10:30:00"
            ))),
        };
        let since = time("since")?.or(time("last")?);
        let given = request.value("lines");
        let lines = given.and_then(|text| text.trim_start_matches('-').parse().ok()).unwrap_or(LINES);
        // Who asks for a time wants all of it.
        let lines = if given.is_none() && since.is_some() { None } else { Some(lines) };
        Ok(View {
            exclude: pattern("exclude")?,
            grep: pattern("grep")?,
            width: 3,
            targets: request.targets.clone(),
            wanted: Wanted { lines, since, until: time("until")? },
            only_out: request.is_set("out"),
            only_err: request.is_set("err"),
            raw: request.is_set("raw"),
            json: request.is_set("json"),
            format: request.is_set("format"),
            timestamp: request
                .value("timestamp")
                .map(|format| if format.is_empty() { "%Y-%m-%d-%H:%M:%S".into() } else { strftime(format) }),
            highlight: request.value("highlight").filter(|text| !text.is_empty()).map(ToOwned::to_owned),
        })
    }

    /// Everything that all apps write, as `pm2-rs-runtime` shows it.
    pub(in crate::cli) fn runtime(json: bool, format: bool, raw: bool) -> View {
        View {
            targets: Vec::new(),
            wanted: Wanted { lines: Some(0), ..Wanted::default() },
            only_out: false,
            only_err: false,
            raw,
            json,
            format,
            timestamp: None,
            highlight: None,
            exclude: None,
            grep: None,
            width: 3,
        }
    }

    /// Whether `--grep` and `--exclude` let a line through.
    pub(super) fn passes(&self, line: &[u8]) -> bool {
        if self.grep.is_none() && self.exclude.is_none() {
            return true;
        }
        let line = String::from_utf8_lossy(line);
        self.grep.as_ref().is_none_or(|pattern| pattern.is_match(&line))
            && !self.exclude.as_ref().is_some_and(|pattern| pattern.is_match(&line))
    }

    pub(super) fn wants(&self, kind: &str) -> bool {
        match kind {
            "out" => !self.only_err,
            "err" => !self.only_out,
            _ => !self.only_out && !self.only_err && !self.raw,
        }
    }

    pub(super) fn wants_everything(&self) -> bool {
        self.targets.is_empty() || self.targets.iter().any(|target| target == "all")
    }

    /// `--since` and the like: the past is asked for, whatever the form.
    pub(super) fn asks_for_past(&self) -> bool {
        self.wanted.since.is_some() || self.wanted.until.is_some()
    }

    /// Whether there may be more on stdout than lines of logs.
    pub(super) fn is_for_people(&self) -> bool {
        !self.raw && !self.json && !self.format
    }

    /// `--raw` keeps the streams apart.
    pub(super) fn goes_to_stderr(&self, kind: &str) -> bool {
        self.raw && !self.json && !self.format && kind == "err"
    }

    /// Appends one line in its dress. `at`: when it was written, in milliseconds since the epoch; `live`: it arrives now, so
    /// `--timestamp` has a time to show.
    #[expect(clippy::too_many_arguments, reason = "one line is all of this")]
    pub(super) fn dress(
        &self,
        ui: &Ui,
        origin: &Origin,
        width: usize,
        text: &[u8],
        at: Option<i64>,
        live: bool,
        out: &mut Vec<u8>,
    ) {
        if self.json {
            out.extend(as_json(origin, text, at).to_string().into_bytes());
        } else if self.format {
            let time = at.map(|at| local(at, "%Y-%m-%d-%H:%M:%S%z")).unwrap_or_default();
            let (name, id) = (&origin.name, &origin.id);
            let head = match origin.kind {
                "PM2" => format!("timestamp={time} app=pm2 message="),
                "err" => format!("timestamp={time} app={name} id={id} type=error message="),
                _ => format!("timestamp={time} app={name} id={id} type=out message="),
            };
            out.extend_from_slice(head.as_bytes());
            out.extend_from_slice(text);
        } else if self.raw {
            out.extend_from_slice(text);
        } else {
            self.dress_for_people(ui, origin, width, text, live, out);
        }
        out.push(b'\n');
    }

    fn dress_for_people(&self, ui: &Ui, origin: &Origin, width: usize, text: &[u8], live: bool, out: &mut Vec<u8>) {
        let colour = match origin.kind {
            "out" => Colour::Green,
            "err" => Colour::Red,
            _ => Colour::Blue,
        };
        if let Some(format) = self.timestamp.as_ref().filter(|_| live) {
            let now = jiff::Zoned::now().strftime(format).to_string();
            out.extend_from_slice(ui.paint(Colour::Grey, &now).as_bytes());
            out.push(b' ');
        }
        let name = if origin.kind == "PM2" { origin.id.clone() } else { format!("{}|{}", origin.id, origin.name) };
        let cut: String = name.chars().take(width).collect();
        out.extend_from_slice(ui.paint(colour, &format!("{cut:<width$} | ")).as_bytes());
        match &self.highlight {
            Some(mark) => out.extend(highlighted(text, mark)),
            None => out.extend_from_slice(text),
        }
    }
}

/// One object for each line; a line that is JSON itself speaks for itself.
fn as_json(origin: &Origin, text: &[u8], at: Option<i64>) -> Value {
    if let Some(line) = json_line(text) {
        return json!({
            "message": line.message.trim_end_matches('\n'),
            "timestamp": at.map(iso),
            "type": line.kind,
            "process_id": line.process_id,
            "app_name": line.app_name,
        });
    }
    json!({
        "message": String::from_utf8_lossy(text),
        "timestamp": at.map(iso),
        "type": if origin.kind == "PM2" { "pm2" } else { origin.kind },
        "process_id": origin.id.parse::<u64>().map_or_else(|_| Value::from(origin.id.as_str()), Value::from),
        "app_name": origin.name,
    })
}

fn highlighted(line: &[u8], text: &str) -> Vec<u8> {
    let line = String::from_utf8_lossy(line);
    line.replacen(text, &format!("\u{1b}[100m{text}\u{1b}[49m"), 1).into_bytes()
}

pub(super) fn iso(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).map(|time| format!("{time:.3}")).unwrap_or_default()
}

fn local(millis: i64, format: &str) -> String {
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
    time.to_zoned(jiff::tz::TimeZone::system()).strftime(format).to_string()
}

/// The few date tokens that make sense before a line, as `strftime` writes them.
fn strftime(format: &str) -> String {
    let tokens = [
        ("YYYY", "%Y"),
        ("MM", "%m"),
        ("DD", "%d"),
        ("HH", "%H"),
        ("mm", "%M"),
        ("SSS", "%3f"),
        ("ss", "%S"),
        ("ZZ", "%z"),
        ("Z", "%:z"),
    ];
    tokens.iter().fold(format.replace('%', "%%"), |text, (token, code)| text.replace(token, code))
}
