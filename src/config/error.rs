//! Why a description cannot be made.

use std::path::PathBuf;

/// Texts that pm2 also says are word for word pm2's: programs match them (contract/options.md section 2.2).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// One or more values are wrong; messages as pm2 words them, joined by commas.
    #[error("{0}")]
    Invalid(String),
    #[error("No script path - aborting")]
    NoScript,
    #[error("Script not found: {}", .0.display())]
    ScriptNotFound(PathBuf),
    #[error("Interpreter {0} is NOT AVAILABLE in PATH. (type 'which {0}' to double check.)")]
    InterpreterNotFound(String),
    #[error("nvm could not install Node.js {version}: {text}")]
    NvmFailed { version: String, text: String },
    /// TypeScript without anything that can run it.
    #[error(
        "TypeScript apps require bun, Node.js >= 22.18 (native type stripping) or a custom interpreter (e.g. --interpreter ts-node)"
    )]
    TypeScript,
    /// Bun and Deno have clusters of their own, which no other process can be the primary of.
    #[error(
        "{program} cannot be a worker of Node's cluster (app {app}). Use exec_mode: 'fork', where instances: n works too (with \
         `reusePort: true` in the server, or a port for each by increment_var), or interpreter: 'node'"
    )]
    ClusterNeedsNode { app: String, program: String },
    #[error("Cron pattern error: {0}")]
    Cron(String),
    #[error("To use UID and GID please run PM2 as root")]
    NotRoot,
    #[error("User {0} cannot be found")]
    UnknownUser(String),
    #[error("Group {0} cannot be found")]
    UnknownGroup(String),
    /// Node words such errors `ENOENT: no such file or directory, open '<path>'`; so do we.
    #[error("{code}: {text}, open '{}'", path.display())]
    File { code: &'static str, errno: i32, text: String, path: PathBuf },
    #[error("cannot read {}: {text}", path.display())]
    Parse { path: PathBuf, text: String },
    #[error("{} is {size} bytes long; a config file may have {limit}", path.display())]
    TooLarge { path: PathBuf, size: u64, limit: u64 },
    /// A `.config.js` or JSON text that only JavaScript can read: the JavaScript layer evaluates it.
    #[error("{} has to be evaluated as JavaScript", .0.display())]
    NeedsJavaScript(PathBuf),
    /// The config has no apps where they are looked for.
    #[error("{0}")]
    Shape(String),
    #[error("Could not create folder: {} ({text})", path.display())]
    Folder { path: PathBuf, text: String },
}

impl ConfigError {
    /// A stable name, for `err.code` and exit codes.
    pub fn code(&self) -> &'static str {
        match self {
            ConfigError::Invalid(_)
            | ConfigError::Cron(_)
            | ConfigError::Shape(_)
            | ConfigError::ClusterNeedsNode { .. } => "INVALID_CONFIG",
            ConfigError::NoScript => "NO_SCRIPT",
            ConfigError::ScriptNotFound(_) => "SCRIPT_NOT_FOUND",
            ConfigError::InterpreterNotFound(_) | ConfigError::NvmFailed { .. } | ConfigError::TypeScript => {
                "INTERPRETER_NOT_FOUND"
            }
            ConfigError::NotRoot => "NOT_ROOT",
            ConfigError::UnknownUser(_) | ConfigError::UnknownGroup(_) => "UNKNOWN_USER",
            ConfigError::File { code, .. } => code,
            ConfigError::Parse { .. } => "INVALID_FILE",
            ConfigError::TooLarge { .. } => "FILE_TOO_LARGE",
            ConfigError::NeedsJavaScript(_) => "NEEDS_JAVASCRIPT",
            ConfigError::Folder { .. } => "FOLDER",
        }
    }
}
