//! Messages in both directions, case by case.

use downcity_types::{ErrorCode, FinishReason, UiMessage};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::answer::{AnswerOf, Completion};
use super::messages::{Taste, chat_messages};
use super::normalize;
use crate::stream::encoder::{End, NewCall, Out, Sink};

fn convert(messages: Value, taste: Taste) -> downcity_core::Result<Value> {
    let messages: Vec<UiMessage> = serde_json::from_value(messages).unwrap();
    chat_messages(&messages, taste).map(Value::Array)
}

fn user(parts: Value) -> Value {
    json!([{"role": "user", "parts": parts}])
}

fn file(media_type: &str, url: &str) -> Value {
    json!({"type": "file", "mediaType": media_type, "url": url})
}

#[test]
fn contents_of_user_messages() {
    let text = json!({"type": "text", "text": "a"});
    for (parts, content) in [
        (json!([text]), json!("a")),
        (json!([{"type": "data-x", "data": 1}, text, {"type": "future"}]), json!("a")),
        (json!([text, text]), json!([text, text])),
        (
            json!([file("image/png", "https://example.com/a.png")]),
            json!([{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]),
        ),
        (
            json!([file("image/*", "data:image/*;base64,AA==")]),
            json!([{"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,AA=="}}]),
        ),
        (
            json!([file("audio/wav", "data:audio/wav;base64,AA==")]),
            json!([{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]),
        ),
        (
            json!([file("audio/mpeg", "data:audio/mpeg;base64,AA==")]),
            json!([{"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}}]),
        ),
        (
            json!([file("application/pdf", "data:application/pdf;base64,AA==")]),
            json!([{"type": "file", "file": {
                "filename": "document.pdf", "file_data": "data:application/pdf;base64,AA==",
            }}]),
        ),
        (json!([text, file("text/plain", "data:text/plain;base64,R3LDvMOfZQ==")]), {
            json!([text, {"type": "text", "text": "Grüße"}])
        }),
        (json!([file("text/markdown", "data:,a%20b")]), json!("a b")),
    ] {
        let converted = convert(user(parts.clone()), Taste::default()).unwrap();
        assert_eq!(converted, json!([{"role": "user", "content": content}]), "{parts}");
    }
}

#[test]
fn files_that_cannot_be_sent_are_named() {
    for (part, code, path) in [
        (
            file("video/mp4", "data:video/mp4;base64,AA=="),
            ErrorCode::UnsupportedContent,
            "messages[0].parts[0]",
        ),
        (
            file("audio/wav", "https://example.com/a.wav"),
            ErrorCode::UnsupportedContent,
            "messages[0].parts[0]",
        ),
        (
            file("text/plain", "https://example.com/a.txt"),
            ErrorCode::UnsupportedContent,
            "messages[0].parts[0]",
        ),
        (
            file("image/png", "file:///etc/passwd"),
            ErrorCode::InvalidInput,
            "messages[0].parts[0].url",
        ),
        (
            file("text/plain", "data:text/plain;base64,%%"),
            ErrorCode::InvalidInput,
            "messages[0].parts[0].url",
        ),
        (
            file("text/plain", "data:text/plain;base64"),
            ErrorCode::InvalidInput,
            "messages[0].parts[0].url",
        ),
        (json!({"type": "data-x", "data": 1}), ErrorCode::InvalidInput, "messages[0].parts"),
    ] {
        let error = convert(user(json!([part])), Taste::default()).unwrap_err();
        assert_eq!((error.code(), error.details()[0].path.as_str()), (code, path), "{part}");
    }
}

#[test]
fn models_of_text_get_text_or_a_refusal() {
    let parts = json!([
        {"type": "text", "text": "a"}, file("image/png", "https://example.com/a.png"),
        {"type": "text", "text": "b"},
    ]);
    let error =
        convert(user(parts.clone()), Taste { text_only: true, lenient: false }).unwrap_err();
    assert_eq!(error.code(), ErrorCode::UnsupportedContent);
    assert_eq!(error.details()[0].path, "messages[0].parts[1]");
    let flat = convert(user(parts), Taste { text_only: true, lenient: true }).unwrap();
    assert_eq!(flat, json!([{"role": "user", "content": "a\nb"}]));
}

#[test]
fn an_assistant_message_falls_into_its_steps() {
    let call = |state: &str, more: Value| {
        let mut part =
            json!({"type": "tool-weather", "toolCallId": state, "state": state, "input": {"a": 1}});
        part.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        part
    };
    let messages = json!([{"role": "assistant", "parts": [
        {"type": "step-start"},
        {"type": "reasoning", "text": "hm"},
        {"type": "text", "text": "Look"},
        call("output-available", json!({"output": {"sky": "clear"}})),
        call("input-streaming", json!({})),
        {"type": "step-start"},
        call("output-available", json!({"output": "plain"})),
        call("output-error", json!({"errorText": "no data"})),
        call("output-denied", json!({"approval": {"id": "x", "approved": false, "reason": "no"}})),
        call("input-available", json!({})),
        {"type": "source-url", "sourceId": "s", "url": "https://example.com"},
        {"type": "step-start"},
        {"type": "step-start"},
        {"type": "text", "text": "Done"},
    ]}]);
    let tool_call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "weather", "arguments": "{\"a\":1}"}});
    let result =
        |id: &str, content: &str| json!({"role": "tool", "tool_call_id": id, "content": content});
    assert_eq!(
        convert(messages, Taste::default()).unwrap(),
        json!([
            {
                "role": "assistant", "content": "Look", "reasoning_content": "hm",
                "tool_calls": [tool_call("output-available")],
            },
            result("output-available", "{\"sky\":\"clear\"}"),
            {
                "role": "assistant", "content": null,
                "tool_calls": [
                    tool_call("output-available"), tool_call("output-error"),
                    tool_call("output-denied"), tool_call("input-available"),
                ],
            },
            result("output-available", "plain"),
            result("output-error", "no data"),
            result("output-denied", "no"),
            {"role": "assistant", "content": "Done"},
        ])
    );
}

fn of() -> AnswerOf {
    AnswerOf { message_id: "msg_1".to_owned(), model: "m".to_owned(), ..AnswerOf::default() }
}

fn answered(message: Value, finish: Value) -> Value {
    let answer = json!({"choices": [{"message": message, "finish_reason": finish}]});
    let completion = Completion::read(answer.to_string().as_bytes()).unwrap();
    serde_json::to_value(completion.into_message(&of())).unwrap()
}

#[test]
fn answers_become_messages() {
    let message = answered(
        json!({
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            "reasoning": "hm",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                {"type": "function", "function": {"name": "f", "arguments": "{broken"}},
            ],
        }),
        json!("function_call"),
    );
    assert_eq!(
        message,
        json!({
            "id": "msg_1", "role": "assistant",
            "parts": [
                {"type": "reasoning", "text": "hm"},
                {"type": "text", "text": "ab"},
                {"type": "dynamic-tool", "toolName": "f", "toolCallId": "c1", "state": "input-available", "input": {"x": 1}},
                {"type": "dynamic-tool", "toolName": "f", "toolCallId": "call_1_1", "state": "input-available", "input": "{broken"},
            ],
            "metadata": {"model": "m", "finishReason": "tool-calls"},
        })
    );
    for (finish, ours) in [
        (json!("stop"), "stop"),
        (json!("length"), "length"),
        (json!("content_filter"), "content-filter"),
        (json!("tool_calls"), "tool-calls"),
        (json!("strange"), "other"),
        (Value::Null, "other"),
    ] {
        let message = answered(json!({"content": null}), finish);
        assert_eq!(message["metadata"]["finishReason"], ours);
        assert_eq!(message["parts"], json!([{"type": "text", "text": ""}]));
    }
}

/// Writes down what it is told.
#[derive(Default)]
struct Listener(Vec<Value>);

impl Sink for Listener {
    fn begin(&mut self, _: &mut Out) {
        self.0.push(json!("begin"));
    }

    fn reasoning(&mut self, text: &str, _: &mut Out) {
        self.0.push(json!(["reasoning", text]));
    }

    fn signed(&mut self, block: &Value, _: &mut Out) {
        self.0.push(json!(["signed", block]));
    }

    fn text(&mut self, text: &str, _: &mut Out) {
        self.0.push(json!(["text", text]));
    }

    fn refusal(&mut self, text: &str, _: &mut Out) {
        self.0.push(json!(["refusal", text]));
    }

    fn call(&mut self, call: NewCall<'_>, _: &mut Out) {
        assert_eq!(call.at, call.index);
        self.0.push(json!(["call", call.at, call.id, call.name, call.extra]));
    }

    fn arguments(&mut self, at: usize, text: &str, _: &mut Out) {
        self.0.push(json!(["arguments", at, text]));
    }

    fn fail(&mut self, code: ErrorCode, _: &str, _: &mut Out) {
        self.0.push(json!(["fail", code]));
    }

    fn end(&mut self, end: End<'_>, _: &mut Out) {
        let finish = end.finish.map(FinishReason::as_str);
        self.0.push(json!(["end", finish, end.usage, end.stop_sequence]));
    }
}

fn told(answer: Value) -> Value {
    let completion = Completion::read(answer.to_string().as_bytes()).unwrap();
    let mut listener = Listener::default();
    completion.tell(&mut listener, &mut Out::default());
    Value::Array(listener.0)
}

#[test]
fn a_whole_answer_is_told_as_if_it_had_been_streamed() {
    let call = json!({"id": "c1", "function": {"name": "f", "arguments": "{\"x\":1}"}});
    let mut signed = json!({"id": "", "function": {"name": "g"}});
    signed["extra_content"] = json!({"sign": 1});
    let message = json!({
        "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        "reasoning_content": "", "reasoning": "hm", "refusal": "no", "tool_calls": [call, call, signed],
    });
    let other = json!({"message": {"content": "another choice"}});
    let first = json!({"message": message, "finish_reason": "tool_calls", "stop_reason": "END"});
    assert_eq!(
        told(json!({"choices": [first, other], "usage": {"completion_tokens": 5}})),
        json!([
            "begin", ["reasoning", "hm"], ["text", "ab"], ["refusal", "no"],
            ["call", 0, "c1", "f", null], ["arguments", 0, "{\"x\":1}"],
            ["call", 1, null, "f", null], ["arguments", 1, "{\"x\":1}"],
            ["call", 2, null, "g", {"sign": 1}],
            ["end", "tool-calls", {"completion_tokens": 5}, "END"],
        ])
    );
}

#[test]
fn thoughts_are_told_with_their_signatures_and_once() {
    let blocks = json!([
        {"type": "thinking", "thinking": "deep", "signature": "s1"},
        {"type": "redacted_thinking", "data": "x"},
    ]);
    let message = json!({"reasoning_content": "deep", "thinking_blocks": blocks, "content": "a"});
    assert_eq!(
        told(json!({"choices": [{"message": message, "finish_reason": "stop"}]})),
        json!([
            "begin",
            ["reasoning", "deep"],
            ["signed", blocks[0]],
            ["signed", blocks[1]],
            ["text", "a"],
            ["end", "stop", null, null],
        ])
    );
    let message = json!({"reasoning_content": "deep", "thinking_blocks": []});
    assert_eq!(
        told(json!({"choices": [{"message": message}]})),
        json!(["begin", ["reasoning", "deep"], ["end", null, null, null]])
    );
}

#[test]
fn an_answer_without_words_begins_and_ends() {
    for (finish, ours) in [
        (json!("length"), json!("length")),
        (json!("odd"), json!("other")),
        (json!(null), json!(null)),
    ] {
        // Some providers tell the number of a token where the text should stand.
        let message = json!({"content": "", "refusal": "", "tool_calls": null});
        let choice = json!({"message": message, "finish_reason": finish, "stop_reason": 128_009});
        assert_eq!(told(json!({"choices": [choice]})), json!(["begin", ["end", ours, null, null]]));
    }
}

#[test]
fn every_call_of_an_answer_has_an_id_of_its_own() {
    let call = json!({"id": "c1", "function": {"name": "f", "arguments": "{}"}});
    let message = answered(json!({"content": "", "tool_calls": [call, call]}), json!("tool_calls"));
    let ids: Vec<&Value> =
        [1, 2].iter().map(|at: &usize| &message["parts"][at]["toolCallId"]).collect();
    assert_eq!(ids, ["c1", "call_1_1"]);
}

#[test]
fn answers_that_are_none_are_refused() {
    for body in
        ["", "<html>", "[]", "{}", r#"{"choices":[]}"#, r#"{"choices":[{}]}"#, r#"{"error":"x"}"#]
    {
        assert!(Completion::read(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn normalising_joins_texts_and_never_drops_in_silence() {
    let image = json!({"type": "image_url", "image_url": {"url": "data:,"}});
    let text = |text: &str| json!({"type": "text", "text": text});
    let run = |content: Value, text_only: bool, lenient: bool| {
        let messages = json!([
            {"role": "assistant", "content": [text("kept")]},
            {"role": "user", "name": "n", "content": content},
        ]);
        let raw = RawValue::from_string(messages.to_string()).unwrap();
        let flat = normalize::messages(&raw, text_only, lenient);
        flat.map(|flat| flat.map(|flat| serde_json::from_str::<Value>(flat.get()).unwrap()))
    };
    let content = |flat: Value| flat[1]["content"].clone();
    let joined = run(json!([text("a"), text("b")]), false, false).unwrap().unwrap();
    assert_eq!(joined[0]["content"], json!([text("kept")]));
    assert_eq!(joined[1]["name"], "n");
    assert_eq!(content(joined), "a\nb");
    assert_eq!(content(run(Value::Null, false, false).unwrap().unwrap()), "");
    assert!(run(json!("text"), true, false).unwrap().is_none());
    assert!(run(json!([text("a"), image]), false, false).unwrap().is_none());
    let error = run(json!([text("a"), image]), true, false).unwrap_err();
    assert_eq!(error.details()[0].path, "messages[1].content[1]");
    assert_eq!(content(run(json!([text("a"), image]), true, true).unwrap().unwrap()), "a");
    let no_list = RawValue::from_string("{}".to_owned()).unwrap();
    assert!(normalize::messages(&no_list, true, false).unwrap().is_none());
}
