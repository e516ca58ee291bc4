//! What to run: the script text and the directory -> an absolute path (contract/options.md section 4).

use std::path::{Path, PathBuf};

use super::Caller;
use super::error::ConfigError;
use super::paths::resolve;
use super::program::which;

/// What the script text stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Script {
    /// A file or a directory.
    File(PathBuf),
    /// A command line for this shell.
    Command { shell: PathBuf, line: String },
}

/// The working directory of an app: relative to the caller's directory, else the instance's.
pub(super) fn directory(cwd: Option<&str>, caller: &Caller) -> PathBuf {
    cwd.map_or_else(|| caller.instance_cwd.clone(), |text| resolve(&caller.cwd, text))
}

/// Finds the script: a file in `cwd`, a command line when the text has a blank, a program on PATH.
pub(super) fn find(text: &str, cwd: &Path, caller: &Caller) -> Result<Script, ConfigError> {
    let path = resolve(cwd, text);
    // First of all the file, because its name may have a blank (Q57).
    if path.exists() {
        return Ok(Script::File(path));
    }
    if text.contains(' ') {
        let shell = which("bash", caller).or_else(|| which("sh", caller));
        let shell = shell.ok_or_else(|| ConfigError::InterpreterNotFound("bash".to_owned()))?;
        return Ok(Script::Command { shell, line: text.to_owned() });
    }
    which(text, caller).map(Script::File).ok_or(ConfigError::ScriptNotFound(path))
}
