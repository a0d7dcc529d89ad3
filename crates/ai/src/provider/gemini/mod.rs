//! Providers that speak the `generateContent` of Gemini.
//!
//! A request in the form of OpenAI is translated on its way out, the answer on its way back. Sizes
//! and pauses of an answer are limited where it is read, as with any other provider.

mod answer;
mod embed;
mod images;
mod request;
mod schema;
mod stream;
#[cfg(test)]
pub(super) mod tests;

use std::sync::Arc;

use bytes::Bytes;
use downcity_core::env::{Candidate, Probed};
use downcity_core::{Body, Call, Error};
use futures_util::future::BoxFuture;
use http::header::{CONTENT_LENGTH, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use self::answer::{Labels, RefusedAs, refusal};
use self::request::{Wanted, translate};
use super::whole::whole;
use super::wire::Wire;
use super::{Asked, Content, MAX_ERROR, Protocol, Task};
use crate::config::{Auth, ProviderConfig};
use crate::failure::Failure;
use crate::mask::Mask;
use crate::media::Order;
use crate::upstream::Upstream;

/// Where Gemini is, unless `base_url` says otherwise.
const BASE_URL: &str = "https://generativelanguage.googleapis.com/v1beta";
/// The header in which Gemini expects the API key.
const KEY_HEADER: &str = "x-goog-api-key";
/// What stays as it is in the name of a model.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A provider of the protocol `gemini-generate-content`.
pub(crate) struct Gemini {
    /// The way to the provider: its address, headers and key.
    wire: Wire,
}

impl Gemini {
    /// From a configuration that has been validated.
    pub(crate) fn new(config: &ProviderConfig, upstream: Arc<dyn Upstream>) -> Self {
        let mut config = config.clone();
        config.base_url.get_or_insert_with(|| BASE_URL.to_owned());
        if config.auth == Auth::Bearer {
            config.auth = Auth::Header(KEY_HEADER.to_owned());
        }
        Self { wire: Wire::new(&config, upstream, "/models") }
    }

    async fn generate(&self, call: &Call, body: Bytes) -> Result<Response<Body>, Failure> {
        let body: Value =
            serde_json::from_slice(&body).map_err(|error| Failure::Ours(Error::internal(error)))?;
        let (native, wanted) = translate(body).map_err(Failure::Ours)?;
        let (path, query) = target(&wanted);
        let request = self.wire.request_beside(call, &path, query, native.to_string().into());
        let response = self.wire.send(request.map_err(Failure::Ours)?).await?;
        if !response.status().is_success() {
            return Ok(refused(response).await);
        }
        let labels = Labels {
            model: wanted.model,
            fallback_id: call.request_id().to_owned(),
            created: call.runtime().clock().now_seconds(),
        };
        if !wanted.stream {
            return Ok(whole(response, move |native| answer::completion(native, &labels)));
        }
        if Content::of(response.headers()) != Content::EventStream {
            return Err(Failure::Unreadable("not an event stream".to_owned()));
        }
        let mut response = response.map(|body| stream::translated(body, labels, wanted.usage));
        response.headers_mut().remove(CONTENT_LENGTH);
        Ok(response)
    }
}

impl Protocol for Gemini {
    fn ask<'a>(
        &'a self,
        call: &'a Call,
        asked: Asked,
    ) -> BoxFuture<'a, Result<Response<Body>, Failure>> {
        Box::pin(async move {
            match asked.task {
                Task::Chat => self.generate(call, asked.body).await,
                Task::Embeddings => self.embed(call, &asked.body).await,
                Task::Media | Task::MediaState => self.draw(call, asked).await,
                Task::Speech | Task::Transcription => {
                    Err(Failure::Ours(Error::internal("a task that no model of Gemini offers")))
                }
            }
        })
    }

    fn takes(&self, order: &Order) -> Result<(), Error> {
        images::takes(order)
    }

    fn takes_options(&self, path: &str, options: &Map<String, Value>) -> Result<(), Error> {
        images::takes_options(path, options)
    }

    fn probes(&self, key: &str) -> bool {
        self.wire.probes(key)
    }

    fn probe<'a>(&'a self, candidate: &'a Candidate) -> BoxFuture<'a, Probed> {
        Box::pin(async {
            let sent = match self.wire.test_request(candidate) {
                Ok(request) => self.wire.send(request).await,
                Err(error) => return Probed::Unknown(error.message().to_owned()),
            };
            // Gemini refuses a wrong key with 400, as it does a wrong request.
            let sent = match sent {
                Ok(response) if !response.status().is_success() => Ok(refused(response).await),
                sent => sent,
            };
            Wire::judge(sent)
        })
    }

    fn mask(&self, call: &Call) -> Mask {
        self.wire.mask(call)
    }
}

/// The path and query of a call.
fn target(wanted: &Wanted) -> (String, Option<&'static str>) {
    let model = path_of(&wanted.model);
    if wanted.stream {
        (format!("{model}:streamGenerateContent"), Some("alt=sse"))
    } else {
        (format!("{model}:generateContent"), None)
    }
}

/// The path of a model. A name with a `/`, such as `tunedModels/mine`, is a path already.
fn path_of(model: &str) -> String {
    let name: Vec<String> =
        model.split('/').map(|part| utf8_percent_encode(part, NAME).to_string()).collect();
    let root = if name.len() > 1 { "" } else { "models/" };
    format!("/{root}{}", name.join("/"))
}

/// An error in the form of OpenAI. The fault of our own key gets the status that says so.
async fn refused(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = Limited::new(body, MAX_ERROR).collect().await else {
        return Response::from_parts(parts, Body::Empty);
    };
    let bytes = bytes.to_bytes();
    let Some(RefusedAs { body, is_key_fault, retry_after }) = refusal(&bytes) else {
        return Response::from_parts(parts, bytes.into());
    };
    if is_key_fault {
        parts.status = StatusCode::UNAUTHORIZED;
    }
    if let (Some(seconds), false) = (retry_after, parts.headers.contains_key(RETRY_AFTER)) {
        parts.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(body.to_string()))
}
