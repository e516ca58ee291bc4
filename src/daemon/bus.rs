//! The bus: `pub.sock`, server side. Every subscriber gets every event (contract/wire.md section 7).
//!
//! Owns: the subscribers and one bounded queue for each.
//! Must never: wait for a subscriber, grow with one that does not read, or work when nobody listens.
//!
//! A frame is encoded once and shared by all queues. A subscriber that does not keep up loses `log:*` events, oldest
//! first, and is told so by an event of our own, `pm2rs:lost` with `{"lost": <count>, "at": <ms>}`, in their place. If
//! its queue is full of other events, it is disconnected: a client that comes back can ask for the list anew.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use crate::sys::clock;
use crate::sys::socket::{self, Listener, Stream};
use crate::wire::bus::{BusEncoder, encode_text};

/// Most bytes that wait for one subscriber.
pub const MAX_QUEUED: usize = 4 << 20;

/// And of these so many for logs alone: a flood fills whatever it may, and memory that nobody reads is only memory.
pub const MAX_QUEUED_LOGS: usize = 2 << 20;

/// Most frames written by one system call.
const BATCH: usize = 64;
/// And most bytes, about: what is being sent cannot be dropped any more.
const BATCH_BYTES: usize = 256 << 10;

/// After an error of `accept` that waiting may cure (no descriptors left).
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Publishes to all subscribers. A cheap handle: clones publish to the same subscribers.
#[derive(Clone, Default)]
pub struct Bus(Rc<Inner>);

#[derive(Default)]
struct Inner {
    encoder: RefCell<BusEncoder>,
    subscribers: RefCell<Vec<Rc<Subscriber>>>,
    /// Told when a queue became empty or a subscriber left.
    quiet: Notify,
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").field("subscribers", &self.0.subscribers.borrow().len()).finish()
    }
}

impl Bus {
    /// A bus without subscribers.
    pub fn new() -> Bus {
        Bus::default()
    }

    /// Whether anybody listens: ask before building a payload that costs something.
    pub fn has_subscribers(&self) -> bool {
        !self.0.subscribers.borrow().is_empty()
    }

    /// Publishes `payload` as JSON under `topic`. Serialises nothing when nobody listens; never waits. A payload that
    /// cannot be serialised is dropped.
    pub fn publish<T: Serialize + ?Sized>(&self, topic: &str, payload: &T) {
        if self.has_subscribers()
            && let Ok(frame) = self.0.encoder.borrow_mut().encode(topic, payload)
        {
            self.0.send(&frame, topic.starts_with("log:"));
        }
    }

    /// Publishes a payload that is JSON text already, known to be valid.
    pub fn publish_text(&self, topic: &str, payload_json: &str) {
        if self.has_subscribers()
            && let Ok(frame) = encode_text(topic, payload_json)
        {
            self.0.send(&frame, topic.starts_with("log:"));
        }
    }

    /// Accepts subscribers for ever; must run in a `LocalSet`. Processes of other users are turned away (root may).
    pub async fn serve(&self, listener: Listener) {
        loop {
            match socket::accept(&listener).await {
                Ok(stream) if socket::peer_uid(&stream).is_ok_and(socket::may_command) => self.subscribe(stream),
                Ok(_) => {}
                Err(_) => tokio::time::sleep(ACCEPT_AGAIN).await,
            }
        }
    }

    /// Takes one connected subscriber (what `serve` does with each it accepts). Must run in a `LocalSet`.
    pub fn subscribe(&self, stream: Stream) {
        let subscriber = Rc::new(Subscriber::default());
        self.0.subscribers.borrow_mut().push(Rc::clone(&subscriber));
        let inner = Rc::clone(&self.0);
        tokio::task::spawn_local(async move {
            tokio::select! {
                () = read_until_closed(&stream) => {}
                _ = write_all(&stream, &subscriber, &inner.quiet) => {}
            }
            inner.subscribers.borrow_mut().retain(|other| !Rc::ptr_eq(other, &subscriber));
            inner.quiet.notify_waiters();
        });
    }

    /// Completes when all that was published so far is with the kernel, for every subscriber that reads. Bound it with
    /// a timeout: for the last words (`pm2:kill`) of a daemon that ends.
    pub async fn flushed(&self) {
        loop {
            let changed = self.0.quiet.notified();
            if self.0.subscribers.borrow().iter().all(|subscriber| subscriber.queue.borrow().bytes == 0) {
                return;
            }
            changed.await;
        }
    }
}

impl Inner {
    fn send(&self, frame: &Bytes, is_log: bool) {
        for subscriber in self.subscribers.borrow().iter() {
            subscriber.push(frame.clone(), is_log);
        }
    }
}

#[derive(Default)]
struct Subscriber {
    queue: RefCell<Queue>,
    /// Something was queued, or it is too late.
    wake: Notify,
    hopeless: Cell<bool>,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Queued>,
    /// Bytes of these frames and of those the writer has taken out and not sent yet.
    bytes: usize,
    /// Log events dropped and not yet told.
    lost: u64,
}

struct Queued {
    frame: Bytes,
    is_log: bool,
}

impl Subscriber {
    fn push(&self, frame: Bytes, is_log: bool) {
        if self.hopeless.get() {
            return;
        }
        let mut queue = self.queue.borrow_mut();
        let most = if is_log { MAX_QUEUED_LOGS } else { MAX_QUEUED };
        if queue.bytes + frame.len() > most {
            queue.drop_logs(frame.len());
        }
        // One frame may be larger than the whole queue.
        if queue.bytes + frame.len() > most && queue.bytes > 0 {
            if is_log {
                queue.lost += 1;
            } else {
                self.hopeless.set(true);
                *queue = Queue::default();
                self.wake.notify_one();
            }
            return;
        }
        let first = queue.frames.is_empty();
        queue.bytes += frame.len();
        queue.frames.push_back(Queued { frame, is_log });
        if first {
            self.wake.notify_one();
        }
    }
}

impl Queue {
    /// Drops log events, oldest first, and a good part of them at once, so that the queue is not walked for each event.
    fn drop_logs(&mut self, incoming: usize) {
        let goal = (MAX_QUEUED_LOGS / 2).saturating_sub(incoming);
        let (bytes, lost) = (&mut self.bytes, &mut self.lost);
        self.frames.retain(|queued| {
            let keep = !queued.is_log || *bytes <= goal;
            if !keep {
                *bytes -= queued.frame.len();
                *lost += 1;
            }
            keep
        });
    }

    /// Before anything else is sent: that something is missing.
    fn tell_loss(&mut self) {
        if self.lost == 0 {
            return;
        }
        let payload = format!("{{\"lost\":{},\"at\":{}}}", self.lost, clock::now().1);
        if let Ok(frame) = encode_text("pm2rs:lost", &payload) {
            self.lost = 0;
            self.bytes += frame.len();
            self.frames.push_front(Queued { frame, is_log: false });
        }
    }

    /// Takes the next frames to be sent.
    fn take(&mut self, flight: &mut VecDeque<Bytes>) {
        self.tell_loss();
        let mut bytes = 0;
        while flight.len() < BATCH
            && bytes < BATCH_BYTES
            && let Some(queued) = self.frames.pop_front()
        {
            bytes += queued.frame.len();
            flight.push_back(queued.frame);
        }
    }
}

/// Subscribers have nothing to say; what they say is thrown away. Returns when they are gone.
async fn read_until_closed(mut stream: &Stream) {
    let mut buffer = [0; 256];
    while matches!(stream.read(&mut buffer).await, Ok(count) if count > 0) {}
}

/// Sends the queue, many frames at a time, until the subscriber is gone or hopeless.
async fn write_all(mut stream: &Stream, subscriber: &Subscriber, quiet: &Notify) -> io::Result<()> {
    let mut flight = VecDeque::new();
    loop {
        if subscriber.hopeless.get() {
            return Ok(());
        }
        if flight.is_empty() {
            subscriber.queue.borrow_mut().take(&mut flight);
        }
        if flight.is_empty() {
            quiet.notify_waiters();
            subscriber.wake.notified().await;
            continue;
        }
        let count = {
            let slices: Vec<IoSlice<'_>> = flight.iter().map(|frame: &Bytes| IoSlice::new(frame)).collect();
            tokio::select! {
                biased;
                () = hopeless(subscriber) => return Ok(()),
                count = stream.write_vectored(&slices) => count?,
            }
        };
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        sent(&mut flight, count);
        let mut queue = subscriber.queue.borrow_mut();
        queue.bytes = queue.bytes.saturating_sub(count);
    }
}

/// Takes `count` bytes off the front.
fn sent(flight: &mut VecDeque<Bytes>, mut count: usize) {
    while let Some(first) = flight.front_mut() {
        if count < first.len() {
            first.advance(count);
            return;
        }
        count -= first.len();
        flight.pop_front();
    }
}

/// Completes when the subscriber is given up.
async fn hopeless(subscriber: &Subscriber) {
    while !subscriber.hopeless.get() {
        subscriber.wake.notified().await;
    }
}

#[cfg(test)]
pub(super) mod tests;
