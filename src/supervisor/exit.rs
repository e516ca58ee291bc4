//! Transitions when a process has ended.

use super::accounting::{End, Verdict};
use super::slot::{Job, JobKind, Slot, State};
use super::turn::Turn;
use super::types::{Effect, LogLine, ProcessEvent, Refusal};
use crate::model::{Exit, RunId, Status};

impl Slot {
    pub(super) fn exited(&mut self, run: RunId, exit: Exit, turn: &mut Turn<'_>) {
        match &mut self.state {
            State::Launching { launch, job } if launch.run == run => {
                let (since, job) = (launch.since, *job);
                self.died_before_ready(run, since, job, exit, turn);
            }
            State::Online { process } if process.run == run => {
                let since = process.since;
                self.died(run, since, exit, turn);
            }
            State::Reloading { old, .. } if old.run == run => self.old_died(exit, turn),
            State::Reloading { new, .. } if new.run == run => self.new_died(exit, turn),
            State::Stopping { ending, .. } if ending.run == run && !ending.exited => {
                ending.end();
                self.note_exit(exit, turn);
                ended(run, exit, turn);
                turn.publish(ProcessEvent::Exit, self.view());
                self.conclude(turn);
            }
            State::Errored { leftover } if leftover.is_some_and(|process| process.run == run) => {
                *leftover = None;
                self.note_exit(exit, turn);
                ended(run, exit, turn);
                turn.publish(ProcessEvent::Exit, self.view());
            }
            // Late news of an earlier process, repeated news, or the second process of a reload.
            State::Stopped
            | State::Launching { .. }
            | State::Online { .. }
            | State::Reloading { .. }
            | State::Stopping { .. }
            | State::Waiting { .. }
            | State::Errored { .. } => self.outgoing_exited(run, exit, turn),
        }
    }

    /// pm2 takes a crash before `ready` for a start that succeeded. We keep the order of events; the answer shows what
    /// became of it (Q16).
    fn died_before_ready(&mut self, run: RunId, since: u64, job: Option<Job>, exit: Exit, turn: &mut Turn<'_>) {
        turn.publish(ProcessEvent::Online, self.view());
        if job.is_some_and(|job| job.kind == JobKind::Register) {
            turn.publish(ProcessEvent::Start, self.view());
        }
        self.died(run, since, exit, turn);
        match job {
            Some(Job { kind: JobKind::Reload, ticket, .. }) => {
                turn.refuse(ticket, Refusal::ReloadFailed { reason: before_ready(exit) });
            }
            Some(job) => turn.done(job.ticket, &self.view()),
            None => {}
        }
    }

    /// How and when a process of this slot ended.
    pub(super) fn note_exit(&mut self, exit: Exit, turn: &Turn<'_>) {
        self.last_exit = Some(exit);
        self.ended_at = Some(turn.now.wall);
    }

    /// The process that holds the slot ended by itself.
    fn died(&mut self, run: RunId, since: u64, exit: Exit, turn: &mut Turn<'_>) {
        self.note_exit(exit, turn);
        ended(run, exit, turn);
        let verdict = self.verdict(since, End::Exited(exit), turn);
        // pm2 shows `stopped` for this instant, also when a restart follows.
        self.state = State::Stopped;
        match verdict {
            Verdict::StayDown => turn.publish(ProcessEvent::Exit, self.view()),
            Verdict::GiveUp { count } => {
                self.give_up(count, turn);
                turn.publish(ProcessEvent::Exit, self.view());
            }
            Verdict::Restart { delay } => {
                turn.publish(ProcessEvent::Exit, self.view());
                self.restart_after(delay, turn);
            }
        }
    }

    pub(super) fn verdict(&mut self, since: u64, end: End, turn: &Turn<'_>) -> Verdict {
        let verdict = self.accounting.after_end(&self.policy, since, turn.now.mono, end);
        if turn.shutting_down { Verdict::StayDown } else { verdict }
    }

    pub(super) fn give_up(&mut self, count: u32, turn: &mut Turn<'_>) {
        self.state = State::Errored { leftover: None };
        turn.log(LogLine::Overlimit { id: turn.id, count });
        turn.publish(ProcessEvent::RestartOverlimit, self.view());
        self.accounting.forget_unstable();
        self.created_at = None;
    }

    pub(super) fn restart_after(&mut self, delay: u64, turn: &mut Turn<'_>) {
        if delay == 0 {
            self.relaunch(turn);
        } else {
            turn.log(LogLine::WillRestart { id: turn.id, delay });
            self.state = State::Waiting { until: turn.now.mono.saturating_add(delay) };
        }
    }

    fn outgoing_exited(&mut self, run: RunId, exit: Exit, turn: &mut Turn<'_>) {
        let Some(outgoing) = &mut self.outgoing else { return };
        if outgoing.ending.run != run || outgoing.ending.exited {
            return;
        }
        outgoing.ending.end();
        outgoing.view.status = Status::Stopping;
        outgoing.view.pid = None;
        outgoing.view.run = None;
        outgoing.view.last_exit = Some(exit);
        outgoing.view.ended_at = Some(turn.now.wall);
        let view = outgoing.view.clone();
        ended(run, exit, turn);
        turn.publish_outgoing_exit(view);
        self.conclude(turn);
    }
}

/// The words for a process that ended before it could serve.
pub(super) fn before_ready(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("the new process exited with code {code} before it was ready"),
        Exit::Signal(signal) => format!("the new process was ended by signal {signal} before it was ready"),
    }
}

/// What is true of every end.
pub(super) fn ended(run: RunId, exit: Exit, turn: &mut Turn<'_>) {
    turn.log(LogLine::Exited { id: turn.id, exit });
    turn.want(Effect::Ended { id: turn.id, run });
}
