//! From the apps' stdout and stderr to files and bus (contract/options.md section 7; design.md section 5).
//!
//! Owns: the readers of the pipes, the open log files (one per path, however many apps share it), the formats, and the
//! journal that makes a `kill -9` of the daemon cost no byte.
//! Must never: stop reading a pipe, cut a line of a shared file, allocate per chunk, or let a full disk stop an app.

mod compress;
mod date;
mod file;
mod files;
mod format;
mod journal;
mod rotation;
mod spec;
mod stream;
#[cfg(test)]
mod tests;
mod text;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;

use serde::Serialize;
use thiserror::Error;
use tokio::sync::Notify;

pub use date::DateFormat;
pub use format::Format;
pub use rotation::RotationSpec;
pub use spec::{LogSpec, Tag};

use self::compress::Compressor;
pub(super) use self::file::LogFile;
use self::file::Written;
use self::files::LogFiles;
use self::journal::{Journal, StreamKey, Unfinished};
use self::stream::{Carry, Drain, Stream, pump};
use super::bus::Bus;
use super::daemon_log::DaemonLog;
use crate::model::RunId;
use crate::sys::clock;
use crate::sys::pipe::set_nonblocking;

/// The name under which the keeper holds the journal's memory (`ToKeeper::Hold`).
pub const JOURNAL_NAME: &str = "log-journal";

/// All log streams and files of the daemon. A cheap handle.
#[derive(Clone)]
pub struct Logs {
    shared: Rc<Shared>,
    /// Beside the `RefCell`, so that it can be lent.
    journal: Rc<OwnedFd>,
}

struct Shared {
    bus: Bus,
    daemon_log: DaemonLog,
    files: LogFiles,
    compressor: Rc<Compressor>,
    engine: RefCell<Engine>,
    unfinished: RefCell<Option<Unfinished>>,
    attached: RefCell<Vec<StreamKey>>,
    running: Cell<bool>,
    resume: Notify,
}

/// What the streams share, one chunk at a time.
struct Engine {
    journal: Journal,
    /// Formatted output; grows to the largest chunk and stays.
    out: Vec<u8>,
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs").finish_non_exhaustive()
    }
}

/// A log file that cannot be opened.
#[derive(Debug, Error)]
#[error("{code}: cannot open log file {}: {source}", path.display())]
pub struct LogOpenError {
    /// `EISDIR`, `EACCES`, ...: what clients of pm2 look for.
    pub code: String,
    pub path: PathBuf,
    pub source: io::Error,
}

impl Logs {
    /// The log room. `journal` is what the keeper held under [`JOURNAL_NAME`] (`None` for the first daemon: new memory is
    /// made; also when it is not ours). Nothing is read from any pipe before [`Logs::resume`].
    pub fn open(bus: Bus, daemon_log: DaemonLog, journal: Option<OwnedFd>) -> io::Result<Logs> {
        let journal = match journal.and_then(|fd| Journal::open(fd).ok()) {
            Some(journal) => journal,
            None => Journal::create()?,
        };
        let fd = Rc::new(journal.as_fd().try_clone_to_owned()?);
        let unfinished = journal.unfinished();
        let shared = Shared {
            bus,
            daemon_log,
            files: LogFiles::default(),
            compressor: Rc::default(),
            engine: RefCell::new(Engine { journal, out: Vec::new() }),
            unfinished: RefCell::new(unfinished),
            attached: RefCell::default(),
            running: Cell::new(false),
            resume: Notify::new(),
        };
        Ok(Logs { shared: Rc::new(shared), journal: fd })
    }

    /// The journal's memory, to be held by the keeper under [`JOURNAL_NAME`] before the first app is started.
    pub fn journal(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&*self.journal)
    }

    /// Starts reading. Call it once, when every running app was attached (after the keeper's `Ready`): until then the
    /// journal of an earlier daemon waits for its stream.
    pub fn resume(&self) {
        if self.shared.running.replace(true) {
            return;
        }
        let attached = self.shared.attached.take();
        {
            let engine = self.shared.engine.borrow();
            engine.journal.keep_slots(|stream| attached.contains(&stream));
            engine.journal.idle();
        }
        if self.shared.unfinished.take().is_some() {
            self.shared.daemon_log.error("some output of an app that is gone could not be completed in its log file");
        }
        self.shared.resume.notify_waiters();
    }

    /// Opens (and creates, with parent folders) the files of `spec`, so that a start can fail with the reason. Call it
    /// right before the spawn.
    pub fn prepare(&self, spec: &LogSpec) -> Result<(), LogOpenError> {
        for path in [&spec.out, &spec.err, &spec.combined].into_iter().flatten() {
            self.shared.files.get(path).ensure_open().map_err(|source| LogOpenError {
                code: error_code(&source),
                path: path.clone(),
                source,
            })?;
        }
        Ok(())
    }

    /// Reads both pipes of one run until their end, in tasks of the `LocalSet`. Files that cannot be opened are tried
    /// again later; what the app writes meanwhile is dropped and counted. For a run that an earlier daemon started, what
    /// that daemon had begun to write is completed first.
    pub fn attach(&self, run: RunId, spec: LogSpec, stdout: OwnedFd, stderr: OwnedFd) -> io::Result<AppLogs> {
        set_nonblocking(&stdout)?;
        set_nonblocking(&stderr)?;
        let tag = Rc::new(RefCell::new(spec.tag));
        let waiters = Rc::new(Notify::new());
        let make = |is_err: bool, own: Option<&PathBuf>| {
            let key = StreamKey::new(run, is_err);
            let mut targets = Vec::new();
            for path in [own, spec.combined.as_ref()].into_iter().flatten() {
                let file = self.shared.files.get(path);
                if !spec.disabled && !targets.iter().any(|other| Rc::ptr_eq(other, &file)) {
                    file.join();
                    self.shared.files.set_rotation(&file, spec.rotation);
                    // What an earlier daemon did not get done.
                    self.shared.compress(&file);
                    targets.push(file);
                }
            }
            Rc::new(Stream {
                key,
                kind: if is_err { "err" } else { "out" },
                format: spec.format.clone(),
                disabled: spec.disabled,
                targets,
                tag: Rc::clone(&tag),
                carry: RefCell::new(Carry::found(&self.shared.engine.borrow().journal, key)),
                text: RefCell::default(),
                drain: Drain { waiters: Rc::clone(&waiters), ..Drain::default() },
            })
        };
        let streams = [make(false, spec.out.as_ref()), make(true, spec.err.as_ref())];
        for (stream, fd) in streams.iter().zip([stdout, stderr]) {
            let unfinished = self.shared.unfinished.borrow_mut().take_if(|left| left.stream == stream.key);
            if let Some(left) = unfinished {
                stream.complete(&self.shared, &left);
            }
            if !self.shared.running.get() {
                self.shared.attached.borrow_mut().push(stream.key);
            }
            tokio::task::spawn_local(pump(Rc::clone(&self.shared), Rc::clone(stream), fd));
        }
        Ok(AppLogs { streams, tag, waiters })
    }

    /// Sets when the files of apps that say nothing about it, and the daemon's own log, are rotated, at once for all.
    pub fn set_rotation_defaults(&self, defaults: RotationSpec) {
        self.shared.files.set_defaults(defaults);
        self.shared.daemon_log.set_rotation(defaults);
    }

    /// Opens every file again by its name (`reloadLogs`, SIGUSR2): for an external logrotate.
    pub fn reopen(&self) {
        for complaint in self.shared.files.reopen() {
            self.shared.daemon_log.error(&complaint);
        }
        self.shared.daemon_log.reopen();
    }
}

/// The payload of `pm2rs:log_dropped` and `pm2rs:log_recovered`, events of our own.
#[derive(Serialize)]
struct FileEvent<'a> {
    path: String,
    /// `ENOSPC` and the like; null in `pm2rs:log_recovered`.
    code: Option<String>,
    /// Bytes so far.
    dropped: u64,
    message: &'a str,
    at: u64,
}

impl Shared {
    /// Passes on what came of a write: to `pm2.log`, to the bus, and to the compressor.
    fn tell(&self, file: &LogFile, written: Written) {
        if let Some(news) = written.news {
            self.daemon_log.error(&news.text);
            let topic = if news.code.is_some() { "pm2rs:log_dropped" } else { "pm2rs:log_recovered" };
            let path = file.path().to_string_lossy().into_owned();
            let (code, dropped, at) = (news.code, news.dropped, clock::now().1);
            self.bus.publish(topic, &FileEvent { path, code, dropped, message: &news.text, at });
        }
        if written.rotated {
            self.compress(file);
        }
    }

    fn compress(&self, file: &LogFile) {
        let rotation = file.rotation();
        if rotation.is_on() && rotation.compress {
            let log = self.daemon_log.clone();
            let path = fs::canonicalize(file.path()).unwrap_or_else(|_| file.path().to_owned());
            self.compressor.push(path, move |text| log.error(text));
        }
    }

    async fn resumed(&self) {
        let resumed = self.resume.notified();
        if !self.running.get() {
            resumed.await;
        }
    }
}

/// The two streams of one run. Dropping it stops nothing: the pipes are read until their end.
#[derive(Debug, Clone)]
pub struct AppLogs {
    streams: [Rc<Stream>; 2],
    tag: Rc<RefCell<Tag>>,
    waiters: Rc<Notify>,
}

impl AppLogs {
    /// The process has ended. Completes when everything it wrote is in the files: at the end of both pipes, or, when
    /// grandchildren keep them open, when what was in them is written. An unfinished last line is written too. May be
    /// called again, and dropped, at any time.
    pub async fn drained(&self) {
        for stream in &self.streams {
            stream.drain.asked.notify_one();
        }
        loop {
            let changed = self.waiters.notified();
            if self.streams.iter().all(|stream| stream.drain.done.get()) {
                return;
            }
            changed.await;
        }
    }

    /// The app was renamed, or its git revision became known: what the bus says about it from now on.
    pub fn set_tag(&self, tag: Tag) {
        *self.tag.borrow_mut() = tag;
    }
}

/// `EISDIR` and the like.
fn error_code(error: &io::Error) -> String {
    let errno = nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(0));
    match errno {
        nix::errno::Errno::UnknownErrno => "EIO".to_owned(),
        errno => format!("{errno:?}"),
    }
}
