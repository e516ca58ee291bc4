//! Requests and replies that are wrong in every way; the recorded frames are in `tests/wire_vectors.rs`.

use proptest::prelude::*;

use super::super::amp::AmpDecoder;
use super::*;

fn frame(arguments: &[&[u8]]) -> Vec<Bytes> {
    arguments.iter().map(|argument| Bytes::copy_from_slice(argument)).collect()
}

fn request(payload: &[u8]) -> Body {
    let request = decode_request(&frame(&[payload, b"s:1:0"])).unwrap();
    assert_eq!(&request.id[..], b"s:1:0");
    request.body
}

fn malformed(payload: &[u8]) -> String {
    match request(payload) {
        Body::Malformed(text) => text,
        other => panic!("{other:?}"),
    }
}

fn reply(payload: &[u8]) -> Result<Vec<String>, RpcError> {
    let reply = decode_reply(&frame(&[payload, b"s:9:9"])).unwrap();
    assert_eq!(reply.id, "9:9");
    reply.result.map(|values| values.iter().map(|value| value.get().to_owned()).collect())
}

fn decode(bytes: &[u8]) -> Vec<Bytes> {
    let mut decoder = AmpDecoder::new();
    decoder.push(bytes);
    let arguments = decoder.next_frame().unwrap().unwrap();
    assert!(decoder.next_frame().unwrap().is_none());
    arguments
}

#[test]
fn a_call_keeps_its_arguments_as_text() {
    let Body::Call(call) = request(br#"j:{"args":[ 1.50, {"a": "\ud800"}],"x":1,"method":"p\u0069ng"}"#) else {
        panic!()
    };
    assert_eq!(call.method, "ping");
    assert_eq!(call.args.iter().map(|value| value.get()).collect::<Vec<_>>(), ["1.50", r#"{"a": "\ud800"}"#]);
}

#[test]
fn only_the_type_methods_asks_for_the_list() {
    assert!(matches!(request(br#"j:{"type":"methods"}"#), Body::Methods));
    assert!(matches!(request(br#"j:{"type":"Methods","method":"a","args":[]}"#), Body::Call(_)));
}

#[test]
fn what_is_missing_is_named_as_in_pm2() {
    for payload in
        ["j:{}", "j:[]", "j:null", "j:7", "s:ping", "blob", "", r#"j:{"method":"","args":[]}"#, r#"j:{"method":null}"#]
    {
        assert_eq!(malformed(payload.as_bytes()), ".method required", "{payload}");
    }
    for payload in [r#"j:{"method":"a"}"#, r#"j:{"method":"a","args":null}"#, r#"j:{"method":"a","args":{}}"#] {
        assert_eq!(malformed(payload.as_bytes()), ".args required", "{payload}");
    }
}

#[test]
fn invalid_json_is_answered() {
    for payload in [&b"j:"[..], b"j:{", b"j:{\"method\":\"a\",\"args\":[}", b"j:\xff"] {
        assert!(malformed(payload).starts_with("malformed request: "), "{payload:?}");
    }
}

#[test]
fn a_call_of_very_many_arguments_is_refused() {
    let many = format!(r#"j:{{"method":"a","args":[{}0]}}"#, "0,".repeat(MAX_VALUES));
    assert_eq!(malformed(many.as_bytes()), "malformed request: more than 64 args");
    assert!(reply(many.as_bytes()).is_err());
}

#[test]
fn three_arguments_are_answered_to_the_last() {
    let request = decode_request(&frame(&[b"j:{}", b"j:{}", b"s:id"])).unwrap();
    assert_eq!(&request.id[..], b"s:id");
    assert!(matches!(request.body, Body::Malformed(text) if text == "malformed request: 3 arguments instead of 2"));
}

#[test]
fn without_an_id_there_is_nobody_to_answer() {
    assert!(decode_request(&[]).is_none());
    assert!(decode_request(&frame(&[b"j:{}"])).is_none());
    assert!(decode_request(&frame(&[b"j:{}", b""])).is_none(), "an empty id cannot be echoed");
    assert!(decode_reply(&[]).is_none());
    assert!(decode_reply(&frame(&[b"s:id"])).is_none());
}

#[test]
fn any_id_is_echoed_byte_by_byte() {
    for id in [&b"s:1:2"[..], b"j:42", b"\x01\x02", b"s:"] {
        for reply in [Reply::nothing(), Reply::value(&1).unwrap(), Reply::error("no")] {
            let arguments = decode(&reply.encode(id).unwrap());
            assert_eq!(arguments.len(), 2);
            assert_eq!(&arguments[1][..], id);
        }
        assert_eq!(&decode(&encode_value_reply(id, &[1], 0).unwrap())[1][..], id);
    }
}

#[test]
fn replies_are_read_back_by_the_client() {
    let values = |reply: Reply| decode_reply(&decode(&reply.encode(b"s:1").unwrap())).unwrap().result;
    assert!(values(Reply::nothing()).unwrap().is_empty());
    assert_eq!(values(Reply::value("a\"b").unwrap()).unwrap()[0].get(), r#""a\"b""#);
    assert_eq!(values(Reply::error("x")).unwrap_err(), RpcError { message: "x".to_owned(), stack: None });
    let error = Reply::Error { message: "x".to_owned(), stack: Some("Error: x\n  at y".to_owned()) };
    assert_eq!(values(error).unwrap_err().stack.as_deref(), Some("Error: x\n  at y"));
    let large = decode_reply(&decode(&encode_value_reply(b"s:1", &["a"; 3], 3).unwrap())).unwrap();
    assert_eq!(large.result.unwrap()[0].get(), r#"["a","a","a"]"#);
}

#[test]
fn calls_are_read_back_by_the_daemon() {
    let call = decode_request(&decode(&encode_call("7:1", "ping", &[serde_json::json!({})]).unwrap())).unwrap();
    assert_eq!(&call.id[..], b"s:7:1");
    assert!(matches!(call.body, Body::Call(call) if call.method == "ping" && call.args[0].get() == "{}"));
    let methods = decode_request(&decode(&encode_methods_call("7:2").unwrap())).unwrap();
    assert!(matches!(methods.body, Body::Methods));
    let list = serde_json::json!({"ping": {"name": "ping", "params": ["cb"]}});
    let answer = decode_reply(&decode(&encode_methods_reply(&methods.id, &list).unwrap())).unwrap();
    assert_eq!(answer.result.unwrap()[0].get(), list.to_string());
}

#[test]
fn an_error_that_is_no_string_is_still_an_error() {
    for (payload, message) in [
        (r#"j:{"error":{"message":"inner","code":1}}"#, "inner"),
        (r#"j:{"error":{"code":1},"args":[]}"#, r#"{"code":1}"#),
        (r#"j:{"error":null}"#, "null"),
        (r#"j:{"error":"\ud800"}"#, r#""\ud800""#),
        (r#"j:{"error":"e","stack":7}"#, "e"),
    ] {
        assert_eq!(reply(payload.as_bytes()).unwrap_err(), RpcError { message: message.to_owned(), stack: None });
    }
}

#[test]
fn a_reply_that_would_kill_a_stock_client_is_an_error_of_the_call() {
    for payload in ["j:{}", "j:[]", "j:null", r#"j:{"args":{}}"#, r#"j:{"args":null}"#, "j:{", "s:ok", ""] {
        let error = reply(payload.as_bytes()).unwrap_err();
        assert!(error.message.starts_with("malformed reply of the daemon: "), "{payload}: {error}");
    }
}

proptest! {
    #[test]
    fn any_arguments_are_survived(
        arguments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..4),
        json in r#"j:[\{\}\[\],:"a-z0-9 \\]{0,60}"#,
    ) {
        let arguments: Vec<Bytes> = arguments.into_iter().map(Bytes::from).collect();
        let _ = decode_request(&arguments);
        let _ = decode_reply(&arguments);
        let id = Bytes::from_static(b"s:1");
        let likely = [Bytes::from(json), id];
        prop_assert!(decode_request(&likely).is_some());
        prop_assert!(decode_reply(&likely).is_some());
    }
}
