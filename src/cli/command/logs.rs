//! `logs` (contract/cli.md section 8.1): what the files hold, then what the bus brings.

mod chain;
mod follow;
mod history;
mod stamp;
mod view;
mod when;

use std::io;
use std::path::Path;
use std::time::Duration;

use super::super::Ui;
use super::{Call, Failure};
use crate::client::{BusEvent, Subscription};

use self::chain::{Lines, Wanted, select};
pub(in crate::cli) use self::follow::show_event;
use self::stamp::Stamps;
pub(in crate::cli) use self::view::View;

/// So many last lines when nothing is said.
const LINES: usize = 15;

/// A daemon that is there answers much sooner.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

pub(super) async fn run(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let mut view = View::of(call)?;
    let processes = call.processes().await?;
    // What ends in the past has no future.
    let nostream = call.request.is_set("nostream") || view.wanted.until.is_some();
    if let Some(unknown) = view
        .targets
        .iter()
        .find(|target| *target != "all" && *target != "PM2" && !processes.iter().any(|p| p.is_meant_by(target)))
    {
        ui.warn(&format!("no process `{unknown}` now{}", if nostream { "" } else { "; waiting for it" }));
        if nostream {
            return Err(Failure::Said);
        }
    }
    let is_text = !view.json && !view.format;
    let has_history = view.wanted.lines != Some(0) && (is_text || view.asks_for_past() || nostream);
    if nostream {
        if has_history {
            history::show(call, ui, &view, &processes);
        }
        return Ok(());
    }
    // Listens before it reads, or what comes between the two would be seen by neither.
    let mut bus = call.session.subscribe();
    let mut from = 0;
    if has_history {
        if !processes.is_empty() {
            let _ = tokio::time::timeout(CONNECT_WITHIN, connected(&mut bus)).await;
            from = jiff::Timestamp::now().as_millisecond();
        }
        history::show(call, ui, &view, &processes);
    }
    view.width = processes.iter().map(|p| p.id().len() + 1 + p.name.chars().count()).max().unwrap_or(0).max(3);
    follow::follow(bus, ui, &mut view, from).await
}

/// The last lines of a log, those of its old files included.
pub(super) fn last_lines(path: &Path, count: usize) -> io::Result<Vec<Vec<u8>>> {
    let wanted = Wanted { lines: Some(count), ..Wanted::default() };
    Lines::new(select(path, &Stamps::new(""), wanted)?).collect()
}

async fn connected(bus: &mut Subscription) {
    while !bus.next_batch().await.contains(&BusEvent::Connected) {}
}
