//! One connection to rpc.sock: pipelined calls by id, answers in any order (contract/wire.md section 3).
//!
//! Owns: the socket, the calls in flight. Does not own: making the connection again (`session`).
//! Invariant: every call gets exactly one result; when the connection ends, all that wait get `WentAway`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, OnceCell, mpsc, oneshot, watch};
use tokio::time::Instant;

use super::error::CallError;
use crate::wire::amp::{AmpDecoder, AmpError};
use crate::wire::rpc;

/// How often a silent daemon is thought about while calls wait.
const TICK: Duration = Duration::from_secs(2);

/// Silence after which it is looked up whether any daemon is to be expected. Longer than the pauses between the tries.
const TROUBLE_AFTER: Duration = Duration::from_secs(10);

/// The values of an answer, as JSON texts.
pub(super) type Values = Vec<Box<RawValue>>;

/// How a call ended.
type Outcome = Result<Values, rpc::RpcError>;

/// How much is read at once; a long list comes in few pieces.
const READ_BYTES: usize = 128 << 10;

/// What tells our daemon from a stock one: the answer to our own method `pm2rsInfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Peer {
    #[serde(default)]
    pub(super) keeper_pid: Option<i32>,
}

#[derive(Debug)]
pub(super) struct Connection {
    /// `None` once it was closed by us. Unbounded: whoever calls waits for the answer and so bounds himself, and a
    /// bound would make calls out of order.
    outgoing: Mutex<Option<mpsc::UnboundedSender<Bytes>>>,
    calls: Arc<Calls>,
    next: AtomicU64,
    /// True when the connection has ended.
    ended: watch::Receiver<bool>,
    peer: OnceCell<Option<Peer>>,
}

#[derive(Debug, Default)]
struct Calls {
    /// `None` once the connection has ended: later calls are refused before they are sent.
    waiting: Mutex<Option<HashMap<String, oneshot::Sender<Outcome>>>>,
    /// A call was sent.
    sent: Notify,
    /// Why the connection was given up although it was not broken.
    silent: OnceLock<String>,
}

/// When a daemon that says nothing is given up.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    /// Half of it passes until the daemon is asked for a sign of life; a call itself may take as long as it likes.
    pub(super) limit: Duration,
    /// `pm2d.trouble`: there while no daemon can be started.
    pub(super) trouble: PathBuf,
}

impl Patience {
    /// Why no daemon can be started, if that is so.
    pub(super) fn trouble(&self) -> Option<String> {
        std::fs::read_to_string(&self.trouble).ok()
    }
}

/// A call that was sent, or could not be.
#[derive(Debug)]
pub(super) struct Pending {
    method: String,
    answer: oneshot::Receiver<Outcome>,
    calls: Arc<Calls>,
}

impl Connection {
    /// Takes over a connected socket. Needs a runtime: two tasks carry it.
    pub(super) fn open(stream: UnixStream, patience: Patience) -> Connection {
        let (read, write) = stream.into_split();
        let (outgoing, frames) = mpsc::unbounded_channel();
        let (over, ended) = watch::channel(false);
        let (done, drained) = oneshot::channel();
        let calls = Arc::new(Calls { waiting: Mutex::new(Some(HashMap::new())), ..Calls::default() });
        let watch = Watch { patience, heard: Instant::now(), asked: false, outgoing: outgoing.downgrade() };
        tokio::spawn(send_all(write, frames, done));
        tokio::spawn(receive_all(read, Arc::clone(&calls), drained, over, watch));
        let outgoing = Mutex::new(Some(outgoing));
        Connection { outgoing, calls, next: AtomicU64::new(0), ended, peer: OnceCell::new() }
    }

    /// Sends a call; calls are sent in the order in which this is called, whether or not anybody awaits the answers.
    /// `Ok(None)`: nothing was sent, because the connection has ended.
    pub(super) fn send<A: Serialize + ?Sized>(&self, method: &str, args: &A) -> Result<Option<Pending>, CallError> {
        self.send_frame(method, |id| rpc::encode_call(id, method, args))
    }

    /// Asks for the list of methods; otherwise as [`Connection::send`].
    pub(super) fn send_methods(&self) -> Result<Option<Pending>, CallError> {
        self.send_frame("methods", rpc::encode_methods_call)
    }

    fn send_frame(
        &self,
        method: &str,
        encode: impl FnOnce(&str) -> Result<Bytes, AmpError>,
    ) -> Result<Option<Pending>, CallError> {
        let id = format!("{}:{}", std::process::id(), self.next.fetch_add(1, Ordering::Relaxed));
        let frame = encode(&id).map_err(|error| CallError::refused("INVALID_ARGUMENT", error.to_string()))?;
        let (sender, answer) = oneshot::channel();
        match lock(&self.calls.waiting).as_mut() {
            Some(waiting) => waiting.insert(id, sender),
            None => return Ok(None),
        };
        let sent = lock(&self.outgoing).as_ref().is_some_and(|outgoing| outgoing.send(frame).is_ok());
        self.calls.sent.notify_one();
        Ok(sent.then(|| Pending { method: method.to_owned(), answer, calls: Arc::clone(&self.calls) }))
    }

    pub(super) fn is_open(&self) -> bool {
        !*self.ended.borrow() && lock(&self.outgoing).is_some()
    }

    /// Waits until the other side, or we, have ended it.
    pub(super) async fn ended(&self) {
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }

    /// Ends it once everything that was sent is on its way.
    pub(super) fn close(&self) {
        lock(&self.outgoing).take();
    }

    /// Who is there: `None` for a stock daemon. Asked once.
    pub(super) async fn peer(&self) -> Option<Peer> {
        *self
            .peer
            .get_or_init(async || {
                let pending = self.send("pm2rsInfo", &[serde_json::Map::new()]).ok()??;
                let answer = pending.answer().await.ok()?;
                serde_json::from_str(answer.first()?.get()).ok()
            })
            .await
    }
}

impl Pending {
    /// The values that follow the error in pm2's callback.
    pub(super) async fn answer(self) -> Result<Values, CallError> {
        match self.answer.await {
            Ok(Ok(values)) => Ok(values),
            Ok(Err(rpc::RpcError { message, stack })) => Err(CallError::Daemon { message, stack }),
            Err(_) => Err(match self.calls.silent.get() {
                Some(why) => CallError::NoAnswer(why.clone()),
                None => CallError::WentAway(self.method),
            }),
        }
    }
}

/// What is known of a daemon's silence.
#[derive(Debug)]
struct Watch {
    patience: Patience,
    /// When it last said something, or the first of the calls that wait was sent.
    heard: Instant,
    /// It was asked for a sign of life.
    asked: bool,
    outgoing: mpsc::WeakUnboundedSender<Bytes>,
}

impl Watch {
    fn heard(&mut self) {
        self.heard = Instant::now();
        self.asked = false;
    }

    /// Why it is given up, if it is.
    fn verdict(&mut self) -> Option<String> {
        let silence = self.heard.elapsed();
        if silence >= TROUBLE_AFTER.min(self.patience.limit)
            && let Some(trouble) = self.patience.trouble()
        {
            return Some(trouble);
        }
        if silence >= self.patience.limit {
            let seconds = silence.as_secs();
            return Some(format!(
                "it has said nothing for {seconds} s; it hangs or was stopped. `kill -9` of it is safe: another follows, and \
                 apps are not affected"
            ));
        }
        if silence >= self.patience.limit / 2 && !std::mem::replace(&mut self.asked, true) {
            // Every daemon knows this one; the answer is for nobody.
            let question = rpc::encode_call("sign-of-life", "getVersion", &[serde_json::Map::new()]);
            if let (Ok(question), Some(outgoing)) = (question, self.outgoing.upgrade()) {
                let _ = outgoing.send(question);
            }
        }
        None
    }
}

async fn send_all(mut socket: OwnedWriteHalf, mut frames: mpsc::UnboundedReceiver<Bytes>, done: oneshot::Sender<()>) {
    let mut batch = Vec::new();
    while frames.recv_many(&mut batch, 64).await > 0 {
        let result = if let [only] = batch.as_slice() {
            socket.write_all(only).await
        } else {
            socket.write_all(&batch.concat()).await
        };
        batch.clear();
        if result.is_err() {
            // The reader sees the end, too, and has still to read what came before it.
            return std::future::pending().await;
        }
    }
    let _ = done.send(());
}

async fn receive_all(
    mut socket: OwnedReadHalf,
    calls: Arc<Calls>,
    mut drained: oneshot::Receiver<()>,
    over: watch::Sender<bool>,
    mut watch: Watch,
) {
    let mut decoder = AmpDecoder::new();
    'reading: loop {
        decoder.buffer_mut().reserve(READ_BYTES);
        // Both branches may be dropped at any time: a read that did not happen took nothing.
        let nobody_waits = lock(&calls.waiting).as_ref().is_none_or(HashMap::is_empty);
        let tick = TICK.min(watch.patience.limit / 4);
        let read = tokio::select! {
            read = socket.read_buf(decoder.buffer_mut()) => read,
            _ = &mut drained => break,
            () = calls.sent.notified(), if nobody_waits => {
                watch.heard();
                continue;
            }
            () = tokio::time::sleep(tick), if !nobody_waits => {
                if let Some(why) = watch.verdict() {
                    let _ = calls.silent.set(why);
                    break;
                }
                continue;
            }
        };
        watch.heard();
        if !matches!(read, Ok(1..)) {
            break;
        }
        loop {
            match decoder.next_frame() {
                Ok(Some(arguments)) => {
                    let Some(reply) = rpc::decode_reply(&arguments) else { continue };
                    let caller = lock(&calls.waiting).as_mut().and_then(|waiting| waiting.remove(&reply.id));
                    if let Some(caller) = caller {
                        let _ = caller.send(reply.result);
                    }
                }
                Ok(None) => break,
                Err(_) => break 'reading,
            }
        }
    }
    // Dropping the senders tells all that wait.
    lock(&calls.waiting).take();
    let _ = over.send(true);
}

/// A panic elsewhere does not make the table wrong: nothing is left half done under the lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
