//! AMP: the frame of rpc.sock and pub.sock, and the tags of its arguments (contract/wire.md sections 1 and 2).
//!
//! Owns: frame bytes <-> arguments. Does not own: what the arguments mean (`rpc`, `bus`).
//! Invariant: never buffers or allocates more than a frame may be large; never writes a frame that a stock reader
//! would not hand out at once.

use std::borrow::Cow;

use bytes::{Buf, Bytes, BytesMut};
use serde::Serialize;

/// Most arguments that one frame can carry: the count has four bits.
pub const MAX_ARGS: usize = 15;

/// Largest argument in bytes, tag included. A `getMonitorData` of 200 apps is about 1 MB.
pub const MAX_ARG_BYTES: usize = 64 << 20;

/// Largest frame in bytes, head and lengths included: one argument of full size and some small ones.
pub const MAX_FRAME_BYTES: usize = MAX_ARG_BYTES + (1 << 20);

/// A buffer larger than this is given back as soon as it is empty.
const KEEP_BYTES: usize = 1 << 20;

/// Protocol version 1, in the high four bits of the first byte. Written, ignored when read.
const VERSION: u8 = 1 << 4;

const TEXT_TAG: &[u8] = b"s:";
const JSON_TAG: &[u8] = b"j:";

/// Why a frame cannot be read or written. After a read error the connection is of no use any more: drop it.
#[derive(Debug, thiserror::Error)]
pub enum AmpError {
    #[error("an argument of {length} bytes is larger than {MAX_ARG_BYTES}")]
    ArgumentTooLarge { length: usize },
    #[error("a frame of at least {length} bytes is larger than {MAX_FRAME_BYTES}")]
    FrameTooLarge { length: usize },
    #[error("{count} arguments do not fit in a frame, {MAX_ARGS} do")]
    TooManyArguments { count: usize },
    /// A stock reader would hand out such a frame only when the next one begins.
    #[error("the last argument of a frame must not be empty")]
    EmptyLastArgument,
    #[error("a value cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Cuts a byte stream into frames. Bytes may arrive in any pieces.
///
/// Call [`next_frame`](Self::next_frame) until it answers `None` after every [`push`](Self::push): then no more than
/// one frame and one push are ever buffered.
#[derive(Debug, Default)]
pub struct AmpDecoder {
    buffer: BytesMut,
    /// Ends of the arguments seen so far in the unfinished frame, so that no byte is looked at twice.
    ends: Vec<usize>,
    failed: bool,
}

impl AmpDecoder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the stream. After an error bytes are thrown away.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.failed {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The buffer itself, to read a socket into without a copy in between. Only ever append to it.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The arguments of the next complete frame, tags included; `None` while it is incomplete.
    ///
    /// # Errors
    /// A length beyond the limits, as soon as it is seen. Every later call answers `None`.
    pub fn next_frame(&mut self) -> Result<Option<Vec<Bytes>>, AmpError> {
        if self.failed {
            self.buffer.clear();
            return Ok(None);
        }
        match self.scan() {
            Ok(complete) => Ok(complete.then(|| self.take())),
            Err(error) => {
                self.failed = true;
                self.buffer = BytesMut::new();
                Err(error)
            }
        }
    }

    /// Walks the lengths as far as they have arrived; true when the frame is complete.
    fn scan(&mut self) -> Result<bool, AmpError> {
        let Some(&head) = self.buffer.first() else { return Ok(false) };
        let count = usize::from(head & 0x0f);
        while self.ends.len() < count {
            let at = self.ends.last().copied().unwrap_or(1);
            let Some(length) = self.buffer.get(at..).and_then(|rest| rest.first_chunk::<4>()) else { return Ok(false) };
            let length = u32::from_be_bytes(*length) as usize;
            if length > MAX_ARG_BYTES {
                return Err(AmpError::ArgumentTooLarge { length });
            }
            let end = at + 4 + length;
            if end > MAX_FRAME_BYTES {
                return Err(AmpError::FrameTooLarge { length: end });
            }
            self.ends.push(end);
        }
        Ok(self.buffer.len() >= self.ends.last().copied().unwrap_or(1))
    }

    /// Cuts the complete frame off the buffer; the arguments share its memory.
    fn take(&mut self) -> Vec<Bytes> {
        let mut at = 1;
        let mut frame = self.buffer.split_to(self.ends.last().copied().unwrap_or(1)).freeze();
        frame.advance(1);
        let arguments = self.ends.drain(..).map(|end| {
            let mut argument = frame.split_to(end - at);
            argument.advance(4);
            at = end;
            argument
        });
        let arguments = arguments.collect();
        if self.buffer.is_empty() && self.buffer.capacity() > KEEP_BYTES {
            self.buffer = BytesMut::new();
        }
        arguments
    }
}

/// One argument by its tag. JSON stays text until somebody parses it, so what only passes through costs nothing.
///
/// Text that is no UTF-8 is read as Node reads it, with U+FFFD for what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arg<'a> {
    /// `s:`, a string.
    Text(Cow<'a, str>),
    /// `j:`, JSON text; not validated.
    Json(Cow<'a, str>),
    /// Anything else. One that begins with `s:` or `j:` is read back as text or JSON: the wire has no escape.
    Blob(&'a [u8]),
}

impl<'a> Arg<'a> {
    /// Reads the tag of an argument as it came from [`AmpDecoder::next_frame`].
    pub fn read(argument: &'a [u8]) -> Self {
        if let Some(text) = argument.strip_prefix(TEXT_TAG) {
            Self::Text(String::from_utf8_lossy(text))
        } else if let Some(json) = argument.strip_prefix(JSON_TAG) {
            Self::Json(String::from_utf8_lossy(json))
        } else {
            Self::Blob(argument)
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Text(text) | Self::Json(text) => text.len() + TEXT_TAG.len(),
            Self::Blob(bytes) => bytes.len(),
        }
    }
}

/// Writes one frame, in one allocation.
///
/// # Errors
/// More than [`MAX_ARGS`] arguments, an empty last one, or a size beyond the limits.
pub fn encode(arguments: &[Arg<'_>]) -> Result<Bytes, AmpError> {
    let mut frame = Frame::with_capacity(1 + arguments.iter().map(|argument| 4 + argument.len()).sum::<usize>());
    for argument in arguments {
        match argument {
            Arg::Text(text) => frame.text(text)?,
            Arg::Json(json) => frame.json_text(json)?,
            Arg::Blob(bytes) => frame.raw(bytes)?,
        }
    }
    frame.finish().map(Bytes::from)
}

/// A frame being written, argument by argument. Can be used again: see [`Frame::reset`].
#[derive(Debug)]
pub struct Frame {
    bytes: Vec<u8>,
    count: u8,
    last_is_empty: bool,
}

impl Frame {
    /// An empty frame with room for `capacity` bytes in all.
    pub fn with_capacity(capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity.min(MAX_FRAME_BYTES));
        bytes.push(VERSION);
        Self { bytes, count: 0, last_is_empty: false }
    }

    /// Begins again with no argument, keeping the memory unless it is large.
    pub fn reset(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEEP_BYTES);
        self.bytes.push(VERSION);
        self.count = 0;
        self.last_is_empty = false;
    }

    pub fn text(&mut self, text: &str) -> Result<(), AmpError> {
        self.argument(text.len() + TEXT_TAG.len(), |bytes| {
            bytes.extend_from_slice(TEXT_TAG);
            bytes.extend_from_slice(text.as_bytes());
            Ok(())
        })
    }

    /// JSON that is text already. The caller knows that it is valid: invalid JSON kills a stock reader.
    pub fn json_text(&mut self, json: &str) -> Result<(), AmpError> {
        self.argument(json.len() + JSON_TAG.len(), |bytes| {
            bytes.extend_from_slice(JSON_TAG);
            bytes.extend_from_slice(json.as_bytes());
            Ok(())
        })
    }

    /// Writes a value as JSON straight into the frame.
    pub fn json<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), AmpError> {
        self.argument(0, |bytes| {
            bytes.extend_from_slice(JSON_TAG);
            Ok(serde_json::to_writer(bytes, value)?)
        })
    }

    /// The bytes of an argument as they are, tag included: an id to echo, or a blob.
    pub fn raw(&mut self, argument: &[u8]) -> Result<(), AmpError> {
        self.argument(argument.len(), |bytes| {
            bytes.extend_from_slice(argument);
            Ok(())
        })
    }

    /// Adds an argument; `least` is what is known of its length, so that a large one is refused before it is copied.
    /// On an error the frame is as it was.
    fn argument(
        &mut self,
        least: usize,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), AmpError>,
    ) -> Result<(), AmpError> {
        if usize::from(self.count) >= MAX_ARGS {
            return Err(AmpError::TooManyArguments { count: MAX_ARGS + 1 });
        }
        let head = self.bytes.len();
        let written = self.check_length(least).and_then(|()| {
            self.bytes.extend_from_slice(&[0; 4]);
            write(&mut self.bytes)?;
            let length = self.bytes.len() - head - 4;
            let total = self.bytes.len();
            if length > MAX_ARG_BYTES {
                return Err(AmpError::ArgumentTooLarge { length });
            }
            if total > MAX_FRAME_BYTES {
                return Err(AmpError::FrameTooLarge { length: total });
            }
            Ok(length)
        });
        let length = match written {
            Ok(length) => length,
            Err(error) => {
                self.bytes.truncate(head);
                return Err(error);
            }
        };
        // Both always hold: the length is at most MAX_ARG_BYTES, and its place was written above.
        if let (Ok(prefix), Some(place)) = (u32::try_from(length), self.bytes.get_mut(head..head + 4)) {
            place.copy_from_slice(&prefix.to_be_bytes());
        }
        self.count += 1;
        self.last_is_empty = length == 0;
        Ok(())
    }

    fn check_length(&self, length: usize) -> Result<(), AmpError> {
        if length > MAX_ARG_BYTES {
            return Err(AmpError::ArgumentTooLarge { length });
        }
        let total = self.bytes.len() + 4 + length;
        if total > MAX_FRAME_BYTES {
            return Err(AmpError::FrameTooLarge { length: total });
        }
        Ok(())
    }

    /// The bytes of the frame, which stays usable through [`reset`](Self::reset).
    pub fn as_bytes(&mut self) -> Result<&[u8], AmpError> {
        if self.last_is_empty {
            return Err(AmpError::EmptyLastArgument);
        }
        if let Some(head) = self.bytes.first_mut() {
            *head = VERSION | self.count;
        }
        Ok(&self.bytes)
    }

    /// The bytes of the finished frame.
    pub fn finish(mut self) -> Result<Vec<u8>, AmpError> {
        self.as_bytes()?;
        Ok(self.bytes)
    }
}

#[cfg(test)]
mod tests;
