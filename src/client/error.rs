//! Why a call was refused.
//!
//! The texts of daemon errors and of the "not found" family are matched by programs (contract/api.md section 6.2), so
//! they are pm2's own; the codes are ours and never change.

use std::io;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Value, json};

use crate::config::ConfigError;

/// Why a call was refused.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No process has this name or namespace.
    #[error("process or namespace not found")]
    NotFound,
    /// `all` or a pattern names no process.
    #[error("process name not found")]
    NoMatch,
    /// An error that the daemon answered.
    #[error("{message}")]
    Daemon { message: String, stack: Option<String> },
    /// A text of the contract that the client itself says, with its code.
    #[error("{message}")]
    Refused { code: &'static str, message: String },
    /// An option or a config file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The daemon could not be launched.
    #[error("{0}")]
    Launch(String),
    /// The socket exists and belongs to somebody else.
    #[error("permission denied on {}: it belongs to another user; use your own PM2_HOME or run as that user", .0.display())]
    Permission(PathBuf),
    /// The connection broke while this call was in flight.
    #[error(
        "the daemon went away while it was working on `{0}`; another takes its place, and whether this was done is not known"
    )]
    WentAway(String),
    /// The daemon is there, or a keeper of it, and says nothing at all.
    #[error("the daemon does not answer: {0}")]
    NoAnswer(String),
    /// The daemon said what is no answer.
    #[error("the daemon sent an answer to `{method}` that cannot be read: {reason}")]
    BadAnswer { method: String, reason: String },
    /// A file or socket of the home could not be used.
    #[error("cannot {what} {}: {source}", path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    /// Some apps failed, the others did start: `partial` is what did (contract/api.md section 3).
    #[error("{}", errors.first().map(ToString::to_string).unwrap_or_default())]
    Several { errors: Vec<CallError>, partial: Value },
}

/// A [`CallError`] as it crosses to JavaScript.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failure {
    pub code: String,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// What Node adds to an error about a file (`errno`, `syscall`, `path`).
    #[serde(flatten)]
    pub file: Option<FileFacts>,
    /// One entry for each app that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<Failure>>,
    /// What was done all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial: Option<Value>,
}

/// What Node adds to an error about a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FileFacts {
    /// Negative, as in Node.
    pub errno: i32,
    pub syscall: &'static str,
    pub path: PathBuf,
}

impl CallError {
    /// The stable name of the reason; it becomes `err.code` in JavaScript and picks the CLI's exit code.
    pub fn code(&self) -> &str {
        match self {
            CallError::NotFound | CallError::NoMatch => "PROCESS_NOT_FOUND",
            CallError::Daemon { message, .. } => daemon_code(message),
            CallError::Refused { code, .. } => code,
            CallError::Config(error) => error.code(),
            CallError::Launch(_) => "DAEMON_NOT_LAUNCHED",
            CallError::Permission(_) => "PERMISSION_DENIED",
            CallError::WentAway(_) => "DAEMON_GONE",
            CallError::NoAnswer(_) => "DAEMON_NOT_ANSWERING",
            CallError::BadAnswer { .. } => "PROTOCOL_ERROR",
            CallError::Io { .. } => "IO_ERROR",
            CallError::Several { errors, .. } => errors.first().map_or("SEVERAL", CallError::code),
        }
    }

    /// The form that crosses to JavaScript.
    pub fn to_failure(&self) -> Failure {
        let stack = match self {
            CallError::Daemon { stack, .. } => stack.clone(),
            _ => None,
        };
        let (errors, partial) = match self {
            CallError::Several { errors, partial } => {
                (Some(errors.iter().map(CallError::to_failure).collect()), Some(partial.clone()))
            }
            _ => (None, None),
        };
        let file = match self {
            CallError::Config(ConfigError::File { errno, path, .. }) => {
                Some(FileFacts { errno: -errno.abs(), syscall: "open", path: path.clone() })
            }
            _ => None,
        };
        Failure { code: self.code().to_owned(), message: self.to_string(), stack, file, errors, partial }
    }

    /// A refusal of the client with a text of the contract.
    pub(crate) fn refused(code: &'static str, message: impl Into<String>) -> CallError {
        CallError::Refused { code, message: message.into() }
    }

    /// Names the file in an IO error.
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> CallError {
        let path = path.into();
        move |source| CallError::Io { what, path, source }
    }
}

impl From<&CallError> for Value {
    fn from(error: &CallError) -> Value {
        serde_json::to_value(error.to_failure()).unwrap_or_else(|_| json!({ "code": "INTERNAL", "message": "" }))
    }
}

/// The daemon gives texts only (contract/wire.md section 5): the codes are ours.
fn daemon_code(message: &str) -> &'static str {
    const UNKNOWN: [&str; 6] =
        ["id unknown", "ID unknown", "db process id unknown", "> unknown.", "Unknown process name", "Unknown pm_id"];
    if UNKNOWN.iter().any(|text| message.contains(text)) {
        "PROCESS_NOT_FOUND"
    } else if message.starts_with("Reload already in progress") {
        "RELOAD_IN_PROGRESS"
    } else if message.contains("PM2 is being killed") {
        "DAEMON_STOPPING"
    } else if message.starts_with("method \"") && message.ends_with("does not exist") {
        "UNKNOWN_METHOD"
    } else {
        "DAEMON_ERROR"
    }
}
