//! Whether the daemon still does anything: it is asked now and then, and one that does not answer is ended.
//!
//! Owns: when it is asked, and what silence means.
//! Must never: end a daemon that a debugger holds, or count time in which this process did not run either (a suspended
//! machine, a frozen container): it counts questions, not seconds.

/// Questions that may stay without an answer.
const QUESTIONS: u32 = 3;

/// How long a daemon may be silent, in seconds, if `PM2_RS_HANG_LIMIT` says nothing else.
const LIMIT: f64 = 30.0;

/// See the module.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// Milliseconds between two questions; `None`: never asked.
    interval: Option<u64>,
    /// When to ask next, in milliseconds since boot; `None`: there is nobody to ask.
    due: Option<u64>,
    unanswered: u32,
    /// It was found stopped, and was continued.
    continued: bool,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Nothing,
    Ask,
    /// Somebody has stopped it (SIGSTOP) and nobody continues it.
    Continue,
    Kill,
}

impl Watchdog {
    /// `limit`: the value of `PM2_RS_HANG_LIMIT`, in seconds. 0 or less: never asked.
    pub(super) fn new(limit: Option<&str>) -> Watchdog {
        let limit = limit.and_then(|text| text.trim().parse().ok()).unwrap_or(LIMIT);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and saturating")]
        let interval = (limit > 0.0).then_some(((limit * 1000.0) as u64 / u64::from(QUESTIONS)).max(10));
        Watchdog { interval, due: None, unanswered: 0, continued: false }
    }

    /// There is a daemon that answers questions.
    pub(super) fn begin(&mut self, now: u64) {
        self.heard();
        self.due = self.interval.map(|interval| now + interval);
    }

    /// There is none any more, or its end is under way.
    pub(super) fn end(&mut self) {
        self.due = None;
    }

    /// It said something, whatever it was.
    pub(super) fn heard(&mut self) {
        self.unanswered = 0;
        self.continued = false;
    }

    pub(super) fn due(&self) -> Option<u64> {
        self.due
    }

    /// When it is due. `state`: that of the daemon's process in `/proc`, `T` stopped, `t` held by a debugger.
    pub(super) fn look(&mut self, now: u64, state: impl FnOnce() -> u8) -> Verdict {
        let (Some(interval), Some(_)) = (self.interval, self.due.filter(|due| *due <= now)) else {
            return Verdict::Nothing;
        };
        self.due = Some(now + interval);
        if self.unanswered < QUESTIONS {
            self.unanswered += 1;
            return Verdict::Ask;
        }
        match state() {
            b't' => Verdict::Nothing,
            b'T' if !self.continued => {
                self.continued = true;
                self.unanswered = QUESTIONS - 1;
                Verdict::Continue
            }
            _ => {
                self.end();
                Verdict::Kill
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdicts of so many looks, one every interval, of a daemon in this state that says nothing.
    fn verdicts(watchdog: &mut Watchdog, looks: u64, state: u8) -> Vec<Verdict> {
        let interval = watchdog.interval.unwrap();
        (1..=looks).map(|look| watchdog.look(look * interval, || state)).collect()
    }

    #[test]
    fn three_questions_without_an_answer_are_the_end() {
        use Verdict::{Ask, Kill, Nothing};
        let mut watchdog = Watchdog::new(None);
        assert_eq!(watchdog.interval, Some(10_000));
        assert_eq!(watchdog.look(u64::MAX, || b'S'), Nothing, "nobody to ask yet");
        watchdog.begin(0);
        assert_eq!(watchdog.look(9_999, || b'S'), Nothing);
        assert_eq!(verdicts(&mut watchdog, 5, b'S'), [Ask, Ask, Ask, Kill, Nothing]);
    }

    #[test]
    fn whoever_answers_lives() {
        let mut watchdog = Watchdog::new(Some("3"));
        watchdog.begin(0);
        for look in 1..100 {
            assert_eq!(watchdog.look(look * 1_000, || b'D'), Verdict::Ask);
            watchdog.heard();
        }
    }

    #[test]
    fn time_in_which_nobody_ran_is_no_silence() {
        let mut watchdog = Watchdog::new(None);
        watchdog.begin(0);
        assert_eq!(watchdog.look(10_000, || b'S'), Verdict::Ask);
        // Suspended for a day: the next look is one more question, whatever the clock says.
        assert_eq!(watchdog.look(86_400_000, || b'S'), Verdict::Ask);
        watchdog.heard();
    }

    #[test]
    fn a_stopped_daemon_is_continued_once_and_a_debugged_one_is_left_alone() {
        use Verdict::{Ask, Continue, Kill, Nothing};
        let mut watchdog = Watchdog::new(Some("0.3"));
        watchdog.begin(0);
        assert_eq!(verdicts(&mut watchdog, 6, b'T'), [Ask, Ask, Ask, Continue, Ask, Kill]);
        watchdog.begin(0);
        assert_eq!(verdicts(&mut watchdog, 6, b't'), [Ask, Ask, Ask, Nothing, Nothing, Nothing]);
    }

    #[test]
    fn it_can_be_switched_off() {
        for limit in ["0", "-1"] {
            let mut watchdog = Watchdog::new(Some(limit));
            watchdog.begin(0);
            assert_eq!(watchdog.look(u64::MAX, || b'S'), Verdict::Nothing);
        }
        assert!(Watchdog::new(Some("rubbish")).interval.is_some());
    }
}
