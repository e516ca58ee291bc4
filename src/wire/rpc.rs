//! axon-rpc: calls and replies on rpc.sock, both sides (contract/wire.md section 3).
//!
//! Owns: frame arguments <-> requests and replies. Does not own: what a method does, or its error texts.
//! Invariant: a reply has exactly two arguments, the second the bytes of the request's id; `args` is always an array.

use std::fmt;

use bytes::Bytes;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::amp::{AmpError, Arg, Frame};
use super::json;

/// Most arguments of a call, and most values of a reply: pm2 uses two. Bounds what small text can become in memory.
const MAX_VALUES: usize = 64;

/// The member of what `prepare` takes, and of saved processes, that only our two sides know: [`Origin`]. A stock daemon
/// would keep it as an option, so it is not sent there.
pub const ORIGIN: &str = "pm2rs";

/// Where the variables of a process come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// The app's own variables: all others are a caller's. `None`: not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_env: Option<Map<String, Value>>,
    /// How far the value of `increment_var` is above the one that was configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
}

/// A request as the daemon sees it.
#[derive(Debug)]
pub struct Request {
    /// The id argument, tag included: opaque, to be echoed byte by byte.
    pub id: Bytes,
    pub body: Body,
}

/// What a request asks for.
#[derive(Debug)]
pub enum Body {
    /// The list of methods. Answer with [`encode_methods_reply`].
    Methods,
    Call(Call),
    /// Nothing that can be done: answer with this text as [`Reply::error`], and count it.
    Malformed(String),
}

/// One call. The arguments are text until the method parses them.
#[derive(Debug)]
pub struct Call {
    pub method: String,
    pub args: Vec<Box<RawValue>>,
}

/// Reads the arguments of a frame that a client sent.
///
/// `None` when there is no id to answer to (fewer than two arguments, or an empty id): ignore the frame and count it.
/// Never fails otherwise: what is wrong becomes [`Body::Malformed`] (a stock daemon dies of some of these).
pub fn decode_request(arguments: &[Bytes]) -> Option<Request> {
    let (id, rest) = arguments.split_last()?;
    let payload = rest.first()?;
    if id.is_empty() {
        return None;
    }
    let body = if rest.len() == 1 {
        decode_body(payload).unwrap_or_else(Body::Malformed)
    } else {
        Body::Malformed(format!("malformed request: {} arguments instead of 2", arguments.len()))
    };
    Some(Request { id: id.clone(), body })
}

fn decode_body(payload: &[u8]) -> Result<Body, String> {
    const NO_METHOD: &str = ".method required";
    const NO_ARGS: &str = ".args required";
    let Arg::Json(text) = Arg::read(payload) else { return Err(NO_METHOD.to_owned()) };
    let fields = json::fields(&text, &["type", "method", "args"]).map_err(|e| format!("malformed request: {e}"))?;
    let Some([kind, method, args]) = fields else { return Err(NO_METHOD.to_owned()) };
    if kind.and_then(json::string).is_some_and(|kind| kind == "methods") {
        return Ok(Body::Methods);
    }
    let method = method.filter(|method| json::is_truthy(method)).ok_or(NO_METHOD)?;
    let args = args.filter(|args| args.get().starts_with('[')).ok_or(NO_ARGS)?;
    let args = values(args).ok_or_else(|| format!("malformed request: more than {MAX_VALUES} args"))?;
    Ok(Body::Call(Call { method: json::text(method).into_owned(), args }))
}

/// The answer to a request.
#[derive(Debug)]
pub enum Reply {
    /// The values handed to the caller after the error; usually one.
    Success(Vec<Box<RawValue>>),
    /// Programs match on `message`: keep the texts of contract/wire.md section 5.
    Error { message: String, stack: Option<String> },
}

impl Reply {
    /// `args: []`.
    pub fn nothing() -> Self {
        Self::Success(Vec::new())
    }

    /// `args: [value]`.
    pub fn value<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self::Success(vec![serde_json::value::to_raw_value(value)?]))
    }

    /// An error without a stack.
    pub fn error(message: impl Into<String>) -> Self {
        Self::Error { message: message.into(), stack: None }
    }

    /// The frame of this reply to the request with this id.
    ///
    /// # Errors
    /// Only a reply larger than a frame may be: then answer with a [`Reply::error`] that says so.
    pub fn encode(&self, id: &[u8]) -> Result<Bytes, AmpError> {
        match self {
            Self::Success(args) => {
                let size = args.iter().map(|value| value.get().len() + 1).sum::<usize>();
                two_arguments(size, &Success { args }, id)
            }
            Self::Error { message, stack } => {
                two_arguments(message.len(), &Failure { error: message, stack: stack.as_deref() }, id)
            }
        }
    }
}

#[derive(Serialize)]
struct Success<'a, T: ?Sized> {
    args: &'a T,
}

#[derive(Serialize)]
struct Failure<'a> {
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stack: Option<&'a str>,
}

#[derive(Serialize)]
struct MethodList<'a, T: ?Sized> {
    methods: &'a T,
}

/// Writes a successful reply of one value straight into its frame: for large values, such as the list of processes.
/// `size` is a guess of its size in bytes.
pub fn encode_value_reply<T: Serialize + ?Sized>(id: &[u8], value: &T, size: usize) -> Result<Bytes, AmpError> {
    two_arguments(size, &Success { args: &[value] }, id)
}

/// The reply to [`Body::Methods`]. `methods` is a map: name to `{name, params: [..]}`.
pub fn encode_methods_reply<T: Serialize + ?Sized>(id: &[u8], methods: &T) -> Result<Bytes, AmpError> {
    two_arguments(4096, &MethodList { methods }, id)
}

fn two_arguments<T: Serialize>(size: usize, payload: &T, id: &[u8]) -> Result<Bytes, AmpError> {
    // Room for the frame's head, two lengths, a tag and the keys around the payload.
    let mut frame = Frame::with_capacity(size + id.len() + 64);
    frame.json(payload)?;
    frame.raw(id)?;
    frame.finish().map(Bytes::from)
}

#[derive(Serialize)]
struct CallPayload<'a, T: ?Sized> {
    r#type: &'static str,
    method: &'a str,
    args: &'a T,
}

/// A client's call. `args` has to serialise as an array; `id` must be new on this connection, `<pid>:<counter>` in
/// stock clients.
pub fn encode_call<T: Serialize + ?Sized>(id: &str, method: &str, args: &T) -> Result<Bytes, AmpError> {
    let mut frame = Frame::with_capacity(256);
    frame.json(&CallPayload { r#type: "call", method, args })?;
    frame.text(id)?;
    frame.finish().map(Bytes::from)
}

/// A client's question for the list of methods. The answer is one value: the map of methods.
pub fn encode_methods_call(id: &str) -> Result<Bytes, AmpError> {
    super::amp::encode(&[Arg::Json(r#"{"type":"methods"}"#.into()), Arg::Text(id.into())])
}

/// A reply as the client sees it.
#[derive(Debug)]
pub struct ClientReply {
    /// The id of the call, without its tag.
    pub id: String,
    pub result: Result<Vec<Box<RawValue>>, RpcError>,
}

/// The error that a daemon answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    /// The text of `error`; when it is no string, its `message` field or its JSON text.
    pub message: String,
    pub stack: Option<String>,
}

/// Reads the arguments of a frame that a daemon sent. `None` when it has no id: ignore it.
///
/// What a stock client would die of (no `args`, a reply that is no object) becomes an error of this call.
pub fn decode_reply(arguments: &[Bytes]) -> Option<ClientReply> {
    let (id, rest) = arguments.split_last()?;
    let payload = rest.first()?;
    let id = match Arg::read(id) {
        Arg::Text(text) | Arg::Json(text) => text.into_owned(),
        Arg::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    };
    Some(ClientReply { id, result: decode_result(payload) })
}

fn decode_result(payload: &[u8]) -> Result<Vec<Box<RawValue>>, RpcError> {
    let bad = |what: &str| RpcError { message: format!("malformed reply of the daemon: {what}"), stack: None };
    let Arg::Json(text) = Arg::read(payload) else { return Err(bad("no JSON")) };
    let fields = json::fields(&text, &["error", "stack", "args", "methods"]).map_err(|e| bad(&e.to_string()))?;
    let [error, stack, args, methods] = fields.ok_or_else(|| bad("no object"))?;
    if let Some(error) = error {
        let stack = stack.and_then(json::string).map(std::borrow::Cow::into_owned);
        return Err(RpcError { message: error_message(error), stack });
    }
    if let Some(args) = args {
        return values(args).ok_or_else(|| bad("`args` is no array of a few values"));
    }
    methods.map(|methods| vec![methods.to_owned()]).ok_or_else(|| bad("neither `error` nor `args`"))
}

fn error_message(error: &RawValue) -> String {
    let message = json::fields(error.get(), &["message"]).ok().flatten().and_then(|[message]| message);
    json::text(message.unwrap_or(error)).into_owned()
}

/// The values of an array; `None` for what is no array or has too many.
fn values(array: &RawValue) -> Option<Vec<Box<RawValue>>> {
    struct Values;

    impl<'de> Visitor<'de> for Values {
        type Value = Option<Vec<Box<RawValue>>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
            let mut values = Vec::new();
            while let Some(value) = sequence.next_element::<&RawValue>()? {
                if values.len() == MAX_VALUES {
                    while sequence.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(None);
                }
                values.push(value.to_owned());
            }
            Ok(Some(values))
        }
    }

    serde_json::Deserializer::from_str(array.get()).deserialize_seq(Values).ok().flatten()
}

#[cfg(test)]
mod tests;
