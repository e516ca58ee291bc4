//! CPU and memory of processes, as `monit` shows them (contract/api.md section 7.1).
//!
//! Owns: the last reading of each pid.
//! Must never: run by itself, or walk all of `/proc`.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::model::PmId;
use crate::sys::stat;

/// A reading older than this counts as none: the next CPU figure is 0 again.
pub const HISTORY: Duration = Duration::from_mins(1);

/// A reading younger than this is given again. The kernel counts time in ticks of 10 ms, so a shorter span would say
/// little, and programs that ask all the time would make us read all the time.
pub const FRESH: Duration = Duration::from_millis(100);

/// The `monit` object of one process.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Monit {
    /// Resident bytes of the process itself, not of its children.
    pub memory: u64,
    /// Percent of one core since the previous query of this pid, rounded to one decimal; 0 at the first. A whole number
    /// is written without a decimal point, as JavaScript does.
    #[serde(serialize_with = "like_javascript")]
    pub cpu: f64,
}

impl Monit {
    /// The figure in the form that JSON gets.
    pub(crate) fn shown_cpu(self) -> impl Serialize {
        #[derive(Serialize)]
        struct Shown(#[serde(serialize_with = "like_javascript")] f64);
        Shown(self.cpu)
    }
}

/// What a list shows: the figures of instances, in the order of their ids; zeros for those that are not there.
#[derive(Debug, Default)]
pub(crate) struct Figures(Vec<(PmId, Monit)>);

impl Figures {
    /// `ids` ascend, and `monit` is in their order.
    pub(crate) fn new(ids: impl Iterator<Item = PmId>, monit: Vec<Monit>) -> Figures {
        Figures(ids.zip(monit).collect())
    }

    pub(crate) fn of(&self, id: PmId) -> Monit {
        let found = self.0.binary_search_by_key(&id, |(id, _)| *id).ok();
        found.and_then(|at| self.0.get(at)).map(|(_, monit)| *monit).unwrap_or_default()
    }
}

/// Remembers the last reading of each pid that was asked for.
#[derive(Debug, Default)]
pub struct Sampler {
    last: HashMap<i32, Reading>,
    swept_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    ticks: u64,
    /// Tells a process from a later one with the same pid.
    start_time: u64,
    /// What was said then.
    monit: Monit,
}

impl Sampler {
    pub fn new() -> Sampler {
        Sampler::default()
    }

    /// The figures of each pid, at most [`FRESH`] old. The answer is in the order of `pids`; zeros for a process that is
    /// gone.
    pub fn sample(&mut self, pids: &[i32]) -> Vec<Monit> {
        let now = Instant::now();
        self.sweep(now);
        pids.iter().map(|pid| self.recent(*pid, now).unwrap_or_else(|| self.sample_one(*pid))).collect()
    }

    fn recent(&self, pid: i32, now: Instant) -> Option<Monit> {
        let reading = self.last.get(&pid)?;
        (now.saturating_duration_since(reading.at) < FRESH).then_some(reading.monit)
    }

    fn sample_one(&mut self, pid: i32) -> Monit {
        let Ok(stat) = stat::read(pid) else {
            self.last.remove(&pid);
            return Monit::default();
        };
        let monit = Monit { memory: stat.rss, cpu: 0.0 };
        let mut now = Reading { at: Instant::now(), ticks: stat.cpu_ticks, start_time: stat.start_time, monit };
        let before = self.last.get(&pid);
        now.monit.cpu = before.map_or(0.0, |before| percent(before, &now, stat::ticks_per_second()));
        self.last.insert(pid, now);
        now.monit
    }

    /// Forgets pids that nobody has asked for in a while.
    fn sweep(&mut self, now: Instant) {
        if self.swept_at.is_some_and(|at| now.duration_since(at) < HISTORY) {
            return;
        }
        self.swept_at = Some(now);
        self.last.retain(|_, reading| now.duration_since(reading.at) <= HISTORY);
    }
}

#[expect(clippy::cast_precision_loss, reason = "ticks of one process are far below 2^52")]
fn percent(before: &Reading, now: &Reading, ticks_per_second: u64) -> f64 {
    let elapsed = now.at.duration_since(before.at);
    let used = now.ticks.saturating_sub(before.ticks);
    if before.start_time != now.start_time || elapsed > HISTORY || elapsed.is_zero() {
        return 0.0;
    }
    let seconds = used as f64 / ticks_per_second.max(1) as f64;
    (seconds / elapsed.as_secs_f64() * 1000.0).round() / 10.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn like_javascript<S: serde::Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.fract() == 0.0 && (0.0..1e15).contains(value) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, and in range")]
        return serializer.serialize_u64(*value as u64);
    }
    serializer.serialize_f64(*value)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn own_pid() -> i32 {
        i32::try_from(std::process::id()).unwrap()
    }

    #[test]
    fn a_busy_process_shows_after_the_first_query() {
        let mut sampler = Sampler::new();
        let first = sampler.sample(&[own_pid(), i32::MAX]);
        assert!(first[0].memory > 100_000 && first[0].cpu == 0.0);
        assert_eq!(first[1], Monit::default());
        assert_eq!(sampler.sample(&[own_pid()]), first[..1], "asked again at once");
        let until = Instant::now() + Duration::from_millis(200);
        let mut sum = 0_u64;
        while Instant::now() < until {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(sampler.sample(&[own_pid()])[0].cpu > 1.0);
    }

    #[test]
    fn the_figure_is_that_of_one_core_with_one_decimal() {
        let at = Instant::now();
        let before = Reading { at, ticks: 100, start_time: 7, monit: Monit::default() };
        let now = Reading { at: at + Duration::from_secs(3), ticks: 200, ..before };
        assert!((percent(&before, &now, 100) - 33.3).abs() < 1e-9);
        assert!(percent(&before, &Reading { start_time: 8, ..now }, 100) < 0.1, "another process");
        assert!(percent(&before, &Reading { at: at + Duration::from_secs(61), ..now }, 100) < 0.1, "too long ago");
    }

    #[test]
    fn a_process_that_ended_is_forgotten() {
        let mut sampler = Sampler::new();
        let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        // Right at its exec it has no memory yet.
        while sampler.sample_one(pid).memory == 0 {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_ne!(sampler.sample(&[pid]), [Monit::default()], "a young reading is given again");
        sampler.last.get_mut(&pid).unwrap().at -= FRESH;
        assert_eq!(sampler.sample(&[pid]), [Monit::default()]);
        assert!(sampler.last.is_empty());
    }

    #[test]
    fn json_is_that_of_pm2() {
        let json = |cpu| serde_json::to_string(&Monit { memory: 5, cpu }).unwrap();
        assert_eq!((json(0.0), json(0.3)), (r#"{"memory":5,"cpu":0}"#.into(), r#"{"memory":5,"cpu":0.3}"#.into()));
    }
}
