//! The lock that keeps a second keeper or daemon out of one home.
//!
//! Owns: `flock` on a file. The lock lives as long as any copy of the descriptor, in any process: it is handed over by
//! handing over the descriptor, and there is no moment in between at which it is free.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Takes the lock of `path` (created with mode 0600), without waiting. `None` while somebody else has it.
pub fn try_lock(path: &Path) -> io::Result<Option<OwnedFd>> {
    // std's try_lock is flock, which belongs to the open file description; never unlocked but by the last close.
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file.into())),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_lives_as_long_as_any_copy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = try_lock(&path).unwrap().unwrap();
        let copy = first.try_clone().unwrap();
        assert!(try_lock(&path).unwrap().is_none());
        drop(first);
        assert!(try_lock(&path).unwrap().is_none(), "the copy still holds it");
        drop(copy);
        assert!(try_lock(&path).unwrap().is_some());
    }
}
