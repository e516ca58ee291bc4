//! Whether the keeper still does anything. It asks the daemon a question now and then (`keeper::watchdog`), so its silence
//! says as much as ours would: nothing has to be asked from this side.
//!
//! Owns: how long a silence may be, and what it means.
//! Must never: end a keeper that a debugger or the kernel holds, or take time in which this process did not run either (a
//! suspended machine, a frozen container) for silence: before it acts it waits once more, with both running.

use std::os::fd::OwnedFd;
use std::time::Duration;

use super::core::Daemon;
use crate::model::Signal;
use crate::sys::{pidfd, stat};

/// See the module.
#[derive(Debug)]
pub(super) struct KeeperWatch {
    pid: i32,
    /// `None` when it has ended already: the link says so.
    process: Option<OwnedFd>,
    heard: bool,
    /// It was silent for the whole limit.
    doubted: bool,
    /// It was found stopped, and was continued.
    continued: bool,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Nothing,
    /// Somebody has stopped it (SIGSTOP) and nobody continues it.
    Continue,
    Kill,
}

impl KeeperWatch {
    pub(super) fn new(pid: i32) -> KeeperWatch {
        KeeperWatch { pid, process: pidfd::open(pid).ok(), heard: true, doubted: false, continued: false }
    }

    /// It said something, whatever it was.
    pub(super) fn heard(&mut self) {
        self.heard = true;
    }

    /// How long to wait before the next look.
    pub(super) fn pause(&self, limit: Duration) -> Duration {
        if self.doubted { limit / 3 } else { limit }
    }

    /// `state`: that of its process in `/proc`: `T` stopped, `t` held by a debugger, `D` by the kernel (it waits for the
    /// exec of a child, whose program is on a disk that does not answer: the next keeper would be no better off).
    fn look(&mut self, state: impl FnOnce() -> u8) -> Verdict {
        if std::mem::take(&mut self.heard) {
            (self.doubted, self.continued) = (false, false);
            return Verdict::Nothing;
        }
        if !std::mem::replace(&mut self.doubted, true) {
            return Verdict::Nothing;
        }
        self.doubted = false;
        match state() {
            b't' | b'D' => Verdict::Nothing,
            b'T' if !self.continued => {
                self.continued = true;
                Verdict::Continue
            }
            _ => Verdict::Kill,
        }
    }
}

impl Daemon {
    /// Does what is to be done about a keeper that says nothing. Its end is seen as any other.
    pub(super) fn look_after_keeper(&self, watch: &mut KeeperWatch) {
        let pid = watch.pid;
        let state = || stat::read(pid).map_or(b'?', |stat| stat.state);
        let (signal, words) = match watch.look(state) {
            Verdict::Nothing => return,
            Verdict::Continue => {
                (Signal::CONT, "the keeper was stopped (SIGSTOP) and nobody continued it: continuing it")
            }
            Verdict::Kill => (Signal::KILL, "the keeper hangs: it has said nothing for a long time; killing it"),
        };
        self.log.error(words);
        if let Some(process) = &watch.process {
            // Gone meanwhile: the link says so.
            let _ = pidfd::send_signal(process, signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(watch: &mut KeeperWatch, looks: usize, state: u8) -> Vec<Verdict> {
        (0..looks).map(|_| watch.look(|| state)).collect()
    }

    #[test]
    fn a_silent_keeper_is_ended_and_one_that_speaks_lives() {
        use Verdict::{Kill, Nothing};
        let mut watch = KeeperWatch::new(0);
        assert_eq!(verdicts(&mut watch, 3, b'S'), [Nothing, Nothing, Kill]);
        for _ in 0..10 {
            watch.heard();
            // Suspended for a day, and asked right after: it has not been able to speak.
            assert_eq!(verdicts(&mut watch, 2, b'S'), [Nothing, Nothing]);
        }
    }

    #[test]
    fn a_stopped_one_is_continued_once_and_one_that_is_held_is_left_alone() {
        use Verdict::{Continue, Kill, Nothing};
        let mut watch = KeeperWatch::new(0);
        assert_eq!(verdicts(&mut watch, 5, b'T'), [Nothing, Nothing, Continue, Nothing, Kill]);
        for state in [b't', b'D'] {
            watch.heard();
            assert!(verdicts(&mut watch, 10, state).iter().all(|verdict| *verdict == Nothing));
        }
    }
}
