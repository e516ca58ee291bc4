//! The fake world: processes, clients, a clock; it carries out effects and checks them.

use std::collections::BTreeMap;

use super::oracle::{Oracle, Step};
use super::random::Random;
use super::referee::{self, Referees};
use super::tally::Tally;
use crate::model::{Exit, Now, PmId, Policy, RunId, Status};
use crate::supervisor::{Effect, Input, Supervisor, Ticket, Verb, View};

pub(super) const SLOTS: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Asked,
    Alive,
    Dead(Exit),
}

#[derive(Debug)]
pub(super) struct Proc {
    pub(super) id: PmId,
    pub(super) pid: i32,
    pub(super) life: Life,
    /// The daemon was told of it.
    pub(super) told: bool,
    /// The daemon was told of its end.
    pub(super) reported: bool,
    /// The daemon asked it to end.
    pub(super) asked_to_end: bool,
    pub(super) ready: bool,
    pub(super) spawned_at: u64,
    pub(super) ignores: bool,
    pub(super) unkillable: bool,
    /// Its children outlive it until SIGKILL, or even that.
    pub(super) stubborn_tree: bool,
    pub(super) immortal_tree: bool,
    pub(super) cluster: bool,
    pub(super) wait_ready: bool,
    pub(super) listen_timeout: u64,
    /// The daemon waits for the end of its children.
    pub(super) tree_watched: bool,
    pub(super) ended: bool,
}

impl Proc {
    /// It runs as far as the daemon can know.
    pub(super) fn known_alive(&self) -> bool {
        self.told && !self.reported
    }

    pub(super) fn gives_trouble(&self) -> bool {
        self.unkillable || self.immortal_tree
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    Answer(RunId),
    Die(RunId, Exit),
    Report(RunId),
    TreeGone(RunId),
    Ready(RunId),
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) random: Random,
    pub(super) now: u64,
    pub(super) table: Supervisor,
    pub(super) procs: BTreeMap<RunId, Proc>,
    pub(super) events: BTreeMap<(u64, u64), Event>,
    pub(super) sequence: u64,
    pub(super) tickets: BTreeMap<Ticket, (PmId, Verb)>,
    pub(super) next_ticket: u64,
    pub(super) policies: BTreeMap<PmId, Policy>,
    pub(super) oracles: BTreeMap<PmId, Oracle>,
    pub(super) referees: Referees,
    /// Daemons die in this world.
    pub(super) mortal: bool,
    /// A new daemon is being told what there is.
    pub(super) restoring: bool,
    /// No more commands, crashes or failures.
    pub(super) calm: bool,
    pub(super) shutting_down: bool,
    pub(super) trace: bool,
    pub(super) tally: Tally,
}

impl World {
    pub(super) fn new(seed: u64, trace: bool) -> World {
        World {
            random: Random::new(seed),
            now: 10_000,
            table: Supervisor::new(1),
            procs: BTreeMap::new(),
            events: BTreeMap::new(),
            sequence: 0,
            tickets: BTreeMap::new(),
            next_ticket: 0,
            policies: BTreeMap::new(),
            oracles: BTreeMap::new(),
            referees: Referees::new(),
            mortal: seed % 2 == 1,
            restoring: false,
            calm: false,
            shutting_down: false,
            trace,
            tally: Tally::default(),
        }
    }

    pub(super) fn step(&mut self) {
        if self.random.permille(10) {
            self.forget();
        } else if self.random.permille(120) {
            self.client();
        } else if self.random.permille(20) {
            self.noise();
        } else if self.mortal && self.random.permille(5) {
            self.daemon_dies();
        } else {
            self.time_passes();
        }
    }

    /// Everybody calms down; then every wish must be fulfilled and everything at rest.
    pub(super) fn settle(&mut self) {
        self.calm = true;
        if self.random.permille(300) {
            self.shutting_down = true;
            self.feed(Input::ShuttingDown);
        }
        self.run_dry();
        assert!(self.tickets.is_empty(), "never answered: {:?}", self.tickets);
        for id in self.table.ids().collect::<Vec<_>>() {
            let slot = self.table.slot(id).unwrap();
            let status = slot.view().status;
            let at_rest = matches!(status, Status::Online | Status::Stopped | Status::Errored);
            assert!(at_rest && slot.is_at_rest(), "{id} is not at rest: {slot:#?}");
            self.command(id, Verb::Delete, true);
        }
        self.run_dry();
        assert!(self.tickets.is_empty(), "never answered: {:?}", self.tickets);
        assert_eq!((self.table.ids().count(), self.table.deadline()), (0, None));
        let left: Vec<_> = self.procs.iter().filter(|(_, p)| p.life == Life::Alive && !p.gives_trouble()).collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }

    pub(super) fn run_dry(&mut self) {
        for _ in 0..20_000 {
            if self.events.is_empty() && self.table.deadline().is_none() {
                return;
            }
            self.time_passes();
        }
        panic!("the world never comes to rest: {:?} {:?}", self.events, self.table.deadline());
    }

    // --- what happens by itself ---

    pub(super) fn time_passes(&mut self) {
        let late = if self.random.permille(100) { self.random.below(300) } else { 0 };
        let tick = self.table.deadline().map(|due| due.max(self.now) + late);
        let event = self.events.first_key_value().map(|(key, _)| *key);
        match (event, tick) {
            (Some((at, _)), Some(tick)) if tick < at => self.tick(tick),
            (Some(key), _) => {
                self.now = self.now.max(key.0);
                let event = self.events.remove(&key).unwrap();
                self.happen(event);
            }
            (None, Some(tick)) => self.tick(tick),
            (None, None) => self.now += 100,
        }
    }

    pub(super) fn tick(&mut self, at: u64) {
        self.now = at;
        // What a tick begins may itself be due at once (a limit of 0 ms), but not for ever.
        for _ in 0..4 * SLOTS {
            self.feed(Input::Tick);
            if self.table.deadline().is_none_or(|due| due > self.now) {
                return;
            }
        }
        panic!("busy loop: due {:?} at {}: {:#?}", self.table.deadline(), self.now, self.table);
    }

    pub(super) fn plan(&mut self, within: u64, event: Event) {
        let at = self.now + self.random.below(within + 1);
        self.sequence += 1;
        self.events.insert((at, self.sequence), event);
    }

    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::Answer(run) => self.answer(run),
            Event::Die(run, exit) => {
                if let Some(proc) = self.procs.get_mut(&run).filter(|proc| proc.life == Life::Alive) {
                    proc.life = Life::Dead(exit);
                    self.plan(5, Event::Report(run));
                }
            }
            Event::Report(run) => {
                let Some(&Proc { id, life: Life::Dead(exit), .. }) = self.procs.get(&run) else { return };
                self.feed(Input::Exited { id, run, exit });
                if self.random.permille(30) {
                    self.plan(500, Event::Report(run));
                }
            }
            Event::TreeGone(run) => {
                if let Some(proc) = self.procs.get_mut(&run) {
                    proc.tree_watched = false;
                    let id = proc.id;
                    self.feed(Input::TreeGone { id, run });
                }
            }
            Event::Ready(run) => {
                let Some(proc) = self.procs.get_mut(&run).filter(|proc| proc.known_alive()) else { return };
                proc.ready = true;
                let id = proc.id;
                self.feed(Input::Ready { id, run });
            }
        }
    }

    /// Keeps the world small: forgets runs that are over for everybody.
    pub(super) fn forget(&mut self) {
        let awaited: Vec<RunId> = self
            .events
            .values()
            .map(|event| match event {
                Event::Answer(run)
                | Event::Die(run, _)
                | Event::Report(run)
                | Event::TreeGone(run)
                | Event::Ready(run) => *run,
            })
            .collect();
        let table = &self.table;
        self.procs.retain(|run, proc| {
            let owned = table.slot(proc.id).is_some_and(|slot| slot.knows(*run));
            !proc.reported || owned || awaited.contains(run)
        });
    }

    pub(super) fn answer(&mut self, run: RunId) {
        let (calm, fails) = (self.calm, self.random.permille(80));
        let Some(proc) = self.procs.get_mut(&run).filter(|proc| proc.life == Life::Asked) else { return };
        let id = proc.id;
        if fails && !calm {
            self.procs.remove(&run);
            self.tally.failures += 1;
            self.feed(Input::SpawnFailed { id, run, error: "no such file".into() });
            return;
        }
        self.come_alive(run);
        let pid = self.procs[&run].pid;
        self.feed(Input::Spawned { id, run, pid });
    }

    pub(super) fn come_alive(&mut self, run: RunId) {
        let now = self.now;
        let proc = self.procs.get_mut(&run).unwrap();
        (proc.life, proc.told, proc.spawned_at) = (Life::Alive, true, now);
        // The limit that was wished for when it came to life.
        proc.listen_timeout = self.policies[&proc.id].listen_timeout;
        self.tally.spawns += 1;
        let life = self.random.pick(&[0, 20, 50, 900, 900, 5_000, 60_000, u64::MAX]);
        if life < u64::MAX && !self.calm {
            let exit = self.random.pick(&[Exit::Code(0), Exit::Code(1), Exit::Code(1), Exit::Signal(11)]);
            self.tally.crashes += 1;
            self.plan(life, Event::Die(run, exit));
        }
        if self.calm || self.random.permille(800) {
            let within = self.random.pick(&[0, 50, 1_000, 5_000]);
            self.plan(within, Event::Ready(run));
        }
    }

    // --- input in, effects out, everything checked ---

    pub(super) fn moment(&self) -> Now {
        Now { mono: self.now, wall: 1_000_000_000 + self.now }
    }

    #[expect(clippy::needless_pass_by_value, reason = "an input is told once")]
    pub(super) fn feed(&mut self, input: Input) {
        if let Input::Exited { run, .. } = &input
            && let Some(proc) = self.procs.get_mut(run)
        {
            proc.reported = true;
        }
        let before: Vec<(PmId, View)> = self.table.ids().filter_map(|id| Some((id, self.table.view(id)?))).collect();
        let effects = self.table.on(input.clone(), self.moment());
        if self.trace {
            eprintln!("{} {input:?} => {}", self.now, crate::supervisor::tests::words(&effects));
        }
        self.check_stops(&input, &effects);
        self.check_online(&effects);
        for (id, oracle) in &mut self.oracles {
            let concerned = match &input {
                Input::Register { id: to, .. }
                | Input::Configure { id: to, .. }
                | Input::Command { id: to, .. }
                | Input::Reset { id: to }
                | Input::Spawned { id: to, .. }
                | Input::SpawnFailed { id: to, .. }
                | Input::Exited { id: to, .. }
                | Input::TreeGone { id: to, .. }
                | Input::Ready { id: to, .. } => to == id,
                Input::Tick | Input::ShuttingDown => true,
            };
            if concerned {
                let step = Step {
                    id: *id,
                    input: &input,
                    effects: &effects,
                    before: before.iter().find(|(of, _)| of == id).map(|(_, view)| view),
                    policy: &self.policies[id],
                    shutting_down: self.shutting_down,
                };
                oracle.see(&step, &self.table);
                self.referees.entry(*id).or_default().see(&step, 1_000_000_000 + self.now, &self.table);
            }
        }
        if matches!(input, Input::Tick) {
            for (id, policy) in &self.policies {
                // Who came up with this very tick has the next one to cool down.
                let was_up = before.iter().any(|(of, view)| of == id && view.status == Status::Online);
                let at_rest = was_up && self.table.slot(*id).is_some_and(crate::supervisor::Slot::is_at_rest);
                let view = self.table.view(*id).filter(|view| at_rest && view.status == Status::Online);
                let cool = view.is_none_or(|view| referee::has_cooled_down(policy, &view, 1_000_000_000 + self.now));
                assert!(cool, "{id} was up for long, and its delay is as it grew: {:?}", self.table.slot(*id));
            }
        }
        self.do_all_or_die(&effects);
    }

    /// The daemon may die after it wrote the journal and before it did (all of) what it had decided.
    pub(super) fn do_all_or_die(&mut self, effects: &[Effect]) {
        if self.mortal && !self.restoring && !self.calm && self.random.permille(3) {
            let some = self.random.index(effects.len() + 1);
            self.perform(&effects[..some]);
            self.daemon_dies();
        } else {
            self.perform(effects);
            if !self.restoring {
                self.look();
            }
        }
    }
}
