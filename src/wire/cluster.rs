//! The messages between a cluster primary and its workers (contract/node-ipc-and-cluster.md section 3).
//!
//! Owns: JSON <-> typed messages. Does not own: descriptors, `seq` numbering, what listens where.
//! Invariant: an odd value in a field of a message that must be answered does not keep it from being answered.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{json, node_ipc};

const CLUSTER: &str = "NODE_CLUSTER";
const HANDLE: &str = "NODE_HANDLE";

/// What identifies a message of its sender. Opaque: numbers and texts are given back untouched by both sides.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub Value);

impl From<u64> for Seq {
    fn from(number: u64) -> Self {
        Self(number.into())
    }
}

/// A message of a worker.
#[derive(Debug)]
pub struct FromWorker {
    /// Missing in Bun.
    pub seq: Option<Seq>,
    pub act: WorkerAct,
}

/// What a worker says.
#[derive(Debug)]
pub enum WorkerAct {
    /// The first message of every worker.
    Online,
    /// Wants to listen. Must be answered.
    QueryServer(Listen),
    /// Listens now, on this port.
    Listening(Listen),
    /// Gives up the handle with this key.
    Close { key: String },
    /// Must be acknowledged at once.
    ExitedAfterDisconnect,
    /// The answer to the message of ours with this `seq`; `accepted` is missing where nothing was offered.
    Answer { ack: Seq, accepted: Option<bool> },
    /// To be ignored.
    Unknown,
}

/// Where a worker wants to listen, or does.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Listen {
    /// Counts the listens of one worker on one key.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole_number")]
    pub index: Option<i64>,
    /// Any JSON, to be kept per key and returned to all (TLS ticket keys). `None` is null.
    #[serde(default)]
    pub data: Option<Box<RawValue>>,
    /// Host address, or the path of a unix socket; `None` is any address.
    #[serde(default)]
    pub address: Option<String>,
    #[serde(default, deserialize_with = "whole_number")]
    pub port: Option<i64>,
    #[serde(default, rename = "addressType")]
    pub address_type: AddressType,
    /// A descriptor of the primary; -1 for none with udp.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole_number")]
    pub fd: Option<i64>,
    /// Bit 0 = ipv6Only; udp: 4 = reuseAddr.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole_number")]
    pub flags: Option<i64>,
    /// 0 or none: 511.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole_number")]
    pub backlog: Option<i64>,
    #[serde(default, rename = "readableAll", skip_serializing_if = "Option::is_none")]
    pub readable_all: Option<bool>,
    #[serde(default, rename = "writableAll", skip_serializing_if = "Option::is_none")]
    pub writable_all: Option<bool>,
}

/// `addressType` of a [`Listen`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum AddressType {
    Tcp4,
    Tcp6,
    Unix,
    Udp4,
    Udp6,
    /// null: a descriptor is given.
    #[default]
    None,
    /// Something new: refuse it.
    Other(Value),
}

impl Serialize for AddressType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Tcp4 => serializer.serialize_i8(4),
            Self::Tcp6 => serializer.serialize_i8(6),
            Self::Unix => serializer.serialize_i8(-1),
            Self::Udp4 => serializer.serialize_str("udp4"),
            Self::Udp6 => serializer.serialize_str("udp6"),
            Self::None => serializer.serialize_unit(),
            Self::Other(value) => value.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for AddressType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Ok(match (value.as_i64(), value.as_str()) {
            (Some(4), _) => Self::Tcp4,
            (Some(6), _) => Self::Tcp6,
            (Some(-1), _) => Self::Unix,
            (_, Some("udp4")) => Self::Udp4,
            (_, Some("udp6")) => Self::Udp6,
            _ if value.is_null() => Self::None,
            _ => Self::Other(value),
        })
    }
}

/// Options that a user gave may be numbers, numbers as text, or anything: what is no whole number is as if not given.
fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(value.as_i64().or_else(|| value.as_str()?.trim().parse().ok()))
}

/// A cluster message that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the cluster message `{act}`: {source}")]
pub struct ClusterError {
    /// The act, as far as it could be read.
    pub act: String,
    /// Whom to answer: a `queryServer` that gets no answer makes its worker wait for ever.
    pub seq: Option<Seq>,
    pub source: serde_json::Error,
}

impl FromWorker {
    /// Reads the message of an [`Incoming::Cluster`](node_ipc::Incoming::Cluster).
    ///
    /// # Errors
    /// Fields of a wrong type. Unknown acts are no error.
    pub fn parse(raw: &RawValue) -> Result<Self, ClusterError> {
        let found = json::fields(raw.get(), &["act", "seq", "key", "ack", "accepted"]);
        let [act, seq, key, ack, accepted] =
            found.map_err(|source| ClusterError { act: String::new(), seq: None, source })?.unwrap_or_default();
        let read = |value: Option<&RawValue>| value.and_then(|value| serde_json::from_str(value.get()).ok()).map(Seq);
        let seq = read(seq);
        let act = act.and_then(json::string).unwrap_or_default();
        let listen = || {
            serde_json::from_str(raw.get()).map_err(|source| ClusterError {
                act: act.to_string(),
                seq: seq.clone(),
                source,
            })
        };
        let act = match (read(ack.filter(|ack| ack.get() != "null")), &*act) {
            (Some(ack), _) => {
                let accepted = accepted.and_then(|value| serde_json::from_str(value.get()).ok());
                WorkerAct::Answer { ack, accepted }
            }
            (None, "online") => WorkerAct::Online,
            (None, "queryServer") => WorkerAct::QueryServer(listen()?),
            (None, "listening") => WorkerAct::Listening(listen()?),
            (None, "close") => WorkerAct::Close { key: key.map(json::text).unwrap_or_default().into_owned() },
            (None, "exitedAfterDisconnect") => WorkerAct::ExitedAfterDisconnect,
            (None, _) => WorkerAct::Unknown,
        };
        Ok(Self { seq, act })
    }
}

/// A message of the primary.
#[derive(Debug)]
pub struct ToWorker<'a> {
    /// Ours; comes back as `ack` where an answer is due.
    pub seq: Seq,
    pub act: PrimaryAct<'a>,
}

/// What the primary says.
#[derive(Debug)]
pub enum PrimaryAct<'a> {
    /// Round robin: "you are listening". No `sockname` for unix paths.
    ListensRoundRobin { ack: Seq, key: &'a str, data: Option<&'a RawValue>, sockname: Option<SocketName> },
    /// Shared handle: the listening socket comes with it.
    ListensShared { ack: Seq, key: &'a str, data: Option<&'a RawValue>, udp: bool },
    /// `errno` is negative: the app gets `error`.
    CannotListen { ack: Seq, key: &'a str, errno: i32 },
    /// A connection, which comes with it. Answered with `accepted`.
    NewConnection { key: &'a str },
    /// Close all servers, then the channel. Send it once only: a second one kills the worker.
    Disconnect,
    /// The answer to `exitedAfterDisconnect`.
    Acknowledge { ack: Seq },
}

/// The address that a worker reports as its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketName {
    pub address: String,
    /// `IPv4` or `IPv6`.
    pub family: String,
    pub port: u16,
}

/// The fields in Node's order.
#[derive(Default, Serialize)]
#[expect(clippy::option_option, reason = "absent, null and a value are three things on this wire")]
struct Fields<'a> {
    cmd: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<Option<i32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ack: Option<&'a Seq>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Option<&'a RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sockname: Option<&'a SocketName>,
    seq: Option<&'a Seq>,
}

#[derive(Serialize)]
struct WithHandle<'a> {
    cmd: &'static str,
    r#type: &'static str,
    msg: Fields<'a>,
}

impl ToWorker<'_> {
    /// Whether a descriptor goes with the first byte of the line (then a `NODE_HANDLE_ACK` comes back).
    pub fn carries_descriptor(&self) -> bool {
        self.handle_type().is_some()
    }

    fn handle_type(&self) -> Option<&'static str> {
        match self.act {
            PrimaryAct::ListensShared { udp: true, .. } => Some("dgram.Native"),
            PrimaryAct::ListensShared { .. } | PrimaryAct::NewConnection { .. } => Some("net.Native"),
            _ => None,
        }
    }

    /// The message as one line, wrapped in `NODE_HANDLE` where it carries a descriptor. `bun`: see
    /// [`encode_internal`](node_ipc::encode_internal); never send a descriptor to Bun.
    pub fn encode(&self, bun: bool) -> Result<Bytes, serde_json::Error> {
        match self.handle_type() {
            Some(kind) => node_ipc::encode_internal(&WithHandle { cmd: HANDLE, r#type: kind, msg: self.fields() }, bun),
            None => node_ipc::encode_internal(&self.fields(), bun),
        }
    }

    fn fields(&self) -> Fields<'_> {
        let fields = Fields { cmd: CLUSTER, seq: Some(&self.seq), ..Fields::default() };
        match &self.act {
            PrimaryAct::ListensRoundRobin { ack, key, data, sockname } => Fields {
                errno: Some(None),
                key: Some(key),
                ack: Some(ack),
                data: Some(*data),
                sockname: sockname.as_ref(),
                ..fields
            },
            PrimaryAct::ListensShared { ack, key, data, .. } => {
                Fields { errno: Some(Some(0)), key: Some(key), ack: Some(ack), data: Some(*data), ..fields }
            }
            PrimaryAct::CannotListen { ack, key, errno } => {
                Fields { errno: Some(Some(*errno)), key: Some(key), ack: Some(ack), data: Some(None), ..fields }
            }
            PrimaryAct::NewConnection { key } => Fields { act: Some("newconn"), key: Some(key), ..fields },
            PrimaryAct::Disconnect => Fields { act: Some("disconnect"), ..fields },
            PrimaryAct::Acknowledge { ack } => Fields { ack: Some(ack), ..fields },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<FromWorker, ClusterError> {
        FromWorker::parse(&RawValue::from_string(text.to_owned()).unwrap())
    }

    #[test]
    fn odd_options_of_a_user_do_not_keep_a_question_from_being_read() {
        let text = r#"{"cmd":"NODE_CLUSTER","act":"queryServer","seq":"g2-17","port":"8080","backlog":{"x":1},"fd":1.5,
            "addressType":"sctp","index":"no","data":{"ticketKeys":"00"}}"#;
        let message = parse(text).unwrap();
        assert_eq!(message.seq, Some(Seq("g2-17".into())));
        let WorkerAct::QueryServer(listen) = message.act else { panic!() };
        assert_eq!((listen.port, listen.backlog, listen.fd, listen.index), (Some(8080), None, None, None));
        assert_eq!(listen.address_type, AddressType::Other("sctp".into()));
        assert_eq!(listen.data.unwrap().get(), r#"{"ticketKeys":"00"}"#);
    }

    #[test]
    fn a_question_that_cannot_be_read_says_whom_to_refuse() {
        let error =
            parse(r#"{"cmd":"NODE_CLUSTER","act":"queryServer","seq":4,"address":{"not":"text"}}"#).unwrap_err();
        assert_eq!((error.seq, &*error.act), (Some(Seq::from(4)), "queryServer"));
    }

    #[test]
    fn what_is_unknown_is_no_error() {
        for text in [r#"{"act":"dance","seq":1}"#, "{}", "[]", r#"{"act":7}"#, r#"{"act":"\ud800"}"#, r#"{"ack":null}"#]
        {
            assert!(matches!(parse(text).unwrap().act, WorkerAct::Unknown), "{text}");
        }
    }

    #[test]
    fn an_answer_is_told_by_its_ack() {
        let accepted = |text: &str| match parse(text).unwrap().act {
            WorkerAct::Answer { ack, accepted } => (ack.0, accepted),
            other => panic!("{other:?}"),
        };
        assert_eq!(accepted(r#"{"ack":"g1-3","accepted":false,"seq":9}"#), ("g1-3".into(), Some(false)));
        assert_eq!(accepted(r#"{"ack":0,"seq":9}"#), (0.into(), None));
        assert_eq!(accepted(r#"{"ack":0,"accepted":"yes"}"#), (0.into(), None));
    }

    #[test]
    fn the_key_of_a_handle_may_hold_anything() {
        let message = ToWorker { seq: Seq::from(1), act: PrimaryAct::NewConnection { key: "/tmp/\"a\nb:-1" } };
        let line = message.encode(false).unwrap();
        assert_eq!(memchr::memchr_iter(b'\n', &line).count(), 1);
        let value: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["msg"]["key"], "/tmp/\"a\nb:-1");
    }
}
