//! Providers that speak the Messages API of Anthropic.

mod answer;
mod content;
mod request;
mod stream;
#[cfg(test)]
pub(super) mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use downcity_core::env::{Candidate, Probed};
use downcity_core::{Body, Call};
use futures_util::future::BoxFuture;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};

use super::whole::whole;
use super::wire::Wire;
use super::{Asked, Content, MAX_ERROR, Protocol};
use crate::config::{Auth, ProviderConfig};
use crate::failure::Failure;
use crate::mask::Mask;
use crate::upstream::Upstream;

/// Where the API is unless a provider says otherwise.
const BASE_URL: &str = "https://api.anthropic.com/v1";
/// The version of the API that is spoken, unless the provider's `headers` name another.
const VERSION: &str = "2023-06-01";

/// A provider of the protocol `anthropic-messages`.
pub(crate) struct Anthropic {
    /// Addresses, headers and keys, which work as for any provider.
    wire: Wire,
}

impl Anthropic {
    /// From a configuration that has been validated.
    pub(crate) fn new(config: &ProviderConfig, upstream: Arc<dyn Upstream>) -> Self {
        let mut headers = BTreeMap::from([("anthropic-version".to_owned(), VERSION.to_owned())]);
        let lower = config.headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone()));
        headers.extend(lower);
        let auth = match &config.auth {
            Auth::Bearer => Auth::Header("x-api-key".to_owned()),
            other => other.clone(),
        };
        let base_url = config.base_url.clone().unwrap_or_else(|| BASE_URL.to_owned());
        let config = ProviderConfig { base_url: Some(base_url), headers, auth, ..config.clone() };
        Self { wire: Wire::new(&config, upstream, "/messages") }
    }
}

impl Protocol for Anthropic {
    fn ask<'a>(
        &'a self,
        call: &'a Call,
        asked: Asked,
    ) -> BoxFuture<'a, Result<Response<Body>, Failure>> {
        Box::pin(async move {
            let (native, wants_usage) = request::translate(&asked.body).map_err(Failure::Ours)?;
            let created = call.runtime().clock().now_seconds();
            let response = self.wire.post(call, native).await?;
            in_open_ai_form(response, created, wants_usage).await
        })
    }

    fn probes(&self, key: &str) -> bool {
        self.wire.probes(key)
    }

    fn probe<'a>(&'a self, candidate: &'a Candidate) -> BoxFuture<'a, Probed> {
        Box::pin(self.wire.probe(candidate))
    }

    fn mask(&self, call: &Call) -> Mask {
        self.wire.mask(call)
    }
}

/// A native answer in the form of OpenAI. What is neither JSON nor a stream of events stays as it
/// is: nobody takes it for an answer.
async fn in_open_ai_form(
    response: Response<Body>,
    created: i64,
    wants_usage: bool,
) -> Result<Response<Body>, Failure> {
    let content = Content::of(response.headers());
    if response.status().is_success() && content == Content::Json {
        return Ok(whole(response, move |native| answer::message(native, created)));
    }
    let (mut parts, body) = response.into_parts();
    let body = match (parts.status.is_success(), content) {
        (true, Content::EventStream) => stream::translate(body, created, wants_usage),
        (false, Content::Json) => {
            // Not a status of HTTP: clients do not know it.
            if parts.status.as_u16() == 529 {
                parts.status = StatusCode::SERVICE_UNAVAILABLE;
            }
            let said = Limited::new(body, MAX_ERROR).collect().await;
            answer::error(&said.map_err(Failure::Broken)?.to_bytes())
        }
        _ => body,
    };
    parts.headers.remove(CONTENT_LENGTH);
    if content == Content::Json {
        parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Ok(Response::from_parts(parts, body))
}
