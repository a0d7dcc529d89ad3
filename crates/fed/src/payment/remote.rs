//! A server as the simulation reaches it.

use std::time::Duration;

use downcity_server::FailureKind;
use downcity_server::simulation::{Delivery, Secret, Vendor, http_client};
use serde_json::{Value, json};

use crate::failure::Failure;

/// No answer takes this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server, and the key of its administrator.
pub(super) struct Remote {
    client: reqwest::Client,
    url: String,
    admin_key: Secret,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Reply {
    /// The JSON of a success.
    ///
    /// # Errors
    /// What the server says in place of one.
    pub(super) fn success(self, what: &str) -> Result<Value, Failure> {
        if self.status == 200 {
            return Ok(self.body);
        }
        let kind = match self.status {
            401 | 403 => FailureKind::NotAllowed,
            404 => FailureKind::NotFound,
            409 => FailureKind::Conflict,
            _ => FailureKind::Failed,
        };
        let said = self.body["error"].as_str().unwrap_or("no reason");
        Err(Failure::new(kind, format!("{what}: the server answers {}: {said}", self.status)))
    }
}

/// Who calls.
#[derive(Clone, Copy)]
pub(super) enum As<'a> {
    Admin,
    User(&'a str),
}

impl Remote {
    /// The server at this address.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(super) fn new(url: &str, admin_key: Secret) -> Result<Self, Failure> {
        let client = http_client()
            .map_err(|error| Failure::new(FailureKind::Failed, error.message().to_owned()))?;
        Ok(Self { client, url: url.trim_end_matches('/').to_owned(), admin_key })
    }

    /// GET.
    pub(super) async fn get(&self, caller: As<'_>, path: &str) -> Result<Reply, Failure> {
        self.send(self.client.get(self.address(path)), Some(caller)).await
    }

    /// POST of JSON.
    pub(super) async fn post(
        &self,
        caller: As<'_>,
        path: &str,
        input: &Value,
    ) -> Result<Reply, Failure> {
        self.send(self.client.post(self.address(path)).json(input), Some(caller)).await
    }

    /// Sends a webhook.
    pub(super) async fn deliver(
        &self,
        vendor: Vendor,
        delivery: &Delivery,
    ) -> Result<Reply, Failure> {
        let path = format!("/v1/payment/webhook?provider={}", vendor.id());
        let mut request = self.client.post(self.address(&path)).body(delivery.body.clone());
        for (name, value) in &delivery.headers {
            request = request.header(*name, value);
        }
        self.send(request, None).await
    }

    fn address(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    async fn send(
        &self,
        request: reqwest::RequestBuilder,
        caller: Option<As<'_>>,
    ) -> Result<Reply, Failure> {
        let request = match caller {
            Some(As::Admin) => request.bearer_auth(self.admin_key.expose()),
            Some(As::User(token)) => request.bearer_auth(token),
            None => request,
        };
        let unreachable = |error: reqwest::Error| {
            let why = error.without_url();
            Failure::new(FailureKind::Unreachable, format!("{} does not answer: {why}", self.url))
        };
        let response = request.timeout(PATIENCE).send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let bytes = response.bytes().await.map_err(unreachable)?;
        let body = serde_json::from_slice(&bytes).unwrap_or(json!({}));
        Ok(Reply { status, body })
    }
}
