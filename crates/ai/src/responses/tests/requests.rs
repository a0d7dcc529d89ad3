//! The translation of requests.

use downcity_fuzz::check;
use serde_json::{Value, json};

use crate::config::MaxTokensField;
use crate::responses::request::{Request, Taste};

pub(super) fn read(body: &Value) -> downcity_core::Result<Request> {
    Request::read(body.to_string().as_bytes())
}

pub(super) fn taste(takes_thinking: bool) -> Taste {
    let max_tokens_field = MaxTokensField::MaxTokens;
    Taste { max_tokens_field, takes_thinking, refuses_files: false }
}

/// The chat request of a good one.
fn chat(body: &Value) -> Value {
    let request = read(body).unwrap_or_else(|error| panic!("{body}: {error:?}"));
    Value::Object(request.chat(taste(false)).unwrap())
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
        "include": ["reasoning.encrypted_content"], "background": false, "previous_response_id": null, "truncation": "disabled",
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
        (
            json!({"include": ["reasoning.encrypted_content", "file_search_call.results"]}),
            422,
            "include[1]",
        ),
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
                let chat = request.chat(taste(true)).unwrap();
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
