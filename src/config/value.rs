//! JavaScript's view of JSON values: truth, type names, numbers.
//!
//! Must never: panic, whatever the value.

use serde_json::{Map, Number, Value};

use super::table::{Field, Kind};

/// JavaScript's truth.
pub(super) fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(b) => *b,
        Value::Number(n) => n.as_f64().is_some_and(|n| n != 0.0),
        Value::String(s) => !s.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// The name in `[object Name]`.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "Null",
        Value::Bool(_) => "Boolean",
        Value::Number(_) => "Number",
        Value::String(_) => "String",
        Value::Array(_) => "Array",
        Value::Object(_) => "Object",
    }
}

pub(super) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Boolean => "Boolean",
        Kind::Number => "Number",
        Kind::String => "String",
        Kind::Array => "Array",
        Kind::Object => "Object",
    }
}

/// The number that a number, a numeric text or a list of one such element stands for; not of empty texts (Q3).
pub(super) fn numeric(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::String(text) => {
            let text = text.trim();
            if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) {
                return None;
            }
            text.parse().ok().filter(|n: &f64| n.is_finite())
        }
        Value::Array(list) => match list.as_slice() {
            [one @ (Value::Number(_) | Value::String(_))] => numeric(one),
            _ => None,
        },
        _ => None,
    }
}

/// A number as JSON writes it: whole numbers without fraction.
pub(super) fn number(n: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "range is checked")]
    if n.fract() == 0.0 && n.abs() < 9e15 {
        return Value::from(n as i64);
    }
    Number::from_f64(n).map_or(Value::Null, Value::Number)
}

/// The value of an option under any of its names: the first truthy one, else the first that is not null.
pub(super) fn lookup<'a>(map: &'a Map<String, Value>, field: &Field) -> Option<&'a Value> {
    let given = || field.names().filter_map(|name| map.get(name));
    given().find(|v| truthy(v)).or_else(|| given().find(|v| !v.is_null()))
}

/// The same by name of the option.
pub(super) fn get<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    match super::table::field(name) {
        Some(field) => lookup(map, field),
        None => map.get(name),
    }
}

/// The text of an option, unless empty.
pub(super) fn text<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    get(map, name).and_then(Value::as_str).filter(|t| !t.is_empty())
}

/// Removes an option under all of its names.
pub(super) fn take_out(map: &mut Map<String, Value>, name: &str) {
    if let Some(field) = super::table::field(name) {
        for name in field.names() {
            map.shift_remove(name);
        }
    }
}

/// Sets an option under its own name, and forgets the aliases.
pub(super) fn put(map: &mut Map<String, Value>, name: &str, value: Value) {
    take_out(map, name);
    map.insert(name.to_owned(), value);
}
