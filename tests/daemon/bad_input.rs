//! Whatever comes in: an answer or a closed connection, and the daemon goes on.

use std::io::{Read, Write};

use pm2_rs::wire::amp::{Arg, encode};
use serde_json::json;

use super::client::{Client, Home};

fn pings(home: &Home) {
    assert_eq!(home.call("ping", &json!([{}])).unwrap(), json!({ "msg": "pong" }));
}

#[test]
fn garbage_lengths_and_cut_frames_harm_nobody() {
    let home = Home::start();
    let mut bystander = home.client();
    for bytes in [
        &b"\x12\xff\xff\xff\xff rest"[..],
        b"\x11\x7f\xff\xff\xff",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x12\x00\x00\x00\x02j",
        &[0; 4096],
        &[0xff; 4096],
    ] {
        let mut client = home.client();
        // The daemon may have dropped us in the middle of it.
        let _ = client.stream.write_all(bytes);
    }
    let mut dropped = home.client();
    dropped.stream.write_all(b"\x12\xff\xff\xff\xff").unwrap();
    assert_eq!(dropped.stream.read(&mut [0; 16]).unwrap_or(0), 0, "four gigabytes are not waited for");
    assert!(bystander.call("ping", &json!([{}])).is_ok());
    pings(&home);
}

#[test]
fn calls_that_are_none_are_answered() {
    let home = Home::start();
    let mut client = home.client();
    let mut ask = |payload: &str| {
        let frame = encode(&[Arg::Json(payload.into()), Arg::Text("1".into())]).unwrap();
        client.raw(&frame).unwrap()
    };
    assert_eq!(ask("{}"), json!({ "error": ".method required" }));
    assert_eq!(ask(r#"{"type":"call","method":"ping"}"#), json!({ "error": ".args required" }));
    assert_eq!(ask(r#"{"method":"ping","args":[{}]}"#), json!({ "args": [{ "msg": "pong" }] }));
    assert_eq!(ask(r#"{"method":"nosuch","args":[]}"#), json!({ "error": "method \"nosuch\" does not exist" }));
    assert_eq!(ask(r#"{"method":"getMonitorData","args":[null]}"#), json!({ "args": [[]] }));
    assert!(ask("{broken")["error"].is_string());
    assert!(ask(r#"{"method":"prepare","args":[null]}"#)["error"].is_string());
    assert!(ask(r#"{"method":"prepare","args":[{"name":7}]}"#)["error"].is_string());
    assert!(ask(r#"{"type":"methods"}"#)["methods"]["prepare"].is_object());
    let deep = format!(r#"{{"method":"prepare","args":[{}{}]}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(ask(&deep)["error"].is_string());
    pings(&home);
}

#[test]
fn ids_are_echoed_byte_by_byte_and_frames_without_one_are_ignored() {
    let home = Home::start();
    let mut client = home.client();
    client.stream.write_all(&encode(&[Arg::Json("{}".into())]).unwrap()).unwrap();
    let ping = r#"{"type":"call","method":"ping","args":[{}]}"#;
    for id in [Arg::Json("42".into()), Arg::Blob(&[1, 2]), Arg::Text("a:1".into())] {
        client.stream.write_all(&encode(&[Arg::Json(ping.into()), id.clone()]).unwrap()).unwrap();
        let reply = client.frame().unwrap();
        assert_eq!(reply.len(), 2);
        assert_eq!(Arg::read(&reply[1]), id);
    }
    let three = encode(&[Arg::Json(ping.into()), Arg::Json("{}".into()), Arg::Text("1".into())]).unwrap();
    assert!(client.raw(&three).unwrap()["error"].is_string());
    pings(&home);
}

#[test]
fn a_client_that_does_not_read_keeps_nobody_waiting() {
    let home = Home::start();
    home.start_app("a", "exec sleep 1000");
    let mut deaf = home.client();
    deaf.stream.set_write_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    let call = pm2_rs::wire::rpc::encode_call("x", "getMonitorData", &json!([{}])).unwrap();
    // Until the daemon stops reading from it, because too much is unsent.
    while deaf.stream.write_all(&call).is_ok() {}
    pings(&home);
    drop(deaf);
    pings(&home);
}

#[test]
fn answers_come_as_they_are_ready() {
    let home = Home::start();
    home.start_app("slow", "trap 'sleep 0.3; exit 0' INT; while :; do sleep 0.05; done");
    let mut client: Client = home.client();
    let stop = client.send("stopProcessId", &json!([0]));
    let ping = client.send("ping", &json!([{}]));
    assert_eq!(client.receive().unwrap().id, ping);
    assert_eq!(client.receive().unwrap().id, stop);
}

#[test]
fn a_connection_is_answered_after_it_has_said_its_last_word() {
    let home = Home::start();
    let mut client = home.client();
    let id = client.send("getVersion", &json!([{}]));
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.receive().unwrap().id, id);
    assert!(client.receive().is_none());
}
