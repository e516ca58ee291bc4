//! How work is shared: exactly while workers keep up, and past whoever does not.
//!
//! These are the exact claims. With real processes the machine has its say, too: `__test__/cluster/serve.test.js` shows what
//! of them no load can hide.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::primary::WINDOW;
use super::world::{PLAIN, World};

/// How many of these connections each of the workers 1 to `workers` was offered.
fn shares(offers: &[(u64, u32)], workers: u64) -> BTreeMap<u64, usize> {
    let count = |run| offers.iter().filter(|(to, _)| *to == run).count();
    (1..=workers).map(|run| (run, count(run))).collect()
}

fn is_equal_within_one<'a>(shares: impl Iterator<Item = &'a usize> + Clone) -> bool {
    let (least, most) = (shares.clone().min(), shares.max());
    least.zip(most).is_some_and(|(least, most)| most - least <= 1)
}

/// One connection more, if it is accepted at all; who was offered it.
fn connect(world: &mut World, connection: u32) -> Option<u64> {
    if !world.wants() {
        return None;
    }
    world.sent.clear();
    world.connect(connection);
    let offers: Vec<u64> =
        world.sent.iter().filter(|(.., fd)| *fd == Some(connection)).map(|(run, ..)| run.0).collect();
    assert_eq!(offers.len(), 1, "what is accepted is offered at once, and to one");
    offers.first().copied()
}

proptest! {
    /// Idle workers take turns, in the same order each round.
    #[test]
    fn idle_workers_share_exactly(workers in 1..9_u64, connections in 0..200_u32) {
        let mut world = World::listening(workers, PLAIN);
        let mut offers = Vec::new();
        for connection in 1..=connections {
            let run = connect(&mut world, connection).unwrap();
            offers.push((run, connection));
            world.answers(run, true);
        }
        prop_assert!(is_equal_within_one(shares(&offers, workers).values()), "{offers:?}");
        for (offer, later) in offers.iter().zip(offers.iter().skip(usize::try_from(workers).unwrap())) {
            prop_assert_eq!(offer.0, later.0, "the rounds differ: {:?}", offers);
        }
    }

    /// A worker that does not answer costs one connection; the others share the rest exactly. When it answers at last, after
    /// the others had theirs, it is the next, but is given nothing to make up for what it missed.
    #[test]
    fn one_that_does_not_accept_is_passed_over(
        workers in 2..9_u64, stuck in 0..9_u64, before in 0..30_u32, during in 0..100_u32, after in 0..100_u32,
    ) {
        let stuck = 1 + stuck % workers;
        let mut world = World::listening(workers, PLAIN);
        let serve = |world: &mut World, connections: u32, is_stuck: bool| {
            let mut offers = Vec::new();
            for connection in 1..=connections {
                let run = connect(world, connection).unwrap();
                offers.push((run, connection));
                if !is_stuck || run != stuck {
                    world.answers(run, true);
                }
            }
            offers
        };
        serve(&mut world, before, false);
        // In a round each has one turn: by its end the stuck one has what it does not answer.
        let round = u32::try_from(workers).unwrap();
        let first = serve(&mut world, round, true);
        prop_assert!(shares(&first, workers).values().all(|count| *count == 1), "{first:?}");
        let rest = shares(&serve(&mut world, during, true), workers);
        prop_assert_eq!(rest[&stuck], 0);
        prop_assert!(is_equal_within_one(rest.iter().filter(|(run, _)| **run != stuck).map(|(_, count)| count)));

        world.answers(stuck, true);
        let then = serve(&mut world, after, false);
        if during >= round {
            prop_assert!(then.first().is_none_or(|(run, _)| *run == stuck), "it has waited longest: {then:?}");
        }
        prop_assert!(is_equal_within_one(shares(&then, workers).values()), "{then:?}");
    }

    /// In whatever order workers answer: each connection goes to the one, of those who owe the fewest answers, whose last was longest
    /// ago; and nothing is accepted while each owes as many as it may.
    #[test]
    fn the_next_is_whoever_is_free_and_has_waited_longest(
        workers in 1..7_u64, steps in prop::collection::vec((0..3_u8, 0..7_u64), 1..200),
    ) {
        let mut world = World::listening(workers, PLAIN);
        // The model: the workers by their last turn, and those that owe an answer.
        let mut queue: Vec<u64> = (1..=workers).collect();
        let mut owing: Vec<u64> = Vec::new();
        let mut connection = 0;
        for (what, which) in steps {
            if what == 0 && !owing.is_empty() {
                let run = owing.remove(usize::try_from(which).unwrap() % owing.len());
                world.answers(run, true);
                continue;
            }
            connection += 1;
            let owes = |run: &u64| owing.iter().filter(|other| *other == run).count();
            let expected = (0..WINDOW)
                .find_map(|count| queue.iter().position(|run| owes(run) == count))
                .map(|place| queue.remove(place));
            prop_assert_eq!(connect(&mut world, connection), expected);
            if let Some(run) = expected {
                queue.push(run);
                owing.push(run);
            }
        }
    }
}
