//! Every chunk of the stream catalogue as its exact text: readers refuse anything else.

use downcity_types::{DataChunk, FinishReason, ProviderMetadata, ToolOptions, UiChunk};
use serde_json::{Map, Value, json};

fn metadata() -> Option<ProviderMetadata> {
    let inner: Map<String, Value> = [("a".to_owned(), json!(1))].into_iter().collect();
    Some([("p".to_owned(), inner)].into_iter().collect())
}

fn tool_metadata() -> Option<Map<String, Value>> {
    Some([("t".to_owned(), json!(2))].into_iter().collect())
}

fn options() -> ToolOptions {
    ToolOptions {
        provider_executed: Some(true),
        provider_metadata: metadata(),
        tool_metadata: tool_metadata(),
        dynamic: Some(false),
        title: Some("T".to_owned()),
    }
}

/// Each chunk must be written as the text, and the text read as the chunk.
fn check(cases: Vec<(UiChunk, &str)>) {
    for (chunk, text) in cases {
        assert_eq!(serde_json::to_string(&chunk).ok().as_deref(), Some(text));
        assert_eq!(serde_json::from_str::<UiChunk>(text).ok(), Some(chunk), "{text}");
    }
}

#[test]
fn message_and_step_chunks() {
    check(vec![
        (UiChunk::Start { message_id: None, message_metadata: None }, r#"{"type":"start"}"#),
        (
            UiChunk::Start {
                message_id: Some("msg_1".to_owned()),
                message_metadata: Some(json!({"model": "m"})),
            },
            r#"{"type":"start","messageId":"msg_1","messageMetadata":{"model":"m"}}"#,
        ),
        (UiChunk::StartStep, r#"{"type":"start-step"}"#),
        (UiChunk::FinishStep, r#"{"type":"finish-step"}"#),
        (UiChunk::Finish { finish_reason: None, message_metadata: None }, r#"{"type":"finish"}"#),
        (
            UiChunk::Finish {
                finish_reason: Some(FinishReason::ContentFilter),
                message_metadata: Some(json!({"usage": {}})),
            },
            r#"{"type":"finish","finishReason":"content-filter","messageMetadata":{"usage":{}}}"#,
        ),
        (
            UiChunk::MessageMetadata { message_metadata: json!({"a": 1}) },
            r#"{"type":"message-metadata","messageMetadata":{"a":1}}"#,
        ),
        (UiChunk::error("broken"), r#"{"type":"error","errorText":"broken"}"#),
        (UiChunk::Abort { reason: None }, r#"{"type":"abort"}"#),
        (UiChunk::Abort { reason: Some("user".to_owned()) }, r#"{"type":"abort","reason":"user"}"#),
    ]);
}

#[test]
fn text_and_reasoning_chunks() {
    check(vec![
        (UiChunk::text_start("t"), r#"{"type":"text-start","id":"t"}"#),
        (
            UiChunk::text_delta("t", "é\n\"用"),
            r#"{"type":"text-delta","id":"t","delta":"é\n\"用"}"#,
        ),
        (UiChunk::text_end("t"), r#"{"type":"text-end","id":"t"}"#),
        (UiChunk::reasoning_start("r"), r#"{"type":"reasoning-start","id":"r"}"#),
        (UiChunk::reasoning_delta("r", "d"), r#"{"type":"reasoning-delta","id":"r","delta":"d"}"#),
        (UiChunk::reasoning_end("r"), r#"{"type":"reasoning-end","id":"r"}"#),
        (
            UiChunk::TextStart { id: "t".to_owned(), provider_metadata: metadata() },
            r#"{"type":"text-start","id":"t","providerMetadata":{"p":{"a":1}}}"#,
        ),
        (
            UiChunk::ReasoningEnd { id: "r".to_owned(), provider_metadata: metadata() },
            r#"{"type":"reasoning-end","id":"r","providerMetadata":{"p":{"a":1}}}"#,
        ),
    ]);
}

#[test]
fn tool_input_chunks() {
    let start = |options| UiChunk::ToolInputStart {
        tool_call_id: "c".to_owned(),
        tool_name: "n".to_owned(),
        options,
    };
    let available = |input, options| UiChunk::ToolInputAvailable {
        tool_call_id: "c".to_owned(),
        tool_name: "n".to_owned(),
        input,
        options,
    };
    check(vec![
        (
            start(ToolOptions::default()),
            r#"{"type":"tool-input-start","toolCallId":"c","toolName":"n"}"#,
        ),
        (
            start(options()),
            r#"{"type":"tool-input-start","toolCallId":"c","toolName":"n","providerExecuted":true,"providerMetadata":{"p":{"a":1}},"toolMetadata":{"t":2},"dynamic":false,"title":"T"}"#,
        ),
        (
            UiChunk::ToolInputDelta {
                tool_call_id: "c".to_owned(),
                input_text_delta: "{\"".to_owned(),
            },
            r#"{"type":"tool-input-delta","toolCallId":"c","inputTextDelta":"{\""}"#,
        ),
        (
            available(json!({"q": null}), ToolOptions::default()),
            r#"{"type":"tool-input-available","toolCallId":"c","toolName":"n","input":{"q":null}}"#,
        ),
        (
            available(Value::Null, ToolOptions { dynamic: Some(true), ..ToolOptions::default() }),
            r#"{"type":"tool-input-available","toolCallId":"c","toolName":"n","input":null,"dynamic":true}"#,
        ),
        (
            UiChunk::ToolInputError {
                tool_call_id: "c".to_owned(),
                tool_name: "n".to_owned(),
                input: json!("{"),
                error_text: "e".to_owned(),
                options: ToolOptions::default(),
            },
            r#"{"type":"tool-input-error","toolCallId":"c","toolName":"n","input":"{","errorText":"e"}"#,
        ),
    ]);
}

#[test]
fn tool_output_chunks() {
    check(vec![
        (
            UiChunk::ToolOutputAvailable {
                tool_call_id: "c".to_owned(),
                output: json!([1]),
                provider_executed: Some(true),
                provider_metadata: metadata(),
                tool_metadata: tool_metadata(),
                dynamic: Some(true),
                preliminary: Some(true),
            },
            r#"{"type":"tool-output-available","toolCallId":"c","output":[1],"providerExecuted":true,"providerMetadata":{"p":{"a":1}},"toolMetadata":{"t":2},"dynamic":true,"preliminary":true}"#,
        ),
        (
            UiChunk::tool_output_error("c", "e"),
            r#"{"type":"tool-output-error","toolCallId":"c","errorText":"e"}"#,
        ),
        (
            UiChunk::ToolOutputDenied { tool_call_id: "c".to_owned() },
            r#"{"type":"tool-output-denied","toolCallId":"c"}"#,
        ),
        (
            UiChunk::ToolApprovalRequest {
                approval_id: "a".to_owned(),
                tool_call_id: "c".to_owned(),
            },
            r#"{"type":"tool-approval-request","approvalId":"a","toolCallId":"c"}"#,
        ),
    ]);
}

#[test]
fn source_file_and_data_chunks() {
    check(vec![
        (
            UiChunk::SourceUrl {
                source_id: "s".to_owned(),
                url: "https://example.com".to_owned(),
                title: Some("T".to_owned()),
                provider_metadata: None,
            },
            r#"{"type":"source-url","sourceId":"s","url":"https://example.com","title":"T"}"#,
        ),
        (
            UiChunk::SourceDocument {
                source_id: "s".to_owned(),
                media_type: "text/plain".to_owned(),
                title: "T".to_owned(),
                filename: Some("f.txt".to_owned()),
                provider_metadata: None,
            },
            r#"{"type":"source-document","sourceId":"s","mediaType":"text/plain","title":"T","filename":"f.txt"}"#,
        ),
        (
            UiChunk::File {
                url: "data:,x".to_owned(),
                media_type: "text/plain".to_owned(),
                provider_metadata: None,
            },
            r#"{"type":"file","url":"data:,x","mediaType":"text/plain"}"#,
        ),
        (
            UiChunk::Data(DataChunk {
                name: "weather".to_owned(),
                data: json!({"c": 20}),
                id: None,
                transient: None,
            }),
            r#"{"type":"data-weather","data":{"c":20}}"#,
        ),
        (
            UiChunk::Data(DataChunk {
                name: "x-y".to_owned(),
                data: Value::Null,
                id: Some("d".to_owned()),
                transient: Some(true),
            }),
            r#"{"type":"data-x-y","data":null,"id":"d","transient":true}"#,
        ),
    ]);
}

#[test]
fn other_types_and_missing_fields_are_errors() {
    for bad in [
        r#"{"type":"ping"}"#,
        r#"{"type":"data-","data":1}"#,
        r#"{"type":"text-delta","id":"t"}"#,
        r#"{"type":"finish","finishReason":"done"}"#,
        r#"{"id":"t"}"#,
        "[]",
    ] {
        assert!(serde_json::from_str::<UiChunk>(bad).is_err(), "{bad}");
    }
}

#[test]
fn finish_reasons_of_providers() {
    for (text, reason) in [
        ("stop", FinishReason::Stop),
        ("length", FinishReason::Length),
        ("content_filter", FinishReason::ContentFilter),
        ("tool_calls", FinishReason::ToolCalls),
        ("function_call", FinishReason::ToolCalls),
        ("banana", FinishReason::Other),
    ] {
        assert_eq!(FinishReason::from_openai(text), reason, "{text}");
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
    }
    assert_eq!(serde_json::to_value(FinishReason::Error).unwrap(), FinishReason::Error.as_str());
}
