//! Webhooks: verified, stored, and handled exactly once, however often and in whatever order they come.

use bytes::Bytes;
use downcity_core::{Error, RawRequest, Result, Runtime};
use downcity_db::Tx;
use downcity_types::{ErrorCode, Timestamp};
use http::HeaderMap;
use http_body_util::{BodyExt as _, Limited};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Payment;
use super::apply::Applying;
use super::events::{self, Claim, Claimed, NewEvent, SyncStatus};
use super::providers::{Event, PROVIDERS, Provider, Terms, env_of, provider};

/// Largest webhook that is read, in bytes.
const MAX_BODY: usize = 1024 * 1024;
/// Longest id of an event, in bytes.
const MAX_ID: usize = 300;

/// What a provider is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookAck {
    /// Always `true`.
    pub received: bool,
    /// The provider's name, a colon and its id of the event.
    pub event_id: String,
    /// The provider.
    pub provider: String,
    /// What became of it; an event of no known payment is `ignored`, though it is tried again.
    pub sync_status: SyncStatus,
}

impl Payment {
    /// Takes a webhook. `fixed` is the provider where the address says it.
    pub(super) async fn take_webhook(
        &self,
        runtime: &Runtime,
        request: RawRequest,
        fixed: Option<&'static dyn Provider>,
    ) -> Result<WebhookAck> {
        let provider = match fixed {
            Some(provider) => provider,
            None => addressed(&request)?,
        };
        let body = read_body(request.body).await?;
        let now = runtime.clock().now();
        let event = self.verified(runtime, provider, &request.parts.headers, &body, now)?;
        let new = NewEvent {
            event_id: format!("{}:{}", provider.id(), event.event_id),
            provider: provider.id().to_owned(),
            payload: String::from_utf8_lossy(&body).replace('\0', ""),
            event,
            now,
        };
        let ack = |sync_status| WebhookAck {
            received: true,
            event_id: new.event_id.clone(),
            provider: new.provider.clone(),
            sync_status,
        };
        if new.event.is_live.is_some_and(|is_live| is_live != self.config.is_live()) {
            let why = "the event is of the provider's other mode";
            let stored = new.clone();
            runtime.db().write(move |tx| events::reject(tx, &stored, why)).await?;
            return Err(refused("The event is rejected: it is of the provider's other mode.")
                .with_fix(
                    "Point webhooks of test mode at a server with payment.mode = \"test\".",
                ));
        }
        let taken = new.clone();
        match runtime.db().write(move |tx| events::take(tx, &taken)).await? {
            Claimed::No(SyncStatus::Unmatched) => Ok(ack(SyncStatus::Ignored)),
            Claimed::No(status) => Ok(ack(status)),
            Claimed::Yes(claim) => match self.handle(runtime, *claim).await? {
                SyncStatus::Unmatched => Ok(ack(SyncStatus::Ignored)),
                status => Ok(ack(status)),
            },
        }
    }

    fn verified(
        &self,
        runtime: &Runtime,
        provider: &dyn Provider,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Event> {
        let snapshot = runtime.snapshot();
        let env = env_of(&snapshot);
        let terms = Terms { env: &env, config: &self.config, now };
        if !provider.can_verify(&terms) {
            let text = format!("Payment provider {} is disabled: not_configured", provider.id());
            return Err(Error::new(ErrorCode::Unavailable, text).with_fix(
                "The operator sets the secret of its webhooks; until then none is believed.",
            ));
        }
        let event = provider.event(&terms, headers, body).map_err(|why| {
            tracing::warn!(provider = provider.id(), %why, "a webhook is refused");
            refused(&why.to_string())
        })?;
        let is_id = !event.event_id.contains('\0') && event.event_id.len() <= MAX_ID;
        let is_kind = !event.kind.contains('\0') && event.kind.len() <= MAX_ID;
        if is_id && is_kind { Ok(event) } else { Err(refused("The event cannot be read.")) }
    }

    /// Handles a claimed event in one transaction. What fails is noted and tried again.
    pub(super) async fn handle(&self, runtime: &Runtime, claim: Claim) -> Result<SyncStatus> {
        let now = runtime.clock().now();
        let spare = runtime.ids().sortable("topup_");
        let (balance, paid_twice) = (self.balance.clone(), self.config.paid_twice);
        let run = claim.clone();
        let handled = runtime
            .db()
            .write(move |tx| {
                let applying =
                    Applying { balance: &balance, paid_twice, spare_topup_id: &spare, now };
                let applied = applying.apply(tx, &run.provider, &run.event)?;
                events::end(tx, &run, applied.status, "", &applied.payment_id, now)
            })
            .await;
        match handled {
            Ok(status) => Ok(status),
            Err(error) if error.status().is_client_error() => {
                self.keep_for_review(runtime, claim, error).await
            }
            Err(error) => self.note_failure(runtime, claim, error).await,
        }
    }

    /// Money came that the wallet refuses: the payment waits for an administrator.
    async fn keep_for_review(
        &self,
        runtime: &Runtime,
        claim: Claim,
        error: Error,
    ) -> Result<SyncStatus> {
        let now = runtime.clock().now();
        let (balance, paid_twice) = (self.balance.clone(), self.config.paid_twice);
        let (run, text) = (claim.clone(), error.message().to_owned());
        let kept = runtime
            .db()
            .write(move |tx| {
                let applying = Applying { balance: &balance, paid_twice, spare_topup_id: "", now };
                let kept = applying.keep_for_review(tx, &run.provider, &run.event, &text)?;
                let Some(payment_id) = kept else { return Ok(None) };
                events::end(tx, &run, SyncStatus::Applied, &text, &payment_id, now).map(Some)
            })
            .await?;
        match kept {
            Some(status) => Ok(status),
            None => self.note_failure(runtime, claim, error).await,
        }
    }

    async fn note_failure(
        &self,
        runtime: &Runtime,
        claim: Claim,
        error: Error,
    ) -> Result<SyncStatus> {
        tracing::error!(event_id = claim.event_id, ?error, "an event could not be handled");
        let (now, text) = (runtime.clock().now(), error.message().to_owned());
        let failed =
            move |tx: &mut Tx<'_>| events::end(tx, &claim, SyncStatus::Failed, &text, "", now);
        // The lease ends by itself where not even this can be stored.
        if let Err(error) = runtime.db().write(failed).await {
            tracing::error!(?error, "the failure of an event could not be noted");
        }
        if error.status().is_server_error() { Err(error) } else { Err(Error::internal(error)) }
    }
}

/// The provider that a webhook is of: what the address says, else what only its headers have.
fn addressed(request: &RawRequest) -> Result<&'static dyn Provider> {
    let query = request.parts.uri.query().unwrap_or_default();
    let named = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "provider");
    if let Some((_, id)) = named {
        return provider(&id)
            .ok_or_else(|| Error::new(ErrorCode::NotFound, "No payment provider has this id."));
    }
    let headers = &request.parts.headers;
    let has = |provider: &&'static dyn Provider| {
        provider.webhook_headers().iter().any(|name| headers.contains_key(*name))
    };
    PROVIDERS.into_iter().find(has).ok_or_else(|| {
        Error::invalid("provider", "is missing: add ?provider= to the address of the webhook")
    })
}

async fn read_body(body: downcity_core::Body) -> Result<Bytes> {
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Error::new(ErrorCode::PayloadTooLarge, "The webhook is larger than 1 MiB."))
        }
        Err(error) => {
            Err(Error::new(ErrorCode::RequestTimeout, "The webhook did not arrive whole.")
                .with_source(error))
        }
    }
}

fn refused(why: &str) -> Error {
    Error::new(ErrorCode::InvalidInput, why.to_owned())
}
