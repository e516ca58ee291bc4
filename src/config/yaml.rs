//! YAML as js-yaml 4 reads it: the one place where the reader's settings are chosen.

use serde_json::Value;

use super::value::number;

/// Reads one YAML document. Aliases are limited, so that a small file cannot become a huge value.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! {
        // Only true and false are booleans, and 1_000 is a text, as in YAML 1.2.
        strict_booleans: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
        // A million events, the default, take seconds.
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
    };
    let mut value = serde_saphyr::from_str_with_options(text, options).map_err(|e| e.to_string())?;
    whole_numbers(&mut value);
    Ok(value)
}

/// `010` and `1e3` arrive as floats; JavaScript knows no difference, but an environment variable `10.0` would show one.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(n) if n.is_f64() => *value = n.as_f64().map_or(Value::Null, number),
        Value::Array(list) => list.iter_mut().for_each(whole_numbers),
        Value::Object(map) => map.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    /// Where the readers differ, and why that is no harm.
    const DEVIATIONS: &[(&str, &str)] = &[
        ("d: 2001-01-01", "a Date there, the text as written here"),
        ("a: .inf\nb: .nan", "refused here; no option takes such a number"),
        ("\ta: 1", "read here, refused there"),
    ];

    #[test]
    fn documents_are_what_pm2s_js_yaml_makes_of_them() {
        let vectors: Value = serde_json::from_str(include_str!("../../__test__/oracle/prepare_vectors.json")).unwrap();
        let mut wrong = String::new();
        for document in vectors["yaml"].as_array().unwrap() {
            let text = document["text"].as_str().unwrap();
            let ours = read(text).map_err(drop);
            let theirs = if document["error"] == true { Err(()) } else { Ok(document["value"].clone()) };
            if ours != theirs && !DEVIATIONS.iter().any(|(known, _)| *known == text) {
                let _ = writeln!(wrong, "{text:?}\n  ours   {ours:?}\n  theirs {theirs:?}");
            }
        }
        assert!(wrong.is_empty(), "{wrong}");
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for i in 1..12 {
            let before = format!("*a{}", i - 1);
            let _ = writeln!(text, "a{i}: &a{i} [{}]", [before.as_str(); 9].join(","));
        }
        assert!(read(&text).is_err());
        assert!(read(&"[".repeat(100_000)).is_err());
    }
}
