//! What is done about a daemon that died, cannot start, or hangs.

use std::os::fd::AsRawFd;

use nix::sys::socket::{SockFlag, accept4};

use super::{Before, Keeper, Outgoing, say};
use crate::keeper::brain::Pause;
use crate::keeper::watchdog::Verdict;
use crate::model::Signal;
use crate::sys::file::{self, Durability};
use crate::sys::{pidfd, stat};
use crate::wire::keeper::RPC_LISTENER;

/// While daemons die at once a client gets a new try so often, in milliseconds.
const ON_DEMAND: u64 = 5_000;

impl Keeper {
    /// After a daemon died, or could not be started. `served`: it was online.
    pub(super) fn after_daemon(&mut self, started: u64, now: u64, served: bool, how: &str) {
        if let Some(Before { executable, agent }) = self.fallback.take() {
            say(&format!("{how} before it served: going back to the executable before it"));
            self.failed_update = Some(how.to_owned());
            (self.executable, self.options.agent) = (executable, agent);
            self.start_at = Some(now);
        } else if self.was_online {
            let Pause { millis, is_loop, is_news, gives_up } = self.back_off.after_death(started, now);
            if gives_up {
                self.on_demand = Some(now + ON_DEMAND);
                say(&format!("{how}: starting no other until a client asks; apps run on without supervision"));
            } else {
                self.start_at = Some(now + millis);
                if millis == 0 {
                    // Everybody waits for it, and nobody for these words.
                    self.start_daemon(now);
                    self.flush();
                }
                say(&format!("{how}: starting it again in {millis} ms; apps are not affected"));
            }
            if is_news {
                say("the daemon dies again and again: trying every 5 s; apps run on without supervision meanwhile");
            }
            if is_loop {
                self.note_trouble(how);
                if gives_up && !served {
                    self.turn_away();
                }
            }
        } else {
            let log = self.options.home.log_file.display();
            self.give_up(&format!("{how} before it served; see {log}"));
        }
    }

    fn note_trouble(&self, how: &str) {
        let log = self.options.home.log_file.display();
        let text = format!("it dies again and again ({how}); apps run on without supervision; see {log}");
        // Clients who cannot read it are told less.
        let _ = file::replace(&self.options.home.trouble_file, text.as_bytes(), Durability::Cache);
    }

    /// Those who wait for a daemon would wait for ever: they find their connection closed, and why in the file of trouble.
    fn turn_away(&self) {
        let Some(listener) = self.table.held(RPC_LISTENER) else { return };
        // All are taken before the first is closed: one that comes back at once is to find a queue, and a new try.
        let next = || accept4(listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC).ok();
        // As many as fit into the queue; the listener does not block.
        let clients: Vec<_> = std::iter::from_fn(next).take(4096).collect();
        for client in clients {
            // Whatever it says, nobody is there any more.
            let _ = nix::unistd::close(client);
        }
    }

    pub(super) fn watch_over(&mut self, now: u64) {
        let Some(brain) = &self.brain else { return };
        let state = || stat::read(brain.pid).map_or(b'?', |stat| stat.state);
        match self.watchdog.look(now, state) {
            Verdict::Nothing => {}
            Verdict::Ask => self.outbox.push(Outgoing::Ping),
            Verdict::Continue => {
                say("the daemon was stopped (SIGSTOP) and nobody continued it: continuing it");
                let _ = pidfd::send_signal(&brain.pidfd, Signal(libc::SIGCONT));
            }
            Verdict::Kill => {
                let state = char::from(state());
                say(&format!("the daemon hangs: it answers no question (state {state}); killing it"));
                let _ = pidfd::send_signal(&brain.pidfd, Signal::KILL);
            }
        }
    }

    pub(super) fn give_up(&mut self, error: &str) {
        say(error);
        let error = serde_json::Value::from(error);
        self.tell_starter(&format!(r#"{{"success":false,"code":"failed","error":{error}}}"#));
        self.exit_code = Some(1);
    }
}
