//! `install`, `uninstall`, `module:list`, `module:update`, `module:generate`, `package` (contract/cli.md section 14.4).
//!
//! Owns: how the files of a module come into the home: npm, an archive, or a folder as it is. What is run of them, and
//! that it is started with the daemon, is the client's.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::Ui;
use super::{Call, Failure};
use crate::client::{Action, Module, Origin};

/// How long `--safe` looks at a new module, unless told otherwise.
const TRIAL: Duration = Duration::from_secs(3);

pub(super) async fn run(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let first = call.request.targets.first().map(String::as_str);
    match (call.request.command.as_str(), first) {
        ("install" | "module:update", _) => {
            // The number after `--safe` may be left out: then the next word is a module.
            let swallowed = call.request.value("safe").filter(|text| text.parse::<u64>().is_err() && !text.is_empty());
            let mut specs: Vec<&str> = call.request.targets.iter().map(String::as_str).chain(swallowed).collect();
            if specs.is_empty() {
                specs.push(".");
            }
            for spec in specs {
                install(call, ui, spec).await?;
            }
            Ok(())
        }
        ("uninstall", Some(_)) => uninstall(call, ui).await,
        ("uninstall", None) => Err(Failure::Text("uninstall takes the name of a module, or all".into())),
        ("module:generate", name) => generate(call, ui, name.unwrap_or("sample-module")),
        ("package", folder) => package(call, ui, folder.unwrap_or(".")),
        _ => list(call, ui).await,
    }
}

/// A failure as module commands word it.
fn failed(ui: &mut Ui, text: &str) -> Failure {
    ui.module_error(text);
    Failure::Said
}

async fn install(call: &Call<'_>, ui: &mut Ui, spec: &str) -> Result<(), Failure> {
    let cwd = &call.context.cwd;
    let is_archive = call.request.is_set("tarball") || [".tar.gz", ".tgz"].iter().any(|end| spec.ends_with(end));
    let known: Vec<String> = call.ask(Action::Modules).await?;
    let mut options = Map::new();
    for key in ["uid", "gid"] {
        if let Some(value) = call.request.attributes.get(key) {
            options.insert(key.to_owned(), value.clone());
        }
    }
    let (module, undo) = if spec == "." {
        ui.module("Installing local NPM module");
        ui.module("Installing local module in DEVELOPMENT MODE with WATCH auto restart");
        let name = package_name(cwd).ok_or_else(|| failed(ui, "there is no package.json with a name here"))?;
        (Module { name, origin: Origin::Folder, folder: Some(cwd.clone()), options }, None)
    } else {
        let (name, origin) = if is_archive {
            ui.module("Installing TAR module");
            (archive_name(&cwd.join(spec)).map_err(|why| failed(ui, &why))?, Origin::Archive)
        } else {
            let local = cwd.join(spec);
            let name = if local.is_dir() { package_name(&local) } else { None };
            (name.unwrap_or_else(|| canonical(spec)), Origin::Npm)
        };
        if !is_name(&name) {
            return Err(failed(ui, &format!("`{spec}` names no module")));
        }
        let place = Place::new(call.session.home().modules_dir.join(&name));
        let fetched = place.clear().and_then(|()| match origin {
            Origin::Archive => unpack(call, ui, &cwd.join(spec), &place.folder),
            Origin::Npm | Origin::Folder => npm(call, ui, spec, &place.folder),
        });
        if let Err(why) = fetched {
            place.restore();
            return Err(failed(ui, &why));
        }
        (Module { name, origin, folder: None, options }, Some(place))
    };
    let (name, is_safe) = (module.name.clone(), call.request.is_set("safe"));
    let is_new = !known.contains(&name);
    let action = Action::InstallModule { module, context: call.context.clone() };
    let started: Result<Vec<Value>, _> = call.ask(action).await;
    let outcome = match started {
        Ok(_) if is_safe => survives(call, &name).await,
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(why) = outcome {
        match undo {
            Some(place) if is_new => {
                let _: bool = call.ask(Action::UninstallModule { name: name.clone() }).await?;
                drop(place);
            }
            Some(place) if is_safe => {
                place.restore();
                let module = Module { name: name.clone(), origin: Origin::Npm, folder: None, options: Map::new() };
                let again = Action::InstallModule { module, context: call.context.clone() };
                let _: Vec<Value> = call.ask(again).await?;
            }
            _ => {}
        }
        return Err(failed(ui, &why));
    }
    if let Some(place) = undo {
        place.forget();
    }
    ui.module("Module successfully installed and launched");
    ui.module("Its settings: `$ pm2-rs conf`");
    call.finish(ui, &[]).await
}

/// Where a module is put; what was there before can come back.
struct Place {
    folder: PathBuf,
    before: PathBuf,
}

impl Place {
    fn new(folder: PathBuf) -> Place {
        let mut before = folder.clone().into_os_string();
        before.push(".before");
        Place { folder, before: before.into() }
    }

    /// Moves what is there aside and makes an empty folder.
    fn clear(&self) -> Result<(), String> {
        let _ = std::fs::remove_dir_all(&self.before);
        match std::fs::rename(&self.folder, &self.before) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(format!("cannot move {} aside: {error}", self.folder.display()));
            }
            _ => {}
        }
        std::fs::create_dir_all(&self.folder).map_err(|error| format!("cannot make {}: {error}", self.folder.display()))
    }

    fn restore(&self) {
        let _ = std::fs::remove_dir_all(&self.folder);
        // There need not have been one.
        let _ = std::fs::rename(&self.before, &self.folder);
    }

    fn forget(&self) {
        let _ = std::fs::remove_dir_all(&self.before);
    }
}

fn npm(call: &Call<'_>, ui: &mut Ui, spec: &str, folder: &Path) -> Result<(), String> {
    ui.module(&format!("Installing NPM {spec} module"));
    let mut npm = program(call, "npm", &call.context.cwd);
    npm.args(["install", spec, "--loglevel=error", "--no-audit", "--no-fund", "--install-links", "--prefix"]);
    complete(npm.arg(folder), "npm", ui)?;
    ui.module("Module downloaded");
    Ok(())
}

fn unpack(call: &Call<'_>, ui: &mut Ui, archive: &Path, folder: &Path) -> Result<(), String> {
    ui.module(&format!("Installing package {}", archive.display()));
    let mut tar = program(call, "tar", &call.context.cwd);
    tar.arg("-xzf").arg(archive).args(["--strip-components=1", "-C"]);
    complete(tar.arg(folder), "tar", ui)?;
    if call.request.is_set("install") || !folder.join("node_modules").exists() && has_dependencies(folder) {
        let mut npm = program(call, "npm", folder);
        complete(npm.args(["install", "--omit=dev", "--loglevel=error", "--no-audit", "--no-fund"]), "npm", ui)?;
    }
    ui.module(&format!("Module depackaged in {}", folder.display()));
    Ok(())
}

fn program(call: &Call<'_>, name: &str, folder: &Path) -> Command {
    let mut command = Command::new(name);
    command.current_dir(folder).env_clear().envs(call.local).stdin(Stdio::null());
    command
}

/// Runs a program; what it says is shown when it fails.
fn complete(command: &mut Command, name: &str, ui: &mut Ui) -> Result<(), String> {
    let output =
        command.output().map_err(|error| format!("cannot run {name}: {error}; is it installed, and in PATH?"))?;
    if output.status.success() {
        return Ok(());
    }
    ui.error_bytes(&output.stderr);
    Err(format!("{name} failed ({})", output.status))
}

/// The module of an archive: its package.json says how it is called.
fn archive_name(archive: &Path) -> Result<String, String> {
    let listed = Command::new("tar").arg("-xzOf").arg(archive).args(["--wildcards", "*/package.json"]).output();
    let output = listed.map_err(|error| format!("cannot run tar: {error}; is it installed, and in PATH?"))?;
    let mut values = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
    // Those of what the module itself depends on come after it, or have other names; the first is the module's.
    let manifest = values.next().and_then(Result::ok);
    let name = manifest.as_ref().and_then(|manifest| manifest["name"].as_str());
    name.map(ToOwned::to_owned)
        .ok_or_else(|| format!("{} holds no package.json with a name in its first folder", archive.display()))
}

fn package_name(folder: &Path) -> Option<String> {
    manifest(folder)?.get("name")?.as_str().map(ToOwned::to_owned)
}

fn has_dependencies(folder: &Path) -> bool {
    manifest(folder).is_some_and(|found| found["dependencies"].as_object().is_some_and(|all| !all.is_empty()))
}

fn manifest(folder: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(folder.join("package.json")).ok()?).ok()
}

/// `pm2-logrotate@2.7.0` and `https://github.com/user/repo.git#main` are `pm2-logrotate` and `repo`; scopes stay.
fn canonical(spec: &str) -> String {
    let spec = spec.split('#').next().unwrap_or_default().trim_end_matches('/');
    if spec.starts_with('@') {
        let version = spec.get(1..).and_then(|rest| rest.find('@')).map_or(spec.len(), |at| at + 1);
        return spec.split_at(version).0.to_owned();
    }
    let last = spec.rsplit(['/', ':']).next().unwrap_or_default();
    let last = last.split('@').next().unwrap_or_default();
    last.strip_suffix(".git").unwrap_or(last).to_owned()
}

/// Whether a name can be a folder below the modules.
fn is_name(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    let plain = |part: &&str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\'', '"', '\0']);
    parts.iter().all(plain) && (parts.len() == 1 || (parts.len() == 2 && name.starts_with('@')))
}

/// Whether a new module keeps running for a while.
async fn survives(call: &Call<'_>, name: &str) -> Result<(), String> {
    let given = call.request.value("safe").and_then(|text| text.parse().ok());
    tokio::time::sleep(given.map_or(TRIAL, Duration::from_millis)).await;
    let list = call.processes().await.map_err(|error| error.to_string())?;
    let prefix = format!("{name}:");
    let mut mine = list.iter().filter(|process| process.name == name || process.name.starts_with(&prefix));
    let fails =
        mine.any(|process| process.number("restart_time").unwrap_or(0.0) > 2.0 || process.text("status") == "errored");
    if fails { Err(format!("{name} keeps ending: the installation is taken back")) } else { Ok(()) }
}

async fn uninstall(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let all = call.request.targets.iter().any(|name| name == "all");
    let names = if all { call.ask(Action::Modules).await? } else { call.request.targets.clone() };
    for name in names {
        ui.module(&format!("Uninstalling module {name}"));
        let known: bool = call.ask(Action::UninstallModule { name }).await?;
        if !known {
            return Err(failed(ui, "Unknown module"));
        }
        ui.module("Module uninstalled");
    }
    call.finish(ui, &[]).await
}

/// What is installed, and whether it runs.
async fn list(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let names: Vec<String> = call.ask(Action::Modules).await?;
    let processes = call.processes().await?;
    let status = |name: &str| {
        let process = processes.iter().find(|process| process.is_module() && process.name.starts_with(name));
        process.map_or_else(|| "not running".to_owned(), |process| process.text("status"))
    };
    if ui.is_json() {
        let list: Vec<Value> = names.iter().map(|name| json!({ "name": name, "status": status(name) })).collect();
        ui.data(&format!("{}\n", Value::from(list)));
    }
    for name in &names {
        ui.message(&format!("{name} ({})", status(name)));
    }
    Ok(())
}

const SAMPLE: &str = "\
// A module of pm2: it runs beside the apps, and its settings are variables of its environment.
// pm2-rs set <module>:interval 1000 restarts it with that value.
const interval = Number(process.env.interval)

setInterval(() => console.log('every', interval, 'ms'), interval)
";

fn generate(call: &Call<'_>, ui: &mut Ui, name: &str) -> Result<(), Failure> {
    if !is_name(name) || name.contains('/') {
        return Err(failed(ui, &format!("`{name}` is no name for a folder")));
    }
    let folder = call.context.cwd.join(name);
    let manifest = json!({
        "name": name, "version": "0.1.0", "main": "index.js", "config": { "interval": "5000" },
        "apps": [{ "script": "index.js" }],
    });
    let manifest = serde_json::to_string_pretty(&manifest).unwrap_or_default() + "\n";
    let written = std::fs::create_dir(&folder)
        .and_then(|()| std::fs::write(folder.join("package.json"), manifest))
        .and_then(|()| std::fs::write(folder.join("index.js"), SAMPLE));
    written.map_err(|error| failed(ui, &format!("cannot make {}: {error}", folder.display())))?;
    ui.module(&format!("Module sample created in {}", folder.display()));
    ui.module(&format!("Start it: cd {name} && pm2-rs install ."));
    Ok(())
}

/// Packs a folder so that `install x.tar.gz` takes it: everything in a first folder `module`.
fn package(call: &Call<'_>, ui: &mut Ui, folder: &str) -> Result<(), Failure> {
    let folder = call.context.cwd.join(folder);
    let Some(manifest) = manifest(&folder) else {
        return Err(failed(ui, &format!("there is no package.json in {}", folder.display())));
    };
    let text = |key: &str| manifest[key].as_str().unwrap_or("0").replace(['/', '@'], "");
    let name = format!("{}-v{}.tar.gz", text("name"), text("version").replace('.', "-"));
    let target = call.context.cwd.join(&name);
    let mut tar = program(call, "tar", &folder);
    tar.arg("-czf").arg(&target).args(["--exclude=*.tar.gz", "--transform=s,^\\.,module,", "."]);
    complete(&mut tar, "tar", ui).map_err(|why| failed(ui, &why))?;
    ui.module(&format!("Module packaged in {}", target.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_becomes_the_name_of_a_module() {
        for (spec, expected) in [
            ("pm2-logrotate", "pm2-logrotate"),
            ("pm2-logrotate@2.7.0", "pm2-logrotate"),
            ("@scope/thing@latest", "@scope/thing"),
            ("@scope/thing", "@scope/thing"),
            ("user/repo", "repo"),
            ("https://github.com/user/repo.git#main", "repo"),
            ("git@github.com:user/repo.git", "repo"),
        ] {
            assert_eq!(canonical(spec), expected, "{spec}");
        }
    }

    #[test]
    fn a_name_never_leads_out_of_the_folder() {
        for name in ["a", "@s/b", "pm2-logrotate"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "..", "../x", "a/b", "a/../..", "@s/..", ".hidden", "/etc", "a'b"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
