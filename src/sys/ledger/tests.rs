//! Whatever is done with connections, and wherever it stops: the next process reads what the last store said.

use std::collections::BTreeMap;
use std::os::unix::net::{UnixListener, UnixStream};

use proptest::prelude::*;

use super::*;

/// A listener, and clients that wait at it.
fn listener(clients: usize) -> (tempfile::TempDir, UnixListener, Vec<UnixStream>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    listener.set_nonblocking(true).unwrap();
    let clients = (0..clients).map(|_| UnixStream::connect(&path).unwrap()).collect();
    (dir, listener, clients)
}

fn copy(ledger: &Ledger) -> OwnedFd {
    ledger.as_fd().try_clone_to_owned().unwrap()
}

/// Descriptor, key, and the offer with whether it was sent.
type Known = (OwnedFd, u64, Option<(Offer, bool)>);

#[derive(Debug, Clone, Copy)]
enum Step {
    Accept,
    Offer(usize),
    Send(usize),
    CameBack(usize),
    Withdraw(usize),
    Release(usize),
    Next,
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0..4_usize;
    prop_oneof![
        3 => Just(Step::Accept),
        2 => which.clone().prop_map(Step::Offer),
        2 => which.clone().prop_map(Step::Send),
        1 => which.clone().prop_map(Step::CameBack),
        1 => which.clone().prop_map(Step::Withdraw),
        2 => which.prop_map(Step::Release),
        1 => Just(Step::Next),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_next_process_knows_what_is_where(steps in prop::collection::vec(step(), 1..40)) {
        let (_dir, listener, _clients) = listener(40);
        let (ours, _worker) = UnixStream::pair().unwrap();
        let mut ledger = Ledger::create(1).unwrap();
        let mut model: BTreeMap<Place, Known> = BTreeMap::new();
        let mut number = 0;
        for step in steps {
            number += 1;
            let nth = |model: &BTreeMap<Place, _>, n: usize| model.keys().copied().nth(n % model.len().max(1));
            match step {
                Step::Accept => {
                    let (fd, place) = ledger.accept(listener.as_fd(), number).unwrap();
                    prop_assert!(model.insert(place.unwrap(), (fd, number, None)).is_none(), "a place was given twice");
                }
                Step::Offer(n) => if let Some(place) = nth(&model, n) {
                    let offer = Offer { to: number % 3, generation: u64::from(ledger.owner), number };
                    ledger.offer(place, offer);
                    model.get_mut(&place).unwrap().2 = Some((offer, false));
                },
                Step::Send(n) => if let Some(place) = nth(&model, n) && let Some((fd, _, Some((_, sent)))) = model.get_mut(&place) {
                    prop_assert_eq!(ledger.send(place, ours.as_fd(), b"line\n", fd.as_fd()).unwrap(), 5);
                    *sent = true;
                },
                Step::CameBack(n) => if let Some(place) = nth(&model, n) {
                    ledger.came_back(place);
                    if let Some((_, sent)) = &mut model.get_mut(&place).unwrap().2 {
                        *sent = false;
                    }
                },
                Step::Withdraw(n) => if let Some(place) = nth(&model, n) {
                    ledger.withdraw(place);
                    model.get_mut(&place).unwrap().2 = None;
                },
                Step::Release(n) => if let Some(place) = nth(&model, n) {
                    ledger.release(place);
                    model.remove(&place);
                },
                Step::Next => ledger = Ledger::open(copy(&ledger), number).unwrap().0,
            }
            let (_, entries) = Ledger::open(copy(&ledger), 99).unwrap();
            let expected: Vec<Entry> = model.iter().map(|(place, (_, key, offer))| {
                Entry { place: *place, key: *key, sent: offer.filter(|(_, sent)| *sent).map(|(offer, _)| offer) }
            }).collect();
            prop_assert_eq!(entries, expected);
        }
    }
}

/// The kernel has sent it and stored the count; we were killed before anything else.
#[test]
fn a_send_that_was_not_returned_from_counts_and_one_that_failed_does_not() {
    let (_dir, listener, _clients) = listener(2);
    let ledger = Ledger::create(1).unwrap();
    let offer = Offer { to: 1, generation: 1, number: 5 };
    let (fd, place) = ledger.accept(listener.as_fd(), 8).unwrap();
    let place = place.unwrap();
    ledger.offer(place, offer);
    let (ours, _worker) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    ledger.send(place, ours.as_fd(), b"line\n", fd.as_fd()).unwrap();
    // The two stores that follow the system call, taken back.
    ledger.came_back(place);
    ledger.memory.set_word(SENDING_AT, u64::from(place) + 1);
    let (ledger, entries) = Ledger::open(copy(&ledger), 2).unwrap();
    assert_eq!(entries[0].sent, Some(offer));

    ledger.offer(place, offer);
    let full = vec![b'x'; 1 << 16];
    while nix::unistd::write(&ours, &full).is_ok() {}
    let error = ledger.send(place, ours.as_fd(), b"line\n", fd.as_fd()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    ledger.memory.set_word(SENDING_AT, u64::from(place) + 1);
    assert_eq!(Ledger::open(copy(&ledger), 3).unwrap().1[0].sent, None);
}

#[test]
fn a_full_ledger_refuses_nobody() {
    let (_dir, listener, _clients) = listener(1);
    let ledger = Ledger::create(1).unwrap();
    ledger.free.borrow_mut().clear();
    let (_, place) = ledger.accept(listener.as_fd(), 8).unwrap();
    assert_eq!(place, None);
}
