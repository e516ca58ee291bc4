//! The files that pm2 keeps on the caller's side: written whole or not at all.
//!
//! Owns: the layout of a home, atomic replacement. Does not own: what is in the files.
//! Invariant: a reader sees the old file or the new one, never half of one, whoever is killed when.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::CallError;
use crate::model::Home;

/// Makes what is missing of a home: the folder itself for its owner only, since sockets and dumps hold environments.
pub(super) fn create_home(home: &Home) -> Result<(), CallError> {
    let folder = |path: &Path, mode: u32| {
        DirBuilder::new().recursive(true).mode(mode).create(path).map_err(CallError::io("create the folder", path))
    };
    folder(&home.root, 0o700)?;
    for path in home.folders().chain([home.modules_dir.as_path()]) {
        folder(path, 0o755)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&home.module_conf_file) {
        Ok(mut file) => file.write_all(b"{}").map_err(CallError::io("write", &home.module_conf_file)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(CallError::io("create", &home.module_conf_file)(error)),
    }
}

/// Replaces a file: readable by its owner only, on disk before it is seen.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), CallError> {
    let next = beside(path);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&next, path)?;
        // The new name itself must be on disk, too; a file system that cannot sync folders has no need of it.
        let _ = path.parent().map(File::open).transpose()?.map(|folder| folder.sync_all());
        Ok(())
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&next);
    }
    written.map_err(CallError::io("write", path))
}

/// A name in the same folder that nobody else uses.
fn beside(path: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}-{}.tmp", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
    PathBuf::from(name)
}

/// The content of a file, `None` when there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, CallError> {
    match std::fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CallError::io("read", path)(error)),
    }
}

/// Empties a log file; one that is not there, or is no file (`/dev/null`), is left alone.
pub(super) fn truncate(path: &Path) -> Result<(), CallError> {
    let is_file = std::fs::metadata(path).is_ok_and(|found| found.is_file());
    if !is_file {
        return Ok(());
    }
    OpenOptions::new().write(true).truncate(true).open(path).map(drop).map_err(CallError::io("empty", path))
}

/// `path` made absolute against `base` and cleaned of `.` and `..`, as Node's `path.resolve` does: without a look at the
/// file system.
pub(super) fn resolve(base: &Path, path: &str) -> PathBuf {
    let mut resolved = PathBuf::new();
    for part in base.join(path).components() {
        match part {
            std::path::Component::ParentDir => {
                resolved.pop();
            }
            std::path::Component::CurDir => {}
            other => resolved.push(other),
        }
    }
    resolved
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_home_is_made_once_and_left_alone_later() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("a/b"), |_| None);
        create_home(&home).unwrap();
        assert_eq!(std::fs::metadata(&home.root).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(std::fs::read(&home.module_conf_file).unwrap(), b"{}");
        std::fs::write(&home.module_conf_file, "{\"a\":1}").unwrap();
        create_home(&home).unwrap();
        assert_eq!(std::fs::read(&home.module_conf_file).unwrap(), b"{\"a\":1}");
    }

    #[test]
    fn replacing_leaves_no_other_file_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dump.pm2");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_replacement_keeps_the_old_file_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        std::fs::create_dir_all(path.join("inside")).unwrap();
        assert!(replace(&path, b"x").is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn paths_resolve_as_in_node() {
        assert_eq!(resolve(Path::new("/a/b"), "../c/./d"), Path::new("/a/c/d"));
        assert_eq!(resolve(Path::new("/a/b"), "/x/../y"), Path::new("/y"));
        assert_eq!(resolve(Path::new("/a"), "../../../b"), Path::new("/b"));
    }
}
