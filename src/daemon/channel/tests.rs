use std::cell::Cell;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};

use super::*;
use crate::daemon::test_runtime::run;

fn line(json: &str) -> Bytes {
    Bytes::from(format!("{json}\n"))
}

/// A channel, the app's end of it, and what has come out so far.
struct Fixture {
    channel: Channel,
    app: UnixStream,
    seen: Rc<RefCell<Vec<String>>>,
    changed: Rc<Notify>,
}

impl Fixture {
    fn new() -> Fixture {
        let (ours, app) = UnixStream::pair().unwrap();
        Fixture::on(ours, app)
    }

    fn on(ours: UnixStream, app: UnixStream) -> Fixture {
        let seen: Rc<RefCell<Vec<String>>> = Rc::default();
        let changed: Rc<Notify> = Rc::default();
        let (to, tell) = (Rc::clone(&seen), Rc::clone(&changed));
        let sink = move |event: ChannelEvent<'_>| {
            to.borrow_mut().push(match event {
                ChannelEvent::Message { message, descriptor: None } => message.raw.get().to_owned(),
                ChannelEvent::Message { message, descriptor: Some(_) } => format!("{} with fd", message.raw),
                ChannelEvent::Cluster { text } => format!("cluster {text}"),
                ChannelEvent::HandleTaken => "taken".into(),
                ChannelEvent::HandleRefused(_) => "refused".into(),
                ChannelEvent::Closed => "closed".into(),
            });
            tell.notify_one();
        };
        Fixture { channel: Channel::open(ours.into(), "web", sink).unwrap(), app, seen, changed }
    }

    async fn wait_for(&self, count: usize) -> Vec<String> {
        while self.seen.borrow().len() < count {
            self.changed.notified().await;
        }
        self.seen.borrow().clone()
    }

    /// Reads one line at the app's end without stopping our runtime.
    async fn app_line(&self) -> String {
        let stream = self.app.try_clone().unwrap();
        tokio::task::spawn_blocking(move || {
            // One byte at a time: what follows the line stays in the socket.
            let mut line = String::new();
            let mut byte = [0];
            loop {
                (&stream).read_exact(&mut byte).unwrap();
                match byte[0] {
                    b'\n' => break,
                    byte => line.push(char::from(byte)),
                }
            }
            line
        })
        .await
        .unwrap()
    }

    fn send_with_fd(&self, text: &str, fd: BorrowedFd<'_>) {
        let fds = [fd.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&fds)];
        let parts = [io::IoSlice::new(text.as_bytes())];
        let sent = sendmsg::<UnixAddr>(self.app.as_raw_fd(), &parts, &rights, MsgFlags::empty(), None).unwrap();
        assert_eq!(sent, text.len());
    }
}

#[test]
fn lines_become_messages_however_they_are_cut() {
    run(async {
        let mut fixture = Fixture::new();
        let text = "\"réady\"\n{\"type\":\"a\",\"data\":1}\n{\"cmd\":\"NODE_CLUSTER\",\"act\":\"online\"}\n{\"cmd\":\"NODE_OTHER\"}\nno json\n42\n";
        for byte in text.as_bytes() {
            fixture.app.write_all(&[*byte]).unwrap();
            tokio::task::yield_now().await;
        }
        let seen = fixture.wait_for(4).await;
        let cluster = "cluster {\"cmd\":\"NODE_CLUSTER\",\"act\":\"online\"}";
        assert_eq!(seen, ["\"réady\"", "{\"type\":\"a\",\"data\":1}", cluster, "42"]);
        let end = std::mem::replace(&mut fixture.app, UnixStream::pair().unwrap().0);
        (&end).write_all(b"\"cut off").unwrap();
        drop(end);
        assert_eq!(fixture.wait_for(5).await[4], "closed");
        assert!(!fixture.channel.is_open());
        assert!(matches!(fixture.channel.send("1"), Err(ChannelError::Closed { .. })));
    });
}

#[test]
fn a_line_is_taken_only_after_it_was_acted_on() {
    run(async {
        let (ours, mut app) = UnixStream::pair().unwrap();
        let same = ours.try_clone().unwrap();
        app.write_all(b"\"one\"\n\"two\"\n\"hal").unwrap();
        let waiting: Rc<Cell<usize>> = Rc::default();
        let seen: Rc<Cell<usize>> = Rc::default();
        let (to, count) = (Rc::clone(&waiting), Rc::clone(&seen));
        let look = same.try_clone().unwrap();
        let channel = Channel::open(ours.into(), "web", move |_| {
            to.set(crate::sys::pipe::readable_bytes(&look).unwrap());
            count.set(count.get() + 1);
        })
        .unwrap();
        while seen.get() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(waiting.get(), 16, "all of it is still there for the next daemon");
        while crate::sys::pipe::readable_bytes(&same).unwrap() != 4 {
            tokio::task::yield_now().await;
        }
        drop(channel);
    });
}

#[test]
fn large_messages_pass_both_ways() {
    run(async {
        let fixture = Fixture::new();
        let text = format!("\"{}\"", "x".repeat(2_000_000));
        let (to_us, mut app) = (text.clone(), fixture.app.try_clone().unwrap());
        let writer = std::thread::spawn(move || app.write_all(format!("{to_us}\n").as_bytes()).unwrap());
        assert!(fixture.wait_for(1).await[0] == text);
        writer.join().unwrap();

        for number in 0..3000 {
            fixture.channel.send(&number.to_string()).unwrap();
        }
        fixture.channel.send(&text).unwrap();
        fixture.channel.send("{\"a\":\n1}").unwrap();
        let app = fixture.app.try_clone().unwrap();
        let expected = text.clone();
        tokio::task::spawn_blocking(move || {
            let mut lines = BufReader::new(app).lines();
            for number in 0..3000 {
                assert_eq!(lines.next().unwrap().unwrap(), number.to_string());
            }
            assert!(lines.next().unwrap().unwrap() == expected);
            assert_eq!(lines.next().unwrap().unwrap(), "{\"a\": 1}");
        })
        .await
        .unwrap();
        assert_eq!(fixture.channel.queued(), 0);
    });
}

#[test]
fn an_app_that_does_not_read_fills_its_queue_and_no_more() {
    run(async {
        let fixture = Fixture::new();
        let text = format!("\"{}\"", "x".repeat(100_000));
        let error = loop {
            match fixture.channel.send(&text) {
                Ok(()) => tokio::task::yield_now().await,
                Err(error) => break error,
            }
        };
        assert!(fixture.channel.queued() <= MAX_QUEUED);
        assert!(error.to_string().starts_with("channel of web is full: "), "{error}");
        fixture.channel.close();
        assert_eq!(fixture.wait_for(1).await, ["closed"]);
    });
}

#[test]
fn a_handle_of_the_app_is_acknowledged_and_handed_out() {
    run(async {
        let fixture = Fixture::new();
        let (reader, _writer) = io::pipe().unwrap();
        (&fixture.app).write_all(b"\"before\"\n").unwrap();
        fixture.send_with_fd("{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\",\"msg\":{\"hi\":1}}\n", reader.as_fd());
        assert_eq!(fixture.wait_for(2).await, ["\"before\"", "{\"hi\":1} with fd"]);
        assert_eq!(fixture.app_line().await, "{\"cmd\":\"NODE_HANDLE_ACK\"}");
        // Cut in two, the descriptor with the first part.
        fixture.send_with_fd("{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Soc", reader.as_fd());
        tokio::task::yield_now().await;
        (&fixture.app).write_all(b"ket\",\"msg\":2}\n3\n").unwrap();
        assert_eq!(fixture.wait_for(4).await[2..], ["2 with fd", "3"]);
        assert_eq!(fixture.app_line().await, "{\"cmd\":\"NODE_HANDLE_ACK\"}");
        (&fixture.app).write_all(b"{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\",\"msg\":{}}\n").unwrap();
        assert_eq!(fixture.app_line().await, "{\"cmd\":\"NODE_HANDLE_NACK\"}");
    });
}

#[test]
fn handles_go_out_one_at_a_time_and_again_when_refused() {
    run(async {
        let fixture = Fixture::new();
        let fd: Rc<OwnedFd> = Rc::new(io::pipe().unwrap().0.into());
        let handle = |n: u32| line(&format!("{{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":{n}}}"));
        fixture.channel.send("0").unwrap();
        fixture.channel.send_handle(handle(1), Rc::<OwnedFd>::clone(&fd)).unwrap();
        fixture.channel.send_handle(handle(2), Rc::<OwnedFd>::clone(&fd)).unwrap();
        fixture.channel.send("3").unwrap();
        assert_eq!(fixture.app_line().await, "0");
        assert!(fixture.app_line().await.ends_with("\"msg\":1}"));
        // Nothing more before the answer.
        fixture.app.set_nonblocking(true).unwrap();
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert_eq!((&fixture.app).read(&mut [0; 9]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        fixture.app.set_nonblocking(false).unwrap();
        (&fixture.app).write_all(b"{\"cmd\":\"NODE_HANDLE_ACK\"}\n").unwrap();
        assert_eq!(fixture.wait_for(1).await, ["taken"]);
        assert!(fixture.app_line().await.ends_with("\"msg\":2}"));
        assert_eq!(fixture.app_line().await, "3");
        for _ in 0..2 {
            (&fixture.app).write_all(b"{\"cmd\":\"NODE_HANDLE_NACK\"}\n").unwrap();
            assert!(fixture.app_line().await.ends_with("\"msg\":2}"), "once more");
        }
        (&fixture.app).write_all(b"{\"cmd\":\"NODE_HANDLE_NACK\"}\n").unwrap();
        assert_eq!(fixture.wait_for(2).await, ["taken", "refused"]);
        assert_eq!(Rc::strong_count(&fd), 1, "our copies are closed");
        assert!(!fixture.channel.handle_under_way());
    });
}

#[test]
fn handles_are_on_their_way_together_where_no_plain_line_is() {
    run(async {
        let fixture = Fixture::new();
        let fd: Rc<OwnedFd> = Rc::new(io::pipe().unwrap().0.into());
        let handle = |n: u32| line(&format!("{{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":{n}}}"));
        let send = |n| fixture.channel.send_handle(handle(n), Rc::<OwnedFd>::clone(&fd)).unwrap();
        let acknowledge = || (&fixture.app).write_all(b"{\"cmd\":\"NODE_HANDLE_ACK\"}\n").unwrap();
        let rest = || {
            fixture.app.set_nonblocking(true).unwrap();
            let read = (&fixture.app).read(&mut [0; 9]);
            fixture.app.set_nonblocking(false).unwrap();
            read.map_err(|error| error.kind())
        };
        // The first one goes alone: what an earlier daemon has sent may be unread.
        send(1);
        send(2);
        assert!(fixture.app_line().await.ends_with("\"msg\":1}"));
        acknowledge();
        assert!(fixture.app_line().await.ends_with("\"msg\":2}"));
        for n in [3, 4, 5] {
            send(n);
            assert!(fixture.app_line().await.ends_with(&format!("\"msg\":{n}}}")), "before 2 is acknowledged");
        }
        send(6);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert_eq!(rest(), Err(io::ErrorKind::WouldBlock), "four wait already");
        acknowledge();
        assert!(fixture.app_line().await.ends_with("\"msg\":6}"));
        // A plain line that may be unread: no other handle behind it.
        fixture.channel.send("7").unwrap();
        send(8);
        assert_eq!(fixture.app_line().await, "7");
        (3..=5).for_each(|_| acknowledge());
        fixture.wait_for(5).await;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert_eq!(rest(), Err(io::ErrorKind::WouldBlock), "6 was sent before the plain line");
        acknowledge();
        assert!(fixture.app_line().await.ends_with("\"msg\":8}"));
        send(9);
        acknowledge();
        assert!(fixture.app_line().await.ends_with("\"msg\":9}"));
        send(10);
        assert!(fixture.app_line().await.ends_with("\"msg\":10}"), "8 was read, and so was the plain line before it");
        acknowledge();
        acknowledge();
        fixture.wait_for(9).await;
        assert_eq!(Rc::strong_count(&fd), 1, "our copies are closed");
    });
}

#[test]
fn buns_prefix_is_remembered() {
    run(async {
        let fixture = Fixture::new();
        let fd: Rc<OwnedFd> = Rc::new(io::pipe().unwrap().0.into());
        (&fixture.app).write_all(b"\x02{\"cmd\":\"NODE_CLUSTER\",\"act\":\"online\",\"seq\":0}\n").unwrap();
        fixture.wait_for(1).await;
        assert!(fixture.channel.speaks_bun());
        assert!(matches!(fixture.channel.send_handle(line("1"), fd), Err(ChannelError::NoHandles { .. })));
    });
}

#[test]
fn a_real_node_app_is_understood() {
    run(async {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let fixture = Fixture::on(ours, UnixStream::pair().unwrap().0);
        let script = "process.on('message', m => { process.send({ type: 'echo', data: m }); \
            if (m === 'end') { const s = require('net').createServer().listen(0, () => { process.send('server', s); s.close(() => process.disconnect()); }); } })";
        let spawned = std::process::Command::new("node")
            .args(["-e", script])
            .env("NODE_CHANNEL_FD", "0")
            .env("NODE_CHANNEL_SERIALIZATION_MODE", "json")
            .stdin(OwnedFd::from(theirs))
            .spawn();
        let Ok(mut node) = spawned else { return };
        fixture.channel.send("{\"n\":\"é\\n\"}").unwrap();
        fixture.channel.send("\"end\"").unwrap();
        let seen = fixture.wait_for(4).await;
        let expected = [
            "{\"type\":\"echo\",\"data\":{\"n\":\"é\\n\"}}",
            "{\"type\":\"echo\",\"data\":\"end\"}",
            "\"server\" with fd",
            "closed",
        ];
        assert_eq!(seen, expected);
        node.wait().unwrap();
    });
}

/// Stands in for the keeper.
#[derive(Debug, Default)]
struct Safe {
    kept: RefCell<Option<OwnedFd>>,
    releases: Cell<u32>,
}

impl Vault for Safe {
    fn keep(&self, memory: BorrowedFd<'_>) -> io::Result<()> {
        self.kept.replace(Some(memory.try_clone_to_owned()?));
        Ok(())
    }
    fn release(&self) {
        self.kept.replace(None);
        self.releases.set(self.releases.get() + 1);
    }
    fn is_settled(&self) -> bool {
        true
    }
    fn found(&self) -> Option<OwnedFd> {
        self.kept.borrow().as_ref().and_then(|fd| fd.try_clone().ok())
    }
}

/// A channel whose long incoming lines are kept in `safe`, and what comes out of it.
fn hearing(ours: &UnixStream, safe: &Rc<Safe>) -> (Channel, Rc<RefCell<Vec<String>>>) {
    let seen: Rc<RefCell<Vec<String>>> = Rc::default();
    let to = Rc::clone(&seen);
    let vaults = Vaults { outgoing: Rc::new(Safe::default()), incoming: Rc::clone(safe) as Rc<dyn Vault> };
    let sink = move |event: ChannelEvent<'_>| {
        if let ChannelEvent::Message { message, .. } = event {
            to.borrow_mut().push(message.raw.get().to_owned());
        }
    };
    (Channel::open_with(ours.try_clone().unwrap().into(), "web", Some(vaults), sink).unwrap(), seen)
}

async fn until(is: impl Fn() -> bool) {
    while !is() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_long_line_that_has_come_in_part_outlives_a_kill() {
    let (ours, mut app) = UnixStream::pair().unwrap();
    let safe = Rc::new(Safe::default());
    let text = format!("\"{}\"", "x".repeat(900_000));
    let mut rest = text.clone().into_bytes();
    rest.extend(b"\n42\n");
    // Killed three times on the way.
    for length in [300_000, 1, 400_000] {
        let piece: Vec<u8> = rest.drain(..length).collect();
        let before = safe.found().map_or(0, |fd| heard::HeardLine::open(fd).unwrap().length());
        run(async {
            let (_channel, seen) = hearing(&ours, &safe);
            let mut app = app.try_clone().unwrap();
            let length = piece.len();
            tokio::task::spawn_blocking(move || app.write_all(&piece).unwrap()).await.unwrap();
            until(|| {
                let heard = safe.found().and_then(heard::HeardLine::open);
                heard.is_some_and(|heard| heard.length() == before + length)
            })
            .await;
            assert!(seen.borrow().is_empty());
        });
    }
    run(async {
        let (_channel, seen) = hearing(&ours, &safe);
        tokio::task::spawn_blocking(move || app.write_all(&rest).unwrap());
        until(|| seen.borrow().len() == 2).await;
        assert!(seen.borrow()[0] == text && seen.borrow()[1] == "42", "whole, and once");
        assert!(safe.found().is_none());
    });
}

#[test]
fn a_long_line_that_was_not_acted_on_yet_is_acted_on_by_the_next_daemon() {
    let (ours, mut app) = UnixStream::pair().unwrap();
    app.write_all(b"\"whole\"\n").unwrap();
    let safe = Rc::new(Safe::default());
    let mut heard = heard::HeardLine::new().unwrap();
    safe.keep(heard.as_fd()).unwrap();
    assert_eq!(heard.receive(&ours.try_clone().unwrap().into(), 100), Ok(8));
    drop(heard);
    run(async {
        let (_channel, seen) = hearing(&ours, &safe);
        until(|| seen.borrow().len() == 1).await;
        assert_eq!(*seen.borrow(), ["\"whole\""]);
    });
    // Once only.
    assert!(safe.found().is_none());
    run(async {
        let (_channel, seen) = hearing(&ours, &safe);
        app.write_all(b"1\n").unwrap();
        until(|| !seen.borrow().is_empty()).await;
        assert_eq!(*seen.borrow(), ["1"]);
    });
}

#[test]
fn a_line_longer_than_what_is_kept_and_one_in_tiny_pieces_come_all_the_same() {
    let (ours, app) = UnixStream::pair().unwrap();
    let long = format!("\"{}\"", "x".repeat(heard::MAX_KEPT * 2));
    // The socket is full of them long before the line is whole.
    let tiny = format!("\"{}\"", "y".repeat(2_000));
    run(async {
        let (_channel, seen) = hearing(&ours, &Rc::new(Safe::default()));
        let (mut app, first, second) = (app.try_clone().unwrap(), long.clone(), tiny.clone());
        tokio::task::spawn_blocking(move || {
            app.write_all(format!("{first}\n").as_bytes()).unwrap();
            for byte in second.as_bytes() {
                app.write_all(&[*byte]).unwrap();
            }
            app.write_all(b"\n").unwrap();
        });
        until(|| seen.borrow().len() == 2).await;
        assert!(seen.borrow()[0] == long && seen.borrow()[1] == tiny);
    });
}

#[test]
fn a_long_line_that_was_cut_by_a_kill_is_finished_by_the_next_daemon() {
    run(async {
        let (ours, app) = UnixStream::pair().unwrap();
        let safe = Rc::new(Safe::default());
        let long = format!("\"{}\"", "x".repeat(3_000_000));
        let vault = || Some(Vaults { outgoing: Rc::clone(&safe) as Rc<dyn Vault>, incoming: Rc::new(Safe::default()) });
        let first = Channel::open_with(ours.try_clone().unwrap().into(), "web", vault(), |_| {}).unwrap();
        first.send("1").unwrap();
        first.send(&long).unwrap();
        // The socket is full, the line is cut. Then the task dies with everything in it, as in a kill.
        while first.queued() > long.len() - 50_000 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        first.0.close.notify_one();
        // Closing forgets the line: a kill does not.
        let kept = safe.found();
        while first.is_open() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        safe.kept.replace(kept);

        let second = Channel::open_with(ours.into(), "web", vault(), |_| {}).unwrap();
        second.send("2").unwrap();
        let read = tokio::task::spawn_blocking(move || {
            let mut lines = BufReader::new(app).lines();
            std::array::from_fn::<String, 3, _>(|_| lines.next().unwrap().unwrap())
        });
        let lines = read.await.unwrap();
        assert_eq!((lines[0].as_str(), lines[2].as_str()), ("1", "2"));
        assert!(lines[1] == long, "the long line is whole: {} bytes", lines[1].len());
        assert!(safe.found().is_none(), "and kept no longer");
    });
}
