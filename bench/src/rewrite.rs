//! What re-encoded streams are compared with: a proxy that does nothing but read the events of an
//! upstream and write them in another form.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::baseline::whole;

/// What the upstream speaks, and what its callers want.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Way {
    /// Messages of Anthropic as chat completions of OpenAI.
    AnthropicToChat,
    /// Messages of Anthropic as a UI message stream.
    AnthropicToUi,
    /// Chat completions of OpenAI as a UI message stream.
    ChatToUi,
}

impl Way {
    /// The name of it on a command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AnthropicToChat => "anthropic-to-chat",
            Self::AnthropicToUi => "anthropic-to-ui",
            Self::ChatToUi => "chat-to-ui",
        }
    }
}

/// The proxy.
#[derive(Clone)]
pub(crate) struct Rewriter {
    client: Client<HttpConnector, Full<Bytes>>,
    upstream: u16,
    way: Way,
}

type Frames = std::pin::Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, hyper::Error>> + Send>>;

impl Rewriter {
    /// A proxy in front of this port of the loopback.
    pub(crate) fn new(upstream: u16, way: Way) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self { client: Client::builder(TokioExecutor::new()).build(connector), upstream, way }
    }

    /// The upstream's stream in the other form; 502 without one.
    pub(crate) async fn forward(
        self,
        request: Request<Incoming>,
    ) -> Response<Either<StreamBody<Frames>, Full<Bytes>>> {
        let asked = whole(request.into_body()).await;
        let Some(answer) = self.ask(&asked).await else {
            let mut response = Response::new(Either::Right(Full::default()));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            return response;
        };
        let frames = rewritten(answer, Events { way: self.way, held: BytesMut::new() });
        let mut response = Response::new(Either::Left(StreamBody::new(Box::pin(frames) as Frames)));
        let kind = HeaderValue::from_static("text/event-stream");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }

    async fn ask(&self, asked: &[u8]) -> Option<Incoming> {
        let mut body: Value = serde_json::from_slice(asked).ok()?;
        let parts = body["messages"][0].get("parts").is_some();
        if parts {
            let text = body["messages"][0]["parts"][0]["text"].take();
            body["messages"] = json!([{"role": "user", "content": text}]);
        }
        body["stream"] = json!(true);
        let path = match self.way {
            Way::ChatToUi => "chat/completions",
            Way::AnthropicToChat | Way::AnthropicToUi => {
                body["max_tokens"] = json!(4096);
                "messages"
            }
        };
        let request = Request::post(format!("http://127.0.0.1:{}/v1/{path}", self.upstream))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body.to_string()))
            .ok()?;
        Some(self.client.request(request).await.ok()?.into_body())
    }
}

fn rewritten(
    body: Incoming,
    events: Events,
) -> impl Stream<Item = Result<Frame<Bytes>, hyper::Error>> {
    stream::try_unfold((body, events), async |(mut body, mut events)| {
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            let out = events.push(&data);
            if !out.is_empty() {
                return Ok(Some((Frame::data(Bytes::from(out)), (body, events))));
            }
        }
        Ok(None)
    })
}

/// Reads events and writes them anew.
struct Events {
    way: Way,
    held: BytesMut,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Delta<'a>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    content: Option<Cow<'a, str>>,
}

impl Events {
    fn push(&mut self, data: &[u8]) -> String {
        self.held.extend_from_slice(data);
        let mut out = String::new();
        while let Some(end) = self.held.windows(2).position(|pair| pair == b"\n\n") {
            let event = self.held.split_to(end + 2);
            let lines = event.as_ref().split(|byte: &u8| *byte == b'\n');
            for data in lines.filter_map(|line| line.strip_prefix(b"data: ")) {
                self.event(data, &mut out);
            }
        }
        out
    }

    fn event(&self, data: &[u8], out: &mut String) {
        if data == b"[DONE]" {
            out.push_str("data: [DONE]\n\n");
        } else if self.way == Way::ChatToUi {
            let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) else { return };
            let text = chunk.choices.into_iter().find_map(|choice| choice.delta.content);
            self.text(text, out);
        } else {
            let Ok(message) = serde_json::from_slice::<Message<'_>>(data) else { return };
            if message.kind == "message_stop" {
                out.push_str("data: [DONE]\n\n");
            }
            self.text(message.delta.and_then(|delta| delta.text), out);
        }
    }

    fn text(&self, text: Option<Cow<'_, str>>, out: &mut String) {
        let Some(text) = text else { return };
        let event = match self.way {
            Way::AnthropicToChat => json!({
                "id": "msg_bench", "object": "chat.completion.chunk", "created": 1_750_000_000,
                "model": "bench",
                "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}],
            }),
            Way::AnthropicToUi | Way::ChatToUi => {
                json!({"type": "text-delta", "id": "txt-0", "delta": text})
            }
        };
        out.push_str("data: ");
        out.push_str(&event.to_string());
        out.push_str("\n\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_rewritten_however_they_arrive() {
        let delta = r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}"#;
        let text = format!("event: x\ndata: {delta}\n\ndata: {{\"type\":\"message_stop\"}}\n\n");
        let mut events = Events { way: Way::AnthropicToUi, held: BytesMut::new() };
        let pieces = text.as_bytes().chunks(7);
        let out: String = pieces.map(|piece| events.push(piece)).collect();
        let expected = json!({"type": "text-delta", "id": "txt-0", "delta": "a"});
        assert_eq!(out, format!("data: {expected}\n\ndata: [DONE]\n\n"));
    }
}
