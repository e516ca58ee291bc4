//! From a spawn order to a running process and our ends of its descriptors.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use super::child::{Failure, Image, Stack, Step};
use crate::sys::limits::OpenFiles;
use crate::sys::{pipe, stat};
use crate::wire::keeper::SpawnSpec;

/// Where the child finds its channel (contract/node-ipc-and-cluster.md).
const CHANNEL: [&str; 2] = ["NODE_CHANNEL_FD=3", "NODE_CHANNEL_SERIALIZATION_MODE=json"];

/// A process that runs.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) pid: i32,
    pub(super) start_time: u64,
    /// In the order of the protocol: pidfd, stdin, stdout, stderr, IPC channel.
    pub(super) fds: Vec<OwnedFd>,
    /// How many of its pipes are [`pipe::LARGE`].
    pub(super) large_pipes: usize,
}

/// Why there is none.
#[derive(Debug)]
pub(super) struct NotStarted {
    /// What failed, on what.
    pub(super) text: String,
    pub(super) errno: i32,
}

/// What all children have in common.
#[derive(Debug)]
pub(super) struct Spawner {
    pub(super) stack: Stack,
    /// The limits that apps get back.
    pub(super) open_files: Option<OpenFiles>,
    /// The `oom_score_adj` that all others get back.
    pub(super) oom_score: Option<CString>,
    /// How many more large pipes this user can afford.
    pub(super) large_pipes: usize,
}

impl Spawner {
    pub(super) fn spawn(&mut self, spec: &SpawnSpec) -> Result<Child, NotStarted> {
        let ipc = spec.ipc;
        let image = self.image(spec)?;
        let ends = Ends::new(ipc, self.large_pipes).map_err(|error| NotStarted {
            text: format!("cannot make pipes for {}: {error}", spec.program),
            errno: error.raw_os_error().unwrap_or(0),
        })?;
        let Ends { theirs, ours, large_pipes } = ends;
        let fds: Vec<_> = theirs.iter().map(AsFd::as_fd).collect();
        let (pid, pidfd) = self.stack.start(&image, &fds).map_err(|failure| explain(&failure, spec))?;
        drop(theirs);
        self.large_pipes = self.large_pipes.saturating_sub(large_pipes);
        // It cannot have been reaped yet, so the file exists.
        let start_time = stat::start_time(pid).unwrap_or(0);
        let fds = std::iter::once(pidfd).chain(ours).collect();
        Ok(Child { pid, start_time, fds, large_pipes })
    }

    fn image(&self, spec: &SpawnSpec) -> Result<Image, NotStarted> {
        let text = |what: &str, text: &str| {
            CString::new(text).map_err(|_| NotStarted {
                text: format!("cannot start {}: {what} contains a NUL byte", spec.program.replace('\0', "\\0")),
                errno: libc::EINVAL,
            })
        };
        let env = environment(&spec.env, spec.ipc);
        Ok(Image {
            program: text("the path", &spec.program)?,
            argv: spec.argv.iter().map(|arg| text("an argument", arg)).collect::<Result<_, _>>()?,
            env: env.into_iter().map(|entry| text("an environment variable", entry)).collect::<Result<_, _>>()?,
            cwd: Some(text("the working directory", &spec.cwd)?),
            uid: spec.uid,
            gid: spec.gid,
            groups: spec.groups.clone(),
            open_files: self.open_files,
            oom_score: self.oom_score.clone(),
        })
    }
}

/// The environment with the channel of this child and of no other: one that was inherited would make Node open a
/// descriptor that is not there. Of a name given twice the last counts.
fn environment(given: &[String], ipc: bool) -> Vec<&str> {
    let is = |entry: &str, name: &str| entry.split_once('=').is_some_and(|(given, _)| given == name);
    let last_id = given.iter().rposition(|entry| is(entry, "NODE_UNIQUE_ID"));
    let kept = given.iter().enumerate().filter(|(index, entry)| {
        !is(entry, "NODE_CHANNEL_FD")
            && !is(entry, "NODE_CHANNEL_SERIALIZATION_MODE")
            && (last_id == Some(*index) || !is(entry, "NODE_UNIQUE_ID"))
    });
    kept.map(|(_, entry)| entry.as_str()).chain(if ipc { &CHANNEL[..] } else { &[] }.iter().copied()).collect()
}

/// The two sides of a child's descriptors.
struct Ends {
    /// For the child, by number.
    theirs: Vec<OwnedFd>,
    /// Ours, in the same order.
    ours: Vec<OwnedFd>,
    large_pipes: usize,
}

impl Ends {
    fn new(ipc: bool, large_allowed: usize) -> io::Result<Ends> {
        let (stdin, feed) = pipe::pipe()?;
        let (out, stdout) = pipe::pipe()?;
        let (err, stderr) = pipe::pipe()?;
        let mut large_pipes = 0;
        if large_allowed >= 2 {
            for pipe in [&out, &err] {
                large_pipes += usize::from(pipe::set_capacity(pipe, pipe::LARGE)? >= pipe::LARGE);
            }
        }
        if large_allowed != usize::MAX {
            // Hardly anybody feeds an app by stdin: leave the user's budget to the output.
            pipe::set_capacity(&stdin, 4096)?;
        }
        let (mut theirs, mut ours) = (vec![stdin, stdout, stderr], vec![feed, out, err]);
        if ipc {
            let (channel, node) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)?;
            pipe::set_nonblocking(&channel)?;
            ours.push(channel);
            theirs.push(node);
        }
        Ok(Ends { theirs, ours, large_pipes })
    }
}

fn explain(failure: &Failure, spec: &SpawnSpec) -> NotStarted {
    let error = &failure.error;
    let program = &spec.program;
    let number = |id: Option<u32>| id.map_or_else(String::new, |id| id.to_string());
    let text = match failure.step {
        Step::Clone => format!("cannot fork for {program}: {error}"),
        Step::Descriptors => format!("cannot pass descriptors to {program}: {error}"),
        Step::Directory => format!("cannot change directory to {}: {error}", spec.cwd),
        Step::Groups => format!("cannot set the groups of {program}: {error}"),
        Step::Gid => format!("cannot become group {} for {program}: {error}", number(spec.gid)),
        Step::Uid => format!("cannot become user {} for {program}: {error}", number(spec.uid)),
        Step::Execute if error.kind() == io::ErrorKind::NotFound && std::path::Path::new(program).exists() => {
            format!("cannot execute {program}: the interpreter that its first line names is missing: {error}")
        }
        Step::Execute => format!("cannot execute {program}: {error}"),
    };
    NotStarted { text, errno: error.raw_os_error().unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_gets_its_own_channel_and_one_id() {
        let given = ["A=1", "NODE_CHANNEL_FD=9", "NODE_UNIQUE_ID=1", "NODE_CHANNEL_FDX=2", "NODE_UNIQUE_ID=2"];
        let given: Vec<String> = given.map(str::to_owned).to_vec();
        assert_eq!(environment(&given, false), ["A=1", "NODE_CHANNEL_FDX=2", "NODE_UNIQUE_ID=2"]);
        assert_eq!(
            environment(&given, true),
            ["A=1", "NODE_CHANNEL_FDX=2", "NODE_UNIQUE_ID=2", CHANNEL[0], CHANNEL[1]]
        );
    }
}
