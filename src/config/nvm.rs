//! `node@20`: a Node that nvm has, or installs (contract/options.md section 6.1).
//!
//! Must never: let a version lead out of nvm's folder, or become a word of a shell.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Map, Value};

use super::Caller;
use super::error::ConfigError;
use super::program::which;

/// Whether a Node that nvm has not yet may be installed: not when somebody only asks what would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Install,
    Refuse,
}

/// What makes an interpreter a version of Node.
pub(super) const PREFIX: &str = "node@";

/// Has nvm install a version; its own words go to stderr, and the last line of stdout is the path.
const INSTALL: &str = r#". "$1" --no-use && nvm install "$2" 1>&2; nvm which "$2""#;

/// In the overrides of a restart a version becomes a path, too.
pub(super) fn resolve(values: &mut Map<String, Value>, caller: &Caller) -> Result<(), ConfigError> {
    let given = values.get("exec_interpreter").and_then(Value::as_str);
    if let Some(version) = given.and_then(|text| text.strip_prefix(PREFIX)) {
        let node = node(version, Missing::Install, caller)?;
        values.insert("exec_interpreter".to_owned(), Value::from(node));
    }
    Ok(())
}

/// The path of the newest Node of this version (`20`, `20.1`, `20.1.0`).
pub(super) fn node(version: &str, missing: Missing, caller: &Caller) -> Result<String, ConfigError> {
    let not_found = || ConfigError::InterpreterNotFound(format!("{PREFIX}{version}"));
    let wanted = version.trim_start_matches('v');
    if wanted.is_empty() || !wanted.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b)) {
        return Err(not_found());
    }
    let root = root(caller).ok_or_else(not_found)?;
    if let Some(node) = installed(&root, wanted) {
        return Ok(node.to_string_lossy().into_owned());
    }
    let script = root.join("nvm.sh");
    if missing == Missing::Refuse || !script.is_file() || wanted.starts_with('-') {
        return Err(not_found());
    }
    install(&script, &root, wanted, caller).map_err(|text| ConfigError::NvmFailed { version: wanted.to_owned(), text })
}

fn root(caller: &Caller) -> Option<PathBuf> {
    let set = |name: &str| caller.env.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    match set("NVM_DIR").or_else(|| set("NVM_HOME")) {
        Some(dir) => Some(PathBuf::from(dir)),
        None => Some(Path::new(set("HOME")?).join(".nvm")),
    }
}

/// The newest one of those that begin with `wanted`.
fn installed(root: &Path, wanted: &str) -> Option<PathBuf> {
    let numbers = |text: &str| text.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u32>>>();
    let folder = root.join("versions/node");
    let exact = folder.join(format!("v{wanted}/bin/node"));
    let Some(wanted) = numbers(wanted) else { return Some(exact).filter(|node| node.is_file()) };
    let versions = std::fs::read_dir(&folder).ok()?.flatten().filter_map(|entry| {
        let version = numbers(entry.file_name().to_str()?.strip_prefix('v')?)?;
        let node = entry.path().join("bin/node");
        (version.starts_with(&wanted) && node.is_file()).then_some((version, node))
    });
    versions.max().map(|(_, node)| node)
}

/// Takes as long as the download takes.
fn install(script: &Path, root: &Path, version: &str, caller: &Caller) -> Result<String, String> {
    let bash = which("bash", caller).ok_or("nvm needs bash, which is not in PATH")?;
    let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    let output = Command::new(bash)
        .args(["-c", INSTALL, "pm2-rs"])
        .arg(script)
        .arg(version)
        .env_clear()
        .envs(caller.env.iter().filter_map(text))
        .env("NVM_DIR", root)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    if let Some(node) = installed(root, version) {
        return Ok(node.to_string_lossy().into_owned());
    }
    // A name such as `lts` is a version that only nvm knows.
    let said = String::from_utf8_lossy(&output.stdout);
    let path = said.lines().last().map(str::trim).filter(|path| output.status.success() && Path::new(path).is_file());
    path.map(str::to_owned).ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        said.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing").to_owned()
    })
}
