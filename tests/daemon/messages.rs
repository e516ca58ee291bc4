//! What apps say and hear: channel, bus, actions, readiness.

use std::io::Read;
use std::os::unix::net::UnixStream;

use pm2_rs::wire::amp::{AmpDecoder, Arg};
use serde_json::{Value, json};

use super::client::{Home, LONG, eventually, is_alive, pid};

/// A subscriber of the bus.
struct Bus {
    stream: UnixStream,
    decoder: AmpDecoder,
}

impl Bus {
    fn new(home: &Home) -> Bus {
        let stream = UnixStream::connect(home.path().join("pub.sock")).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        Bus { stream, decoder: AmpDecoder::new() }
    }

    fn next(&mut self) -> (String, Value) {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                let (Arg::Text(topic), Arg::Json(payload)) = (Arg::read(&frame[0]), Arg::read(&frame[1])) else {
                    panic!("a topic and a payload")
                };
                return (topic.into_owned(), serde_json::from_str(&payload).unwrap());
            }
            let mut buffer = [0; 8192];
            let count = match self.stream.read(&mut buffer) {
                // A child of another test has ended.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                other => other.unwrap(),
            };
            assert!(count > 0, "the bus ended");
            self.decoder.push(&buffer[..count]);
        }
    }

    /// The payload of the next event that `wanted` accepts.
    fn until(&mut self, what: &str, wanted: impl Fn(&str, &Value) -> bool) -> Value {
        for _ in 0..10_000 {
            let (topic, payload) = self.next();
            if wanted(&topic, &payload) {
                return payload;
            }
        }
        panic!("waited in vain for {what}");
    }

    fn topic(&mut self, wanted: &str) -> Value {
        self.until(wanted, |topic, _| topic == wanted)
    }

    fn event(&mut self, name: &str) -> Value {
        self.until(name, |topic, payload| topic == "process:event" && payload["event"] == name)
    }
}

/// A Node app without the agent, so that nobody but its own code speaks.
fn node_app(home: &Home, name: &str, code: &str) -> Value {
    let script = home.path().join(format!("{name}.js"));
    std::fs::write(&script, code).unwrap();
    let mut app = home.app(name, &script);
    app["exec_interpreter"] = json!("node");
    app["pmx"] = json!(false);
    app["env"]["PATH"] = json!(std::env::var("PATH").unwrap());
    app
}

#[test]
fn events_come_in_order_with_the_status_of_their_moment() {
    let home = Home::start();
    let mut bus = Bus::new(&home);
    // Subscribed for certain when a first event arrives.
    home.start_app("web", "trap 'exit 0' INT; while :; do sleep 0.05; done");
    let online = bus.event("online");
    assert_eq!((&online["manually"], &online["process"]["status"]), (&json!(false), &json!("launching")));
    assert!(online["process"].get("env").is_none());
    assert_eq!(online["process"]["WHO"], "web");
    let start = bus.event("start");
    assert_eq!((&start["manually"], &start["process"]["status"]), (&json!(true), &json!("online")));
    home.call("stopProcessId", &json!([0])).unwrap();
    assert_eq!(bus.event("exit")["process"]["status"], "stopping");
    assert_eq!(bus.event("exit")["process"]["status"], "stopped");
    home.call("notifyByProcessId", &json!([{ "id": "0", "action_name": "stop", "manually": true }])).unwrap();
    assert_eq!(bus.event("stop")["manually"], true);
    home.call("deleteProcessId", &json!([0])).unwrap();
    assert_eq!(bus.event("delete")["process"]["name"], "web");
}

#[test]
fn messages_of_an_app_go_to_the_bus_or_into_its_record() {
    let home = Home::start();
    let mut bus = Bus::new(&home);
    let code = "process.on('message', m => process.send({type:'echo', data:{got:m}}));
        process.send('plain'); process.send({type:'custom:thing', data:[1,2], topic:'lost'});
        process.send({type:'falsy', data:0}); process.send({node_version:'20.1.0'});
        process.send({type:'axm:action', data:{action_name:'hello', arity:1}});
        process.send({type:'axm:monitor', data:{Load:{value:3}}});
        process.send({type:'axm:option:configuration', data:{error:true}});
        process.send({type:'last', data:1});";
    home.call("prepare", &json!([node_app(&home, "talk", code)])).unwrap();
    let who = json!({ "pm_id": 0, "name": "talk", "namespace": "default" });
    let raw = bus.topic("process:msg");
    assert_eq!((&raw["raw"], &raw["process"]), (&json!("plain"), &who));
    let typed = bus.topic("custom:thing");
    assert_eq!((&typed["data"], &typed["process"]), (&json!([1, 2]), &who));
    assert!(typed.get("topic").is_none());
    assert_eq!(bus.topic("process:msg")["raw"], json!({ "type": "falsy", "data": 0 }));
    bus.topic("last");
    let env = home.only()["pm2_env"].clone();
    assert_eq!(env["node_version"], "20.1.0");
    assert_eq!(env["axm_actions"], json!([{ "action_name": "hello", "arity": 1 }]));
    assert_eq!(env["axm_monitor"], json!({ "Load": { "value": 3 } }));
    assert_eq!(env["axm_options"], json!({ "error": true }));

    let answer = home.call("msgProcess", &json!([{ "id": 0, "msg": "hello" }])).unwrap();
    assert_eq!(answer, json!({ "process_count": 1, "success": true }));
    assert_eq!(bus.topic("echo")["data"], json!({ "got": "hello" }));
    let whole = json!({ "name": "talk", "msg": "hello", "opts": { "a": 1 } });
    home.call("msgProcess", &json!([whole])).unwrap();
    assert_eq!(bus.topic("echo")["data"]["got"], whole);
    let error = home.call("msgProcess", &json!([{ "id": 0, "msg": "nope" }])).unwrap_err();
    assert_eq!(error, "Action doesn't exist nope for talk");
    let packet = json!({ "id": 0, "type": "process:msg", "data": { "a": 1 }, "topic": "t" });
    let sent = home.call("sendDataToProcessId", &json!([packet])).unwrap();
    assert_eq!(sent, json!({ "success": true, "data": packet }));
    assert_eq!(bus.topic("echo")["data"]["got"], packet);

    home.call("stopProcessId", &json!([0])).unwrap();
    let env = home.only()["pm2_env"].clone();
    assert_eq!((&env["axm_actions"], &env["axm_monitor"]), (&json!([]), &json!({})));
    let error = home.call("sendDataToProcessId", &json!([packet])).unwrap_err();
    assert_eq!(error, "Process with ID <0> offline.");
}

#[test]
fn an_app_that_waits_is_online_when_it_says_so() {
    let home = Home::start();
    let mut bus = Bus::new(&home);
    let code = "process.on('message', m => { if (m.topic === 'go') process.send('ready') }); process.send({type:'here', data:1})";
    let mut app = node_app(&home, "slow", code);
    app["wait_ready"] = json!(true);
    app["listen_timeout"] = json!(60_000);
    let mut client = home.client();
    client.send("prepare", &json!([app]));
    bus.topic("here");
    assert_eq!(home.only()["pm2_env"]["status"], "launching");
    home.call("sendDataToProcessId", &json!([{ "id": 0, "data": 1, "topic": "go" }])).unwrap();
    assert!(client.receive().unwrap().result.is_ok());
    assert_eq!(home.only()["pm2_env"]["status"], "online");
}

#[test]
fn a_stop_may_be_a_message() {
    let home = Home::start();
    let code = "process.on('SIGINT', () => {}); process.on('message', m => { if (m === 'shutdown') { console.log('bye'); process.exit(7) } });
        console.log('up'); setInterval(() => {}, 1000)";
    let mut app = node_app(&home, "polite", code);
    app["shutdown_with_message"] = json!(true);
    app["kill_timeout"] = json!(60_000);
    home.call("prepare", &json!([app])).unwrap();
    eventually("its listener", || home.read("polite-out.log").contains("up").then_some(()));
    let stopped = home.call("stopProcessId", &json!([0])).unwrap();
    assert_eq!(stopped["pm2_env"]["exit_code"], 7);
    assert_eq!(home.read("polite-out.log"), "up\nbye\n", "its last words are in the log");
}

#[test]
fn the_channel_survives_the_daemon() {
    let home = Home::start();
    let code = "let n = 0; process.on('message', m => process.send({type:'echo', data:[++n, m.data]}));
        process.on('disconnect', () => process.exit(9)); process.send({type:'axm:action', data:{action_name:'act'}})";
    let started = home.call("prepare", &json!([node_app(&home, "talk", code)])).unwrap();
    let packet = |data: i32| json!([{ "id": 0, "topic": "t", "data": data }]);
    let acts = |home: &Home| home.only()["pm2_env"]["axm_actions"] == json!([{ "action_name": "act" }]);
    eventually("its action", || acts(&home).then_some(()));
    super::survival::kill_daemon(&home);
    assert!(acts(&home), "what it said once is still known");
    let mut bus = Bus::new(&home);
    // Subscribed for certain after an answer on the other socket: both are served by one task in turn.
    eventually("the echo", || {
        home.call("sendDataToProcessId", &packet(5)).unwrap();
        home.call("ping", &json!([{}])).ok()
    });
    assert_eq!(bus.topic("echo")["data"][1], 5);
    assert!(is_alive(pid(&started[0]["pid"])));
}

#[test]
fn a_long_line_of_which_half_has_come_survives_the_daemon() {
    let home = Home::start();
    // More than the socket holds: when it is written, most of it is with the daemon.
    let code = "const fs = require('fs'); process.on('message', () => {});
        const line = JSON.stringify({type:'axm:action', data:{action_name: 'x'.repeat(1e6)}}) + '\\n';
        const write = (at, to, then) => { try { at += fs.writeSync(3, line.slice(at, to)) } catch {}
            if (at < to) setImmediate(write, at, to, then); else then() };
        const rest = () => fs.existsSync('go') ? write(7e5, line.length, () => {}) : setTimeout(rest, 5);
        write(0, 7e5, () => { fs.writeFileSync('half', ''); rest() })";
    home.call("prepare", &json!([node_app(&home, "talk", code)])).unwrap();
    for round in 0..2 {
        eventually("half of the line", || home.path().join("half").exists().then_some(()));
        super::survival::kill_daemon(&home);
        assert_eq!(home.only()["pm2_env"]["axm_actions"], json!([]), "round {round}");
    }
    std::fs::write(home.path().join("go"), "").unwrap();
    eventually("the whole line", || {
        let name = home.only()["pm2_env"]["axm_actions"][0]["action_name"].as_str().map(str::len);
        (name == Some(1_000_000)).then_some(())
    });
}
