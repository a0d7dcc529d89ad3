//! The protocols of providers, with answers in the shape in which each of them gives them.

use std::time::Duration;

use downcity_core::Body;
use downcity_testkit::{Answer, Engine, TestReply};
use http::{Method, Response};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::common::{Buyer, Shop, eventually, metered_price};

/// The money of a user, more than any test spends.
pub(crate) const FUNDS: i64 = 1_000_000_000;

/// A protocol, and a stream as its providers write it: reasoning, text, two calls, usage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Wire {
    pub(crate) name: &'static str,
    pub(crate) recorded: &'static str,
}

pub(crate) const OPENAI: Wire =
    Wire { name: "openai-chat", recorded: include_str!("../recorded/openai-chat.sse") };
pub(crate) const ANTHROPIC: Wire = Wire {
    name: "anthropic-messages",
    recorded: include_str!("../recorded/anthropic-messages.sse"),
};
pub(crate) const GEMINI: Wire = Wire {
    name: "gemini-generate-content",
    recorded: include_str!("../recorded/gemini-generate-content.sse"),
};
pub(crate) const WIRES: [Wire; 3] = [OPENAI, ANTHROPIC, GEMINI];

impl Wire {
    /// A shop whose model is behind this protocol, and that serves one call at a time.
    pub(crate) async fn shop(self, engine: Engine, change: impl FnOnce(&mut Value)) -> Shop {
        Shop::with(engine, |config| {
            config["provider"][0]["protocol"] = json!(self.name);
            config["model"][0]["price"] = metered_price();
            config["max_concurrent"] = json!(1);
            change(config);
        })
        .await
    }

    /// The recorded stream up to the end of the event in which this text stands first.
    pub(crate) fn until(self, text: &str) -> &'static str {
        let at = self.recorded.find(text).unwrap_or_else(|| panic!("no {text}: {}", self.name));
        let end = self.recorded[at..].find("\n\n").expect("an event ends") + 2;
        &self.recorded[..at + end]
    }

    /// The recorded stream up to its first text.
    pub(crate) fn begun(self) -> &'static str {
        self.until("Grüße")
    }

    /// One more event of text.
    pub(crate) fn word(self) -> String {
        let event = match self.name {
            "openai-chat" => json!({"choices": [{"index": 0, "delta": {"content": "more "}}]}),
            "anthropic-messages" => json!({
                "type": "content_block_delta", "index": 1,
                "delta": {"type": "text_delta", "text": "more "},
            }),
            _ => json!({"candidates": [{"index": 0, "content": {"parts": [{"text": "more "}]}}]}),
        };
        format!("data: {event}\n\n")
    }

    /// A whole answer that says this, without usage where that is `null`.
    pub(crate) fn whole(self, text: &str, usage: Value) -> Value {
        let mut answer = match self.name {
            "openai-chat" => return crate::common::completion(text, usage),
            "anthropic-messages" => json!({
                "id": "msg_01", "type": "message", "role": "assistant", "model": "upstream-1",
                "content": [{"type": "text", "text": text}], "stop_reason": "end_turn",
            }),
            _ => json!({
                "responseId": "r1",
                "candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}],
            }),
        };
        if !usage.is_null() {
            let name = if self == ANTHROPIC { "usage" } else { "usageMetadata" };
            answer[name] = usage;
        }
        answer
    }

    /// An error as its providers tell it.
    pub(crate) fn error(self) -> Value {
        match self.name {
            "openai-chat" => json!({"error": {"message": "Out of order", "type": "server_error"}}),
            "anthropic-messages" => json!({
                "type": "error", "error": {"type": "api_error", "message": "Out of order"},
            }),
            _ => {
                json!({"error": {"code": 500, "message": "Out of order", "status": "INTERNAL"}})
            }
        }
    }
}

/// What of a list a protocol meets on an engine: all of it on SQLite. On PostgreSQL each protocol
/// meets a part, so that every item is met once: what a provider says does not depend on the engine,
/// what is written about it does.
pub(crate) fn part_of<T>(engine: Engine, wire: Wire, all: Vec<T>) -> Vec<T> {
    let place = WIRES.iter().position(|it| *it == wire).unwrap();
    let is_met = |at: usize| engine == Engine::Sqlite || at % WIRES.len() == place;
    all.into_iter().enumerate().filter_map(|(at, item)| is_met(at).then_some(item)).collect()
}

/// The ways to ask a model of texts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Route {
    Text,
    Stream,
    Chat,
    ChatStream,
    Messages,
    MessagesStream,
    Responses,
    ResponsesStream,
}

pub(crate) const WHOLE: [Route; 4] = [Route::Text, Route::Chat, Route::Messages, Route::Responses];
pub(crate) const STREAMS: [Route; 4] =
    [Route::Stream, Route::ChatStream, Route::MessagesStream, Route::ResponsesStream];

/// All of them.
pub(crate) fn routes() -> impl Iterator<Item = Route> {
    WHOLE.into_iter().chain(STREAMS)
}

impl Route {
    pub(crate) fn is_streamed(self) -> bool {
        STREAMS.contains(&self)
    }

    /// Begins a call that offers the tool of the recorded streams.
    pub(crate) async fn open(self, buyer: &Buyer) -> Response<Body> {
        let tools = json!([{"type": "function", "function": {"name": "weather"}}]);
        let stream = self.is_streamed();
        let (path, input) = match self {
            Self::Text => ("/v1/ai/text", json!({"prompt": "Hi", "tools": tools})),
            Self::Stream => ("/v1/ai/stream", json!({"prompt": "Hi", "tools": tools})),
            Self::Chat | Self::ChatStream => {
                let messages = json!([{"role": "user", "content": "Hi"}]);
                let input = json!({"messages": messages, "tools": tools, "stream": stream});
                ("/v1/ai/chat/completions", input)
            }
            Self::Messages | Self::MessagesStream => {
                let messages = json!([{"role": "user", "content": "Hi"}]);
                let tools = json!([{"name": "weather", "input_schema": {"type": "object"}}]);
                let input = json!({
                    "messages": messages, "max_tokens": 64, "tools": tools, "stream": stream,
                });
                ("/v1/messages", input)
            }
            Self::Responses | Self::ResponsesStream => {
                let tools = json!([{"type": "function", "name": "weather"}]);
                ("/v1/responses", json!({"input": "Hi", "tools": tools, "stream": stream}))
            }
        };
        buyer.client.open(Method::POST, path, input.to_string().into()).await
    }

    /// A call to its end.
    pub(crate) async fn ask(self, buyer: &Buyer) -> Said {
        let (parts, mut body) = self.open(buyer).await.into_parts();
        let mut bytes = Vec::new();
        let mut is_torn = false;
        let read = async {
            while let Some(frame) = body.frame().await {
                match frame {
                    Ok(frame) => bytes.extend(frame.into_data().unwrap_or_default()),
                    Err(_) => {
                        is_torn = true;
                        break;
                    }
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), read).await.expect("the answer ends");
        Said {
            status: parts.status.as_u16(),
            request_id: parts.headers["x-request-id"].to_str().unwrap().to_owned(),
            text: String::from_utf8_lossy(&bytes).into_owned(),
            is_torn,
        }
    }
}

/// An answer of ours.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) request_id: String,
    pub(crate) text: String,
    /// The body broke off.
    pub(crate) is_torn: bool,
}

impl Said {
    /// The events, but for `[DONE]`.
    pub(crate) fn events(&self) -> Vec<Value> {
        let data = self.text.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter(|data| data.starts_with('{'))
            .filter_map(|data| serde_json::from_str(data).ok())
            .collect()
    }
}

/// Waits until nothing is held of a buyer, all tasks of the call have ended, and its receipt is
/// written, which it gives.
pub(crate) async fn settled(shop: &Shop, buyer: &Buyer, request_id: &str, tasks: usize) -> Value {
    let mut receipt = Value::Null;
    eventually(async || {
        shop.run().await;
        let path = format!("/v1/usage/requests/{request_id}");
        let reply: TestReply = buyer.client.get(&path).await;
        receipt = if reply.status.is_success() { reply.json() } else { Value::Null };
        !receipt.is_null()
            && shop.wallet(buyer).await.1 == 0
            && shop.app.runtime().tasks().count() <= tasks
    })
    .await;
    receipt
}

/// An answer of these bytes, streamed.
pub(crate) fn streamed(text: &str) -> Answer {
    Answer::stream().write(text)
}
