//! The rules, one by one: whose turn it is, refusals, leaving, what is shared, who may be spared.

use std::collections::HashSet;
use std::net::IpAddr;

use serde_json::json;

use super::super::primary::{PROMPT, Primary, WINDOW, Wishes};
use super::world::{KEY, PLAIN, World, query};
use crate::model::{PmId, RunId};

#[test]
fn one_connection_for_each_worker_in_turns_and_then_more() {
    let mut world = World::listening(2, PLAIN);
    assert!(world.wants());
    let all = 2 * u32::try_from(WINDOW).unwrap();
    (1..=all).for_each(|connection| world.connect(connection));
    assert_eq!(world.offers(), (1..=all).map(|n| (if n % 2 == 1 { 1 } else { 2 }, n)).collect::<Vec<_>>());
    assert!(!world.wants(), "the others wait in the kernel");
    world.connect(all + 1);
    assert_eq!(world.offers(), []);
    assert!(!world.wants());
}

#[test]
fn whoever_is_free_comes_before_whoever_owes_an_answer() {
    let mut world = World::listening(2, PLAIN);
    world.connect(1);
    world.connect(2);
    world.answers(2, true);
    world.connect(3);
    assert_eq!(world.offers().last(), Some(&(2, 3)), "though it was the turn of 1");
}

#[test]
fn whoever_answers_gets_the_next_one() {
    let mut world = World::listening(2, PLAIN);
    let all = 2 * u32::try_from(WINDOW).unwrap();
    (1..=all + 1).for_each(|connection| world.connect(connection));
    world.answers(2, true);
    assert_eq!(world.offers().last(), Some(&(2, all + 1)));
}

#[test]
fn a_worker_that_owes_an_answer_for_long_is_offered_no_second_one() {
    let mut world = World::listening(2, PLAIN);
    world.connect(1);
    world.connect(2);
    world.now = PROMPT;
    assert!(world.wants());
    world.now = PROMPT + 1;
    assert!(!world.wants(), "neither answers");
    world.answers(2, true);
    let last = 3 + u32::try_from(WINDOW).unwrap();
    (3..=last).for_each(|connection| world.connect(connection));
    assert_eq!(world.offers()[2..], (3..last).map(|n| (2, n)).collect::<Vec<_>>(), "the last one waits for an answer");
    world.answers(1, true);
    assert_eq!(world.offers(), [(1, last)]);
}

#[test]
fn what_a_dead_worker_had_not_taken_goes_to_another() {
    let mut world = World::listening(2, PLAIN);
    world.connect(1);
    world.connect(2);
    world.answers(2, true);
    world.sent.clear();
    world.gone(1);
    assert_eq!(world.offers(), [(2, 1)]);
    world.connect(3);
    world.primary.join(RunId(3), PmId(3));
    world.says(3, &query(80, 0, 1));
    world.sent.clear();
    world.gone(2);
    assert_eq!(world.offers(), [(3, 1), (3, 3)], "both, in their order");
    world.gone(3);
    assert_eq!(world.closed.iter().map(|key| &**key).collect::<Vec<_>>(), [KEY]);
    assert!(!world.wants());
}

#[test]
fn a_refused_connection_goes_round_once_and_then_waits() {
    let mut world = World::listening(2, PLAIN);
    world.connect(1);
    world.answers(1, false);
    world.answers(2, false);
    assert_eq!(world.offers(), [(1, 1), (2, 1)]);
    assert_eq!(world.primary.deadline(), Some(10));
    world.now = 10;
    world.act(Primary::tick);
    let (first, _) = world.offers()[0];
    world.sent.clear();
    assert!(first == 1 || first == 2);
}

#[test]
fn the_back_off_doubles_up_to_its_limit() {
    let mut world = World::listening(1, PLAIN);
    world.connect(1);
    let mut delays = Vec::new();
    for _ in 0..7 {
        world.answers(1, false);
        let deadline = world.primary.deadline().unwrap();
        delays.push(deadline - world.now);
        world.now = deadline;
        world.act(Primary::tick);
    }
    assert_eq!(delays, [10, 20, 40, 80, 160, 250, 250]);
}

#[test]
fn a_draining_worker_is_told_to_go_once_and_after_its_last_answer() {
    let mut world = World::listening(2, PLAIN);
    world.connect(1);
    world.act(|primary, now, out| primary.drain(RunId(1), false, now, out));
    assert_eq!(world.acts(1), Vec::<&str>::new(), "it has not answered yet");
    world.answers(1, true);
    world.act(|primary, now, out| primary.drain(RunId(1), false, now, out));
    assert_eq!(world.acts(1), ["disconnect"]);
    (2..9).for_each(|connection| world.connect(connection));
    assert!(world.offers().iter().all(|(run, connection)| *connection == 1 || *run == 2));
    world.says(1, &query(81, 0, 5));
    assert_eq!(world.sent.len(), 0, "who was told to go is not answered");
}

#[test]
fn our_script_is_asked_before_a_worker_disconnects() {
    let mut world = World::listening(2, PLAIN);
    world.act(|primary, now, out| primary.drain(RunId(1), true, now, out));
    assert_eq!(world.sent.iter().map(|(_, message, _)| &message["cmd"]).collect::<Vec<_>>(), ["NODE_PM2_DRAIN"]);
    world.act(|primary, _, out| primary.drained(RunId(1), out));
    world.act(|primary, _, out| primary.drained(RunId(1), out));
    assert_eq!(world.acts(1), ["disconnect"]);
}

#[test]
fn who_leaves_by_itself_is_acknowledged_and_not_told_to_go() {
    let mut world = World::listening(1, PLAIN);
    world.says(1, &json!({ "cmd": "NODE_CLUSTER", "act": "exitedAfterDisconnect", "seq": 4 }));
    assert_eq!(world.sent[0].1["ack"], 4);
    world.act(|primary, now, out| primary.drain(RunId(1), false, now, out));
    world.says(1, &query(81, 0, 5));
    assert_eq!(world.sent.len(), 1);
}

#[test]
fn the_data_of_the_first_worker_is_given_to_all() {
    let mut world = World::new(PLAIN);
    for (run, keys) in [(1, json!({ "ticketKeys": "aa" })), (2, json!({ "ticketKeys": "bb" }))] {
        world.primary.join(RunId(run), PmId(0));
        let mut question = query(443, 0, 1);
        question["data"] = keys;
        world.says(run, &question);
    }
    assert!(world.sent.iter().all(|(_, message, _)| message["data"]["ticketKeys"] == "aa"));
    assert_eq!(world.binds.len(), 1);
}

#[test]
fn a_shared_socket_goes_to_every_worker_and_is_not_accepted_on() {
    let mut world = World::new(Wishes { shared: true, sticky: false });
    for run in 1..=2 {
        world.primary.join(RunId(run), PmId(0));
        world.says(run, &query(80, 0, 1));
    }
    assert!(world.sent.iter().all(|(_, message, fd)| fd.is_some() && message["msg"]["errno"] == 0));
    assert!(!world.wants());
}

#[test]
fn one_address_goes_to_one_instance_also_when_that_is_busy() {
    let mut world = World::listening(4, Wishes { shared: false, sticky: true });
    let peer: IpAddr = "10.1.2.3".parse().unwrap();
    (0..=WINDOW).for_each(|count| world.connect_from(1 + u32::try_from(count).unwrap(), Some(peer)));
    let offers = world.offers();
    assert_eq!(offers.len(), WINDOW, "the last one waits for its worker");
    let (favourite, _) = offers[0];
    assert!(offers.iter().all(|(run, _)| *run == favourite));
    world.gone(favourite);
    let again = world.offers();
    assert_eq!(again[0].1, 1);
    assert_ne!(again[0].0, favourite);
    // Another client may have another worker.
    let others: HashSet<u64> = (0..40_u8)
        .map(|last| {
            let mut world = World::listening(4, Wishes { shared: false, sticky: true });
            world.connect_from(1, Some(IpAddr::from([10, 1, 2, last])));
            world.offers()[0].0
        })
        .collect();
    assert_eq!(others.len(), 4);
}

#[test]
fn one_is_spared_only_where_another_serves_the_same() {
    let mut world = World::listening(2, PLAIN);
    assert!(world.primary.can_be_spared(RunId(1)));
    world.says(1, &query(81, 0, 2));
    assert!(!world.primary.can_be_spared(RunId(1)));
    world.act(|primary, now, out| primary.drain(RunId(1), false, now, out));
    assert!(!world.primary.can_be_spared(RunId(2)));
}
