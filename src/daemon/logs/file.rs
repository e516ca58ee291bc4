//! One open log file.
//!
//! Owns: when it is opened, appended to, opened again and rotated. Must never: lose a byte silently, or truncate.
//!
//! A file that was renamed by another program is written to until `reopen`; one that was deleted is made anew.

mod health;
mod raw;

use std::cell::{Cell, RefCell};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use self::health::{Health, SAY_AGAIN};
use self::raw::{ends_with_line, is_writable, mark, open_append, write_all};
use super::journal::FileMark;
use super::rotation::{self, Plan, Rotation, RotationSpec, plan};

pub(super) use self::health::News;

/// A file that could not be opened is tried again so often.
const OPEN_AGAIN: Duration = Duration::from_secs(1);

/// How much a file takes without waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Room {
    /// A pipe or terminal that is full: whoever reads it is slow, so we read slower, too.
    None,
    /// A pipe or terminal: less than a page for certain.
    Little,
    Any,
}

/// One log file; open while a stream or a start uses it.
#[derive(Debug)]
pub(in crate::daemon) struct LogFile {
    path: PathBuf,
    /// Streams that write to it now.
    streams: Cell<usize>,
    /// What the app says, and what holds together with the defaults.
    spec: Cell<RotationSpec>,
    rotation: Cell<Rotation>,
    inner: RefCell<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    file: Option<File>,
    /// Not a regular file: it may be full for a while.
    special: bool,
    opened_at: Option<Instant>,
    /// When its first byte was written, about.
    begun: Option<SystemTime>,
    /// Whether it ends with a whole line; `None`: nobody has looked.
    line_end: Option<bool>,
    /// Rotating has failed: not again before.
    rotate_again: Option<Instant>,
    health: Health,
}

/// What is to be told after a write.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) news: Option<News>,
    /// There is a new old file.
    pub(super) rotated: bool,
}

impl LogFile {
    /// The file of this path, not open yet.
    pub(in crate::daemon) fn new(path: &Path) -> LogFile {
        LogFile {
            path: path.to_owned(),
            streams: Cell::new(0),
            spec: Cell::default(),
            rotation: Cell::default(),
            inner: RefCell::default(),
        }
    }

    pub(in crate::daemon) fn path(&self) -> &Path {
        &self.path
    }

    /// What holds for this file now.
    pub(super) fn rotation(&self) -> Rotation {
        self.rotation.get()
    }

    /// Sets what an app says about it, beside the defaults.
    pub(in crate::daemon) fn set_rotation(&self, spec: RotationSpec, defaults: RotationSpec) {
        self.spec.set(spec);
        self.set_defaults(defaults);
    }

    /// Sets what holds where the app is silent.
    pub(super) fn set_defaults(&self, defaults: RotationSpec) {
        self.rotation.set(self.spec.get().or(defaults));
    }

    #[cfg(test)]
    pub(super) fn dropped(&self) -> u64 {
        self.inner.borrow().health.dropped
    }

    /// Opens it if it is not open.
    pub(super) fn ensure_open(&self) -> io::Result<()> {
        let mut inner = self.inner.borrow_mut();
        if inner.file.is_none() {
            inner.opened_at = Some(Instant::now());
            inner.set(open_append(&self.path)?);
        }
        Ok(())
    }

    /// Opens it again by its name. What is open stays if that fails.
    pub(in crate::daemon) fn reopen(&self) -> io::Result<()> {
        let file = open_append(&self.path)?;
        self.inner.borrow_mut().set(file);
        Ok(())
    }

    pub(super) fn join(&self) {
        self.streams.set(self.streams.get() + 1);
    }

    pub(super) fn leave(&self) {
        self.streams.set(self.streams.get().saturating_sub(1));
    }

    /// How much it takes now without making us wait.
    pub(super) fn room(&self) -> Room {
        let inner = self.inner.borrow();
        match &inner.file {
            Some(file) if inner.special => {
                if is_writable(file) {
                    Room::Little
                } else {
                    Room::None
                }
            }
            _ => Room::Any,
        }
    }

    /// Whether several streams write to it.
    pub(super) fn is_shared(&self) -> bool {
        self.streams.get() > 1
    }

    /// Appends `data` without its first `done` bytes, or drops what does not go in. `before` is told how much is done and
    /// what the file is, right before each write.
    pub(super) fn append(&self, data: &[u8], mut done: usize, mut before: impl FnMut(usize, FileMark)) -> Written {
        let mut inner = self.inner.borrow_mut();
        let inner = &mut *inner;
        let mut written = Written::default();
        let result = loop {
            let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) else { break Ok(()) };
            match self.append_some(inner, rest, &mut written, |mark| before(done, mark)) {
                Ok(count) => done += count,
                Err((count, error)) => {
                    done += count;
                    break Err(error);
                }
            }
        };
        let news = match result {
            Ok(()) => inner.health.recovered(&self.path),
            Err(error) => inner.health.dropped(&self.path, data.len() - done, error.as_ref(), Instant::now()),
        };
        written.news = written.news.or(news);
        written
    }

    /// Appends a line, or loses it.
    pub(in crate::daemon) fn write_line(&self, line: &[u8]) {
        self.append(line, 0, |_, _| ());
    }

    /// Appends as much as goes into this file, or makes room for it. An error without a cause was told before.
    fn append_some(
        &self,
        inner: &mut Inner,
        rest: &[u8],
        written: &mut Written,
        before: impl FnOnce(FileMark),
    ) -> Result<usize, (usize, Option<io::Error>)> {
        let failed = |error| (0, Some(error));
        if inner.file.is_none() {
            let now = Instant::now();
            if inner.opened_at.is_some_and(|at| now.duration_since(at) < OPEN_AGAIN) {
                return Err((0, None));
            }
            inner.opened_at = Some(now);
            inner.set(open_append(&self.path).map_err(failed)?);
        }
        let Some(file) = &inner.file else { return Err((0, None)) };
        let metadata = file.metadata().map_err(failed)?;
        if metadata.nlink() == 0 && !inner.special {
            // Deleted, maybe with its folder: what we write would never be seen.
            inner.file = None;
            inner.opened_at = None;
            return Ok(0);
        }
        let size = metadata.len();
        if size == 0 {
            inner.line_end = Some(true);
        }
        let limit = if inner.special { None } else { self.limit(inner, size) };
        let count = match limit.map_or(Plan::Write(rest.len()), |limit| {
            plan(limit, size, || inner.line_end.unwrap_or_else(|| ends_with_line(&self.path, size)), rest)
        }) {
            Plan::Write(count) => count,
            Plan::Rotate => {
                match self.rotate(inner, &metadata) {
                    Ok(()) => written.rotated = true,
                    Err(error) => {
                        inner.rotate_again = Some(Instant::now() + SAY_AGAIN);
                        written.news = Some(inner.health.stuck(&self.path, &error));
                    }
                }
                return Ok(0);
            }
        };
        let Some(file) = &inner.file else { return Err((0, None)) };
        if inner.health.dropped > 0 && inner.line_end == Some(false) && !inner.special {
            // The line that the full disk has cut is closed, so that the next one is whole.
            match write_all(file, b"\n") {
                (_, Ok(())) => inner.line_end = Some(true),
                (_, Err(error)) => return Err(failed(error)),
            }
            before(mark(&file.metadata().map_err(failed)?));
        } else {
            before(mark(&metadata));
        }
        let piece = rest.get(..count).unwrap_or_default();
        let (count, result) = write_all(file, piece);
        if let Some(last) = count.checked_sub(1).and_then(|last| piece.get(last)) {
            inner.line_end = Some(*last == b'\n');
        }
        result.map_err(|error| (count, Some(error)))?;
        Ok(count)
    }

    /// Most bytes that the file may have now.
    fn limit(&self, inner: &mut Inner, size: u64) -> Option<u64> {
        let rotation = self.rotation.get();
        if !rotation.is_on() || inner.rotate_again.is_some_and(|at| Instant::now() < at) {
            return None;
        }
        if let Some(age) = rotation.max_age {
            let now = SystemTime::now();
            if size == 0 {
                inner.begun = Some(now);
            } else if inner.begun.is_some_and(|begun| now.duration_since(begun).is_ok_and(|old| old >= age)) {
                return Some(0);
            }
        }
        Some(rotation.max_size.unwrap_or(u64::MAX >> 1))
    }

    /// The file becomes the first of the old ones, and a new one is begun. If that fails, all is as before.
    fn rotate(&self, inner: &mut Inner, metadata: &Metadata) -> io::Result<()> {
        // Through a symbolic link, or the link itself would be renamed.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let named = fs::metadata(&path).ok();
        #[cfg(test)]
        super::tests::at_every_step();
        let is_ours = |named: &Metadata| (named.dev(), named.ino()) == (metadata.dev(), metadata.ino());
        if !named.as_ref().is_some_and(is_ours) {
            // Another program was faster; its work is done when the name is opened again.
            inner.set(open_append(&self.path)?);
            return Ok(());
        }
        let keep = self.rotation.get().keep;
        rotation::shift(&path, keep)?;
        #[cfg(test)]
        super::tests::at_every_step();
        let first = rotation::numbered(&path, 1, false);
        let file = open_append(&path).inspect_err(|_| {
            // Back again, best effort: what is open is written to in any case.
            let _ = fs::rename(&first, &path);
        })?;
        // Whoever could read the old one can read the new one. What may not be given away stays ours.
        let _ = file.set_permissions(metadata.permissions());
        let _ = fchown(&file, Some(metadata.uid()), Some(metadata.gid()));
        if keep == 0 {
            let _ = fs::remove_file(&first);
        }
        inner.set(file);
        Ok(())
    }

    /// How much of `length` bytes an earlier daemon has appended to the file it saw as `before`.
    pub(super) fn already_written(&self, before: FileMark, length: usize) -> usize {
        if self.ensure_open().is_err() {
            return 0;
        }
        let inner = self.inner.borrow();
        let Some(metadata) = inner.file.as_ref().and_then(|file| file.metadata().ok()) else { return 0 };
        if !metadata.is_file() {
            // A pipe or a terminal does not tell; most likely it has all.
            return length;
        }
        let now = mark(&metadata);
        let size = if (now.device, now.inode) == (before.device, before.inode) {
            now.size
        } else {
            // Rotated since: by that daemon when it was full, or by another program.
            let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
            let found = rotation::find(&path, before).and_then(|path| fs::metadata(path).ok());
            found.map_or(0, |metadata| metadata.len())
        };
        size.checked_sub(before.size).map_or(0, |grown| usize::try_from(grown).unwrap_or(length).min(length))
    }
}

impl Inner {
    fn set(&mut self, file: File) {
        let metadata = file.metadata().ok();
        self.special = metadata.as_ref().is_some_and(|metadata| !metadata.is_file());
        let size = metadata.as_ref().map_or(0, Metadata::len);
        self.line_end = (size == 0).then_some(true);
        let created =
            metadata.filter(|_| size > 0).and_then(|found| found.created().or_else(|_| found.modified()).ok());
        self.begun = Some(created.unwrap_or_else(SystemTime::now));
        self.file = Some(file);
    }
}
