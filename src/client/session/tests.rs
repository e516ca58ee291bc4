//! Sessions against a daemon that the test plays, on a socket in a fresh home.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::*;
use crate::client::{Action, BusEvent, Target, run};
use crate::wire::amp::AmpDecoder;
use crate::wire::{bus, rpc};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn session(folder: &tempfile::TempDir) -> Session {
    let home = folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    Session::new(Options { home, daemon_mode: true, pm2d: "/nowhere/pm2d".into(), agent: PathBuf::new() })
}

/// One connection of the client, from the daemon's side.
struct Peer {
    stream: UnixStream,
    decoder: AmpDecoder,
}

impl Peer {
    async fn accept(listener: &UnixListener) -> Peer {
        Peer { stream: listener.accept().await.unwrap().0, decoder: AmpDecoder::new() }
    }

    /// The next call: its id and method. `None` when the client has closed.
    async fn call(&mut self) -> Option<(Bytes, String)> {
        loop {
            if let Some(arguments) = self.decoder.next_frame().unwrap() {
                let request = rpc::decode_request(&arguments).unwrap();
                let rpc::Body::Call(call) = request.body else { panic!("a call") };
                return Some((request.id, call.method));
            }
            if self.stream.read_buf(self.decoder.buffer_mut()).await.unwrap() == 0 {
                return None;
            }
        }
    }

    async fn answer(&mut self, id: &Bytes, value: serde_json::Value) {
        let frame = rpc::Reply::value(&value).unwrap().encode(id).unwrap();
        self.stream.write_all(&frame).await.unwrap();
    }
}

#[test]
fn answers_in_any_order_find_their_calls() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder);
    runtime().block_on(async {
        let listener = UnixListener::bind(&session.home().rpc_socket).unwrap();
        let daemon = async {
            let mut peer = Peer::accept(&listener).await;
            let mut calls = Vec::new();
            for _ in 0..3 {
                calls.push(peer.call().await.unwrap());
            }
            peer.answer(&Bytes::from_static(b"s:nobody:7"), json!("for nobody")).await;
            for (id, method) in calls.into_iter().rev() {
                peer.answer(&id, json!(method)).await;
            }
            peer
        };
        let ask = async |method: &'static str| session.rpc(method, &[0]).await.unwrap()[0].get().to_owned();
        let (a, b, c, _peer) = tokio::join!(ask("a"), ask("b"), ask("c"), daemon);
        assert_eq!([a, b, c], ["\"a\"", "\"b\"", "\"c\""]);
    });
}

#[test]
fn a_call_in_flight_is_told_when_the_daemon_goes_and_the_next_one_connects_again() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder);
    runtime().block_on(async {
        let listener = UnixListener::bind(&session.home().rpc_socket).unwrap();
        let daemon = async {
            let mut first = Peer::accept(&listener).await;
            first.call().await.unwrap();
            drop(first);
            let mut second = Peer::accept(&listener).await;
            let (id, method) = second.call().await.unwrap();
            second.answer(&id, json!(method)).await;
            second
        };
        let caller = async {
            let error = session.rpc("stopProcessId", &[0]).await.unwrap_err();
            assert!(
                error.to_string().starts_with("the daemon went away while it was working on `stopProcessId`; "),
                "{error}"
            );
            assert_eq!(error.code(), "DAEMON_GONE");
            assert_eq!(session.rpc("restartProcessId", &[0]).await.unwrap()[0].get(), "\"restartProcessId\"");
        };
        tokio::join!(caller, daemon);
    });
}

#[test]
fn a_question_that_changes_nothing_is_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder);
    runtime().block_on(async {
        let listener = UnixListener::bind(&session.home().rpc_socket).unwrap();
        let daemon = async {
            Peer::accept(&listener).await.call().await.unwrap();
            let mut second = Peer::accept(&listener).await;
            let (id, _) = second.call().await.unwrap();
            second.answer(&id, json!([])).await;
            second
        };
        let (answer, _peer) = tokio::join!(run(&session, Action::List), daemon);
        assert_eq!(answer.unwrap().get(), "[]");
    });
}

#[test]
fn many_first_calls_share_one_connection() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder);
    runtime().block_on(async {
        let listener = UnixListener::bind(&session.home().rpc_socket).unwrap();
        let daemon = async {
            let mut peer = Peer::accept(&listener).await;
            for _ in 0..3 {
                let (id, _) = peer.call().await.unwrap();
                peer.answer(&id, json!({ "msg": "pong" })).await;
            }
            let more = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
            assert!(more.is_err(), "no second connection");
            peer
        };
        let ping = || run(&session, Action::Ping);
        let (a, b, c, _peer) = tokio::join!(ping(), ping(), ping(), daemon);
        assert!([a, b, c].into_iter().all(|answer| answer.is_ok()));
    });
}

#[test]
fn what_was_sent_before_a_disconnect_still_arrives() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder);
    runtime().block_on(async {
        let listener = UnixListener::bind(&session.home().rpc_socket).unwrap();
        let daemon = async {
            let mut peer = Peer::accept(&listener).await;
            let mut seen = Vec::new();
            while let Some((_, method)) = peer.call().await {
                seen.push(method);
            }
            seen
        };
        let caller = async {
            for _ in 0..200 {
                drop(session.send("notifyByProcessId", &[1]).await.unwrap());
            }
            assert!(session.disconnect().await);
            assert!(!session.disconnect().await);
        };
        let ((), seen) = tokio::join!(caller, daemon);
        assert_eq!(seen.len(), 200);
    });
}

#[test]
fn bytes_that_are_no_frames_end_the_connection_and_not_the_caller() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder);
    runtime().block_on(async {
        let listener = UnixListener::bind(&session.home().rpc_socket).unwrap();
        let daemon = async {
            let mut peer = Peer::accept(&listener).await;
            peer.call().await.unwrap();
            peer.stream.write_all(&[0x12, 0xff, 0xff, 0xff, 0xff]).await.unwrap();
            peer
        };
        let (answer, _peer) = tokio::join!(session.rpc("prepare", &[0]), daemon);
        assert!(matches!(answer, Err(CallError::WentAway(_))));
    });
}

#[test]
fn our_daemon_gets_all_calls_at_once_and_a_stock_one_few() {
    for (ours, expected) in [(true, 12), (false, 2)] {
        let folder = tempfile::tempdir().unwrap();
        let session = session(&folder);
        session.note_environment();
        let most = runtime().block_on(async {
            let listener = UnixListener::bind(&session.home().rpc_socket).unwrap();
            let list: Vec<_> = (0..12).map(|id| json!({ "name": "a", "pm_id": id, "pm2_env": {} })).collect();
            let daemon = async {
                let mut peer = Peer::accept(&listener).await;
                let (mut held, mut most, mut answered) = (Vec::new(), 0, 0);
                while answered < 12 {
                    // All that may come are waited for however long it takes; only that no more come takes a limit.
                    let complete = held.len() == expected || answered + held.len() == 12;
                    let limit = Duration::from_millis(if complete { 50 } else { 30_000 });
                    match tokio::time::timeout(limit, peer.call()).await {
                        Ok(Some((id, method))) => match method.as_str() {
                            "getMonitorData" => peer.answer(&id, json!(list)).await,
                            "pm2rsInfo" if ours => peer.answer(&id, json!({ "keeper_pid": 1 })).await,
                            "pm2rsInfo" => {
                                let reply = rpc::Reply::error("method \"pm2rsInfo\" does not exist");
                                peer.stream.write_all(&reply.encode(&id).unwrap()).await.unwrap();
                            }
                            "stopProcessId" => held.push(id),
                            "notifyByProcessId" => peer.answer(&id, json!({})).await,
                            _ => {}
                        },
                        Ok(None) => panic!("the client has gone"),
                        Err(_) => {
                            most = most.max(held.len());
                            for id in held.drain(..) {
                                answered += 1;
                                peer.answer(&id, json!({ "pm2_env": { "name": "a" } })).await;
                            }
                        }
                    }
                }
                most
            };
            let stop = Action::Stop {
                target: Target::Name("a".into()),
                options: serde_json::Map::new(),
                context: crate::client::Context::default(),
            };
            let (answer, most) = tokio::join!(run(&session, stop), daemon);
            assert_eq!(answer.unwrap().get().matches("restart_time").count(), 24);
            most
        });
        assert_eq!(most, expected, "ours: {ours}");
    }
}

#[test]
fn a_subscription_outlives_the_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder);
    runtime().block_on(async {
        let mut subscription = session.subscribe();
        let path = session.home().pub_socket.clone();
        let message = |payload: &str| BusEvent::Message { topic: "log:out".into(), payload: payload.into() };
        for payload in ["1", "2"] {
            let listener = UnixListener::bind(&path).unwrap();
            let mut stream = listener.accept().await.unwrap().0;
            let frame = bus::encode_text("log:out", payload).unwrap();
            let (head, tail) = frame.split_at(5);
            stream.write_all(head).await.unwrap();
            stream.write_all(tail).await.unwrap();
            let mut seen = Vec::new();
            while !seen.contains(&message(payload)) {
                seen.extend(subscription.next_batch().await);
            }
            assert!(seen.contains(&BusEvent::Connected));
            drop((stream, listener));
            std::fs::remove_file(&path).unwrap();
            while !seen.contains(&BusEvent::Closed) {
                seen.extend(subscription.next_batch().await);
            }
        }
    });
}

#[test]
fn without_a_daemon_killing_it_is_done_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder);
    runtime().block_on(async {
        assert_eq!(run(&session, Action::KillDaemon).await.unwrap().get(), "{\"success\":true}");
        assert_eq!(run(&session, Action::PingDaemon).await.unwrap().get(), "false");
        assert_eq!(run(&session, Action::Ping).await.unwrap_err().code(), "DAEMON_NOT_LAUNCHED");
    });
}

#[test]
fn calls_that_waited_for_a_launch_share_its_failure() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("pm2d");
    std::fs::write(&program, "#!/bin/sh\necho >> \"$PM2_HOME/../launches\"\n").unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let home = folder.path().join("home");
    let session = Session::new(Options { home, daemon_mode: true, pm2d: program, agent: PathBuf::new() });
    session.note_environment();
    let codes = runtime().block_on(async {
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let session = session.clone();
            running.spawn(async move { run(&session, Action::Ping).await.unwrap_err().code().to_owned() });
        }
        running.join_all().await
    });
    assert!(codes.iter().all(|code| code == "DAEMON_NOT_LAUNCHED"), "{codes:?}");
    assert_eq!(std::fs::read_to_string(folder.path().join("launches")).unwrap(), "\n", "launched once");
}
