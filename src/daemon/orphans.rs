//! Apps whose keeper and daemon were both killed: they run, but are nobody's children and have lost their pipes.
//!
//! Owns: how they are recognised (pid and start time, in a journal of this boot), and the policy (`PM2_RS_ORPHANS`).
//! Must never: start a second copy beside one, signal a pid that may be another process's, or end more than one at a
//! time.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::core::Daemon;
use super::journal::Alive;
use super::methods::render_proc;
use crate::model::{PmId, RunId};
use crate::supervisor::Verb;
use crate::sys::pidfd;
use crate::sys::process::Member;
use crate::wire::keeper::{Spawned, ToKeeper};

impl Daemon {
    /// Takes those of `lives` that still run into the table and into the keeper's care, by their pidfd alone. Also ends
    /// what was started in the last moment and is in no journal.
    pub(super) fn take_orphans(self: &Rc<Self>, lives: BTreeMap<PmId, Vec<Alive>>) -> Vec<(PmId, RunId, i32)> {
        let mut taken = Vec::new();
        for (id, runs) in lives {
            if !self.table.borrow().records.contains_key(&id) {
                continue;
            }
            for (run, pid, start_time) in runs {
                let Ok(Some(process)) = (Member { pid, start_time }).open() else { continue };
                // It has ended, and its new parent has not reaped it yet.
                if pidfd::has_ended(&process) {
                    continue;
                }
                let Ok(copy) = process.try_clone() else { continue };
                let spawned = Spawned { id, run, pid, start_time, ipc: false };
                self.adopt(&spawned, vec![process]);
                self.keeper.send(&ToKeeper::Adopt(spawned), vec![copy]);
                taken.push((id, run, pid));
            }
        }
        if self.unsettled {
            self.end_unheard();
        }
        taken
    }

    /// Spawns that the journal has as asked for: a keeper that was killed may have carried them out.
    fn end_unheard(&self) {
        let unheard: Vec<(PmId, u64)> = {
            let table = self.table.borrow();
            let unheard = table.supervisor.unanswered().filter(|(_, run, _)| !table.runs.contains_key(run));
            unheard.map(|(id, _, since)| (id, since)).collect()
        };
        for (id, since) in unheard {
            self.end_lost(id, since);
        }
    }

    /// Restarts them, one after the other, so that not everything is away at once; or keeps them.
    pub(super) fn look_after_orphans(self: &Rc<Self>, orphans: Vec<(PmId, RunId)>) {
        if orphans.is_empty() {
            return;
        }
        let count = orphans.len();
        if self.settings.keep_orphans {
            self.log.log(&format!(
                "{count} apps outlived keeper and daemon: kept as they are (PM2_RS_ORPHANS=keep); what they print and \
                 say is lost until they are restarted"
            ));
            return;
        }
        self.log
            .log(&format!("{count} apps outlived keeper and daemon, which held their pipes: restarting one by one"));
        let daemon = Rc::clone(self);
        tokio::task::spawn_local(async move {
            for (id, run) in orphans {
                // Somebody else may have restarted, stopped or deleted it meanwhile.
                let holds = daemon.table.borrow().supervisor.view(id).and_then(|view| view.run) == Some(run);
                if holds && !daemon.end.has_begun() {
                    let _ = daemon.command(id, Verb::Restart, Box::new(render_proc)).await;
                }
            }
        });
    }
}
