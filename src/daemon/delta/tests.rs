use std::path::Path;

use serde_json::{Map, Value, json};

use super::*;
use crate::daemon::env_block::EnvBlock;
use crate::daemon::journal::Journal;
use crate::model::policy::Defaults;
use crate::model::{Now, PmId};
use crate::supervisor::{Input, Supervisor};
use crate::sys::counting::{Counts, count};

fn difference(base: &str, ours: &str) -> Option<String> {
    let mut out = String::new();
    push_difference(&mut out, base, ours).map(|()| out)
}

#[test]
fn members_that_differ_are_found_whatever_they_hold() {
    let base = r#""a":1,"b\",c":"x\\","d":{"e":[1,"},"]},"f":null"#;
    assert_eq!(difference(base, base).as_deref(), Some(""));
    let ours = r#""a":2,"b\",c":"x\\\"","d":{"e":[1,"},"]},"f":[]"#;
    assert_eq!(difference(base, ours).as_deref(), Some(r#""a":2,"b\",c":"x\\\"","f":[]"#));
    assert_eq!(difference("", "").as_deref(), Some(""));
}

#[test]
fn other_keys_or_another_order_have_no_difference() {
    for ours in [r#""b":1,"a":1"#, r#""a":1"#, r#""a":1,"b":1,"c":1"#, "", "rubbish"] {
        assert_eq!(difference(r#""a":1,"b":1"#, ours), None, "{ours}");
    }
    assert_eq!(difference(r#""__proto__":1"#, r#""__proto__":2"#), None);
    assert_eq!(difference("x", "y"), None);
}

/// A table of `count` instances of one app with 40 variables.
fn table(count: u32) -> Table {
    let mut table = Table::new(Supervisor::new(1), Journal::new(Path::new("/nowhere/journal")));
    let variables = (0..40).map(|n| (format!("VARIABLE_{n}"), Value::from(format!("/the/value/of/{n}"))));
    let variables: Map<String, Value> = variables.collect();
    for id in (0..count).map(PmId) {
        let Value::Object(config) = json!({
            "name": "app", "namespace": "default", "exec_mode": "fork_mode", "pm_exec_path": "/srv/app.js", "env": {},
            "pm_out_log_path": format!("/logs/app-out-{id}.log"), "args": [], "NODE_APP_INSTANCE": id.0,
        }) else {
            panic!("an object")
        };
        let policy = crate::model::Policy::from_record(&config, &Defaults::default());
        table.supervisor.on(Input::Register { id, policy, start: false, ticket: None }, Now { mono: 1, wall: 1 });
        let unique = format!("00000000-0000-0000-0000-{id:012}");
        table.records.insert(id, Record::new(id, config, EnvBlock::new(&variables), &unique));
    }
    table
}

/// The list, and what making it again allocates.
fn listed(table: &Table) -> (String, Counts) {
    let list = || {
        let mut out = String::new();
        push_list(&mut out, table, &Figures::default(), |_| true);
        out
    };
    // What is kept for the next time is made at the first.
    list();
    count(list)
}

#[test]
fn a_list_of_instances_grows_by_little_text_and_few_allocations_each() {
    let ((small, few), (large, many)) = (listed(&table(100)), listed(&table(500)));
    let parsed: Value = serde_json::from_str(&large).unwrap();
    assert_eq!((parsed["bases"].as_array().unwrap().len(), parsed["list"].as_array().unwrap().len()), (1, 500));
    let each = (large.len() - small.len()) / 400;
    assert!(each <= 300, "{each} bytes of text for each process more");
    let each = (many.allocations - few.allocations).div_ceil(400);
    assert!(each <= 8, "{each} allocations for each process more ({few:?}, {many:?})");
    let each = (many.bytes - few.bytes) / 400;
    assert!(each <= 4096, "{each} bytes allocated for each process more ({few:?}, {many:?})");
}
