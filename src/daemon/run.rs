//! One process of an instance: its descriptors, and how it is signalled.
//!
//! Owns: pidfd, stdin, channel and log streams of a run, and what is remembered of its tree.
//! Must never: signal by number: a pid may have been given to another process.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use super::channel::Channel;
use super::logs::AppLogs;
use crate::model::{PmId, RunId, Signal};
use crate::sys::{pidfd, pipe, ready};

/// Most bytes that wait for an app to read its stdin.
const MAX_STDIN: usize = 1 << 20;

/// Most bytes that one write takes: what a pipe holds by default.
const WRITE: usize = 64 << 10;

/// A process that runs, or has ended and is not yet told to the supervisor.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) id: PmId,
    pub(crate) number: RunId,
    pub(crate) pid: i32,
    pub(crate) start_time: u64,
    pub(crate) pidfd: Rc<OwnedFd>,
    pub(crate) channel: Option<Channel>,
    pub(crate) closed: Rc<Closed>,
    pub(crate) stdin: Option<Stdin>,
    pub(crate) logs: Option<AppLogs>,
    /// Copies of our ends of stdin, stdout, stderr and the channel: what a new keeper is given if this one is killed.
    pub(crate) copies: Vec<OwnedFd>,
    /// Its exit is being drained: no signal reaches anybody any more.
    pub(crate) ended: bool,
}

impl Run {
    /// Sends a signal to the process itself. `ESRCH` when it has ended.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        pidfd::send_signal(&*self.pidfd, signal)
    }
}

/// Whether the channel of a run is at its end: everything the app sent was heard.
#[derive(Debug, Default)]
pub(crate) struct Closed {
    closed: Cell<bool>,
    changed: Notify,
}

impl Closed {
    pub(crate) fn set(&self) {
        self.closed.set(true);
        self.changed.notify_waiters();
    }

    pub(crate) async fn wait(&self) {
        while !self.closed.get() {
            self.changed.notified().await;
        }
    }
}

/// Our end of an app's stdin: written in order, without waiting for the app.
#[derive(Debug, Clone)]
pub(crate) struct Stdin(Rc<StdinInner>);

#[derive(Debug)]
struct StdinInner {
    fd: AsyncFd<OwnedFd>,
    waiting: RefCell<VecDeque<u8>>,
    writing: Cell<bool>,
}

impl Stdin {
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Stdin> {
        pipe::set_nonblocking(&fd)?;
        let fd = ready::register(fd)?;
        Ok(Stdin(Rc::new(StdinInner { fd, waiting: RefCell::default(), writing: Cell::new(false) })))
    }

    /// Queues `bytes`. `Err` when the app does not read and too much waits already.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), String> {
        let queued = self.0.waiting.borrow().len();
        if queued + bytes.len() > MAX_STDIN {
            return Err(format!("stdin is full: {queued} bytes wait, because the app does not read them"));
        }
        self.0.waiting.borrow_mut().extend(bytes);
        if !self.0.writing.replace(true) {
            let inner = Rc::clone(&self.0);
            tokio::task::spawn_local(async move { inner.drain().await });
        }
        Ok(())
    }
}

impl StdinInner {
    async fn drain(&self) {
        loop {
            let chunk: Vec<u8> = {
                let waiting = self.waiting.borrow();
                let (front, _) = waiting.as_slices();
                front.get(..front.len().min(WRITE)).unwrap_or_default().to_vec()
            };
            if chunk.is_empty() {
                break;
            }
            let write = |fd: &OwnedFd| nix::unistd::write(fd, &chunk).map_err(io::Error::from);
            let Ok(written) = self.fd.async_io(Interest::WRITABLE, write).await else {
                // The app closed its stdin, or is gone.
                self.waiting.borrow_mut().clear();
                break;
            };
            drop(self.waiting.borrow_mut().drain(..written));
        }
        self.writing.set(false);
    }
}
