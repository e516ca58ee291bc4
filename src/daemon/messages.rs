//! What apps say over their channel: kept, answered or published (contract/api.md sections 14.4 and 15).
//!
//! Owns: which messages are consumed, and the payload of those that go to the bus.
//! Must never: build a message that is only passed on, or let one app's words reach the record of another.

use std::borrow::Cow;
use std::rc::Rc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::channel::ChannelEvent;
use super::core::{Daemon, now};
use super::env_block::{push_json, push_key};
use super::logs::Tag;
use super::record::{Record, Said};
use crate::model::{PmId, RunId};
use crate::supervisor::Input;
use crate::wire::node_ipc::UserMessage;

/// Most actions or metrics that are kept of one app: what a runaway app says must not fill the daemon.
const MAX_KEPT: usize = 1000;

#[derive(Debug, Deserialize)]
struct Action<'a> {
    #[serde(borrow)]
    action_name: Cow<'a, str>,
}

impl Daemon {
    pub(crate) fn on_channel(self: &Rc<Self>, id: PmId, run: RunId, event: ChannelEvent<'_>) {
        match event {
            // A descriptor sent along is of no use to anybody here: dropping it closes it.
            ChannelEvent::Message { message, descriptor: _ } => self.on_message(id, run, &message),
            ChannelEvent::Cluster { text } => self.on_cluster(id, run, text),
            ChannelEvent::HandleRefused(handle) => self.clusters.not_passed(run, &handle),
            // Its sink in `processes` has noted the end.
            ChannelEvent::Closed => self.clusters.gone(run),
            // The worker's answer follows.
            ChannelEvent::HandleTaken => {}
        }
    }

    fn on_message(self: &Rc<Self>, id: PmId, run: RunId, message: &UserMessage<'_>) {
        if let Some((kind, data)) = &message.typed {
            if *kind == "pm2rs:drained" {
                self.clusters.drained(run);
            } else if !self.consume(id, kind, data) {
                self.publish_message(id, kind, "data", data, true);
            }
        } else if let Some(version) = message.node_version {
            self.set_node_version(id, version);
        } else {
            if message.raw.get() == r#""ready""# {
                self.on_ready(id, run);
            }
            self.publish_message(id, "process:msg", "raw", message.raw, false);
        }
    }

    fn on_ready(self: &Rc<Self>, id: PmId, run: RunId) {
        let waits = self.table.borrow().records.get(&id).is_some_and(|record| record.flag("wait_ready") == Some(true));
        if waits {
            self.feed(Input::Ready { id, run });
        }
    }

    /// Keeps what is meant for the daemon alone. False: it goes to the bus.
    fn consume(self: &Rc<Self>, id: PmId, kind: &str, data: &RawValue) -> bool {
        if !kind.starts_with("axm:") {
            return false;
        }
        let mut table = self.table.borrow_mut();
        let Some(record) = table.records.get_mut(&id) else { return true };
        match kind {
            "axm:action" => add_action(&mut record.said, data),
            "axm:monitor" => {
                merge(&mut record.said.monitor, data);
                // Metrics come every second and are in no journal.
                return true;
            }
            "axm:option:configuration" => {
                merge(&mut record.said.options, data);
                rename(record, data);
                if let Some(run) = table.run_of(id)
                    && let (Some(logs), Some(record)) = (&run.logs, table.records.get(&id))
                {
                    logs.set_tag(tag(record));
                }
                if let Some(record) = table.records.get(&id) {
                    let stored = record.to_stored();
                    table.journal.put(id, &stored);
                }
            }
            "axm:option:setPID" => Said::set(&mut record.said.options, "pid", data.to_owned()),
            _ => return false,
        }
        drop(table);
        self.keep_said(id);
        true
    }

    fn set_node_version(&self, id: PmId, version: &RawValue) {
        let Some(version) = string(version) else { return };
        if let Some(record) = self.table.borrow_mut().records.get_mut(&id) {
            record.said.node_version = Some(version.into());
        }
        self.keep_said(id);
    }

    fn keep_said(&self, id: PmId) {
        let mut table = self.table.borrow_mut();
        let Some(said) = table.records.get(&id).map(Record::to_stored_said) else { return };
        table.journal.said(id, &said);
        drop(table);
        self.flush_journal();
    }

    /// `{at, data|raw, process}` under the type of the message.
    fn publish_message(&self, id: PmId, topic: &str, member: &str, value: &RawValue, typed: bool) {
        if !self.bus.has_subscribers() {
            return;
        }
        let table = self.table.borrow();
        let Some(record) = table.records.get(&id) else { return };
        let mut text = String::with_capacity(value.get().len() + 128);
        text.push('{');
        push_key(&mut text, "at");
        push_json(&mut text, &now().wall);
        push_key(&mut text, member);
        text.push_str(value.get());
        push_key(&mut text, "process");
        push_process(&mut text, record, typed);
        text.push('}');
        self.bus.publish_text(topic, &text);
    }
}

/// Who said it: `{pm_id, name, [rev | versioning], namespace}`.
fn push_process(text: &mut String, record: &Record, typed: bool) {
    text.push('{');
    push_key(text, "pm_id");
    record.push_pm_id(text, false);
    push_key(text, "name");
    push_json(text, record.name());
    if typed {
        let versioning = record.config().get("versioning").filter(|v| v.is_object());
        if record.is_cluster() {
            push_key(text, "rev");
            push_json(text, &versioning.and_then(|v| v.get("revision")));
        } else if let Some(versioning) = versioning {
            push_key(text, "versioning");
            push_json(text, versioning);
        }
    }
    push_key(text, "namespace");
    push_json(text, record.namespace());
    text.push('}');
}

fn add_action(said: &mut Said, data: &RawValue) {
    let Ok(action) = serde_json::from_str::<Action<'_>>(data.get()) else { return };
    let known = said.actions.iter().any(|(name, _)| **name == *action.action_name);
    if !known && said.actions.len() < MAX_KEPT {
        said.actions.push((action.action_name.into(), data.to_owned()));
    }
}

/// Merges the members of an object; anything else is ignored.
fn merge(list: &mut Vec<(Box<str>, Box<RawValue>)>, data: &RawValue) {
    let Ok(members) = serde_json::from_str::<Members>(data.get()) else { return };
    for (name, value) in members.0 {
        if list.len() < MAX_KEPT || list.iter().any(|(known, _)| *known == name) {
            Said::set(list, &name, value);
        }
    }
}

/// `name` in the configuration renames the app.
fn rename(record: &mut Record, data: &RawValue) {
    #[derive(Deserialize)]
    struct Name {
        name: Option<String>,
    }
    let name = serde_json::from_str::<Name>(data.get()).ok().and_then(|data| data.name);
    if let Some(name) = name.filter(|name| !name.is_empty() && name != record.name()) {
        record.config_mut().insert("name".to_owned(), name.into());
    }
}

pub(crate) fn tag(record: &Record) -> Tag {
    let revision = record.config().get("versioning").and_then(|v| v.get("revision")).and_then(|r| r.as_str());
    Tag {
        pm_id: record.id,
        name: record.name().to_owned(),
        rev: revision.map(str::to_owned),
        namespace: record.namespace().to_owned(),
    }
}

/// An object's members in their order, the values as text.
struct Members(Vec<(Box<str>, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

fn string(value: &RawValue) -> Option<Cow<'_, str>> {
    let inner = value.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(value.get()).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn actions_are_kept_once_and_metrics_merge_in_order() {
        let mut said = Said::default();
        add_action(&mut said, &raw(r#"{"action_name":"a","arity":1}"#));
        add_action(&mut said, &raw(r#"{"action_name":"a","arity":2}"#));
        add_action(&mut said, &raw("[1]"));
        assert_eq!(said.actions.len(), 1);
        merge(&mut said.monitor, &raw(r#"{"x":1,"y":{"value":2}}"#));
        merge(&mut said.monitor, &raw(r#"{"x":3}"#));
        merge(&mut said.monitor, &raw(r#""no object""#));
        let names: Vec<_> = said.monitor.iter().map(|(name, value)| (&**name, value.get())).collect();
        assert_eq!(names, [("x", "3"), ("y", r#"{"value":2}"#)]);
    }
}
