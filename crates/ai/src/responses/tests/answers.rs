//! The events of answers.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::requests::{read, taste};
use crate::convert::answer::Completion;
use crate::mask::Mask;
use crate::responses::answer::Head;
use crate::responses::stream::ResponseSink;
use crate::stream::encoder::{Encoder, Out};

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
    let message = |takes: bool| request.chat(taste(takes)).unwrap()["messages"][0].clone();
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
