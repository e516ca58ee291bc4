//! What a process has to do once to be a keeper.

use std::ffi::CString;
use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::Options;
use super::child::{MAX_CHILD_FDS, Stack};
use super::renewal::Renewed;
use super::spawn::Spawner;
use crate::sys::{detach, file, limits, lock, pipe, title};

/// Why a keeper cannot be one.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetupError {
    #[error("another daemon runs for {0}")]
    Busy(String),
    #[error("cannot {what}: {error}")]
    Failed { what: String, error: io::Error },
}

/// What the setup leaves behind.
#[derive(Debug)]
pub(super) struct Ground {
    /// `None`: it came with the daemon that we adopt, or in the table that crossed `execve`.
    pub(super) lock: Option<OwnedFd>,
    pub(super) signals: SignalFd,
    pub(super) spawner: Spawner,
}

/// Takes the lock of the home, and makes this process the parent of what its descendants leave behind.
pub(super) fn prepare(options: &Options, renewed: Option<&Renewed>) -> Result<Ground, SetupError> {
    detach::leave_session();
    title::set_name("pm2d-keeper");
    let mut keep: Vec<_> = [&options.ready, &options.lifeline, &options.adopt, &options.lock]
        .into_iter()
        .flatten()
        .map(AsFd::as_fd)
        .collect();
    if let Some(Renewed { table, brain, .. }) = renewed {
        keep.extend(table.all_fds().map(AsFd::as_fd));
        keep.extend(brain.link.as_ref().into_iter().chain([&brain.pidfd]).map(AsFd::as_fd));
    }
    detach::close_others(&keep);
    reserve_places().map_err(|error| SetupError::Failed { what: "open /dev/null".to_owned(), error })?;

    let home = &options.home;
    let failed = |what: String| move |error: io::Error| SetupError::Failed { what, error };
    file::create_directory(&home.root).map_err(failed(format!("create {}", home.root.display())))?;
    let lock = if options.adopt.is_none() && renewed.is_none() {
        let lock = lock::try_lock(&home.lock_file).map_err(failed(format!("lock {}", home.lock_file.display())))?;
        Some(lock.ok_or_else(|| SetupError::Busy(home.root.display().to_string()))?)
    } else {
        None
    };
    let signals = collect_signals().map_err(failed("collect signals".to_owned()))?;
    nix::sys::prctl::set_child_subreaper(true).map_err(|errno| failed("become subreaper".to_owned())(errno.into()))?;
    write_pid(options).map_err(failed(format!("write {}", home.pid_file.display())))?;
    let stack = Stack::new().map_err(failed("reserve memory".to_owned()))?;
    let open_files = limits::raise_open_files().ok();
    let spawner = match renewed {
        // What children get back is what was found by the first keeper.
        Some(Renewed { open_files, oom_score, large_pipes, .. }) => {
            Spawner { stack, open_files: *open_files, oom_score: oom_score.clone(), large_pipes: *large_pipes }
        }
        None => Spawner { stack, open_files, oom_score: be_spared(), large_pipes: pipe::large_pipes_allowed() },
    };
    Ok(Ground { lock, signals, spawner })
}

/// A child puts its own descriptors at the first numbers before it executes; all others it keeps until then. So link and
/// lock, which are opened after this, stay open as long as any child of ours is on the way to its program: whoever sees
/// the end of the link, or gets the lock, after we were killed knows that there is none any more (`sys::process`).
fn reserve_places() -> io::Result<()> {
    loop {
        let null = pipe::null()?;
        if usize::try_from(null.as_raw_fd()).is_ok_and(|number| number >= MAX_CHILD_FDS) {
            return Ok(());
        }
        std::mem::forget(null);
    }
}

/// The pid of the keeper, without a line end (contract/options.md section 12). A home on a full disk can still be
/// served, but whoever follows the file would be misled: so a failure is one.
fn write_pid(options: &Options) -> io::Result<()> {
    let path = &options.home.pid_file;
    if let Some(directory) = path.parent() {
        file::create_directory(directory)?;
    }
    file::replace(path, std::process::id().to_string().as_bytes(), file::Durability::Cache)
}

/// Removes the pid file, if it still names us.
pub(super) fn remove_pid(options: &Options) {
    let path = &options.home.pid_file;
    let ours = std::process::id().to_string();
    if fs::read(path).is_ok_and(|text| text.trim_ascii() == ours.as_bytes()) {
        let _ = fs::remove_file(path);
    }
}

/// Signals that are passed on to the daemon, and those that we need (`SIGCHLD`) or must survive (`SIGUSR1`).
fn collect_signals() -> io::Result<SignalFd> {
    use Signal::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
    reset_ignored();
    let set: SigSet = [SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2].into_iter().collect();
    set.thread_block()?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

/// A signal that our starter ignored (`nohup` ignores SIGHUP) would stay ignored in every child and never reach a
/// signalfd. Kept are SIGPIPE, which a child resets by itself, and the handlers of Rust's runtime, which exec resets.
#[expect(unsafe_code, reason = "dispositions")]
fn reset_ignored() {
    let kept = [libc::SIGPIPE, libc::SIGSEGV, libc::SIGBUS];
    for signal in (1..=libc::SIGRTMAX()).filter(|signal| !kept.contains(signal)) {
        // SAFETY: the default action runs no code of ours; a number that may not be set is refused.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // The C library refuses to touch those of its own, which its `posix_spawn` has left ignored in us.
    let default = [0_u64; 4];
    for signal in 32..libc::SIGRTMIN() {
        // SAFETY: a `struct sigaction` of the kernel is no longer than this, and all zeros are the default action.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), ptr::null::<u64>(), size_of::<u64>())
        };
    }
}

/// Asks the kernel to kill others first when memory is short. Returns what children are to get back.
fn be_spared() -> Option<CString> {
    let before = fs::read_to_string("/proc/self/oom_score_adj").ok()?;
    let mut file = fs::File::options().write(true).open("/proc/self/oom_score_adj").ok()?;
    file.write_all(b"-900").ok()?;
    CString::new(before.trim()).ok()
}
