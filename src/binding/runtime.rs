//! The addon's own runtime: one thread, started at the first call.
//!
//! Owns: the thread `pm2-rs`. napi's own runtime (its feature `async`) would start with `require`, before anything is
//! asked for.

use std::io;
use std::sync::OnceLock;

use napi::Env;
use napi::bindgen_prelude::{Object, ToNapiValue};
use tokio::runtime::{Builder, Handle};

/// The runtime of this process; all its environments (worker threads) share it.
pub(super) fn handle() -> napi::Result<&'static Handle> {
    static HANDLE: OnceLock<io::Result<Handle>> = OnceLock::new();
    match HANDLE.get_or_init(start) {
        Ok(handle) => Ok(handle),
        Err(error) => Err(napi::Error::from_reason(format!("cannot start a thread for pm2-rs: {error}"))),
    }
}

/// The thread lasts as long as the process, and keeps no process alive.
fn start() -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("pm2-rs".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}

/// A promise of what `work` makes. Only a panic, which is our bug, rejects it.
pub(super) fn promise<W, T>(env: &Env, work: W) -> napi::Result<Object<'_>>
where
    W: Future<Output = T> + Send + 'static,
    T: ToNapiValue + Send + 'static,
{
    let runtime = handle()?;
    let (deferred, promise) = env.create_deferred()?;
    runtime.spawn(async move {
        match tokio::spawn(work).await {
            Ok(made) => deferred.resolve(move |_| Ok(made)),
            Err(panic) => {
                deferred.reject(napi::Error::from_reason(format!("pm2-rs failed ({panic}); please report it")));
            }
        }
    });
    Ok(promise)
}
