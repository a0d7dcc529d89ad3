//! Translation in both directions, without a network.

use bytes::Bytes;
use downcity_core::Body;
use http_body_util::BodyExt as _;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{answer, request, stream};
use crate::convert::messages::{Taste, chat_messages};

/// A stream of the API as chunks with usage.
pub(in crate::provider) fn translate(body: Body) -> Body {
    stream::translate(body, 7, true)
}

/// A chat request as the API takes it.
pub(in crate::provider) fn request(body: &Value) -> downcity_core::Result<Value> {
    let (native, _) = request::translate(&serde_json::to_vec(body).unwrap())?;
    Ok(serde_json::from_slice(&native).unwrap())
}

fn translated(body: Value) -> Value {
    let (native, _) = request::translate(&serde_json::to_vec(&body).unwrap()).unwrap();
    serde_json::from_slice(&native).unwrap()
}

fn refused(body: Value) -> (u16, String) {
    let error = request::translate(&serde_json::to_vec(&body).unwrap()).unwrap_err();
    (error.status().as_u16(), error.message().to_owned())
}

fn user() -> Value {
    json!([{"role": "user", "content": "Hi"}])
}

#[test]
fn a_conversation_with_everything() {
    let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}});
    let native = translated(json!({
        "model": "claude", "stream": true, "stream_options": {"include_usage": true},
        "temperature": 0.5, "top_p": 0.9, "stop": "END", "max_tokens": 7, "user": "u", "n": 1,
        "seed": null, "thinking": {"type": "enabled", "budget_tokens": 1024},
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "And kind."}]},
            {"role": "user", "content": [
                {"type": "text", "text": "Look", "cache_control": {"type": "ephemeral"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,AA=="}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
            ]},
            {"role": "assistant", "content": "So", "reasoning_content": "hm", "tool_calls": [
                call("a.1", "{\"x\":1}"), call("b", ""), call("c", "broken"),
            ]},
            {"role": "tool", "tool_call_id": "a.1", "content": "one"},
            {"role": "tool", "tool_call_id": "b", "content": ""},
            {"role": "tool", "tool_call_id": "c", "content": "three"},
            {"role": "user", "content": "Go on"},
            {"role": "assistant", "content": "Then \n"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "", "parameters": {}}},
            {"type": "function", "function": {"name": "g", "description": "G", "strict": true,
                "parameters": {"type": "object", "properties": {"x": {"type": "number"}}}}},
        ],
        "tool_choice": "required", "parallel_tool_calls": false,
    }));
    let pdf = json!({"type": "base64", "media_type": "application/pdf", "data": "AA=="});
    let jpeg = json!({"type": "base64", "media_type": "image/jpeg", "data": "AA=="});
    let text = |text: &str| json!({"type": "text", "text": text});
    let expected = json!({
        "model": "claude", "stream": true, "temperature": 0.5, "top_p": 0.9,
        "stop_sequences": ["END"], "max_tokens": 7, "metadata": {"user_id": "u"},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "system": [text("Be brief."), text("And kind.")],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "Look", "cache_control": {"type": "ephemeral"}},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                {"type": "image", "source": jpeg},
                {"type": "document", "source": pdf, "title": "a.pdf"},
            ]},
            {"role": "assistant", "content": [
                text("So"),
                {"type": "tool_use", "id": "a_2e1", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "b", "name": "f", "input": {}},
                {"type": "tool_use", "id": "c", "name": "f", "input": {"arguments": "broken"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "a_2e1", "content": [text("one")]},
                {"type": "tool_result", "tool_use_id": "b"},
                {"type": "tool_result", "tool_use_id": "c", "content": [text("three")]},
                text("Go on"),
            ]},
            {"role": "assistant", "content": [text("Then")]},
        ],
        "tools": [
            {"name": "f", "input_schema": {"type": "object", "properties": {}}},
            {"name": "g", "description": "G", "strict": true,
                "input_schema": {"type": "object", "properties": {"x": {"type": "number"}}}},
        ],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
    });
    assert_eq!(native, expected);
}

#[test]
fn limits_and_choices_of_tools() {
    let with = |name: &str, value: Value| {
        let tool = json!({"type": "function", "function": {"name": "f"}});
        let mut body = json!({"model": "m", "messages": user(), "tools": [tool]});
        body[name] = value;
        translated(body)
    };
    assert_eq!(with("max_tokens", Value::Null)["max_tokens"], 4096);
    assert_eq!(with("max_completion_tokens", json!(9))["max_tokens"], 9);
    let choice = |value: Value| with("tool_choice", value)["tool_choice"].clone();
    assert_eq!(choice(Value::Null), Value::Null);
    assert_eq!(choice(json!("auto")), json!({"type": "auto"}));
    assert_eq!(choice(json!("none")), json!({"type": "none"}));
    let one = json!({"type": "function", "function": {"name": "f"}});
    assert_eq!(choice(one), json!({"type": "tool", "name": "f"}));
    let single = with("parallel_tool_calls", json!(false));
    let expected = json!({"type": "auto", "disable_parallel_tool_use": true});
    assert_eq!(single["tool_choice"], expected);
}

#[test]
fn the_effort_and_the_form_of_an_answer() {
    let with = |fields: Value| {
        let mut body = json!({"model": "m", "messages": user()});
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        translated(body)
    };
    let config = |fields: Value| with(fields).get("output_config").cloned();
    for (word, effort) in
        [("minimal", "low"), ("low", "low"), ("medium", "medium"), ("high", "high"), ("max", "max")]
    {
        assert_eq!(config(json!({"reasoning_effort": word})), Some(json!({"effort": effort})));
    }
    let none = with(json!({"reasoning_effort": "none"}));
    assert_eq!(none["thinking"], json!({"type": "disabled"}));
    assert_eq!(none.get("output_config"), None);
    let schema = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
    let native = json!({"type": "json_schema", "schema": schema});
    assert_eq!(config(json!({"response_format": format})), Some(json!({"format": native})));
    assert_eq!(config(json!({"response_format": {"type": "text"}})), None);
    // The API's own words come first.
    let own = json!({"output_config": {"effort": "low"}, "reasoning_effort": "high", "response_format": format});
    assert_eq!(config(own), Some(json!({"effort": "low", "format": native})));
    let body =
        json!({"model": "m", "messages": user(), "response_format": {"type": "json_schema"}});
    let (status, message) = refused(body);
    assert!(status == 400 && message.contains("response_format.json_schema.schema"), "{message}");
}

#[test]
fn signed_thinking_failed_results_and_marks_reach_the_api() {
    let mark = json!({"type": "ephemeral"});
    let thinking = json!({"type": "thinking", "thinking": "hm", "signature": "s"});
    let hidden = json!({"type": "redacted_thinking", "data": "x"});
    let unsigned = json!({"type": "thinking", "thinking": "of another model", "signature": ""});
    let function = json!({"name": "f", "arguments": "{}"});
    let native = translated(json!({
        "model": "m",
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": null, "thinking_blocks": [thinking, unsigned, hidden],
                "tool_calls": [{"id": "a", "type": "function", "function": function, "cache_control": mark}]},
            {"role": "tool", "tool_call_id": "a", "content": "no", "is_error": true, "cache_control": mark},
        ],
        "tools": [{"type": "function", "function": {"name": "f"}, "cache_control": mark}],
    }));
    let call =
        json!({"type": "tool_use", "id": "a", "name": "f", "input": {}, "cache_control": mark});
    assert_eq!(native["messages"][1]["content"], json!([thinking, hidden, call]));
    let result = json!({"type": "tool_result", "tool_use_id": "a", "is_error": true,
        "content": [{"type": "text", "text": "no"}], "cache_control": mark});
    assert_eq!(native["messages"][2]["content"], json!([result]));
    assert_eq!(native["tools"][0]["cache_control"], mark);
}

#[test]
fn the_text_at_which_an_answer_stopped_is_told() {
    let delta = json!({"stop_reason": "stop_sequence", "stop_sequence": "END"});
    let end = json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 1}});
    let (text, _) = chunks(&[format!("data: {end}\n\n").as_bytes()]);
    let chunk: Value = serde_json::from_str(text.trim().strip_prefix("data: ").unwrap()).unwrap();
    let choice = json!({"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": "END"});
    assert_eq!(chunk["choices"], json!([choice]));
}

#[test]
fn what_the_api_cannot_take_is_named() {
    for (name, value) in [
        ("logprobs", json!(true)),
        ("n", json!(2)),
        ("seed", json!(1)),
        ("temperature", json!(1.5)),
        ("frequency_penalty", json!(0.1)),
        ("response_format", json!({"type": "json_object"})),
        ("reasoning_effort", json!("extreme")),
        ("functions", json!([])),
        ("future", json!(1)),
    ] {
        let mut body = json!({"model": "m", "messages": user()});
        body[name] = value;
        let (status, message) = refused(body);
        assert!(status == 422 && message.contains(name), "{name}: {status} {message}");
    }
    for (part, name) in [
        (json!({"type": "input_audio"}), "messages[0].content[0]"),
        (json!({"type": "file", "file": {"file_id": "x"}}), "file_data"),
        (json!({"type": "image_url", "image_url": {"url": "data:image/bmp;base64,AA=="}}), "bmp"),
    ] {
        let messages = json!([{"role": "user", "content": [part]}]);
        let (status, message) = refused(json!({"model": "m", "messages": messages}));
        assert!(status == 422 && message.contains(name), "{name}: {status} {message}");
    }
    for messages in [json!([]), json!(1), json!([{"role": "user", "content": ""}])] {
        assert_eq!(refused(json!({"model": "m", "messages": messages})).0, 400);
    }
}

/// Every kind of event, with two tool calls side by side.
fn events() -> String {
    let usage = json!({"input_tokens": 10, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2, "output_tokens": 1});
    let block = |index: u64, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let delta = |index: u64, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let stop = |index: u64| json!({"type": "content_block_stop", "index": index});
    let events = [
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "claude", "content": [], "usage": usage}}),
        block(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        json!({"type": "ping"}),
        delta(0, json!({"type": "thinking_delta", "thinking": "hm ☕"})),
        delta(0, json!({"type": "signature_delta", "signature": "abc"})),
        stop(0),
        block(1, json!({"type": "text", "text": ""})),
        delta(1, json!({"type": "text_delta", "text": "Grüße \"🦀\"\n"})),
        stop(1),
        json!({"type": "from_the_future", "delta": {"type": "x"}}),
        block(2, json!({"type": "tool_use", "id": "a", "name": "f", "input": {}})),
        delta(2, json!({"type": "input_json_delta", "partial_json": ""})),
        delta(2, json!({"type": "input_json_delta", "partial_json": "{\"x\":"})),
        delta(2, json!({"type": "input_json_delta", "partial_json": "1}"})),
        stop(2),
        block(3, json!({"type": "tool_use", "id": "b", "name": "g", "input": {}})),
        stop(3),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"output_tokens": 5}}),
        json!({"type": "message_stop"}),
    ];
    let events = events.iter();
    events
        .map(|data| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap()))
        .collect()
}

/// The chunks of a body that arrives in these pieces, and whether it ended well.
fn chunks(pieces: &[&[u8]]) -> (String, bool) {
    let pieces: Vec<_> =
        pieces.iter().map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece))).collect();
    let native = Body::from_stream(futures_util::stream::iter(pieces));
    let mut body = stream::translate(native, 7, true);
    let mut out = Vec::new();
    let ended = futures_util::FutureExt::now_or_never(async {
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => out.extend_from_slice(&frame.into_data().unwrap()),
                Err(_) => return false,
            }
        }
        true
    });
    (String::from_utf8(out).unwrap(), ended.expect("nothing is waited for"))
}

#[test]
fn a_stream_is_the_same_wherever_it_is_cut() {
    let events = events();
    let (whole, ended) = chunks(&[events.as_bytes()]);
    assert!(ended);
    let deltas: Vec<Value> = whole
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: {"))
        .map(|data| serde_json::from_str(&format!("{{{data}")).unwrap())
        .collect();
    for chunk in &deltas {
        assert_eq!(chunk["id"], "msg_1");
        assert_eq!(chunk["model"], "claude");
        assert_eq!(chunk["created"], 7);
    }
    let call = |call: Value| json!({ "tool_calls": [call] });
    let arguments =
        |at: u64, text: &str| call(json!({"index": at, "function": {"arguments": text}}));
    let begun = |at: u64, id: &str, name: &str| {
        let function = json!({"name": name, "arguments": ""});
        call(json!({"index": at, "id": id, "type": "function", "function": function}))
    };
    let expected = [
        json!({"role": "assistant", "content": ""}),
        json!({"reasoning_content": "hm ☕"}),
        json!({"thinking_blocks": [{"type": "thinking", "thinking": "hm ☕", "signature": "abc"}]}),
        json!({"content": "Grüße \"🦀\"\n"}),
        begun(0, "a", "f"),
        arguments(0, "{\"x\":"),
        arguments(0, "1}"),
        begun(1, "b", "g"),
        arguments(1, "{}"),
        json!({}),
    ];
    assert_eq!(deltas.len(), expected.len() + 1);
    for (chunk, delta) in deltas.iter().zip(&expected) {
        assert_eq!(chunk["choices"][0]["delta"], *delta);
    }
    assert_eq!(deltas[9]["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(deltas[10]["choices"], json!([]));
    assert_eq!(
        deltas[10]["usage"],
        json!({
            "prompt_tokens": 16, "completion_tokens": 5, "total_tokens": 21,
            "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
        })
    );
    assert!(whole.contains("\n\n: ping\n\n") && whole.ends_with("data: [DONE]\n\n"));
    for at in 0..=events.len() {
        let (left, right) = events.as_bytes().split_at(at);
        assert_eq!(chunks(&[left, right]), (whole.clone(), true), "cut at {at}");
    }
    let bytes: Vec<&[u8]> = events.as_bytes().chunks(1).collect();
    assert_eq!(chunks(&bytes), (whole.clone(), true));
    // What arrives of a stream that breaks off is the beginning of the same chunks, without an end.
    for at in 0..events.len() - 2 {
        let (part, _) = chunks(&[&events.as_bytes()[..at]]);
        assert!(whole.starts_with(&part) && !part.contains("[DONE]"), "ended at {at}");
    }
}

#[test]
fn failures_within_a_stream() {
    let start = "data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"c\"}}\n\n";
    let overloaded = "data: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
    let (text, ended) = chunks(&[start.as_bytes(), overloaded.as_bytes(), start.as_bytes()]);
    let error = json!({"error": {"message": "Overloaded", "type": "overloaded_error", "param": null, "code": "overloaded_error"}});
    assert!(ended && text.ends_with(&format!("data: {error}\n\n")), "{text}");
    let (text, _) = chunks(&[start.as_bytes(), b"data: {broken\n\n"]);
    assert!(text.contains("unreadable") && !text.contains("broken"), "{text}");
    let (text, _) = chunks(&[start.as_bytes(), b"data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"\xff\"}}\n\n"]);
    assert!(!text.contains("[DONE]"), "{text}");
    // Without its last word on usage nothing is told: the words of the beginning count no output.
    let end = "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\ndata: {\"type\":\"message_stop\"}\n\n";
    let (text, _) = chunks(&[start.as_bytes(), end.as_bytes()]);
    assert!(!text.contains("usage") && text.contains("\"finish_reason\":\"stop\""), "{text}");
}

#[test]
fn whole_answers() {
    let native = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "x"},
            {"type": "redacted_thinking", "data": "x"},
            {"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"},
            {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
            {"type": "tool_use", "id": "b", "name": "g", "input": {}},
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 3, "output_tokens": 5},
    });
    let call = |id: &str, name: &str, arguments: &str| {
        let function = json!({"name": name, "arguments": arguments});
        json!({"id": id, "type": "function", "function": function})
    };
    assert_eq!(
        answer::message(&native, 7).unwrap(),
        json!({
            "id": "msg_1", "object": "chat.completion", "created": 7, "model": "claude",
            "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
                "role": "assistant", "content": "Hello", "reasoning_content": "hm",
                "thinking_blocks": [
                    {"type": "thinking", "thinking": "hm", "signature": "x"},
                    {"type": "redacted_thinking", "data": "x"},
                ],
                "tool_calls": [call("a", "f", "{\"x\":1}"), call("b", "g", "{}")],
            }}],
            "usage": {
                "prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8,
                "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            },
        })
    );
    for (native, expected) in [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("pause_turn", "stop"),
    ] {
        assert_eq!(answer::finish_reason(native), expected);
    }
    for broken in [json!(""), json!([]), json!({}), json!({"content": 1})] {
        assert_eq!(answer::message(&broken, 7), None, "{broken}");
    }
}

/// Parts that both a UI message and the API can express.
fn part() -> impl Strategy<Value = Value> {
    let text = "[a-zäß🦀\"\\\\]{1,12}";
    prop_oneof![
        text.prop_map(|text| json!({"type": "text", "text": text})),
        "[A-Za-z0-9]{4}".prop_map(|data| json!({
            "type": "file", "mediaType": "image/png", "url": format!("data:image/png;base64,{data}"),
        })),
        "[a-z]{1,8}".prop_map(|name| json!({
            "type": "file", "mediaType": "image/png", "url": format!("https://example.com/{name}"),
        })),
        ("[A-Za-z0-9]{4}", "[a-z]{1,8}").prop_map(|(data, name)| json!({
            "type": "file", "mediaType": "application/pdf", "filename": name,
            "url": format!("data:application/pdf;base64,{data}"),
        })),
    ]
}

fn call() -> impl Strategy<Value = Value> {
    ("[A-Za-z0-9_-]{1,10}", "[a-z]{1,8}", "[a-z🦀]{1,8}", "[a-zß ]{1,8}").prop_map(
        |(id, name, input, output)| {
            json!({
                "type": "dynamic-tool", "toolCallId": id, "toolName": name,
                "state": "output-available", "input": {"q": input}, "output": output,
            })
        },
    )
}

/// The blocks of a native request, back as parts of UI messages.
fn parts_of(native: &Value) -> Vec<Value> {
    let blocks = native["messages"].as_array().unwrap().iter();
    let blocks = blocks.flat_map(|message| message["content"].as_array().unwrap());
    let mut parts: Vec<Value> = Vec::new();
    for block in blocks {
        let source = &block["source"];
        let data = |kind: &str| format!("data:{kind};base64,{}", source["data"].as_str().unwrap());
        match (block["type"].as_str().unwrap(), source["type"].as_str()) {
            ("text", _) => parts.push(block.clone()),
            ("image", Some("url")) => {
                parts.push(json!({"type": "file", "mediaType": "image/png", "url": source["url"]}))
            }
            ("image", _) => parts
                .push(json!({"type": "file", "mediaType": "image/png", "url": data("image/png")})),
            ("document", _) => parts.push(json!({
                "type": "file", "mediaType": "application/pdf", "filename": block["title"],
                "url": data("application/pdf"),
            })),
            ("tool_use", _) => parts.push(json!({
                "type": "dynamic-tool", "toolCallId": block["id"], "toolName": block["name"],
                "state": "output-available", "input": block["input"], "output": null,
            })),
            ("tool_result", _) => {
                let open = |part: &&mut Value| {
                    part["toolCallId"] == block["tool_use_id"] && part["output"].is_null()
                };
                let call = parts.iter_mut().find(open).expect("a call for every result");
                call["output"] = block["content"][0]["text"].clone();
            }
            (other, _) => panic!("{other}"),
        }
    }
    parts
}

proptest! {
    #[test]
    fn nothing_that_both_express_is_lost(
        turns in proptest::collection::vec((
            proptest::collection::vec(part(), 1..5),
            "[a-z]{1,8}",
            proptest::collection::vec(call(), 0..4),
        ), 1..5),
        last in proptest::collection::vec(part(), 1..3),
    ) {
        let mut messages = Vec::new();
        let mut expected = Vec::new();
        for (asked, said, calls) in turns {
            expected.extend(asked.iter().cloned());
            messages.push(json!({"role": "user", "parts": asked}));
            let mut parts = vec![json!({"type": "text", "text": said})];
            parts.extend(calls);
            expected.extend(parts.iter().cloned());
            messages.push(json!({"role": "assistant", "parts": parts}));
        }
        expected.extend(last.iter().cloned());
        messages.push(json!({"role": "user", "parts": last}));
        let messages = serde_json::from_value::<Vec<_>>(Value::Array(messages)).unwrap();
        let chat = chat_messages(&messages, Taste::default()).unwrap();
        let native = translated(json!({"model": "m", "messages": chat}));
        prop_assert_eq!(parts_of(&native), expected);
        let roles = native["messages"].as_array().unwrap();
        prop_assert!(roles.windows(2).all(|pair| pair[0]["role"] != pair[1]["role"]));
    }
}
