//! Questions to a provider, and what is made of bad answers. Addresses may hold secrets and are never
//! logged.

use std::time::Duration;

use downcity_core::{Error, Secret};
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use http::{Method, StatusCode};
use reqwest::Url;
use serde_json::Value;

use super::provider::Provider;
use crate::http::{client, exchange};

/// Longest error text of a provider that is logged, in characters.
const MAX_REASON: usize = 200;

/// Why a provider's answer did not say who somebody is.
#[derive(Debug)]
pub(super) enum Fault {
    /// The code was wrong, used before, or too old.
    BadCode(String),
    /// The provider did not answer, or not as documented; for the log.
    Upstream(String),
    /// Something of ours.
    Ours(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

/// What a provider gave, and what is needed to ask for the person.
pub(super) struct Grant<'a> {
    /// The code of the callback.
    pub(super) code: &'a str,
    /// The callback's address, as it was given at the start.
    pub(super) redirect_uri: &'a str,
    /// The PKCE verifier, for providers that check one.
    pub(super) verifier: Option<&'a str>,
}

/// The way to the providers.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    client: reqwest::Client,
    limit: Duration,
}

/// A provider's answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Answer {
    /// The JSON of a success.
    pub(super) fn success(self) -> Result<Value, Fault> {
        if self.status.is_success() {
            return Ok(self.body);
        }
        Err(Fault::Upstream(format!("status {}", self.status.as_u16())))
    }
}

/// A question under construction.
pub(super) struct Ask(reqwest::RequestBuilder, Duration);

impl Http {
    /// The way to the providers, with this limit for one answer.
    pub(crate) fn new(limit: Duration) -> Result<Self, Error> {
        Ok(Self { client: client()?, limit })
    }

    /// GET.
    pub(super) fn get(&self, url: Url) -> Ask {
        self.ask(Method::GET, url)
    }

    /// POST.
    pub(super) fn post(&self, url: Url) -> Ask {
        self.ask(Method::POST, url)
    }

    fn ask(&self, method: Method, url: Url) -> Ask {
        let request = self.client.request(method, url);
        Ask(request.header(ACCEPT, "application/json"), self.limit)
    }
}

impl Ask {
    pub(super) fn form(self, fields: &[(&str, &str)]) -> Self {
        Self(self.0.form(fields), self.1)
    }

    pub(super) fn json(self, body: &Value) -> Self {
        Self(self.0.json(body), self.1)
    }

    pub(super) fn bearer(self, token: &Secret) -> Result<Self, Fault> {
        let value = HeaderValue::try_from(format!("Bearer {}", token.expose()));
        let mut value = value.map_err(|_| Fault::Upstream("a token that is none".to_owned()))?;
        value.set_sensitive(true);
        Ok(Self(self.0.header(AUTHORIZATION, value), self.1))
    }

    /// Asks; the answer has to be JSON.
    pub(super) async fn send(self) -> Result<Answer, Fault> {
        let asked = exchange(self.0, self.1).await;
        let (status, bytes) = asked.map_err(|fault| Fault::Upstream(fault.to_string()))?;
        let body = serde_json::from_slice(&bytes);
        let body =
            body.map_err(|_| Fault::Upstream(format!("status {}, and no JSON", status.as_u16())))?;
        Ok(Answer { status, body })
    }
}

/// The access token of an answer of a token endpoint (RFC 6749 §5), whatever its status: GitHub sends
/// errors with 200.
pub(super) fn access_token(answer: &Answer) -> Result<Secret, Fault> {
    if let Some(token) = super::person::text(&answer.body, "access_token")
        && answer.status.is_success()
    {
        return Ok(Secret::new(token));
    }
    let code = super::person::text(&answer.body, "error").unwrap_or("no access_token");
    let reason = reason(answer.status, code);
    // RFC 6749 §5.2, and GitHub's own name for it.
    if matches!(code, "invalid_grant" | "bad_verification_code") {
        return Err(Fault::BadCode(reason));
    }
    Err(Fault::Upstream(reason))
}

/// A line for the log. Codes and texts of errors hold no secrets of ours, but may be anything else.
pub(super) fn reason(status: StatusCode, text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect();
    format!("status {}: {text}", status.as_u16())
}

/// What the log calls a provider's failure.
pub(super) fn log(provider: Provider, fault: &Fault) {
    match fault {
        Fault::BadCode(reason) => {
            tracing::info!(provider = provider.id(), reason, "a provider did not take a code");
        }
        Fault::Upstream(reason) => {
            tracing::warn!(provider = provider.id(), reason, "a provider did not say who signs in");
        }
        Fault::Ours(error) => {
            let reason = error.message();
            tracing::warn!(provider = provider.id(), reason, "a sign-in could not be finished");
        }
    }
}
