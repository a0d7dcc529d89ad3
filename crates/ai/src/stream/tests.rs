//! The encoder, the tap and the reader of events, without a network.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use downcity_core::Body;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::encoder::Encoder;
use super::events::{Events, MAX_EVENT};
use super::tap::{JsonTap, StreamTap};
use super::ui::UiSink;
use crate::convert::answer::AnswerOf;
use crate::failure::Failure;
use crate::mask::Mask;

fn encoder(tools: &[&str]) -> Encoder<UiSink> {
    let of = AnswerOf {
        message_id: "msg_1".to_owned(),
        model: "m".to_owned(),
        city_id: Some("c".to_owned()),
        user_id: Some("u".to_owned()),
    };
    Encoder::new(UiSink::new(of, tools.iter().map(ToString::to_string)), Mask::default())
}

pub(crate) fn delta(delta: Value) -> String {
    json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]}).to_string()
}

fn finish(reason: &str) -> String {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}).to_string()
}

/// What a message encodes to, as text.
pub(crate) fn encoded(tools: &[&str], events: &[String]) -> String {
    let mut encoder = encoder(tools);
    events.iter().for_each(|event| encoder.event(event));
    encoder.end();
    String::from_utf8(encoder.take().to_vec()).unwrap()
}

/// The chunks between `start-step` and `finish-step`.
fn body(text: &str) -> Vec<&str> {
    let events: Vec<&str> =
        text.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).collect();
    events[2..events.len() - 3].to_vec()
}

const USAGE: &str = r#"{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}}"#;

#[test]
fn a_text_answer_is_exactly_the_documented_bytes() {
    let events = [
        delta(json!({"role": "assistant", "content": ""})),
        delta(json!({"content": "He"})),
        delta(json!({"content": "llo"})),
        finish("stop"),
        USAGE.to_owned(),
        "[DONE]".to_owned(),
    ];
    let expected = concat!(
        r#"data: {"type":"start","messageId":"msg_1","messageMetadata":{"model":"m","city_id":"c","user_id":"u"}}"#,
        "\n\n",
        "data: {\"type\":\"start-step\"}\n\n",
        "data: {\"type\":\"text-start\",\"id\":\"txt-0\"}\n\n",
        "data: {\"type\":\"text-delta\",\"id\":\"txt-0\",\"delta\":\"He\"}\n\n",
        "data: {\"type\":\"text-delta\",\"id\":\"txt-0\",\"delta\":\"llo\"}\n\n",
        "data: {\"type\":\"text-end\",\"id\":\"txt-0\"}\n\n",
        "data: {\"type\":\"finish-step\"}\n\n",
        r#"data: {"type":"finish","finishReason":"stop","messageMetadata":{"finishReason":"stop","usage":{"inputTokens":10,"inputTokenDetails":{"noCacheTokens":6,"cacheReadTokens":4},"outputTokens":5,"outputTokenDetails":{"textTokens":3,"reasoningTokens":2},"totalTokens":15,"reasoningTokens":2,"cachedInputTokens":4,"raw":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}}}}"#,
        "\n\n",
        "data: [DONE]\n\n",
    );
    assert_eq!(encoded(&[], &events), expected);
}

#[test]
fn reasoning_is_a_block_of_its_own_before_the_text() {
    let events = [
        delta(json!({"reasoning_content": "Let me ", "reasoning": null})),
        delta(json!({"reasoning": "think"})),
        delta(json!({"content": "42"})),
        finish("length"),
    ];
    let text = encoded(&[], &events);
    assert_eq!(
        body(&text),
        [
            r#"{"type":"reasoning-start","id":"reasoning-0"}"#,
            r#"{"type":"reasoning-delta","id":"reasoning-0","delta":"Let me "}"#,
            r#"{"type":"reasoning-delta","id":"reasoning-0","delta":"think"}"#,
            r#"{"type":"reasoning-end","id":"reasoning-0"}"#,
            r#"{"type":"text-start","id":"txt-0"}"#,
            r#"{"type":"text-delta","id":"txt-0","delta":"42"}"#,
            r#"{"type":"text-end","id":"txt-0"}"#,
        ]
    );
    assert!(text.ends_with(concat!(
        r#"data: {"type":"finish","finishReason":"length","messageMetadata":{"finishReason":"length"}}"#,
        "\n\ndata: [DONE]\n\n"
    )));
}

fn call(index: usize, id: Option<&str>, name: Option<&str>, arguments: &str) -> String {
    let mut call = json!({"index": index, "function": {"arguments": arguments}});
    if let Some(id) = id {
        call["id"] = json!(id);
    }
    if let Some(name) = name {
        call["function"]["name"] = json!(name);
    }
    delta(json!({"tool_calls": [call]}))
}

#[test]
fn a_tool_call_is_announced_streamed_and_completed_at_once() {
    let events = [
        delta(json!({"content": "Looking"})),
        call(0, Some("call_1"), Some("weather"), ""),
        call(0, None, None, r#"{"a":{"b":"}"#),
        call(0, None, None, r#""},"c":[1]}"#),
        call(0, None, None, "ignored"),
        call(1, Some("call_2"), Some("weather"), "{}"),
        finish("tool_calls"),
    ];
    let text = encoded(&["weather"], &events);
    assert_eq!(
        body(&text)[2..],
        [
            r#"{"type":"text-end","id":"txt-0"}"#,
            r#"{"type":"tool-input-start","toolCallId":"call_1","toolName":"weather"}"#,
            r#"{"type":"tool-input-delta","toolCallId":"call_1","inputTextDelta":"{\"a\":{\"b\":\"}"}"#,
            r#"{"type":"tool-input-delta","toolCallId":"call_1","inputTextDelta":"\"},\"c\":[1]}"}"#,
            r#"{"type":"tool-input-available","toolCallId":"call_1","toolName":"weather","input":{"a":{"b":"}"},"c":[1]}}"#,
            r#"{"type":"tool-input-start","toolCallId":"call_2","toolName":"weather"}"#,
            r#"{"type":"tool-input-delta","toolCallId":"call_2","inputTextDelta":"{}"}"#,
            r#"{"type":"tool-input-available","toolCallId":"call_2","toolName":"weather","input":{}}"#,
        ]
    );
    assert!(text.contains(r#""finishReason":"tool-calls","messageMetadata""#));
}

#[test]
fn calls_that_cannot_be_used_are_errors_of_their_own() {
    let undeclared = [call(0, Some("c"), Some("rocket"), r#"{"to":1}"#), finish("tool_calls")];
    assert_eq!(
        body(&encoded(&["weather"], &undeclared))[2..],
        [
            r#"{"type":"tool-input-error","toolCallId":"c","toolName":"rocket","input":{"to":1},"errorText":"The model called the tool \"rocket\", which was not offered."}"#,
            r#"{"type":"tool-output-error","toolCallId":"c","errorText":"The model called the tool \"rocket\", which was not offered."}"#,
        ]
    );
    let unfinished = [call(0, Some("c"), Some("weather"), r#"{"ci"#), finish("tool_calls")];
    let text = encoded(&["weather"], &unfinished);
    assert!(text.contains(r#""input":"{\"ci","errorText":"The input of the tool"#), "{text}");
    assert!(text.contains(r#"{"type":"tool-output-error","toolCallId":"c""#), "{text}");
}

#[test]
fn a_call_without_arguments_is_an_empty_object_and_missing_ids_are_made_up() {
    let events = [
        delta(json!({"tool_calls": [{"function": {"name": "now"}}]})),
        delta(json!({"tool_calls": [{"id": "", "function": {"name": "now"}}]})),
        finish("tool_calls"),
    ];
    let text = encoded(&["now"], &events);
    assert!(
        text.contains(
            r#""tool-input-available","toolCallId":"call_1_0","toolName":"now","input":{}"#
        ),
        "{text}"
    );
}

#[test]
fn failures_close_what_is_open_and_end_with_error() {
    for broken in
        ["{not json", r#"{"error":{"message":"overloaded"}}"#, r#"{"error":"overloaded"}"#]
    {
        let events = [delta(json!({"content": "so"})), broken.to_owned(), finish("stop")];
        let text = encoded(&[], &events);
        let kinds: Vec<String> = text
            .split("\n\n")
            .filter_map(|event| event.strip_prefix("data: {\"type\":\""))
            .map(|rest| rest.split('"').next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(
            kinds,
            [
                "start",
                "start-step",
                "text-start",
                "text-delta",
                "error",
                "text-end",
                "finish-step",
                "finish"
            ]
        );
        assert!(
            text.contains(r#""finishReason":"error","messageMetadata":{"finishReason":"error"}"#)
        );
        assert_eq!(text.contains("overloaded"), broken.contains("overloaded"));
    }
}

#[test]
fn an_empty_stream_is_an_empty_message() {
    let text = encoded(&[], &["[DONE]".to_owned()]);
    assert_eq!(body(&text).len(), 0);
    assert!(text.contains(r#"{"type":"finish","finishReason":"other""#));
}

/// A stream as providers write it, with usage in many forms.
pub(crate) fn upstream(eol: &str) -> String {
    let events = [
        delta(json!({"role": "assistant", "content": ""})),
        delta(json!({"content": "Grüße \"usage\": {x} 👩‍🚀\n\n"})),
        r#"{"choices":[{"index":0,"delta":{"content":"b"}}],"usage":null}"#.to_owned(),
        call(0, Some("call_1"), Some("weather"), r#"{"usage":{"prompt_tokens":1}}"#),
        finish("stop"),
        USAGE.to_owned(),
        "[DONE]".to_owned(),
    ];
    events.iter().map(|event| format!("data: {event}{eol}{eol}")).collect()
}

/// Cuts the text at these places (taken modulo its length).
fn cut(text: &str, places: &[usize]) -> Vec<Bytes> {
    let mut places: Vec<usize> = places.iter().map(|place| place % (text.len() + 1)).collect();
    places.extend([0, text.len()]);
    places.sort_unstable();
    places
        .windows(2)
        .map(|pair| Bytes::copy_from_slice(&text.as_bytes()[pair[0]..pair[1]]))
        .collect()
}

pub(crate) fn read_all(pieces: Vec<Bytes>) -> Vec<Result<String, Failure>> {
    let pieces = pieces.into_iter().map(Ok::<_, std::io::Error>);
    let mut events = Events::new(Body::from_stream(futures_util::stream::iter(pieces)));
    let mut cx = Context::from_waker(Waker::noop());
    let mut all = Vec::new();
    while let Poll::Ready(Some(event)) = events.poll_next(&mut cx) {
        all.push(event);
    }
    all
}

/// What passes the tap, and the usage that it saw.
pub(crate) fn tap(pieces: Vec<Bytes>, hide: bool) -> (Vec<u8>, Option<Value>) {
    let mut tap = StreamTap::new(hide, Mask::default());
    let mut out = VecDeque::new();
    for piece in pieces {
        tap.push(piece, &mut out);
    }
    tap.end(&mut out);
    (out.into_iter().flatten().collect(), tap.usage().cloned())
}

fn tapped(pieces: Vec<Bytes>, hide: bool) -> (String, Option<Value>) {
    let (bytes, usage) = tap(pieces, hide);
    (String::from_utf8(bytes).unwrap(), usage)
}

fn ui(pieces: Vec<Bytes>) -> String {
    let data: Vec<String> = read_all(pieces).into_iter().map(Result::unwrap).collect();
    encoded(&["weather"], &data)
}

proptest! {
    #[test]
    fn any_split_gives_the_same_chunks(places in prop::collection::vec(any::<usize>(), 0..40), crlf: bool) {
        let text = upstream(if crlf { "\r\n" } else { "\n" });
        let whole = ui(vec![Bytes::from(text.clone())]);
        let has_usage = whole.contains(r#""inputTokens":10"#);
        prop_assert!(has_usage);
        prop_assert_eq!(ui(cut(&text, &places)), whole);
    }

    #[test]
    fn any_split_is_relayed_alike_and_hides_one_event_only(
        places in prop::collection::vec(any::<usize>(), 0..40), crlf: bool,
    ) {
        let eol = if crlf { "\r\n" } else { "\n" };
        let text = upstream(eol);
        let usage: Value = serde_json::from_str::<Value>(USAGE).unwrap()["usage"].clone();
        let shown = tapped(cut(&text, &places), false);
        prop_assert_eq!(&shown, &(text.clone(), Some(usage.clone())));
        let hidden = tapped(cut(&text, &places), true);
        let rest = text.replace(&format!("data: {USAGE}{eol}{eol}"), "");
        prop_assert_eq!(hidden, (rest, Some(usage)));
    }

    #[test]
    fn bytes_of_any_kind_pass_the_tap_unchanged(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20)) {
        let mut tap = StreamTap::new(true, Mask::default());
        let mut out = VecDeque::new();
        for piece in &pieces {
            tap.push(Bytes::copy_from_slice(piece), &mut out);
        }
        tap.end(&mut out);
        let passed: Vec<u8> = out.into_iter().flatten().collect();
        prop_assert_eq!(passed, pieces.concat());
    }

    #[test]
    fn whatever_comes_the_stream_is_complete(events in prop::collection::vec(".{0,60}", 0..8)) {
        let text = encoded(&[], &events);
        let begins = text.starts_with("data: {\"type\":\"start\"");
        prop_assert!(begins);
        prop_assert!(text.ends_with("data: [DONE]\n\n"));
    }
}

#[test]
fn only_a_told_end_is_an_end() {
    let null = delta(json!({"content": "\"finish_reason\":\"stop\" \"error\":{} [DONE]"}));
    for (text, is_cut, is_done) in [
        (format!("data: {null}\n\n"), true, false),
        ("data: {\"error\":null,\"text\":\"x\ndata: y\"}\n\n".to_owned(), true, false),
        (format!("data: {null}\n\ndata: {}", finish("length")), false, false),
        ("data: {\"error\": \"full\"}\n\n".to_owned(), false, false),
        ("data:[DONE]\r\n\r\n".to_owned(), false, true),
        ("data: x [DONE]\n\n".to_owned(), true, false),
        (String::new(), true, false),
    ] {
        for size in [1, 5, 1000] {
            let mut tap = StreamTap::new(true, Mask::default());
            let mut out = VecDeque::new();
            for piece in text.as_bytes().chunks(size) {
                tap.push(Bytes::copy_from_slice(piece), &mut out);
            }
            assert_eq!((tap.is_cut(), tap.is_done()), (is_cut, is_done), "{text}");
        }
    }
}

#[test]
fn texts_are_counted_where_they_are_asked_for() {
    let events = [
        json!({"choices": [{"delta": {"role": "assistant", "content": ""}}]}),
        json!({"choices": [{"delta": {"content": "\u{fc}b\"er"}}, {"delta": {"content": "x"}}]}),
        json!({"choices": [{"delta": {"reasoning_content": "hm", "reasoning": "hm"}}]}),
        json!({"choices": [{"delta": {"tool_calls": [
            {"index": 0, "function": {"name": "f", "arguments": "{}"}},
        ]}}]}),
        json!({"choices": [], "usage": {"prompt_tokens": 1}}),
    ];
    let text: String = events.iter().map(|event| format!("data: {event}\r\n\r\n")).collect();
    for size in [1, 7, 10_000] {
        let mut tap = StreamTap::new(true, Mask::default()).counting(true);
        let mut plain = StreamTap::new(true, Mask::default());
        let mut out = VecDeque::new();
        for piece in text.as_bytes().chunks(size) {
            tap.push(Bytes::copy_from_slice(piece), &mut out);
            plain.push(Bytes::copy_from_slice(piece), &mut out);
        }
        assert_eq!((tap.produced(), tap.has_failed()), (6 + 1 + 2 + 3, false), "{size}");
        assert_eq!(plain.produced(), 0);
        tap.push(Bytes::from_static(b"data: {\"error\":{\"message\":\"full\"}}\n\n"), &mut out);
        assert!(tap.has_failed());
    }
}

#[test]
fn an_event_too_long_to_look_into_counts_with_all_its_bytes() {
    let mut tap = StreamTap::new(true, Mask::default()).counting(true);
    let mut out = VecDeque::new();
    for _ in 0..5 {
        tap.push(Bytes::from("x".repeat(200_000)), &mut out);
    }
    assert_eq!(tap.produced(), 1_000_000);
    tap.push(
        Bytes::from_static(b"\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"abc\"}}]}\n\n"),
        &mut out,
    );
    assert!((1_000_003..1_000_010).contains(&tap.produced()), "{}", tap.produced());
}

#[test]
fn whole_events_are_passed_on_without_copies() {
    let event = Bytes::from_static(
        b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\n",
    );
    let mut tap = StreamTap::new(true, Mask::default());
    let mut out = VecDeque::new();
    tap.push(event.clone(), &mut out);
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].as_ptr(), event.as_ptr());
}

#[test]
fn an_event_too_long_to_hold_is_passed_on_while_it_comes() {
    let mut tap = StreamTap::new(true, Mask::default());
    let mut out = VecDeque::new();
    let long = "x".repeat(200_000);
    for _ in 0..5 {
        tap.push(Bytes::from(long.clone()), &mut out);
    }
    let passed: usize = out.iter().map(Bytes::len).sum();
    assert!(passed > 900_000, "{passed}");
    tap.push(Bytes::from(format!("\n\ndata: {USAGE}\n\ndata: end\n\n")), &mut out);
    tap.end(&mut out);
    let bytes: Vec<u8> = out.into_iter().flatten().collect();
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text, format!("{}\n\ndata: end\n\n", long.repeat(5)));
    assert_eq!(tap.usage().unwrap()["prompt_tokens"], 10);
}

#[test]
fn an_event_without_its_blank_line_is_still_counted_at_the_end() {
    let (text, usage) = tapped(vec![Bytes::from(format!("data: {USAGE}"))], false);
    assert_eq!(text, format!("data: {USAGE}"));
    assert!(usage.is_some());
}

#[test]
fn the_usage_of_a_whole_answer_is_found_however_it_is_cut() {
    let answer = r#"{"choices":[{"message":{"content":"\"usage\":{\"a\":1}"}}],"usage" : {"prompt_tokens":3}, "x":{}}"#;
    for size in [1, 7, 1000] {
        let mut tap = JsonTap::default();
        for piece in answer.as_bytes().chunks(size) {
            tap.push(&Bytes::copy_from_slice(piece));
        }
        assert_eq!(tap.usage(), Some(json!({"prompt_tokens": 3})));
    }
    let mut tap = JsonTap::default();
    for _ in 0..40 {
        tap.push(&Bytes::from(vec![b' '; 100_000]));
    }
    tap.push(&Bytes::from_static(answer.as_bytes()));
    assert_eq!(tap.usage(), Some(json!({"prompt_tokens": 3})));
}

#[test]
fn events_have_a_limit_and_have_to_be_text() {
    let piece = Bytes::from(vec![b'x'; 1024 * 1024]);
    let mut pieces = vec![Bytes::from_static(b"data: ok\n\ndata: ")];
    pieces.extend(std::iter::repeat_n(piece.clone(), 10));
    let read = read_all(pieces);
    assert_eq!(read.len(), 2);
    assert!(
        matches!(&read[1], Err(Failure::Unreadable(why)) if why.contains(&MAX_EVENT.to_string()))
    );

    // As many bytes in events of a usual size are fine.
    let events = "data: x\n\n".repeat(2 * MAX_EVENT / 9);
    assert!(read_all(vec![Bytes::from(events)]).iter().all(Result::is_ok));

    let read = read_all(vec![Bytes::from_static(b"data: \xff\xfe\n\n")]);
    assert!(matches!(&read[..], [Err(Failure::Unreadable(_))]));
}

#[test]
fn what_is_kept_beside_the_words_has_an_end_too() {
    let long = "x".repeat(1 << 20);
    let block = delta(json!({"thinking_blocks": [{"type": "thinking", "signature": long}]}));
    let call = |index: usize| {
        let function = json!({"name": "f", "arguments": ""});
        let extra = json!({"signature": long});
        delta(json!({"tool_calls": [
            {"index": index, "id": format!("{index}"), "function": function, "extra_content": extra},
        ]}))
    };
    let id = |index: usize| {
        let function = json!({"name": "f", "arguments": ""});
        delta(json!({"tool_calls": [
            {"index": index, "id": format!("{index}{long}"), "function": function},
        ]}))
    };
    let forms: [&dyn Fn(usize) -> String; 3] = [&|_| block.clone(), &call, &id];
    for form in forms {
        let mut encoder = encoder(&["f"]);
        let told = (0..70).take_while(|index| {
            encoder.event(&form(*index));
            encoder.take();
            !encoder.is_over()
        });
        assert_eq!(told.count(), 63, "the 64th is too much with what surrounds it");
        assert!(encoder.has_failed() && encoder.produced() < 100, "nobody pays for it");
    }
}
