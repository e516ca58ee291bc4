//! `cron_restart`: restarts at given times (contract/api.md section 13.2).
//!
//! Owns: which instance is due when, and the one timer for all of them. An instance is here from its first start until it
//! is deleted; also a stopped one is started when it is due.
//! Must never: wake up while nobody has a pattern, or trust that the wall clock runs evenly.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use croner::Cron;
use croner::parser::CronParser;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use tokio::sync::Notify;

use super::core::{Daemon, now};
use super::record::{Record, scalar_text};
use crate::model::PmId;
use crate::supervisor::{Input, Verb};

mod pattern;

/// The wall clock may be set while we sleep: it is looked at again after this at the latest.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// Who is due when.
#[derive(Debug, Default)]
pub(crate) struct Crons {
    jobs: RefCell<BTreeMap<PmId, Job>>,
    changed: Notify,
}

#[derive(Debug)]
struct Job {
    wish: Wish,
    cron: Cron,
    zone: TimeZone,
    /// Epoch milliseconds; `None`: never again.
    due: Option<u64>,
}

/// What the app asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wish {
    pattern: String,
    /// `cron_tz`; `None` for the daemon's own time zone.
    zone: Option<String>,
}

impl Wish {
    fn of(record: &Record) -> Option<Wish> {
        let pattern = record.config().get("cron_restart").and_then(scalar_text)?;
        let none = matches!(pattern.trim(), "" | "0" | "false" | "null");
        let zone = record.config().get("cron_tz").and_then(Value::as_str).filter(|zone| !zone.is_empty());
        (!none).then(|| Wish { pattern, zone: zone.map(str::to_owned) })
    }

    /// The error is the words for the log.
    fn job(self, now: u64) -> Result<Job, String> {
        let Some(spelled) = pattern::spelled_out(&self.pattern) else {
            return Err("it has to be five or six fields as cron has them".to_owned());
        };
        let cron = parser().parse(&spelled).map_err(|error| error.to_string())?;
        let zone = match &self.zone {
            Some(name) => TimeZone::get(name).map_err(|error| format!("cron_tz {name}: {error}"))?,
            None => TimeZone::system(),
        };
        let mut job = Job { wish: self, cron, zone, due: None };
        job.plan(now);
        Ok(job)
    }
}

impl Job {
    /// Finds the next time after `now` (epoch milliseconds).
    fn plan(&mut self, now: u64) {
        self.due = next(&self.cron, &self.zone, now);
    }
}

/// Where both a day of the month and a weekday are named, both have to fit: pm2's library has it so.
fn parser() -> CronParser {
    CronParser::builder().dom_and_dow(true).build()
}

/// The first time after `now` that the pattern names, both in epoch milliseconds.
fn next(cron: &Cron, zone: &TimeZone, now: u64) -> Option<u64> {
    let start = Timestamp::from_millisecond(i64::try_from(now).ok()?).ok()?.to_zoned(zone.clone());
    let next = cron.find_next_occurrence(&start, false).ok()?;
    u64::try_from(next.timestamp().as_millisecond()).ok()
}

impl Daemon {
    /// The instance is started, or its wishes changed.
    pub(crate) fn sync_cron(&self, id: PmId) {
        let wish = self.table.borrow().records.get(&id).and_then(Wish::of);
        let known = self.crons.jobs.borrow().get(&id).map(|job| job.wish.clone());
        if wish == known {
            return;
        }
        let Some(wish) = wish else { return self.forget_cron(id) };
        let pattern = wish.pattern.clone();
        match wish.job(now().wall) {
            Ok(job) => {
                self.log.log(&format!("[PM2][WORKER] Registering a cron job on: {id}"));
                self.crons.jobs.borrow_mut().insert(id, job);
                self.crons.changed.notify_one();
            }
            Err(error) => {
                self.log.error(&format!("App id {id} is not restarted at {pattern:?} (cron_restart): {error}"));
                self.forget_cron(id);
            }
        }
    }

    /// The instance is gone, or wants it no more.
    pub(crate) fn forget_cron(&self, id: PmId) {
        if self.crons.jobs.borrow_mut().remove(&id).is_some() {
            self.log.log(&format!("[PM2] Deregistering a cron job on: {id}"));
        }
    }

    /// Restarts whoever is due. Runs as long as the daemon.
    pub(crate) async fn keep_cron(self: Rc<Self>) {
        let mut seen = 0;
        loop {
            let changed = self.crons.changed.notified();
            if self.crons.jobs.borrow().is_empty() {
                changed.await;
                continue;
            }
            let now = now().wall;
            for id in self.due_now(now, now < seen) {
                self.feed(Input::Command { id, verb: Verb::Restart, ticket: None });
            }
            seen = now;
            let due = self.crons.jobs.borrow().values().filter_map(|job| job.due).min();
            let left = due.map_or(LONGEST_SLEEP, |due| Duration::from_millis(due.saturating_sub(now)));
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(left.min(LONGEST_SLEEP)) => {}
            }
        }
    }

    /// Each that is due, once however often it was missed. After the clock was set back all are planned anew.
    fn due_now(&self, now: u64, set_back: bool) -> Vec<PmId> {
        let mut due = Vec::new();
        for (id, job) in self.crons.jobs.borrow_mut().iter_mut() {
            let is_due = job.due.is_some_and(|due| due <= now);
            if is_due {
                due.push(*id);
            }
            if is_due || set_back {
                job.plan(now);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(pattern: &str, zone: Option<&str>, now: u64) -> Result<Job, String> {
        Wish { pattern: pattern.to_owned(), zone: zone.map(str::to_owned) }.job(now)
    }

    #[test]
    fn the_next_time_is_that_of_the_zone() {
        // 2026-01-01T00:00:00Z, one hour later in Berlin.
        let new_year = 1_767_225_600_000;
        let at = |zone| job("0 12 * * *", Some(zone), new_year).unwrap().due.unwrap();
        assert_eq!(at("UTC"), new_year + 12 * 3_600_000);
        assert_eq!(at("Europe/Berlin"), new_year + 11 * 3_600_000);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_words() {
        assert!(job("61 * * * *", None, 0).is_err());
        assert!(job("* * * * *", Some("Europe/Nowhere"), 0).unwrap_err().contains("Europe/Nowhere"));
        assert_eq!(job("0 0 30 2 *", Some("UTC"), 0).map(|job| job.due), Ok(None), "there is no such day");
    }
}
