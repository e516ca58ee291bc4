//! What is said about a file that cannot be written.
//!
//! Owns: the count of dropped bytes, and when it is told. Must never: speak more than once a minute for each file.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::super::error_code;

/// A failing file is spoken of so often.
pub(super) const SAY_AGAIN: Duration = Duration::from_mins(1);

/// Something happened to a file that its owner should know.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::daemon::logs) struct News {
    /// For people.
    pub(in crate::daemon::logs) text: String,
    /// `ENOSPC` and the like; `None`: all is well again.
    pub(in crate::daemon::logs) code: Option<String>,
    /// Bytes so far.
    pub(in crate::daemon::logs) dropped: u64,
}

/// How a file fares.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Bytes that are not in it and have not been told of as recovered.
    pub(super) dropped: u64,
    /// The last time that a failure was told.
    said_at: Option<Instant>,
    /// The failure was told, its end was not.
    said: bool,
}

impl Health {
    /// So many bytes did not go in. Without an error: for a reason that was told before.
    pub(super) fn dropped(
        &mut self,
        path: &Path,
        bytes: usize,
        error: Option<&io::Error>,
        now: Instant,
    ) -> Option<News> {
        self.dropped += bytes as u64;
        let error = error?;
        if self.said_at.is_some_and(|at| now.duration_since(at) < SAY_AGAIN) {
            return None;
        }
        (self.said_at, self.said) = (Some(now), true);
        let (dropped, path) = (self.dropped, path.display());
        Some(News {
            text: format!("cannot write to log file {path}: {error}; {dropped} bytes of output dropped so far"),
            code: Some(error_code(error)),
            dropped,
        })
    }

    /// All went in. Said once for each failure that was told: a disk that is full again and again is not worth a line each
    /// time.
    pub(super) fn recovered(&mut self, path: &Path) -> Option<News> {
        if self.dropped == 0 || !std::mem::take(&mut self.said) {
            return None;
        }
        let dropped = std::mem::take(&mut self.dropped);
        let text = format!("log file {} can be written again; {dropped} bytes of output were dropped", path.display());
        Some(News { text, code: None, dropped })
    }

    /// It cannot be rotated, and grows.
    pub(super) fn stuck(&self, path: &Path, error: &io::Error) -> News {
        let text = format!("cannot rotate log file {}: {error}; it grows beyond its limit", path.display());
        News { text, code: Some(error_code(error)), dropped: self.dropped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_once_a_minute_with_what_was_lost_until_then() {
        let (path, start, error) = (Path::new("/l/a.log"), Instant::now(), io::Error::from_raw_os_error(28));
        let mut health = Health::default();
        assert_eq!(health.recovered(path), None);
        let mut told = Vec::new();
        for second in 0..=120 {
            told.extend(health.dropped(path, 10, Some(&error), start + Duration::from_secs(second)));
        }
        assert_eq!(told.iter().map(|news| news.dropped).collect::<Vec<_>>(), [10, 610, 1210]);
        assert!(told.iter().all(|news| news.code.as_deref() == Some("ENOSPC")));
        assert_eq!(health.dropped(path, 5, None, start + Duration::from_hours(1)), None, "its cause was told");
        let news = health.recovered(path).unwrap();
        assert_eq!((news.code, news.dropped), (None, 1215));
        assert_eq!(health.recovered(path), None);
    }
}
