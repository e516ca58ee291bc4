//! Carries out what the supervisor wants done, in the fake world.

use super::world::{Event, Life, Proc, World};
use crate::model::{Exit, PmId, RunId, Status};
use crate::supervisor::{Effect, ProcessEvent};

impl World {
    pub(super) fn perform(&mut self, effects: &[Effect]) {
        let mut removed = None;
        for effect in effects {
            assert!(removed.is_none_or(|id| !super::oracle::concerns(effect, id)), "after the removal: {effects:?}");
            match effect {
                Effect::Spawn { id, run } => self.spawn(*id, *run),
                Effect::Stop { id, run, tree, .. } => self.stop(*id, *run, *tree),
                Effect::Kill { run, tree, .. } => self.kill(*run, *tree),
                Effect::Reply { ticket, outcome } => self.reply(*ticket, outcome),
                Effect::Ended { run, .. } => {
                    let proc = self.procs.get_mut(run).filter(|proc| !proc.ended);
                    proc.unwrap_or_else(|| panic!("{run} ended twice")).ended = true;
                }
                Effect::Remove { id } => removed = Some(*id),
                Effect::Publish { event, .. } => {
                    if *event == ProcessEvent::RestartOverlimit {
                        self.tally.overlimits += 1;
                    }
                }
                Effect::Log { .. } => {}
            }
        }
    }

    pub(super) fn spawn(&mut self, id: PmId, run: RunId) {
        assert!(!self.shutting_down, "a spawn while the daemon is being killed");
        let policy = &self.policies[&id];
        let living: Vec<&Proc> = self
            .procs
            .values()
            .filter(|p| p.id == id && !matches!(p.life, Life::Dead(_)) && !p.gives_trouble())
            .collect();
        let unasked = living.iter().filter(|p| !p.asked_to_end).count();
        assert!(living.len() <= 1, "three processes of {id}: {living:?}");
        if let Some(other) = living.first() {
            assert!(other.cluster, "two processes of {id}, which is no cluster: {other:?}");
            assert!(unasked == 0 || policy.cluster, "{id} is no cluster any more");
        }
        let random = &mut self.random;
        let proc = Proc {
            id,
            pid: i32::try_from(run.0).unwrap() + 100,
            life: Life::Asked,
            told: false,
            reported: false,
            asked_to_end: false,
            ready: false,
            spawned_at: 0,
            ignores: random.permille(200),
            unkillable: random.permille(8),
            stubborn_tree: random.permille(80),
            immortal_tree: random.permille(8),
            cluster: policy.cluster,
            wait_ready: policy.wait_ready,
            listen_timeout: 0,
            tree_watched: false,
            ended: false,
        };
        assert!(self.procs.insert(run, proc).is_none(), "run {run} was used before");
        let within = self.random.pick(&[0, 5, 20, 400]);
        self.plan(within, Event::Answer(run));
    }

    pub(super) fn stop(&mut self, id: PmId, run: RunId, tree: bool) {
        let proc = self.procs.get_mut(&run).unwrap_or_else(|| panic!("stop of {run}, which is over"));
        assert!(proc.id == id && proc.known_alive(), "stop of {proc:?}");
        if !proc.asked_to_end {
            self.tally.swaps += u64::from(self.table.view(id).is_some_and(|view| view.status == Status::Online));
        }
        (proc.asked_to_end, proc.tree_watched) = (true, true);
        let (dies, stubborn) = (!proc.ignores && !proc.unkillable, proc.stubborn_tree || proc.immortal_tree);
        if dies {
            let within = self.random.pick(&[0, 10, 300, 3_000]);
            let exit = self.random.pick(&[Exit::Code(0), Exit::Signal(2)]);
            self.plan(within, Event::Die(run, exit));
        }
        if !tree {
            self.plan(0, Event::TreeGone(run));
        } else if !stubborn {
            self.plan(200, Event::TreeGone(run));
        }
    }

    pub(super) fn kill(&mut self, run: RunId, tree: bool) {
        self.tally.kills += 1;
        let Some(proc) = self.procs.get_mut(&run) else { return };
        proc.asked_to_end = true;
        let (dies, immortal) = (!proc.unkillable, proc.immortal_tree);
        if dies {
            self.plan(20, Event::Die(run, Exit::Signal(9)));
        } else {
            // Hung in the kernel; much later even that ends.
            self.tally.survivors += 1;
            self.plan(60_000, Event::Die(run, Exit::Signal(9)));
        }
        if !tree || !immortal {
            self.plan(20, Event::TreeGone(run));
        }
    }
}
