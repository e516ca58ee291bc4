//! The environment of one start, kept as the JSON text it is sent as.
//!
//! Owns: the stored `env` object and its flat copy at the top level of `pm2_env`. Instances of one start share one block.
//! Must never: change after it was made (a changed environment is a new block).
//!
//! Kept as text because every list shows it twice and almost nothing ever looks inside: 200 apps cost 200 texts, not
//! 200 maps of several thousand small allocations.

use std::io;
use std::rc::Rc;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::keys;

#[derive(Debug)]
pub(crate) struct EnvBlock {
    /// Members of the `env` object without the braces: `"PATH":"/bin","N":1`.
    members: Box<str>,
    /// The members that are copied to the top level; `None` when they are all of them.
    flat: Option<Box<str>>,
}

impl EnvBlock {
    pub(crate) fn new(env: &Map<String, Value>) -> Rc<EnvBlock> {
        let mut members = String::new();
        let mut flat = String::new();
        for (key, value) in env {
            let start = members.len();
            push_member(&mut members, key, value);
            if is_flat(key, value) {
                if !flat.is_empty() {
                    flat.push(',');
                }
                flat.push_str(members[start..].trim_start_matches(','));
            }
        }
        let flat = (flat != members).then(|| flat.into_boxed_str());
        Rc::new(EnvBlock { members: members.into_boxed_str(), flat })
    }

    /// The block of an object that is JSON already; anything else is an empty one.
    pub(crate) fn from_json(text: &str) -> Rc<EnvBlock> {
        EnvBlock::new(&serde_json::from_str(text).unwrap_or_default())
    }

    /// The object as JSON.
    pub(crate) fn to_raw(&self) -> Box<RawValue> {
        // The text was written by this type, so it always parses.
        RawValue::from_string(format!("{{{}}}", self.members)).unwrap_or_default()
    }

    /// The members as JSON, without braces.
    pub(crate) fn members(&self) -> &str {
        &self.members
    }

    /// The members that pm2 repeats at the top level of `pm2_env`, as JSON without braces.
    pub(crate) fn flat(&self) -> &str {
        self.flat.as_deref().unwrap_or(&self.members)
    }

    /// The object, parsed anew.
    pub(crate) fn to_map(&self) -> Map<String, Value> {
        // The text was written by this type, so it always parses.
        serde_json::from_str(&format!("{{{}}}", self.members)).unwrap_or_default()
    }
}

/// Whether a variable is copied to the top level: not when its text would be `[object Object]`, and never over a key that
/// is pm2's own (contract/wire.md section 6, contract/api.md Q55).
fn is_flat(key: &str, value: &Value) -> bool {
    !value.is_object() && !keys::is_reserved(key)
}

/// Appends `"key":value`, with a comma where one is needed.
pub(crate) fn push_member(text: &mut String, key: &str, value: &Value) {
    push_key(text, key);
    push_json(text, value);
}

/// Appends `"key":`, with a comma before it unless it is the first of its object.
pub(crate) fn push_key(text: &mut String, key: &str) {
    if !text.is_empty() && !text.ends_with('{') {
        text.push(',');
    }
    if key.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        text.push('"');
        text.push_str(key);
        text.push('"');
    } else {
        push_json(text, key);
    }
    text.push(':');
}

/// Appends the JSON of `value`.
pub(crate) fn push_json<T: serde::Serialize + ?Sized>(text: &mut String, value: &T) {
    // Neither texts nor values that were parsed from JSON can fail to become JSON again.
    let _ = serde_json::to_writer(Appended(text), value);
}

/// Lets serde write behind a text, without a text of its own in between.
struct Appended<'a>(&'a mut String);

impl io::Write for Appended<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Pieces of JSON end between characters, never within one.
        self.0.push_str(std::str::from_utf8(bytes).map_err(io::Error::other)?);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Appends members that are JSON already, with a comma where one is needed.
pub(crate) fn push_members(text: &mut String, members: &str) {
    if members.is_empty() {
        return;
    }
    if !text.is_empty() && !text.ends_with('{') {
        text.push(',');
    }
    text.push_str(members);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn block(env: Value) -> Rc<EnvBlock> {
        let Value::Object(env) = env else { panic!("an object") };
        EnvBlock::new(&env)
    }

    #[test]
    fn objects_and_reserved_names_are_not_copied_flat() {
        let b = block(json!({ "worker": {}, "A": "x", "name": "evil", "N": 1, "O": {"a": 1} }));
        assert_eq!(b.members(), r#""worker":{},"A":"x","name":"evil","N":1,"O":{"a":1}"#);
        assert_eq!(b.flat(), r#""A":"x","N":1"#);
        assert_eq!(b.to_map().len(), 5);
    }

    #[test]
    fn a_plain_environment_is_kept_once() {
        let b = block(json!({ "A": "x,y", "B": "{" }));
        assert!(b.flat.is_none());
        assert_eq!(b.flat(), r#""A":"x,y","B":"{""#);
        assert_eq!(block(json!({})).members(), "");
    }
}
