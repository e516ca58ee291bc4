//! The table as a page for people: `docs/options.md`.

use std::fmt::Write;

use super::table::{FIELDS, Fallback, Field, Unit};
use super::value::kind_name;

const HEAD: &str = "# Options of an app

<!-- written from src/config/table.rs; change it there, then: UPDATE_SCHEMA=1 cargo test --lib config -->

An app is an object with these keys, in a config file (`apps: [...]`) or in `pm2.start({...})`. In `pm2.start('app.js', {...})`
the same names and aliases count. The first spelling that has a value wins: the name, then the aliases in order.

- Sizes are bytes, or a text with `K`, `M` or `G` (powers of 1024). Times are milliseconds; where a pattern says so, also a
  text with `s`, `m` or `h`. `watchDelay` beside a script is in seconds.
- A number may be given as text. A list of words may be given as one text, which is split at blanks outside quotes.
- `0` or an empty text for an option whose name has an underscore counts as not given, as in pm2; `false`, `max_restarts: 0`
  and `stop_exit_codes: 0` do count.
- `env_<name>` holds variables that are merged over `env` when `--env <name>` is given.
- Other keys are ignored with a warning.
- **ours** marks options that pm2 does not have; a stock pm2 daemon stores and ignores them.

| option | aliases | type | default | stored as | meaning |
|---|---|---|---|---|---|
";

/// The page. A test keeps the checked-in one equal.
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    for field in FIELDS {
        let aliases = field.aliases.iter().map(|a| format!("`{a}`")).collect::<Vec<_>>().join(", ");
        let ours = if field.added { " **ours**" } else { "" };
        let text = field.text.replace('|', "\\|");
        let stored = if field.stored.is_empty() { String::new() } else { format!("`{}`", field.stored) };
        let _ = writeln!(
            page,
            "| `{}`{ours} | {aliases} | {} | {} | {stored} | {text} |",
            field.name,
            types(field),
            default(field)
        );
    }
    page
}

fn types(field: &Field) -> String {
    let mut text = field.kinds.iter().map(|k| kind_name(*k).to_lowercase()).collect::<Vec<_>>().join(" or ");
    match field.unit {
        Unit::None => {}
        Unit::Bytes => text.push_str(", bytes"),
        Unit::Millis | Unit::WatchDelay => text.push_str(", ms"),
    }
    if let Some(regex) = field.pattern.regex() {
        let _ = write!(text, ", `{}`", regex.replace('|', "\\|"));
    }
    if let Some(min) = field.min {
        let _ = write!(text, ", at least {min}");
    }
    text
}

fn default(field: &Field) -> String {
    match field.fallback {
        Fallback::Absent => String::new(),
        Fallback::True => "`true`".to_owned(),
        Fallback::Number(n) => format!("`{n}`"),
        Fallback::Text(text) => format!("`{text}`"),
        Fallback::EmptyList => "`[]`".to_owned(),
        Fallback::EmptyObject => "`{}`".to_owned(),
    }
}
