//! What the keeper tells: processes that started, ended, or could not start.
//!
//! Owns: the way from descriptors to a [`Run`], and from an exit to the supervisor.
//! Must never: tell an exit before what the process wrote and said has arrived, or wait for long for it.

use std::collections::HashMap;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use super::channel::{Channel, ChannelEvent, Vault, Vaults};
use super::core::Daemon;
use super::effects::log_spec;
use super::keeper_link::KeeperLink;
use super::pid_file;
use super::run::{Closed, Run, Stdin};
use crate::model::{Exit, PmId, RunId};
use crate::supervisor::Input;
use crate::sys::process::Member;
use crate::wire::keeper::{FromKeeper, Spawned, ToKeeper};

/// How long the last words of an ended process are waited for. They are in pipes of ours already, so this is long; only
/// a descendant that keeps the channel open makes it count.
const LAST_WORDS: Duration = Duration::from_millis(50);

impl Daemon {
    /// One message of the keeper.
    pub(crate) fn on_keeper(self: &Rc<Self>, message: FromKeeper, fds: Vec<OwnedFd>) {
        match message {
            FromKeeper::Spawned(spawned) => {
                self.adopt(&spawned, fds);
                self.feed(Input::Spawned { id: spawned.id, run: spawned.run, pid: spawned.pid });
            }
            FromKeeper::SpawnFailed { id, run, error, .. } => self.feed(Input::SpawnFailed { id, run, error }),
            FromKeeper::Exited { id, run, exit, .. } => self.on_exit(id, run, exit),
            FromKeeper::Ping => self.keeper.send(&ToKeeper::Pong, Vec::new()),
            FromKeeper::Signalled { signal } => self.on_signal(signal),
            FromKeeper::Welcome { .. } | FromKeeper::Held { .. } | FromKeeper::Running(_) | FromKeeper::Ready => {}
        }
    }

    /// Takes a new process and its descriptors into the table, the journal and its pid file.
    pub(crate) fn adopt(self: &Rc<Self>, spawned: &Spawned, fds: Vec<OwnedFd>) {
        self.take(spawned, fds);
        self.write_pid_file(spawned.run);
        let mut table = self.table.borrow_mut();
        let alive = table.alive(spawned.id);
        table.journal.alive(spawned.id, alive);
    }

    /// Writes the pid file of a run that lives; one that is right already is left as it is.
    pub(crate) fn write_pid_file(&self, run: RunId) {
        let table = self.table.borrow();
        let Some(run) = table.runs.get(&run).filter(|run| !run.ended) else { return };
        let path = table.records.get(&run.id).and_then(|record| record.text("pm_pid_path"));
        if let Some(path) = path
            && let Err(error) = pid_file::write(path, run.pid)
        {
            self.log.error(&format!("cannot write pid file {path}: {error}"));
        }
    }

    /// Takes a process and its descriptors into the table.
    pub(crate) fn take(self: &Rc<Self>, spawned: &Spawned, fds: Vec<OwnedFd>) {
        let Spawned { id, run, pid, .. } = *spawned;
        let mut fds = fds.into_iter();
        // Descriptors are missing when this process has too many open.
        let by_name = || Member { pid, start_time: spawned.start_time }.open().ok().flatten();
        let Some(process) = fds.next().or_else(by_name) else {
            self.log
                .error(&format!("process {pid} of id {id} came without descriptors: it cannot be stopped from here"));
            return;
        };
        let rest: Vec<OwnedFd> = fds.collect();
        let copies = rest.iter().map_while(|fd| fd.try_clone().ok()).collect();
        let mut rest = rest.into_iter();
        let (stdin, stdout, stderr, ipc) = (rest.next(), rest.next(), rest.next(), rest.next());
        let mut table = self.table.borrow_mut();
        let (name, spec) = match table.records.get(&id) {
            Some(record) => (record.name().to_owned(), Some(log_spec(record))),
            None => (String::new(), None),
        };
        let closed = Rc::new(Closed::default());
        let channel = ipc.and_then(|fd| self.open_channel(fd, &name, id, run, &closed));
        if channel.is_none() {
            closed.set();
        }
        let logs = match (spec, stdout, stderr) {
            (Some(spec), Some(stdout), Some(stderr)) => match self.logs.attach(run, spec, stdout, stderr) {
                Ok(logs) => Some(logs),
                Err(error) => {
                    self.log.error(&format!("cannot read the output of {name} ({id}): {error}"));
                    None
                }
            },
            _ => None,
        };
        let stdin = stdin.and_then(|fd| Stdin::new(fd).ok());
        let run = Run {
            id,
            number: run,
            pid,
            start_time: spawned.start_time,
            pidfd: Rc::new(process),
            channel,
            closed,
            stdin,
            logs,
            copies,
            ended: false,
        };
        table.runs.insert(run.number, run);
    }

    fn open_channel(
        self: &Rc<Self>,
        fd: OwnedFd,
        name: &str,
        id: PmId,
        run: RunId,
        closed: &Rc<Closed>,
    ) -> Option<Channel> {
        let daemon = Rc::downgrade(self);
        let closed = Rc::clone(closed);
        let sink = move |event: ChannelEvent<'_>| {
            if let ChannelEvent::Closed = event {
                closed.set();
            }
            if let Some(daemon) = daemon.upgrade() {
                daemon.on_channel(id, run, event);
            }
        };
        let vault = |kind| Rc::new(LineVault { keeper: Rc::clone(&self.keeper), name: line_name(kind, run) });
        let vaults = Vaults { outgoing: vault(LINE), incoming: vault(HEARD) };
        match Channel::open_with(fd, name, Some(vaults), sink) {
            Ok(channel) => Some(channel),
            Err(error) => {
                self.log.error(&format!("cannot listen to {name} ({id}): {error}"));
                None
            }
        }
    }

    /// A process has ended: its last words first, then its exit.
    pub(crate) fn on_exit(self: &Rc<Self>, id: PmId, run: RunId, exit: Exit) {
        let last_words = {
            let mut table = self.table.borrow_mut();
            table.runs.get_mut(&run).map(|run| {
                run.ended = true;
                (run.logs.clone(), Rc::clone(&run.closed))
            })
        };
        let Some((logs, closed)) = last_words else {
            self.conclude(id, run, exit);
            return;
        };
        let daemon = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let _ = tokio::time::timeout(LAST_WORDS, async {
                if let Some(logs) = logs {
                    logs.drained().await;
                }
                closed.wait().await;
            })
            .await;
            daemon.conclude(id, run, exit);
        });
    }

    /// Tells the supervisor, and then the keeper that nobody has to be told again.
    fn conclude(self: &Rc<Self>, id: PmId, run: RunId, exit: Exit) {
        self.clusters.gone(run);
        self.feed(Input::Exited { id, run, exit });
        let ended = {
            let mut table = self.table.borrow_mut();
            let ended = table.runs.remove(&run);
            if table.records.contains_key(&id) {
                let alive = table.alive(id);
                // With whatever is written next: a pid that has ended is recognised as such in any case.
                table.journal.alive(id, alive);
            }
            ended
        };
        if let Some(channel) = ended.and_then(|run| run.channel) {
            channel.close();
        }
        self.keeper.send(&ToKeeper::Acknowledge { run }, Vec::new());
        for kind in [LINE, HEARD] {
            self.keeper.release(&line_name(kind, run));
        }
    }
}

/// Under which name the keeper holds the long line that a run is being sent.
const LINE: &str = "line:";
/// The same of the long line that it is saying.
const HEARD: &str = "heard:";

fn line_name(kind: &str, run: RunId) -> String {
    format!("{kind}{}", run.0)
}

/// Whether this is the name of a line for none of these runs.
pub(super) fn is_line_of_nobody(name: &str, runs: &HashMap<RunId, Run>) -> bool {
    let run = name.strip_prefix(LINE).or_else(|| name.strip_prefix(HEARD)).and_then(|run| run.parse().ok());
    run.is_some_and(|run| !runs.contains_key(&RunId(run)))
}

/// The keeper as the place where a long line outlives us.
#[derive(Debug)]
struct LineVault {
    keeper: Rc<KeeperLink>,
    name: String,
}

impl Vault for LineVault {
    fn keep(&self, memory: BorrowedFd<'_>) -> io::Result<()> {
        self.keeper.hold(&self.name, memory)
    }

    fn release(&self) {
        self.keeper.release(&self.name);
    }

    fn is_settled(&self) -> bool {
        self.keeper.is_flushed()
    }

    fn found(&self) -> Option<OwnedFd> {
        self.keeper.held(&self.name)
    }
}
