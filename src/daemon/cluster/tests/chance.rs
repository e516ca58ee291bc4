//! Whatever happens, in any order: no connection is lost, none has two workers.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;

use proptest::prelude::*;
use serde_json::json;

use super::super::primary::{Primary, WINDOW, Wishes};
use super::world::{KEY, World, query};
use crate::model::{PmId, RunId};

#[derive(Debug, Clone)]
enum Step {
    Connect,
    Answer(u64, bool),
    Gone(u64),
    Join(u64),
    Drain(u64),
    Close(u64),
    Time,
}

fn step() -> impl Strategy<Value = Step> {
    let run = 1..6_u64;
    prop_oneof![
        4 => Just(Step::Connect),
        4 => (run.clone(), any::<bool>()).prop_map(|(run, accepted)| Step::Answer(run, accepted)),
        1 => run.clone().prop_map(Step::Gone),
        2 => run.clone().prop_map(Step::Join),
        1 => run.clone().prop_map(Step::Drain),
        1 => run.prop_map(Step::Close),
        1 => Just(Step::Time),
    ]
}

proptest! {
    /// Whatever happens: no more offers at a time for a worker than it may have, none after it was told to go, no connection with two
    /// workers, none lost while a worker could take it, one `disconnect`.
    #[test]
    fn no_connection_is_lost_or_doubled(steps in prop::collection::vec(step(), 1..120), sticky: bool) {
        let mut world = World::listening(3, Wishes { shared: false, sticky });
        let mut outstanding: HashMap<u64, VecDeque<u32>> = HashMap::new();
        let mut told: HashSet<u64> = HashSet::new();
        let mut taken: HashSet<u32> = HashSet::new();
        let (mut made, mut next_seq) = (0_u32, 10);
        for step in steps {
            match step {
                Step::Connect if world.wants() => {
                    made += 1;
                    world.connect_from(made, Some(IpAddr::from([10, 0, 0, (made % 7) as u8])));
                }
                Step::Connect => {}
                Step::Answer(run, accepted) => {
                    if let Some(connection) = outstanding.get_mut(&run).and_then(VecDeque::pop_front) {
                        if accepted {
                            prop_assert!(taken.insert(connection), "{connection} taken twice");
                        }
                        world.answers(run, accepted);
                    }
                }
                Step::Gone(run) => {
                    outstanding.remove(&run);
                    told.remove(&run);
                    world.gone(run);
                }
                Step::Join(run) => {
                    world.primary.join(RunId(run), PmId(u32::try_from(run).unwrap()));
                    next_seq += 1;
                    world.says(run, &query(80, 0, next_seq));
                }
                Step::Drain(run) => world.act(|primary, now, out| primary.drain(RunId(run), false, now, out)),
                Step::Close(run) => world.says(run, &json!({ "cmd": "NODE_CLUSTER", "act": "close", "key": KEY, "seq": 2 })),
                Step::Time => {
                    world.now += 300;
                    world.act(Primary::tick);
                }
            }
            for (run, message, fd) in std::mem::take(&mut world.sent) {
                if message["act"] == "disconnect" {
                    prop_assert!(told.insert(run.0), "{run} told twice");
                    prop_assert!(outstanding.get(&run.0).is_none_or(VecDeque::is_empty));
                } else if message["type"] == "net.Native" {
                    let connection = fd.unwrap();
                    prop_assert!(!told.contains(&run.0), "offered to one that was told to go");
                    prop_assert!(!taken.contains(&connection), "offered though taken");
                    prop_assert!(!outstanding.values().flatten().any(|other| *other == connection), "with two workers");
                    let owed = outstanding.entry(run.0).or_default();
                    owed.push_back(connection);
                    prop_assert!(owed.len() <= WINDOW, "{} for {run}", owed.len());
                }
            }
            // Where a worker is free and willing, nothing waits, unless all have refused or it waits for its favourite.
            if let Some(handle) = world.primary.handles.get(KEY) {
                let free = handle.members.iter().any(|member| {
                    let worker = &world.primary.workers[&member.run];
                    !worker.draining && outstanding.get(&member.run.0).is_none_or(VecDeque::is_empty)
                        && handle.waiting.iter().any(|waiting| !waiting.tried.contains(&member.run))
                });
                prop_assert!(sticky || !free || handle.blocked_until.is_some() || handle.waiting.is_empty());
            }
        }
    }
}
