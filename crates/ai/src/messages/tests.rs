//! Translation in both directions, without a network.

use downcity_types::ErrorCode;
use serde_json::{Value, json};

use super::request::{MessagesInput, Taste};
use super::stream::MessageSink;
use crate::convert::answer::Completion;
use crate::messages::answer::Whole;
use crate::stream::encoder::{Encoder, Sink};

const PLAIN: Taste =
    Taste { native: false, text_only: false, lenient: false, max_tokens: "max_tokens" };
const NATIVE: Taste = Taste { native: true, ..PLAIN };

fn input(fields: Value) -> MessagesInput {
    let mut body = json!({"model": "m", "max_tokens": 9, "messages": hi()});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    MessagesInput::read(body.to_string().as_bytes()).unwrap()
}

fn hi() -> Value {
    json!([{"role": "user", "content": "Hi"}])
}

fn chat(fields: Value, taste: Taste) -> Value {
    Value::Object(input(fields).chat_request(taste).unwrap())
}

fn everything() -> Value {
    let mark = json!({"type": "ephemeral"});
    let pdf = json!({"type": "base64", "media_type": "application/pdf", "data": "AA=="});
    let png = json!({"type": "base64", "media_type": "image/png", "data": "AA=="});
    json!({
        "system": [
            {"type": "text", "text": "Be brief."},
            {"type": "text", "text": "And kind.", "cache_control": mark},
        ],
        "stream": true, "temperature": 0.5, "top_p": 0.9, "top_k": 3,
        "stop_sequences": ["END"], "metadata": {"user_id": "u"}, "service_tier": "standard_only",
        "thinking": {"type": "enabled", "budget_tokens": 5000},
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
        "city_id": "c",
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "Look", "cache_control": mark},
                {"type": "image", "source": png},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                {"type": "document", "source": pdf, "title": "a.pdf"},
                {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "x"},
                {"type": "text", "text": "So", "citations": null},
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "b", "name": "f", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "one", "is_error": true},
                {"type": "tool_result", "tool_use_id": "b", "cache_control": mark, "content": [
                    {"type": "text", "text": "two"}, {"type": "image", "source": png},
                ]},
                {"type": "text", "text": "Go on"},
            ]},
        ],
        "tools": [
            {"name": "f", "description": "F", "input_schema": {"type": "object"}, "cache_control": mark},
            {"type": "custom", "name": "g", "strict": true, "input_schema": {"type": "object"}},
        ],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true},
    })
}

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}})
}

#[test]
fn a_request_with_everything_for_any_provider() {
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}});
    let text = |text: &str| json!({"type": "text", "text": text});
    let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}});
    let mut tools = [tool("f"), tool("g")];
    tools[0]["function"]["description"] = json!("F");
    tools[1]["function"]["strict"] = json!(true);
    let schema = json!({"name": "answer", "strict": true, "schema": {"type": "object"}});
    let expected = json!({
        "messages": [
            {"role": "system", "content": "Be brief.\n\nAnd kind."},
            {"role": "user", "content": [
                text("Look"),
                image,
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
                text("T\n\nwords"),
            ]},
            {"role": "assistant", "content": "So", "reasoning_content": "hm", "tool_calls": [
                call("a", "{\"x\":1}"), call("b", "{}"),
            ]},
            {"role": "tool", "tool_call_id": "a", "content": "Error: one"},
            {"role": "tool", "tool_call_id": "b", "content": "two"},
            {"role": "user", "content": [text("Result of the tool call b:"), image, text("Go on")]},
        ],
        "max_tokens": 9, "stream": true, "temperature": 0.5, "top_p": 0.9, "top_k": 3,
        "stop": ["END"], "user": "u", "service_tier": "default",
        "reasoning_effort": "medium",
        "response_format": {"type": "json_schema", "json_schema": schema},
        "tools": tools,
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": false,
    });
    assert_eq!(chat(everything(), PLAIN), expected);
}

#[test]
fn a_provider_of_the_same_api_gets_what_only_it_knows() {
    let sent = chat(everything(), NATIVE);
    let mark = json!({"type": "ephemeral"});
    assert_eq!(sent["thinking"], json!({"type": "enabled", "budget_tokens": 5000}));
    assert_eq!(sent.get("reasoning_effort"), None);
    let messages = &sent["messages"];
    assert_eq!(messages[0]["content"][1]["cache_control"], mark);
    assert_eq!(messages[1]["content"][0]["cache_control"], mark);
    let thoughts = json!([
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
    ]);
    assert_eq!(messages[2]["thinking_blocks"], thoughts);
    assert_eq!(messages[2].get("reasoning_content"), None);
    assert_eq!(messages[3]["is_error"], true);
    assert_eq!(messages[3]["content"], json!([{"type": "text", "text": "one"}]));
    assert_eq!(messages[4]["content"][1]["type"], "image_url");
    assert_eq!(messages[4]["cache_control"], mark);
    assert_eq!(sent["tools"][0]["cache_control"], mark);
}

#[test]
fn thinking_is_an_effort_elsewhere() {
    let effort = |fields: Value| chat(fields, PLAIN).get("reasoning_effort").cloned();
    let budget = |tokens: u64| json!({"thinking": {"type": "enabled", "budget_tokens": tokens}});
    assert_eq!(effort(budget(1_024)), Some(json!("low")));
    assert_eq!(effort(budget(16_384)), Some(json!("medium")));
    assert_eq!(effort(budget(16_385)), Some(json!("high")));
    for kind in ["disabled", "adaptive"] {
        assert_eq!(effort(json!({"thinking": {"type": kind}})), None);
    }
    let max = json!({"output_config": {"effort": "max"}, "thinking": {"type": "adaptive"}});
    assert_eq!(effort(max.clone()), Some(json!("xhigh")));
    assert_eq!(chat(max, NATIVE)["reasoning_effort"], "max");
    // The word comes before the budget, in whatever order they are sent.
    for fields in [
        r#"{"output_config":{"effort":"low"},"thinking":{"type":"enabled","budget_tokens":90000}}"#,
        r#"{"thinking":{"type":"enabled","budget_tokens":90000},"output_config":{"effort":"low"}}"#,
    ] {
        assert_eq!(effort(serde_json::from_str(fields).unwrap()), Some(json!("low")));
    }
}

#[test]
fn choices_of_tools() {
    let with = |choice: Value| {
        let tools = json!([{"name": "f", "input_schema": {"type": "object"}}]);
        chat(json!({"tools": tools, "tool_choice": choice}), PLAIN)
    };
    for (choice, expected) in [
        (json!({"type": "auto"}), json!("auto")),
        (json!({"type": "any"}), json!("required")),
        (json!({"type": "none"}), json!("none")),
    ] {
        let sent = with(choice);
        assert_eq!((&sent["tool_choice"], sent.get("parallel_tool_calls")), (&expected, None));
    }
    let without = chat(json!({"tool_choice": {"type": "auto"}, "tools": []}), PLAIN);
    assert_eq!((without.get("tool_choice"), without.get("tools")), (None, None));
}

#[test]
fn a_model_that_takes_text_only() {
    let content = json!([
        {"type": "text", "text": "a"},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "text", "text": "b"},
    ]);
    let fields = json!({"messages": [{"role": "user", "content": content}]});
    let strict = Taste { text_only: true, ..PLAIN };
    let error = input(fields.clone()).chat_request(strict).unwrap_err();
    assert_eq!(error.status(), 422);
    assert!(error.message().starts_with("messages[0].content[1]"), "{}", error.message());
    let lenient = chat(fields, Taste { lenient: true, ..strict });
    assert_eq!(lenient["messages"][0]["content"], "a\nb");
}

#[test]
fn what_cannot_be_expressed_is_named() {
    let content = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let block = |block: Value| content(json!([block]));
    let said = |block: Value| json!({"messages": [{"role": "assistant", "content": [block]}]});
    let document = |source: Value| block(json!({"type": "document", "source": source}));
    let one = json!([{"name": "f", "input_schema": {}}]);
    for (fields, name) in [
        (json!({"container": "c"}), "container"),
        (json!({"mcp_servers": [{"url": "x"}]}), "mcp_servers"),
        (json!({"context_management": {"edits": []}}), "context_management"),
        (json!({"future": 1}), "future"),
        (json!({"user_id": "payer"}), "user_id"),
        (json!({"max_tokens": null}), "max_tokens"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"max_tokens": "9"}), "max_tokens"),
        (json!({"messages": null}), "messages"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": [{"role": "system", "content": "x"}]}), "messages[0].role"),
        (json!({"messages": [{"role": "user", "content": "x", "name": "n"}]}), "messages[0].name"),
        (content(json!([])), "messages[0].content"),
        (content(json!(5)), "messages[0].content"),
        (block(json!({"type": "search_result"})), "messages[0].content[0].type"),
        (block(json!({"type": "text"})), "messages[0].content[0].text"),
        (
            block(json!({"type": "image", "source": {"type": "file", "file_id": "f"}})),
            "messages[0].content[0].source.type",
        ),
        (
            document(json!({"type": "url", "url": "https://example.com/a.pdf"})),
            "messages[0].content[0].source.type",
        ),
        (
            document(json!({"type": "base64", "media_type": "text/html", "data": ""})),
            "messages[0].content[0].source.media_type",
        ),
        (
            block(json!({"type": "document", "citations": {"enabled": true}})),
            "messages[0].content[0].citations",
        ),
        (block(json!({"type": "tool_result"})), "messages[0].content[0].tool_use_id"),
        (said(json!({"type": "server_tool_use"})), "messages[0].content[0].type"),
        (said(json!({"type": "tool_use", "id": "x"})), "messages[0].content[0].name"),
        (json!({"system": [{"type": "image"}]}), "system[0].type"),
        (
            json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
            "tools[0].type",
        ),
        (json!({"tools": [{"name": "f"}]}), "tools[0].input_schema"),
        (
            json!({"tools": [{"name": "f", "input_schema": {}, "defer_loading": true}]}),
            "tools[0].defer_loading",
        ),
        (json!({"tool_choice": {"type": "any"}}), "tool_choice"),
        (json!({"tools": one, "tool_choice": {"type": "tool"}}), "tool_choice.name"),
        (json!({"tools": one, "tool_choice": {"type": "some"}}), "tool_choice.type"),
        (json!({"stop_sequences": "END"}), "stop_sequences"),
        (json!({"metadata": {"user_id": 5}}), "metadata.user_id"),
        (json!({"metadata": {"plan": "pro"}}), "metadata.plan"),
        (json!({"service_tier": "fast"}), "service_tier"),
        (json!({"thinking": {"type": "enabled"}}), "thinking.budget_tokens"),
        (json!({"thinking": {"type": "maybe"}}), "thinking.type"),
        (json!({"output_config": {"format": {"type": "text"}}}), "output_config.format.type"),
        (
            json!({"output_config": {"format": {"type": "json_schema"}}}),
            "output_config.format.schema",
        ),
    ] {
        let error = input(fields.clone()).chat_request(PLAIN).unwrap_err();
        assert_eq!(error.status(), 400, "{fields}");
        assert_eq!(error.details()[0].path, name, "{fields}: {}", error.message());
    }
    for (name, value) in [
        ("model", json!(5)),
        ("stream", json!("yes")),
        ("temperature", json!("hot")),
        ("top_k", json!(1.5)),
    ] {
        let body = json!({ name: value }).to_string();
        let error = MessagesInput::read(body.as_bytes()).unwrap_err();
        assert_eq!(error.details()[0].path, name);
    }
}

#[test]
fn what_asks_for_nothing_is_taken() {
    let fields = json!({
        "container": null, "mcp_servers": [], "stream": false, "stop_sequences": [],
        "cache_control": {"type": "ephemeral"}, "temperature": null,
    });
    assert_eq!(chat(fields.clone(), PLAIN), json!({"messages": hi(), "max_tokens": 9}));
    assert_eq!(chat(fields, NATIVE)["cache_control"], json!({"type": "ephemeral"}));
}

fn whole(completion: Value) -> Value {
    let completion = Completion::read(completion.to_string().as_bytes()).unwrap();
    let bytes = Whole::new("msg_1".to_owned(), "m".to_owned()).written(completion).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn usage() -> Value {
    json!({
        "prompt_tokens": 10, "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
    })
}

#[test]
fn a_whole_answer_with_everything() {
    let call = |id: &str, arguments: &str| json!({"id": id, "function": {"name": "f", "arguments": arguments}});
    let answer = whole(json!({
        "usage": usage(),
        "choices": [{"finish_reason": "stop", "message": {
            "content": "So", "reasoning_content": "hm",
            "tool_calls": [call("a", "{\"x\":1}"), call("", ""), call("c", "broken")],
        }}],
    }));
    let content = json!([
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": "So"},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
        {"type": "tool_use", "id": "call_1_1", "name": "f", "input": {}},
        {"type": "tool_use", "id": "c", "name": "f", "input": {"arguments": "broken"}},
    ]);
    let expected = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content,
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 4, "cache_creation_input_tokens": 2,
            "cache_read_input_tokens": 4, "output_tokens": 5},
    });
    assert_eq!(answer, expected);
}

#[test]
fn signed_thinking_comes_back_as_it_was() {
    let blocks = json!([
        {"type": "thinking", "thinking": "one", "signature": "s1"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "thinking", "thinking": "", "signature": "s2"},
        {"type": "thinking", "thinking": "two", "signature": "s3"},
    ]);
    let message = json!({"content": "", "reasoning_content": "onetwo", "thinking_blocks": blocks});
    let answer = whole(json!({"choices": [{"message": message}]}));
    assert_eq!(answer["content"], blocks);
}

#[test]
fn answers_end_for_a_reason() {
    let reason = |finish: Value, message: Value, stop: Value| {
        let choice = json!({"finish_reason": finish, "message": message, "stop_reason": stop});
        let answer = whole(json!({ "choices": [choice] }));
        (answer["stop_reason"].as_str().unwrap().to_owned(), answer["stop_sequence"].clone())
    };
    let text = json!({"content": "x"});
    let none = Value::Null;
    for (finish, expected) in [
        (json!("stop"), "end_turn"),
        (json!("length"), "max_tokens"),
        (json!("content_filter"), "refusal"),
        (json!("tool_calls"), "tool_use"),
        (none.clone(), "end_turn"),
    ] {
        let told = reason(finish, text.clone(), none.clone());
        assert_eq!(told, (expected.to_owned(), none.clone()));
    }
    let declined = reason(json!("stop"), json!({"refusal": "No."}), none.clone());
    assert_eq!(declined.0, "refusal");
    let stopped = reason(json!("stop"), text.clone(), json!("END"));
    assert_eq!(stopped, ("stop_sequence".to_owned(), json!("END")));
    // Some providers tell the number of a token.
    assert_eq!(reason(json!("stop"), text, json!(7)).0, "end_turn");
}

/// Events as readers of the API see them.
fn events(chunks: &[Value]) -> Vec<Value> {
    let sink = MessageSink::new("msg_1".to_owned(), "m".to_owned(), "req_1".to_owned());
    let mut encoder = Encoder::new(sink, crate::mask::Mask::default());
    chunks.iter().for_each(|chunk| encoder.event(&chunk.to_string()));
    encoder.end();
    let text = String::from_utf8(encoder.take().to_vec()).unwrap();
    let events = text.split_terminator("\n\n").map(|event| {
        let (name, data) = event.split_once("\ndata: ").unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(name, format!("event: {}", data["type"].as_str().unwrap()));
        data
    });
    events.collect()
}

/// Puts a message together from its events, as strictly as can be.
fn read(events: &[Value]) -> Value {
    let [start, inner @ .., delta, stop] = events else { panic!("{events:?}") };
    assert_eq!((&start["type"], &stop["type"]), (&json!("message_start"), &json!("message_stop")));
    assert_eq!(delta["type"], "message_delta");
    let mut message = start["message"].clone();
    let content = message["content"].as_array_mut().unwrap();
    let mut is_open = false;
    for event in inner {
        let kind = event["type"].as_str().unwrap();
        let index = usize::try_from(event["index"].as_u64().unwrap()).unwrap();
        assert_eq!(is_open, kind != "content_block_start", "{event}");
        if kind == "content_block_start" {
            assert_eq!(index, content.len());
            content.push(event["content_block"].clone());
            is_open = true;
            continue;
        }
        assert_eq!(index, content.len() - 1);
        let block = &mut content[index];
        if kind == "content_block_stop" {
            is_open = false;
            if let Some(json) = block.as_object_mut().unwrap().remove("json") {
                block["input"] = serde_json::from_str(json.as_str().unwrap()).unwrap();
            }
            continue;
        }
        let delta = &event["delta"];
        let (of, name, from) = match delta["type"].as_str().unwrap() {
            "text_delta" => ("text", "text", "text"),
            "thinking_delta" => ("thinking", "thinking", "thinking"),
            "signature_delta" => ("thinking", "signature", "signature"),
            "input_json_delta" => ("tool_use", "json", "partial_json"),
            other => panic!("{other}"),
        };
        assert_eq!(block["type"], of);
        let so_far = block.get(name).and_then(Value::as_str).unwrap_or_default();
        block[name] = json!(format!("{so_far}{}", delta[from].as_str().unwrap()));
    }
    assert!(!is_open);
    for (name, value) in delta["delta"].as_object().unwrap() {
        message[name] = value.clone();
    }
    message["usage"] = delta["usage"].clone();
    message
}

fn chunk(delta: Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta}]})
}

fn finish(reason: &str) -> Value {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

fn begun(index: usize, id: &str) -> Value {
    let function = json!({"name": "f", "arguments": ""});
    chunk(json!({"tool_calls": [{"index": index, "id": id, "function": function}]}))
}

fn arguments(index: usize, text: &str) -> Value {
    chunk(json!({"tool_calls": [{"index": index, "function": {"arguments": text}}]}))
}

fn called(id: &str, input: Value) -> Value {
    json!({"type": "tool_use", "id": id, "name": "f", "input": input})
}

#[test]
fn a_streamed_answer_with_everything() {
    let signed = json!({"type": "thinking", "thinking": "hm", "signature": "s"});
    let written = events(&[
        chunk(json!({"role": "assistant", "content": ""})),
        chunk(json!({"reasoning_content": "h"})),
        chunk(json!({"reasoning_content": "m"})),
        chunk(json!({"thinking_blocks": [signed]})),
        chunk(json!({"thinking_blocks": [{"type": "redacted_thinking", "data": "x"}]})),
        chunk(json!({"content": "S"})),
        chunk(json!({"content": "o"})),
        begun(0, "a"),
        arguments(0, "{\"x\":"),
        arguments(0, "1}"),
        begun(1, "b"),
        arguments(1, "{}"),
        finish("tool_calls"),
        json!({"choices": [], "usage": usage()}),
    ]);
    let content = json!([
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "So"},
        called("a", json!({"x": 1})),
        called("b", json!({})),
    ]);
    let expected = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content,
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 4, "cache_creation_input_tokens": 2,
            "cache_read_input_tokens": 4, "output_tokens": 5},
    });
    assert_eq!(read(&written), expected);
}

#[test]
fn calls_that_come_at_once_are_written_one_after_another() {
    let message = read(&events(&[
        begun(0, "a"),
        begun(1, "b"),
        arguments(1, "{\"y\":"),
        arguments(0, "{\"x\":"),
        chunk(json!({"content": "Meanwhile"})),
        chunk(json!({"reasoning_content": "hm"})),
        arguments(0, "1}"),
        arguments(1, "2}"),
        begun(2, "c"),
        finish("stop"),
    ]));
    let content = json!([
        called("a", json!({"x": 1})),
        called("b", json!({"y": 2})),
        called("c", json!({})),
        {"type": "text", "text": "Meanwhile"},
        {"type": "thinking", "thinking": "hm", "signature": ""},
    ]);
    assert_eq!(message["content"], content);
    assert_eq!(message["stop_reason"], "tool_use");
}

#[test]
fn an_empty_answer_is_an_answer() {
    let message = read(&events(&[finish("stop")]));
    assert_eq!((&message["content"], &message["stop_reason"]), (&json!([]), &json!("end_turn")));
    assert_eq!(message["usage"]["output_tokens"], 0);
}

#[test]
fn a_failure_is_the_last_event() {
    let written = events(&[
        chunk(json!({"content": "So"})),
        json!({"error": {"message": "Too many.", "type": "overloaded_error"}}),
        chunk(json!({"content": "on"})),
        json!({"error": {"message": "Again."}}),
    ]);
    let kinds: Vec<_> = written.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        ["message_start", "content_block_start", "content_block_delta", "error"],
        "nothing follows"
    );
    let error = json!({"type": "api_error", "message": "Too many.", "code": "upstream_error"});
    assert_eq!(written[3], json!({"type": "error", "error": error, "request_id": "req_1"}));
}

#[test]
fn a_break_in_time_has_its_own_type() {
    let sink = MessageSink::new("msg_1".to_owned(), "m".to_owned(), "req_1".to_owned());
    let mut encoder = Encoder::new(sink, crate::mask::Mask::default());
    encoder.fail(ErrorCode::UpstreamTimeout, "Too late.");
    let text = String::from_utf8(encoder.take().to_vec()).unwrap();
    assert!(text.contains("\"type\":\"timeout_error\""), "{text}");
    assert!(MessageSink::KEEP_ALIVE.starts_with(b"event: ping\n"));
}
