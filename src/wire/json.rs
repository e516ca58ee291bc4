//! Looking into JSON text without building it: the fields of an object by name, a string, JavaScript's truth.
//!
//! Invariant: one pass, memory independent of the input, the last of duplicate keys wins (as in JavaScript).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The values of the named fields, or `None` when the text is valid JSON but no object.
pub(super) fn fields<'a, const N: usize>(
    text: &'a str,
    names: &[&str; N],
) -> Result<Option<[Option<&'a RawValue>; N]>, serde_json::Error> {
    if !text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{') {
        return serde_json::from_str::<IgnoredAny>(text).map(|_| None);
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = deserializer.deserialize_map(Fields { names })?;
    deserializer.end()?;
    Ok(Some(found))
}

struct Fields<'n, const N: usize> {
    names: &'n [&'n str; N],
}

impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(index) = map.next_key_seed(Key { names: self.names })? {
            match index.and_then(|index| found.get_mut(index)) {
                Some(place) => *place = Some(map.next_value()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

/// Reads a key as its place among the names. As bytes, because a key may hold half a surrogate pair, which is no text.
struct Key<'n> {
    names: &'n [&'n str],
}

impl<'de> serde::de::DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<Self::Value, E> {
        Ok(self.names.iter().position(|name| name.as_bytes() == key))
    }
}

/// The text of a JSON string; `None` for other values and for halves of surrogate pairs. Copies only when it has escapes.
pub(super) fn string(value: &RawValue) -> Option<Cow<'_, str>> {
    let inner = value.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(value.get()).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// The text of a JSON string, or the JSON text of any other value.
pub(super) fn text(value: &RawValue) -> Cow<'_, str> {
    string(value).unwrap_or(Cow::Borrowed(value.get()))
}

/// Whether JavaScript takes the value for true.
pub(super) fn is_truthy(value: &RawValue) -> bool {
    match value.get() {
        "null" | "false" | "\"\"" => false,
        number if number.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
            number.parse::<f64>().is_ok_and(|number| number != 0.0)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn fields_are_found_wherever_they_stand() {
        let text =
            "\n { \"x\": [1, {\"a\": 2}], \"a\" : {\"b\":null} , \"\\u0062\": \"t\", \"\\ud800\": 1, \"a\": 3 } ";
        let [a, b, c] = fields(text, &["a", "b", "c"]).unwrap().unwrap();
        assert_eq!(a.map(RawValue::get), Some("3"), "the last of two wins");
        assert_eq!(b.map(RawValue::get), Some("\"t\""));
        assert!(c.is_none());
    }

    #[test]
    fn what_is_no_object_has_no_fields_and_what_is_no_json_is_refused() {
        for text in ["1", "[{\"a\":1}]", "\"{\"", "null"] {
            assert!(fields(text, &["a"]).unwrap().is_none(), "{text}");
        }
        for text in ["", "{", "{\"a\":1}}", "{\"a\":}", "nul", "{\"a\":1} {\"a\":1}", "\u{feff}{}"] {
            assert!(fields(text, &["a"]).is_err(), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_no_danger() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(fields(&format!("{{\"a\":{deep}}}"), &["a"]).unwrap().is_some());
    }

    #[test]
    fn truth_is_that_of_javascript() {
        for falsy in ["null", "false", "0", "-0", "0.0", "0e7", "1e-999", "\"\""] {
            assert!(!is_truthy(&raw(falsy)), "{falsy}");
        }
        for truthy in ["true", "1", "-1", "0.5", "\"0\"", "[]", "{}", "\" \""] {
            assert!(is_truthy(&raw(truthy)), "{truthy}");
        }
    }
}
