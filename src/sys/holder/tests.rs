//! A process that is killed, and what comes out of its holder.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;

use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};

use super::*;
use crate::sys::ledger::{Entry, Offer};
use crate::sys::listen::{self, Host, Place};

#[test]
fn what_is_only_data_can_be_given_back() {
    let maps = "\
55aa0000-55ab0000 r-xp 00000000 fe:00 1 /x/pm2d
55ab0000-55ac0000 rw-p 00010000 fe:00 1 /x/pm2d
55ac0000-55ad0000 rw-p 00000000 00:00 0
55ae0000-55af0000 rw-p 00000000 00:00 0 [heap]
7f000000-7f010000 rw-p 00000000 00:00 0
7f020000-7f030000 rw-s 00000000 00:01 9 /memfd:pm2d-log (deleted)
7ffd0000-7ffe0000 rw-p 00000000 00:00 0 [stack]
7fff0000-7fff1000 r-xp 00000000 00:00 0 [vdso]
";
    let found = areas(maps);
    let expected = [0x55ae_0000, 0x7f00_0000, 0x7f02_0000, 0x7ffd_0000].map(|start| (start, start + 0x1_0000));
    assert_eq!(found, expected);
    let left = without((10, 50), &[(0, 15), (20, 30), (45, 99)]);
    assert_eq!(left, [(15, 20), (30, 45)]);
}

fn listener() -> (OwnedFd, u16) {
    let host = Host { address: Ipv4Addr::LOCALHOST.into(), scope: 0 };
    let fd = listen::open(&Place::Tcp { address: Some(host), port: 0, ipv6_only: false, backlog: 0 }).unwrap();
    let (_, port) = listen::local_address(&fd).unwrap().unwrap();
    (fd, port)
}

const OFFER: Offer = Offer { to: 4, generation: 7, number: 9 };

/// The life of the process that is killed. What it leaves: one connection that waits, one that was sent, one that was
/// accepted and never noted; and a client that must see its end.
fn live(listener: &OwnedFd, parent: &OwnedFd, client: UnixStream) -> io::Result<()> {
    let ledger = Ledger::create(7)?;
    let (holder, theirs) = Holder::start(&ledger)?;
    packet::send(parent, b"x", &[theirs.as_fd(), ledger.as_fd()])?;
    drop(theirs);
    let accept = |key| loop {
        match ledger.accept(listener.as_fd(), key) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
            other => return other,
        }
    };
    let (waiting, _) = accept(11)?;
    let (sent, place) = accept(12)?;
    let place = place.ok_or(io::ErrorKind::OutOfMemory)?;
    let (ours, worker) = UnixStream::pair()?;
    ledger.offer(place, OFFER);
    ledger.send(place, ours.as_fd(), b"line\n", sent.as_fd())?;
    let (done, place) = accept(13)?;
    ledger.release(place.ok_or(io::ErrorKind::OutOfMemory)?);
    drop(done);
    let (last, place) = accept(14)?;
    // As if we were killed before accept had returned.
    ledger.forget(place.ok_or(io::ErrorKind::OutOfMemory)?, listener.as_fd());
    mem::forget((holder, client, ledger, ours, worker));
    mem::forget([waiting, sent, last]);
    Ok(())
}

#[test]
fn what_a_killed_process_had_accepted_comes_out() {
    let (listener, port) = listener();
    let (ours, theirs) = packet::pair().unwrap();
    let (mut client, server) = UnixStream::pair().unwrap();
    let mut clients: Vec<TcpStream> =
        (0..4).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap()).collect();
    // SAFETY: the child uses what the C library makes safe after fork, and ends by a signal.
    let child = match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            drop((ours, client, clients));
            let _ = live(&listener, &theirs, server);
            nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL).unwrap();
            unreachable!();
        }
        ForkResult::Parent { child } => child,
    };
    drop((theirs, server));
    let mut given = packet::receive(&ours, 16).unwrap().unwrap();
    let (ledger, channel) = (given.fds.pop().unwrap(), given.fds.pop().unwrap());
    waitpid(child, None).unwrap();
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0, "who talked to the process sees its end");
    let (ledger, entries) = Ledger::open(ledger, 8).unwrap();
    let keys: Vec<(u64, Option<Offer>)> = entries.iter().map(|entry| (entry.key, entry.sent)).collect();
    assert_eq!(keys, [(11, None), (12, Some(OFFER)), (14, None)]);
    let mut came = Vec::new();
    let next = || loop {
        match packet::peek(&channel, 4) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
            other => return other.unwrap(),
        }
    };
    while let Some(peeked) = next() {
        let place = u32::from_le_bytes(peeked.try_into().unwrap());
        let receive = || Ok(packet::receive(&channel, 4)?.ok_or(io::ErrorKind::UnexpectedEof)?.fds.remove(0));
        let connection = ledger.receive(place, listener.as_fd(), receive).unwrap();
        let entry: &Entry = entries.iter().find(|entry| entry.place == place).unwrap();
        came.push(entry.key);
        TcpStream::from(connection).write_all(&entry.key.to_le_bytes()).unwrap();
    }
    came.sort_unstable();
    assert_eq!(came, [11, 12, 14]);
    let answers: Vec<Option<u64>> = clients
        .iter_mut()
        .map(|client| {
            let mut key = [0; 8];
            client.read_exact(&mut key).ok().map(|()| u64::from_le_bytes(key))
        })
        .collect();
    assert_eq!(answers, [Some(11), Some(12), None, Some(14)]);
}

#[test]
fn it_sleeps_beside_us_with_next_to_no_memory_and_ends_when_told() {
    let ledger = Ledger::create(1).unwrap();
    let ballast = vec![1_u8; 32 << 20];
    let (holder, theirs) = Holder::start(&ledger).unwrap();
    let private = || {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", holder.pid)).unwrap_or_default();
        let anonymous = text.lines().find_map(|line| line.strip_prefix("Anonymous:"));
        anonymous.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok())
    };
    let given_back = || private().is_some_and(|kilobytes| kilobytes < 2_048);
    for _ in 0..100_000 {
        if given_back() {
            break;
        }
        // Nothing tells when it has done so.
        std::thread::yield_now();
    }
    assert!(given_back(), "{:?} kB", private());
    let numbers = [theirs.as_raw_fd(), ledger.as_fd().as_raw_fd()];
    assert!(numbers.iter().all(|fd| std::path::Path::new(&format!("/proc/{}/fd/{fd}", holder.pid)).exists()));
    drop(ballast);
    let process = holder.process().try_clone().unwrap();
    holder.end();
    assert!(pidfd::has_ended(process));
}
