//! The RPC methods (contract/wire.md section 5), one file per topic.
//!
//! Owns: arguments -> typed requests, and the texts of errors that programs match on.
//! Must never: wait, decide what happens to a process, or touch one.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use super::answer::Rendered;
use super::render::{Clu, push_clu, push_proc};
use super::table::Table;
use crate::model::{PmId, Status};
use crate::supervisor::{Outcome, Refusal, Verb};

pub(super) mod about;
pub(super) mod lifecycle;
pub(super) mod list;
pub(super) mod messages;
pub(super) mod prepare;
pub(super) mod shutdown;
pub(super) mod signals;
pub(super) mod update;
pub(super) mod watch;

/// An id as clients write it: a number, or its text. Kept as text, because error texts repeat it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Id(pub(super) String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
        struct IdVisitor;
        impl Visitor<'_> for IdVisitor {
            type Value = Id;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an id as a number or a text")
            }
            fn visit_u64<E>(self, number: u64) -> Result<Id, E> {
                Ok(Id(number.to_string()))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Id, E> {
                Ok(Id(number.to_string()))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Id, E> {
                Ok(Id(number.to_string()))
            }
            fn visit_str<E>(self, text: &str) -> Result<Id, E> {
                Ok(Id(text.to_owned()))
            }
        }
        deserializer.deserialize_any(IdVisitor)
    }
}

/// An argument that is an id, or an object with one.
pub(super) fn id_argument(text: &str) -> Option<Id> {
    #[derive(Deserialize)]
    struct Holder {
        id: Id,
    }
    serde_json::from_str(text).ok().or_else(|| serde_json::from_str::<Holder>(text).ok().map(|holder| holder.id))
}

/// How an id is repeated in an error; what is none is shown as JavaScript would.
pub(super) fn shown(id: Option<&Id>) -> Cow<'_, str> {
    id.map_or(Cow::Borrowed("undefined"), |id| Cow::Borrowed(id.0.as_str()))
}

/// The reply is a process as `list` shows it, at the moment of the outcome.
pub(super) fn render_proc(table: &Table, outcome: Outcome) -> Rendered {
    match outcome {
        Outcome::Done { id, view } => {
            let record = table.records.get(&id).ok_or_else(|| format!("{id} : id unknown"))?;
            let mut text = String::new();
            push_proc(&mut text, record, &view, None);
            Ok(text)
        }
        Outcome::Refused { id, refusal } => Err(refusal_text(table, id, refusal)),
    }
}

/// The reply is the started process.
pub(super) fn render_clu(table: &Table, outcome: Outcome, shape: Clu) -> Rendered {
    match outcome {
        Outcome::Done { id, view } => {
            let record = table.records.get(&id).ok_or_else(|| format!("{id} id unknown"))?;
            let mut text = String::new();
            push_clu(&mut text, record, &view, shape);
            Ok(text)
        }
        Outcome::Refused { id, refusal } => Err(refusal_text(table, id, refusal)),
    }
}

fn refusal_text(table: &Table, id: PmId, refusal: Refusal) -> String {
    match refusal {
        Refusal::UnknownId => format!("{id} : id unknown"),
        Refusal::AlreadyOnline => match table.supervisor.view(id).map(|view| view.status) {
            Some(Status::Launching) => "process already started".to_owned(),
            _ => "process already online".to_owned(),
        },
        Refusal::ReloadInProgress => format!("Reload already in progress for process id {id}, retry later"),
        Refusal::ShuttingDown => "[RestartProcessId] PM2 is being killed, stopping restart procedure...".to_owned(),
        Refusal::SpawnFailed { error } => error,
        Refusal::Superseded { by } => format!("process {id}: another command came first ({})", verb_text(by)),
        Refusal::ReloadFailed { reason } => {
            format!("Reload of process id {id} failed, the old process stays: {reason}")
        }
    }
}

fn verb_text(verb: Verb) -> &'static str {
    match verb {
        Verb::Start => "start",
        Verb::Stop => "stop",
        Verb::Restart => "restart",
        Verb::Reload => "reload",
        Verb::Delete => "delete",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_numbers_or_texts_bare_or_in_an_object() {
        for text in ["3", "\"3\"", r#"{"id":3}"#, r#"{"id":"3","x":1}"#] {
            assert_eq!(id_argument(text), Some(Id("3".to_owned())), "{text}");
        }
        for text in ["null", "{}", "true"] {
            assert_eq!(id_argument(text), None, "{text}");
        }
    }
}
