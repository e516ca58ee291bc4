//! The pid file of one instance (contract/options.md section 7.4): decimal pid, no newline.
//!
//! Must never: remove a file that names another process, or fail a start.

use std::path::Path;

use crate::sys::file::{self, Durability};

/// Writes the pid. A file that cannot be written is no reason not to run the app; the answer says why.
pub(crate) fn write(path: &str, pid: i32) -> std::io::Result<()> {
    let path = Path::new(path);
    let text = pid.to_string();
    // A next daemon finds the files of all that runs: reading is much less than replacing.
    if std::fs::read(path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        file::create_directory(folder)?;
    }
    file::replace(path, text.as_bytes(), Durability::Cache)
}

/// Removes the file if it still names this pid.
pub(crate) fn remove(path: &str, pid: i32) {
    if std::fs::read_to_string(path).is_ok_and(|text| text.trim() == pid.to_string()) {
        // It may have gone in between.
        let _ = std::fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_file_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pids/a-0.pid");
        let path = path.to_str().unwrap();
        write(path, 12).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "12");
        remove(path, 13);
        assert!(Path::new(path).exists());
        remove(path, 12);
        assert!(!Path::new(path).exists());
    }
}
