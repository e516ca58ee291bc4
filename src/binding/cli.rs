//! `runCli`: the whole command line as one function, for the shim in `bin/`.

use std::ffi::CString;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use napi::Env;
use napi::bindgen_prelude::{Object, Promise};
use napi::threadsafe_function::ThreadsafeFunction;
use napi_derive::napi;

use super::runtime;
use crate::cli::{self, Invocation, LoadConfig, Loading};
use crate::sys::leave;

type Loader = ThreadsafeFunction<String, Promise<String>, String, napi::Status, false, true>;

/// Asks JavaScript to evaluate a config file.
struct Evaluate {
    loader: Loader,
    /// Something of the user's ran in this process.
    asked: AtomicBool,
}

impl LoadConfig for Evaluate {
    fn load<'a>(&'a self, path: &'a Path) -> Loading<'a> {
        self.asked.store(true, Ordering::Relaxed);
        Box::pin(async move {
            let path = path.to_string_lossy().into_owned();
            let promise = self.loader.call_async(path).await.map_err(|error| error.reason.clone())?;
            let text = promise.await.map_err(|error| error.reason.clone())?;
            serde_json::from_str(&text).map_err(|error| format!("it holds what is no plain data: {error}"))
        })
    }
}

/// Runs one command of the command line and resolves to its exit code.
///
/// `argvJson`: the words after the program's name. `contextJson`: `{cwd, env, pm2d, agent, node, nodeVersion,
/// program}`. `loadConfig` evaluates a config file written in JavaScript and resolves to its value as JSON text.
/// `leave`: the process is there for this command alone and ends with it at once, unless a config file was evaluated; Node's
/// own way out takes a millisecond. Whoever waits for the promise waits for nothing then.
#[napi(ts_return_type = "Promise<number>")]
pub fn run_cli(
    env: &Env,
    argv_json: String,
    context_json: String,
    #[napi(ts_arg_type = "(file: string) => Promise<string>")] load_config: Loader,
    leave: Option<bool>,
) -> napi::Result<Object<'_>> {
    let [argv, context] = [argv_json, context_json];
    let unreadable = |error: serde_json::Error| napi::Error::from_reason(format!("runCli was called wrongly: {error}"));
    let mut invocation: Invocation = serde_json::from_str(&context).map_err(unreadable)?;
    invocation.args = serde_json::from_str(&argv).map_err(unreadable)?;
    invocation.tty = super::native::tty();
    runtime::promise(env, async move {
        let (out, err) = (Box::new(std::io::stdout()), Box::new(std::io::stderr()));
        let config = Evaluate { loader: load_config, asked: AtomicBool::new(false) };
        let code = cli::run(invocation, &config, out, err).await.code();
        if leave == Some(true) && !config.asked.load(Ordering::Relaxed) {
            leave::at_once(code);
        }
        u32::from(code)
    })
}

/// Replaces this process by a program: `args` with the name of the program first, `env` as `NAME=value`. Comes back only
/// with an error.
#[napi]
pub fn become_program(program: String, args: Vec<String>, env: Vec<String>) -> napi::Result<()> {
    let text = |text: String| {
        CString::new(text).map_err(|_| napi::Error::from_reason("a word with a NUL cannot be handed on".to_owned()))
    };
    let shown = program.clone();
    let program = text(program)?;
    let args = args.into_iter().map(text).collect::<napi::Result<Vec<CString>>>()?;
    let env = env.into_iter().map(text).collect::<napi::Result<Vec<CString>>>()?;
    // What this thread keeps back would be kept back for ever.
    let _ = nix::sys::signal::SigSet::empty().thread_set_mask();
    // Node marks its three streams to be closed in programs that it becomes.
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    for stream in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
        let _ = nix::fcntl::fcntl(stream, nix::fcntl::F_SETFD(nix::fcntl::FdFlag::empty()));
    }
    let Err(error) = nix::unistd::execve(&program, &args, &env);
    Err(napi::Error::from_reason(format!("cannot run {shown}: {}", error.desc())))
}
