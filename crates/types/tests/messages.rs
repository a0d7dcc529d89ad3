//! UI messages as clients send them, and as we write them.

use downcity_types::{ToolPart, ToolState, UiMessage, UiPart, UiRole};
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn every_known_part_is_read_and_written_back() {
    for part in [
        json!({"type": "text", "text": "Hi", "state": "done", "providerMetadata": {"p": {"a": 1}}}),
        json!({"type": "reasoning", "text": "Hm"}),
        json!({"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AA==", "filename": "a.png"}),
        json!({"type": "source-url", "sourceId": "s", "url": "https://example.com", "title": "T"}),
        json!({"type": "source-document", "sourceId": "s", "mediaType": "text/plain", "title": "T"}),
        json!({"type": "step-start"}),
        json!({"type": "data-weather", "id": "d", "data": {"c": 20}}),
        json!({"type": "tool-search", "toolCallId": "c", "state": "output-available", "input": {"q": 1}, "output": "found"}),
        json!({"type": "tool-search", "toolCallId": "c", "state": "output-error", "rawInput": "{", "errorText": "bad"}),
        json!({"type": "dynamic-tool", "toolName": "x", "toolCallId": "c", "state": "approval-responded", "input": {},
            "approval": {"id": "a", "approved": true}}),
        json!({"type": "hologram", "depth": [1, 2]}),
        json!({"type": "data-", "data": 1}),
        json!({"type": "tool-"}),
    ] {
        let read = UiPart::from_json(part.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), part);
    }
}

#[test]
fn parts_keep_what_tells_them_apart() {
    let read = |value| UiPart::from_json(value).unwrap();
    let UiPart::Tool(named) =
        read(json!({"type": "tool-a-b", "toolCallId": "c", "state": "input-streaming"}))
    else {
        panic!("a tool part")
    };
    assert_eq!(
        (&*named.tool_name, named.dynamic, named.state),
        ("a-b", false, ToolState::InputStreaming)
    );
    let UiPart::Data(data) = read(json!({"type": "data-a-b", "data": null})) else {
        panic!("a data part")
    };
    assert_eq!((&*data.name, data.data), ("a-b", Value::Null));
    assert!(matches!(read(json!({"type": "hologram"})), UiPart::Unknown(_)));
    assert_eq!(read(json!({"type": "text", "text": "x", "extra": {}})), UiPart::text("x"));
}

#[test]
fn tool_calls_are_written_with_type_and_name_first() {
    let call = ToolPart::dynamic_call("c1", "search", json!({"q": 1}));
    assert_eq!(
        serde_json::to_string(&UiPart::Tool(Box::new(call))).unwrap(),
        r#"{"type":"dynamic-tool","toolName":"search","toolCallId":"c1","state":"input-available","input":{"q":1}}"#
    );
    assert_eq!(
        serde_json::to_string(&UiMessage::from_text(UiRole::User, "Hi")).unwrap(),
        r#"{"role":"user","parts":[{"type":"text","text":"Hi"}]}"#
    );
    assert_eq!(
        serde_json::to_string(&UiPart::reasoning("Hm")).unwrap(),
        r#"{"type":"reasoning","text":"Hm"}"#
    );
}

#[test]
fn wrong_messages_are_told_what_is_wrong() {
    for (message, needle) in [
        (json!({"role": "user"}), "parts"),
        (json!({"role": "tool", "parts": []}), "role"),
        (json!({"role": "user", "parts": "Hi"}), "sequence"),
        (json!({"role": "user", "parts": ["Hi"]}), "must be an object"),
        (json!({"role": "user", "parts": [{"text": "Hi"}]}), "`type`"),
        (json!({"role": "user", "parts": [{"type": "text"}]}), "type `text`"),
        (json!({"role": "user", "parts": [{"type": "file", "url": "x"}]}), "mediaType"),
        (json!({"role": "user", "parts": [{"type": "dynamic-tool"}]}), "toolName"),
        (
            json!({"role": "user", "parts": [{"type": "tool-x", "toolCallId": "c", "state": "odd"}]}),
            "type `tool-x`",
        ),
    ] {
        let error = serde_json::from_value::<UiMessage>(message.clone()).unwrap_err().to_string();
        // An unknown role is reported by its value and the ones that exist.
        let found = error.contains(needle) || (needle == "role" && error.contains("assistant"));
        assert!(found, "{message}: {error}");
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let key = prop_oneof![
            Just("text".to_owned()),
            Just("toolCallId".to_owned()),
            Just("state".to_owned()),
            any::<String>(),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_part_is_read_or_refused(kind in "(text|reasoning|file|data-x|tool-x|dynamic-tool|[a-z-]{0,8})", value in json_value()) {
        let mut value = value;
        if let Value::Object(fields) = &mut value {
            fields.insert("type".to_owned(), json!(kind));
        }
        if let Ok(part) = UiPart::from_json(value) {
            let written = serde_json::to_value(&part).unwrap();
            prop_assert_eq!(&written["type"], &json!(kind));
            prop_assert_eq!(UiPart::from_json(written), Ok(part));
        }
    }
}
