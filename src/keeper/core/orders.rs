//! What the daemon orders, and what is done about it.

use std::io;
use std::os::fd::OwnedFd;

use super::{GRACE, Keeper, Outgoing, PM2_VERSION, say};
use crate::keeper::brain::Successor;
use crate::model::{PmId, RunId};
use crate::sys::{clock, code, packet};
use crate::wire::keeper::{MAX_PACKET, PROTOCOL, SpawnSpec, ToKeeper};

/// How long a daemon may take to end after its `Quit`, in milliseconds: it may have apps to stop first.
const QUIT_GRACE: u64 = 30_000;
/// A spawn order is never larger, in bytes: the kernel takes no more arguments and environment anyway.
const MAX_SPEC: usize = 16 << 20;

impl Keeper {
    /// Obeys what has arrived, at most so many packets. How many those were.
    pub(super) fn take_orders(&mut self, most: usize) -> usize {
        for taken in 0..most {
            let Some(link) = self.brain.as_ref().and_then(|brain| brain.link.as_ref()) else { return taken };
            match packet::receive_now(link, MAX_PACKET) {
                Ok(Some(packet)) => {
                    self.watchdog.heard();
                    self.obey(packet);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return taken,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => say(&format!("daemon: {error}")),
                // It was killed before it read all that we said: said once, before its last words.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
                // The end. Its process should follow; one that lives on without us is of no use to anybody.
                Ok(None) | Err(_) => {
                    if let Some(brain) = &mut self.brain {
                        brain.link = None;
                    }
                    self.kill_at.get_or_insert(clock::boot_millis() + GRACE);
                    return taken;
                }
            }
        }
        most
    }

    fn obey(&mut self, packet: packet::Packet) {
        let order = match serde_json::from_slice(&packet.bytes) {
            Ok(order) => order,
            Err(error) => return say(&format!("an order of the daemon was not understood: {error}")),
        };
        let Some(brain) = &mut self.brain else { return };
        match order {
            ToKeeper::Hello { protocol, answers } => {
                if protocol != PROTOCOL {
                    say(&format!("the daemon speaks protocol {protocol}, the keeper {PROTOCOL}"));
                }
                brain.answers = answers;
                if answers {
                    self.watchdog.begin(clock::boot_millis());
                }
            }
            // That it said anything is the answer.
            ToKeeper::Pong => {}
            ToKeeper::Spawn { id, run } => self.spawn(id, run, packet.fds.into_iter().next()),
            ToKeeper::Acknowledge { run } => self.acknowledge(run),
            ToKeeper::Hold { name } => match packet.fds.into_iter().next() {
                Some(fd) => self.table.hold(name, fd),
                None => say(&format!("the descriptor {name} did not arrive: too many open files")),
            },
            ToKeeper::Release { name } => self.table.release(&name),
            ToKeeper::Quit { code } => {
                brain.quit = Some(code);
                self.kill_at.get_or_insert(clock::boot_millis() + QUIT_GRACE);
            }
            ToKeeper::Replace { executable, agent } => {
                brain.successor = Some(Successor { executable: executable.into(), agent: agent.map(Into::into) });
            }
            ToKeeper::Adopt(spawned) if !packet.fds.is_empty() => self.table.adopt(&spawned, packet.fds),
            ToKeeper::Adopt(spawned) => {
                say(&format!("process {} cannot be taken over: too many open files", spawned.pid));
            }
            ToKeeper::Online => self.online(),
            ToKeeper::Failed { error } => brain.failed = Some(error),
        }
    }

    pub(super) fn acknowledge(&mut self, run: RunId) {
        let freed = self.table.acknowledge(run);
        self.spawner.large_pipes = self.spawner.large_pipes.saturating_add(freed);
    }

    fn spawn(&mut self, id: PmId, run: RunId, spec: Option<OwnedFd>) {
        // Given twice: one process is enough, and it was told.
        if self.table.run(run).is_some() {
            return;
        }
        let failed = |error: String, errno| Outgoing::SpawnFailed { id, run, error, errno };
        let spec = match spec.ok_or_else(|| io::Error::from_raw_os_error(libc::EMFILE)).and_then(read_spec) {
            Ok(spec) => spec,
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EINVAL);
                return self.outbox.push(failed(format!("cannot read what to start: {error}"), errno));
            }
        };
        let ipc = spec.ipc;
        match self.spawner.spawn(&spec) {
            Ok(child) => {
                self.table.add(id, run, ipc, child);
                self.outbox.push(Outgoing::Spawned(run));
            }
            Err(mut not_started) => {
                // A packet has its limit, and so has what a person reads.
                let end =
                    (0..=4_000.min(not_started.text.len())).rev().find(|end| not_started.text.is_char_boundary(*end));
                not_started.text.truncate(end.unwrap_or(0));
                self.outbox.push(failed(not_started.text, not_started.errno));
            }
        }
        // Told at once: the app has begun, its supervisor should know.
        self.flush();
    }

    fn online(&mut self) {
        if let Some(brain) = &mut self.brain {
            brain.online = true;
        }
        self.was_online = true;
        // It is there only after trouble.
        let _ = std::fs::remove_file(&self.options.home.trouble_file);
        if !self.abandoned && self.brain.as_ref().is_some_and(|brain| brain.quit.is_none()) {
            self.kill_at = None;
        }
        if self.fallback.take().is_some() {
            // The daemon proves that the new executable works here: now the keeper follows.
            self.renew = self.options.executable.is_none();
        }
        let pid = std::process::id();
        self.tell_starter(&format!(r#"{{"online":true,"success":true,"pid":{pid},"pm2_version":"{PM2_VERSION}"}}"#));
        code::forget();
    }
}

fn read_spec(memory: OwnedFd) -> io::Result<SpawnSpec> {
    let content = packet::read_memory_file(memory, MAX_SPEC)?;
    Ok(serde_json::from_slice(&content)?)
}
