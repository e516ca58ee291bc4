//! Restart accounting: the counters of one slot and what they say after an exit.
//!
//! Owns: `restart_time`, `unstable_restarts`, the growing delay. Facts: contract/api.md section 10, with Q2, Q13 and Q30
//! fixed.
//! Must never: know states, runs or replies.

use serde::{Deserialize, Serialize};

use crate::model::{Exit, Policy};

/// The growing delay never exceeds this, in milliseconds (unless the first one already does).
const LONGEST_BACKOFF: u64 = 15_000;

/// A spawn that failed is tried again after this, twice this, three times this ..., in milliseconds, when no delay is
/// configured: what is missing (memory, descriptors) rarely comes back within the same millisecond.
const RESPAWN_STEP: u64 = 100;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Accounting {
    pub(super) restart_time: u32,
    pub(super) unstable_restarts: u32,
    /// When (mono) the first process that is counted in `unstable_restarts` was launched.
    window_start: Option<u64>,
    pub(super) prev_restart_delay: Option<u64>,
}

/// How a process came to its end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Exited(Exit),
    /// It could not even be started.
    NotSpawned,
}

/// What follows an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    StayDown,
    /// So many unstable exits are too many.
    GiveUp {
        count: u32,
    },
    /// After so many milliseconds; 0: at once.
    Restart {
        delay: u64,
    },
}

impl Accounting {
    /// Counts the end at `now` of a process that was launched at `since` (both mono) and says what follows.
    pub(super) fn after_end(&mut self, policy: &Policy, since: u64, now: u64, end: End) -> Verdict {
        self.count(policy, since, now, end);
        self.cool_down(policy, now.saturating_sub(since));
        if !wants_restart(policy, end) {
            return Verdict::StayDown;
        }
        if self.unstable_restarts >= policy.max_restarts {
            return Verdict::GiveUp { count: self.unstable_restarts };
        }
        Verdict::Restart { delay: self.delay(policy, end) }
    }

    /// One more restart has begun.
    pub(super) fn restarted(&mut self) {
        self.restart_time = self.restart_time.saturating_add(1);
    }

    /// A client starts, restarts or reloads: earlier crashes are forgiven.
    pub(super) fn forgive(&mut self) {
        self.forget_unstable();
        self.prev_restart_delay = Some(0);
    }

    /// `reset`.
    pub(super) fn reset(&mut self) {
        self.restart_time = 0;
        self.forget_unstable();
    }

    pub(super) fn forget_unstable(&mut self) {
        self.unstable_restarts = 0;
        self.window_start = None;
    }

    /// The growing delay starts again once the app was up for long enough.
    pub(super) fn cool_down(&mut self, policy: &Policy, uptime: u64) {
        if self.has_grown() && uptime > policy.backoff_reset_after {
            self.prev_restart_delay = Some(0);
        }
    }

    /// Whether there is a grown delay for [`Accounting::cool_down`] to reset.
    pub(super) fn has_grown(&self) -> bool {
        self.prev_restart_delay.is_some_and(|delay| delay > 0)
    }

    /// pm2's window of `min_uptime * max_restarts` opens only once, at the first start, so that later crash loops go on
    /// for ever (Q30). Ours opens with the first unstable process and moves on when it is over: the same numbers for
    /// early loops, and slow ones (growing delay) are never given up, as with pm2.
    fn count(&mut self, policy: &Policy, since: u64, now: u64, end: End) {
        let unstable = end == End::NotSpawned || now.saturating_sub(since) < policy.min_uptime;
        if !unstable {
            self.forget_unstable();
            return;
        }
        let window = policy.min_uptime.saturating_mul(u64::from(policy.max_restarts));
        let start = match self.window_start {
            Some(start) if now.saturating_sub(start) < window => start,
            _ => {
                self.forget_unstable();
                since
            }
        };
        self.window_start = Some(start);
        self.unstable_restarts = self.unstable_restarts.saturating_add(1);
    }

    fn delay(&mut self, policy: &Policy, end: End) -> u64 {
        let first = policy.exp_backoff_restart_delay;
        if first > 0 {
            let delay = match self.prev_restart_delay {
                None | Some(0) => first,
                Some(previous) => (previous.saturating_mul(3) / 2).min(LONGEST_BACKOFF),
            };
            self.prev_restart_delay = Some(delay);
            return delay;
        }
        match end {
            End::NotSpawned => policy.restart_delay.max(RESPAWN_STEP * u64::from(self.unstable_restarts.min(100))),
            End::Exited(_) => policy.restart_delay,
        }
    }
}

/// A death by signal is never one of the exit codes that mean "do not restart", though pm2 stores it as 0: an app that
/// was shot (out of memory, say) did not choose to end.
fn wants_restart(policy: &Policy, end: End) -> bool {
    let chosen = matches!(end, End::Exited(Exit::Code(code)) if policy.stop_exit_codes.contains(&code));
    policy.autorestart && policy.max_restarts > 0 && !chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::tests::policy;

    const CRASH: End = End::Exited(Exit::Code(1));

    #[test]
    fn the_sixteenth_quick_exit_is_one_too_many() {
        let (mut accounting, policy) = (Accounting::default(), policy());
        for n in 0..15 {
            assert_eq!(accounting.after_end(&policy, n * 50, n * 50 + 40, CRASH), Verdict::Restart { delay: 0 });
            accounting.restarted();
        }
        assert_eq!(accounting.after_end(&policy, 800, 840, CRASH), Verdict::GiveUp { count: 16 });
        assert_eq!(accounting.restart_time, 15);
    }

    #[test]
    fn a_crash_loop_that_begins_late_is_limited_too() {
        let (mut accounting, policy) = (Accounting::default(), policy());
        assert_eq!(accounting.after_end(&policy, 0, 3_600_000, CRASH), Verdict::Restart { delay: 0 });
        let loops = (0..100).map(|n| 3_600_000 + n * 900);
        let restarts = loops
            .take_while(|t| accounting.after_end(&policy, *t, t + 900, CRASH) == Verdict::Restart { delay: 0 })
            .count();
        assert_eq!(restarts, 15);
    }

    #[test]
    fn being_up_for_longer_than_min_uptime_forgives() {
        let (mut accounting, policy) = (Accounting::default(), policy());
        for n in 0..10 {
            accounting.after_end(&policy, n * 10, n * 10 + 10, CRASH);
        }
        assert_eq!(accounting.unstable_restarts, 10);
        accounting.after_end(&policy, 100, 1100, CRASH);
        assert_eq!(accounting.unstable_restarts, 0);
    }

    #[test]
    fn the_delay_grows_by_half_up_to_fifteen_seconds() {
        let mut accounting = Accounting::default();
        let policy = Policy { exp_backoff_restart_delay: 100, restart_delay: 7, ..policy() };
        let mut now = 0;
        let mut delays = Vec::new();
        for _ in 0..15 {
            let Verdict::Restart { delay } = accounting.after_end(&policy, now, now + 5, CRASH) else {
                panic!("a slow loop is never given up")
            };
            now += 5 + delay;
            delays.push(delay);
        }
        assert_eq!(delays, [100, 150, 225, 337, 505, 757, 1135, 1702, 2553, 3829, 5743, 8614, 12921, 15000, 15000]);
    }

    #[test]
    fn the_delay_starts_again_after_a_long_uptime_and_not_before() {
        let policy = Policy { exp_backoff_restart_delay: 100, ..policy() };
        let mut accounting = Accounting { prev_restart_delay: Some(505), ..Accounting::default() };
        assert_eq!(accounting.after_end(&policy, 0, 30_000, CRASH), Verdict::Restart { delay: 757 });
        assert_eq!(accounting.after_end(&policy, 0, 30_001, CRASH), Verdict::Restart { delay: 100 });
    }

    #[test]
    fn a_fixed_delay_leaves_no_trace_in_prev_restart_delay() {
        let policy = Policy { restart_delay: 300, ..policy() };
        let mut accounting = Accounting::default();
        assert_eq!(accounting.after_end(&policy, 0, 5, CRASH), Verdict::Restart { delay: 300 });
        assert_eq!(accounting.prev_restart_delay, None);
    }

    #[test]
    fn nothing_is_restarted_that_should_stay_down() {
        let down = |policy: Policy, end| Accounting::default().after_end(&policy, 0, 5, end) == Verdict::StayDown;
        assert!(down(Policy { autorestart: false, ..policy() }, CRASH));
        assert!(down(Policy { max_restarts: 0, ..policy() }, CRASH));
        assert!(down(Policy { stop_exit_codes: vec![0, 1], ..policy() }, CRASH));
        assert!(!down(Policy { stop_exit_codes: vec![0], ..policy() }, CRASH));
        assert!(!down(Policy { stop_exit_codes: vec![0], ..policy() }, End::Exited(Exit::Signal(9))));
    }

    #[test]
    fn a_spawn_that_failed_is_tried_again_ever_later_and_then_given_up() {
        let (mut accounting, policy) = (Accounting::default(), policy());
        let mut now = 0;
        for n in 1..16 {
            let delay = n * 100;
            assert_eq!(accounting.after_end(&policy, now, now, End::NotSpawned), Verdict::Restart { delay });
            now += delay;
        }
        assert_eq!(accounting.after_end(&policy, now, now, End::NotSpawned), Verdict::GiveUp { count: 16 });
    }
}
