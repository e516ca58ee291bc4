//! The signals of a program in the foreground: those that end it, those it hands on, those of children.

use std::io;

use nix::sys::signal::kill;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::watch;
use crate::client::Session;

/// The signals that end this program, those that are for the apps, and those of children when it is the first process of a
/// container.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    quit: Signal,
    user1: Signal,
    user2: Signal,
    child: Option<Signal>,
}

impl Signals {
    pub(super) fn new() -> io::Result<Signals> {
        let is_first = std::process::id() == 1;
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            child: if is_first { Some(signal(SignalKind::child())?) } else { None },
        })
    }

    /// Comes back when one came that ends this program. Meanwhile orphans are collected, as nobody else would, and what an
    /// operator sends for the apps (`docker kill -s USR2`) is handed on to them.
    pub(super) async fn ending(&mut self, session: &Session) {
        loop {
            let child = async {
                match &mut self.child {
                    Some(child) => child.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                _ = self.hangup.recv() => return,
                _ = self.quit.recv() => return,
                _ = self.user1.recv() => hand_on(session, nix::sys::signal::SIGUSR1).await,
                _ = self.user2.recv() => hand_on(session, nix::sys::signal::SIGUSR2).await,
                _ = child => while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive) {},
            }
        }
    }
}

async fn hand_on(session: &Session, signal: nix::sys::signal::Signal) {
    for pid in watch::pids(session).await {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}
