//! pm2's modules: packages below `modules/` of the home that run beside the apps (contract/cli.md section 14.4).
//!
//! Owns: which are installed (`module-db-v2` and `tar-modules` of the store), what a package says about how it is run,
//! and that they are started with the daemon. How they are installed is the command line's.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::bulk::{self, Verb};
use super::{answer, caller, settings, start};
use crate::client::action::{Answer, Context, Module, Origin};
use crate::client::error::CallError;
use crate::client::files;
use crate::client::procs::Listed;
use crate::client::session::Session;

/// Where the store keeps the names of the modules that npm installed, and of those out of an archive.
const FROM_NPM: &str = "module-db-v2";
const FROM_ARCHIVE: &str = "tar-modules";

impl Origin {
    fn key(self) -> Option<&'static str> {
        match self {
            Origin::Npm => Some(FROM_NPM),
            Origin::Archive => Some(FROM_ARCHIVE),
            Origin::Folder => None,
        }
    }
}

impl Module {
    fn folder(&self, session: &Session) -> PathBuf {
        let own = session.home().modules_dir.join(&self.name);
        match (&self.folder, self.origin) {
            (Some(folder), _) => folder.clone(),
            (None, Origin::Npm) => package_below(&own, &self.name),
            (None, Origin::Archive | Origin::Folder) => own,
        }
    }
}

/// The package that an installation into `root` made: of the given name, else the one that it was asked for.
fn package_below(root: &Path, name: &str) -> PathBuf {
    let packages = root.join("node_modules");
    let plain = packages.join(name);
    if plain.join("package.json").is_file() {
        return plain;
    }
    let manifest = read_json(&root.join("package.json")).unwrap_or_default();
    let asked = manifest["dependencies"].as_object().and_then(|all| all.keys().next().cloned());
    asked.map_or(plain, |name| packages.join(name))
}

fn read_json(path: &Path) -> Result<Value, CallError> {
    let text = std::fs::read(path).map_err(CallError::io("read", path))?;
    serde_json::from_slice(&text)
        .map_err(|error| CallError::refused("INVALID_FILE", format!("{} is no package.json: {error}", path.display())))
}

/// Remembers a module with the defaults of its settings, and starts it; answers as `start` does.
pub(super) async fn install(session: &Session, module: &Module, context: &Context) -> Result<Answer, CallError> {
    let manifest = read_json(&module.folder(session).join("package.json"))?;
    settings::change(session, |store| {
        if let Some(key) = module.origin.key() {
            let known = store.entry(key).or_insert_with(|| json!({}));
            if let Value::Object(known) = known {
                known.insert(module.name.clone(), Value::Object(module.options.clone()));
            }
        }
        let Some(Value::Object(defaults)) = manifest.get("config") else { return };
        let own = store.entry(module.name.clone()).or_insert_with(|| json!({}));
        let Value::Object(own) = own else { return };
        for (name, value) in defaults.iter().filter(|(_, value)| !value.is_object() && !value.is_null()) {
            let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            own.entry(name.clone()).or_insert(Value::String(text));
        }
    })?;
    run(session, module, context).await
}

/// Starts the apps of a module, or restarts those that run.
async fn run(session: &Session, module: &Module, context: &Context) -> Result<Answer, CallError> {
    let folder = module.folder(session);
    let manifest = read_json(&folder.join("package.json"))?;
    let apps = apps(&manifest, module, &folder)?;
    let list = bulk::list(session).await?;
    let mut options = module.options.clone();
    options.insert("started_as_module".into(), true.into());
    let caller = caller::caller(session, context);
    start::start_apps(session, Verb::Restart, &Value::from(apps), &options, &list, &caller).await
}

/// What a package says is to be run: `apps` or `pm2`, else its first `bin`, else `main`.
fn apps(manifest: &Value, module: &Module, folder: &Path) -> Result<Vec<Value>, CallError> {
    let described = ["apps", "pm2"].iter().find_map(|key| manifest.get(*key)).filter(|apps| !apps.is_null());
    let described = described.map(|apps| apps.get("apps").unwrap_or(apps).clone());
    let mut apps = match described {
        Some(Value::Array(apps)) => apps,
        Some(app @ Value::Object(_)) => vec![app],
        _ => vec![json!({ "script": script(manifest) })],
    };
    let several = apps.len() > 1;
    for app in &mut apps {
        let Value::Object(app) = app else {
            return Err(CallError::refused("INVALID_FILE", format!("`apps` of {} holds no app", module.name)));
        };
        let own = app.get("name").and_then(Value::as_str).filter(|own| *own != module.name);
        let name = match own {
            Some(own) if several || module.origin == Origin::Archive => format!("{}:{own}", module.name),
            _ => module.name.clone(),
        };
        app.insert("name".into(), name.into());
        let cwd = folder.join(app.get("cwd").and_then(Value::as_str).unwrap_or_default());
        app.insert("cwd".into(), cwd.to_string_lossy().trim_end_matches('/').into());
        if module.origin == Origin::Folder && !app.contains_key("watch") {
            app.insert("watch".into(), true.into());
        }
    }
    Ok(apps)
}

fn script(manifest: &Value) -> String {
    let bin = match &manifest["bin"] {
        Value::Object(bins) => bins.values().find_map(Value::as_str),
        other => other.as_str(),
    };
    bin.or_else(|| manifest["main"].as_str()).unwrap_or("index.js").to_owned()
}

/// Everything that is installed.
fn installed(session: &Session) -> Vec<Module> {
    let Ok(Some(text)) = files::read(&session.home().module_conf_file) else { return Vec::new() };
    let store: Value = serde_json::from_slice(&text).unwrap_or_default();
    let mut modules = Vec::new();
    for origin in [Origin::Npm, Origin::Archive] {
        let known = origin.key().and_then(|key| store.get(key)?.as_object());
        for (name, options) in known.into_iter().flatten() {
            let options = options.as_object().cloned().unwrap_or_default();
            modules.push(Module { name: name.clone(), origin, folder: None, options });
        }
    }
    modules
}

/// The names of all that is installed.
pub(super) fn names(session: &Session) -> Result<Answer, CallError> {
    answer(&installed(session).into_iter().map(|module| module.name).collect::<Vec<_>>())
}

/// Starts what is installed and does not run: `[{name, message}]` of those that cannot be started.
pub(super) async fn launch(session: &Session, context: &Context) -> Result<Answer, CallError> {
    let modules = installed(session);
    let mut failed = Vec::new();
    if !modules.is_empty() {
        let list = bulk::list(session).await?;
        let runs = |module: &Module| {
            let prefix = format!("{}:", module.name);
            list.iter().map(Listed::name).any(|name| *name == module.name || name.starts_with(&prefix))
        };
        for module in modules.iter().filter(|module| !runs(module)) {
            if let Err(error) = run(session, module, context).await {
                failed.push(json!({ "name": module.name, "message": error.to_string() }));
            }
        }
    }
    answer(&failed)
}

/// After a call that launched a daemon: the modules are started with it, as everybody expects who installed one.
/// What cannot be started is no failure of the call.
pub(in crate::client) async fn launch_with_daemon(session: &Session) {
    if let Some(context) = session.take_launched() {
        let _ = launch(session, &context).await;
    }
}

/// Forgets a module: its processes, its name, its settings, its files. `false`: there is none of this name.
pub(super) async fn uninstall(session: &Session, name: &str) -> Result<Answer, CallError> {
    let folder = session.home().modules_dir.join(name);
    let known = installed(session).iter().any(|module| module.name == name);
    let alive = matches!(session.connection_if_alive().await, Ok(Some(_)));
    let list = if alive { bulk::list(session).await? } else { Vec::new() };
    let prefix = format!("{name}:");
    let mine =
        |process: &Listed| process.is_module() && (process.name() == name || process.name().starts_with(&prefix));
    let running: Vec<Value> = list.iter().filter(|process| mine(process)).map(|p| p.pm_id.clone()).collect();
    // The name becomes a path that is removed: it must not lead out of the folder.
    let inside = !name.is_empty() && !name.split('/').any(|part| ["", ".", ".."].contains(&part));
    if !inside || !(known || folder.is_dir() || !running.is_empty()) {
        return answer(&false);
    }
    for id in running {
        bulk::act(session, Verb::Delete, &id, None).await?;
    }
    settings::change(session, |store| {
        for key in [FROM_NPM, FROM_ARCHIVE] {
            if let Some(Value::Object(known)) = store.get_mut(key) {
                known.shift_remove(name);
            }
        }
        store.shift_remove(name);
    })?;
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(CallError::io("remove", &folder)(error)),
        _ => answer(&true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(manifest: &Value, origin: Origin) -> Vec<(String, String)> {
        let module = Module { name: "mod".into(), origin, folder: None, options: serde_json::Map::new() };
        let apps = apps(manifest, &module, Path::new("/m")).unwrap();
        let text = |app: &Value, key: &str| app[key].as_str().unwrap_or_default().to_owned();
        apps.iter().map(|app| (text(app, "name"), text(app, "script"))).collect()
    }

    #[test]
    fn a_package_says_what_is_run_and_how_it_is_called() {
        for (manifest, origin, expected) in [
            (json!({ "main": "a.js" }), Origin::Npm, vec![("mod", "a.js")]),
            (json!({ "main": "a.js", "bin": { "x": "b.js" } }), Origin::Npm, vec![("mod", "b.js")]),
            (json!({ "bin": "c.js" }), Origin::Npm, vec![("mod", "c.js")]),
            (json!({}), Origin::Npm, vec![("mod", "index.js")]),
            (json!({ "apps": [{ "name": "main", "script": "d.js" }] }), Origin::Npm, vec![("mod", "d.js")]),
            (json!({ "pm2": { "apps": [{ "script": "e.js" }] } }), Origin::Folder, vec![("mod", "e.js")]),
            (json!({ "pm2": { "script": "f.js", "name": "main" } }), Origin::Archive, vec![("mod:main", "f.js")]),
            (
                json!({ "apps": [{ "name": "a", "script": "1" }, { "name": "b", "script": "2" }] }),
                Origin::Npm,
                vec![("mod:a", "1"), ("mod:b", "2")],
            ),
        ] {
            let expected: Vec<(String, String)> = expected.into_iter().map(|(a, b)| (a.into(), b.into())).collect();
            assert_eq!(named(&manifest, origin), expected, "{manifest}");
        }
    }
}
