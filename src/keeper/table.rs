//! What the keeper holds: runs that were not acknowledged, and named descriptors.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use super::renewal::Carried;
use super::spawn::Child;
use crate::model::{Exit, PmId, RunId, Signal};
use crate::sys::pidfd;
use crate::wire::keeper::Spawned;

/// A process from its spawn until the daemon has acknowledged its exit.
#[derive(Debug)]
pub(super) struct Run {
    id: PmId,
    name: RunId,
    child: Child,
    ipc: bool,
    /// `None` while it lives.
    exit: Option<Exit>,
    parentage: Parentage,
    dismissed: bool,
}

/// How we learn of a run's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parentage {
    /// It is our child: we reap it.
    Own,
    /// A killed keeper was its parent: we see it end.
    Adopted,
    /// Adopted, and it has ended; its new parent has until then (milliseconds since boot) to reap it, only after
    /// which the kernel tells its status to others.
    Ended { until: u64 },
}

/// How long to wait for the status of an adopted process, in milliseconds.
const STATUS_PATIENCE: u64 = 100;
/// The exit of an adopted process whose status the kernel does not tell: a code that no process can have.
const UNKNOWN: Exit = Exit::Code(-1);

/// The exit of an ended process that is not our child, if the kernel tells it.
pub(super) fn exit_of_stranger(pidfd: &OwnedFd) -> Option<Exit> {
    let status = pidfd::remembered_status(pidfd)?;
    Some(match status & 0x7f {
        0 => Exit::Code((status >> 8) & 0xff),
        signal => Exit::Signal(signal),
    })
}

impl Run {
    pub(super) fn spawned(&self) -> Spawned {
        let Child { pid, start_time, .. } = self.child;
        Spawned { id: self.id, run: self.name, pid, start_time, ipc: self.ipc }
    }

    pub(super) fn fds(&self) -> &[OwnedFd] {
        &self.child.fds
    }

    pub(super) fn large_pipes(&self) -> usize {
        self.child.large_pipes
    }

    pub(super) fn exit(&self) -> Option<Exit> {
        self.exit
    }

    /// Whether it is not our child.
    pub(super) fn is_adopted(&self) -> bool {
        self.parentage != Parentage::Own
    }

    pub(super) fn is_dismissed(&self) -> bool {
        self.dismissed
    }

    /// Id, run, pid and exit of one that has ended.
    pub(super) fn exited(&self) -> Option<(PmId, i32, Exit)> {
        self.exit.map(|exit| (self.id, self.child.pid, exit))
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Table {
    runs: BTreeMap<RunId, Run>,
    held: BTreeMap<String, OwnedFd>,
}

impl Table {
    pub(super) fn add(&mut self, id: PmId, run: RunId, ipc: bool, child: Child) {
        self.runs
            .insert(run, Run { id, name: run, child, ipc, exit: None, parentage: Parentage::Own, dismissed: false });
    }

    /// Takes over what an earlier keeper started.
    pub(super) fn adopt(&mut self, spawned: &Spawned, fds: Vec<OwnedFd>) {
        let Spawned { id, run, pid, start_time, ipc } = *spawned;
        let child = Child { pid, start_time, fds, large_pipes: 0 };
        self.runs.insert(
            run,
            Run { id, name: run, child, ipc, exit: None, parentage: Parentage::Adopted, dismissed: false },
        );
    }

    /// Puts back what crossed `execve`.
    pub(super) fn carry(&mut self, carried: Carried) {
        let Carried { spawned: Spawned { id, run, ipc, .. }, child, exit, adopted, dismissed } = carried;
        let parentage = if adopted { Parentage::Adopted } else { Parentage::Own };
        self.runs.insert(run, Run { id, name: run, child, ipc, exit, parentage, dismissed });
    }

    pub(super) fn all_held(&self) -> impl Iterator<Item = (&String, &OwnedFd)> {
        self.held.iter()
    }

    pub(super) fn all_fds(&self) -> impl Iterator<Item = &OwnedFd> {
        self.runs.values().flat_map(|run| &run.child.fds).chain(self.held.values())
    }

    /// What to poll for the ends of adopted processes.
    pub(super) fn adopted(&self) -> impl Iterator<Item = &OwnedFd> {
        let living = self.runs.values().filter(|run| run.exit.is_none() && run.parentage == Parentage::Adopted);
        living.filter_map(|run| run.child.fds.first())
    }

    /// When to look at adopted processes again whose status is not known yet.
    pub(super) fn look_again(&self, now: u64) -> Option<u64> {
        let mut unknown = self.runs.values().filter(|run| run.exit.is_none());
        unknown.any(|run| matches!(run.parentage, Parentage::Ended { .. })).then_some(now + 5)
    }

    /// Notes the ends of adopted processes.
    pub(super) fn look_after_adopted(&mut self, now: u64) -> Vec<RunId> {
        let mut ended = Vec::new();
        for run in self.runs.values_mut().filter(|run| run.exit.is_none()) {
            let Some(pidfd) = run.child.fds.first() else { continue };
            let until = match run.parentage {
                Parentage::Ended { until } => until,
                Parentage::Adopted if pidfd::has_ended(pidfd) => now + STATUS_PATIENCE,
                Parentage::Adopted | Parentage::Own => continue,
            };
            run.parentage = Parentage::Ended { until };
            run.exit = exit_of_stranger(pidfd).or((now >= until).then_some(UNKNOWN));
            if run.exit.is_some() {
                ended.push(run.name);
            }
        }
        ended
    }

    pub(super) fn run(&self, run: RunId) -> Option<&Run> {
        self.runs.get(&run)
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = (RunId, &Run)> {
        self.runs.iter().map(|(id, run)| (*id, run))
    }

    /// Notes the end of a pid. `None` if no living run has it.
    pub(super) fn ended(&mut self, pid: i32, exit: Exit) -> Option<RunId> {
        let run = self.runs.values_mut().find(|run| run.child.pid == pid && run.exit.is_none())?;
        run.exit = Some(exit);
        Some(run.name)
    }

    /// Forgets a run that has ended, with its descriptors. Returns how many large pipes that freed. One that lives is
    /// kept, as it must be handed over, but its exit need not be told: see [`Table::is_dismissed`].
    pub(super) fn acknowledge(&mut self, run: RunId) -> usize {
        if let Some(run) = self.runs.get_mut(&run)
            && run.exit.is_none()
        {
            run.dismissed = true;
            return 0;
        }
        self.runs.remove(&run).map_or(0, |run| run.child.large_pipes)
    }

    /// Whether its exit was acknowledged before it happened (the daemon ended a process that it did not know).
    pub(super) fn is_dismissed(&self, run: RunId) -> bool {
        self.runs.get(&run).is_some_and(|run| run.dismissed)
    }

    pub(super) fn hold(&mut self, name: String, fd: OwnedFd) {
        self.held.insert(name, fd);
    }

    pub(super) fn release(&mut self, name: &str) {
        self.held.remove(name);
    }

    pub(super) fn held(&self, name: &str) -> Option<&OwnedFd> {
        self.held.get(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.held.keys()
    }

    /// SIGKILL to everything that lives. How many that were.
    pub(super) fn kill_all(&self) -> usize {
        let living = self.runs.values().filter(|run| run.exit.is_none());
        living.filter_map(|run| run.child.fds.first()).filter(|fd| pidfd::send_signal(fd, Signal::KILL).is_ok()).count()
    }
}
