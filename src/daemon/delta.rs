//! The list of processes with what they have in common said once. Our own client asks for it and puts it together again
//! (`lib/expand.js`): instances of one app differ in little, and reading 500 whole records takes JavaScript 10 ms.
//!
//! Owns: the form `{"pm2rs":1,"bases":[pm2_env, ..],"list":[[base, name, pid, members, env members, memory, cpu], ..]}`;
//! `members` are those of `pm2_env` that differ from the base, and an object that is empty is written as 0.
//! Must never: show anything else than the list itself does, in another order of keys included.

use std::rc::Rc;

use super::env_block::push_json;
use super::record::{Beside, Record, StateKeys};
use super::sampler::{Figures, Monit};
use super::table::Table;
use crate::supervisor::View;

/// A record is compared with so many bases before it becomes one itself.
const TRIES: usize = 8;

/// A record that others are shown as the difference from.
struct Base<'a> {
    record: &'a Record,
    number: u64,
    keys: StateKeys,
    state: String,
}

/// Every instance that is `wanted`, lowest id first.
pub(crate) fn push_list(out: &mut String, table: &Table, figures: &Figures, wanted: impl Fn(&Record) -> bool) {
    let mut bases: Vec<Base<'_>> = Vec::new();
    let mut list = String::new();
    let mut state = String::new();
    out.push_str(r#"{"pm2rs":1,"bases":["#);
    for record in table.records.values().filter(|record| wanted(record)) {
        let Some(view) = table.supervisor.view(record.id) else { continue };
        state.clear();
        record.push_state(&mut state, &view, false);
        let beside = beside(record, &view, &bases);
        let mut members = beside.config.to_string();
        let found = bases.iter().position(|base| base.number == beside.base && base.keys == beside.keys);
        let found = found.filter(|at| {
            // Its keys are those of the base, so this never fails.
            bases.get(*at).is_some_and(|base| push_difference(&mut members, &base.state, &state).is_some())
        });
        let at = found.unwrap_or_else(|| {
            if !bases.is_empty() {
                out.push(',');
            }
            record.push_pm2_env(out, &view, true, false);
            let (number, _) = record.rendering();
            bases.push(Base { record, number, keys: record.state_keys(&view), state: state.clone() });
            members.clear();
            bases.len() - 1
        });
        let env = if found.is_some() { &*beside.env } else { "" };
        let monit = figures.of(record.id);
        push_line(&mut list, at, record, &view, [&members, env], monit);
    }
    out.push_str(r#"],"list":["#);
    out.push_str(&list);
    out.push_str("]}");
}

/// How this record is shown: as last time, if what it was compared with is there again.
fn beside(record: &Record, view: &View, bases: &[Base<'_>]) -> Rc<Beside> {
    let keys = record.state_keys(view);
    let (number, known) = record.rendering();
    let is_there = |beside: &Beside| {
        beside.keys == keys
            && (beside.base == number || bases.iter().any(|base| base.number == beside.base && base.keys == keys))
    };
    if let Some(known) = known.filter(|known| is_there(known)) {
        return known;
    }
    let mut tries = bases.iter().filter(|base| base.keys == keys).take(TRIES);
    let found = tries.find_map(|base| record.difference(base.record).map(|difference| (base.number, difference)));
    let (base, (config, env)) = found.unwrap_or_else(|| (number, Default::default()));
    let beside = Rc::new(Beside { base, keys, config: config.into(), env: env.into() });
    record.set_beside(Rc::clone(&beside));
    beside
}

fn push_line(list: &mut String, base: usize, record: &Record, view: &View, members: [&str; 2], monit: Monit) {
    list.push_str(if list.is_empty() { "[" } else { ",[" });
    push_json(list, &base);
    list.push(',');
    list.push_str(record.name_json());
    list.push(',');
    push_json(list, &view.pid.unwrap_or(0));
    for members in members {
        list.push(',');
        if members.is_empty() {
            list.push('0');
        } else {
            list.push('{');
            list.push_str(members);
            list.push('}');
        }
    }
    // As `monit` writes them.
    list.push(',');
    push_json(list, &monit.memory);
    list.push(',');
    push_json(list, &monit.shown_cpu());
    list.push(']');
}

/// Appends the members of `ours` that `base` has with another value. `None` when they have not the same keys in the same
/// order. Both are members of an object as we write them, without the braces.
pub(crate) fn push_difference(out: &mut String, base: &str, ours: &str) -> Option<()> {
    if base == ours {
        return Some(());
    }
    let (mut base, mut ours) = (Members(base), Members(ours));
    loop {
        match (base.next(), ours.next()) {
            (None, None) => return Some(()),
            (Some((key, before)), Some((same, value))) if key == same && !key.is_empty() => {
                if before == value {
                    continue;
                }
                // To assign it would be something else than to have it.
                if key == r#""__proto__""# {
                    return None;
                }
                if !out.is_empty() {
                    out.push(',');
                }
                out.push_str(key);
                out.push(':');
                out.push_str(value);
            }
            _ => return None,
        }
    }
}

/// Cuts `"key":value,"key":value` at its commas: key with quotes, value. A key is empty where the text is something else.
struct Members<'a>(&'a str);

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        let text = self.0.strip_prefix(',').unwrap_or(self.0);
        if text.is_empty() {
            return None;
        }
        let bytes = text.as_bytes();
        let colon = end_of_string(bytes, 1).filter(|at| bytes.first() == Some(&b'"') && bytes.get(*at) == Some(&b':'));
        let Some(colon) = colon else {
            self.0 = "";
            return Some(("", text));
        };
        let end = end_of_value(bytes, colon + 1);
        self.0 = text.get(end..).unwrap_or_default();
        Some((text.get(..colon).unwrap_or_default(), text.get(colon + 1..end).unwrap_or_default()))
    }
}

/// Behind the quote that ends the string whose inside begins at `at`.
fn end_of_string(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let found = at + memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(found) == Some(&b'"') {
            return Some(found + 1);
        }
        at = found + 2;
    }
}

/// The comma behind the value that begins at `at`, or the end of the text.
fn end_of_value(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = end_of_string(bytes, at + 1).unwrap_or(bytes.len());
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    at.min(bytes.len())
}

#[cfg(test)]
mod tests;
