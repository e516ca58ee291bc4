//! The bus, from the listener's side: connects, delivers, connects again (contract/wire.md sections 4 and 7).
//!
//! Owns: the socket to pub.sock and the pauses between tries. Never launches a daemon: it waits until one appears.

use std::path::PathBuf;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use crate::wire::amp::AmpDecoder;
use crate::wire::bus;

/// First pause between tries, and the longest; each is half as long again as the one before, as in pm2.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// So many batches may wait for the listener. Then the socket is not read, and the daemon drops what is too much.
const QUEUED_BATCHES: usize = 64;

/// What a subscription tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusEvent {
    /// Connected, for the first time or again.
    Connected,
    /// The connection ended; it will be tried again.
    Closed,
    /// About to try again.
    Reconnecting,
    /// A message: its topic and its payload as JSON text, not validated.
    Message { topic: String, payload: String },
}

/// An open subscription; closes when dropped.
#[derive(Debug)]
pub struct Subscription {
    batches: mpsc::Receiver<Vec<BusEvent>>,
    task: tokio::task::JoinHandle<()>,
}

impl Subscription {
    /// Begins at once. Needs a runtime: a task carries it.
    pub(super) fn new(path: PathBuf) -> Subscription {
        let (sender, batches) = mpsc::channel(QUEUED_BATCHES);
        Subscription { batches, task: tokio::spawn(follow(path, sender)) }
    }

    /// What has come since the last call, at least one event. Never ends by itself. Safe to drop while it waits.
    pub async fn next_batch(&mut self) -> Vec<BusEvent> {
        match self.batches.recv().await {
            Some(batch) => batch,
            // The task ends only with the runtime.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The listener has gone.
struct Gone;

async fn follow(path: PathBuf, sender: mpsc::Sender<Vec<BusEvent>>) {
    let tell = async |batch: Vec<BusEvent>| sender.send(batch).await.map_err(|_| Gone);
    let mut pause = FIRST_PAUSE;
    let _: Result<(), Gone> = async {
        loop {
            if let Ok(stream) = UnixStream::connect(&path).await {
                pause = FIRST_PAUSE;
                tell(vec![BusEvent::Connected]).await?;
                deliver(stream, &sender).await?;
                tell(vec![BusEvent::Closed]).await?;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
            tell(vec![BusEvent::Reconnecting]).await?;
        }
    }
    .await;
}

/// Hands on messages until the connection ends. All that one read brings is one batch.
async fn deliver(mut stream: UnixStream, sender: &mpsc::Sender<Vec<BusEvent>>) -> Result<(), Gone> {
    let mut decoder = AmpDecoder::new();
    loop {
        decoder.buffer_mut().reserve(64 << 10);
        if !matches!(stream.read_buf(decoder.buffer_mut()).await, Ok(1..)) {
            return Ok(());
        }
        let mut batch = Vec::new();
        loop {
            match decoder.next_frame() {
                Ok(Some(arguments)) => batch.extend(bus::decode(&arguments).map(|message| BusEvent::Message {
                    topic: message.topic.into_owned(),
                    payload: message.payload.into_owned(),
                })),
                Ok(None) => break,
                Err(_) => return Ok(()),
            }
        }
        if !batch.is_empty() {
            sender.send(batch).await.map_err(|_| Gone)?;
        }
    }
}
