//! The keeper becomes another executable in place: same pid, same children, same descriptors.
//!
//! Owns: the state that crosses `execve`, as JSON in a memory file, and which descriptors stay open for it.
//! Must never: be done before a daemon of the new executable serves. Should the new keeper die of it all the same, the
//! daemon starts another, as after any death of a keeper.

#![expect(unsafe_code, reason = "descriptors cross execve as numbers")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use serde::{Deserialize, Serialize};

use super::brain::Brain;
use super::core::Keeper;
use super::spawn::Child;
use super::table::Table;
use crate::model::Exit;
use crate::sys::limits::OpenFiles;
use crate::sys::packet;
use crate::wire::keeper::Spawned;

/// Goes up when the meaning of a field changes; fields are only added, with a default.
const VERSION: u32 = 1;

/// More is no state of ours, in bytes: about 200 for each run.
const MAX_STATE: usize = 64 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct State {
    version: u32,
    generation: u64,
    brain: FrozenBrain,
    runs: Vec<FrozenRun>,
    held: Vec<(String, RawFd)>,
    large_pipes: usize,
    #[serde(default)]
    oom_score: Option<String>,
    #[serde(default)]
    open_files: Option<(u64, u64)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FrozenBrain {
    pid: i32,
    pidfd: RawFd,
    link: RawFd,
    adopted: bool,
    started: u64,
    #[serde(default)]
    answers: bool,
}

/// A run as it crosses: the numbers of its descriptors.
#[derive(Debug, Serialize, Deserialize)]
struct FrozenRun {
    spawned: Spawned,
    fds: Vec<RawFd>,
    large_pipes: usize,
    #[serde(default)]
    exit: Option<Exit>,
    /// Not our child.
    #[serde(default)]
    adopted: bool,
    #[serde(default)]
    dismissed: bool,
}

/// A run between its two forms.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) spawned: Spawned,
    pub(super) child: Child,
    pub(super) exit: Option<Exit>,
    pub(super) adopted: bool,
    pub(super) dismissed: bool,
}

/// What a renewed keeper begins with.
#[derive(Debug)]
pub(super) struct Renewed {
    pub(super) generation: u64,
    pub(super) brain: Brain,
    pub(super) table: Table,
    pub(super) large_pipes: usize,
    pub(super) oom_score: Option<CString>,
    pub(super) open_files: Option<OpenFiles>,
}

/// Becomes `executable`. Comes back only if that failed: then everything is as before.
pub(super) fn become_another(keeper: &Keeper, executable: &Path, home: &Path, agent: Option<&Path>) -> io::Error {
    match prepare(keeper, executable, home, agent) {
        Ok((program, argv, fds)) => {
            let crossed = fds.iter().try_for_each(|fd| close_on_exec(*fd, false));
            let error = match crossed {
                Ok(()) => match nix::unistd::execv(&program, &argv) {
                    Ok(never) => match never {},
                    Err(errno) => errno.into(),
                },
                Err(error) => error,
            };
            for fd in fds {
                // It was set before.
                let _ = close_on_exec(fd, true);
            }
            error
        }
        Err(error) => error,
    }
}

type Plan = (CString, Vec<CString>, Vec<RawFd>);

fn prepare(keeper: &Keeper, executable: &Path, home: &Path, agent: Option<&Path>) -> io::Result<Plan> {
    let state = freeze(keeper).ok_or_else(|| io::Error::other("no daemon is connected"))?;
    let mut fds: Vec<RawFd> = state.runs.iter().flat_map(|run| run.fds.iter().copied()).collect();
    fds.extend(state.held.iter().map(|(_, fd)| *fd));
    fds.extend([state.brain.pidfd, state.brain.link]);
    let memory = packet::memory_file("pm2d-keeper", &serde_json::to_vec(&state)?)?;
    // Open until execve, and for ever if that fails: it is small.
    let memory = std::os::fd::IntoRawFd::into_raw_fd(memory);
    fds.push(memory);
    let text = |bytes: &[u8]| CString::new(bytes).map_err(io::Error::from);
    let mut argv = vec![text(b"pm2d")?, text(b"keeper")?, text(b"--home")?, text(home.as_os_str().as_bytes())?];
    if let Some(agent) = agent {
        argv.extend([text(b"--agent")?, text(agent.as_os_str().as_bytes())?]);
    }
    argv.extend([text(b"--renew-fd")?, text(memory.to_string().as_bytes())?]);
    Ok((text(executable.as_os_str().as_bytes())?, argv, fds))
}

fn freeze(keeper: &Keeper) -> Option<State> {
    let brain = keeper.brain.as_ref()?;
    let raw = |fds: &[OwnedFd]| fds.iter().map(AsRawFd::as_raw_fd).collect();
    Some(State {
        version: VERSION,
        generation: keeper.generation,
        brain: FrozenBrain {
            pid: brain.pid,
            pidfd: brain.pidfd.as_raw_fd(),
            link: brain.link.as_ref()?.as_raw_fd(),
            adopted: brain.adopted,
            started: brain.started,
            answers: brain.answers,
        },
        runs: keeper
            .table
            .runs()
            .map(|(_, run)| FrozenRun {
                spawned: run.spawned(),
                fds: raw(run.fds()),
                large_pipes: run.large_pipes(),
                exit: run.exit(),
                adopted: run.is_adopted(),
                dismissed: run.is_dismissed(),
            })
            .collect(),
        held: keeper.table.all_held().map(|(name, fd)| (name.clone(), fd.as_raw_fd())).collect(),
        large_pipes: keeper.spawner.large_pipes,
        oom_score: keeper.spawner.oom_score.as_ref().and_then(|score| score.to_str().ok().map(str::to_owned)),
        open_files: keeper.spawner.open_files.map(|limits| (limits.soft, limits.hard)),
    })
}

/// What the executable before us left. Call it before anything else opens or closes descriptors.
pub(super) fn read(memory: impl AsFd) -> io::Result<Renewed> {
    let State { version, generation, brain, runs, held, large_pipes, oom_score, open_files } =
        serde_json::from_slice(&packet::read_memory_file(memory, MAX_STATE)?)?;
    if version > VERSION {
        return Err(io::Error::other(format!("the keeper before was newer (state version {version})")));
    }
    let mut table = Table::default();
    for run in runs {
        let Spawned { pid, start_time, .. } = run.spawned;
        let fds = run.fds.into_iter().map(take).collect::<io::Result<_>>()?;
        let child = Child { pid, start_time, fds, large_pipes: run.large_pipes };
        table.carry(Carried {
            spawned: run.spawned,
            child,
            exit: run.exit,
            adopted: run.adopted,
            dismissed: run.dismissed,
        });
    }
    for (name, fd) in held {
        table.hold(name, take(fd)?);
    }
    let brain = Brain {
        pid: brain.pid,
        pidfd: take(brain.pidfd)?,
        adopted: brain.adopted,
        link: Some(take(brain.link)?),
        started: brain.started,
        online: true,
        answers: brain.answers,
        quit: None,
        failed: None,
        successor: None,
    };
    Ok(Renewed {
        generation,
        brain,
        table,
        large_pipes,
        oom_score: oom_score.and_then(|score| CString::new(score).ok()),
        open_files: open_files.map(|(soft, hard)| OpenFiles { soft, hard }),
    })
}

fn take(number: RawFd) -> io::Result<OwnedFd> {
    close_on_exec(number, true)?;
    // SAFETY: the number is open (checked by the call before), was left to us by the executable before us, and stands in
    // its state once: nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn close_on_exec(number: RawFd, close: bool) -> io::Result<()> {
    let flag = if close { FdFlag::FD_CLOEXEC } else { FdFlag::empty() };
    // SAFETY: only lent for the call; a number that is not open is refused by the kernel.
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    fcntl(fd, FcntlArg::F_SETFD(flag))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_that_version_one_left_is_read() {
        let recorded = include_str!("../../tests/fixtures/keeper-state-v1.json");
        let state: State = serde_json::from_str(recorded).unwrap();
        assert!(state.version <= VERSION);
        assert!(state.generation > 1 && state.brain.pid > 1 && state.brain.link > 2);
        // Descriptors of all of them, or the pidfd alone.
        assert!(state.runs.iter().all(|run| run.fds.len() == 4 + usize::from(run.spawned.ipc)));
        assert!(state.runs.iter().any(|run| run.exit == Some(Exit::Code(7))), "an exit that nobody knew");
        assert!(state.runs.iter().any(|run| run.adopted && run.exit.is_none()));
        assert!(state.held.iter().any(|(name, _)| name == "lock"));
        // As the first ones wrote it, without the fields that were added.
        let earliest = r#"{"version":1,"generation":3,"brain":{"pid":4242,"pidfd":9,"link":6,"adopted":false,"started":28},
            "runs":[],"held":[],"large_pipes":0}"#;
        assert!(!serde_json::from_str::<State>(earliest).unwrap().brain.answers);
        // One that was written later, with more in it.
        let later = recorded.replacen("{\"version\":1", "{\"colour\":\"red\",\"version\":1", 1);
        serde_json::from_str::<State>(&later).unwrap();
    }
}
