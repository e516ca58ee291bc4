//! Which program runs the script (contract/options.md section 6.1).

use std::path::Path;

use super::Caller;
use super::error::ConfigError;
use super::nvm;
use super::paths::extension;
use super::program::{is_binary, which};

/// The interpreter, and arguments that it needs before the user's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Interpreter {
    /// A name on PATH, a path, or `none`.
    pub(super) program: String,
    pub(super) arguments: Vec<String>,
}

impl Interpreter {
    fn plain(program: impl Into<String>) -> Interpreter {
        Interpreter { program: program.into(), arguments: Vec::new() }
    }

    /// Whether the app may be a Node cluster worker.
    pub(super) fn can_cluster(&self) -> bool {
        self.program.ends_with("node")
    }

    /// Whether it has a cluster of its own instead, which nobody else can be the primary of.
    pub(super) fn has_own_cluster(&self) -> bool {
        let base = self.program.rsplit('/').next().unwrap_or_default();
        base == "bun" || base == "deno"
    }
}

/// The interpreter for `script`: the given one, else by extension, else by content. It must be there.
pub(super) fn choose(
    given: Option<&str>,
    script: &Path,
    missing: nvm::Missing,
    caller: &Caller,
) -> Result<Interpreter, ConfigError> {
    let interpreter = match given {
        Some(text) => match text.strip_prefix(nvm::PREFIX) {
            Some(version) => Interpreter::plain(nvm::node(version, missing, caller)?),
            None => Interpreter::plain(text),
        },
        None => by_file(script, caller)?,
    };
    if interpreter.program != "none" && which(&interpreter.program, caller).is_none() {
        return Err(ConfigError::InterpreterNotFound(interpreter.program));
    }
    Ok(interpreter)
}

fn by_file(script: &Path, caller: &Caller) -> Result<Interpreter, ConfigError> {
    Ok(Interpreter::plain(match extension(script) {
        ".js" => "node",
        ".sh" => "bash",
        ".py" if which("python", caller).is_none() => "python3",
        ".py" => "python",
        ".rb" => "ruby",
        ".php" => "php",
        ".pl" => "perl",
        ".coffee" => "coffee",
        ".ls" => "lsc",
        ".tsx" => "bun",
        ".ts" => return typescript(caller),
        _ if is_binary(script) => "none",
        _ => return Ok(Interpreter::plain(caller.node.to_string_lossy())),
    }))
}

/// bun if it is there, else a Node that can strip types; since 22.18 and 23.6 without being asked.
fn typescript(caller: &Caller) -> Result<Interpreter, ConfigError> {
    if which("bun", caller).is_some() {
        return Ok(Interpreter::plain("bun"));
    }
    let arguments = match caller.node_version {
        Some((22, 18.., _) | (23, 6.., _) | (24.., ..)) => Vec::new(),
        Some((22, 6.., _) | (23, ..)) => vec!["--experimental-strip-types".to_owned()],
        _ => return Err(ConfigError::TypeScript),
    };
    Ok(Interpreter { program: "node".to_owned(), arguments })
}
