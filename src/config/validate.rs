//! One raw description against the table: pm2's conversions, pm2's messages, our warnings.
//!
//! Must never: print, or look at anything but the values.

use serde_json::{Map, Value};

use super::error::ConfigError;
use super::split::split;
use super::table::{ENV_NAMED, FIELDS, Fallback, Field, Kind, Pattern, Unit, is_env_named};
use super::value::{kind_name, lookup, number, numeric, truthy, type_name};
use crate::model::Signal;
use crate::model::units::{parse_age, parse_bytes, parse_millis};

/// Whether what is absent gets its default: not in a restart, where absent means unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    GetsDefault,
    StaysAbsent,
}

/// What a check gives: values under their own names, converted, and sentences for the user.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) values: Map<String, Value>,
    pub(super) warnings: Vec<String>,
}

/// Checks every option of `raw`; keys that are no options are left out, with a warning unless `known` has them.
pub(super) fn check(raw: &Map<String, Value>, absent: Absent, known: &[&str]) -> Result<Checked, ConfigError> {
    let mut checked = Checked::default();
    let mut errors = Vec::new();
    for field in FIELDS {
        let given = lookup(raw, field).filter(|value| !ignored(field, value, absent, &mut checked.warnings));
        match given {
            Some(value) => match one(field, field.name, value) {
                Ok(value) => drop(checked.values.insert(field.name.to_owned(), value)),
                Err(message) => errors.push(message),
            },
            None if absent == Absent::GetsDefault => {
                if let Some(value) = fallback(field) {
                    checked.values.insert(field.name.to_owned(), value);
                }
            }
            None => {}
        }
    }
    for (key, value) in raw {
        if super::table::field(key).is_some() || known.contains(&key.as_str()) || key == super::schema::KEY {
            continue;
        }
        if !is_env_named(key) {
            checked.warnings.push(super::nearest::unknown(key));
        } else if !value.is_null() {
            match one(&ENV_NAMED, key, value) {
                Ok(value) => drop(checked.values.insert(key.clone(), value)),
                Err(message) => errors.push(message),
            }
        }
    }
    if errors.is_empty() { Ok(checked) } else { Err(ConfigError::Invalid(errors.join(","))) }
}

/// Whether a falsy value counts as not given (Q2). `false`, `max_restarts: 0` and `stop_exit_codes: 0` are meant; so is a
/// delay of 0 in a restart, where absent means unchanged.
fn ignored(field: &Field, value: &Value, absent: Absent, warnings: &mut Vec<String>) -> bool {
    if !field.drops_falsy() || truthy(value) {
        return false;
    }
    match (value, field.name) {
        (Value::Bool(_), _) | (Value::Number(_), "max_restarts" | "stop_exit_codes") => false,
        (Value::Number(_), "restart_delay" | "exp_backoff_restart_delay" | "watch_delay" | "cron_restart") => {
            absent == Absent::GetsDefault
        }
        (Value::Number(_), _) if field.added => false,
        (Value::Number(_), name) => {
            warnings.push(format!("{name}: 0 counts as not given, as in pm2"));
            true
        }
        _ => true,
    }
}

fn fallback(field: &Field) -> Option<Value> {
    match field.fallback {
        Fallback::Absent => None,
        Fallback::True => Some(Value::Bool(true)),
        Fallback::Number(n) => Some(number(n)),
        Fallback::Text(text) => Some(Value::from(text)),
        Fallback::EmptyList => Some(Value::Array(Vec::new())),
        Fallback::EmptyObject => Some(Value::Object(Map::new())),
    }
}

/// One value, converted; or pm2's message (contract/options.md section 2.2).
fn one(field: &Field, name: &str, value: &Value) -> Result<Value, String> {
    let mut value = value.clone();
    if field.kinds.contains(&Kind::Number)
        && let Some(n) = numeric(&value)
    {
        value = number(n);
    }
    if !field.kinds.iter().any(|kind| is(&value, *kind)) {
        let wanted = field.kinds.iter().map(|k| format!("[object {}]", kind_name(*k))).collect::<Vec<_>>().join(" / ");
        return Err(format!("Expect \"{name}\" to be a typeof {wanted}, but now is [object {}]", type_name(&value)));
    }
    if let (Some(min), Some(n)) = (field.min, value.as_f64())
        && n < min
    {
        return Err(format!("The minimum of \"{name}\" is {min}, but now is {n}"));
    }
    let Value::String(text) = &value else { return Ok(value) };
    let wrong = || format!("Verify \"{name}\" with regex failed, it should be {}", field.pattern.wish());
    match field.pattern {
        Pattern::Any => {}
        Pattern::Mode if matches!(text.as_str(), "cluster" | "fork" | "cluster_mode" | "fork_mode") => {}
        Pattern::OneOf(words) if words.contains(&text.as_str()) => {}
        Pattern::Bytes => return parse_bytes(text).map(Value::from).ok_or_else(wrong),
        Pattern::Millis => return parse_millis(text).map(Value::from).ok_or_else(wrong),
        Pattern::Age => return parse_age(text).map(Value::from).ok_or_else(wrong),
        Pattern::Signal if Signal::parse(text).is_some() => {}
        Pattern::Mode | Pattern::OneOf(_) | Pattern::Signal => return Err(wrong()),
    }
    if field.kinds.first() == Some(&Kind::Array) {
        value = Value::Array(split(text).into_iter().map(Value::String).collect());
    }
    Ok(value)
}

fn is(value: &Value, kind: Kind) -> bool {
    type_name(value) == kind_name(kind)
}

/// `watchDelay` of the script form: seconds, or a text that ends in `ms`. `None`: not of these kinds.
pub(super) fn watch_delay_seconds(value: &Value) -> Option<Value> {
    debug_assert_eq!(super::table::field("watch_delay").map(|f| f.unit), Some(Unit::WatchDelay));
    if let Some(millis) = value.as_str().and_then(|text| text.trim().strip_suffix("ms")) {
        return numeric(&Value::from(millis)).map(number);
    }
    numeric(value).map(|seconds| number(seconds * 1000.0))
}
