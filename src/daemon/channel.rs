//! The Node IPC channel of one app: our end of its socketpair (contract/node-ipc-and-cluster.md section 1).
//!
//! Owns: the socket, the outgoing queue, and the un-ACKed descriptors.
//! Must never: leave half a line behind, interleave two lines, stop reading, keep a descriptor nobody asked for, or grow
//! with an app that does not read.
//!
//! Incoming lines are peeked at, acted on, and only then taken out of the socket: if this daemon is killed in between,
//! the next one finds them again (contract/crash-proof-daemon.md section 4). A line longer than the buffer comes into
//! memory that outlives us; what comes with a descriptor must be taken out first.

mod heard;
mod incoming;
mod outgoing;
#[cfg(test)]
mod tests;
mod vault;

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;
use thiserror::Error;
use tokio::io::Interest;
use tokio::sync::Notify;

use self::incoming::{Reader, Turn};
use self::outgoing::Outgoing;
pub use self::outgoing::Passenger;
pub use self::vault::{Vault, Vaults};
use crate::sys::pipe::set_nonblocking;
use crate::sys::waiting::Watched;
use crate::wire::node_ipc::UserMessage;

/// Most bytes that wait for one app. A single message may be larger when nothing else waits.
pub const MAX_QUEUED: usize = 16 * 1024 * 1024;

/// After a failure whose end no event tells.
const SEND_AGAIN: Duration = Duration::from_millis(5);

/// How long the rest of a line may be on its way before its beginning is taken out of the socket.
const REST_OF_LINE: Duration = Duration::from_secs(1);

/// A cloneable handle to one app's channel. The channel closes when the app closes its end, or by [`Channel::close`];
/// dropping handles closes nothing.
#[derive(Clone)]
pub struct Channel(Rc<Inner>);

struct Inner {
    app: String,
    outgoing: RefCell<Outgoing>,
    /// Something can be sent: it was queued, or the way for it is free.
    wake: Notify,
    close: Notify,
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("app", &self.0.app).field("open", &self.is_open()).finish_non_exhaustive()
    }
}

/// What comes out of a channel, in order. `NODE_HANDLE`, its ACK and NACK, and `NODE_` commands that mean nothing to us
/// are dealt with inside and do not appear.
#[derive(Debug)]
pub enum ChannelEvent<'a> {
    /// A message of user code.
    Message {
        message: UserMessage<'a>,
        /// What was sent along with it (`process.send(message, handle)`); dropping it closes it.
        descriptor: Option<OwnedFd>,
    },
    /// An internal message `{"cmd":"NODE_CLUSTER",...}`: for `wire::cluster::FromWorker::parse`.
    Cluster { text: &'a RawValue },
    /// A handle sent with [`Channel::send_handle`] has arrived (`NODE_HANDLE_ACK`).
    HandleTaken,
    /// This handle sent with [`Channel::send_handle`] was refused three times (`NODE_HANDLE_NACK`), and is given up.
    HandleRefused(Rc<dyn Passenger>),
    /// The app closed its end or died, or we closed ours. Always the last event.
    Closed,
}

/// Why a message could not be sent.
#[derive(Debug, Error)]
pub enum ChannelError {
    #[error("channel of {app} is closed: the app has disconnected or ended")]
    Closed { app: String },
    #[error("channel of {app} is full: {queued} bytes wait, because the app does not read its messages")]
    Full { app: String, queued: usize },
    #[error("channel of {app} does not take handles: it speaks Bun's protocol")]
    NoHandles { app: String },
}

impl Channel {
    /// Serves `fd` (our end of the app's socketpair; made non blocking here) until it closes. `app` names the app in
    /// errors. `sink` is called for each event from within a task of the `LocalSet`: it must not wait, and it may call
    /// the channel's own methods.
    pub fn open(fd: OwnedFd, app: &str, sink: impl Fn(ChannelEvent<'_>) + 'static) -> io::Result<Channel> {
        Channel::open_with(fd, app, None, sink)
    }

    /// The same, with places for lines that may be half sent or half heard when this daemon is killed; what is found there
    /// is brought to its end first.
    pub fn open_with(
        fd: OwnedFd,
        app: &str,
        vaults: Option<Vaults>,
        sink: impl Fn(ChannelEvent<'_>) + 'static,
    ) -> io::Result<Channel> {
        set_nonblocking(&fd)?;
        let (outgoing, incoming) = vaults.map(|vaults| (vaults.outgoing, vaults.incoming)).unzip();
        let fd = Watched::new(fd, Interest::READABLE | Interest::WRITABLE)?;
        let channel = Channel(Rc::new(Inner {
            app: app.to_owned(),
            outgoing: RefCell::new(Outgoing::new(outgoing)),
            wake: Notify::new(),
            close: Notify::new(),
        }));
        let inner = Rc::clone(&channel.0);
        tokio::task::spawn_local(async move {
            tokio::select! {
                () = inner.read(&fd, incoming, &sink) => {}
                () = inner.write(&fd) => {}
                () = inner.close.notified() => {}
            }
            inner.outgoing.borrow_mut().close();
            drop(fd);
            sink(ChannelEvent::Closed);
        });
        Ok(channel)
    }

    /// Queues one message: `json` is one valid JSON text (another text would kill the app), without the final line end.
    /// Messages arrive in the order they were sent, handles included.
    pub fn send(&self, json: &str) -> Result<(), ChannelError> {
        let mut line = Vec::with_capacity(json.len() + 1);
        // In JSON a raw line end is white space: inside texts it is escaped.
        line.extend(json.bytes().map(|byte| if byte == b'\n' { b' ' } else { byte }));
        line.push(b'\n');
        self.queue(Bytes::from(line), None)
    }

    /// Queues one whole line as `wire::node_ipc` and `wire::cluster` make them, line end included.
    pub fn send_line(&self, line: Bytes) -> Result<(), ChannelError> {
        self.queue(line, None)
    }

    /// Queues a whole `NODE_HANDLE` line (as `wire::cluster` makes it) with the descriptor that goes with its first byte.
    /// The descriptor must be non blocking. Two may be on their way at a time, and one only where plain lines are: this one and
    /// all that is queued after it wait until those before are acknowledged. Our copy is dropped when it is acknowledged, given up, or the channel
    /// closes.
    pub fn send_handle(&self, line: Bytes, fd: Rc<dyn Passenger>) -> Result<(), ChannelError> {
        if self.speaks_bun() {
            return Err(ChannelError::NoHandles { app: self.0.app.clone() });
        }
        self.queue(line, Some(fd))
    }

    /// An earlier daemon has sent this handle, and its acknowledgement was not seen: no other is sent before it is.
    pub fn expect_handle(&self, line: Bytes, fd: Rc<dyn Passenger>) {
        self.0.outgoing.borrow_mut().expect(line, fd);
    }

    /// The app has answered to what came with this handle: it need not be acknowledged any more.
    pub fn handle_arrived(&self, fd: &Rc<dyn Passenger>) {
        if self.0.outgoing.borrow_mut().arrived(fd) {
            self.0.wake.notify_one();
        }
    }

    /// Whether messages can still be sent.
    pub fn is_open(&self) -> bool {
        self.0.outgoing.borrow().is_open()
    }

    /// Bytes that wait for the app to read.
    pub fn queued(&self) -> usize {
        self.0.outgoing.borrow().bytes()
    }

    /// Whether a handle is queued or not acknowledged yet.
    pub fn handle_under_way(&self) -> bool {
        self.0.outgoing.borrow().handle_under_way()
    }

    /// Whether this child puts a byte 02 before internal messages (Bun): encode ours to it the same way.
    pub fn speaks_bun(&self) -> bool {
        self.0.outgoing.borrow().speaks_bun
    }

    /// Closes our end. In a cluster worker this ends the process; in any app it is the event `disconnect`. What waits to
    /// be sent is thrown away.
    pub fn close(&self) {
        self.0.outgoing.borrow_mut().close();
        self.0.close.notify_one();
    }

    fn queue(&self, line: Bytes, fd: Option<Rc<dyn Passenger>>) -> Result<(), ChannelError> {
        let mut outgoing = self.0.outgoing.borrow_mut();
        if !outgoing.is_open() {
            return Err(ChannelError::Closed { app: self.0.app.clone() });
        }
        let queued = outgoing.bytes();
        if queued > 0 && queued + line.len() > MAX_QUEUED {
            return Err(ChannelError::Full { app: self.0.app.clone(), queued });
        }
        outgoing.push(line, fd);
        self.0.wake.notify_one();
        Ok(())
    }
}

impl Inner {
    /// Reads until the end.
    async fn read(&self, fd: &Watched, vault: Option<Rc<dyn Vault>>, sink: &impl Fn(ChannelEvent<'_>)) {
        let mut reader = Reader::new(vault);
        reader.resume(self, sink);
        let mut limit = None;
        loop {
            let ready = match limit.take() {
                None => Some(fd.readable().await),
                Some(limit) => tokio::time::timeout(limit, fd.readable()).await.ok(),
            };
            let Ok(mut ready) = ready.transpose() else { return };
            let closing = ready.as_ref().is_some_and(|ready| ready.ready().is_read_closed());
            // Nothing more came in time: a socket that is full of small pieces takes no more before they are taken out.
            match reader.turn(fd.fd(), closing, ready.is_none(), self, sink) {
                Turn::More => tokio::task::yield_now().await,
                Turn::Busy => {
                    tokio::time::sleep(SEND_AGAIN).await;
                    limit = Some(Duration::ZERO);
                }
                turn @ (Turn::Empty | Turn::Partial) => {
                    if let Some(ready) = &mut ready {
                        ready.clear_ready();
                    }
                    limit = matches!(turn, Turn::Partial).then_some(REST_OF_LINE);
                }
                Turn::Closed => return,
            }
        }
    }

    /// Sends what is queued, for ever: the end of the channel is for the reader to see.
    async fn write(&self, fd: &Watched) {
        loop {
            let result = {
                let mut outgoing = self.outgoing.borrow_mut();
                if outgoing.can_send() { Some(outgoing.send(fd.fd())) } else { None }
            };
            match result {
                None => self.wake.notified().await,
                Some(Ok(())) => {}
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    let Ok(mut ready) = fd.writable().await else { return std::future::pending().await };
                    // Only the socket knows: ask it once more, and wait if it still says no.
                    if !self.retry(fd) {
                        ready.clear_ready();
                    }
                }
                Some(Err(error)) if error.kind() == io::ErrorKind::ResourceBusy => tokio::time::sleep(SEND_AGAIN).await,
                Some(Err(_)) => {
                    self.outgoing.borrow_mut().close();
                    return std::future::pending().await;
                }
            }
        }
    }

    /// Whether something went out, or failed for good (which the next try will tell).
    fn retry(&self, fd: &Watched) -> bool {
        let mut outgoing = self.outgoing.borrow_mut();
        !outgoing.can_send()
            || !matches!(outgoing.send(fd.fd()), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}
