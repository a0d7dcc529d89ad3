//! The translation of requests, and the events of answers, without a network.

use downcity_fuzz::check;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::answer::Head;
use super::request::{Request, Taste};
use super::stream::ResponseSink;
use crate::config::MaxTokensField;
use crate::convert::answer::Completion;
use crate::mask::Mask;
use crate::stream::encoder::{Encoder, Out};

fn read(body: &Value) -> downcity_core::Result<Request> {
    Request::read(body.to_string().as_bytes())
}

fn taste(takes_thinking: bool) -> Taste {
    Taste { max_tokens_field: MaxTokensField::MaxTokens, takes_thinking }
}

/// The chat request of a good one.
fn chat(body: &Value) -> Value {
    let request = read(body).unwrap_or_else(|error| panic!("{body}: {error:?}"));
    Value::Object(request.chat(taste(false)))
}

fn messages(input: Value) -> Value {
    chat(&json!({ "input": input }))["messages"].take()
}

/// Status and field of a request that is refused.
fn refused(body: &Value) -> (u16, String) {
    let error = read(body).expect_err(&body.to_string());
    (error.status().as_u16(), error.details()[0].path.clone())
}

#[test]
fn a_request_is_one_for_a_chat_completion() {
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let body = json!({
        "model": "m", "input": "Hi", "instructions": "Be brief", "max_output_tokens": 9,
        "temperature": 0.5, "top_p": 0.9, "user": "u", "stream": true, "store": false,
        "tools": [{"type": "function", "name": "weather", "description": "d", "parameters": parameters, "strict": true}],
        "tool_choice": {"type": "function", "name": "weather"}, "parallel_tool_calls": false,
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {}, "strict": true}, "verbosity": "low"},
        "reasoning": {"effort": "high", "summary": "auto"}, "metadata": {"a": "b"},
        "include": [], "background": false, "previous_response_id": null, "truncation": "disabled",
        "city_id": "c", "user_id": "u", "top_logprobs": 0, "service_tier": "flex",
    });
    let function =
        json!({"name": "weather", "description": "d", "parameters": parameters, "strict": true});
    assert_eq!(
        chat(&body),
        json!({
            "messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}],
            "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "user": "u",
            "stream": true, "tools": [{"type": "function", "function": function}],
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
            "parallel_tool_calls": false,
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": true}},
            "verbosity": "low", "reasoning_effort": "high", "service_tier": "flex",
        })
    );
    let echo = read(&body).unwrap().echo;
    for name in [
        "instructions",
        "max_output_tokens",
        "temperature",
        "tool_choice",
        "text",
        "metadata",
        "user",
    ] {
        assert_eq!(echo[name], body[name], "{name}");
    }
    assert_eq!(echo["reasoning"], json!({"effort": "high", "summary": "auto"}));
    assert_eq!((&echo["store"], &echo["tools"][0]["strict"]), (&json!(false), &json!(true)));
}

#[test]
fn what_says_nothing_asks_for_nothing() {
    let body = json!({
        "input": "Hi", "tools": [], "tool_choice": "auto", "parallel_tool_calls": true,
        "text": {"format": {"type": "text"}}, "instructions": "", "reasoning": {}, "include": null,
    });
    let messages = json!([{"role": "user", "content": "Hi"}]);
    assert_eq!(chat(&body), json!({"messages": messages, "stream": false}));
    let echo = read(&json!({"input": "Hi"})).unwrap().echo;
    assert_eq!(echo["text"], json!({"format": {"type": "text"}}));
    assert_eq!(echo["tool_choice"], "auto");
    assert_eq!(echo["metadata"], json!({}));
    assert_eq!(echo["store"], false);
}

#[test]
fn items_become_messages() {
    let call =
        |id: &str| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"});
    let made = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let output = |id: &str| json!({"type": "function_call_output", "call_id": id, "output": "1"});
    let told = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "1"});
    let said = |text: &str| {
        json!({
            "type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}],
        })
    };
    let thought = json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}]});
    let cases = [
        (
            json!([{"role": "developer", "content": "D"}]),
            json!([{"role": "system", "content": "D"}]),
        ),
        (
            json!([{"role": "user", "content": [
                {"type": "input_text", "text": "a"},
                {"type": "input_image", "image_url": "https://x/y.png", "detail": "low", "file_id": null},
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,eA=="},
                {"type": "input_audio", "input_audio": {"data": "eA==", "format": "wav"}},
            ]}]),
            json!([{"role": "user", "content": [
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,eA==", "filename": "a.pdf"}},
                {"type": "input_audio", "input_audio": {"data": "eA==", "format": "wav"}},
            ]}]),
        ),
        (
            json!([{"role": "user", "content": [{"type": "input_text", "text": "a"}]}]),
            json!([{"role": "user", "content": "a"}]),
        ),
        // One turn is one message, with its calls at once, as their outputs have to follow it.
        (
            json!([
                thought,
                said("Let me see"),
                call("a"),
                call("b"),
                output("a"),
                output("b"),
                said("1")
            ]),
            json!([
                {"role": "assistant", "content": "Let me see", "reasoning_content": "Hm", "tool_calls": [made("a"), made("b")]},
                told("a"), told("b"), {"role": "assistant", "content": "1"},
            ]),
        ),
        (
            json!([call("a"), output("a"), call("b"), output("b")]),
            json!([
                {"role": "assistant", "content": null, "tool_calls": [made("a")]}, told("a"),
                {"role": "assistant", "content": null, "tool_calls": [made("b")]}, told("b"),
            ]),
        ),
        (
            json!([said("1"), said("2"), thought, {"role": "assistant", "content": "3"}]),
            json!([
                {"role": "assistant", "content": "1"}, {"role": "assistant", "content": "2"},
                {"role": "assistant", "content": "3", "reasoning_content": "Hm"},
            ]),
        ),
        (
            json!([{"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}]}]),
            json!([{"role": "assistant", "content": "No"}]),
        ),
    ];
    for (input, expected) in cases {
        assert_eq!(messages(input.clone()), expected, "{input}");
    }
    let signed = json!([{"type": "function_call", "call_id": "a", "name": "f", "arguments": "", "extra_content": {"x": 1}}]);
    assert_eq!(messages(signed)[0]["tool_calls"][0]["extra_content"], json!({"x": 1}));
}

#[test]
fn what_needs_a_stored_response_is_a_400_that_names_the_field() {
    for (name, value) in [
        ("store", json!(true)),
        ("background", json!(true)),
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("conv_1")),
    ] {
        assert_eq!(refused(&json!({"input": "Hi", name: value})), (400, name.to_owned()));
    }
    let reference = json!({"input": [{"type": "item_reference", "id": "msg_1"}]});
    assert_eq!(refused(&reference), (400, "input[0]".to_owned()));
}

#[test]
fn what_cannot_be_said_is_refused_by_name() {
    for (fields, status, path) in [
        (json!({"tools": [{"type": "web_search"}]}), 422, "tools[0].type"),
        (
            json!({"tools": [{"type": "function", "name": "f", "defer_loading": true}]}),
            422,
            "tools[0].defer_loading",
        ),
        (json!({"tools": [{"type": "function"}]}), 400, "tools[0].name"),
        (json!({"tools": {}}), 400, "tools"),
        (json!({"tool_choice": {"type": "web_search"}}), 422, "tool_choice"),
        (json!({"include": ["reasoning.encrypted_content"]}), 422, "include[0]"),
        (json!({"prompt": {"id": "pmpt_1"}}), 422, "prompt"),
        (json!({"truncation": "auto"}), 422, "truncation"),
        (json!({"max_tool_calls": 3}), 422, "max_tool_calls"),
        (json!({"top_logprobs": 2}), 422, "top_logprobs"),
        (json!({"seed": 1}), 422, "seed"),
        (
            json!({"stream_options": {"include_obfuscation": true}}),
            422,
            "stream_options.include_obfuscation",
        ),
        (json!({"text": {"format": {"type": "grammar"}}}), 422, "text.format.type"),
        (
            json!({"text": {"format": {"type": "json_schema", "name": "n"}}}),
            400,
            "text.format.schema",
        ),
        (json!({"text": {"tone": "low"}}), 422, "text.tone"),
        (json!({"reasoning": {"mode": "pro"}}), 422, "reasoning.mode"),
        (json!({"metadata": "x"}), 400, "metadata"),
        (json!({"stream": "yes"}), 400, "stream"),
        (json!({"store": 1}), 400, "store"),
        (json!({"instructions": ["x"]}), 400, "instructions"),
        (json!({"max_output_tokens": 0}), 400, "max_output_tokens"),
        (json!({"parallel_tool_calls": "x"}), 400, "parallel_tool_calls"),
    ] {
        let mut body = json!({"input": "Hi"});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        assert_eq!(refused(&body), (status, path.to_owned()), "{fields}");
    }
    for (input, status, path) in [
        (Value::Null, 400, "input"),
        (json!([]), 400, "input"),
        (json!(["x"]), 400, "input[0]"),
        (json!([{"type": "web_search_call"}]), 422, "input[0].type"),
        (json!([{"role": "tool", "content": "x"}]), 400, "input[0].role"),
        (json!([{"role": "user"}]), 400, "input[0].content"),
        (
            json!([{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]),
            422,
            "input[0].content[0].file_id",
        ),
        (
            json!([{"role": "user", "content": [{"type": "input_image"}]}]),
            400,
            "input[0].content[0].image_url",
        ),
        (
            json!([{"role": "user", "content": [{"type": "input_file", "file_url": "https://x"}]}]),
            422,
            "input[0].content[0].file_url",
        ),
        (
            json!([{"role": "user", "content": [{"type": "input_video"}]}]),
            422,
            "input[0].content[0].type",
        ),
        (
            json!([{"role": "system", "content": [{"type": "input_image"}]}]),
            422,
            "input[0].content[0].type",
        ),
        (
            json!([{"type": "function_call", "name": "f", "arguments": "{}"}]),
            400,
            "input[0].call_id",
        ),
        (
            json!([{"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image"}]}]),
            422,
            "input[0].output[0].type",
        ),
        (
            json!([{"type": "reasoning", "summary": [], "encrypted_content": "x"}]),
            422,
            "input[0].encrypted_content",
        ),
    ] {
        assert_eq!(refused(&json!({ "input": input })), (status, path.to_owned()), "{input}");
    }
}

fn head() -> Head {
    let echo = serde_json::Map::from_iter([("store".to_owned(), json!(false))]);
    Head { id: "1".to_owned(), created_at: 7, model: "m".to_owned(), echo }
}

/// The events of a streamed answer to these chunks.
fn events(chunks: &[Value]) -> Vec<Value> {
    let mut encoder = Encoder::new(ResponseSink::streamed(head()), Mask::default());
    chunks.iter().for_each(|chunk| encoder.event(&chunk.to_string()));
    encoder.end();
    let text = String::from_utf8(encoder.take().to_vec()).unwrap();
    let events = text.split_terminator("\n\n").enumerate().map(|(index, event)| {
        let (name, data) = event.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(name.strip_prefix("event: ").unwrap(), data["type"]);
        assert_eq!(data["sequence_number"], index);
        data
    });
    events.collect()
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

fn delta(delta: Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta}]})
}

fn finish(reason: &str) -> Value {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

fn arguments(index: usize, text: &str) -> Value {
    delta(json!({"tool_calls": [{"index": index, "function": {"arguments": text}}]}))
}

fn call(index: usize, id: &str) -> Value {
    let function = json!({"name": "f", "arguments": ""});
    delta(json!({"tool_calls": [{"index": index, "id": id, "function": function}]}))
}

/// The response that a client puts together from events, as OpenAI's own one does.
fn accumulated(events: &[Value]) -> Value {
    let mut output: Vec<Value> = Vec::new();
    for event in events {
        let at = event["output_index"].as_u64().map(|at| usize::try_from(at).unwrap());
        let inner = |name: &str| event[name].as_u64().map(|at| usize::try_from(at).unwrap());
        let (content, summary) = (inner("content_index"), inner("summary_index"));
        let append = |text: &mut Value| {
            *text =
                Value::from(text.as_str().unwrap().to_owned() + event["delta"].as_str().unwrap());
        };
        match event["type"].as_str().unwrap() {
            "response.output_item.added" => {
                assert_eq!(at, Some(output.len()));
                output.push(event["item"].clone());
            }
            "response.output_item.done" => {
                let known = &output[at.unwrap()];
                for field in ["content", "summary", "arguments"] {
                    let empty = known[field] == "" && event["item"][field] == "{}";
                    assert!(empty || known[field] == event["item"][field], "{known} {event}");
                }
                output[at.unwrap()] = event["item"].clone();
            }
            "response.content_part.added" => {
                let parts = output[at.unwrap()]["content"].as_array_mut().unwrap();
                assert_eq!(content, Some(parts.len()));
                parts.push(event["part"].clone());
            }
            "response.content_part.done" => {
                assert_eq!(output[at.unwrap()]["content"][content.unwrap()], event["part"]);
            }
            "response.output_text.delta" => {
                append(&mut output[at.unwrap()]["content"][content.unwrap()]["text"])
            }
            "response.refusal.delta" => {
                append(&mut output[at.unwrap()]["content"][content.unwrap()]["refusal"])
            }
            "response.reasoning_summary_part.added" => {
                output[at.unwrap()]["summary"].as_array_mut().unwrap().push(event["part"].clone());
            }
            "response.reasoning_summary_part.done" => {
                assert_eq!(output[at.unwrap()]["summary"][summary.unwrap()], event["part"]);
            }
            "response.reasoning_summary_text.delta" => {
                append(&mut output[at.unwrap()]["summary"][summary.unwrap()]["text"]);
            }
            "response.function_call_arguments.delta" => {
                append(&mut output[at.unwrap()]["arguments"])
            }
            _ => {}
        }
    }
    Value::Array(output)
}

#[test]
fn a_text_answer_is_the_documented_sequence() {
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 2}}});
    let events = events(&[
        delta(json!({"content": "He"})),
        delta(json!({"content": "llo"})),
        finish("stop"),
        usage,
    ]);
    assert_eq!(
        names(&events),
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    assert_eq!(events[0]["response"]["status"], "in_progress");
    assert_eq!(events[0]["response"]["usage"], Value::Null);
    assert_eq!(
        events[4],
        json!({"type": "response.output_text.delta", "sequence_number": 4, "item_id": "msg_1_0",
            "output_index": 0, "content_index": 0, "delta": "He", "logprobs": []})
    );
    let part = json!({"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []});
    assert_eq!(
        events[9]["response"],
        json!({
            "id": "resp_1", "object": "response", "created_at": 7, "status": "completed",
            "error": null, "incomplete_details": null, "model": "m", "store": false,
            "output": [{"type": "message", "id": "msg_1_0", "status": "completed", "role": "assistant", "content": [part]}],
            "usage": {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 5,
                "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 15},
        })
    );
}

#[test]
fn reasoning_refusals_and_calls_are_items_of_their_own() {
    let events = events(&[
        delta(json!({"reasoning_content": "Hm"})),
        delta(json!({"content": "Well"})),
        delta(json!({"refusal": "No"})),
        call(0, "a"),
        arguments(0, "{\"x\":"),
        arguments(0, "1}"),
        finish("tool_calls"),
    ]);
    assert_eq!(
        names(&events)[2..],
        [
            "response.output_item.added",
            "response.reasoning_summary_part.added",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.done",
            "response.reasoning_summary_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.content_part.added",
            "response.refusal.delta",
            "response.refusal.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    let call = events[events.len() - 2]["item"].clone();
    assert_eq!(
        call,
        json!({"type": "function_call", "id": "fc_1_2", "status": "completed", "call_id": "a", "name": "f", "arguments": "{\"x\":1}"})
    );
    assert_eq!(accumulated(&events), events.last().unwrap()["response"]["output"]);
}

#[test]
fn signed_thinking_comes_back_to_those_who_take_it() {
    let block = json!({"type": "thinking", "thinking": "Hm", "signature": "s"});
    let sealed = json!({"type": "redacted_thinking", "data": "d"});
    let events = events(&[
        delta(json!({"reasoning_content": "Hm"})),
        delta(json!({"thinking_blocks": [block]})),
        delta(json!({"thinking_blocks": [sealed]})),
        call(0, "a"),
        finish("tool_calls"),
    ]);
    let output = events.last().unwrap()["response"]["output"].clone();
    assert_eq!(output[0]["summary"][0]["text"], "Hm");
    assert_eq!(output[0]["thinking_blocks"], json!([block, sealed]));
    let request = read(&json!({ "input": output })).unwrap();
    let message = |takes: bool| request.chat(taste(takes))["messages"][0].clone();
    assert_eq!(message(true)["thinking_blocks"], json!([block, sealed]));
    assert_eq!(message(true)["reasoning_content"], "Hm");
    assert_eq!(message(false).get("thinking_blocks"), None);
    assert_eq!(message(false)["reasoning_content"], "Hm");
}

#[test]
fn calls_that_are_written_at_once_are_kept_apart() {
    let events = events(&[
        call(0, "a"),
        call(1, "b"),
        arguments(1, "{\"b\":"),
        arguments(0, "{\"a\":1}"),
        arguments(1, "2}"),
        call(2, "c"),
        arguments(1, "more"),
        finish("tool_calls"),
    ]);
    let output = &events.last().unwrap()["response"]["output"];
    let of = |at: usize| {
        (output[at]["call_id"].as_str().unwrap(), output[at]["arguments"].as_str().unwrap())
    };
    assert_eq!([of(0), of(1), of(2)], [("a", "{\"a\":1}"), ("b", "{\"b\":2}"), ("c", "{}")]);
    assert_eq!(accumulated(&events), *output);
}

#[test]
fn an_answer_that_is_cut_off_is_incomplete() {
    for (reason, told) in [("length", "max_output_tokens"), ("content_filter", "content_filter")] {
        let events = events(&[delta(json!({"content": "He"})), finish(reason)]);
        let last = events.last().unwrap();
        assert_eq!(last["type"], "response.incomplete");
        assert_eq!(last["response"]["status"], "incomplete");
        assert_eq!(last["response"]["incomplete_details"], json!({"reason": told}));
        assert_eq!(last["response"]["output"][0]["status"], "incomplete");
    }
}

#[test]
fn a_failure_is_told_once_and_ends_the_response() {
    let events = events(&[
        delta(json!({"content": "He"})),
        json!({"error": {"message": "overloaded"}}),
        delta(json!({"content": "llo"})),
        json!({"error": {"message": "again"}}),
    ]);
    assert_eq!(names(&events)[4..], ["response.output_text.delta", "error", "response.failed"]);
    assert_eq!(
        events[5],
        json!({"type": "error", "sequence_number": 5, "code": "upstream_error", "message": "overloaded", "param": null})
    );
    let response = &events[6]["response"];
    assert_eq!(response["error"], json!({"code": "server_error", "message": "overloaded"}));
    assert_eq!(
        (&response["status"], &response["output"][0]["status"]),
        (&json!("failed"), &json!("incomplete"))
    );
}

fn piece() -> impl Strategy<Value = Value> {
    let index = 0usize..3;
    prop_oneof![
        "[a-c]{0,3}".prop_map(|text| delta(json!({"content": text}))),
        "[a-c]{0,3}".prop_map(|text| delta(json!({"reasoning": text}))),
        "[a-c]{0,3}".prop_map(|text| delta(json!({"refusal": text}))),
        index.clone().prop_map(|index| call(index, &format!("c{index}"))),
        (index, "[{}1\"]{0,3}").prop_map(|(index, text)| arguments(index, &text)),
        Just(finish("stop")),
        Just(finish("length")),
        Just(json!({"error": {"message": "x"}})),
    ]
}

proptest! {
    #[test]
    fn whatever_is_told_clients_put_the_same_response_together(
        chunks in prop::collection::vec(piece(), 0..12),
    ) {
        let events = events(&chunks);
        let last = events.last().unwrap();
        let ends = ["response.completed", "response.incomplete", "response.failed"];
        let count = names(&events).iter().filter(|name| ends.contains(name)).count();
        prop_assert_eq!(count, 1);
        prop_assert!(ends.contains(&last["type"].as_str().unwrap()));
        if last["type"] != "response.failed" {
            prop_assert_eq!(&accumulated(&events), &last["response"]["output"]);
        }
    }

    #[test]
    fn an_answer_is_the_same_whole_and_streamed(
        text in "[a-c]{0,5}", reasoning in "[a-c]{0,5}", calls in prop::collection::vec("[a-c]{1,3}", 0..3),
        reason in prop::sample::select(vec!["stop", "length", "tool_calls", "content_filter"]),
    ) {
        let calls: Vec<Value> = calls.iter().enumerate().map(|(index, name)| {
            json!({"index": index, "id": format!("c{index}"), "function": {"name": name, "arguments": "{\"x\":1}"}})
        }).collect();
        let message = json!({"content": text, "reasoning_content": reasoning, "tool_calls": calls});
        let usage = json!({"prompt_tokens": 3, "completion_tokens": 2});
        let whole = json!({"choices": [{"message": message, "finish_reason": reason}], "usage": usage});
        let completion = Completion::read(whole.to_string().as_bytes()).unwrap();
        let mut sink = ResponseSink::whole(head());
        completion.tell(&mut sink, &mut Out::default());
        let whole = serde_json::to_value(sink.response()).unwrap();
        let streamed = events(&[delta(message), finish(reason), json!({"choices": [], "usage": usage})]);
        prop_assert_eq!(&streamed.last().unwrap()["response"], &whole);
    }
}

/// Whatever a caller sends, it is a chat request or an error that names a field.
#[test]
fn requests() {
    let parts = json!([{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "https://x"}]);
    let sample = json!({
        "model": "m", "instructions": "x", "stream": true, "max_output_tokens": 5,
        "input": [{"role": "user", "content": parts}, {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "1"}, {"type": "reasoning", "summary": []}],
        "tools": [{"type": "function", "name": "f"}], "text": {"format": {"type": "json_object"}},
    });
    check(&[sample.to_string()], |bytes| {
        // The core has refused everything else.
        if serde_json::from_slice::<serde_json::Map<String, Value>>(bytes).is_err() {
            return;
        }
        match Request::read(bytes) {
            Ok(request) => {
                let chat = request.chat(taste(true));
                assert!(
                    chat["messages"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .all(|message| message["role"].is_string())
                );
            }
            Err(error) => {
                assert!(error.status().is_client_error(), "{error:?}");
                assert!(!error.details()[0].path.is_empty());
            }
        }
    });
}
