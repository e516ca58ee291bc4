//! Counts restarts by itself, from what was asked and what was done, and compares.

use crate::model::{Exit, PmId, Policy, RunId, Status};
use crate::supervisor::{Effect, Input, LogLine, ProcessEvent, Supervisor, Verb, View};

/// Why the process that holds the slot was last asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Restart,
    /// A stop, or a restart of what is errored: what follows counts for nothing.
    Other,
}

/// What is known about one slot without looking into it.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    restarts: u32,
    holder: Option<RunId>,
    incoming: Option<RunId>,
    cause: Option<Cause>,
    /// The holder ended by itself and is to be restarted: the next spawn counts.
    crashed: bool,
    /// The holder was launched by no command.
    automatic: bool,
    /// The holder was not ready in time and is being stopped for that.
    overdue: bool,
    /// A daemon died: look again when the slot is at rest.
    lost: bool,
}

/// One step, as far as it concerns one slot.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub(super) id: PmId,
    pub(super) input: &'a Input,
    pub(super) effects: &'a [Effect],
    /// `None`: there was no slot.
    pub(super) before: Option<&'a View>,
    pub(super) policy: &'a Policy,
    pub(super) shutting_down: bool,
}

impl Oracle {
    pub(super) fn lose_track(&mut self) {
        self.lost = true;
    }

    pub(super) fn see(&mut self, step: &Step<'_>, table: &Supervisor) {
        let Some(after) = table.view(step.id) else { return };
        if self.lost {
            self.find_track(&after, table, step.id);
            return;
        }
        self.see_input(step);
        if self.overdue {
            self.crashed = self.automatic && !stays_down(step, false);
        }
        let mut delayed = false;
        for effect in step.effects.iter().filter(|effect| concerns(effect, step.id)) {
            match effect {
                Effect::Spawn { run, .. } => {
                    let by_command = delayed || matches!(step.input, Input::Command { .. });
                    self.see_spawn(*run, by_command);
                }
                Effect::Log { text: LogLine::WillRestart { .. } } => {
                    delayed = true;
                    self.crashed |= std::mem::take(&mut self.overdue);
                }
                Effect::Log { text: LogLine::NotReady { .. } } => match self.incoming.take() {
                    Some(_) => {}
                    None => self.overdue = true,
                },
                // A command that waited for the end of a reload cuts the delay short.
                Effect::Publish { event: ProcessEvent::Exit, outgoing: true, view, .. }
                    if view.status != Status::Stopping =>
                {
                    delayed |= step.before.is_some_and(|view| view.status == Status::WaitingRestart);
                }
                Effect::Publish { event: ProcessEvent::RestartOverlimit, .. } => {
                    self.crashed = false;
                    if std::mem::take(&mut self.overdue) {
                        self.holder = None;
                    }
                }
                Effect::Publish { event: ProcessEvent::Exit, outgoing: false, view, .. }
                    if view.status == Status::Errored =>
                {
                    // It survived: what follows is a start of something errored.
                    self.cause = self.cause.map(|_| Cause::Other);
                    if std::mem::take(&mut self.overdue) {
                        (self.holder, self.crashed) = (None, false);
                    }
                }
                Effect::Stop { run, .. } if self.holder == Some(*run) && after.status != Status::Stopping => {
                    self.swap();
                }
                _ => {}
            }
        }
        match after.status {
            Status::Stopping => self.see_stopping(step),
            Status::Stopped | Status::Errored => {
                (self.holder, self.cause, self.crashed, self.overdue) = (None, None, false, false);
            }
            _ => {}
        }
        assert_eq!(after.restart_time, self.restarts, "counted restarts: {step:#?} {self:#?}");
    }

    fn see_input(&mut self, step: &Step<'_>) {
        match step.input {
            Input::Exited { run, exit, .. } => {
                let chosen = matches!(exit, Exit::Code(code) if step.policy.stop_exit_codes.contains(code));
                self.see_end(*run, !stays_down(step, chosen));
            }
            Input::SpawnFailed { run, .. } => {
                self.see_end(*run, self.automatic && !stays_down(step, false));
            }
            Input::Reset { .. } => self.restarts = 0,
            Input::ShuttingDown => self.cause = self.cause.map(|_| Cause::Other),
            _ => {}
        }
    }

    fn see_end(&mut self, run: RunId, restarts: bool) {
        if self.incoming == Some(run) {
            self.incoming = None;
        } else if self.holder == Some(run) && self.incoming.is_some() {
            // The old one of a reload died: the new one takes its place.
            self.swap();
            self.automatic = true;
        } else if self.holder == Some(run) && self.cause.is_none() && !self.crashed && !self.overdue {
            self.crashed = restarts;
            if !restarts {
                self.holder = None;
            }
        }
    }

    fn see_spawn(&mut self, run: RunId, by_command: bool) {
        if self.holder.is_some() && !self.crashed && !self.overdue && self.cause.is_none() {
            self.incoming = Some(run);
            return;
        }
        self.automatic = self.crashed && !by_command;
        if self.crashed || self.cause == Some(Cause::Restart) {
            self.restarts += 1;
        }
        (self.holder, self.cause, self.crashed, self.overdue) = (Some(run), None, false, false);
    }

    fn swap(&mut self) {
        if let Some(new) = self.incoming.take() {
            self.restarts += 1;
            self.holder = Some(new);
        }
    }

    fn see_stopping(&mut self, step: &Step<'_>) {
        let before = step.before.map(|view| view.status);
        let survived = step.effects.iter().filter(|effect| concerns(effect, step.id)).any(|effect| {
            matches!(effect, Effect::Publish { event: ProcessEvent::Exit, outgoing: false, view, .. }
                if view.status == Status::Errored)
        });
        if matches!(step.input, Input::Command { verb: Verb::Stop | Verb::Delete, .. }) {
            (self.cause, self.incoming, self.crashed) = (Some(Cause::Other), None, false);
            self.overdue = false;
        } else if self.overdue && !survived {
            // What follows is decided when it is gone.
        } else if survived || before != Some(Status::Stopping) {
            let errored = survived || before == Some(Status::Errored);
            self.cause = Some(if errored { Cause::Other } else { Cause::Restart });
            (self.overdue, self.crashed) = (false, false);
        }
    }

    fn find_track(&mut self, after: &View, table: &Supervisor, id: PmId) {
        let busy = matches!(after.status, Status::Launching | Status::Stopping);
        if busy || !table.slot(id).is_some_and(crate::supervisor::Slot::is_at_rest) {
            return;
        }
        *self = Oracle { restarts: after.restart_time, ..Oracle::default() };
        self.crashed = after.status == Status::WaitingRestart;
        if after.status == Status::Online {
            self.holder = after.run;
        }
    }
}

/// What ends by itself is not started again.
fn stays_down(step: &Step<'_>, chosen: bool) -> bool {
    chosen || !step.policy.autorestart || step.policy.max_restarts == 0 || step.shutting_down
}

pub(super) fn concerns(effect: &Effect, wanted: PmId) -> bool {
    let id = match effect {
        Effect::Spawn { id, .. }
        | Effect::Stop { id, .. }
        | Effect::Kill { id, .. }
        | Effect::Publish { id, .. }
        | Effect::Ended { id, .. }
        | Effect::Remove { id } => *id,
        Effect::Reply { .. } => return false,
        Effect::Log { text } => match text {
            LogLine::Starting { id }
            | LogLine::Online { id }
            | LogLine::Exited { id, .. }
            | LogLine::Stopping { id }
            | LogLine::StillAlive { id, .. }
            | LogLine::WillRestart { id, .. }
            | LogLine::Overlimit { id, .. }
            | LogLine::SpawnFailed { id, .. }
            | LogLine::NotReady { id, .. } => *id,
        },
    };
    id == wanted
}
