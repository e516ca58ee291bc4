//! Messages and subscriptions.

use proptest::prelude::*;

use super::super::amp::AmpDecoder;
use super::*;

fn arguments(frame: &[u8]) -> Vec<Bytes> {
    let mut decoder = AmpDecoder::new();
    decoder.push(frame);
    decoder.next_frame().unwrap().unwrap()
}

#[test]
fn an_encoder_is_used_again_also_after_an_error() {
    let mut encoder = BusEncoder::new();
    let first = encoder.encode("log:out", &serde_json::json!({"data": "x".repeat(3 << 20)})).unwrap();
    let no_key = std::collections::BTreeMap::from([(vec![1], 1)]);
    assert!(encoder.encode("bad", &no_key).is_err());
    let second = encoder.encode("pm2:kill", &serde_json::json!({"status": "killed"})).unwrap();
    assert_eq!(decode(&arguments(&first)).unwrap().topic, "log:out");
    let message = arguments(&second);
    let message = decode(&message).unwrap();
    assert_eq!((&*message.topic, &*message.payload), ("pm2:kill", r#"{"status":"killed"}"#));
    assert_eq!(second, encode_text("pm2:kill", r#"{"status":"killed"}"#).unwrap());
}

#[test]
fn odd_messages_are_read_or_ignored() {
    let read = |parts: &[&'static [u8]]| {
        let parts: Vec<Bytes> = parts.iter().map(|part| Bytes::from_static(part)).collect();
        decode(&parts).map(|message| (message.topic.into_owned(), message.payload.into_owned()))
    };
    let some = |topic: &str, payload: &str| Some((topic.to_owned(), payload.to_owned()));
    assert_eq!(read(&[b"s:t"]), some("t", "null"));
    assert_eq!(read(&[b"s:t", b"s:a\"b"]), some("t", r#""a\"b""#));
    assert_eq!(read(&[b"s:t", b"j:1", b"j:2"]), some("t", "1"));
    assert_eq!(read(&[]), None);
    assert_eq!(read(&[b"j:1", b"j:2"]), None);
    assert_eq!(read(&[b"s:t", b"blob"]), None);
}

#[test]
fn stars_are_handed_out_as_in_pm2() {
    for (pattern, topic, captures) in [
        ("process:event", "process:event", Some(vec![])),
        ("*", "log:out", Some(vec!["log:out"])),
        ("log:*", "log:PM2", Some(vec!["PM2"])),
        ("*:*", "process:event", Some(vec!["process", "event"])),
        ("*:*", "a:b:c", Some(vec!["a:b", "c"])),
        ("log:*", "log:", None),
        ("log:*", "xlog:out", None),
        ("*:out", "log:outs", None),
        ("process:event", "process:events", None),
        ("a.c", "abc", None),
        ("**", "é😀", Some(vec!["é", "😀"])),
        ("**", "a", None),
        ("", "", Some(vec![])),
        ("*", "", None),
        ("a*a", "aa", None),
        ("a*b*c", "a1b2b3c", Some(vec!["1b2", "3"])),
    ] {
        assert_eq!(match_topic(pattern, topic), captures, "{pattern} on {topic}");
    }
}

#[test]
fn a_hostile_pattern_costs_no_more_than_its_length() {
    let topic = "a".repeat(10_000);
    assert_eq!(match_topic(&"a*".repeat(4_000), &topic).unwrap().len(), 4_000);
    assert!(match_topic(&("*b".to_owned() + &"*a".repeat(4_000)), &topic).is_none());
}

proptest! {
    #[test]
    fn patterns_mean_what_the_regular_expression_means(pattern in "[ab:*é]{0,8}", topic in "[ab:é]{0,12}") {
        let expression = format!("(?s)^{}$", regex::escape(&pattern).replace(r"\*", "(.+)"));
        let expected = regex::Regex::new(&expression).unwrap().captures(&topic).map(|captures| {
            captures.iter().skip(1).map(|group| group.unwrap().as_str()).collect::<Vec<_>>()
        });
        prop_assert_eq!(match_topic(&pattern, &topic), expected);
    }
}
