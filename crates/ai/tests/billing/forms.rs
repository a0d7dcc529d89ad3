//! Answers in the form of each surface, read as strict clients read them.

use downcity_types::UiChunk;
use serde_json::{Value, json};

use crate::protocols::{Route, Said};

/// How an answer of ours ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// An error instead of an answer.
    Refused(u16, &'static str),
    /// An error within a stream, which has an orderly end nevertheless.
    Broken,
    /// A whole answer whose body breaks off.
    Torn,
    /// An answer, with this finish reason.
    Finished(&'static str),
}

/// Checks that an answer has this end, in the form of its surface.
pub(crate) fn check(route: Route, said: &Said, end: End, what: &str) {
    let begin: String = said.text.chars().take(2_000).collect();
    let what = &format!("{what}: {begin}");
    assert_eq!(said.is_torn, matches!(end, End::Torn), "{what}");
    match end {
        End::Refused(status, code) => {
            assert_eq!(said.status, status, "{what}");
            is_refusal(route, said, code, what);
            assert!(!said.text.contains("html") && !said.text.contains("127.0.0.1"), "{what}");
        }
        End::Torn => assert_eq!(said.status, 200, "{what}"),
        End::Broken => {
            assert_eq!(said.status, 200, "{what}");
            is_broken(route, said, what);
        }
        End::Finished(reason) => {
            assert_eq!(said.status, 200, "{what}");
            is_finished(route, said, reason, what);
        }
    }
}

fn is_refusal(route: Route, said: &Said, code: &str, what: &str) {
    let body: Value = serde_json::from_str(&said.text).expect(what);
    match route {
        Route::Text | Route::Stream => assert_eq!(body["code"], code, "{what}"),
        Route::Messages | Route::MessagesStream => is_anthropic_error(said, &body, code, what),
        _ => assert_eq!(body["error"]["code"], code, "{what}"),
    }
}

fn is_anthropic_error(said: &Said, body: &Value, code: &str, what: &str) {
    assert_eq!(body["type"], "error", "{what}");
    assert_eq!(body["error"]["code"], code, "{what}");
    let kind = if code == "upstream_timeout" { "timeout_error" } else { "api_error" };
    assert_eq!(body["error"]["type"], kind, "{what}");
    assert_eq!(body["request_id"], said.request_id, "{what}");
}

fn is_openai_error(body: &Value, what: &str) {
    let error = body["error"].as_object().unwrap_or_else(|| panic!("{what}: {body}"));
    let mut keys: Vec<&str> = error.keys().map(String::as_str).collect();
    keys.sort_unstable();
    // A provider's own words pass as they are where nothing is translated.
    let is_whole = keys == ["code", "message", "param", "type"];
    assert!(is_whole || keys == ["message", "type"], "{what}: {body}");
}

fn is_broken(route: Route, said: &Said, what: &str) {
    match route {
        Route::Stream => {
            read_ui_stream(said, what);
            let events = said.events();
            assert!(events.iter().any(|event| event["type"] == "error"), "{what}");
            assert_eq!(events.last().unwrap()["finishReason"], "error", "{what}");
        }
        Route::ChatStream => {
            assert!(!said.text.contains("[DONE]"), "{what}");
            is_openai_error(said.events().last().unwrap(), what);
            assert!(said.text.ends_with("}\n\n"), "{what}");
        }
        Route::MessagesStream => {
            let last = read_messages_stream(said, what).pop().unwrap();
            let code = last["error"]["code"].as_str().expect(what).to_owned();
            assert!(code.starts_with("upstream_"), "{what}");
            is_anthropic_error(said, &last, &code, what);
        }
        Route::ResponsesStream => {
            let events = read_responses_stream(said, what);
            let [.., error, last] = &events[..] else { panic!("{what}") };
            assert_eq!(
                (&error["type"], &last["type"]),
                (&json!("error"), &json!("response.failed"))
            );
            assert!(error["code"].as_str().unwrap().starts_with("upstream_"), "{what}");
            assert_eq!(last["response"]["status"], "failed", "{what}");
            assert!(last["response"]["error"]["message"].is_string(), "{what}");
        }
        _ => panic!("{what}: only streams are broken"),
    }
}

/// `reason` is told in the words of UI messages.
fn is_finished(route: Route, said: &Said, reason: &str, what: &str) {
    let has_calls = reason == "tool-calls";
    let reason_of_chat = reason.replace('-', "_");
    let stop_reason = if has_calls { "tool_use" } else { "end_turn" };
    let body = || serde_json::from_str::<Value>(&said.text).expect(what);
    match route {
        Route::Text => assert_eq!(body()["metadata"]["finishReason"], reason, "{what}"),
        Route::Chat => {
            assert_eq!(body()["choices"][0]["finish_reason"], reason_of_chat, "{what}");
        }
        Route::Messages => assert_eq!(body()["stop_reason"], stop_reason, "{what}"),
        Route::Responses => assert_eq!(body()["status"], "completed", "{what}"),
        Route::Stream => {
            read_ui_stream(said, what);
            assert_eq!(said.events().last().unwrap()["finishReason"], reason, "{what}");
        }
        Route::ChatStream => {
            assert!(said.text.trim_end().ends_with("data: [DONE]"), "{what}");
            let is_end = |event: &Value| event["choices"][0]["finish_reason"] == reason_of_chat;
            assert!(said.events().iter().any(is_end), "{what}");
        }
        Route::MessagesStream => {
            let events = read_messages_stream(said, what);
            let [.., delta, _] = &events[..] else { panic!("{what}") };
            assert_eq!(delta["delta"]["stop_reason"], stop_reason, "{what}");
        }
        Route::ResponsesStream => {
            let last = read_responses_stream(said, what).pop().unwrap();
            assert_eq!(last["type"], "response.completed", "{what}");
            let mut output = last["response"]["output"].as_array().unwrap().iter();
            assert_eq!(output.any(|item| item["type"] == "function_call"), has_calls, "{what}");
        }
    }
}

/// The events of a stream in which every event has a name, which its data repeats.
fn named_events(said: &Said, what: &str) -> Vec<Value> {
    let events = said.text.strip_suffix("\n\n").expect(what).split("\n\n");
    let events = events.filter(|event| !event.starts_with(':'));
    let events = events.map(|event| {
        let (name, data) = event.split_once("\ndata: ").expect(what);
        let data: Value = serde_json::from_str(data).expect(what);
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str(), "{what}");
        data
    });
    events.collect()
}

fn all_differ<'a>(ids: impl Iterator<Item = &'a Value>, what: &str) {
    let mut ids: Vec<&str> = ids.map(|id| id.as_str().expect(what)).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "every call has an id of its own: {what}");
}

fn read_ui_stream(said: &Said, what: &str) {
    let rest = said.text.strip_suffix("data: [DONE]\n\n").expect(what);
    for event in rest.split_terminator("\n\n").filter(|event| !event.starts_with(':')) {
        let data = event.strip_prefix("data: ").expect("an event of one line");
        serde_json::from_str::<UiChunk>(data).expect(what);
    }
    let events = said.events();
    let kinds: Vec<&Value> = events.iter().map(|event| &event["type"]).collect();
    assert_eq!(kinds[..2], ["start", "start-step"], "{what}");
    assert_eq!(kinds[kinds.len() - 2..], ["finish-step", "finish"], "{what}");
    let begun = events.iter().filter(|event| event["type"] == "tool-input-start");
    all_differ(begun.map(|event| &event["toolCallId"]), what);
}

/// Blocks stand one after another, each closed before the next begins; nothing follows the end, which
/// is `message_stop` or an error.
fn read_messages_stream(said: &Said, what: &str) -> Vec<Value> {
    let mut events = named_events(said, what);
    events.retain(|event| event["type"] != "ping");
    let [first, middle @ .., last] = &events[..] else { panic!("{what}") };
    assert_eq!(first["type"], "message_start", "{what}");
    let is_whole = last["type"] == "message_stop";
    assert!(is_whole || last["type"] == "error", "{what}");
    let (mut blocks, mut is_open, mut is_told) = (0, false, false);
    for event in middle {
        assert!(!is_told, "nothing but the end follows message_delta: {what}");
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert!(!is_open && event["index"] == blocks, "{what}");
                is_open = true;
            }
            "content_block_delta" => assert!(is_open && event["index"] == blocks, "{what}"),
            "content_block_stop" => {
                assert!(is_open && event["index"] == blocks, "{what}");
                is_open = false;
                blocks += 1;
            }
            "message_delta" => is_told = true,
            other => panic!("{other}: {what}"),
        }
    }
    if is_whole {
        assert!(is_told && !is_open, "{what}");
    }
    let calls = events.iter().filter(|event| event["content_block"]["type"] == "tool_use");
    all_differ(calls.map(|event| &event["content_block"]["id"]), what);
    events
}

/// Events are numbered, every item is told before its parts, and the last event is the only one that
/// ends the response.
fn read_responses_stream(said: &Said, what: &str) -> Vec<Value> {
    let events = named_events(said, what);
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds[..2], ["response.created", "response.in_progress"], "{what}");
    let ends = ["response.completed", "response.incomplete", "response.failed"];
    let end = kinds.iter().position(|kind| ends.contains(kind));
    assert_eq!(end, Some(kinds.len() - 1), "{what}");
    let (mut begun, mut done) = (Vec::new(), Vec::new());
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number, "{what}");
        match kinds[number] {
            "response.output_item.added" => {
                assert_eq!(event["output_index"], begun.len(), "{what}");
                begun.push(&event["item"]["id"]);
            }
            "response.output_item.done" => done.push(&event["item"]["id"]),
            _ if event["item_id"].is_string() => {
                let at = event["output_index"].as_u64().expect(what) as usize;
                assert_eq!(begun.get(at), Some(&&event["item_id"]), "{what}");
                assert!(!done.contains(&&event["item_id"]), "{what}");
            }
            _ => {}
        }
    }
    let output = events.last().unwrap()["response"]["output"].as_array().expect(what);
    assert!(output.iter().map(|item| &item["id"]).eq(begun.iter().copied()), "{what}");
    if kinds.last() == Some(&"response.completed") {
        assert_eq!(done.len(), begun.len(), "{what}");
    }
    let calls = output.iter().filter(|item| item["type"] == "function_call");
    all_differ(calls.map(|item| &item["call_id"]), what);
    events
}
