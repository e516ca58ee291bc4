//! Part two of `logs`: what the bus brings (contract/cli.md section 8.1). Rotations do not touch it, and apps that are
//! started later are in it.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::super::Ui;
use super::super::Failure;
use super::View;
use super::view::{Origin, iso};
use crate::client::{BusEvent, Subscription};

/// The payload of `log:*`.
#[derive(Deserialize)]
struct Said {
    process: Speaker,
    #[serde(default)]
    at: i64,
    #[serde(default)]
    data: String,
}

#[derive(Deserialize)]
struct Speaker {
    pm_id: Value,
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: Option<String>,
}

/// Shows what comes until a signal ends us or the reader of stdout goes away. `from`: what was written before this moment
/// (milliseconds since the epoch) was shown already.
pub(super) async fn follow(mut bus: Subscription, ui: &mut Ui, view: &mut View, from: i64) -> Result<(), Failure> {
    let mut from = Some(from);
    while !ui.is_closed() {
        for event in bus.next_batch().await {
            if let Some(shown_before) = from
                && let Some(at) = written_at(&event)
            {
                if at < shown_before {
                    continue;
                }
                // They come in their order.
                from = None;
            }
            show_event(ui, view, &event);
        }
    }
    Ok(())
}

/// When what a `log:*` event tells was written.
fn written_at(event: &BusEvent) -> Option<i64> {
    #[derive(Deserialize)]
    struct When {
        at: i64,
    }
    let BusEvent::Message { topic, payload } = event else { return None };
    if !topic.starts_with("log:") {
        return None;
    }
    serde_json::from_str::<When>(payload).ok().map(|when| when.at)
}

/// Shows one event of the bus, if the view wants it.
pub(in crate::cli) fn show_event(ui: &mut Ui, view: &mut View, event: &BusEvent) {
    let BusEvent::Message { topic, payload } = event else { return };
    if let Some(kind) = topic.strip_prefix("log:") {
        let Ok(said) = serde_json::from_str::<Said>(payload) else { return };
        if view.wants(kind) && is_wanted(view, &said.process) {
            tell(ui, view, kind, &said);
        }
    } else if topic == "process:event" && view.json {
        tell_event(ui, view, payload);
    } else if topic == "pm2rs:lost" {
        let lost = serde_json::from_str::<Value>(payload).ok().and_then(|payload| payload["lost"].as_u64());
        ui.warn(&format!("{} messages are not shown here (too many at once); the files have all", lost.unwrap_or(0)));
    }
}

fn is_wanted(view: &View, speaker: &Speaker) -> bool {
    view.wants_everything()
        || view.targets.iter().any(|target| {
            let pattern = target.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
            *target == speaker.name
                || *target == plain(&speaker.pm_id)
                || speaker.namespace.as_deref() == Some(target)
                || pattern.is_some_and(|p| regex::Regex::new(p).is_ok_and(|regex| regex.is_match(&speaker.name)))
        })
}

fn plain(id: &Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), ToOwned::to_owned)
}

fn tell(ui: &mut Ui, view: &mut View, kind: &str, said: &Said) {
    let kind = match kind {
        "out" => "out",
        "err" => "err",
        _ => "PM2",
    };
    let id = plain(&said.process.pm_id);
    let letters = if id == "PM2" { 3 } else { id.len() + 1 + said.process.name.chars().count() };
    view.width = view.width.max(letters + 1);
    let origin = Origin { id, name: said.process.name.clone(), kind };
    let mut bytes = Vec::new();
    for line in said.data.lines().filter(|line| !line.is_empty() && view.passes(line.as_bytes())) {
        view.dress(ui, &origin, view.width, line.as_bytes(), Some(said.at), true, &mut bytes);
    }
    if bytes.is_empty() {
    } else if view.goes_to_stderr(kind) {
        ui.error_bytes(&bytes);
    } else {
        ui.bytes(&bytes);
    }
}

fn tell_event(ui: &mut Ui, view: &View, payload: &str) {
    let Ok(event) = serde_json::from_str::<Value>(payload) else { return };
    let process = &event["process"];
    let speaker = Speaker {
        pm_id: process["pm_id"].clone(),
        name: process["name"].as_str().unwrap_or_default().to_owned(),
        namespace: process["namespace"].as_str().map(ToOwned::to_owned),
    };
    if is_wanted(view, &speaker) {
        let entry = json!({
            "timestamp": iso(event["at"].as_i64().unwrap_or_default()),
            "type": "process_event",
            "status": event["event"],
            "app_name": speaker.name,
        });
        ui.data(&format!("{entry}\n"));
    }
}
