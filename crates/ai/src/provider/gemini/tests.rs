//! Both ways of the translation, without a network.

use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use downcity_core::Body;
use downcity_types::UiMessage;
use futures_util::stream;
use http_body::Body as _;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::answer::{Labels, completion, refusal};
use super::request;
use super::{schema, stream as translation};
use crate::convert::messages::{Taste, chat_messages};

/// A stream of Gemini as chunks with usage.
pub(in crate::provider) fn translate(body: Body) -> Body {
    translation::translated(body, labels(), true)
}

/// A chat request as Gemini takes it.
pub(in crate::provider) fn request(body: &Value) -> downcity_core::Result<Value> {
    request::translate(body.clone()).map(|(native, _)| native)
}

fn labels() -> Labels {
    Labels { model: "gemini-pro".to_owned(), fallback_id: "req_1".to_owned(), created: 1 }
}

fn native(mut body: Value) -> Value {
    body["model"] = json!("gemini-pro");
    if body.get("messages").is_none() {
        body["messages"] = json!([{"role": "user", "content": "Hi"}]);
    }
    request::translate(body).unwrap().0
}

fn refused(body: Value) -> (u16, String) {
    let error = request::translate(body).unwrap_err();
    (error.status().as_u16(), error.message().to_owned())
}

#[test]
fn a_request_keeps_every_setting_that_both_know() {
    let body = native(json!({
        "temperature": 0.5, "top_p": 0.9, "top_k": 3, "seed": 7, "n": 2, "stop": "END",
        "max_tokens": 100, "max_completion_tokens": 50, "presence_penalty": 0.1,
        "frequency_penalty": 0.2, "user": "u", "store": false, "logprobs": null,
        "response_format": {"type": "json_object"},
        "generationConfig": {"thinkingConfig": {"includeThoughts": true}},
        "tools": [
            {"type": "function", "function": {
                "name": "weather", "description": "Tells it", "strict": false,
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
            }},
            {"type": "function", "function": {"name": "now", "parameters": {}}},
        ],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
    }));
    assert_eq!(
        body,
        json!({
            "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
            "generationConfig": {
                "temperature": 0.5, "topP": 0.9, "topK": 3, "seed": 7, "candidateCount": 2,
                "stopSequences": ["END"], "maxOutputTokens": 50, "presencePenalty": 0.1,
                "frequencyPenalty": 0.2, "responseMimeType": "application/json",
                "thinkingConfig": {"includeThoughts": true},
            },
            "tools": [{"functionDeclarations": [
                {"name": "weather", "description": "Tells it",
                 "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}},
                {"name": "now"},
            ]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}},
        })
    );
    let tools = json!([{"type": "function", "function": {"name": "now"}}]);
    for (choice, mode) in [("auto", "AUTO"), ("none", "NONE"), ("required", "ANY")] {
        let body = native(json!({"tools": tools, "tool_choice": choice}));
        assert_eq!(body["toolConfig"]["functionCallingConfig"], json!({"mode": mode}));
    }
}

#[test]
fn a_conversation_with_parallel_calls_keeps_its_order_and_names() {
    let call = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let mut signed = call("c3", "now", "");
    signed["extra_content"] = json!({"google": {"thought_signature": "c2ln"}});
    let messages = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [
            {"type": "text", "text": "Look"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "image_url", "image_url": {"url": "https://a.example/b.JPG?x=1"}},
            {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "mp3"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,CCCC"}},
        ]},
        {"role": "assistant", "content": null, "reasoning_content": "Hm.",
         "tool_calls": [call("c1", "weather", r#"{"city":"Bern"}"#), call("c2", "weather", "[1]")]},
        {"role": "tool", "tool_call_id": "c2", "content": "cold"},
        {"role": "tool", "tool_call_id": "c1", "content": r#"{"degrees":3}"#},
        {"role": "assistant", "content": "Once more.", "annotations": [], "tool_calls": [signed]},
    ]);
    let expected = json!({
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [
                {"text": "Look"},
                {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://a.example/b.JPG?x=1"}},
                {"inlineData": {"mimeType": "audio/mp3", "data": "BBBB"}},
                {"inlineData": {"mimeType": "application/pdf", "data": "CCCC"}},
            ]},
            {"role": "model", "parts": [
                {"text": "Hm.", "thought": true},
                {"functionCall": {"name": "weather", "args": {"city": "Bern"}}},
                {"functionCall": {"name": "weather", "args": {"arguments": [1]}}},
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"name": "weather", "response": {"output": "cold"}}},
                {"functionResponse": {"name": "weather", "response": {"degrees": 3}}},
            ]},
            {"role": "model", "parts": [
                {"text": "Once more."},
                {"functionCall": {"name": "now", "args": {}}, "thoughtSignature": "c2ln"},
            ]},
        ],
    });
    assert_eq!(native(json!({"messages": messages})), expected);
    let (body, _) =
        request::translate(json!({"model": "gemini-3-pro", "messages": messages})).unwrap();
    let signature = |at: usize, part: usize| {
        body["contents"][at]["parts"][part].get("thoughtSignature").cloned()
    };
    assert_eq!(signature(1, 1), Some(json!("skip_thought_signature_validator")));
    assert_eq!(signature(1, 2), None);
    assert_eq!(signature(3, 1), Some(json!("c2ln")));
}

#[test]
fn what_gemini_cannot_take_is_refused_by_name() {
    let user = |content: Value| json!([{"role": "user", "content": content}]);
    for (field, value, at) in [
        ("logit_bias", json!({"1": 1}), "logit_bias"),
        ("logprobs", json!(true), "logprobs"),
        ("parallel_tool_calls", json!(false), "parallel_tool_calls"),
        ("reasoning_effort", json!("high"), "reasoning_effort"),
        ("generationConfig", json!({"maxOutputTokens": 9}), "generationConfig.maxOutputTokens"),
        ("tools", json!([{"type": "web_search"}]), "tools[0].type"),
        (
            "tools",
            json!([{"type": "function", "function": {"name": "a", "strict": true}}]),
            "tools[0].function.strict",
        ),
        ("response_format", json!({"type": "grammar"}), "response_format.type"),
        ("messages", user(json!([{"type": "video_url"}])), "messages[0].content[0]"),
        ("messages", json!([{"role": "user", "content": "a", "name": "Bo"}]), "messages[0].name"),
        (
            "messages",
            json!([{"role": "tool", "content": "a", "tool_call_id": "x"}]),
            "messages[0].tool_call_id",
        ),
        (
            "messages",
            user(json!([{"type": "image_url", "image_url": {"url": "data:image/png,AA"}}])),
            "messages[0].content[0].image_url.url",
        ),
    ] {
        let mut body = json!({"model": "m", "messages": user(json!("Hi"))});
        body[field] = value;
        let (status, message) = refused(body);
        assert_eq!(status, 422, "{at}: {message}");
        assert!(message.contains(at), "{at}: {message}");
    }
    for body in [
        json!({"model": "m", "messages": "Hi"}),
        json!({"model": "m", "messages": []}),
        json!({"model": "m", "messages": [{"role": "user", "content": 1}]}),
        json!({"model": "m", "messages": [{"role": "judge", "content": "a"}]}),
        json!({"model": "m", "messages": user(json!("Hi")), "temperature": "hot"}),
    ] {
        assert_eq!(refused(body.clone()).0, 400, "{body}");
    }
}

#[test]
fn an_effort_is_told_in_the_words_of_each_generation() {
    let messages = json!([{"role": "user", "content": "Hi"}]);
    let told = |model: &str, effort: &str| {
        let body = json!({"model": model, "messages": messages, "reasoning_effort": effort});
        request(&body).map(|native| native["generationConfig"]["thinkingConfig"].clone())
    };
    for (effort, budget) in
        [("none", 0), ("minimal", 1_024), ("low", 1_024), ("medium", 8_192), ("high", 24_576)]
    {
        let expected = json!({"thinkingBudget": budget});
        assert_eq!(told("gemini-2.5-flash", effort).unwrap(), expected, "{effort}");
    }
    for (effort, pro, later, flash) in [
        ("minimal", "low", "low", "minimal"),
        ("low", "low", "low", "low"),
        ("medium", "high", "medium", "medium"),
        ("high", "high", "high", "high"),
    ] {
        for (model, level) in [
            ("gemini-3-pro-preview", pro),
            ("gemini-3.1-pro-preview", later),
            ("gemini-3-flash-preview", flash),
        ] {
            let expected = json!({"thinkingLevel": level});
            assert_eq!(told(model, effort).unwrap(), expected, "{model} {effort}");
        }
    }
    for (model, effort) in
        [("gemini-3-flash", "none"), ("gemini-2.0-flash", "low"), ("gemini-2.5-pro", "much")]
    {
        let error = told(model, effort).unwrap_err();
        assert_eq!(error.details()[0].path, "reasoning_effort", "{model} {effort}");
    }
    let own = json!({"thinkingConfig": {"includeThoughts": true}});
    let body = json!({
        "model": "gemini-2.5-pro", "messages": messages, "reasoning_effort": "low",
        "generationConfig": own,
    });
    assert_eq!(request(&body).unwrap()["generationConfig"], own, "Gemini's own form counts");
}

#[test]
fn a_schema_says_the_same_in_the_subset() {
    let given = json!({
        "$schema": "x", "type": "object", "additionalProperties": false, "required": ["a"],
        "$defs": {"size": {"type": "integer", "exclusiveMinimum": 0}},
        "properties": {
            "a": {"type": ["string", "null"], "format": "email"},
            "b": {"$ref": "#/$defs/size", "description": "How large"},
            "c": {"const": "x"},
            "d": {"oneOf": [{"type": "number"}, {"type": "null"}]},
            "e": {"type": "array", "items": {"enum": ["p", "q"]}},
        },
    });
    let expected = json!({
        "type": "OBJECT", "required": ["a"],
        "properties": {
            "a": {"type": "STRING", "nullable": true, "description": "It has to match: {\"format\":\"email\"}"},
            "b": {"type": "INTEGER", "description": "How large\nIt also has to match: {\"exclusiveMinimum\":0}"},
            "c": {"type": "STRING", "enum": ["x"]},
            "d": {"nullable": true, "anyOf": [{"type": "NUMBER"}]},
            "e": {"type": "ARRAY", "items": {"type": "STRING", "enum": ["p", "q"]}},
        },
    });
    assert_eq!(schema::convert(&given, "p").unwrap(), expected);
    for endless in [json!({"$ref": "#"}), json!({"$ref": "#/nowhere"}), json!(false)] {
        assert_eq!(schema::convert(&endless, "p").unwrap_err().status().as_u16(), 422);
    }
}

#[test]
fn an_answer_of_every_kind_of_part_becomes_a_completion() {
    let answer = json!({
        "responseId": "r1",
        "candidates": [{"content": {"role": "model", "parts": [
            {"text": "Hm.", "thought": true}, {"text": "Hel"}, {"text": "lo"},
            {"functionCall": {"name": "weather", "args": {"city": "Bern"}}, "thoughtSignature": "c2ln"},
            {"functionCall": {"name": "now"}}, {"executableCode": {"code": "1"}}, 7,
        ]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 3, "thoughtsTokenCount": 2,
                          "cachedContentTokenCount": 4, "totalTokenCount": 15},
    });
    assert_eq!(
        completion(&answer, &labels()).unwrap(),
        json!({
            "id": "chatcmpl-r1", "object": "chat.completion", "created": 1, "model": "gemini-pro",
            "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
                "role": "assistant", "content": "Hello", "reasoning_content": "Hm.",
                "tool_calls": [
                    {"id": "call_r1_0_0", "type": "function",
                     "function": {"name": "weather", "arguments": "{\"city\":\"Bern\"}"},
                     "extra_content": {"google": {"thought_signature": "c2ln"}}},
                    {"id": "call_r1_0_1", "type": "function", "function": {"name": "now", "arguments": "{}"}},
                ],
            }}],
            "usage": {
                "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 2},
            },
        })
    );
    for (reason, expected) in [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "malformed_function_call"),
    ] {
        let answer = json!({"candidates": [{"finishReason": reason}]});
        let whole = completion(&answer, &labels()).unwrap();
        assert_eq!(whole["choices"][0]["finish_reason"], expected);
        assert_eq!(whole.get("usage"), None);
    }
    let blocked = completion(&json!({"promptFeedback": {"blockReason": "SAFETY"}}), &labels());
    assert_eq!(blocked.unwrap()["choices"][0]["finish_reason"], "content_filter");
    for nothing in [json!({}), json!([]), json!({"candidates": []}), json!("x")] {
        assert!(completion(&nothing, &labels()).is_none(), "{nothing}");
    }
}

#[test]
fn an_error_tells_whose_fault_it_is_and_how_long_to_wait() {
    let error = |details: Value| {
        let body = json!({"error": {"code": 400, "message": "No", "status": "INVALID_ARGUMENT", "details": details}});
        refusal(body.to_string().as_bytes()).unwrap()
    };
    let plain = error(json!([]));
    assert_eq!(
        plain.body,
        json!({"error": {"message": "No", "type": "invalid_request_error", "param": null, "code": "invalid_argument"}})
    );
    assert!(!plain.is_key_fault && plain.retry_after.is_none());
    assert!(error(json!([{"reason": "API_KEY_INVALID"}])).is_key_fault);
    assert_eq!(error(json!([{"retryDelay": "33.4s"}])).retry_after, Some(34));
    assert_eq!(error(json!([{"retryDelay": "soon"}])).retry_after, None);
    assert!(refusal(b"<html>").is_none());
}

/// The stream that these pieces become, and whether it broke.
fn streamed(pieces: Vec<Bytes>) -> (String, bool) {
    let pieces = pieces.into_iter().map(Ok::<_, std::io::Error>);
    let body = Body::from_stream(stream::iter(pieces));
    let mut body = translation::translated(body, labels(), true);
    let mut cx = Context::from_waker(Waker::noop());
    let mut out = Vec::new();
    loop {
        match std::pin::Pin::new(&mut body).poll_frame(&mut cx) {
            Poll::Ready(Some(Ok(frame))) => out.extend(frame.into_data().unwrap()),
            Poll::Ready(Some(Err(_))) => return (String::from_utf8(out).unwrap(), true),
            Poll::Ready(None) => return (String::from_utf8(out).unwrap(), false),
            Poll::Pending => panic!("everything is there"),
        }
    }
}

fn stream_text() -> String {
    let usage = |count: u64| json!({"promptTokenCount": 10, "candidatesTokenCount": count});
    let event = |parts: Value, finish: Value, count: u64| {
        let candidate = json!({"content": {"parts": parts}, "finishReason": finish, "index": 0});
        let event =
            json!({"responseId": "r1", "candidates": [candidate], "usageMetadata": usage(count)});
        format!("data: {event}\r\n\r\n")
    };
    let call = |city: &str| json!([{"functionCall": {"name": "weather", "args": {"city": city}}}]);
    [
        event(json!([{"text": "Hm", "thought": true}]), Value::Null, 1),
        event(json!([{"text": "Grüße"}, {"inlineData": {}}]), Value::Null, 2),
        event(call("Bern"), Value::Null, 3),
        event(call("Rom"), json!("STOP"), 5),
    ]
    .concat()
}

#[test]
fn a_stream_is_the_same_chunks_at_every_cut() {
    let text = stream_text();
    let (whole, broken) = streamed(vec![text.clone().into()]);
    assert!(!broken && whole.ends_with("data: [DONE]\n\n"));
    let chunks: Vec<Value> = whole
        .split_terminator("\n\n")
        .filter_map(|event| serde_json::from_str(event.strip_prefix("data: ")?).ok())
        .collect();
    let deltas: Vec<&Value> =
        chunks.iter().filter_map(|chunk| chunk.pointer("/choices/0/delta")).collect();
    assert_eq!(deltas[0], &json!({"role": "assistant", "reasoning_content": "Hm"}));
    assert_eq!(deltas[1], &json!({"content": "Grüße"}));
    assert_eq!(deltas[2]["tool_calls"][0]["index"], 0);
    assert_eq!(deltas[3]["tool_calls"][0]["id"], "call_r1_0_1");
    assert_eq!(chunks[3]["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(chunks.len(), 5);
    assert_eq!(chunks[4]["choices"], json!([]));
    assert_eq!(chunks[4]["usage"]["completion_tokens"], 5);
    for cut in 0..=text.len() {
        let bytes = Bytes::from(text.clone());
        assert_eq!(streamed(vec![bytes.slice(..cut), bytes.slice(cut..)]).0, whole, "{cut}");
    }
}

#[test]
fn a_stream_that_is_cut_tells_what_was_used_and_no_end() {
    let text = stream_text();
    let end = text.match_indices("\r\n\r\n").nth(2).unwrap().0 + 4;
    let (cut, _) = streamed(vec![Bytes::from(text[..end].to_owned())]);
    assert!(!cut.contains("[DONE]") && cut.contains(r#""completion_tokens":3"#), "{cut}");
    let (odd, _) = streamed(vec!["data: <html>\n\n".into()]);
    assert!(odd.contains("upstream_invalid") && !odd.contains("html"), "{odd}");
    let error = r#"data: {"error":{"code":503,"message":"Busy","status":"UNAVAILABLE"}}"#;
    let (failed, _) = streamed(vec![format!("{error}\n\n").into()]);
    assert!(failed.contains(r#""message":"Busy""#) && !failed.contains("[DONE]"), "{failed}");
    assert_eq!(streamed(Vec::new()), (String::new(), false));
    let blocked = r#"data: {"promptFeedback":{"blockReason":"SAFETY"}}"#;
    assert!(streamed(vec![format!("{blocked}\n\n").into()]).0.contains("content_filter"));
}

fn part() -> impl Strategy<Value = Value> {
    let word = "[a-zé\"\\\\]{1,6}";
    prop_oneof![
        word.prop_map(|text| json!({"type": "text", "text": text})),
        word.prop_map(|text| json!({"type": "reasoning", "text": text})),
        Just(json!({"type": "step-start"})),
        Just(
            json!({"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AAAA"})
        ),
        (word, word, 0u32..1_000).prop_map(|(input, output, id)| json!({
            "type": "tool-weather", "toolCallId": format!("c{id}"), "state": "output-available",
            "input": {"city": input}, "output": output,
        })),
    ]
}

/// Counts what a conversation says, whoever says it and in whatever form.
fn count(
    texts: impl IntoIterator<Item = (&'static str, String)>,
) -> BTreeMap<(&'static str, String), usize> {
    let mut counted = BTreeMap::new();
    for text in texts {
        *counted.entry(text).or_default() += 1;
    }
    counted
}

fn said_by_native(body: &Value) -> Vec<(&'static str, String)> {
    let parts = body["contents"].as_array().into_iter().flatten();
    let parts = parts.flat_map(|content| content["parts"].as_array().unwrap());
    parts
        .map(|part| {
            if let Some(call) = part.get("functionCall") {
                return ("call", call["args"]["city"].as_str().unwrap().to_owned());
            }
            if let Some(result) = part.get("functionResponse") {
                assert_eq!(result["name"], "weather");
                return ("result", result["response"]["output"].as_str().unwrap().to_owned());
            }
            match (part.get("inlineData"), part.get("thought")) {
                (Some(data), _) => ("file", data["data"].as_str().unwrap().to_owned()),
                (None, Some(_)) => ("thought", part["text"].as_str().unwrap().to_owned()),
                (None, None) => ("text", part["text"].as_str().unwrap().to_owned()),
            }
        })
        .collect()
}

/// The same of UI messages. The texts of one step of the model are one text.
fn said_by_ui(messages: &[Value]) -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    for message in messages {
        let is_user = message["role"] == "user";
        let (mut text, mut thought) = (String::new(), String::new());
        for part in message["parts"].as_array().unwrap() {
            let word = part["text"].as_str().unwrap_or_default();
            match part["type"].as_str().unwrap() {
                "text" if is_user => out.push(("text", word.to_owned())),
                "file" if is_user => out.push(("file", "AAAA".to_owned())),
                "text" => text.push_str(word),
                "reasoning" if !is_user => thought.push_str(word),
                "tool-weather" if !is_user => {
                    out.push(("call", part["input"]["city"].as_str().unwrap().to_owned()));
                    out.push(("result", part["output"].as_str().unwrap().to_owned()));
                }
                "step-start" if !is_user => {
                    out.push(("text", std::mem::take(&mut text)));
                    out.push(("thought", std::mem::take(&mut thought)));
                }
                _ => {}
            }
        }
        out.push(("text", text));
        out.push(("thought", thought));
    }
    out.retain(|(_, text)| !text.is_empty());
    out
}

proptest! {
    #[test]
    fn a_conversation_loses_nothing_that_both_can_express(
        turns in prop::collection::vec((any::<bool>(), prop::collection::vec(part(), 1..6)), 0..5),
    ) {
        let mut messages = vec![json!({"role": "user", "parts": [{"type": "text", "text": "Hi"}]})];
        for (is_user, mut parts) in turns {
            if is_user {
                parts.push(json!({"type": "text", "text": "ok"}));
            } else {
                // Files are for users to send.
                parts.retain(|part| part["type"] != "file");
            }
            messages.push(json!({"role": if is_user { "user" } else { "assistant" }, "parts": parts}));
        }
        let ui: Vec<UiMessage> = serde_json::from_value(json!(messages)).unwrap();
        let chat = chat_messages(&ui, Taste::default()).unwrap();
        let body = native(json!({"messages": chat}));
        prop_assert_eq!(count(said_by_native(&body)), count(said_by_ui(&messages)));
    }
}
