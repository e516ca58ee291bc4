//! The loop: wait for the daemon, for signals, for the lifeline, for the clock; act; send.

mod deaths;
mod orders;

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;

use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use super::Options;
use super::brain::{self, BackOff, Brain, Successor};
use super::outbox::{Flushed, Outbox, Outgoing};
use super::renewal::{self, Renewed};
use super::setup::Ground;
use super::spawn::Spawner;
use super::table::Table;
use super::watchdog::Watchdog;
use crate::PM2_VERSION;
use crate::model::{Exit, RunId, Signal};
use crate::sys::{clock, pidfd};
use crate::wire::keeper::{LOCK, RPC_LISTENER};

/// Packets taken from the daemon before signals get their turn.
const BATCH: usize = 64;
/// How long a daemon may take to end after its link or the lifeline said that it should, in milliseconds.
const GRACE: u64 = 5_000;
/// When to try again what the kernel refused for a shortage, in milliseconds.
const RETRY: u64 = 5;
/// How long the daemon of a new executable may take until it serves, in milliseconds.
const UPGRADE_LIMIT: u64 = 20_000;
/// The same of any other daemon.
const START_LIMIT: u64 = 60_000;
/// The name of what hangs up when our starter is gone; handed over for the same reason.
const LIFELINE: &str = "lifeline";

/// See the module.
#[derive(Debug)]
pub(super) struct Keeper {
    options: Options,
    signals: SignalFd,
    pub(super) spawner: Spawner,
    pub(super) table: Table,
    outbox: Outbox,
    flushed: Flushed,
    pub(super) brain: Option<Brain>,
    pub(super) generation: u64,
    back_off: BackOff,
    watchdog: Watchdog,
    /// Daemons die at once: from then on (milliseconds since boot) one is started when a client asks.
    on_demand: Option<u64>,
    /// When the next daemon is due, in milliseconds since boot.
    start_at: Option<u64>,
    /// When to stop waiting for the daemon's end.
    kill_at: Option<u64>,
    executable: Option<PathBuf>,
    /// What to go back to if a new executable does not come up.
    fallback: Option<Before>,
    /// Why the last upgrade was taken back.
    failed_update: Option<String>,
    /// Become the executable of the daemon, which serves, as soon as nothing is half said.
    renew: bool,
    was_online: bool,
    /// Whoever started us is gone.
    abandoned: bool,
    exit_code: Option<i32>,
}

impl Keeper {
    pub(super) fn new(mut options: Options, ground: Ground, renewed: Option<Renewed>) -> io::Result<Keeper> {
        let (mut table, renewed) = match renewed {
            Some(Renewed { table, brain, generation, .. }) => (table, Some((brain, generation))),
            None => (Table::default(), None),
        };
        for (name, fd) in [(LOCK, ground.lock.or(options.lock.take())), (LIFELINE, options.lifeline.take())] {
            if let Some(fd) = fd {
                table.hold(name.to_owned(), fd);
            }
        }
        let mut outbox = Outbox::default();
        let (brain, generation) = if let Some((brain, generation)) = renewed {
            (Some(brain), generation)
        } else {
            let adopted = options.adopt.take().map(|link| brain::adopt(link, clock::boot_millis())).transpose()?;
            // Larger than that of any keeper before us in this home, as no daemon starts within a millisecond.
            let generation = adopted.as_ref().map_or(0, |brain| brain.started);
            if adopted.is_some() {
                outbox.hand_over(generation, None, &table);
            }
            (adopted, generation)
        };
        let mut watchdog = Watchdog::new(std::env::var("PM2_RS_HANG_LIMIT").ok().as_deref());
        if brain.as_ref().is_some_and(|brain| brain.answers) {
            watchdog.begin(clock::boot_millis());
        }
        // Of a keeper before us, which knows no more than that.
        let _ = std::fs::remove_file(&options.home.trouble_file);
        Ok(Keeper {
            watchdog,
            on_demand: None,
            executable: options.executable.clone(),
            options,
            signals: ground.signals,
            spawner: ground.spawner,
            table,
            outbox,
            flushed: Flushed::All,
            start_at: brain.is_none().then_some(0),
            was_online: brain.is_some(),
            brain,
            generation,
            back_off: BackOff::default(),
            kill_at: None,
            fallback: None,
            failed_update: None,
            renew: false,
            abandoned: false,
            exit_code: None,
        })
    }

    /// Runs until the daemon has ended on purpose. The answer is the exit code.
    pub(super) fn run(mut self) -> i32 {
        // A renewed keeper does not know whose end was announced before.
        self.reap();
        loop {
            let now = clock::boot_millis();
            if self.start_at.is_some_and(|at| at <= now) {
                self.start_daemon(now);
            }
            if self.kill_at.is_some_and(|at| at <= now) {
                self.lose_patience();
            }
            self.watch_over(now);
            self.flush();
            if let Some(code) = self.exit_code {
                self.end();
                return code;
            }
            if self.renew && self.flushed == Flushed::All {
                self.renew();
            }
            let ready = self.wait(now);
            if ready.lifeline {
                self.abandon(now);
            }
            // Orders first: what a daemon said before it died still counts, and a spawn is answered before its exit.
            if ready.link {
                self.take_orders(BATCH);
            }
            if ready.signals {
                self.take_signals();
            }
            if ready.strangers {
                self.look_after_strangers(now);
            }
            if ready.client {
                // One more try; whoever waits is served if it succeeds.
                self.start_daemon(now);
            }
        }
    }

    fn wait(&self, now: u64) -> Ready {
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        let lifeline = self.table.held(LIFELINE).filter(|_| !self.abandoned);
        if let Some(lifeline) = lifeline {
            // Hang-up is always reported; anything written to it means nothing.
            fds.push(PollFd::new(lifeline.as_fd(), PollFlags::empty()));
        }
        let link = self.brain.as_ref().and_then(|brain| brain.link.as_ref());
        if let Some(link) = link {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::POLLIN, !self.outbox.is_full());
            flags.set(PollFlags::POLLOUT, self.flushed == Flushed::Full);
            fds.push(PollFd::new(link.as_fd(), flags));
        }
        let listener = self.on_demand.filter(|at| *at <= now).and_then(|_| self.table.held(RPC_LISTENER));
        if let Some(listener) = listener {
            fds.push(PollFd::new(listener.as_fd(), PollFlags::POLLIN));
        }
        let strangers = fds.len();
        let daemon = self.brain.as_ref().filter(|brain| brain.adopted).map(|brain| &brain.pidfd);
        fds.extend(daemon.into_iter().chain(self.table.adopted()).map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        let look_again = self.table.look_again(now);
        let retry = (self.flushed == Flushed::Refused).then_some(now + RETRY);
        let on_demand = self.on_demand.filter(|at| *at > now);
        let times = [self.start_at, self.kill_at, retry, look_again, self.watchdog.due(), on_demand];
        let due = times.into_iter().flatten().min();
        let timeout = due.map_or(PollTimeout::NONE, |due| {
            PollTimeout::try_from(due.saturating_sub(now).min(60_000)).unwrap_or(PollTimeout::MAX)
        });
        if nix::poll::poll(&mut fds, timeout).is_err() {
            // Interrupted: nothing is ready.
            return Ready::default();
        }
        let mut happened = fds.iter().map(|fd| fd.any().unwrap_or(true));
        let mut next = |present: bool| present && happened.next().unwrap_or(false);
        let (signals, lifeline, link) = (next(true), next(lifeline.is_some()), next(link.is_some()));
        let client = next(listener.is_some());
        let ended = fds.iter().skip(strangers).any(|fd| fd.any().unwrap_or(true));
        Ready { signals, lifeline, link, client, strangers: ended || look_again.is_some() }
    }

    fn flush(&mut self) {
        self.flushed = Flushed::All;
        let Some(brain) = &mut self.brain else { return };
        let Some(link) = &brain.link else { return };
        match self.outbox.flush(link, &self.table) {
            Ok(flushed) => self.flushed = flushed,
            // It is ending; what could not be told is handed over to the next one.
            Err(_) => self.outbox.keep_signals(),
        }
    }

    /// Comes back only if it failed.
    fn renew(&mut self) {
        self.renew = false;
        let Some(executable) = self.executable.clone() else { return };
        let error = renewal::become_another(self, &executable, &self.options.home.root, self.options.agent.as_deref());
        say(&format!("the keeper cannot become {}: {error}; the one that runs goes on", executable.display()));
    }

    fn start_daemon(&mut self, now: u64) {
        self.start_at = None;
        self.on_demand = None;
        self.generation += 1;
        self.kill_at = Some(now + if self.fallback.is_some() { UPGRADE_LIMIT } else { START_LIMIT });
        match brain::start(&self.options, self.executable.as_ref(), &mut self.spawner, now) {
            Ok(brain) => {
                self.outbox.hand_over(self.generation, self.failed_update.clone(), &self.table);
                self.brain = Some(brain);
            }
            Err(text) => self.after_daemon(now, now, false, &text),
        }
    }

    /// Without a daemon nothing is queued: the next one is handed everything.
    fn run_ended(&mut self, run: RunId) {
        if self.table.is_dismissed(run) {
            self.acknowledge(run);
        } else if self.brain.is_some() {
            self.outbox.push(Outgoing::Exited(run));
        }
    }

    fn tell_starter(&mut self, line: &str) {
        if let Some(ready) = self.options.ready.take() {
            super::tell(ready, line);
        }
    }

    fn take_signals(&mut self) {
        let mut child = false;
        while let Ok(Some(info)) = self.signals.read_signal() {
            match i32::try_from(info.ssi_signo).unwrap_or(0) {
                libc::SIGCHLD => child = true,
                libc::SIGUSR1 => {}
                libc::SIGTERM | libc::SIGINT | libc::SIGQUIT if self.on_demand.is_some() => {
                    say("told to end while no daemon can be started: ending the apps");
                    self.exit_code = Some(0);
                }
                signal => self.outbox.push(Outgoing::Signalled(Signal(signal))),
            }
        }
        if child {
            self.reap();
        }
    }

    fn reap(&mut self) {
        loop {
            let (pid, exit) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid.as_raw(), Exit::Code(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid.as_raw(), Exit::Signal(signal as i32)),
                Ok(WaitStatus::StillAlive) | Err(_) => return,
                Ok(_) => continue,
            };
            if self.brain.as_ref().is_some_and(|brain| brain.pid == pid) {
                self.daemon_ended(exit);
            } else if let Some(run) = self.table.ended(pid, exit) {
                self.run_ended(run);
            }
        }
    }

    /// The end of what an earlier keeper started.
    fn look_after_strangers(&mut self, now: u64) {
        for run in self.table.look_after_adopted(now) {
            self.run_ended(run);
        }
        let daemon = self.brain.as_ref().filter(|brain| brain.adopted && pidfd::has_ended(&brain.pidfd));
        if let Some(brain) = daemon {
            let exit = super::table::exit_of_stranger(&brain.pidfd).unwrap_or(Exit::Code(-1));
            self.daemon_ended(exit);
        }
    }

    fn daemon_ended(&mut self, exit: Exit) {
        // Its last words are in the socket, however many. Not "until the end": somebody else may hold a copy of it.
        while self.take_orders(BATCH) == BATCH {}
        self.kill_at = None;
        self.watchdog.end();
        self.outbox.keep_signals();
        let Some(brain) = self.brain.take() else { return };
        let now = clock::boot_millis();
        if let Some(code) = brain.quit {
            self.tell_starter(r#"{"success":false,"code":"failed","error":"the daemon was told to end"}"#);
            self.exit_code = Some(code);
        } else if self.abandoned {
            self.exit_code = Some(0);
        } else if let Some(error) = brain.failed {
            // Apps run: whatever the reason is, it may pass.
            if self.was_online {
                self.after_daemon(brain.started, now, false, &format!("the daemon cannot serve ({error})"));
            } else {
                self.give_up(&error);
            }
        } else if let Some(Successor { executable, agent }) = brain.successor {
            let agent_before = self.options.agent.clone();
            self.options.agent = agent.or(self.options.agent.take());
            // A new try: the reason of an earlier one is told no more.
            self.failed_update = None;
            self.fallback = Some(Before { executable: self.executable.replace(executable), agent: agent_before });
            self.start_at = Some(now);
        } else {
            let how = match exit {
                Exit::Code(code) => format!("the daemon ended unexpectedly with code {code}"),
                Exit::Signal(signal) => format!("the daemon was ended by {}", Signal(signal)),
            };
            self.after_daemon(brain.started, now, brain.online, &how);
        }
    }

    fn abandon(&mut self, now: u64) {
        self.abandoned = true;
        self.outbox.push(Outgoing::Signalled(Signal::TERM));
        self.kill_at = Some(now + GRACE);
    }

    /// The daemon did not end when it should have.
    fn lose_patience(&mut self) {
        self.kill_at = None;
        match &self.brain {
            Some(brain) => {
                say("the daemon did not end in time: killing it");
                let _ = pidfd::send_signal(&brain.pidfd, Signal::KILL);
            }
            None if self.abandoned => self.exit_code = Some(0),
            None => {}
        }
    }

    fn end(&self) {
        // The end is meant: the next daemon of this home has nothing to recover.
        if self.exit_code == Some(0) {
            let _ = std::fs::remove_file(&self.options.home.journal_file);
        }
        let _ = std::fs::remove_file(&self.options.home.trouble_file);
        let left = self.table.kill_all();
        if left > 0 {
            say(&format!("killed {left} processes that the daemon left behind"));
        }
        super::setup::remove_pid(&self.options);
    }
}

/// The executable before an upgrade; as in [`Options::executable`].
#[derive(Debug)]
struct Before {
    executable: Option<PathBuf>,
    agent: Option<PathBuf>,
}

/// What a wait found.
#[derive(Debug, Default)]
struct Ready {
    signals: bool,
    lifeline: bool,
    link: bool,
    /// A client waits although there is no daemon.
    client: bool,
    /// Processes that are not our children.
    strangers: bool,
}

/// A line in `pm2.log`, which is our stderr.
pub(super) fn say(text: &str) {
    let time = clock::local_time().strftime("%Y-%m-%dT%H:%M:%S").to_string();
    // There is nobody else to tell.
    let _ = writeln!(io::stderr(), "{time}: PM2 log: [keeper] {text}");
}
