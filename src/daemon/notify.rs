//! `process:event` on the bus (contract/api.md section 14.5).

use super::bus::Bus;
use super::core::now;
use super::env_block::{push_json, push_key};
use super::record::Record;
use crate::supervisor::View;

/// Publishes an event about an instance, with `pm2_env` but without its `env`. `outgoing`: it is about the worker that a
/// reload lets go.
pub(crate) fn publish(bus: &Bus, record: &Record, view: &View, event: &str, manually: bool, outgoing: bool) {
    if !bus.has_subscribers() {
        return;
    }
    let mut text = String::from("{");
    push_key(&mut text, "event");
    push_json(&mut text, event);
    push_key(&mut text, "manually");
    push_json(&mut text, &manually);
    push_key(&mut text, "process");
    record.push_pm2_env(&mut text, view, false, outgoing);
    push_key(&mut text, "at");
    push_json(&mut text, &now().wall);
    text.push('}');
    bus.publish_text("process:event", &text);
}
