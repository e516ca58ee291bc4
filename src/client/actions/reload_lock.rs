//! `reload.lock`: one reload at a time of one target (contract/api.md section 12.4, where it is one in a home).
//!
//! Owns: the file's content: a time stamp in milliseconds while a reload runs, and behind it what is reloaded; nothing
//! otherwise. Stock clients write only the former, and read no further. That the same process is never reloaded twice
//! at once is the daemon's business; this only tells a second caller early.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::client::error::CallError;
use crate::client::session::Session;

/// A lock older than this was left by a client that died, in milliseconds (`PM2_RELOAD_LOCK_TIMEOUT`).
const DEFAULT_TIMEOUT: u64 = 30_000;

/// Most of the file that is looked at, in bytes.
const MAX_CONTENT: u64 = 64 << 10;

/// A reload is running. Emptied when dropped, so after success, error and a cancelled call.
#[derive(Debug)]
pub(super) struct ReloadLock {
    path: PathBuf,
}

impl ReloadLock {
    /// Takes the lock for `target`; with `force` also while somebody has it.
    pub(super) fn take(session: &Session, target: &str, force: bool) -> Result<ReloadLock, CallError> {
        let timeout = session.variable("PM2_RELOAD_LOCK_TIMEOUT").and_then(|text| text.parse().ok());
        crate::client::files::create_home(session.home())?;
        Self::take_file(&session.home().reload_lock, target, timeout.unwrap_or(DEFAULT_TIMEOUT), force)
    }

    fn take_file(path: &Path, target: &str, timeout: u64, force: bool) -> Result<ReloadLock, CallError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(CallError::io("open", path))?;
        // Between clients of ours, looking and writing is one step; it takes no time worth waiting for elsewhere.
        let taken = file.lock().and_then(|()| stamp(&mut file)).map_err(CallError::io("read", path))?;
        let running = taken.is_some_and(|(stamp, other)| {
            now.saturating_sub(stamp) < u128::from(timeout) && (other.is_empty() || other == target)
        });
        if running && !force {
            return Err(CallError::refused("RELOAD_IN_PROGRESS", "Reload in progress"));
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(format!("{now} {target}").as_bytes()));
        written.map_err(CallError::io("write", path))?;
        Ok(ReloadLock { path: path.to_owned() })
    }
}

impl Drop for ReloadLock {
    fn drop(&mut self) {
        let _ = OpenOptions::new().write(true).truncate(true).open(&self.path);
    }
}

/// When the last reload began, and of what: empty if a stock client does not say.
fn stamp(file: &mut File) -> std::io::Result<Option<(u128, String)>> {
    let mut bytes = Vec::new();
    file.take(MAX_CONTENT).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let (stamp, target) = text.trim_start().split_once(' ').unwrap_or((text.trim(), ""));
    Ok(stamp.parse().ok().map(|stamp| (stamp, target.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_reload_is_refused_until_the_first_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reload.lock");
        let first = ReloadLock::take_file(&path, "web", 30_000, false).unwrap();
        let refused = ReloadLock::take_file(&path, "web", 30_000, false).unwrap_err();
        assert_eq!((refused.to_string().as_str(), refused.code()), ("Reload in progress", "RELOAD_IN_PROGRESS"));
        drop(ReloadLock::take_file(&path, "web", 30_000, true).unwrap());
        drop(first);
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        ReloadLock::take_file(&path, "web", 30_000, false).unwrap();
    }

    #[test]
    fn another_app_does_not_wait_and_a_stock_client_stops_everybody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reload.lock");
        let first = ReloadLock::take_file(&path, "my web", 30_000, false).unwrap();
        assert!(ReloadLock::take_file(&path, "my web", 30_000, false).is_err());
        drop(ReloadLock::take_file(&path, "api", 30_000, false).unwrap());
        drop(first);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        std::fs::write(&path, now.to_string()).unwrap();
        assert!(ReloadLock::take_file(&path, "api", 30_000, false).is_err());
    }

    #[test]
    fn an_old_or_broken_lock_stops_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reload.lock");
        for content in ["1", "", "rubbish", "99999999999999999999999999999999999999999"] {
            std::fs::write(&path, content).unwrap();
            let lock = ReloadLock::take_file(&path, "web", 30_000, false);
            assert!(lock.is_ok(), "content {content:?}");
        }
    }
}
