//! The wire against recorded facts: `vectors/` holds bytes and messages of stock pm2 7.0.4 and of Node.

use bytes::Bytes;
use pm2_rs::wire::amp::{self, AmpDecoder, Arg};
use pm2_rs::wire::rpc::{self, Body, Reply};
use pm2_rs::wire::{bus, cluster, node_ipc};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use pm2_rs::wire::cluster::{FromWorker, PrimaryAct, Seq, SocketName, ToWorker, WorkerAct};
use pm2_rs::wire::node_ipc::{Incoming, LineDecoder};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn decode(frame: &[u8]) -> Vec<Bytes> {
    let mut decoder = AmpDecoder::new();
    decoder.push(frame);
    let arguments = decoder.next_frame().unwrap().expect("a whole frame");
    assert!(decoder.next_frame().unwrap().is_none());
    arguments
}

fn texts(values: &[Box<RawValue>]) -> Vec<Value> {
    values.iter().map(|value| json(value.get())).collect()
}

#[test]
fn every_amp_vector_is_written_and_read_as_by_the_stock_codec() {
    let file = json(include_str!("vectors/amp.json"));
    for vector in file["vectors"].as_array().unwrap() {
        let name = &vector["name"];
        let bytes = unhex(vector["hex"].as_str().unwrap());
        let mut frame = amp::Frame::with_capacity(bytes.len());
        for value in vector["args"].as_array().unwrap() {
            match value {
                Value::String(text) => frame.text(text).unwrap(),
                Value::Object(object) if object.contains_key("$undefined") => frame.json_text("null").unwrap(),
                Value::Object(object) if object.contains_key("$blob") => {
                    frame.raw(&unhex(object["$blob"].as_str().unwrap())).unwrap();
                }
                value => frame.json(value).unwrap(),
            }
        }
        assert_eq!(frame.finish().unwrap(), bytes, "{name}");

        let expected = vector["decoded"].as_array().unwrap();
        let arguments = decode(&bytes);
        assert_eq!(arguments.len(), expected.len(), "{name}");
        for (argument, expected) in arguments.iter().zip(expected) {
            match Arg::read(argument) {
                Arg::Text(text) => assert_eq!(expected, &*text, "{name}"),
                Arg::Json(text) => assert_eq!(&json(&text), expected, "{name}"),
                Arg::Blob(blob) => assert_eq!(blob, unhex(expected["$blob"].as_str().unwrap()), "{name}"),
            }
        }
    }
}

#[test]
fn recorded_rpc_frames_are_read_and_written_byte_for_byte() {
    let file = json(include_str!("vectors/rpc-frames.json"));
    for frame in file["frames"].as_array().unwrap() {
        let bytes = unhex(frame["hex"].as_str().unwrap());
        let (payload, id) = (&frame["decoded"][0], frame["decoded"][1].as_str().unwrap());
        let arguments = decode(&bytes);
        if frame["dir"] == "c2s" {
            let request = rpc::decode_request(&arguments).unwrap();
            assert_eq!(request.id, arguments[1]);
            let Body::Call(call) = request.body else { panic!("{payload}") };
            assert_eq!(payload["method"], call.method);
            assert_eq!(payload["args"], Value::Array(texts(&call.args)));
            assert_eq!(rpc::encode_call(id, &call.method, &call.args).unwrap(), bytes, "{payload}");
        } else {
            let reply = rpc::decode_reply(&arguments).unwrap();
            assert_eq!(reply.id, id);
            let values = reply.result.unwrap();
            assert_eq!(payload["args"], Value::Array(texts(&values)));
            assert_eq!(Reply::Success(values).encode(&arguments[1]).unwrap(), bytes, "{payload}");
        }
    }
}

#[test]
fn malformed_requests_get_the_texts_of_the_stock_daemon() {
    let calls = json(include_str!("vectors/rpc-methods.json"));
    for name in ["no method", "no args", "empty", "no type"] {
        let vector = &calls["calls"][name];
        let payload = vector["send"].to_string();
        let frame = amp::encode(&[Arg::Json(payload.into()), Arg::Text("1:1".into())]).unwrap();
        match rpc::decode_request(&decode(&frame)).unwrap().body {
            Body::Malformed(text) => assert_eq!(vector["reply"][0]["error"], text, "{name}"),
            Body::Call(call) => assert_eq!((name, &*call.method), ("no type", "ping")),
            Body::Methods => panic!("{name}"),
        }
    }
}

#[test]
fn every_recorded_reply_and_error_survives_the_way_to_the_client() {
    let calls = json(include_str!("vectors/rpc-methods.json"));
    let mut seen = 0;
    for (name, vector) in calls["calls"].as_object().unwrap() {
        let reply = if vector.is_array() { &vector[0] } else { &vector["reply"][0] };
        let ours = if let Some(error) = reply.get("error") {
            let stack = reply.get("stack").map(|stack| stack.as_str().unwrap().to_owned());
            Reply::Error { message: error.as_str().unwrap().to_owned(), stack }.encode(b"s:1").unwrap()
        } else if let Some(methods) = reply.get("methods") {
            rpc::encode_methods_reply(b"s:1", methods).unwrap()
        } else if let Some(args) = reply.get("args") {
            let args = args.as_array().unwrap().iter().map(|value| to_raw_value(value).unwrap());
            Reply::Success(args.collect()).encode(b"s:1").unwrap()
        } else {
            continue;
        };
        let stock = amp::encode(&[Arg::Json(reply.to_string().into()), Arg::Text("1".into())]).unwrap();
        assert_eq!(ours, stock, "{name}");
        match rpc::decode_reply(&decode(&stock)).unwrap().result {
            Ok(values) => assert!(reply.get("error").is_none() && values.len() <= 1, "{name}"),
            Err(error) => assert_eq!(reply["error"], error.message, "{name}"),
        }
        seen += 1;
    }
    assert!(seen > 30, "{seen}");
}

#[test]
fn the_recorded_bus_frame_is_read_and_written_byte_for_byte() {
    let file = include_str!("vectors/bus-frame.txt");
    let bytes = unhex(file.lines().find_map(|line| line.strip_prefix("hex: ")).unwrap());
    let decoded = json(file.lines().find_map(|line| line.strip_prefix("decoded: ")).unwrap());
    let arguments = decode(&bytes);
    let message = bus::decode(&arguments).unwrap();
    assert_eq!(decoded[0], *message.topic);
    assert_eq!(decoded[1], json(&message.payload));
    assert_eq!(bus::BusEncoder::new().encode("log:out", &decoded[1]).unwrap(), bytes);
    assert_eq!(bus::encode_text(&message.topic, &message.payload).unwrap(), bytes);
}

#[test]
fn every_recorded_bus_event_goes_out_and_comes_in_in_one_stream() {
    let file = json(include_str!("vectors/bus-events.json"));
    let events = file["events"].as_array().unwrap();
    let mut encoder = bus::BusEncoder::new();
    let mut decoder = AmpDecoder::new();
    for event in events {
        decoder.push(&encoder.encode(event["topic"].as_str().unwrap(), &event["payload"]).unwrap());
    }
    for event in events {
        let arguments = decoder.next_frame().unwrap().unwrap();
        let message = bus::decode(&arguments).unwrap();
        assert_eq!(event["topic"], *message.topic);
        assert_eq!(event["payload"], json(&message.payload));
        let stars = bus::match_topic("*:*", &message.topic);
        assert_eq!(stars.is_some(), message.topic.contains(':'), "{}", message.topic);
    }
}

/// Reads a primary's message, for the way back.
fn to_worker(line: &Value) -> Option<(ToWorker<'_>, &Value)> {
    let wrapped = line["cmd"] == "NODE_HANDLE";
    let msg = if wrapped { &line["msg"] } else { line };
    if msg["cmd"] != "NODE_CLUSTER" {
        return None;
    }
    let ack = Seq(msg["ack"].clone());
    let key = msg["key"].as_str().unwrap_or_default();
    let errno = msg.get("errno").map(|errno| errno.as_i64().map(|errno| i32::try_from(errno).unwrap()));
    let act = match (msg["act"].as_str(), errno) {
        (Some("newconn"), _) => PrimaryAct::NewConnection { key },
        (Some("disconnect"), _) => PrimaryAct::Disconnect,
        (_, None) => PrimaryAct::Acknowledge { ack },
        (_, Some(None)) => {
            let sockname = msg.get("sockname").map(|name| serde_json::from_value::<SocketName>(name.clone()).unwrap());
            PrimaryAct::ListensRoundRobin { ack, key, data: None, sockname }
        }
        (_, Some(Some(0))) => PrimaryAct::ListensShared { ack, key, data: None, udp: line["type"] == "dgram.Native" },
        (_, Some(Some(errno))) => PrimaryAct::CannotListen { ack, key, errno },
    };
    Some((ToWorker { seq: Seq(msg["seq"].clone()), act }, &msg["data"]))
}

fn written(message: ToWorker<'_>, data: &Value) -> Vec<u8> {
    let data = (!data.is_null()).then(|| to_raw_value(data).unwrap());
    let ToWorker { seq, act } = message;
    let act = match act {
        PrimaryAct::ListensRoundRobin { ack, key, sockname, .. } => {
            PrimaryAct::ListensRoundRobin { ack, key, data: data.as_deref(), sockname }
        }
        PrimaryAct::ListensShared { ack, key, udp, .. } => {
            PrimaryAct::ListensShared { ack, key, data: data.as_deref(), udp }
        }
        other => other,
    };
    ToWorker { seq, act }.encode(false).unwrap().to_vec()
}

/// Reads a worker's message and checks that nothing of it was lost. Returns its kind.
fn check_worker(value: &Value, line: &str) -> &'static str {
    match Incoming::read(line, false).unwrap() {
        Incoming::Cluster(raw) => {
            let FromWorker { seq, act } = FromWorker::parse(raw).unwrap();
            assert_eq!(seq.map(|seq| seq.0).as_ref(), value.get("seq"), "{line}");
            match act {
                WorkerAct::Online => "online",
                WorkerAct::QueryServer(listen) => check_listen(value, &listen, "queryServer"),
                WorkerAct::Listening(listen) => check_listen(value, &listen, "listening"),
                WorkerAct::Close { key } => {
                    assert_eq!(value["key"], key);
                    "close"
                }
                WorkerAct::ExitedAfterDisconnect => "exitedAfterDisconnect",
                WorkerAct::Answer { ack, accepted } => {
                    assert_eq!((&value["ack"], value["accepted"].as_bool()), (&ack.0, accepted));
                    "answer"
                }
                WorkerAct::Unknown => panic!("{line}"),
            }
        }
        Incoming::Handle { kind, msg } => {
            assert_eq!(value["type"], *kind);
            assert_eq!(value["msg"], json(msg.unwrap().get()));
            "handle"
        }
        Incoming::HandleAck => "ack",
        Incoming::User(message) => {
            assert!(value.get("cmd").is_none(), "{line}");
            assert_eq!(&json(message.raw.get()), value);
            "user"
        }
        other => panic!("{other:?}"),
    }
}

fn check_listen(value: &Value, listen: &cluster::Listen, act: &'static str) -> &'static str {
    assert_eq!(value["act"], act);
    let mut again = serde_json::to_value(listen).unwrap();
    for field in ["cmd", "act", "seq"] {
        again[field] = value[field].clone();
    }
    assert_eq!(&again, value);
    // The order of fields is that of Node.
    let order = |value: &Value| {
        let fields = value.as_object().unwrap().keys().filter(|key| !["cmd", "act", "seq"].contains(&key.as_str()));
        fields.cloned().collect::<Vec<_>>()
    };
    assert_eq!(order(&again), order(value));
    act
}

#[test]
fn every_recorded_cluster_message_is_classified_and_read_and_those_of_the_primary_are_written_again() {
    let mut counts = std::collections::BTreeMap::new();
    for line in include_str!("vectors/cluster-messages.jsonl").lines().skip(1) {
        let record = json(line);
        let message = &record["msg"];
        let compact = message.to_string();
        let kind = if record["dir"] == "w2p" {
            check_worker(message, &compact)
        } else if let Some((ours, data)) = to_worker(message) {
            assert_eq!(ours.carries_descriptor(), record["fd"] == true, "{line}");
            assert_eq!(String::from_utf8(written(ours, data)).unwrap(), compact + "\n");
            "primary"
        } else {
            assert_eq!(compact.as_bytes(), node_ipc::HANDLE_ACK.trim_ascii_end());
            "our ack"
        };
        *counts.entry(kind).or_insert(0) += 1;
    }
    let expected = [
        ("ack", 28),
        ("answer", 18),
        ("close", 6),
        ("exitedAfterDisconnect", 4),
        ("handle", 2),
        ("listening", 48),
        ("online", 60),
        ("our ack", 2),
        ("primary", 102),
        ("queryServer", 76),
        ("user", 44),
    ];
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn the_lines_of_nodes_own_primary_and_workers_are_read_and_written_byte_for_byte() {
    let mut lines = (0, 0);
    for line in include_str!("vectors/node-ipc.txt").lines() {
        let text = line.split_once(' ').map(|(_, text)| text.trim().trim_end_matches("[fd]").trim_end());
        if let Some(text) = text.filter(|_| line.starts_with("P  ")) {
            let value = json(text);
            let (message, data) = to_worker(&value).unwrap();
            assert_eq!(message.carries_descriptor(), line.ends_with("[fd]"));
            assert_eq!(String::from_utf8(written(message, data)).unwrap(), format!("{text}\n"));
            lines.0 += 1;
        } else if let Some(text) = text.filter(|_| line.starts_with('W')) {
            check_worker(&json(text), text);
            lines.1 += 1;
        }
    }
    assert_eq!(lines, (10, 24));
}

#[test]
fn the_recorded_line_of_bun_is_read_with_its_prefix() {
    let line = include_str!("vectors/node-ipc.txt").lines().find(|line| line.starts_with("027b22")).unwrap();
    let mut decoder = LineDecoder::new();
    decoder.push(&unhex(line));
    let Some(Ok(Incoming::Cluster(raw))) = decoder.next_message() else { panic!() };
    assert!(matches!(FromWorker::parse(raw).unwrap().act, WorkerAct::Online));
    assert!(decoder.speaks_bun());
    let listening =
        r#"{"cmd":"NODE_CLUSTER","act":"listening","port":19555,"data":null,"address":null,"addressType":4}"#;
    let Incoming::Cluster(raw) = Incoming::read(listening, true).unwrap() else { panic!() };
    let FromWorker { seq, act: WorkerAct::Listening(listen) } = FromWorker::parse(raw).unwrap() else { panic!() };
    assert_eq!((seq, listen.port, listen.address_type), (None, Some(19555), cluster::AddressType::Tcp4));
    let bye = ToWorker { seq: Seq::from(0), act: PrimaryAct::Disconnect }.encode(true).unwrap();
    assert_eq!(&bye[..], b"\x02{\"cmd\":\"NODE_CLUSTER\",\"act\":\"disconnect\",\"seq\":0}\n");
}
