//! Node's child channel: one JSON text per line (contract/node-ipc-and-cluster.md sections 1 and 4).
//!
//! Owns: bytes <-> lines, and which lines are internal to Node. Does not own: descriptors that come with a line (the
//! last one received belongs to the next `Handle`), and what is done about a message.
//! Invariant: what is written is always one whole line of valid JSON: half a line kills the app.

use std::borrow::Cow;

use bytes::{Buf, Bytes, BytesMut};
use serde::Serialize;
use serde_json::value::RawValue;

use super::json;

/// Longest line in bytes. Node has no limit; 2 MB were tried.
pub const MAX_LINE_BYTES: usize = 256 << 20;

/// A buffer larger than this is given back as soon as it is empty.
const KEEP_BYTES: usize = 1 << 20;

/// What Bun puts before an internal message.
const BUN_INTERNAL: u8 = 0x02;

/// A line that is no message. The stream goes on with the next one.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    #[error("a line of the child's channel is longer than {MAX_LINE_BYTES} bytes")]
    TooLong,
    #[error("a line of the child's channel is no JSON: {0}")]
    NotJson(#[from] serde_json::Error),
}

/// One message from a child.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// What the app sent with `process.send`.
    User(UserMessage<'a>),
    /// `NODE_CLUSTER`: for [`FromWorker::parse`](super::cluster::FromWorker::parse).
    Cluster(&'a RawValue),
    /// `NODE_HANDLE`: answer with [`HANDLE_ACK`] (or [`HANDLE_NACK`] when no descriptor came), else the child holds
    /// back every later message for ever. `msg` is the real message, a user message unless it is internal.
    Handle {
        kind: Cow<'a, str>,
        msg: Option<&'a RawValue>,
    },
    HandleAck,
    HandleNack,
    /// Any other internal message: ignore it, never publish it.
    OtherInternal(&'a RawValue),
}

/// Our answer to a `NODE_HANDLE` with a descriptor, as a line.
pub const HANDLE_ACK: &[u8] = b"{\"cmd\":\"NODE_HANDLE_ACK\"}\n";

/// Our answer to a `NODE_HANDLE` without one, as a line.
pub const HANDLE_NACK: &[u8] = b"{\"cmd\":\"NODE_HANDLE_NACK\"}\n";

/// A message of the app, with what decides how pm2 publishes it (contract/wire.md section 7).
#[derive(Debug, Clone)]
pub struct UserMessage<'a> {
    /// The whole message, any JSON value.
    pub raw: &'a RawValue,
    /// `type` and `data` when both are truthy: published under that type with that data.
    pub typed: Option<(Cow<'a, str>, &'a RawValue)>,
    /// The value of the key `node_version`: such a message without `type` and `data` is consumed silently.
    pub node_version: Option<&'a RawValue>,
}

impl<'a> Incoming<'a> {
    /// Classifies one line, without its end and without Bun's prefix; `bun_internal` says whether that was there.
    ///
    /// # Errors
    /// Text that is no JSON.
    pub fn read(line: &'a str, bun_internal: bool) -> Result<Self, serde_json::Error> {
        let raw: &RawValue = serde_json::from_str(line)?;
        Self::classify(raw, bun_internal)
    }

    fn classify(raw: &'a RawValue, bun_internal: bool) -> Result<Self, serde_json::Error> {
        const NAMES: [&str; 5] = ["cmd", "type", "msg", "data", "node_version"];
        let [cmd, kind, msg, data, node_version] = json::fields(raw.get(), &NAMES)?.unwrap_or_default();
        // Internal: `cmd` is a string longer than 5 characters that starts with NODE_.
        let cmd = cmd.and_then(json::string);
        let command = cmd.as_deref().and_then(|cmd| cmd.strip_prefix("NODE_")).filter(|rest| !rest.is_empty());
        Ok(match command {
            Some("CLUSTER") => Self::Cluster(raw),
            Some("HANDLE") => Self::Handle { kind: kind.map(json::text).unwrap_or_default(), msg },
            Some("HANDLE_ACK") => Self::HandleAck,
            Some("HANDLE_NACK") => Self::HandleNack,
            Some(_) => Self::OtherInternal(raw),
            None if bun_internal => Self::OtherInternal(raw),
            None => {
                let truthy = |value: &&RawValue| json::is_truthy(value);
                let typed = kind.filter(truthy).map(json::text).zip(data.filter(truthy));
                Self::User(UserMessage { raw, typed, node_version })
            }
        })
    }
}

/// Reads the `msg` of an [`Incoming::Handle`]: an internal or a user message like any other.
pub fn read_handle_message(msg: &RawValue) -> Result<Incoming<'_>, serde_json::Error> {
    Incoming::classify(msg, false)
}

/// Cuts what a child writes into messages. Bytes may arrive in any pieces; a line costs time in proportion to its
/// length, however many pieces it came in.
#[derive(Debug, Default)]
pub struct LineDecoder {
    buffer: BytesMut,
    /// How much of the unfinished line has been searched for its end.
    searched: usize,
    /// Length of the line that was handed out last, with its end: still in front of the buffer.
    handed_out: usize,
    /// Of a line that is too long, the rest is thrown away.
    skipping: bool,
    speaks_bun: bool,
    /// The line handed out last, when it was no UTF-8.
    repaired: String,
}

impl LineDecoder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the channel. Call [`next_message`](Self::next_message) until it answers `None` before
    /// the next push.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer_mut().extend_from_slice(bytes);
    }

    /// The buffer itself, to read a socket into without a copy in between. Only ever append to it.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        self.release();
        &mut self.buffer
    }

    /// Whether this child puts a byte 02 before internal messages (Bun in cluster mode): write ours to it the same way.
    pub fn speaks_bun(&self) -> bool {
        self.speaks_bun
    }

    /// The next message, or `None` until more bytes come. It borrows the buffer, so nothing is copied.
    pub fn next_message(&mut self) -> Option<Result<Incoming<'_>, LineError>> {
        let end = match self.find_line()? {
            Ok(end) => end,
            Err(error) => return Some(Err(error)),
        };
        self.handed_out = end + 1;
        let mut line = self.buffer.get(..end)?;
        let bun_internal = line.first() == Some(&BUN_INTERNAL);
        if bun_internal {
            self.speaks_bun = true;
            line = line.get(1..)?;
        }
        let text = match String::from_utf8_lossy(line) {
            Cow::Borrowed(text) => text,
            Cow::Owned(repaired) => {
                self.repaired = repaired;
                &self.repaired
            }
        };
        Some(Incoming::read(text, bun_internal).map_err(LineError::from))
    }

    /// The length of the line in front of the buffer, without its end.
    fn find_line(&mut self) -> Option<Result<usize, LineError>> {
        self.release();
        loop {
            let found = memchr::memchr(b'\n', self.buffer.get(self.searched..)?);
            match found {
                Some(at) if self.skipping => {
                    self.buffer.advance(at + 1);
                    self.skipping = false;
                }
                Some(at) => {
                    let end = self.searched + at;
                    self.searched = 0;
                    if end > MAX_LINE_BYTES {
                        self.buffer.advance(end + 1);
                        return Some(Err(LineError::TooLong));
                    }
                    return Some(Ok(end));
                }
                None if self.skipping => {
                    self.clear();
                    return None;
                }
                None if self.buffer.len() > MAX_LINE_BYTES => {
                    self.clear();
                    self.skipping = true;
                    return Some(Err(LineError::TooLong));
                }
                None => {
                    self.searched = self.buffer.len();
                    return None;
                }
            }
        }
    }

    /// Forgets the line that was handed out.
    fn release(&mut self) {
        self.buffer.advance(self.handed_out.min(self.buffer.len()));
        self.handed_out = 0;
        if !self.repaired.is_empty() {
            self.repaired = String::new();
        }
        if self.buffer.is_empty() && self.buffer.capacity() > KEEP_BYTES {
            self.buffer = BytesMut::new();
        }
    }

    fn clear(&mut self) {
        self.searched = 0;
        self.buffer.clear();
    }
}

/// One message as one whole line.
///
/// # Errors
/// Only a value that cannot be JSON.
pub fn encode<T: Serialize + ?Sized>(message: &T) -> Result<Bytes, serde_json::Error> {
    encode_after(Vec::with_capacity(128), message)
}

/// One internal message as one whole line; with Bun's prefix for a child that [`speaks_bun`](LineDecoder::speaks_bun).
pub fn encode_internal<T: Serialize + ?Sized>(message: &T, bun: bool) -> Result<Bytes, serde_json::Error> {
    let mut line = Vec::with_capacity(256);
    if bun {
        line.push(BUN_INTERNAL);
    }
    encode_after(line, message)
}

fn encode_after<T: Serialize + ?Sized>(mut line: Vec<u8>, message: &T) -> Result<Bytes, serde_json::Error> {
    serde_json::to_writer(&mut line, message)?;
    // JSON that a client sent may be spread over lines. In JSON a raw line feed is white space: in strings it is escaped.
    let mut searched = 0;
    while let Some(at) = line.get(searched..).and_then(|rest| memchr::memchr(b'\n', rest)) {
        searched += at;
        if let Some(byte) = line.get_mut(searched) {
            *byte = b' ';
        }
    }
    line.push(b'\n');
    Ok(Bytes::from(line))
}

#[cfg(test)]
mod tests;
