//! A daemon that follows one that died: the table from the journal, the processes from the keeper.
//!
//! Owns: the order of the restore. Must never: start what runs already, or forget what runs.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::core::{Daemon, now};
use super::journal::{Alive, Journal, Newer, Restored};
use super::keeper_link::Handover;
use super::processes::is_line_of_nobody;
use super::record::Record;
use super::table::Table;
use crate::model::{Home, PmId, RunId, Signal};
use crate::supervisor::{Input, Supervisor};
use crate::sys::pidfd;
use crate::wire::keeper::{Spawned, ToKeeper};

/// What the journal says of processes that live.
type Lives = BTreeMap<PmId, Vec<Alive>>;

/// The table as the journal knows it, and what lived; an empty one for the first daemon of a home. A journal that a first
/// daemon finds is that of a daemon that was killed together with its keeper: who ends on purpose removes it.
pub(crate) fn table(home: &Home, handover: &Handover) -> Result<(Table, Lives), Newer> {
    let (mut journal, Restored { instances, alive, next_run }) = Journal::resume(&home.journal_file)?;
    // A run that the journal does not know yet may have been given out: never use its number again.
    let highest = handover.running.iter().map(|(spawned, _)| spawned.run.0 + 1).max().unwrap_or(0);
    let mut supervisor = Supervisor::new(next_run.max(highest).max(1));
    let mut records = Vec::new();
    let mut blocks = HashMap::new();
    for (id, (stored, said, slot)) in instances {
        // A record whose slot was not written is a start that was never answered.
        let Some(slot) = slot else {
            journal.del(id);
            continue;
        };
        supervisor.restore(id, slot);
        records.push((id, Record::from_stored(id, stored, said, &mut blocks)));
    }
    let mut table = Table::new(supervisor, journal);
    table.records.extend(records);
    Ok((table, alive))
}

/// Takes the processes back and goes on with what was half done.
pub(crate) fn processes(
    daemon: &Rc<Daemon>,
    running: Vec<(Spawned, Vec<OwnedFd>)>,
    exited: Vec<Exited>,
    mut lives: Lives,
) {
    let mut inputs = Vec::new();
    let mut orphans = Vec::new();
    for (spawned, fds) in running {
        if let Some(lives) = lives.get_mut(&spawned.id) {
            lives.retain(|(run, ..)| *run != spawned.run);
        }
        if daemon.table.borrow().records.contains_key(&spawned.id) {
            // The pidfd alone: it was an orphan before.
            if fds.len() == 1 {
                orphans.push((spawned.id, spawned.run));
            }
            daemon.take(&spawned, fds);
            inputs.push(Input::Spawned { id: spawned.id, run: spawned.run, pid: spawned.pid });
        } else {
            end_unknown(daemon, &spawned, fds);
        }
    }
    for (id, run, pid) in daemon.take_orphans(lives) {
        orphans.push((id, run));
        inputs.push(Input::Spawned { id, run, pid });
    }
    {
        let mut table = daemon.table.borrow_mut();
        for (id, alive) in table.all_alive() {
            table.journal.alive(id, alive);
        }
    }
    // Without a descriptor to spare the next daemon looks for lost processes once more.
    let _ = daemon.note_settled();
    daemon.keeper.release_all(|name| is_line_of_nobody(name, &daemon.table.borrow().runs));
    daemon.logs.resume();
    for input in inputs {
        daemon.feed(input);
    }
    for (id, run, exit) in exited {
        daemon.on_exit(id, run, exit);
    }
    let channels = {
        let table = daemon.table.borrow();
        table.runs.iter().filter_map(|(number, run)| Some((*number, run.channel.clone()?))).collect()
    };
    daemon.clusters.settle(&channels);
    let effects = {
        let mut table = daemon.table.borrow_mut();
        let Table { supervisor, runs, .. } = &mut *table;
        supervisor.after_restore(now(), &|run| runs.get(&run).map(|run| run.pid))
    };
    daemon.feed_effects(effects);
    daemon.look_after_orphans(orphans);
    let started: Vec<_> = {
        let table = daemon.table.borrow();
        let ran = |id: &crate::model::PmId| table.supervisor.view(*id).is_some_and(|view| view.started_at.is_some());
        table.records.keys().copied().filter(ran).collect()
    };
    for id in started {
        daemon.sync_cron(id);
        daemon.sync_watch(id);
    }
}

/// What nobody waits for: the pid files of all that runs, in case the daemon before was killed before it wrote one.
pub(crate) async fn check_pid_files(daemon: Rc<Daemon>) {
    let runs: Vec<RunId> = daemon.table.borrow().runs.keys().copied().collect();
    for run in runs {
        daemon.write_pid_file(run);
        tokio::task::yield_now().await;
    }
}

type Exited = (crate::model::PmId, crate::model::RunId, crate::model::Exit);

/// A process of an instance that the journal does not know: it was being deleted, and nobody would end it.
fn end_unknown(daemon: &Rc<Daemon>, spawned: &Spawned, fds: Vec<OwnedFd>) {
    daemon.log.error(&format!("process {} of id {} is in no list any more: ending it", spawned.pid, spawned.id));
    if let Some(process) = fds.into_iter().next() {
        // It may have ended already.
        let _ = pidfd::send_signal(&process, Signal::KILL);
    }
    daemon.keeper.send(&ToKeeper::Acknowledge { run: spawned.run }, Vec::new());
}
