//! The apps of an evaluated config (contract/options.md section 9.2).

use std::path::Path;

use serde_json::{Map, Value, json};

use super::Options;
use super::error::ConfigError;
use super::value::type_name;

/// The apps of a config: `apps`, `pm2`, `pm2.apps`, an array, one bare app; `default` is unwrapped (Q45). Entries of `static`
/// become apps of the static server, with all defaults (Q54).
///
/// # Errors
/// `Shape` when an entry is not an object.
pub fn apps_of(config: &Value) -> Result<Vec<Options>, ConfigError> {
    let config = unwrapped(config);
    let sites = config.get("static").map(|sites| match sites {
        Value::Array(list) => list.iter().collect(),
        single => vec![single],
    });
    let entries = match listed(config) {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(single) => vec![single],
        None if sites.is_some() => Vec::new(),
        None => vec![config],
    };
    let object = |what: &str, index: usize, value: &Value| match value {
        Value::Object(map) => Ok(map.clone()),
        other => Err(ConfigError::Shape(format!(
            "{what} number {} of the config is [object {}], but has to be an object",
            index + 1,
            type_name(other)
        ))),
    };
    let mut apps = Vec::new();
    for (index, entry) in entries.into_iter().enumerate() {
        apps.push(object("app", index, entry)?);
    }
    for (index, entry) in sites.unwrap_or_default().into_iter().enumerate() {
        apps.push(site(&object("static entry", index, entry)?));
    }
    Ok(apps)
}

/// What `export default` of an ES module, or a bundler, wraps.
fn unwrapped(config: &Value) -> &Value {
    let bare = ["apps", "pm2", "script", "static", "deploy"].iter().all(|key| config.get(key).is_none());
    match config.get("default") {
        Some(inner @ (Value::Object(_) | Value::Array(_))) if bare => inner,
        _ => config,
    }
}

/// Where the apps are; `None`: the config itself is the app.
fn listed(config: &Value) -> Option<&Value> {
    if config.is_array() {
        return Some(config);
    }
    let set = |key: &str| config.get(key).filter(|v| !v.is_null());
    if let Some(apps) = set("apps") {
        return Some(apps);
    }
    let pm2 = set("pm2")?;
    Some(pm2.get("apps").unwrap_or(pm2))
}

/// Puts the file of the static server in the place of the script `serve`; says whether the app is one. The name stays `serve`
/// where none is given. To be called before `app_form`, by whoever knows where the package's files are.
pub fn use_static_server(app: &mut Options, server: &Path) -> bool {
    if super::value::text(app, "script") != Some("serve") {
        return false;
    }
    if super::value::text(app, "name").is_none() {
        super::value::put(app, "name", Value::from("serve"));
    }
    super::value::put(app, "script", Value::from(server.to_string_lossy()));
    true
}

/// One entry of `static` as an app (contract/options.md section 10).
fn site(entry: &Map<String, Value>) -> Options {
    let port = entry.get("port").cloned().unwrap_or(json!(8080));
    let shown = port.as_str().map_or_else(|| port.to_string(), str::to_owned);
    let mut env = Map::new();
    let mut set = |name: &str, value: Option<&Value>| {
        if let Some(value) = value.filter(|v| !v.is_null()) {
            env.insert(name.to_owned(), value.clone());
        }
    };
    set("PM2_SERVE_PORT", Some(&port));
    set("PM2_SERVE_HOST", entry.get("host"));
    set("PM2_SERVE_PATH", entry.get("path"));
    set("PM2_SERVE_SPA", entry.get("spa"));
    set("PM2_SERVE_FTP", entry.get("ftp").or_else(|| entry.get("directory")));
    set("PM2_SERVE_MONITOR", entry.get("monitor"));
    if let Some(auth) = entry.get("basic_auth").filter(|a| a.is_object()) {
        set("PM2_SERVE_BASIC_AUTH", Some(&json!("true")));
        set("PM2_SERVE_BASIC_AUTH_USERNAME", auth.get("username"));
        set("PM2_SERVE_BASIC_AUTH_PASSWORD", auth.get("password"));
    }
    let mut app = Map::new();
    let name = entry.get("name").cloned().unwrap_or_else(|| Value::from(format!("static-page-server-{shown}")));
    app.insert("name".to_owned(), name);
    app.insert("script".to_owned(), Value::from("serve"));
    app.insert("env".to_owned(), Value::Object(env));
    app
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(config: &Value) -> Vec<String> {
        let apps = apps_of(config).unwrap();
        apps.iter().map(|a| a.get("name").and_then(Value::as_str).unwrap_or("-").to_owned()).collect()
    }

    #[test]
    fn apps_are_found_in_every_shape() {
        let app = json!({ "name": "a", "script": "a.js" });
        for config in [
            json!({ "apps": [app] }),
            json!({ "apps": app }),
            json!({ "pm2": [app] }),
            json!({ "pm2": app }),
            json!({ "pm2": { "apps": [app] } }),
            json!([app]),
            app.clone(),
            json!({ "default": { "apps": [app] } }),
            json!({ "default": [app], "__esModule": true }),
        ] {
            assert_eq!(names(&config), ["a"], "{config}");
        }
    }

    #[test]
    fn static_entries_are_apps_too() {
        let apps = apps_of(&json!({ "static": [{ "port": 8080, "path": "pub" }], "apps": [] })).unwrap();
        assert_eq!(apps[0]["name"], "static-page-server-8080");
        assert_eq!(apps[0]["env"], json!({ "PM2_SERVE_PORT": 8080, "PM2_SERVE_PATH": "pub" }));
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        assert!(apps_of(&json!({ "apps": ["app.js"] })).is_err());
        assert!(apps_of(&json!(5)).is_err());
        assert_eq!(apps_of(&json!({})).map(|a| a.len()), Ok(1));
    }
}
