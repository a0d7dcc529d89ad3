//! The service `payment`: its state and its actions.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use downcity_core::{
    ADMIN, Cx, Dialect, Error, NoInput, PUBLIC, RawRequest, Reply, Result, Runtime, Service,
    ServiceDef, USER, USER_OR_ADMIN,
};
use downcity_db::migrations;
use downcity_types::{ErrorCode, Items, Page};
use schemars::JsonSchema;
use serde::Deserialize;

use super::checkout::{Wish, own, unknown};
use super::config::PaymentConfig;
use super::providers::{PROVIDERS, Provider, Terms, env_of, provider};
use super::record::{Checkout, Method, OwnPayment, Stored};
use super::sweeper;
use super::webhook::WebhookAck;
use super::{alias, pages, store};
use crate::balance::Balance;
use crate::balance::listing::Stretch;

/// The service `payment`.
pub struct Payment {
    pub(super) config: PaymentConfig,
    pub(super) balance: Arc<Balance>,
    /// Made when the node starts.
    http: OnceLock<reqwest::Client>,
}

impl std::fmt::Debug for Payment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payment").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What opens a checkout.
#[derive(Debug, Deserialize, JsonSchema)]
struct CheckoutIn {
    /// The id of a payment method; the only enabled one when absent.
    #[serde(default)]
    method_id: Option<String>,
    /// Another name of `method_id`.
    #[serde(default)]
    provider: Option<String>,
    /// What to pay for: a pending top-up of the caller.
    topup_id: String,
    /// Where to lead the user after paying, in place of a page of this server. Its origin has to be allowed for the
    /// city.
    #[serde(default)]
    success_url: Option<String>,
    /// Where to lead a user who leaves the checkout.
    #[serde(default)]
    cancel_url: Option<String>,
}

/// A page of the caller's payments.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct OwnIn {
    /// How many to return: 20 unless said otherwise, at most 200.
    #[serde(flatten)]
    pub(super) page: Page,
}

/// A payment.
#[derive(Debug, Deserialize, JsonSchema)]
struct PaymentIn {
    /// Its id.
    payment_id: String,
}

impl Payment {
    /// The service with this configuration, which credits what is paid in `balance`.
    pub fn new(config: PaymentConfig, balance: Arc<Balance>) -> Arc<Self> {
        Arc::new(Self { config, balance, http: OnceLock::new() })
    }

    /// What asks providers.
    pub(super) fn http(&self) -> Result<&reqwest::Client> {
        self.http.get().ok_or_else(|| Error::internal("the service was not started"))
    }

    /// A way to pay, and whether it can be used now.
    pub(super) fn method(&self, runtime: &Runtime, provider: &dyn Provider) -> Method {
        let snapshot = runtime.snapshot();
        let env = env_of(&snapshot);
        let terms = Terms { env: &env, config: &self.config, now: runtime.clock().now() };
        let (currency, tariff) = terms.currency(provider.currency_key());
        let obstacle = provider.obstacle(&terms).map(|obstacle| obstacle.as_str());
        let reason = obstacle.or(tariff.is_none().then_some("not_supported"));
        Method {
            id: provider.id(),
            kind: "checkout",
            enabled: reason.is_none(),
            label: provider.label(),
            service: "payment",
            action: "checkout/create",
            requires_user: true,
            currency,
            reason,
            test: !self.config.is_live(),
        }
    }

    async fn methods(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<Items<Method>> {
        let methods = PROVIDERS.iter().map(|provider| {
            let mut method = self.method(cx.runtime(), *provider);
            // Clients of that generation call the service that a method names, and know this one.
            if cx.dialect() == Dialect::Gate && method.id == alias::STRIPE {
                method.service = alias::ID;
            }
            method
        });
        Ok(methods.collect::<Vec<_>>().into())
    }

    async fn create_checkout(self: Arc<Self>, cx: Cx, input: CheckoutIn) -> Result<Checkout> {
        let wish = Wish {
            provider: self.wanted(cx.runtime(), &input)?,
            topup_id: input.topup_id.trim().to_owned(),
            success_url: input.success_url,
            cancel_url: input.cancel_url,
        };
        Ok(self.checkout(&cx, wish).await?.into_checkout())
    }

    /// The method that is asked for, or the only enabled one.
    fn wanted(&self, runtime: &Runtime, input: &CheckoutIn) -> Result<&'static dyn Provider> {
        let named = |id: &Option<String>| {
            id.as_deref().map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned)
        };
        match (named(&input.method_id), named(&input.provider)) {
            (Some(one), Some(other)) if one != other => {
                Err(Error::new(ErrorCode::ConflictingFields, "method_id and provider differ.")
                    .with_fix("Send one of them."))
            }
            (Some(id), _) | (None, Some(id)) => provider(&id).ok_or_else(|| {
                let text = format!("Payment provider {id} is not available");
                Error::new(ErrorCode::NotFound, text)
            }),
            (None, None) => {
                let mut enabled =
                    PROVIDERS.into_iter().filter(|one| self.method(runtime, *one).enabled);
                match (enabled.next(), enabled.next()) {
                    (Some(only), None) => Ok(only),
                    _ => Err(Error::new(ErrorCode::InvalidInput, "payment method_id is required")
                        .with_field("method_id", "is required")),
                }
            }
        }
    }

    async fn cancel_payment(self: Arc<Self>, cx: Cx, input: PaymentIn) -> Result<OwnPayment> {
        Ok(self.give_up(&cx, input.payment_id).await?.into_own())
    }

    async fn own_payments(self: Arc<Self>, cx: Cx, input: OwnIn) -> Result<Items<OwnPayment>> {
        let page = self.own_page(&cx, &input.page, "").await?;
        Ok(Items {
            items: page.items.into_iter().map(Stored::into_own).collect(),
            next_cursor: page.next_cursor,
        })
    }

    /// A page of the caller's payments at a provider; empty = any.
    pub(super) async fn own_page(
        &self,
        cx: &Cx,
        page: &Page,
        provider: &'static str,
    ) -> Result<Items<Stored>> {
        let stretch = Stretch::of(page, None, None)?;
        let user = cx.user()?;
        let (city_id, user_id) = (user.city.city_id.clone(), user.user_id.to_string());
        let list = move |tx: &mut downcity_db::Tx<'_>| {
            let found = store::list_of(tx, &stretch, &city_id, &user_id, provider)?;
            Ok(page_of(&stretch, found))
        };
        cx.runtime().db().scan(list).await
    }

    async fn payment(self: Arc<Self>, cx: Cx, input: PaymentIn) -> Result<Reply> {
        let owner =
            cx.identity().user().map(|user| (user.city.city_id.clone(), user.user_id.to_string()));
        let find = move |tx: &mut downcity_db::Tx<'_>| match &owner {
            Some((city_id, user_id)) => {
                Reply::json(&own(tx, &input.payment_id, city_id, user_id)?.into_own())
            }
            None => {
                let found = store::find(tx, &input.payment_id)?;
                let found = found.ok_or_else(|| unknown(&input.payment_id))?;
                Reply::json(&found.into_record())
            }
        };
        cx.runtime().db().read(find).await
    }

    async fn webhook(self: Arc<Self>, cx: Cx, request: RawRequest) -> Result<WebhookAck> {
        self.take_webhook(cx.runtime(), request, None).await
    }

    async fn success_page(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<Reply> {
        Ok(pages::success(cx.parts().uri.query()))
    }

    async fn cancel_page(self: Arc<Self>, _: Cx, _: NoInput) -> Result<Reply> {
        Ok(pages::canceled())
    }
}

/// A page of payments.
pub(super) fn page_of(stretch: &Stretch, found: Vec<Stored>) -> Items<Stored> {
    stretch.page(found, |payment: &Stored| {
        (downcity_types::Timestamp::from_millis(payment.created_at), &*payment.payment_id)
    })
}

#[async_trait]
impl Service for Payment {
    fn id(&self) -> &'static str {
        "payment"
    }

    fn name(&self) -> &'static str {
        "Payment"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        service.migrations(migrations!("payment", [(1, "payment", "migrations/0001_payment.sql")]));
        service.instruction(include_str!("instruction.md"));
        for (key, about) in PROVIDERS.iter().flat_map(|provider| provider.env()) {
            service.env(key, about, false);
        }
        service
            .get("methods", PUBLIC, &self, Self::methods)
            .summary("List the ways to pay, and which of them can be used.");
        service
            .post("checkout/create", USER, &self, Self::create_checkout)
            .summary("Open a checkout for a pending top-up of the caller.")
            .description(
                "Send the user to checkout_url. Asked again for the same top-up and method, it gives \
                 the open checkout.",
            );
        service
            .get("payments/me", USER, &self, Self::own_payments)
            .summary("List the caller's payments, newest first.");
        service
            .get("payments/get", USER_OR_ADMIN, &self, Self::payment)
            .summary("Read a payment.")
            .description("Users read their own; the trusted side reads any, with all its fields.")
            .produces("application/json");
        service
            .post("payments/cancel", USER, &self, Self::cancel_payment)
            .summary("Give up an open checkout of the caller.")
            .description("What is paid there all the same is credited.");
        service
            .get("payments", ADMIN, &self, Self::payments)
            .summary("List all payments, newest first.");
        service
            .post("payments/resolve", ADMIN, &self, Self::resolve)
            .summary("Decide on a payment in review: credit it, or not.")
            .moves_money();
        service
            .get("events", ADMIN, &self, Self::events)
            .summary("List what providers told, newest first.");
        service
            .post("events/replay", ADMIN, &self, Self::replay)
            .summary("Handle a stored event again.")
            .description("What it credits is credited once, however often it is handled.");
        service
            .post("webhook", PUBLIC, &self, Self::webhook)
            .summary("Take a webhook of a payment provider.")
            .description(
                "The provider is that of ?provider=, else the one whose signature header is there. \
                 Only webhooks that are signed with the configured secret are believed.",
            )
            .produces("application/json");
        service
            .get("redirect/success", PUBLIC, &self, Self::success_page)
            .summary("The page after a checkout.")
            .produces("text/html");
        service
            .get("redirect/cancel", PUBLIC, &self, Self::cancel_page)
            .summary("The page after a checkout that was left.")
            .produces("text/html");
    }

    async fn start(&self, runtime: &Arc<Runtime>) -> Result<()> {
        let _ = self.http.set(crate::http::client()?);
        let sweeper = Arc::new(Self {
            config: self.config.clone(),
            balance: self.balance.clone(),
            http: self.http.clone(),
        });
        let work = sweeper::sweep_regularly(sweeper, runtime.clone());
        runtime.tasks().spawn_until_stopped(work);
        Ok(())
    }
}
