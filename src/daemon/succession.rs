//! When the keeper was killed: this daemon starts the next one and gives it everything the last one had.
//!
//! Owns: the order of that handover, and what is done about spawn orders that nobody answered.
//! Must never: let an app that the old keeper started, and nobody heard of, run beside a second one.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::core::Daemon;
use super::keeper_watch::KeeperWatch;
use crate::model::{Exit, PmId, RunId, Signal};
use crate::sys::process::{self, Member, Snapshot};
use crate::sys::{clock, detach, packet, pidfd, pipe, stat};
use crate::wire::keeper::{LOCK, SETTLED, Spawned, ToKeeper};

/// How long a new keeper may take to greet us. It takes a few milliseconds.
const GREETING: Duration = Duration::from_secs(10);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A keeper that lived this long was well: the next death is no loop.
const WELL_AFTER: u64 = 10_000;

/// How long the new parent of an orphan has to reap it; only then does the kernel tell its status to others.
const REAPED: Duration = Duration::from_millis(100);

/// How often lost processes are looked for at most: each look ends what the one before had not seen.
const LOOKS: usize = 20;

/// How long a process that was sent SIGKILL may take to end, in milliseconds: everything waits for it.
const ENDED: u64 = 1_000;

impl Daemon {
    /// Hears the keeper, and each one that follows it.
    pub(super) async fn hear_keepers(self: Rc<Self>) {
        let mut pause = Duration::ZERO;
        loop {
            let since = clock::boot_millis();
            self.hear_keeper().await;
            if clock::boot_millis().saturating_sub(since) > WELL_AFTER {
                pause = Duration::ZERO;
            }
            if self.end.has_begun() {
                // Nothing is started any more: whoever still ends is watched from here.
                self.watch_runs();
                return;
            }
            self.log.error("the keeper has ended unexpectedly: starting another; apps are not affected");
            let mut watched = false;
            loop {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).clamp(Duration::from_millis(10), LONGEST_PAUSE);
                match self.start_keeper().await {
                    Ok(()) => break,
                    Err(error) => self.log.error(&format!(
                        "cannot start another keeper: {error}; apps run on, none can be started, and this is tried again"
                    )),
                }
                if !std::mem::replace(&mut watched, true) {
                    self.watch_runs();
                }
            }
            self.log.log(&format!("keeper {} has taken over", self.keeper_pid.get()));
        }
    }

    /// Hears the present keeper, until its end.
    async fn hear_keeper(self: &Rc<Self>) {
        let mut watch = KeeperWatch::new(self.keeper_pid.get());
        let limit = self.settings.hang_limit;
        let mut pause = pin!(tokio::time::sleep(limit.unwrap_or_default()));
        loop {
            tokio::select! {
                biased; // What was said while we were busy is heard before it is missed.
                message = self.keeper.receive() => match message {
                    Ok(Some((message, fds))) => {
                        watch.heard();
                        self.on_keeper(message, fds);
                    }
                    Ok(None) | Err(_) => return,
                },
                () = &mut pause, if limit.is_some() => {
                    self.look_after_keeper(&mut watch);
                    pause.as_mut().reset(Instant::now() + watch.pause(limit.unwrap_or_default()));
                }
            }
        }
    }

    async fn start_keeper(self: &Rc<Self>) -> io::Result<()> {
        let (ours, theirs) = packet::pair()?;
        let mut args: Vec<OsString> = vec!["keeper".into(), "--home".into(), self.home.root.clone().into()];
        if let Some(agent) = &self.agent_option {
            args.extend(["--agent".into(), agent.clone().into()]);
        }
        // The link leads to what runs now also when the file was replaced or removed: the pair always matches.
        detach::launch_adopting(Path::new("/proc/self/exe"), &args, theirs, self.keeper.held(LOCK))?;
        let greeting = tokio::time::timeout(GREETING, self.keeper.renew(ours));
        let greeting = greeting.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        self.hand_over_runs()?;
        self.settle_orders();
        self.note_settled()?;
        while !self.keeper.is_flushed() && !self.keeper.is_gone() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // From here on we may be killed, too: the kernel delivers what was sent.
        self.keeper_pid.set(greeting.keeper_pid);
        Ok(())
    }

    fn hand_over_runs(&self) -> io::Result<()> {
        for run in self.table.borrow().runs.values().filter(|run| !run.ended) {
            let spawned = Spawned {
                id: run.id,
                run: run.number,
                pid: run.pid,
                start_time: run.start_time,
                ipc: run.channel.is_some(),
            };
            let fds = std::iter::once(&*run.pidfd).chain(&run.copies).map(OwnedFd::try_clone);
            self.keeper.send(&ToKeeper::Adopt(spawned), fds.collect::<Result<_, _>>()?);
        }
        Ok(())
    }

    /// Spawn orders that the killed keeper took with it. It may have carried them out in its last moment: such a process
    /// has no pipes and no parent and is ended before the order is given again.
    fn settle_orders(&self) {
        for (run, id, since) in self.keeper.unanswered() {
            let known = self.table.borrow().records.contains_key(&id);
            if known {
                self.end_lost(id, since);
            }
            if let Err(error) = self.keeper.repeat(run) {
                self.log.error(&format!("cannot ask again for the start of id {id}: {error}"));
            }
        }
    }

    /// Says to the daemons that follow, as long as this keeper lives, that nobody runs unknown to it.
    pub(super) fn note_settled(&self) -> io::Result<()> {
        self.keeper.hold(SETTLED, pipe::null()?.as_fd())
    }

    /// Ends processes of this instance that were started at or after `since` (milliseconds since boot) and that nobody
    /// knows: a killed keeper had started them and did not live to tell. None of them is before its exec: see
    /// [`process::with_environment`].
    pub(super) fn end_lost(&self, id: PmId, since: u64) {
        let (marks, known) = {
            let table = self.table.borrow();
            let Some(record) = table.records.get(&id) else { return };
            let known: Vec<i32> = table.runs.values().map(|run| run.pid).collect();
            ([format!("unique_id={}", record.unique_id), format!("pm_id={id}")], known)
        };
        let ticks = since.saturating_sub(20) * stat::ticks_per_second() / 1_000;
        // What was forked after a look is found by the next one.
        for _ in 0..LOOKS {
            let found = process::with_environment(&marks.each_ref().map(String::as_str));
            if found.is_empty() {
                return;
            }
            let Ok(snapshot) = Snapshot::take() else { return };
            // Children of what we know have the same environment and are none of our business.
            let ours: Vec<Member> = known.iter().flat_map(|pid| snapshot.descendants(*pid)).collect();
            let is_lost =
                |member: &Member| !known.contains(&member.pid) && !ours.contains(member) && member.start_time >= ticks;
            let lost: Vec<Member> = found.into_iter().filter(is_lost).collect();
            if lost.is_empty() {
                return;
            }
            let pids = lost.iter().map(|member| member.pid.to_string()).collect::<Vec<_>>().join(", ");
            self.log.error(&format!("process {pids} of id {id} was started by a keeper that was killed: ending it"));
            let tree: Vec<Member> =
                lost.iter().flat_map(|lost| snapshot.descendants(lost.pid).into_iter().chain([*lost])).collect();
            pidfd::wait_all(&process::signal_all(&tree, Signal::KILL), ENDED);
        }
    }

    /// While there is no keeper nobody reports exits: each process is watched from here. An exit that is reported twice
    /// is ignored the second time.
    fn watch_runs(self: &Rc<Self>) {
        let watched: Vec<(PmId, RunId, Rc<OwnedFd>)> =
            self.table.borrow().runs.values().map(|run| (run.id, run.number, Rc::clone(&run.pidfd))).collect();
        for (id, run, process) in watched {
            let daemon = Rc::clone(self);
            tokio::task::spawn_local(async move {
                let Ok(copy) = process.try_clone() else { return };
                let _ = pidfd::ended(copy).await;
                let end = tokio::time::Instant::now() + REAPED;
                let status = loop {
                    let status = pidfd::remembered_status(&*process);
                    if status.is_some() || tokio::time::Instant::now() > end {
                        break status;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                };
                // Where the kernel does not remember it, an exit nobody saw counts as an end by a signal.
                let exit = match status.map(|status| (status & 0x7f, (status >> 8) & 0xff)) {
                    Some((0, code)) => Exit::Code(code),
                    Some((signal, _)) => Exit::Signal(signal),
                    None => Exit::Signal(Signal::KILL.0),
                };
                if daemon.table.borrow().runs.get(&run).is_some_and(|run| !run.ended) {
                    daemon.on_exit(id, run, exit);
                }
            });
        }
    }
}
