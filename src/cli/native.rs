//! The command line without Node around it: what the executable finds out by itself.
//!
//! Owns: where the package's JavaScript and the caller's Node are, and config files that are programs, which a Node of
//! its own evaluates.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::{Invocation, LoadConfig, Loading, Tty};

/// The folder of the JavaScript for apps, if it is not where the package has it.
const AGENT: &str = "PM2_RS_AGENT";
/// The caller's `process.execPath` and `process.versions.node`.
const NODE: &str = "PM2_RS_NODE";
const NODE_VERSION: &str = "PM2_RS_NODE_VERSION";
/// What the user called.
const PROGRAM: &str = "PM2_RS_PROGRAM";
/// The file that this code is in, if it is not beside `pm2d`.
const ADDON: &str = "PM2_RS_ADDON";
/// For Node to start, and to give a file up by itself (4 s, `PM2_RS_CONFIG_TIMEOUT`).
const LIMIT: Duration = Duration::from_mins(1);

/// This process as a caller. What only we understand is not handed on to apps.
pub fn invocation(args: Vec<String>, tty: Tty) -> io::Result<Invocation> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let mut env: BTreeMap<String, String> =
        std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
    let mut take = |name: &str| env.remove(name).filter(|value| !value.is_empty());
    let (agent, node, node_version, program) = (take(AGENT), take(NODE), take(NODE_VERSION), take(PROGRAM));
    let _ = take(ADDON);
    let pm2d = std::env::current_exe()?;
    Ok(Invocation {
        args,
        cwd: std::env::current_dir()?,
        agent: agent.map_or_else(|| agent_beside(&pm2d), PathBuf::from),
        node: node.map(PathBuf::from).or_else(|| in_path("node", env.get("PATH")?)),
        env,
        pm2d,
        node_version,
        program: program.map(PathBuf::from),
        tty,
    })
}

/// `lib/agent` of the package that the executable belongs to: its own root, or the package beside the platform's.
fn agent_beside(pm2d: &Path) -> PathBuf {
    let beside =
        pm2d.ancestors().skip(1).take(4).flat_map(|folder| [folder.join("lib/agent"), folder.join("pm2-rs/lib/agent")]);
    beside.into_iter().find(|agent| agent.is_dir()).unwrap_or_default()
}

fn in_path(program: &str, path: &str) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Evaluates config files with a Node process for each.
#[derive(Debug)]
pub struct NodeConfig {
    node: PathBuf,
    loader: PathBuf,
}

impl NodeConfig {
    pub fn of(invocation: &Invocation) -> NodeConfig {
        NodeConfig {
            node: invocation.node.clone().unwrap_or_else(|| "node".into()),
            loader: invocation.agent.with_file_name("config_file.js"),
        }
    }

    fn evaluate(&self, path: &Path) -> Result<serde_json::Value, String> {
        // What the file itself prints goes to stderr: stdout carries the answer.
        const SCRIPT: &str = "console.log = console.error; require(process.argv[1]).evaluateToJson(process.argv[2]).then(\
            (text) => process.stdout.write(text), (error) => { process.stderr.write(String(error.stack || error)); process.exitCode = 1 })";
        let mut node = Command::new(&self.node);
        node.args(["-e", SCRIPT, "--"]).arg(&self.loader).arg(path).stdin(Stdio::null());
        let (succeeded, stdout, stderr) =
            within(&mut node, LIMIT).map_err(|error| format!("cannot run {}: {error}", self.node.display()))?;
        if !succeeded {
            return Err(String::from_utf8_lossy(&stderr).into_owned());
        }
        serde_json::from_slice(&stdout).map_err(|error| format!("it holds what is no plain data: {error}"))
    }
}

/// Whether it succeeded, and what it wrote. One that goes on for longer than `limit` is killed: Node itself gives up a file
/// sooner, unless it cannot even do that.
fn within(command: &mut Command, limit: Duration) -> io::Result<(bool, Vec<u8>, Vec<u8>)> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(io::Error::other("it has no output"));
    };
    let (done, whole) = mpsc::channel();
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.read_to_end(&mut text);
        text
    });
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let result = stdout.read_to_end(&mut text).map(|_| text);
        let _ = done.send(result);
    });
    let written = whole.recv_timeout(limit);
    if written.is_err() {
        child.kill()?;
    }
    let status = child.wait()?;
    let Ok(written) = written else {
        return Err(io::Error::new(io::ErrorKind::TimedOut, format!("it did not end within {} s", limit.as_secs())));
    };
    Ok((status.success(), written?, errors.join().unwrap_or_default()))
}

impl LoadConfig for NodeConfig {
    fn load<'a>(&'a self, path: &'a Path) -> Loading<'a> {
        // Nothing else is to be done meanwhile: the apps are not known yet.
        Box::pin(async move { self.evaluate(path) })
    }
}
