//! What has to hold for any bytes that callers and providers send: targets for fuzzers, run by tests.

use bytes::Bytes;
use downcity_fuzz::check;
use downcity_types::UiChunk;
use serde_json::{Value, json};

use crate::convert::answer::{AnswerOf, Completion};
use crate::convert::messages::{Taste, chat_messages};
use crate::convert::request::TextInput;
use crate::stream::tests::{delta, encoded, read_all, tap, upstream};

/// The bytes in pieces whose lengths follow from the bytes themselves.
fn pieces(bytes: &[u8]) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let (piece, left) = rest.split_at(rest.len().min(1 + usize::from(first % 7)));
        pieces.push(Bytes::copy_from_slice(piece));
        rest = left;
    }
    pieces
}

/// The events of a body: the data of each, and whether the reading broke off.
fn events(pieces: Vec<Bytes>) -> (Vec<String>, bool) {
    let all = read_all(pieces);
    let count = all.len();
    let data: Vec<String> = all.into_iter().map_while(Result::ok).collect();
    let is_broken = data.len() < count;
    (data, is_broken)
}

/// However a provider's bytes arrive, they are the same events.
fn reader(bytes: &[u8]) {
    let whole = events(vec![Bytes::copy_from_slice(bytes)]);
    assert_eq!(events(pieces(bytes)), whole);
    let single = bytes.iter().map(|byte| Bytes::copy_from_slice(&[*byte])).collect();
    assert_eq!(events(single), whole);
}

/// Whatever a provider sends, the caller gets a complete message of known chunks.
fn encoder(bytes: &[u8]) {
    let (data, _) = events(vec![Bytes::copy_from_slice(bytes)]);
    let text = encoded(&["weather"], &data);
    let mut chunks: Vec<&str> = text.split_terminator("\n\n").collect();
    assert_eq!(chunks.pop(), Some("data: [DONE]"));
    let kinds: Vec<String> = chunks
        .iter()
        .map(|chunk| {
            let json = chunk.strip_prefix("data: ").expect("an event of one line");
            let known: UiChunk = serde_json::from_str(json).expect("a chunk of ours");
            serde_json::to_value(known).unwrap()["type"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(kinds[..2], ["start", "start-step"]);
    assert_eq!(kinds[kinds.len() - 2..], ["finish-step", "finish"]);
    for kind in ["text", "reasoning"] {
        let count = |end: &str| kinds.iter().filter(|k| **k == format!("{kind}-{end}")).count();
        assert_eq!(count("start"), count("end"), "{kinds:?}");
    }
}

/// What is relayed is what came up to the provider's own end, however it came.
fn relay(bytes: &[u8]) {
    let whole = vec![Bytes::copy_from_slice(bytes)];
    let shown = tap(whole.clone(), false);
    assert!(bytes.starts_with(&shown.0), "nothing is changed");
    let has_end = bytes.windows(6).any(|window| window == b"[DONE]");
    assert!(has_end || shown.0 == bytes, "nothing is missing");
    assert!(tap(pieces(bytes), false) == shown, "the pieces do not matter");
    // With usage hidden an empty line may stay or go, which readers of events do not see.
    let hidden = |pieces| {
        let (bytes, usage) = tap(pieces, true);
        (events(vec![Bytes::from(bytes)]), usage)
    };
    assert_eq!(hidden(pieces(bytes)), hidden(whole), "nor do they when usage is hidden");
}

/// An answer that is not streamed.
fn completion(bytes: &[u8]) {
    let Ok(completion) = Completion::read(bytes) else { return };
    let of = AnswerOf {
        message_id: "msg_1".to_owned(),
        model: "m".to_owned(),
        city_id: None,
        user_id: None,
    };
    let message = completion.into_message(&of);
    let text = serde_json::to_string(&message).unwrap();
    assert_eq!(serde_json::from_str::<downcity_types::UiMessage>(&text).unwrap(), message);
}

/// A conversation of a caller.
fn conversation(bytes: &[u8]) {
    let Ok(input) = serde_json::from_slice::<TextInput>(bytes) else { return };
    let messages = input.messages.unwrap_or_default();
    for (text_only, lenient) in [(false, false), (true, false), (true, true)] {
        match chat_messages(&messages, Taste { text_only, lenient }) {
            Ok(messages) => assert!(messages.iter().all(|message| message["role"].is_string())),
            Err(error) => assert!(error.status().is_client_error(), "{error:?}"),
        }
    }
}

fn streams() -> Vec<String> {
    let comments = ": hello\r\nevent: x\nid: 1\nretry: 5\ndata: a\ndata: b\n\ndata\n\ndata:\r\r";
    vec![
        upstream("\n"),
        upstream("\r\n"),
        comments.to_owned(),
        format!("\u{feff}data: {}\n\ndata: {{not json\n\n", delta(json!({"reasoning": "x"}))),
        "data: {\"error\":{\"message\":\"overloaded\"}}\n\n".to_owned(),
    ]
}

#[test]
fn readers() {
    check(&streams(), reader);
}

#[test]
fn encoders() {
    check(&streams(), encoder);
}

#[test]
fn relays() {
    check(&streams(), relay);
}

#[test]
fn completions() {
    let call: Value = json!({"id": "", "function": {"name": "weather", "arguments": "{\"a\":"}});
    let message = json!({"content": [{"type": "text", "text": "x"}], "tool_calls": [call]});
    let sample = json!({"choices": [{"message": message, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}});
    check(&[sample.to_string()], completion);
}

#[test]
fn conversations() {
    let file = |url: &str| json!({"type": "file", "mediaType": "text/plain", "url": url});
    let parts = [
        json!({"type": "text", "text": "Hi"}),
        file("data:text/plain;base64,R3LDvMOfZQ=="),
        file("data:,a%20b%"),
        json!({"type": "tool-x", "toolCallId": "c", "state": "output-available", "input": {}, "output": 1}),
    ];
    let message = |role: &str| json!({"role": role, "parts": parts});
    let sample = json!({"messages": [message("user"), message("assistant"), message("system")]});
    check(&[sample.to_string()], conversation);
}
