//! Which processes a target names (contract/api.md section 5, with Q18).
//!
//! Owns: the order in which name, namespace, id, `all` and patterns are tried. Pure.

use std::path::Path;

use regex::Regex;
use serde_json::Value;

use super::error::CallError;
use super::files;
use super::procs::Listed;

/// The ids to act on, ascending as in the list. An unknown id is handed on: the daemon words that error.
pub(super) fn select(name: &str, list: &[Listed], cwd: &Path) -> Result<Vec<Value>, CallError> {
    if name == "all" {
        return found(list, |process| !process.is_module()).ok_or(CallError::NoMatch);
    }
    let numeric = is_numeric(name);
    if !numeric && name.len() > 1 && name.starts_with('/') && name.ends_with('/') {
        let pattern = pattern(name)?;
        // A path with a slash at its end is a pattern, too; that is pm2's rule.
        return found(list, |process| pattern.is_match(&process.name())).ok_or(CallError::NoMatch);
    }
    let by_name = by_name_or_path(name, list, cwd);
    if !by_name.is_empty() {
        return Ok(by_name);
    }
    let by_namespace = in_namespace(name, list);
    if !by_namespace.is_empty() {
        return Ok(by_namespace);
    }
    if numeric {
        let known = list.iter().find(|process| process.id() == name).map(|process| process.pm_id.clone());
        return Ok(vec![known.unwrap_or_else(|| Value::String(name.to_owned()))]);
    }
    Err(CallError::NotFound)
}

/// The processes of this namespace.
pub(super) fn in_namespace(name: &str, list: &[Listed]) -> Vec<Value> {
    found(list, |process| !name.is_empty() && process.namespace() == name).unwrap_or_default()
}

/// The processes of exactly this name, or that run this file.
pub(super) fn by_name_or_path(name: &str, list: &[Listed], cwd: &Path) -> Vec<Value> {
    let path = files::resolve(cwd, name);
    found(list, |process| !name.is_empty() && (process.name() == name || process.runs(&path))).unwrap_or_default()
}

/// What JavaScript takes for a number, as far as anybody writes ids: digits.
pub(super) fn is_numeric(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn found(list: &[Listed], wanted: impl Fn(&Listed) -> bool) -> Option<Vec<Value>> {
    let ids: Vec<Value> = list.iter().filter(|process| wanted(process)).map(|process| process.pm_id.clone()).collect();
    (!ids.is_empty()).then_some(ids)
}

/// `/name/`: every slash goes, the rest is a case-sensitive pattern.
fn pattern(name: &str) -> Result<Regex, CallError> {
    let text = name.replace('/', "");
    Regex::new(&text).map_err(|error| {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        CallError::refused(
            "INVALID_PATTERN",
            format!(
                "Invalid regular expression: /{text}/: {reason} (look-around and back references are not supported)"
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn list() -> Vec<Listed> {
        serde_json::from_value(json!([
            { "name": "api", "pm_id": 0, "pm2_env": { "namespace": "web", "pm_exec_path": "/srv/api.js" } },
            { "name": "api", "pm_id": 1, "pm2_env": { "namespace": "web", "pm_exec_path": "/srv/api.js" } },
            { "name": "web", "pm_id": 2, "pm2_env": { "namespace": "default", "pm_exec_path": "/srv/web.js" } },
            { "name": "5", "pm_id": 3, "pm2_env": { "namespace": "n", "pm_exec_path": "/srv/5" } },
            { "name": 7, "pm_id": 5, "pm2_env": { "namespace": "back", "pm_exec_path": "/srv/seven" } },
            { "name": "mod", "pm_id": 8, "pm2_env": { "namespace": "back", "pmx_module": true } },
        ]))
        .unwrap()
    }

    fn ids(target: &str) -> Result<String, String> {
        let ids = select(target, &list(), Path::new("/srv")).map_err(|error| error.to_string())?;
        Ok(ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn targets_resolve_in_pm2s_order() {
        for (target, expected) in [
            ("api", "0 1"),
            ("api.js", "0 1"),
            ("/srv/api.js", "0 1"),
            ("web", "2"),
            ("back", "5 8"),
            ("0", "0"),
            ("5", "3"),
            ("7", "5"),
            ("99", "\"99\""),
            ("all", "0 1 2 3 5"),
            ("/^a/", "0 1"),
            ("/A|W/", "process name not found"),
            ("/zz/", "process name not found"),
            ("nobody", "process or namespace not found"),
            ("", "process or namespace not found"),
        ] {
            let (Ok(answer) | Err(answer)) = ids(target);
            assert_eq!(answer, expected, "target {target:?}");
        }
    }

    #[test]
    fn nothing_is_ever_all() {
        assert!(matches!(select("all", &[], Path::new("/")), Err(CallError::NoMatch)));
    }

    #[test]
    fn a_wrong_pattern_is_named() {
        let error = select("/(/", &list(), Path::new("/")).unwrap_err();
        assert!(error.to_string().starts_with("Invalid regular expression: /(/: "), "{error}");
    }
}
