//! What a next daemon goes on with.

use serde_json::{Value, json};

use super::super::inherited::Inherited;
use super::super::primary::{Number, Primary, WINDOW};
use super::world::{KEY, PLAIN, World, query};
use crate::model::RunId;

#[test]
fn a_next_daemon_goes_on_and_repeats_an_answer_that_may_be_lost() {
    let mut world = World::listening(2, PLAIN);
    world.connect(1);
    world.act(|primary, now, out| primary.drain(RunId(2), false, now, out));
    let stored = serde_json::to_vec(&world.primary.to_stored("web")).unwrap();
    let mut next = World::new(PLAIN);
    next.primary = Primary::from_stored(2, serde_json::from_slice(&stored).unwrap());
    next.says(1, &query(80, 0, 1));
    assert_eq!((&next.sent[0].1["ack"], &next.sent[0].1["errno"]), (&json!(1), &Value::Null));
    next.says(1, &query(80, 1, 2));
    assert_eq!(next.sent[1].1["errno"], -98);
    // An answer to the earlier daemon means nothing.
    next.says(1, &json!({ "cmd": "NODE_CLUSTER", "ack": "g1-3", "accepted": true, "seq": 3 }));
    next.sent.clear();
    next.connect(5);
    assert_eq!(next.offers(), [(1, 5)]);
    next.act(|primary, now, out| primary.drain(RunId(2), false, now, out));
    assert_eq!(next.acts(2), Vec::<&str>::new(), "it was told to go by the earlier daemon");
}

/// What a daemon leaves: its state, and the connections that no worker has answered for.
fn followed(world: &World, generation: u64) -> World {
    let stored = serde_json::to_vec(&world.primary.to_stored("web")).unwrap();
    let mut next = World::new(PLAIN);
    next.primary = Primary::from_stored(generation, serde_json::from_slice(&stored).unwrap());
    next.primary.wait();
    next
}

fn inherits(world: &mut World, connection: u32, sent: Option<(u64, u64)>) -> bool {
    let sent = sent.map(|(run, count)| (RunId(run), Number { generation: 1, count }));
    world.primary.inherit(KEY, Inherited { connection, peer: None, sent }, world.now).is_some()
}

#[test]
fn what_an_earlier_daemon_had_accepted_is_served_once() {
    let mut world = World::listening(4, PLAIN);
    let mut numbers = Vec::new();
    for connection in 1..=4 {
        world.connect(connection);
        let seq = world.sent.last().unwrap().1["msg"]["seq"].as_str().unwrap().to_owned();
        numbers.push(seq.strip_prefix("g1-").unwrap().parse::<u64>().unwrap());
    }
    let runs: Vec<u64> = world.offers().iter().map(|(run, _)| *run).collect();
    let mut next = followed(&world, 2);
    let answer = |seq: u64, accepted| json!({ "cmd": "NODE_CLUSTER", "ack": format!("g1-{seq}"), "accepted": accepted, "seq": 3 });
    // Answers that come before it is known what they are for.
    next.says(runs[0], &answer(numbers[0], true));
    next.says(runs[1], &answer(numbers[1], false));
    next.gone(runs[2]);
    assert!(!next.wants(), "nothing is accepted before all is known");
    let waits: Vec<bool> =
        (0..4).map(|n| inherits(&mut next, u32::try_from(n).unwrap() + 1, Some((runs[n], numbers[n])))).collect();
    assert_eq!(waits, [false, false, false, true], "one may still be in the channel of its worker");
    inherits(&mut next, 5, None);
    assert_eq!(next.offers(), [], "nor offered");
    next.act(Primary::begin);
    // Two workers are free for three connections: the refused, that of the dead worker, the one that was never sent.
    let offers = next.offers();
    assert_eq!(offers.iter().map(|(_, connection)| *connection).collect::<Vec<_>>(), [2, 3, 5]);
    assert_ne!(offers[0].0, runs[1], "not to the worker that has refused it");
    assert_eq!(offers[2].0, runs[3], "which has had its turn longest ago");
    next.act(|primary, now, out| primary.drain(RunId(runs[3]), false, now, out));
    next.says(runs[3], &answer(numbers[3], true));
    assert_eq!(next.acts(runs[3]), Vec::<&str>::new(), "it owes an answer of its own time");
    next.answers(runs[3], true);
    assert_eq!(next.acts(runs[3]), ["disconnect"], "and the one that was under way has arrived");
}

#[test]
fn all_that_a_worker_was_sent_may_be_on_their_way() {
    let window = u32::try_from(WINDOW).unwrap();
    let mut world = World::listening(1, PLAIN);
    (1..=window).for_each(|connection| world.connect(connection));
    let mut next = followed(&world, 2);
    let waits: Vec<bool> = (0..=window).map(|n| inherits(&mut next, 20 + n, Some((1, u64::from(20 + n))))).collect();
    assert_eq!(waits.iter().position(|waits| !waits), Some(WINDOW), "one more than it may owe counts as taken");
    next.act(Primary::begin);
    assert!(!next.wants());
    (1..window).for_each(|_| next.answers(1, true));
    next.answers(1, false);
    assert_eq!(next.primary.deadline(), Some(10), "the refused one is kept for later");
}

#[test]
fn an_answer_that_was_lost_is_not_waited_for_for_ever() {
    let mut next = followed(&World::listening(1, PLAIN), 2);
    assert!(inherits(&mut next, 1, Some((1, 77))));
    next.act(Primary::begin);
    next.now = 1000;
    assert!(!next.wants());
    next.now = next.primary.deadline().unwrap();
    next.act(Primary::tick);
    assert!(next.wants());
    assert_eq!(next.primary.deadline(), None);
}
