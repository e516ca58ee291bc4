//! The answer to one call, as the JSON text of its reply.
//!
//! Owns: the two shapes of a reply payload (contract/wire.md section 3).
//! Must never: parse what was rendered by us a second time: a list of 500 apps is several megabytes.

use bytes::Bytes;
use serde::Serialize;

use super::env_block::push_json;
use crate::wire::amp::{AmpError, Frame};

const OPEN: &str = r#"{"args":["#;
const CLOSE: &str = "]}";

/// The whole payload of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer(String);

/// The JSON text of one value, or the words of an error.
pub(crate) type Rendered = Result<String, String>;

impl Answer {
    /// One value, written by `write` as JSON straight into the payload.
    pub(crate) fn build(write: impl FnOnce(&mut String)) -> Answer {
        let mut text = OPEN.to_owned();
        write(&mut text);
        text.push_str(CLOSE);
        Answer(text)
    }

    /// One value.
    pub(crate) fn value<T: Serialize + ?Sized>(value: &T) -> Answer {
        Answer::build(|out| push_json(out, value))
    }

    /// Success without a value.
    pub(crate) fn nothing() -> Answer {
        Answer::build(|_| {})
    }

    /// The text that programs match on; the stack is there because stock replies have one for errors.
    pub(crate) fn error(message: &str) -> Answer {
        let mut text = String::from(r#"{"error":"#);
        push_json(&mut text, message);
        text.push_str(r#","stack":"#);
        push_json(&mut text, &format!("Error: {message}\n    at pm2d"));
        text.push('}');
        Answer(text)
    }

    /// An error of the call itself, which stock answers without a stack.
    pub(crate) fn refusal(message: &str) -> Answer {
        let mut text = String::from(r#"{"error":"#);
        push_json(&mut text, message);
        text.push('}');
        Answer(text)
    }

    /// A payload that is neither: the list of methods.
    pub(crate) fn payload(text: String) -> Answer {
        Answer(text)
    }

    pub(crate) fn rendered(rendered: Rendered) -> Answer {
        match rendered {
            Ok(json) => Answer::build(|out| out.push_str(&json)),
            Err(message) => Answer::error(&message),
        }
    }

    /// The frame of this answer to the request with this id (its bytes, tag included).
    pub(crate) fn frame(&self, id: &[u8]) -> Result<Bytes, AmpError> {
        let mut frame = Frame::with_capacity(self.0.len() + id.len() + 64);
        frame.json_text(&self.0)?;
        frame.raw(id)?;
        frame.finish().map(Bytes::from)
    }

    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn payloads_are_valid_json_of_the_two_shapes() {
        let parse = |answer: Answer| -> serde_json::Value { serde_json::from_str(answer.text()).unwrap() };
        assert_eq!(parse(Answer::value("7.0.4")), json!({ "args": ["7.0.4"] }));
        assert_eq!(parse(Answer::nothing()), json!({ "args": [] }));
        assert_eq!(parse(Answer::refusal("x\"y")), json!({ "error": "x\"y" }));
        assert_eq!(parse(Answer::error("e"))["error"], "e");
    }
}
