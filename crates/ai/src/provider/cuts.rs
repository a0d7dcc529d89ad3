//! The streams of each protocol, cut anywhere: the pieces in which bytes arrive mean nothing.
//!
//! The streams have the shape that providers give them: comments, names of events, texts of several
//! bytes a character, reasoning, parallel tool calls, usage. All of them tell the same answer.

use bytes::Bytes;
use downcity_core::Body;
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::{anthropic, gemini};
use crate::stream::tests::{encoded, read_all, tap};

/// The places of a stream that are tried, spread evenly over it.
const CUTS: usize = 500;

/// One protocol: its stream, and what makes chunks of OpenAI from it.
#[derive(Clone, Copy)]
struct Protocol {
    name: &'static str,
    recorded: &'static str,
    translate: fn(Body) -> Body,
}

const PROTOCOLS: [Protocol; 3] = [
    Protocol {
        name: "openai-chat",
        recorded: include_str!("../../tests/recorded/openai-chat.sse"),
        // The common tongue needs no translation.
        translate: |body| body,
    },
    Protocol {
        name: "anthropic-messages",
        recorded: include_str!("../../tests/recorded/anthropic-messages.sse"),
        translate: anthropic::tests::translate,
    },
    Protocol {
        name: "gemini-generate-content",
        recorded: include_str!("../../tests/recorded/gemini-generate-content.sse"),
        translate: gemini::tests::translate,
    },
];

/// What callers get of a stream.
#[derive(Debug, PartialEq)]
struct Told {
    /// The events of `chat/completions`, as they leave.
    chat: String,
    /// The same for a caller who did not ask for usage.
    chat_without_usage: String,
    /// The usage that calls are charged by.
    usage: Option<Value>,
    /// The UI message stream.
    ui: String,
}

impl Protocol {
    /// The pieces in which its translation leaves when the stream arrives in these pieces.
    fn translated(self, pieces: Vec<Bytes>) -> Vec<Bytes> {
        let pieces = pieces.into_iter().map(Ok::<_, std::io::Error>);
        let mut body = (self.translate)(Body::from_stream(futures_util::stream::iter(pieces)));
        let mut out = Vec::new();
        let all = async {
            while let Some(frame) = body.frame().await {
                out.push(frame.unwrap().into_data().unwrap());
            }
        };
        all.now_or_never().expect("everything is there");
        out
    }

    fn told(self, pieces: Vec<Bytes>) -> Told {
        let chunks = self.translated(pieces);
        let (chat, usage) = tap(chunks.clone(), false);
        let (hidden, same_usage) = tap(chunks.clone(), true);
        assert_eq!(usage, same_usage);
        let data: Vec<String> = read_all(chunks).into_iter().map(Result::unwrap).collect();
        Told {
            chat: String::from_utf8(chat).unwrap(),
            chat_without_usage: String::from_utf8(hidden).unwrap(),
            usage,
            ui: encoded(&["weather"], &data),
        }
    }
}

/// The data of the events in a text, but for `[DONE]`.
fn events(text: &str) -> Vec<Value> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: {"));
    lines.map(|rest| serde_json::from_str(&format!("{{{rest}")).unwrap()).collect()
}

/// What a UI message stream says: reasoning, text, and calls.
fn said(ui: &str) -> (String, String, Vec<Value>) {
    let (mut reasoning, mut text, mut calls) = (String::new(), String::new(), Vec::new());
    for event in events(ui) {
        match event["type"].as_str().unwrap() {
            "reasoning-delta" => reasoning.push_str(event["delta"].as_str().unwrap()),
            "text-delta" => text.push_str(event["delta"].as_str().unwrap()),
            "tool-input-available" => {
                calls.push(json!([event["toolCallId"], event["toolName"], event["input"]]));
            }
            "error" | "tool-input-error" => panic!("{event}"),
            _ => {}
        }
    }
    (reasoning, text, calls)
}

#[test]
fn every_protocol_tells_the_same_answer() {
    for protocol in PROTOCOLS {
        let told = protocol.told(vec![Bytes::from_static(protocol.recorded.as_bytes())]);
        let (reasoning, text, calls) = said(&told.ui);
        let name = protocol.name;
        assert_eq!(reasoning, "The user möchte das Wetter 🌦️.", "{name}");
        assert_eq!(text, "Grüße, 👩‍🚀! Ich \"sehe\" nach:\n漢字 🦀", "{name}");
        let call = |id: &str, city: &str| json!([id, "weather", {"city": city}]);
        assert_eq!(calls, [call("call_a", "Köln"), call("call_b", "Zürich")], "{name}");
        let finish = events(&told.ui).pop().unwrap();
        assert_eq!(finish["finishReason"], "tool-calls", "{name}");
        let usage = &finish["messageMetadata"]["usage"];
        for (count, expected) in [
            ("inputTokens", 20),
            ("cachedInputTokens", 8),
            ("outputTokens", 12),
            ("totalTokens", 32),
        ] {
            assert_eq!(usage[count], expected, "{name} {count}");
        }
        // The API of Anthropic does not count what was thought apart from what was said.
        let thoughts = if name == "anthropic-messages" { 0 } else { 5 };
        assert_eq!(usage["reasoningTokens"], thoughts, "{name}");
        assert_eq!(told.usage.unwrap()["completion_tokens"], 12, "{name}");
        assert!(told.chat.ends_with("data: [DONE]\n\n"), "{name}");
        let has_usage = |text: &str| events(text).iter().any(|event| event["usage"].is_object());
        assert!(has_usage(&told.chat) && !has_usage(&told.chat_without_usage), "{name}");
        let written: String = events(&told.chat)
            .iter()
            .filter_map(|event| event["choices"][0]["delta"]["content"].as_str())
            .collect();
        assert_eq!(written, text, "{name}");
    }
}

#[test]
fn a_stream_is_the_same_at_every_cut() {
    for protocol in PROTOCOLS {
        for eol in ["\n", "\r\n", "\r"] {
            let text = Bytes::from(protocol.recorded.replace('\n', eol));
            let whole = protocol.told(vec![text.clone()]);
            assert!(text.len() > CUTS, "every cut is another place");
            for cut in 1..=CUTS {
                let at = cut * text.len() / (CUTS + 1);
                let told = protocol.told(vec![text.slice(..at), text.slice(at..)]);
                assert_eq!(told, whole, "{}, {eol:?}, cut at {at}", protocol.name);
            }
            let bytes = (0..text.len()).map(|at| text.slice(at..=at)).collect();
            assert_eq!(protocol.told(bytes), whole, "{}, byte by byte", protocol.name);
        }
    }
}

#[test]
fn line_ends_mean_nothing() {
    for protocol in PROTOCOLS {
        let told = |eol: &str| {
            let text = protocol.recorded.replace('\n', eol);
            let chunks = protocol.translated(vec![Bytes::from(text)]);
            let data: Vec<String> = read_all(chunks).into_iter().map(Result::unwrap).collect();
            encoded(&["weather"], &data)
        };
        let plain = told("\n");
        assert_eq!(told("\r\n"), plain, "{}", protocol.name);
        assert_eq!(told("\r"), plain, "{}", protocol.name);
    }
}

/// A stream that ends anywhere before its end is never told as a whole one.
#[test]
fn a_stream_that_ends_early_has_no_end() {
    for protocol in PROTOCOLS {
        let text = Bytes::from_static(protocol.recorded.as_bytes());
        let whole = protocol.told(vec![text.clone()]).chat;
        for cut in 1..CUTS {
            let at = cut * text.len() / (CUTS + 1);
            let chunks = protocol.translated(vec![text.slice(..at)]);
            let (chat, _) = tap(chunks, false);
            let chat = String::from_utf8_lossy(&chat);
            // A provider that repeats its usage has it told wherever it breaks off.
            let is_begin = |chat: &str| whole.starts_with(chat.trim_end_matches('\u{fffd}'));
            let told = chat.split_inclusive("\n\n").filter(|event| !event.contains("\"usage\":{"));
            let told: String = told.collect();
            assert!(is_begin(&told), "{} ended at {at}: {told}", protocol.name);
            assert!(!told.contains("[DONE]\n\n"), "{} ended at {at}", protocol.name);
        }
    }
}
