//! All log files in use: one for each path, however many apps share it.
//!
//! Owns: the table by path, and the defaults of rotation. Must never: keep a file open that nobody uses.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};

use super::file::LogFile;
use super::rotation::RotationSpec;

/// All log files in use, by path.
#[derive(Debug, Default)]
pub(super) struct LogFiles {
    files: RefCell<HashMap<PathBuf, Weak<LogFile>>>,
    /// With so many paths those that nobody uses are forgotten.
    tidy_at: Cell<usize>,
    /// What holds for apps that say nothing about rotation.
    defaults: Cell<RotationSpec>,
}

impl LogFiles {
    /// The file of this path, not necessarily open.
    pub(super) fn get(&self, path: &Path) -> Rc<LogFile> {
        let mut files = self.files.borrow_mut();
        if let Some(file) = files.get(path).and_then(Weak::upgrade) {
            return file;
        }
        if files.len() >= self.tidy_at.get() {
            files.retain(|_, file| file.strong_count() > 0);
            self.tidy_at.set(2 * files.len().max(8));
        }
        let file = Rc::new(LogFile::new(path));
        files.insert(path.to_owned(), Rc::downgrade(&file));
        file
    }

    fn all(&self) -> Vec<Rc<LogFile>> {
        self.files.borrow().values().filter_map(Weak::upgrade).collect()
    }

    /// Sets what holds for apps that say nothing about rotation.
    pub(super) fn set_defaults(&self, defaults: RotationSpec) {
        self.defaults.set(defaults);
        for file in self.all() {
            file.set_defaults(defaults);
        }
    }

    /// Sets what an app says about one of its files; the last one to say so wins.
    pub(super) fn set_rotation(&self, file: &LogFile, spec: RotationSpec) {
        file.set_rotation(spec, self.defaults.get());
    }

    /// Opens every file again; answers what could not be opened.
    pub(super) fn reopen(&self) -> Vec<String> {
        self.all()
            .iter()
            .filter_map(|file| {
                let error = file.reopen().err()?;
                Some(format!("cannot open log file {} again: {error}; the old one stays open", file.path().display()))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::Written;
    use super::super::journal::FileMark;
    use super::*;

    #[test]
    fn a_file_that_cannot_be_opened_is_spoken_of_once_and_then_recovers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.log");
        std::fs::write(folder.path().join("a"), "in the way").unwrap();
        let files = LogFiles::default();
        let file = files.get(&path);
        let news = file.append(b"12345", 0, |_, _| ()).news.unwrap();
        assert!(news.text.contains("5 bytes") && news.code.as_deref() == Some("ENOTDIR"), "{news:?}");
        assert_eq!(file.append(b"1", 0, |_, _| ()), Written::default(), "not again so soon");

        std::fs::remove_file(folder.path().join("a")).unwrap();
        file.ensure_open().unwrap();
        let news = file.append(b"x", 0, |_, _| ()).news.unwrap();
        assert!(news.text.contains("6 bytes of output were dropped") && news.code.is_none(), "{news:?}");
        assert_eq!(std::fs::read(&path).unwrap(), b"x");
    }

    #[test]
    fn a_full_disk_drops_and_is_counted() {
        let files = LogFiles::default();
        let file = files.get(Path::new("/dev/full"));
        let news = file.append(b"abc", 0, |_, _| ()).news.unwrap();
        assert!(news.text.contains("3 bytes") && news.code.as_deref() == Some("ENOSPC"), "{news:?}");
        assert_eq!(file.append(b"abc", 0, |_, _| ()), Written::default());
        assert_eq!(file.dropped(), 6);
    }

    #[test]
    fn paths_that_nobody_uses_are_forgotten() {
        let files = LogFiles::default();
        let used: Vec<_> = (0..50).map(|number| files.get(Path::new(&format!("used {number}")))).collect();
        for number in 0..1000 {
            drop(files.get(Path::new(&format!("passing {number}"))));
        }
        assert!(files.files.borrow().len() <= 4 * used.len(), "{}", files.files.borrow().len());
        assert_eq!(files.all().len(), used.len());
    }

    #[test]
    fn one_path_is_one_file_until_nobody_uses_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        let files = LogFiles::default();
        let (one, two) = (files.get(&path), files.get(&path));
        assert!(Rc::ptr_eq(&one, &two));
        one.append(b"1", 0, |_, _| ());
        std::fs::rename(&path, folder.path().join("old")).unwrap();
        two.append(b"2", 0, |_, _| ());
        assert!(files.reopen().is_empty());
        one.append(b"3", 0, |_, _| ());
        assert_eq!(std::fs::read(folder.path().join("old")).unwrap(), b"12");
        assert_eq!(std::fs::read(&path).unwrap(), b"3");
    }

    #[test]
    fn what_an_earlier_daemon_wrote_is_measured() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        let files = LogFiles::default();
        let file = files.get(&path);
        let before = Cell::new(None);
        file.append(b"12345", 0, |_, mark| before.set(Some(mark)));
        let before = before.get().unwrap();
        assert_eq!((before.size, file.already_written(before, 9), file.already_written(before, 3)), (0, 5, 3));
        let rotated = FileMark { inode: before.inode + 1, ..before };
        assert_eq!(file.already_written(rotated, 9), 0);
        assert_eq!(file.already_written(FileMark { size: 50, ..before }, 9), 0, "truncated since");
    }
}
