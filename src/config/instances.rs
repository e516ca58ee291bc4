//! How many, and in which mode (contract/api.md section 12.1).

use serde_json::{Map, Value};

use super::value::{get, number, put};

/// Makes a number of `instances` where it is a text: `max` and words become 0, which means one per CPU.
pub(super) fn normalise(app: &mut Map<String, Value>) {
    match get(app, "instances") {
        Some(Value::String(text)) => {
            let n = leading_integer(text);
            put(app, "instances", Value::from(n));
        }
        Some(Value::Number(n)) => {
            let whole = number(n.as_f64().unwrap_or(0.0).trunc());
            put(app, "instances", whole);
        }
        _ => {}
    }
}

/// JavaScript's `parseInt(text) || 0`.
fn leading_integer(text: &str) -> i64 {
    let text = text.trim_start();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse::<i32>().map_or(0, |n| sign * i64::from(n))
}

/// `fork_mode` or `cluster_mode`: as given, else cluster for every given number, where the interpreter can. Negative
/// numbers count like any other (Q4).
pub(super) fn mode(app: &Map<String, Value>, can_cluster: bool) -> &'static str {
    match app.get("exec_mode").and_then(Value::as_str) {
        Some("cluster_mode" | "cluster") if can_cluster => "cluster_mode",
        None if can_cluster && app.get("instances").is_some_and(Value::is_number) => "cluster_mode",
        _ => "fork_mode",
    }
}

/// Whether log files carry no instance number by default: not given as cluster, and no number of instances (Q56: 0 and
/// `max` count as none).
pub(super) fn merges_logs(app: &Map<String, Value>) -> bool {
    let cluster = matches!(get(app, "exec_mode").and_then(Value::as_str), Some("cluster_mode" | "cluster"));
    let counted = get(app, "instances").is_some_and(super::value::truthy);
    !cluster && !counted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_numbers_as_parse_int_reads_them() {
        for (text, n) in [("max", 0), ("3", 3), ("-2", -2), ("4x", 4), ("", 0), ("99999999999", 0)] {
            assert_eq!(leading_integer(text), n, "{text}");
        }
    }

    #[test]
    fn every_number_means_cluster_and_none_means_fork() {
        let app = |v: Value| v.as_object().cloned().unwrap_or_default();
        for n in [1, 4, 0, -1, -2] {
            assert_eq!(mode(&app(json!({ "instances": n })), true), "cluster_mode", "{n}");
            assert_eq!(mode(&app(json!({ "instances": n })), false), "fork_mode", "{n}");
        }
        assert_eq!(mode(&app(json!({})), true), "fork_mode");
        assert_eq!(mode(&app(json!({ "instances": 4, "exec_mode": "fork_mode" })), true), "fork_mode");
        assert_eq!(mode(&app(json!({ "exec_mode": "cluster_mode" })), true), "cluster_mode");
    }
}
