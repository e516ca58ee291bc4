//! Lines cut anywhere, odd lines, and the rule of internal messages.

use proptest::prelude::*;

use super::*;

/// All messages that are complete, as text to compare.
fn drain(decoder: &mut LineDecoder) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(message) = decoder.next_message() {
        seen.push(match message {
            Ok(message) => format!("{message:?}"),
            Err(LineError::TooLong) => "too long".to_owned(),
            Err(LineError::NotJson(_)) => "no JSON".to_owned(),
        });
    }
    seen
}

fn one(line: &str) -> String {
    let mut decoder = LineDecoder::new();
    decoder.push(line.as_bytes());
    decoder.push(b"\n");
    let seen = drain(&mut decoder);
    assert_eq!(seen.len(), 1, "{line}");
    seen[0].split(['(', ' ']).next().unwrap().to_owned()
}

#[test]
fn internal_is_a_command_that_goes_on_after_its_prefix() {
    for (line, class) in [
        (r#"{"cmd":"NODE_CLUSTER","act":"online"}"#, "Cluster"),
        (r#"{"act":"online","cmd":"NODE_\u0043LUSTER"}"#, "Cluster"),
        (r#"{"cmd":"NODE_HANDLE","type":"net.Socket","msg":{"my":"socket"}}"#, "Handle"),
        (r#"{"cmd":"NODE_HANDLE_ACK"}"#, "HandleAck"),
        (r#"{"cmd":"NODE_HANDLE_NACK"}"#, "HandleNack"),
        (r#"{"cmd":"NODE_DEBUG_ENABLED"}"#, "OtherInternal"),
        (r#"{"cmd":"NODE_x"}"#, "OtherInternal"),
        (r#"{"cmd":"NODE_"}"#, "User"),
        (r#"{"cmd":"NODEX"}"#, "User"),
        (r#"{"cmd":"node_cluster"}"#, "User"),
        (r#"{"cmd":["NODE_CLUSTER"]}"#, "User"),
        (r#"{"msg":{"cmd":"NODE_CLUSTER"}}"#, "User"),
        (r#""NODE_CLUSTER""#, "User"),
        ("1", "User"),
        ("null", "User"),
        ("[]", "User"),
        ("\"\u{2028}\u{1f600}\"", "User"),
        (" {} ", "User"),
        ("", "no"),
        ("{", "no"),
        ("hello", "no"),
    ] {
        assert_eq!(one(line), class, "{line}");
    }
}

#[test]
fn the_message_inside_a_handle_is_classified_too() {
    let Incoming::Handle { kind, msg } =
        Incoming::read(r#"{"cmd":"NODE_HANDLE","type":"net.Socket","msg":{"type":"a","data":1}}"#, false).unwrap()
    else {
        panic!()
    };
    assert_eq!(kind, "net.Socket");
    let Incoming::User(message) = read_handle_message(msg.unwrap()).unwrap() else { panic!() };
    assert_eq!(message.typed.unwrap().0, "a");
}

#[test]
fn a_user_message_says_how_pm2_publishes_it() {
    let read = |line: &str| match Incoming::read(line, false).unwrap() {
        Incoming::User(message) => (
            message.typed.map(|(kind, data)| (kind.into_owned(), data.get().to_owned())),
            message.node_version.map(|version| version.get().to_owned()),
        ),
        other => panic!("{other:?}"),
    };
    let typed = |kind: &str, data: &str| (Some((kind.to_owned(), data.to_owned())), None);
    assert_eq!(read(r#"{"data":{"x":[1]},"type":"my:topic"}"#), typed("my:topic", r#"{"x":[1]}"#));
    assert_eq!(read(r#"{"type":7,"data":true}"#), typed("7", "true"));
    for untyped in [r#"{"type":"a"}"#, r#"{"type":"a","data":0}"#, r#"{"type":"","data":1}"#, r#""ready""#, "[1]"] {
        assert_eq!(read(untyped), (None, None), "{untyped}");
    }
    assert_eq!(read(r#"{"node_version":"20.20.2"}"#), (None, Some(r#""20.20.2""#.to_owned())));
}

#[test]
fn the_prefix_of_bun_is_skipped_and_remembered() {
    let mut decoder = LineDecoder::new();
    decoder.push(b"{\"a\":1}\n");
    assert!(matches!(decoder.next_message(), Some(Ok(Incoming::User(_)))));
    assert!(!decoder.speaks_bun());
    decoder.push(b"\x02{\"cmd\":\"NODE_CLUSTER\",\"act\":\"online\",\"seq\":0}\n\x02{\"own\":1}\n{\"b\":1}\n");
    assert!(matches!(decoder.next_message(), Some(Ok(Incoming::Cluster(_)))));
    assert!(decoder.speaks_bun());
    assert!(matches!(decoder.next_message(), Some(Ok(Incoming::OtherInternal(_)))));
    assert!(matches!(decoder.next_message(), Some(Ok(Incoming::User(_)))));
    assert!(decoder.next_message().is_none());
    assert_eq!(&encode_internal("x", true).unwrap()[..], b"\x02\"x\"\n");
}

#[test]
fn a_bad_line_does_not_end_the_stream() {
    let mut decoder = LineDecoder::new();
    decoder.push(b"Debugger attached\n\n\"caf\xe9\"\n1\n");
    let seen = drain(&mut decoder);
    assert_eq!(seen[..2], ["no JSON", "no JSON"]);
    assert!(seen[2].contains("caf\u{fffd}"), "{}", seen[2]);
    assert_eq!(seen.len(), 4);
    assert!(decoder.repaired.is_empty());
}

#[test]
fn a_long_line_in_small_pieces_takes_one_search() {
    const PIECE: usize = 4096;
    let mut decoder = LineDecoder::new();
    decoder.push(b"\"");
    // 32 MiB in 8192 pieces: searched anew each time this would be 128 GiB.
    for _ in 0..(32 << 20) / PIECE {
        decoder.push(&[b'x'; PIECE]);
        assert!(decoder.next_message().is_none());
        assert_eq!(decoder.searched, decoder.buffer.len());
    }
    decoder.push(b"\"\n1\n");
    assert!(
        matches!(decoder.next_message(), Some(Ok(Incoming::User(message))) if message.raw.get().len() == (32 << 20) + 2)
    );
    assert!(matches!(decoder.next_message(), Some(Ok(Incoming::User(_)))));
    assert!(decoder.next_message().is_none());
    assert!(decoder.buffer.capacity() <= KEEP_BYTES, "the memory is given back");
}

#[test]
fn a_line_beyond_the_limit_is_thrown_away_up_to_its_end() {
    let mut decoder = LineDecoder::new();
    decoder.buffer = BytesMut::zeroed(MAX_LINE_BYTES);
    assert!(decoder.next_message().is_none(), "just fits");
    decoder.push(b"x");
    assert!(matches!(decoder.next_message(), Some(Err(LineError::TooLong))));
    decoder.push(b"still the same line");
    assert!(decoder.next_message().is_none());
    assert!(decoder.buffer.is_empty());
    decoder.push(b"its end\n{\"next\":1}\n");
    assert!(matches!(decoder.next_message(), Some(Ok(Incoming::User(_)))));
    assert!(decoder.next_message().is_none());
}

#[test]
fn json_that_is_spread_over_lines_is_written_as_one() {
    let spread = RawValue::from_string("{\n  \"a\": \"x\\ny\",\n\n\"b\":\r\n1}".to_owned()).unwrap();
    let line = encode(&spread).unwrap();
    assert_eq!(memchr::memchr_iter(b'\n', &line).collect::<Vec<_>>(), [line.len() - 1]);
    let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(value, serde_json::json!({"a": "x\ny", "b": 1}));
    assert_eq!(&encode("shutdown").unwrap()[..], b"\"shutdown\"\n");
}

proptest! {
    #[test]
    fn lines_cut_anywhere_decode_the_same(
        texts in prop::collection::vec(".*", 1..6),
        bun in any::<bool>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut stream = Vec::new();
        for text in &texts {
            stream.extend(encode(text).unwrap());
            stream.extend(encode_internal(&serde_json::json!({"cmd": "NODE_CLUSTER", "act": text}), bun).unwrap());
        }
        let mut whole = LineDecoder::new();
        whole.push(&stream);
        let expected = drain(&mut whole);
        prop_assert_eq!(expected.len(), 2 * texts.len());
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let mut decoder = LineDecoder::new();
        let mut seen = Vec::new();
        for piece in cuts.windows(2) {
            decoder.push(&stream[piece[0]..piece[1]]);
            seen.extend(drain(&mut decoder));
        }
        prop_assert_eq!(seen, expected);
        prop_assert_eq!(decoder.speaks_bun(), bun);
    }

    #[test]
    fn any_bytes_are_survived(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..10)) {
        let mut decoder = LineDecoder::new();
        let pushed: usize = pieces.iter().map(Vec::len).sum();
        for piece in &pieces {
            decoder.push(piece);
            drain(&mut decoder);
            prop_assert!(decoder.buffer.capacity() <= 2 * pushed + 64);
        }
    }

    #[test]
    fn a_message_comes_back(text in ".*", number in any::<i64>()) {
        let message = serde_json::json!({"text": text, "list": [number, null, true]});
        let mut decoder = LineDecoder::new();
        decoder.push(&encode(&message).unwrap());
        let Some(Ok(Incoming::User(user))) = decoder.next_message() else { panic!() };
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(user.raw.get()).unwrap(), message);
    }
}
