//! How the daemon ends on purpose (contract/wire.md section 9).
//!
//! Owns: the order of the end, and what the signals that the keeper passes on mean.
//! Must never: end while an app of ours still runs unasked, or signal a process that is not the client that asked.

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};

use super::core::Daemon;
use super::dispatch::outcome;
use super::logs::RotationSpec;
use super::methods::render_proc;
use super::record::Record;
use crate::model::{PmId, Signal};
use crate::supervisor::{Input, Verb, View};
use crate::sys::file::{self, Durability};
use crate::sys::pidfd;
use crate::wire::keeper::ToKeeper;

/// How long the bus and the keeper may take to hear our last words.
const LAST_WORDS: Duration = Duration::from_millis(500);

impl Daemon {
    /// A signal that the keeper was sent. HUP and everything unknown means nothing.
    pub(crate) fn on_signal(self: &Rc<Self>, signal: Signal) {
        match signal {
            Signal::TERM | Signal::INT | Signal::QUIT => {
                let daemon = Rc::clone(self);
                tokio::task::spawn_local(async move { daemon.end_by_signal(signal).await });
            }
            Signal::USR2 => self.reopen_logs(),
            _ => {}
        }
    }

    pub(crate) fn reopen_logs(&self) {
        self.log.log("Reloading logs...");
        self.read_rotation_defaults();
        self.logs.reopen();
        self.log.reopen();
    }

    /// The defaults for all apps out of `module_conf.json`: at the start, and when logs are reloaded.
    pub(crate) fn read_rotation_defaults(&self) {
        // No file, no defaults.
        let text = std::fs::read(&self.home.module_conf_file).unwrap_or_default();
        self.logs.set_rotation_defaults(RotationSpec::from_module_conf(&text));
    }

    async fn end_by_signal(self: Rc<Self>, signal: Signal) {
        if !self.end.begin() {
            return;
        }
        self.feed(Input::ShuttingDown);
        self.say_killed(&format!("pm2 has been killed by {signal}"));
        self.dump();
        self.delete_all().await;
        self.leave(None).await;
    }

    /// `killMe`: the client has deleted the apps one by one before; what is left is ended too, because nobody would be
    /// there to look after it.
    pub(crate) fn end_by_client(self: &Rc<Self>, client: Option<i32>) {
        if !self.end.begin() {
            return;
        }
        let daemon = Rc::clone(self);
        tokio::task::spawn_local(async move {
            daemon.feed(Input::ShuttingDown);
            daemon.delete_all().await;
            daemon.say_killed("pm2 has been killed via CLI");
            daemon.leave(client).await;
        });
    }

    fn say_killed(&self, message: &str) {
        self.log.log(message);
        self.bus.publish("pm2:kill", &json!({ "status": "killed", "msg": message }));
    }

    /// The list as the daemon itself saves it: compact, and not at all when it is empty (contract/api.md section 7.5).
    fn dump(&self) {
        let saved: Vec<Value> = {
            let table = self.table.borrow();
            let apps = table.records.values().filter(|record| record.flag("pmx_module") != Some(true));
            apps.filter_map(|record| saved(record, &table.supervisor.view(record.id)?)).collect()
        };
        if saved.is_empty() {
            return;
        }
        let text = Value::Array(saved).to_string();
        if let Err(error) = file::replace(&self.home.dump_file, text.as_bytes(), Durability::Disk) {
            self.log.error(&format!("cannot save the list to {}: {error}", self.home.dump_file.display()));
        }
    }

    /// Ends every app, all at once. The supervisor bounds each stop by SIGKILL; this bounds them all.
    async fn delete_all(self: &Rc<Self>) {
        let (ids, longest): (Vec<PmId>, u64) = {
            let table = self.table.borrow();
            let longest = table.records.values().map(|r| r.policy(&self.settings.defaults).kill_timeout).max();
            (table.records.keys().copied().collect(), longest.unwrap_or(0))
        };
        let replies: Vec<_> = ids.into_iter().map(|id| self.command(id, Verb::Delete, Box::new(render_proc))).collect();
        let limit = Duration::from_millis(longest.saturating_mul(2).saturating_add(5_000));
        let all = async {
            for reply in replies {
                // What cannot be ended is not waited for twice.
                let _ = outcome(reply).await;
            }
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            self.log.error("some processes did not end in time");
        }
    }

    /// The last words, the sockets, the client that waits, the keeper.
    async fn leave(self: &Rc<Self>, client: Option<i32>) {
        self.log.log("PM2 successfully stopped");
        let _ = tokio::time::timeout(LAST_WORDS, self.bus.flushed()).await;
        self.close_listeners();
        self.clusters.end();
        if let Some(pid) = client {
            tell_client(pid);
        }
        self.table.borrow_mut().journal.remove();
        if self.keeper.is_gone() {
            // Its file is ours to remove then.
            let _ = std::fs::remove_file(&self.home.pid_file);
        }
        self.keeper.send(&ToKeeper::Quit { code: 0 }, Vec::new());
        let _ = tokio::time::timeout(LAST_WORDS, self.keeper.flushed()).await;
        self.end.set(0);
    }
}

/// An instance as a dump holds it. Each one stands for itself: with `instances` it would come back as many.
fn saved(record: &Record, view: &View) -> Option<Value> {
    let mut text = String::new();
    record.push_pm2_env(&mut text, view, true, false);
    let mut value: Value = serde_json::from_str(&text).ok()?;
    let fields = value.as_object_mut()?;
    fields.shift_remove("instances");
    fields.shift_remove("pm_id");
    Some(value)
}

/// The CLI waits for this signal. Only a process of our own user can be the client.
fn tell_client(pid: i32) {
    if pid <= 1 || u32::try_from(pid).is_ok_and(|pid| pid == std::process::id()) {
        return;
    }
    let ours = |_: &OwnedFd| {
        // Looked at after the descriptor was opened, so it is this process that is looked at.
        let owner = std::fs::metadata(format!("/proc/{pid}")).map(|meta| meta.uid());
        owner.is_ok_and(|uid| uid == nix::unistd::geteuid().as_raw())
    };
    if let Ok(client) = pidfd::open(pid)
        && ours(&client)
    {
        // It may have given up and gone.
        let _ = pidfd::send_signal(&client, Signal::QUIT);
    }
}
