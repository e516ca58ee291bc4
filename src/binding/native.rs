//! The command line without Node: what `pm2d` calls in the addon, so that its code is installed once.
//!
//! Owns: the exported function `pm2_rs_cli` and its runtime. Must never: touch napi, which has no Node here.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};

use crate::cli::{self, Mode, NodeConfig, Tty};
use crate::sys::{library, terminal};

library::export_entry!(pm2_rs_cli, main);

/// `words`: `cli`, `runtime` or `dev`, then what the user said. The answer is the exit code.
fn main(words: Vec<OsString>) -> i32 {
    let code = run(words).unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "pm2-rs: {error}");
        1
    });
    // This file's own buffer: the end of the process flushes that of the executable only.
    let _ = io::stdout().flush();
    code
}

/// What this process's streams are.
pub(super) fn tty() -> Tty {
    Tty {
        stdout: io::stdout().is_terminal(),
        stderr: io::stderr().is_terminal(),
        columns: Some(terminal::columns(io::stdout()).unwrap_or(80)),
    }
}

fn run(words: Vec<OsString>) -> Result<i32, String> {
    let mut words = words.into_iter().map(|word| word.to_string_lossy().into_owned());
    let role = words.next().unwrap_or_default();
    let invocation = cli::native_invocation(words.collect(), tty())
        .map_err(|error| format!("cannot find out where this is: {error}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let config = NodeConfig::of(&invocation);
    let (out, err) = (Box::new(io::stdout()), Box::new(io::stderr()));
    let code = runtime.block_on(async {
        match role.as_str() {
            "runtime" => cli::run_runtime(Mode::Runtime, invocation, &config, out, err).await,
            "dev" => cli::run_runtime(Mode::Dev, invocation, &config, out, err).await,
            _ => cli::run(invocation, &config, out, err).await.code(),
        }
    });
    // A thread may wait for a line from the terminal: it is not waited for.
    runtime.shutdown_background();
    Ok(code.into())
}
