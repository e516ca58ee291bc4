//! The private messages between keeper and daemon.
//!
//! One message is one packet of a `SOCK_SEQPACKET` socketpair: a JSON text, with descriptors attached as `SCM_RIGHTS`.
//! What may be larger than a packet (a [`SpawnSpec`] with its environment) travels in a memfd that is attached.
//!
//! Both sides come from the same executable except during an upgrade, so: fields are only added, with a default;
//! unknown fields are ignored; [`PROTOCOL`] goes up when a meaning changes.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::{Exit, PmId, RunId, Signal};

/// Version of these messages; said by both sides in `Welcome` and `Hello`.
pub const PROTOCOL: u32 = 1;

/// The name under which a daemon has the listener of `rpc.sock` held: what clients wait at while there is no daemon.
pub const RPC_LISTENER: &str = "rpc";

/// The name under which the lock of the home is handed to each daemon: while one of the two lives, so does the lock.
pub const LOCK: &str = "lock";

/// The name of what a daemon has held as soon as every process of before is in its care, or ended. One that is handed over
/// without it follows daemons that did not come so far.
pub const SETTLED: &str = "settled";

/// A packet is never larger than this, in bytes.
pub const MAX_PACKET: usize = 64 * 1024;

/// Most descriptors attached to one packet.
pub const MAX_FDS: usize = 16;

/// A message that does not fit in a packet, or a packet that is no message.
#[derive(Debug, thiserror::Error)]
pub enum PacketError {
    #[error("a message of {length} bytes is larger than a packet may be ({MAX_PACKET})")]
    TooLarge { length: usize },
    #[error("a packet between keeper and daemon cannot be read or written: {0}")]
    Json(#[from] serde_json::Error),
}

/// The packet of a message.
pub fn to_bytes<T: Serialize>(message: &T) -> Result<Vec<u8>, PacketError> {
    let packet = serde_json::to_vec(message)?;
    check_size(&packet)?;
    Ok(packet)
}

/// The message of a packet.
pub fn from_bytes<T: DeserializeOwned>(packet: &[u8]) -> Result<T, PacketError> {
    check_size(packet)?;
    Ok(serde_json::from_slice(packet)?)
}

fn check_size(packet: &[u8]) -> Result<(), PacketError> {
    if packet.len() > MAX_PACKET { Err(PacketError::TooLarge { length: packet.len() }) } else { Ok(()) }
}

/// Daemon to keeper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum ToKeeper {
    /// First message of a daemon: which protocol it speaks, and whether it answers `Ping`.
    Hello {
        protocol: u32,
        #[serde(default)]
        answers: bool,
    },
    /// The answer to `Ping`.
    Pong,
    /// Start a process. Attached: one memfd that holds a [`SpawnSpec`] as JSON. Answered by `Spawned` or `SpawnFailed`.
    Spawn { id: PmId, run: RunId },
    /// The exit of this run is known and journalled: forget it, with its descriptors. Sent
    /// while it lives: its exit will not be told.
    Acknowledge { run: RunId },
    /// Hold the attached descriptor under this name for the next daemon; an earlier one of that name is closed.
    Hold { name: String },
    /// Close the descriptor held under this name.
    Release { name: String },
    /// The daemon ends on purpose: when it is gone the keeper ends too, with this exit code.
    Quit { code: i32 },
    /// Start the next daemon from this executable (an upgrade). The daemon exits by itself after sending it.
    /// `agent`: the script that goes with it; `None`: as before.
    Replace {
        executable: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<String>,
    },
    /// To a keeper that was started because the one before it was killed, and so is not the parent of what runs: take
    /// this process over. Attached: as with `Spawned`. Sent after `Ready`, beside one `Hold` for each held descriptor.
    Adopt(Spawned),
    /// Both sockets are bound and served: the keeper tells whoever launched it.
    Online,
    /// The daemon cannot start at all (sockets cannot be bound, home not writable). The keeper passes the words on to
    /// whoever launched it and does not try again.
    Failed { error: String },
}

/// Keeper to daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum FromKeeper {
    /// First message to every daemon. Then come one `Held` for each descriptor, one `Running` for each process that
    /// was not acknowledged, one `Exited` for each of these that has ended, and `Ready`.
    Welcome {
        protocol: u32,
        /// 1 for the first daemon, more for each that follows.
        generation: u64,
        /// Pid of the keeper: what `pm2.pid` names.
        keeper_pid: i32,
        /// Why the executable of the last `Replace` is not the one that runs now; `None` when it is, or none was tried.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failed_update: Option<String>,
    },
    /// Attached: the descriptor that an earlier daemon asked to hold.
    Held { name: String },
    /// A process that an earlier daemon started. Descriptors as with `Spawned`.
    Running(Spawned),
    /// The handover is complete.
    Ready,
    /// A process was started. Attached, in this order: pidfd, then our ends of stdin, stdout, stderr, and the IPC
    /// channel if the spec asked for one.
    Spawned(Spawned),
    SpawnFailed {
        id: PmId,
        run: RunId,
        /// What failed, on what: `cannot change directory to /x: No such file or directory (os error 2)`.
        error: String,
        errno: i32,
    },
    /// A process has ended and was reaped. Repeated to each new daemon until acknowledged.
    Exited { id: PmId, run: RunId, pid: i32, exit: Exit },
    /// Asks for a `Pong`: a sign that the daemon does not hang. Only sent to one that said that it answers.
    Ping,
    /// The keeper was sent this signal (TERM, INT, QUIT, HUP, USR2) and passes it on.
    Signalled { signal: Signal },
}

/// A process that the keeper started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spawned {
    pub id: PmId,
    pub run: RunId,
    pub pid: i32,
    /// Start time from `/proc/<pid>/stat` field 22, in clock ticks since boot: with the pid it names a process for ever.
    pub start_time: u64,
    /// Whether an IPC channel is among the descriptors.
    pub ipc: bool,
}

/// Everything the keeper needs for fork and exec. All decisions (interpreter, PATH, environment) are made before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpawnSpec {
    /// Absolute path of the executable.
    pub program: String,
    /// The whole argv, `argv[0]` included.
    pub argv: Vec<String>,
    /// The whole environment, as `NAME=value`. The keeper adds `NODE_CHANNEL_FD` and
    /// `NODE_CHANNEL_SERIALIZATION_MODE` when `ipc` is set.
    pub env: Vec<String>,
    pub cwd: String,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    /// Supplementary groups of the user; empty with `uid` set drops all.
    #[serde(default)]
    pub groups: Vec<u32>,
    /// Give the child a Node IPC channel.
    pub ipc: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_their_packet() {
        let spawned = Spawned { id: PmId(3), run: RunId(u64::MAX), pid: 77, start_time: 123, ipc: true };
        for message in [
            FromKeeper::Ready,
            FromKeeper::Running(spawned.clone()),
            FromKeeper::Spawned(spawned),
            FromKeeper::Signalled { signal: Signal::TERM },
            FromKeeper::SpawnFailed { id: PmId(0), run: RunId(1), error: "no \"x\"\n".to_owned(), errno: 2 },
        ] {
            assert_eq!(from_bytes::<FromKeeper>(&to_bytes(&message).unwrap()).unwrap(), message);
        }
        let hold = ToKeeper::Hold { name: "rpc.sock".to_owned() };
        assert_eq!(to_bytes(&hold).unwrap(), br#"{"op":"hold","name":"rpc.sock"}"#);
    }

    #[test]
    fn what_is_too_large_or_no_message_is_refused() {
        let large = ToKeeper::Failed { error: "x".repeat(MAX_PACKET) };
        assert!(matches!(to_bytes(&large), Err(PacketError::TooLarge { .. })));
        let packet = vec![b' '; MAX_PACKET + 1];
        assert!(matches!(from_bytes::<ToKeeper>(&packet), Err(PacketError::TooLarge { .. })));
        for bad in [&b""[..], b"{}", b"\xff", br#"{"op":"dance"}"#] {
            assert!(matches!(from_bytes::<ToKeeper>(bad), Err(PacketError::Json(_))));
        }
    }

    #[test]
    fn what_version_one_said_is_understood() {
        for line in include_str!("../../tests/fixtures/link-v1.jsonl").lines() {
            from_bytes::<FromKeeper>(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        for line in include_str!("../../tests/fixtures/orders-v1.jsonl").lines() {
            from_bytes::<ToKeeper>(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        let hello = from_bytes::<ToKeeper>(br#"{"op":"hello","protocol":1}"#).unwrap();
        assert_eq!(hello, ToKeeper::Hello { protocol: 1, answers: false }, "one that knows no question is asked none");
    }

    #[test]
    fn unknown_fields_of_a_newer_side_are_ignored() {
        let packet = br#"{"op":"release","name":"a","colour":"red"}"#;
        assert_eq!(from_bytes::<ToKeeper>(packet).unwrap(), ToKeeper::Release { name: "a".to_owned() });
    }
}
