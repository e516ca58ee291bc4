//! rpc.sock and pub.sock: who may connect, and one task for each client.
//!
//! Owns: binding, or taking over what the keeper held; frames in, replies out in any order.
//! Must never: close a listener because of a client, wait for a client that does not read, or buffer without bound.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use super::answer::Answer;
use super::core::Daemon;
use super::dispatch::{self, Reply};
use super::keeper_link::KeeperLink;
use super::settings::Settings;
use crate::model::Home;
use crate::sys::socket::{self, BindError, Listener, Stream};
use crate::wire::amp::AmpDecoder;
use crate::wire::keeper::RPC_LISTENER;
use crate::wire::rpc::{Body, decode_request};

/// Names under which the keeper holds the listeners.
const RPC: &str = RPC_LISTENER;
const PUB: &str = "pub";

/// With more than this unsent, in bytes, no further call of the connection is read.
const MAX_UNSENT: usize = 1 << 20;

/// Calls of one connection that may wait for their outcome at a time.
const MAX_WAITING: usize = 4096;

/// Room to read into.
const READ: usize = 4096;

/// Both listening sockets.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) rpc: OwnedFd,
    pub(crate) bus: OwnedFd,
}

impl Sockets {
    /// Those that the keeper held, if their names still lead to a socket; else new ones, which the keeper is asked to
    /// hold. The bus comes first, as in stock: a client that finds rpc.sock may use both.
    pub(crate) fn open(
        home: &Home,
        settings: &Settings,
        held: &mut HashMap<String, OwnedFd>,
        keeper: &KeeperLink,
    ) -> Result<Sockets, BindError> {
        let mut one = |name: &str, path: &Path| {
            if let Some(fd) = held.remove(name).filter(|_| path.exists()) {
                return Ok(fd);
            }
            let failed = |error| BindError::Io { path: path.to_path_buf(), error };
            let fd = socket::bind(path)?;
            if let Some((user, group)) = settings.socket_owner {
                share(path, user, group).map_err(failed)?;
            }
            keeper.hold(name, fd.as_fd()).map_err(failed)?;
            Ok(fd)
        };
        Ok(Sockets { bus: one(PUB, &home.pub_socket)?, rpc: one(RPC, &home.rpc_socket)? })
    }
}

/// Gives a socket to the user and group that were asked for; both may connect then.
fn share(path: &Path, user: u32, group: u32) -> io::Result<()> {
    std::os::unix::fs::chown(path, Some(user), Some(group))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))
}

impl Daemon {
    /// Serves both sockets from now on.
    pub(crate) fn listen(self: &Rc<Self>, sockets: Sockets) -> io::Result<()> {
        let rpc = socket::listener(sockets.rpc)?;
        let bus = socket::listener(sockets.bus)?;
        let daemon = Rc::clone(self);
        let rpc = tokio::task::spawn_local(async move { daemon.accept_clients(rpc).await });
        let daemon = Rc::clone(self);
        let bus = tokio::task::spawn_local(async move { daemon.bus.serve(bus).await });
        self.listeners.borrow_mut().extend([rpc, bus]);
        Ok(())
    }

    /// Nobody finds us any more: the names go, then the sockets.
    pub(crate) fn close_listeners(&self) {
        for path in [&self.home.rpc_socket, &self.home.pub_socket] {
            // One that has gone already is what we want.
            let _ = std::fs::remove_file(path);
        }
        for name in [RPC, PUB] {
            self.keeper.send(&crate::wire::keeper::ToKeeper::Release { name: name.to_owned() }, Vec::new());
        }
        for listener in self.listeners.borrow_mut().drain(..) {
            listener.abort();
        }
    }

    async fn accept_clients(self: Rc<Self>, listener: Listener) {
        let mut pause = Duration::from_millis(10);
        loop {
            match socket::accept(&listener).await {
                Ok(stream) => {
                    pause = Duration::from_millis(10);
                    if self.may_command(&stream) {
                        let daemon = Rc::clone(&self);
                        tokio::task::spawn_local(async move { Connection::new(daemon, stream).serve().await });
                    }
                }
                // Too many open files, or no memory: those who wait stay in the backlog.
                Err(error) => {
                    self.log.error(&format!("cannot accept a client: {error}"));
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
            }
        }
    }

    /// Our own user and root; with `PM2_SOCKET_USER` and `_GROUP` whoever the mode of the socket let in.
    fn may_command(&self, stream: &Stream) -> bool {
        if self.settings.socket_owner.is_some() {
            return true;
        }
        match socket::peer_uid(stream) {
            Ok(uid) if socket::may_command(uid) => true,
            Ok(uid) => {
                self.log.error(&format!(
                    "refused a client of user {uid}: only the user of this daemon and root may command it"
                ));
                false
            }
            Err(error) => {
                self.log.error(&format!("refused a client: cannot tell its user: {error}"));
                false
            }
        }
    }
}

/// One client.
struct Connection {
    daemon: Rc<Daemon>,
    stream: Stream,
    out: Rc<Outgoing>,
}

/// Replies that wait for the client to read, and calls that wait for their outcome.
#[derive(Default)]
struct Outgoing {
    frames: RefCell<VecDeque<Bytes>>,
    bytes: Cell<usize>,
    waiting: Cell<usize>,
    more: Notify,
}

impl Outgoing {
    fn push(&self, frame: Bytes) {
        self.bytes.set(self.bytes.get() + frame.len());
        self.frames.borrow_mut().push_back(frame);
        self.more.notify_one();
    }

    /// What is to be sent next.
    fn front(&self) -> Option<Bytes> {
        self.frames.borrow().front().cloned()
    }

    fn sent(&self, count: usize) {
        let mut frames = self.frames.borrow_mut();
        if let Some(front) = frames.front_mut() {
            let count = count.min(front.len());
            front.advance(count);
            self.bytes.set(self.bytes.get().saturating_sub(count));
            if front.is_empty() {
                frames.pop_front();
            }
        }
    }

    fn has_room(&self) -> bool {
        self.bytes.get() < MAX_UNSENT && self.waiting.get() < MAX_WAITING
    }
}

impl Connection {
    fn new(daemon: Rc<Daemon>, stream: Stream) -> Connection {
        Connection { daemon, stream, out: Rc::default() }
    }

    async fn serve(self) {
        let mut decoder = AmpDecoder::new();
        let mut reading = true;
        let (mut input, mut output) = (&self.stream, &self.stream);
        loop {
            let front = self.out.front();
            if !reading && front.is_none() && self.out.waiting.get() == 0 {
                return;
            }
            let room = reading && self.out.has_room();
            if room {
                decoder.buffer_mut().reserve(READ);
            }
            tokio::select! {
                read = input.read_buf(decoder.buffer_mut()), if room => match read {
                    // The client will say no more; what it waits for is still sent.
                    Ok(0) => reading = false,
                    Ok(_) => {
                        if !self.take_frames(&mut decoder) {
                            return;
                        }
                    }
                    Err(_) => return,
                },
                sent = write(&mut output, front.as_ref()), if front.is_some() => match sent {
                    Ok(count) if count > 0 => self.out.sent(count),
                    _ => return,
                },
                () = self.out.more.notified() => {}
            }
        }
    }

    /// False: the stream is of no use any more.
    fn take_frames(&self, decoder: &mut AmpDecoder) -> bool {
        loop {
            match decoder.next_frame() {
                Ok(Some(arguments)) => self.take_frame(&arguments),
                Ok(None) => return true,
                Err(error) => {
                    self.daemon.log.error(&format!("a client sent what is no frame, and is dropped: {error}"));
                    return false;
                }
            }
        }
    }

    fn take_frame(&self, arguments: &[Bytes]) {
        let Some(request) = decode_request(arguments) else {
            let count = self.daemon.ignored_frames.get() + 1;
            self.daemon.ignored_frames.set(count);
            // Once is news; a flood of it must not fill the log.
            if count.is_power_of_two() {
                self.daemon.log.error(&format!("ignored {count} frames without an id"));
            }
            return;
        };
        let reply = match request.body {
            Body::Methods => Reply::Now(dispatch::methods()),
            Body::Call(call) => dispatch::call(&self.daemon, &call.method, &call.args),
            Body::Malformed(error) => Reply::Now(Answer::refusal(&error)),
        };
        match reply {
            Reply::Now(answer) => send(&self.out, &answer, &request.id),
            Reply::Later(answer) => {
                let out = Rc::clone(&self.out);
                out.waiting.set(out.waiting.get() + 1);
                tokio::task::spawn_local(async move {
                    let answer = answer.await;
                    out.waiting.set(out.waiting.get() - 1);
                    send(&out, &answer, &request.id);
                });
            }
            Reply::Never => {}
        }
    }
}

fn send(out: &Outgoing, answer: &Answer, id: &[u8]) {
    let frame =
        answer.frame(id).or_else(|error| Answer::error(&format!("the reply cannot be sent: {error}")).frame(id));
    // An id that is itself too large for a frame cannot be answered.
    if let Ok(frame) = frame {
        out.push(frame);
    }
    out.more.notify_one();
}

async fn write(output: &mut &Stream, frame: Option<&Bytes>) -> io::Result<usize> {
    match frame {
        Some(frame) => output.write(frame).await,
        None => std::future::pending().await,
    }
}
