//! The bus on pub.sock: messages of a topic and a payload, and subscriptions (contract/wire.md section 7, api.md 14.2).
//!
//! Owns: frame arguments <-> messages, and whether a pattern covers a topic. Does not own: who subscribes, queues.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;

use super::amp::{AmpError, Arg, Frame};

/// Writes messages, one allocation each. Keeps a buffer between them; one per publisher is enough.
#[derive(Debug)]
pub struct BusEncoder {
    frame: Frame,
}

impl Default for BusEncoder {
    fn default() -> Self {
        Self { frame: Frame::with_capacity(512) }
    }
}

impl BusEncoder {
    pub fn new() -> Self {
        Self::default()
    }

    /// The frame of one message, to be shared by all subscribers.
    ///
    /// # Errors
    /// A message larger than a frame may be, or a payload that cannot be JSON. The encoder stays usable.
    pub fn encode<T: Serialize + ?Sized>(&mut self, topic: &str, payload: &T) -> Result<Bytes, AmpError> {
        self.frame.reset();
        self.frame.text(topic)?;
        self.frame.json(payload)?;
        // Exactly as large as the message: many of them wait in queues.
        self.frame.as_bytes().map(Bytes::copy_from_slice)
    }
}

/// The frame of a message whose payload is JSON text already, known to be valid. One allocation.
pub fn encode_text(topic: &str, payload: &str) -> Result<Bytes, AmpError> {
    super::amp::encode(&[Arg::Text(topic.into()), Arg::Json(payload.into())])
}

/// A message as a subscriber gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusMessage<'a> {
    pub topic: Cow<'a, str>,
    /// JSON text, not validated.
    pub payload: Cow<'a, str>,
}

/// Reads the arguments of a frame from pub.sock. `None` for what is no message: ignore it.
///
/// Without a payload it is `null`; arguments after it, which pm2 never sends, are ignored.
pub fn decode(arguments: &[Bytes]) -> Option<BusMessage<'_>> {
    let (topic, rest) = arguments.split_first()?;
    let Arg::Text(topic) = Arg::read(topic) else { return None };
    let payload = match rest.first().map(|payload| Arg::read(payload)) {
        None => Cow::Borrowed("null"),
        Some(Arg::Json(json)) => json,
        Some(Arg::Text(text)) => Cow::Owned(serde_json::to_string(&text).ok()?),
        Some(Arg::Blob(_)) => return None,
    };
    Some(BusMessage { topic, payload })
}

/// Whether a subscription covers a topic, and what its stars stand for.
///
/// Everything in `pattern` is literal but `*`, one or more of any character; anchored at both ends; an earlier star
/// takes as much as it can: `*:*` on `a:b:c` gives `["a:b", "c"]`. Takes time in proportion to the lengths, whatever
/// the pattern.
pub fn match_topic<'t>(pattern: &str, topic: &'t str) -> Option<Vec<&'t str>> {
    let mut literals = pattern.split('*');
    let mut rest = topic.strip_prefix(literals.next()?)?;
    let Some(last) = literals.next_back() else { return rest.is_empty().then(Vec::new) };
    rest = rest.strip_suffix(last)?;
    // From the right, each literal as far right as it goes: this leaves the most to the stars before it.
    let mut captures = Vec::new();
    while let Some(literal) = literals.next_back() {
        let mut room = rest.chars();
        room.next_back()?;
        let at = room.as_str().rfind(literal)?;
        let (before, from) = rest.split_at_checked(at)?;
        captures.push(from.get(literal.len()..)?);
        rest = before;
    }
    if rest.is_empty() {
        return None;
    }
    captures.push(rest);
    captures.reverse();
    Some(captures)
}

#[cfg(test)]
mod tests;
