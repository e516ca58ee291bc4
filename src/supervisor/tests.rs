//! Each rule of the life of a slot, told as a little story.
//!
//! A story feeds inputs and reads the effects as short words: `spawn 1`, `stop 1 tree`, `kill 1`, `ended 1`,
//! `online[launching]`, `_exit[stopped]` (of the outgoing process), `7=done[online]`, `7=SpawnFailed`, `remove`.

mod commands;
mod crashes;
mod launches;
mod reloads;
mod restores;
mod stops;

use super::*;
use crate::model::{Exit, Now, PmId, Policy, RunId, Signal};

const ID: PmId = PmId(0);

pub(super) fn policy() -> Policy {
    Policy {
        autostart: true,
        autorestart: true,
        min_uptime: 1000,
        max_restarts: 16,
        restart_delay: 0,
        exp_backoff_restart_delay: 0,
        backoff_reset_after: 30_000,
        stop_exit_codes: Vec::new(),
        stop_signal: Signal::INT,
        kill_timeout: 1600,
        treekill: true,
        shutdown_with_message: false,
        wait_ready: false,
        listen_timeout: 3000,
        ready_required: false,
        cluster: false,
    }
}

/// A supervisor, a clock, and one slot.
struct Story {
    supervisor: Supervisor,
    now: Now,
}

impl Story {
    /// The slot is not registered yet.
    fn empty() -> Story {
        Story { supervisor: Supervisor::new(1), now: Now { mono: 10_000, wall: 1_000_000 } }
    }

    /// The slot is online, run 1.
    fn online(policy: Policy) -> Story {
        let mut story = Story::registered(policy);
        story.spawned(1);
        story
    }

    /// The spawn of run 1 is asked for.
    fn registered(policy: Policy) -> Story {
        let mut story = Story::empty();
        story.on(Input::Register { id: ID, policy, start: true, ticket: None });
        story
    }

    fn on(&mut self, input: Input) -> String {
        let effects = self.supervisor.on(input, self.now);
        words(&effects)
    }

    fn command(&mut self, verb: Verb, ticket: u64) -> String {
        self.on(Input::Command { id: ID, verb, ticket: Some(Ticket(ticket)) })
    }

    fn start(&mut self, ticket: u64) -> String {
        self.command(Verb::Start, ticket)
    }

    fn stop(&mut self, ticket: u64) -> String {
        self.command(Verb::Stop, ticket)
    }

    fn restart(&mut self, ticket: u64) -> String {
        self.command(Verb::Restart, ticket)
    }

    fn reload(&mut self, ticket: u64) -> String {
        self.command(Verb::Reload, ticket)
    }

    fn delete(&mut self, ticket: u64) -> String {
        self.command(Verb::Delete, ticket)
    }

    /// The pid is the run plus 100.
    fn spawned(&mut self, run: u64) -> String {
        let pid = i32::try_from(run).unwrap() + 100;
        self.on(Input::Spawned { id: ID, run: RunId(run), pid })
    }

    fn spawn_failed(&mut self, run: u64) -> String {
        self.on(Input::SpawnFailed { id: ID, run: RunId(run), error: "no such file".into() })
    }

    fn ready(&mut self, run: u64) -> String {
        self.on(Input::Ready { id: ID, run: RunId(run) })
    }

    fn exited(&mut self, run: u64, code: i32) -> String {
        self.on(Input::Exited { id: ID, run: RunId(run), exit: Exit::Code(code) })
    }

    fn tree_gone(&mut self, run: u64) -> String {
        self.on(Input::TreeGone { id: ID, run: RunId(run) })
    }

    /// Exit and end of the tree, as after a stop.
    fn gone(&mut self, run: u64) -> String {
        [self.exited(run, 0), self.tree_gone(run)].join(" ").trim().to_owned()
    }

    /// Time passes, and what is due then is done.
    fn after(&mut self, millis: u64) -> String {
        self.sleep(millis);
        self.on(Input::Tick)
    }

    fn sleep(&mut self, millis: u64) {
        self.now.mono += millis;
        self.now.wall += millis;
    }

    fn view(&self) -> View {
        self.supervisor.view(ID).unwrap()
    }

    fn status(&self) -> &'static str {
        self.view().status.as_str()
    }

    /// The daemon dies; the next one finds these runs alive.
    fn killed_and_restored(&mut self, alive: &[u64]) -> String {
        let journal = self.supervisor.slot(ID).map(|slot| serde_json::to_string(slot).unwrap());
        let mut next = Supervisor::new(self.supervisor.next_run());
        if let Some(text) = journal {
            next.restore(ID, serde_json::from_str(&text).unwrap());
        }
        self.supervisor = next;
        let alive = |run: RunId| alive.contains(&run.0).then(|| i32::try_from(run.0).unwrap() + 100);
        words(&self.supervisor.after_restore(self.now, &alive))
    }
}

pub(super) fn words(effects: &[Effect]) -> String {
    let words: Vec<String> = effects.iter().filter_map(word).collect();
    words.join(" ")
}

fn word(effect: &Effect) -> Option<String> {
    let tree = |tree: &bool| if *tree { " tree" } else { "" };
    Some(match effect {
        Effect::Spawn { run, .. } => format!("spawn {run}"),
        Effect::Stop { run, how: StopHow::Signal(_), tree: t, .. } => format!("stop {run}{}", tree(t)),
        Effect::Stop { run, how: StopHow::Message, .. } => format!("message {run}"),
        Effect::Kill { run, tree: t, .. } => format!("kill {run}{}", tree(t)),
        Effect::Publish { event, outgoing, view, .. } => {
            format!("{}{}[{}]", if *outgoing { "_" } else { "" }, event.as_str(), view.status)
        }
        Effect::Ended { run, .. } => format!("ended {run}"),
        Effect::Reply { ticket, outcome: Outcome::Done { view, .. } } => format!("{}=done[{}]", ticket.0, view.status),
        Effect::Reply { ticket, outcome: Outcome::Refused { refusal, .. } } => {
            let refusal = format!("{refusal:?}");
            format!("{}={}", ticket.0, refusal.split(' ').next().unwrap_or_default())
        }
        Effect::Remove { .. } => "remove".to_owned(),
        Effect::Log { .. } => return None,
    })
}
