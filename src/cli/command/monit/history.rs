//! What CPU and memory were, look by look.

use std::collections::VecDeque;

/// Looks that are kept: as many as a wide screen can show.
const KEPT: usize = 240;

/// One figure over time, the newest last.
#[derive(Debug, Clone, Default)]
pub(super) struct History(VecDeque<f64>);

impl History {
    pub(super) fn add(&mut self, value: f64) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(if value.is_finite() { value.max(0.0) } else { 0.0 });
    }

    pub(super) fn max(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }

    /// The newest values, in thousandths of `top`, at most as many as there are columns.
    pub(super) fn newest(&self, columns: usize, top: f64) -> Vec<u64> {
        let skipped = self.0.len().saturating_sub(columns);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
        let scaled = |value: &f64| (value / top.max(f64::MIN_POSITIVE) * 1000.0).clamp(0.0, 1000.0).round() as u64;
        self.0.iter().skip(skipped).map(scaled).collect()
    }

    /// The same as one line of letters, the newest at its right end.
    pub(super) fn spark(&self, columns: usize, top: f64) -> String {
        const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let bar = |value: &u64| {
            // What is not nothing is seen.
            let height = usize::try_from((value * 8).div_ceil(1000)).unwrap_or(0);
            BARS.get(height).copied().unwrap_or('█')
        };
        let line: String = self.newest(columns, top).iter().map(bar).collect();
        format!("{line:>columns$}")
    }
}

/// What a full bar of CPU stands for: the highest there was, but a tenth of a core at least, so that idling is no peak.
pub(super) fn cpu_top(history: &History) -> f64 {
    history.max().max(10.0)
}

/// Memory has no natural top: a steady use fills four fifths.
pub(super) fn memory_top(history: &History) -> f64 {
    history.max() * 1.25
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_at_the_right() {
        let mut history = History::default();
        for value in [0.0, 1.0, 50.0, 100.0, f64::NAN, -4.0] {
            history.add(value);
        }
        assert_eq!(history.spark(8, 100.0), "   ▁▄█  ");
        assert_eq!(history.spark(3, 100.0), "█  ");
        assert_eq!(history.newest(2, 0.0), [0, 0]);
        for _ in 0..2 * KEPT {
            history.add(1.0);
        }
        assert_eq!(history.newest(usize::MAX, 1.0).len(), KEPT);
    }
}
