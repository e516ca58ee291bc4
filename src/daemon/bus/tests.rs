use serde_json::{Value, json};

use super::*;
use crate::daemon::test_runtime::run;
use crate::wire::amp::AmpDecoder;
use crate::wire::bus::decode;

/// A subscriber, for the tests of whoever publishes.
pub(in crate::daemon) struct Client {
    stream: Stream,
    decoder: AmpDecoder,
}

impl Client {
    pub(in crate::daemon) async fn connect(bus: &Bus) -> Client {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pub.sock");
        let listener = socket::listener(socket::bind(&path).unwrap()).unwrap();
        let (stream, accepted) = tokio::join!(socket::connect(&path), socket::accept(&listener));
        bus.subscribe(accepted.unwrap());
        Client { stream: stream.unwrap(), decoder: AmpDecoder::new() }
    }

    /// The next event; `None` at the end.
    pub(in crate::daemon) async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                let message = decode(&frame).unwrap();
                return Some((message.topic.to_string(), serde_json::from_str(&message.payload).unwrap()));
            }
            let mut buffer = vec![0; 65536];
            let count = self.stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
            self.decoder.push(&buffer[..count]);
        }
    }
}

#[test]
fn every_subscriber_gets_every_event_in_order() {
    run(async {
        let bus = Bus::new();
        assert!(!bus.has_subscribers());
        bus.publish("nobody", &1);
        let mut clients = [Client::connect(&bus).await, Client::connect(&bus).await];
        for number in 0..1000 {
            bus.publish("process:event", &json!({ "n": number }));
        }
        bus.publish_text("pm2:kill", r#"{"status":"killed"}"#);
        bus.flushed().await;
        for client in &mut clients {
            for number in 0..1000 {
                assert_eq!(client.next().await, Some(("process:event".into(), json!({ "n": number }))));
            }
            assert_eq!(client.next().await, Some(("pm2:kill".into(), json!({ "status": "killed" }))));
        }
    });
}

#[test]
fn a_subscriber_that_left_is_forgotten() {
    run(async {
        let bus = Bus::new();
        let client = Client::connect(&bus).await;
        drop(client);
        while bus.has_subscribers() {
            let changed = bus.0.quiet.notified();
            tokio::select! { () = changed => {}, () = tokio::task::yield_now() => {} }
        }
    });
}

#[test]
fn a_slow_subscriber_loses_logs_only_and_is_told_how_many() {
    run(async {
        let bus = Bus::new();
        let mut client = Client::connect(&bus).await;
        let (logs, events) = (4000, 40);
        let data = "x".repeat(10_000);
        for number in 0..logs {
            bus.publish("log:out", &json!({ "n": number, "data": data }));
            if number % (logs / events) == 0 {
                bus.publish("process:event", &json!({ "n": number }));
            }
            if number % 50 == 0 {
                tokio::task::yield_now().await;
            }
        }
        bus.publish("end", &0);
        let subscriber = Rc::clone(&bus.0.subscribers.borrow()[0]);
        assert!(subscriber.queue.borrow().bytes <= MAX_QUEUED_LOGS + (1 << 20), "what else there is is little");
        let (mut seen, mut lost, mut others, mut newest) = (0, 0, 0, -1);
        while let Some((topic, payload)) = client.next().await {
            match topic.as_str() {
                "log:out" => {
                    let number = payload["n"].as_i64().unwrap();
                    assert!(number > newest, "in order");
                    (newest, seen) = (number, seen + 1);
                }
                "pm2rs:lost" => lost += payload["lost"].as_u64().unwrap(),
                "process:event" => others += 1,
                _ => break,
            }
        }
        assert!(lost > 0 && others == events, "{lost} lost, {others} other events");
        assert_eq!(seen + lost, logs);
    });
}

#[test]
fn one_that_is_stuck_for_good_is_disconnected() {
    run(async {
        let bus = Bus::new();
        let mut stuck = Client::connect(&bus).await;
        let payload = json!({ "data": "x".repeat(100_000) });
        while bus.has_subscribers() {
            bus.publish("process:event", &payload);
            tokio::task::yield_now().await;
        }
        // What was sent before arrives whole; then comes the end, perhaps in the middle of a frame.
        while stuck.next().await.is_some() {}
    });
}

#[test]
fn a_frame_larger_than_the_queue_still_arrives() {
    run(async {
        let bus = Bus::new();
        let mut client = Client::connect(&bus).await;
        let text = "y".repeat(MAX_QUEUED + 1);
        bus.publish("big", &text);
        assert_eq!(client.next().await, Some(("big".into(), Value::String(text))));
    });
}
