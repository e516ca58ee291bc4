//! Starts a keeper from somebody else's process (the user's script, the CLI).
//!
//! Owns: which descriptor of the new process is what. Nothing is forked by hand and no descriptor is made inheritable in
//! the caller, whose other threads may start processes of their own at any time: the pipes travel as stdin and stdout,
//! and the keeper moves them away, leaves the session and forks itself off (`keeper::run`).
//! Must never: wait for the new process longer than it takes to fork itself off.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What to start.
#[derive(Debug, Clone, Copy)]
pub struct Launch<'a> {
    /// Path of `pm2d`.
    pub program: &'a Path,
    /// `keeper --home <root> [--agent <path>]`. [`launch`] adds the options that say which descriptor is which.
    pub args: &'a [OsString],
    /// The whole environment; `None`: the caller's own.
    pub env: Option<&'a [(OsString, OsString)]>,
    /// Where it writes what it has to say, `pm2.log`: created with mode 0600 (its directory too, 0700) and appended to.
    pub log_file: &'a Path,
    /// No daemon mode: the keeper stays our child, and ends with its apps when the lifeline is closed, which
    /// happens at the latest when the caller's process ends.
    pub tied: bool,
}

/// A keeper under way.
#[derive(Debug)]
pub struct Launched {
    /// Read one line of JSON from it, then the end: `{"online":true,"success":true,"pid":..,"pm2_version":".."}` or
    /// `{"success":false,"code":"busy"|"failed","error":".."}`. The end without a line: it died; see the log file.
    /// A blocking descriptor.
    pub ready: OwnedFd,
    /// With `tied`: close it and the keeper ends everything.
    pub lifeline: Option<OwnedFd>,
    /// With `tied`: our child, for whoever wants to collect its exit code.
    pub child: Option<Child>,
}

/// Starts the keeper, in a session of its own. Returns at once; when it serves, it says so on `ready`.
pub fn launch(launch: &Launch<'_>) -> io::Result<Launched> {
    if let Some(directory) = launch.log_file.parent() {
        super::file::create_directory(directory)?;
    }
    let log = super::file::append(launch.log_file, 0o600)?;
    let (ready, told) = super::pipe::pipe()?;
    let mut command = Command::new(launch.program);
    command.args(launch.args).args(["--ready-fd", "0"]).stdin(Stdio::from(told)).stderr(Stdio::from(log.try_clone()?));
    if let Some(env) = launch.env {
        command.env_clear().envs(env.iter().map(|(name, value)| (name as &OsStr, value as &OsStr)));
    }
    if launch.tied {
        let (ours, lifeline) = lifeline()?;
        let child = command.args(["--lifeline-fd", "1"]).stdout(Stdio::from(lifeline)).spawn()?;
        return Ok(Launched { ready, lifeline: Some(ours), child: Some(child) });
    }
    // The first process only forks and ends: wait for it, or it stays a zombie of the caller.
    command.arg("--detach").stdout(Stdio::from(log)).spawn()?.wait()?;
    Ok(Launched { ready, lifeline: None, child: None })
}

/// Starts the keeper that follows one that was killed: in the daemon, which keeps one end of a [`super::packet::pair`]
/// and gives the other, with a copy of the lock of the home. `args` as in [`Launch`]. Waits a few milliseconds, until the new process has forked itself off.
/// The next thing to come over the socket is `Welcome`, then `Ready`; then the daemon sends everything it was given.
pub fn launch_adopting(program: &Path, args: &[OsString], socket: OwnedFd, lock: Option<OwnedFd>) -> io::Result<()> {
    let mut command = Command::new(program);
    command.args(args).args(["--adopt-fd", "0", "--detach"]).stdin(Stdio::from(socket));
    if let Some(lock) = lock {
        command.args(["--lock-fd", "1"]).stdout(Stdio::from(lock));
    }
    super::priority::start_as_before(&mut command);
    let status = command.spawn()?.wait()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("a new keeper did not start: {status}"))) }
}

/// What a short command of `program` prints. An error when it fails, or does not end within `limit`: it is killed then.
/// Blocks.
pub fn ask(program: &Path, argument: &str, limit: Duration) -> io::Result<Vec<u8>> {
    let (read, write) = super::pipe::pipe()?;
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::null()).stdout(Stdio::from(write)).stderr(Stdio::null());
    let mut child = command.spawn()?;
    // Its end of the pipe is in the command, too.
    drop(command);
    let process = i32::try_from(child.id()).map_err(io::Error::other).and_then(super::pidfd::open);
    let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    if !process.is_ok_and(|process| super::pidfd::wait_all(&[process], limit)) {
        child.kill()?;
        child.wait()?;
        return Err(io::Error::new(io::ErrorKind::TimedOut, format!("{} does not end", program.display())));
    }
    let status = child.wait()?;
    if !status.success() {
        return Err(io::Error::other(format!("`{} {argument}` failed: {status}", program.display())));
    }
    let mut told = Vec::new();
    // What its children print meanwhile is not waited for: what fits in the pipe is there by now.
    super::pipe::set_nonblocking(&read)?;
    match io::Read::read_to_end(&mut std::fs::File::from(read), &mut told) {
        Ok(_) => Ok(told),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(told),
        Err(error) => Err(error),
    }
}

/// Our end and the keeper's: it sees a hang-up when the last copy of ours is closed.
fn lifeline() -> io::Result<(OwnedFd, OwnedFd)> {
    let (theirs, ours) = super::pipe::pipe()?;
    Ok((ours, theirs))
}

/// Below are the numbers that children of a keeper give to descriptors of their own.
const LOWEST: i32 = 4;

/// Takes a descriptor that this process was started with out of the place where its parent put it: the number in a
/// command-line option. The place itself is closed, or, for stdin and stdout, filled with `/dev/null` and with a copy
/// of stderr. Call it before anything else opens descriptors.
#[expect(unsafe_code, reason = "an inherited descriptor is known by its number only")]
pub fn inherited(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: only checked and copied here; an unused number is refused by the kernel.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, LOWEST) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor.
    let copy = unsafe { OwnedFd::from_raw_fd(copy) };
    match number {
        0 => nix::unistd::dup2_stdin(super::pipe::null()?)?,
        1 => nix::unistd::dup2_stdout(io::stderr())?,
        // SAFETY: the number is an inherited descriptor that nothing in this process owns yet.
        _ => unsafe {
            libc::close(number);
        },
    }
    Ok(copy)
}

/// Closes every inherited descriptor but stdin, stdout, stderr and those to keep: a process that lives for months must
/// not hold what its starter happened to have open. Call it before anything else opens descriptors.
#[expect(unsafe_code, reason = "closes descriptors that no value owns")]
pub fn close_others(keep: &[BorrowedFd<'_>]) {
    let mut keep: Vec<u32> = keep.iter().filter_map(|fd| u32::try_from(fd.as_raw_fd()).ok()).collect();
    keep.sort_unstable();
    let mut first = 3_u32;
    for last in keep.into_iter().chain([u32::MAX]) {
        if first < last {
            let end = if last == u32::MAX { last } else { last - 1 };
            // SAFETY: these descriptors were inherited; the caller promises that nothing owns them.
            unsafe { libc::syscall(libc::SYS_close_range, first, end, 0) };
        }
        first = last.saturating_add(1);
    }
}

/// Goes on as a process of its own: the one that was started ends here, at once, with code 0. Only for a process with
/// one thread.
#[expect(unsafe_code, reason = "fork")]
pub fn fork_off() -> io::Result<()> {
    // SAFETY: the process has one thread (the caller's promise), so nothing is left half done in the child.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Child => Ok(()),
        // SAFETY: ends the process without running anything that the child also has.
        nix::unistd::ForkResult::Parent { .. } => unsafe { libc::_exit(0) },
    }
}

/// Leaves the session and the terminal of whoever started us. Not possible for the leader of a process group, and then
/// not needed.
pub fn leave_session() {
    let _ = nix::unistd::setsid();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_tells_and_how_it_fails() {
        let limit = Duration::from_secs(30);
        assert_eq!(ask(Path::new("echo"), "hello", limit).unwrap(), b"hello\n");
        assert!(ask(Path::new("false"), "x", limit).unwrap_err().to_string().contains("`false x` failed"));
        assert_eq!(ask(Path::new("/nowhere/x"), "x", limit).unwrap_err().kind(), io::ErrorKind::NotFound);
        let slow = ask(Path::new("sleep"), "1000", Duration::from_millis(50)).unwrap_err();
        assert_eq!(slow.kind(), io::ErrorKind::TimedOut);
    }
}
