//! The command line: arguments, a file per command, rendering, exit codes.
//!
//! Owns: the grammar, what each command prints where, and its exit code (contract/cli.md).
//! Must never: talk to the daemon but through [`crate::client`], end the process, or print but through [`Ui`].

mod args;
mod command;
mod exit;
mod flags;
mod grammar;
#[cfg(test)]
mod man;
mod native;
mod process;
#[cfg(test)]
mod reference;
mod render;
mod runtime;
mod ui;

use std::collections::BTreeMap;
use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use serde::Deserialize;
use serde_json::{Map, Value};

pub use exit::Exit;
pub use native::NodeConfig;
pub use native::invocation as native_invocation;
pub use runtime::{Mode, run as run_runtime};
pub use ui::Ui;

use crate::client::{Context, Options, Session};

/// Who calls, and with which words.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invocation {
    /// The words after the name of the program.
    #[serde(default)]
    pub args: Vec<String>,
    pub cwd: PathBuf,
    pub env: BTreeMap<String, String>,
    /// The executable `pm2d`.
    pub pm2d: PathBuf,
    /// The JavaScript that runs inside apps.
    pub agent: PathBuf,
    /// `process.execPath` and `process.versions.node`: what runs an app that names no interpreter.
    #[serde(default)]
    pub node: Option<PathBuf>,
    #[serde(default)]
    pub node_version: Option<String>,
    /// The program that the user called; absent: the native executable.
    #[serde(default)]
    pub program: Option<PathBuf>,
    #[serde(default)]
    pub tty: Tty,
}

/// What the caller's streams are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tty {
    pub stdout: bool,
    pub stderr: bool,
    /// Columns of the terminal; `None` when piped.
    pub columns: Option<usize>,
}

/// The caller as the client wants to know it. Apps see `PM2_USAGE=CLI`, as with pm2 (contract/cli.md section 17).
fn context(invocation: &Invocation) -> Context {
    let mut env: Map<String, Value> =
        invocation.env.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect();
    env.insert("PM2_USAGE".to_owned(), Value::String("CLI".to_owned()));
    Context {
        cwd: invocation.cwd.clone(),
        instance_cwd: None,
        env: Some(env),
        node: invocation.node.clone(),
        node_version: invocation.node_version.clone(),
        programmatic: false,
    }
}

/// What evaluating a config file written in JavaScript gives: its value, or why it has none.
pub type Loading<'a> = Pin<Box<dyn Future<Output = Result<Value, String>> + Send + 'a>>;

/// Evaluates config files written in JavaScript, which only the caller's Node can.
pub trait LoadConfig: Sync {
    fn load<'a>(&'a self, path: &'a Path) -> Loading<'a>;
}

/// Runs one command and answers with its exit code.
pub async fn run(
    invocation: Invocation,
    config: &dyn LoadConfig,
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
) -> Exit {
    if runtime::is_foreground(&invocation.args) {
        return Exit::Code(Box::pin(runtime::run(Mode::Foreground, invocation, config, out, err)).await);
    }
    let env = |name: &str| invocation.env.get(name).filter(|text| !text.is_empty()).cloned();
    let mut ui = Ui::new(out, err, invocation.tty, &env);
    let request = match grammar::parse(&invocation) {
        Ok(request) => request,
        Err(stop) => return stop.tell(&mut ui),
    };
    ui.apply(&request);
    let session = Session::new(Options {
        home: crate::model::Home::root_from(env),
        daemon_mode: true,
        pm2d: invocation.pm2d.clone(),
        agent: invocation.agent.clone(),
    });
    session.note_caller(context(&invocation));
    let mut call = command::Call {
        session: &session,
        context: context(&invocation),
        local: &invocation.env,
        config,
        request: &request,
        program: invocation.program.as_deref(),
    };
    let exit = command::run(&mut call, &mut ui).await;
    session.disconnect().await;
    exit
}
