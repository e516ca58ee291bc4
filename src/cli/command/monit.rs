//! `monit`: the list, graphs, logs, metrics and metadata of what runs, on the whole screen (contract/cli.md section 9).
//!
//! Owns: the terminal while it runs; it is given back as it was, whatever ends it. What stands on the screen is in
//! [`state`] and [`view`], which know of no terminal.

mod details;
mod history;
mod lines;
mod state;
mod terminal;
#[cfg(test)]
mod tests;
mod view;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use ratatui_core::terminal::Terminal;
use ratatui_crossterm::CrosstermBackend;
use serde_json::{Map, Value};
use tokio::signal::unix::{SignalKind, signal};

use super::super::Ui;
use super::{Call, Failure, Process, logs};
use crate::client::{Action, BusEvent, CallError, Target};
use state::{Order, State, Verb};
use terminal::{Held, Input, Output};

/// How often the list is asked for: half of what the daemon takes for a new look at processes that are watched.
const REFRESH: Duration = Duration::from_millis(800);
/// Lines of a log file that are shown of what was written before.
const EARLIER: usize = 30;

/// Something asked of the daemon, so that keys are heard meanwhile.
type Asked<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

pub(super) async fn run(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let none = || Failure::Text("monit needs a terminal; elsewhere use: pm2-rs list --watch".into());
    if ui.columns().is_none() {
        return Err(none());
    }
    let mut held = Held::take(ui).map_err(|_| none())?;
    let failed = |error: std::io::Error| Failure::Text(format!("cannot use this terminal: {error}"));
    // Drawing stops when nobody reads any more (a closed terminal): that is an end, not a failure.
    match show(call, &mut held).await {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(failed(error)),
        _ => Ok(()),
    }
}

async fn show(call: &Call<'_>, held: &mut Held<'_>) -> std::io::Result<()> {
    let colours = held.colours();
    let mut terminal = Terminal::new(CrosstermBackend::new(Output::new(held)))?;
    let mut state = State::new(call.request.value("sort").unwrap_or("name:asc"));
    let mut bus = call.session.subscribe();
    let mut input = terminal::inputs();
    let mut tick = tokio::time::interval(REFRESH);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut ended, mut hung_up) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let mut listing: Option<Asked<'_, Result<Vec<Process>, CallError>>> = None;
    let mut acting: Option<Asked<'_, String>> = None;
    loop {
        terminal.draw(|frame| view::draw(frame, &mut state, colours))?;
        tokio::select! {
            _ = ended.recv() => return Ok(()),
            _ = hung_up.recv() => return Ok(()),
            event = input.recv() => match event {
                None => return Ok(()),
                Some(Input::Resized) => {}
                Some(Input::Mouse(mouse)) => state.point(mouse),
                Some(Input::Key(key)) => match state.press(key) {
                    Order::Nothing => {}
                    Order::Leave => return Ok(()),
                    Order::Act(..) if acting.is_some() => state.tell("still busy with what was asked before".into()),
                    Order::Act(verb, id) => {
                        state.tell(format!("{} {id} ...", verb.name()));
                        acting = Some(Box::pin(act(call, verb, id)));
                    }
                },
            },
            batch = bus.next_batch() => batch.iter().filter_map(line).for_each(|(id, is_error, text)| {
                state.lines.add(&id, is_error, &text);
            }),
            told = pending(&mut acting) => {
                acting = None;
                state.tell(told);
                tick.reset_immediately();
            }
            list = pending(&mut listing) => {
                listing = None;
                match list {
                    Ok(processes) => {
                        read_earlier(&mut state, &processes);
                        state.set_processes(processes);
                    }
                    Err(error) => state.tell(error.to_string()),
                }
            }
            _ = tick.tick(), if listing.is_none() => listing = Some(Box::pin(call.processes())),
        }
    }
}

/// What was asked, if anything was.
async fn pending<T>(asked: &mut Option<Asked<'_, T>>) -> T {
    match asked {
        Some(asked) => asked.await,
        None => std::future::pending().await,
    }
}

/// What was confirmed; the outcome as a line.
async fn act(call: &Call<'_>, verb: Verb, id: String) -> String {
    let (target, options, context) = (Target::Name(id.clone()), Map::new(), call.context.clone());
    let action = match verb {
        Verb::Restart => Action::Restart { target, options, context },
        Verb::Reload => Action::Reload { target, options, context },
        Verb::Stop => Action::Stop { target, options, context },
        Verb::Delete => Action::Delete { target, options, context },
    };
    match call.ask::<Value>(action).await {
        Ok(_) => format!("{} {id}: done", verb.name()),
        Err(error) => format!("{} {id}: {error}", verb.name()),
    }
}

/// Id, whether it is of stderr, and text of a log event.
fn line(event: &BusEvent) -> Option<(String, bool, String)> {
    let BusEvent::Message { topic, payload } = event else { return None };
    let is_error = match topic.as_str() {
        "log:out" => false,
        "log:err" => true,
        _ => return None,
    };
    let payload: Value = serde_json::from_str(payload).ok()?;
    let id = &payload["process"]["pm_id"];
    let id = id.as_str().map_or_else(|| id.to_string(), ToOwned::to_owned);
    Some((id, is_error, payload["data"].as_str()?.to_owned()))
}

/// The last lines of the log files of processes that are new here: otherwise a quiet app shows nothing at all.
fn read_earlier(state: &mut State, processes: &[Process]) {
    for process in processes {
        if state.knows(&process.id()) {
            continue;
        }
        // What came over the bus already stands in the files, too.
        state.lines.forget(&process.id());
        let merged = process.text("pm_log_path");
        let files = if merged.is_empty() || merged == "/dev/null" {
            vec![(process.text("pm_out_log_path"), false), (process.text("pm_err_log_path"), true)]
        } else {
            vec![(merged, false)]
        };
        for (file, is_error) in files {
            let path = std::path::Path::new(&file);
            // Not a pipe or a device: reading it could take for ever.
            if !path.is_file() {
                continue;
            }
            for text in logs::last_lines(path, EARLIER).unwrap_or_default() {
                state.lines.add(&process.id(), is_error, &String::from_utf8_lossy(&text));
            }
        }
    }
}
