//! Who troubles the world: clients with their commands, news out of time, daemons that die.

use std::collections::BTreeMap;

use super::oracle::Oracle;
use super::world::{Event, Life, SLOTS, World};
use crate::model::{PmId, Policy, RunId, Signal};
use crate::supervisor::{Input, Slot, Supervisor, Ticket, Verb};

impl World {
    pub(super) fn client(&mut self) {
        let id = PmId(u32::try_from(self.random.below(u64::from(SLOTS))).unwrap());
        let with_ticket = self.random.permille(800);
        if self.table.slot(id).is_none() {
            let policy = self.policy();
            self.policies.insert(id, policy.clone());
            self.oracles.insert(id, Oracle::default());
            let ticket = with_ticket.then(|| self.ticket(id, Verb::Start));
            let start = self.random.permille(900);
            self.feed(Input::Register { id, policy, start, ticket });
            return;
        }
        match self.random.below(100) {
            0..20 => self.command(id, Verb::Start, with_ticket),
            20..40 => self.command(id, Verb::Restart, with_ticket),
            40..65 => self.command(id, Verb::Reload, with_ticket),
            65..82 => self.command(id, Verb::Stop, with_ticket),
            82..90 => self.command(id, Verb::Delete, with_ticket),
            90..95 => self.feed(Input::Reset { id }),
            _ => {
                let policy = self.policy();
                self.policies.insert(id, policy.clone());
                self.feed(Input::Configure { id, policy });
            }
        }
    }

    pub(super) fn command(&mut self, id: PmId, verb: Verb, with_ticket: bool) {
        let ticket = with_ticket.then(|| self.ticket(id, verb));
        self.feed(Input::Command { id, verb, ticket });
    }

    pub(super) fn ticket(&mut self, id: PmId, verb: Verb) -> Ticket {
        self.next_ticket += 1;
        self.tickets.insert(Ticket(self.next_ticket), (id, verb));
        Ticket(self.next_ticket)
    }

    pub(super) fn policy(&mut self) -> Policy {
        let random = &mut self.random;
        Policy {
            autostart: true,
            autorestart: random.permille(850),
            min_uptime: random.pick(&[0, 100, 1000]),
            max_restarts: random.pick(&[0, 3, 16, 16]),
            restart_delay: random.pick(&[0, 0, 50]),
            exp_backoff_restart_delay: random.pick(&[0, 0, 100]),
            backoff_reset_after: 2_000,
            stop_exit_codes: random.pick(&[None, None, Some(0)]).into_iter().collect(),
            stop_signal: Signal::INT,
            kill_timeout: random.pick(&[0, 50, 1600]),
            treekill: random.permille(700),
            shutdown_with_message: random.permille(200),
            wait_ready: random.permille(300),
            ready_required: random.permille(300),
            listen_timeout: random.pick(&[0, 200, 3000]),
            cluster: random.permille(600),
        }
    }

    /// News of the past, ticks out of time.
    pub(super) fn noise(&mut self) {
        let runs: Vec<RunId> = self.procs.keys().copied().collect();
        if runs.is_empty() || self.random.permille(300) {
            self.feed(Input::Tick);
            return;
        }
        let run = runs[self.random.index(runs.len())];
        let proc = &self.procs[&run];
        let (id, pid) = (proc.id, proc.pid);
        match (proc.life, self.random.below(2)) {
            (Life::Dead(exit), 0) if proc.reported => self.feed(Input::Exited { id, run, exit }),
            (Life::Dead(_), _) if proc.reported => self.feed(Input::Ready { id, run }),
            (Life::Alive, _) if proc.told && self.owns(id, run) => self.feed(Input::Spawned { id, run, pid }),
            _ => {}
        }
    }

    pub(super) fn owns(&self, id: PmId, run: RunId) -> bool {
        self.table.slot(id).is_some_and(|slot| slot.knows(run))
    }

    pub(super) fn daemon_dies(&mut self) {
        self.tally.daemons += 1;
        self.tickets.clear();
        let journal: Vec<(PmId, String)> =
            self.table.ids().map(|id| (id, serde_json::to_string(self.table.slot(id).unwrap()).unwrap())).collect();
        let mut next = Supervisor::new(self.table.next_run());
        for (id, text) in journal {
            let slot: Slot = serde_json::from_str(&text).unwrap();
            assert_eq!(slot.view(), self.table.view(id).unwrap());
            next.restore(id, slot);
        }
        self.table = next;
        for oracle in self.oracles.values_mut() {
            oracle.lose_track();
        }
        self.events.retain(|_, event| !matches!(event, Event::TreeGone(_)));
        for proc in self.procs.values_mut() {
            proc.tree_watched = false;
            // The keeper died too: nobody saw how these ended.
            if matches!(proc.life, Life::Dead(_)) && !proc.reported && self.random.permille(300) {
                proc.reported = true;
            }
        }
        self.restoring = true;
        for run in self.procs.keys().copied().collect::<Vec<_>>() {
            self.report_again(run);
        }
        self.restoring = false;
        let alive: BTreeMap<RunId, i32> =
            self.procs.iter().filter(|(_, p)| p.told && !p.reported).map(|(run, p)| (*run, p.pid)).collect();
        let effects = self.table.after_restore(self.moment(), &|run| alive.get(&run).copied());
        // What is done here answers no input, so nobody counted it.
        for oracle in self.oracles.values_mut() {
            oracle.lose_track();
        }
        self.do_all_or_die(&effects);
    }

    /// What the keeper tells every new daemon.
    pub(super) fn report_again(&mut self, run: RunId) {
        let proc = &self.procs[&run];
        let (id, pid) = (proc.id, proc.pid);
        match proc.life {
            Life::Asked if self.random.permille(100) => {
                // The keeper's answer went to the daemon that died.
                self.procs.remove(&run);
            }
            Life::Asked => {
                self.come_alive(run);
                self.feed(Input::Spawned { id, run, pid });
            }
            Life::Alive if self.owns(id, run) => self.feed(Input::Spawned { id, run, pid }),
            Life::Dead(exit) if !proc.reported => self.feed(Input::Exited { id, run, exit }),
            Life::Alive | Life::Dead(_) => {}
        }
    }
}
