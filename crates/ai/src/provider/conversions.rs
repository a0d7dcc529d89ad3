//! UI messages on their way to each protocol, as properties: whatever a conversation holds, what the
//! protocol can express arrives, and what it cannot is a 422 that names it. Nothing is lost in
//! silence.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use downcity_types::UiMessage;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{anthropic, gemini};
use crate::convert::messages::{Taste, chat_messages};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Protocol {
    OpenAi,
    Anthropic,
    Gemini,
}

const PROTOCOLS: [Protocol; 3] = [Protocol::OpenAi, Protocol::Anthropic, Protocol::Gemini];

impl Protocol {
    fn request(self, chat: Vec<Value>) -> downcity_core::Result<Value> {
        let body = json!({"model": "m", "messages": chat});
        match self {
            Self::OpenAi => Ok(body),
            Self::Anthropic => anthropic::tests::request(&body),
            Self::Gemini => gemini::tests::request(&body),
        }
    }
}

/// A kind of part.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Text,
    Reasoning,
    Step,
    InlineImage,
    AnyImage,
    RemoteImage,
    Wav,
    Mp3,
    Pdf,
    TextFile,
    PercentText,
    RemoteText,
    Video,
    Call(&'static str, bool),
    Source,
    Document,
    Data,
    Unknown,
}

const FILES: [Kind; 10] = [
    Kind::InlineImage,
    Kind::AnyImage,
    Kind::RemoteImage,
    Kind::Wav,
    Kind::Mp3,
    Kind::Pdf,
    Kind::TextFile,
    Kind::PercentText,
    Kind::RemoteText,
    Kind::Video,
];

/// The states of a tool call.
const STATES: [&str; 7] = [
    "input-streaming",
    "input-available",
    "approval-requested",
    "approval-responded",
    "output-available",
    "output-error",
    "output-denied",
];

fn file(media_type: &str, url: String) -> Value {
    json!({"type": "file", "mediaType": media_type, "url": url, "filename": "named"})
}

impl Kind {
    /// The part, with a word in it that stands nowhere else.
    fn part(self, word: &str) -> Value {
        let base64 = STANDARD.encode(word);
        let inline = |kind: &str| file(kind, format!("data:{kind};base64,{base64}"));
        match self {
            Self::Text => json!({"type": "text", "text": format!("ü\"{word}\n"), "state": "done"}),
            Self::Reasoning => json!({"type": "reasoning", "text": word}),
            Self::Step => json!({"type": "step-start"}),
            Self::InlineImage => inline("image/png"),
            Self::AnyImage => inline("image/*"),
            Self::RemoteImage => file("image/png", format!("https://example.com/{word}.png")),
            Self::Wav => inline("audio/wav"),
            Self::Mp3 => inline("audio/mpeg"),
            Self::Pdf => inline("application/pdf"),
            Self::TextFile => inline("text/markdown"),
            Self::PercentText => file("text/plain", format!("data:text/plain,%20{word}")),
            Self::RemoteText => file("text/plain", format!("https://example.com/{word}.txt")),
            Self::Video => inline("video/mp4"),
            Self::Call(state, is_dynamic) => {
                let mut part = json!({
                    "type": "tool-weather", "toolCallId": format!("call_{word}"), "state": state,
                    "input": {"city": format!("in-{word}")},
                });
                if is_dynamic {
                    part["type"] = json!("dynamic-tool");
                    part["toolName"] = json!("weather");
                }
                match state {
                    "output-available" => {
                        let text = format!("out-{word}");
                        part["output"] =
                            if is_dynamic { json!({ "t": [text] }) } else { json!(text) };
                    }
                    "output-error" => part["errorText"] = json!(format!("out-{word}")),
                    "output-denied" => {
                        part["approval"] =
                            json!({"id": "a", "approved": false, "reason": format!("out-{word}")});
                    }
                    _ => {}
                }
                part
            }
            Self::Source => {
                json!({"type": "source-url", "sourceId": word, "url": "https://example.com"})
            }
            Self::Document => json!({
                "type": "source-document", "sourceId": word, "mediaType": "a/b", "title": "t",
            }),
            Self::Data => json!({"type": "data-x", "data": word}),
            Self::Unknown => json!({"type": "of-the-future", "more": word}),
        }
    }

    /// The words that have to arrive. Sources, data and unknown parts are the application's own.
    fn said(self, role: &str, word: &str, protocol: Protocol) -> Vec<String> {
        let base64 = || vec![STANDARD.encode(word)];
        let plain = || vec![word.to_owned()];
        match (self, role) {
            (Self::Text, _) => plain(),
            // Anthropic takes only thoughts of its own, which are signed.
            (Self::Reasoning, "assistant") if protocol != Protocol::Anthropic => plain(),
            (Self::Call(state, _), "assistant") if state != "input-streaming" => {
                let input = format!("in-{word}");
                let has_output = state.starts_with("output-");
                [Some(input), has_output.then(|| format!("out-{word}"))]
                    .into_iter()
                    .flatten()
                    .collect()
            }
            (Self::RemoteImage | Self::TextFile | Self::PercentText, "user") => plain(),
            (kind, "user") if FILES.contains(&kind) => base64(),
            _ => Vec::new(),
        }
    }

    /// Whether the protocol has a place for it in a message of this role.
    fn is_taken(self, role: &str, protocol: Protocol) -> bool {
        match self {
            kind if FILES.contains(&kind) && role != "user" => false,
            Self::Video | Self::RemoteText => false,
            Self::Wav | Self::Mp3 => protocol != Protocol::Anthropic,
            _ => true,
        }
    }

    /// Whether a refusal can name the part itself: it is one for all protocols.
    fn is_refused_by_all(self, role: &str) -> bool {
        PROTOCOLS.iter().all(|protocol| !self.is_taken(role, *protocol))
    }
}

fn kind() -> impl Strategy<Value = Kind> {
    let call = (prop::sample::select(&STATES[..]), any::<bool>());
    prop_oneof![
        4 => Just(Kind::Text),
        2 => Just(Kind::Reasoning),
        2 => Just(Kind::Step),
        1 => prop::sample::select(&FILES[..]),
        3 => prop::sample::select(&[Kind::InlineImage, Kind::RemoteImage, Kind::Pdf, Kind::TextFile][..]),
        4 => call.prop_map(|(state, is_dynamic)| Kind::Call(state, is_dynamic)),
        1 => prop::sample::select(&[Kind::Source, Kind::Document, Kind::Data, Kind::Unknown][..]),
    ]
}

type Turn = (&'static str, Vec<Kind>);

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let role = prop::sample::select(&["system", "user", "user", "assistant", "assistant"][..]);
    // Files of other roles are refused at once: most conversations have none.
    let turn = (role, prop::collection::vec(kind(), 0..6), prop::bool::weighted(0.1)).prop_map(
        |(role, mut kinds, any)| {
            kinds.retain(|kind| any || role == "user" || !FILES.contains(kind));
            (role, kinds)
        },
    );
    prop::collection::vec(turn, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn what_can_be_said_arrives_and_the_rest_is_named(turns in turns()) {
        let word = |at: usize, part: usize| format!("w{at}x{part}y");
        let mut messages = Vec::new();
        for (at, (role, kinds)) in turns.iter().enumerate() {
            let mut parts: Vec<Value> =
                kinds.iter().enumerate().map(|(part, kind)| kind.part(&word(at, part))).collect();
            // A user says something.
            if *role == "user" {
                parts.push(Kind::Text.part("last"));
            }
            messages.push(json!({"role": role, "parts": parts}));
        }
        messages.push(json!({"role": "user", "parts": [{"type": "text", "text": "Go on."}]}));
        let messages: Vec<UiMessage> = serde_json::from_value(json!(messages)).unwrap();
        let all = || {
            turns.iter().enumerate().flat_map(|(at, (role, kinds))| {
                kinds.iter().enumerate().map(move |(part, kind)| (at, part, *role, *kind))
            })
        };
        let named = all().find(|(_, _, role, kind)| kind.is_refused_by_all(role));
        let chat = match (chat_messages(&messages, Taste::default()), named) {
            (Ok(chat), None) => chat,
            (Err(error), Some((at, part, ..))) => {
                prop_assert_eq!(error.status().as_u16(), 422);
                prop_assert_eq!(&error.details()[0].path, &format!("messages[{at}].parts[{part}]"));
                return Ok(());
            }
            (chat, named) => panic!("{named:?} is refused: {chat:?}"),
        };
        for protocol in PROTOCOLS {
            let refused = all().any(|(_, _, role, kind)| !kind.is_taken(role, protocol));
            let native = match protocol.request(chat.clone()) {
                Ok(native) => native.to_string(),
                Err(error) => {
                    prop_assert!(refused, "{protocol:?}: {}", error.message());
                    prop_assert_eq!(error.status().as_u16(), 422);
                    prop_assert!(error.details()[0].path.starts_with("messages["));
                    continue;
                }
            };
            prop_assert!(!refused, "{protocol:?} takes it: {native}");
            for (at, part, role, kind) in all() {
                for said in kind.said(role, &word(at, part), protocol) {
                    prop_assert!(native.contains(&said), "{protocol:?} lost {kind:?} {said}: {native}");
                }
            }
        }
    }
}
