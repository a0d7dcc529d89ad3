//! The service `payment.stripe`: what earlier clients call, over the same payments.
//!
//! Its records have the fields of `payment` and, beside them, the names by which those clients know the ids.

use std::sync::Arc;

use downcity_core::{
    ADMIN, Cx, NoInput, PUBLIC, RawRequest, Reply, Result, Service, ServiceDef, USER,
};
use downcity_types::Items;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::admin::{EventsIn, PaymentsIn};
use super::checkout::Wish;
use super::events::EventRecord;
use super::providers::Stripe;
use super::record::{Checkout, OwnPayment, Payment as Record, Stored};
use super::service::OwnIn;
use super::webhook::WebhookAck;
use super::{Payment, pages};

pub(super) const STRIPE: &str = "stripe";

/// The id of the service.
pub(super) const ID: &str = "payment.stripe";

/// The service `payment.stripe`.
#[derive(Debug)]
pub struct StripePayment(Arc<Payment>);

/// What opens a checkout at Stripe.
#[derive(Debug, Deserialize, JsonSchema)]
struct CheckoutIn {
    /// What to pay for: a pending top-up of the caller.
    topup_id: String,
    /// Where to lead the user after paying. Its origin has to be allowed for the city.
    #[serde(default)]
    success_url: Option<String>,
    /// Where to lead a user who leaves the checkout.
    #[serde(default)]
    cancel_url: Option<String>,
}

/// A record of `payment` with Stripe's names of the ids.
#[derive(Debug, Serialize, JsonSchema)]
struct Named<T> {
    /// The record.
    #[serde(flatten)]
    record: T,
    /// The id of the Checkout Session.
    stripe_checkout_session_id: String,
    /// The id of the PaymentIntent; empty while unknown.
    stripe_payment_intent_id: String,
}

fn named<T>(payment: Stored, record: impl FnOnce(Stored) -> T) -> Named<T> {
    Named {
        stripe_checkout_session_id: payment.session_id.clone(),
        stripe_payment_intent_id: payment.provider_payment_id.clone(),
        record: record(payment),
    }
}

fn all<T>(page: Items<Stored>, record: impl Fn(Stored) -> T) -> Items<Named<T>> {
    let items = page.items.into_iter().map(|payment| named(payment, &record)).collect();
    Items { items, next_cursor: page.next_cursor }
}

impl StripePayment {
    /// The alias of this service.
    pub fn new(payment: Arc<Payment>) -> Arc<Self> {
        Arc::new(Self(payment))
    }

    async fn create(self: Arc<Self>, cx: Cx, input: CheckoutIn) -> Result<Named<Checkout>> {
        let wish = Wish {
            provider: &Stripe,
            topup_id: input.topup_id.trim().to_owned(),
            success_url: input.success_url,
            cancel_url: input.cancel_url,
        };
        Ok(named(self.0.checkout(&cx, wish).await?, Stored::into_checkout))
    }

    async fn own_payments(
        self: Arc<Self>,
        cx: Cx,
        input: OwnIn,
    ) -> Result<Items<Named<OwnPayment>>> {
        Ok(all(self.0.own_page(&cx, &input.page, STRIPE).await?, Stored::into_own))
    }

    async fn payments(self: Arc<Self>, cx: Cx, input: PaymentsIn) -> Result<Items<Named<Record>>> {
        Ok(all(self.0.all_payments(&cx, input, STRIPE).await?, Stored::into_record))
    }

    async fn events(self: Arc<Self>, cx: Cx, input: EventsIn) -> Result<Items<EventRecord>> {
        self.0.all_events(&cx, input, STRIPE).await
    }

    async fn webhook(self: Arc<Self>, cx: Cx, request: RawRequest) -> Result<WebhookAck> {
        self.0.take_webhook(cx.runtime(), request, Some(&Stripe)).await
    }

    async fn success_page(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<Reply> {
        Ok(pages::success(cx.parts().uri.query()))
    }

    async fn cancel_page(self: Arc<Self>, _: Cx, _: NoInput) -> Result<Reply> {
        Ok(pages::canceled())
    }
}

impl Service for StripePayment {
    fn id(&self) -> &'static str {
        ID
    }

    fn name(&self) -> &'static str {
        "Stripe Payment"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        service
            .post("checkout/create", USER, &self, Self::create)
            .summary("Open a checkout at Stripe for a pending top-up of the caller.");
        service
            .get("payments/me", USER, &self, Self::own_payments)
            .summary("List the caller's payments at Stripe, newest first.");
        service
            .get("payments", ADMIN, &self, Self::payments)
            .summary("List all payments at Stripe, newest first.");
        service
            .get("events", ADMIN, &self, Self::events)
            .summary("List what Stripe told, newest first.");
        service
            .post("webhook", PUBLIC, &self, Self::webhook)
            .summary("Take a webhook of Stripe.")
            .produces("application/json");
        service
            .get("redirect/success", PUBLIC, &self, Self::success_page)
            .summary("The page after a checkout at Stripe.")
            .produces("text/html");
        service
            .get("redirect/cancel", PUBLIC, &self, Self::cancel_page)
            .summary("The page after a checkout at Stripe that was left.")
            .produces("text/html");
    }
}
