//! Names: of apps, and of the files that are called after them (contract/options.md section 5).

use serde_json::{Map, Value};

use super::StartOptions;
use super::value::{get, text};

/// The name that a script text gives: its last path component without the last extension.
pub(super) fn of_script(script: &str) -> String {
    let base = script.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    match base.rfind('.') {
        Some(dot) if dot > 0 => base[..dot].to_owned(),
        _ => base.to_owned(),
    }
}

/// The part of file names that comes from the app's name: letters, digits, `.`, `-` and `\`; all else becomes `-`.
pub(super) fn of_file(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '\\') { c } else { '-' }).collect()
}

/// The name of a raw app with the start options applied; `None` when it has neither name nor script, or a name that is no
/// text (validation refuses it).
pub(super) fn of_app(app: &Map<String, Value>, options: &StartOptions) -> Option<String> {
    if let Some(name) = &options.force_name {
        return Some(name.clone());
    }
    let mut name = match get(app, "name") {
        Some(Value::String(name)) if !name.is_empty() => name.clone(),
        None | Some(Value::String(_) | Value::Bool(false)) => of_script(text(app, "script")?),
        Some(_) => return None,
    };
    if let Some(prefix) = options.name_prefix.as_deref().filter(|p| !p.is_empty() && !name.contains(p)) {
        name = format!("{prefix}:{name}");
    }
    if let (Some(env), Some(Value::Bool(true))) = (&options.env, get(app, "append_env_to_name")) {
        name = format!("{name}-{env}");
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_give_names() {
        for (script, name) in [
            ("app.js", "app"),
            ("/srv/my.app.js", "my.app"),
            ("./service/", "service"),
            (".", "."),
            ("..", "."),
            (".hidden", ".hidden"),
            ("sleep 100", "sleep 100"),
            ("python a.py --x", "python a"),
            ("", ""),
        ] {
            assert_eq!(of_script(script), name, "{script}");
        }
    }

    #[test]
    fn files_are_called_after_apps() {
        assert_eq!(of_file("my_app"), "my-app");
        assert_eq!(of_file("käse x/y\\z.1"), "k-se-x-y\\z.1");
    }
}
