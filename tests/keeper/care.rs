//! What the keeper does about daemons that hang, or die again and again.

use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};

use pm2_rs::wire::keeper::{FromKeeper, ToKeeper};

use super::double::{Double, ready_line};
use crate::daemon::client::eventually;

#[test]
fn a_daemon_that_answers_no_question_is_ended_and_followed_by_another() {
    let mut double = Double::watched("6");
    double.hand_over();
    double.send(&ToKeeper::Online, &[]);
    assert_eq!(ready_line(&double.launched)["success"], true);
    for _ in 0..2 {
        assert_eq!(double.next().0, FromKeeper::Ping);
        double.send(&ToKeeper::Pong, &[]);
    }
    // It says nothing from here on.
    double.meet_daemon();
    let log = fs::read_to_string(double.home.path().join("pm2.log")).unwrap();
    assert!(log.contains("the daemon hangs: it answers no question (state S); killing it"), "{log}");
    double.hand_over();
    double.quit(0);
}

#[test]
fn after_many_early_deaths_a_daemon_is_started_only_when_a_client_asks() {
    let mut double = Double::online();
    let socket = double.home.path().join("rpc.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    double.send(&ToKeeper::Hold { name: "rpc".into() }, &[listener.as_fd()]);
    drop(listener);
    let log = |double: &Double| fs::read_to_string(double.home.path().join("pm2.log")).unwrap();
    let trouble = double.home.path().join("pm2d.trouble");
    let gave_up = |double: &Double| log(double).contains("starting no other until a client asks");
    while !gave_up(&double) {
        // Each death is written down; after the last one nobody comes.
        let deaths = |double: &Double| log(double).matches("ended by SIGKILL").count();
        let before = deaths(&double);
        double.stop_daemon();
        eventually("the death is written down", || (deaths(&double) > before).then_some(()));
        if !gave_up(&double) {
            double.meet_daemon();
            double.send(&ToKeeper::Hello { protocol: 1, answers: false }, &[]);
        }
    }
    assert!(log(&double).contains("the daemon dies again and again"));
    let words = fs::read_to_string(&trouble).unwrap();
    assert!(words.contains("dies again and again") && words.contains("SIGKILL"), "{words}");
    // Whoever asks gets one more try, and is not left waiting if that one dies, too, before it serves.
    let mut client = UnixStream::connect(&socket).unwrap();
    double.meet_daemon();
    double.stop_daemon();
    assert_eq!(client.read(&mut [0; 8]).unwrap(), 0, "turned away");
    let waiting = UnixStream::connect(&socket).unwrap();
    double.meet_daemon();
    double.send(&ToKeeper::Hello { protocol: 1, answers: false }, &[]);
    drop(waiting);
    double.hand_over();
    double.send(&ToKeeper::Online, &[]);
    double.quit(0);
    assert!(!trouble.exists(), "no keeper, no trouble");
}
