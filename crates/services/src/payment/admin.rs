//! What administrators see of payments, and do about them.

use std::sync::Arc;

use downcity_core::audit::{Target, Trail};
use downcity_core::idempotency::{self, IdempotentRequest};
use downcity_core::{Cx, Error, Result};
use downcity_db::Tx;
use downcity_types::{ErrorCode, Items, Microcredits, Page, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Payment;
use super::apply::Applying;
use super::checkout::unknown;
use super::config::PaidTwice;
use super::events::{self, Claimed, EventRecord, SyncStatus};
use super::record::{Payment as Record, PaymentStatus, Stored};
use super::service::page_of;
use super::store::{self, Narrowed};
use crate::balance::listing::Stretch;

/// Which payments.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct PaymentsIn {
    /// How many to return: 20 unless said otherwise, at most 200.
    #[serde(flatten)]
    pub(super) page: Page,
    /// Those of this user.
    #[serde(default)]
    user_id: Option<String>,
    /// Those of this city.
    #[serde(default)]
    city_id: Option<String>,
    /// Those at this provider.
    #[serde(default)]
    provider: Option<String>,
    /// Those that stand so.
    #[serde(default)]
    status: Option<String>,
    /// Those for this top-up.
    #[serde(default)]
    topup_id: Option<String>,
    /// Those made at this time or later.
    #[serde(default)]
    from: Option<Timestamp>,
    /// Those made before this time.
    #[serde(default)]
    to: Option<Timestamp>,
}

/// Which events.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct EventsIn {
    /// How many to return: 20 unless said otherwise, at most 200.
    #[serde(flatten)]
    pub(super) page: Page,
    /// Those of this provider.
    #[serde(default)]
    provider: Option<String>,
    /// Those with this end.
    #[serde(default)]
    status: Option<String>,
    /// Those about this payment.
    #[serde(default)]
    payment_id: Option<String>,
    /// `payload` adds the bodies, which hold data of buyers.
    #[serde(default)]
    include: Option<String>,
    /// Those that came at this time or later.
    #[serde(default)]
    from: Option<Timestamp>,
    /// Those that came before this time.
    #[serde(default)]
    to: Option<Timestamp>,
}

/// An event.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct EventIn {
    /// Its id.
    event_id: String,
}

/// A decision on a payment in review.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ResolveIn {
    /// The payment.
    payment_id: String,
    /// `true` credits the whole top-up; `false` ends the payment as `failed`, and nothing is credited.
    credit: bool,
}

fn text(given: Option<String>) -> String {
    given.map(|text| text.trim().to_owned()).unwrap_or_default()
}

impl Payment {
    pub(super) async fn payments(
        self: Arc<Self>,
        cx: Cx,
        input: PaymentsIn,
    ) -> Result<Items<Record>> {
        let page = self.all_payments(&cx, input, "").await?;
        Ok(Items {
            items: page.items.into_iter().map(Stored::into_record).collect(),
            next_cursor: page.next_cursor,
        })
    }

    /// A page of all payments; with a provider, of those there.
    pub(super) async fn all_payments(
        &self,
        cx: &Cx,
        input: PaymentsIn,
        provider: &str,
    ) -> Result<Items<Stored>> {
        let stretch = Stretch::of(&input.page, input.from, input.to)?;
        let mut by = Narrowed {
            user_id: text(input.user_id),
            status: text(input.status),
            provider: text(input.provider),
            city_id: text(input.city_id),
            topup_id: text(input.topup_id),
        };
        if !by.status.is_empty() {
            PaymentStatus::parse(&by.status)?;
        }
        if !provider.is_empty() {
            provider.clone_into(&mut by.provider);
        }
        let list = move |tx: &mut Tx<'_>| Ok(page_of(&stretch, store::list(tx, &stretch, &by)?));
        cx.runtime().db().scan(list).await
    }

    pub(super) async fn events(
        self: Arc<Self>,
        cx: Cx,
        input: EventsIn,
    ) -> Result<Items<EventRecord>> {
        self.all_events(&cx, input, "").await
    }

    /// A page of all events; with a provider, of those from there.
    pub(super) async fn all_events(
        &self,
        cx: &Cx,
        input: EventsIn,
        provider: &str,
    ) -> Result<Items<EventRecord>> {
        let stretch = Stretch::of(&input.page, input.from, input.to)?;
        let with_payload = match input.include.as_deref().map(str::trim) {
            None | Some("") => false,
            Some("payload") => true,
            Some(_) => return Err(Error::invalid("include", "must be payload")),
        };
        let (status, payment_id) = (text(input.status), text(input.payment_id));
        if !status.is_empty() {
            SyncStatus::parse(&status)?;
        }
        let provider = if provider.is_empty() { text(input.provider) } else { provider.to_owned() };
        let list = move |tx: &mut Tx<'_>| {
            let found = events::list(tx, &stretch, &payment_id, &status, &provider, with_payload)?;
            Ok(stretch.page(found, |event: &EventRecord| (event.created_at, &*event.event_id)))
        };
        cx.runtime().db().scan(list).await
    }

    /// Claims the event under the audit trail, then handles it as when it came.
    pub(super) async fn replay(self: Arc<Self>, cx: Cx, input: EventIn) -> Result<EventRecord> {
        let now = cx.runtime().clock().now();
        let event_id = input.event_id.trim().to_owned();
        let wanted = event_id.clone();
        let claim = move |tx: &mut Tx<'_>, trail: &mut Trail| {
            let before = events::find(tx, &wanted)?;
            match events::claim(tx, &wanted, true, now)? {
                Claimed::Yes(claim) => {
                    let after = events::find(tx, &wanted)?;
                    trail.record(Target::new("payment_event", &wanted), before, after);
                    Ok(claim)
                }
                Claimed::No(status) => {
                    let text = format!("The event is {} and cannot be replayed.", status.as_str());
                    Err(Error::new(ErrorCode::Conflict, text))
                }
            }
        };
        let claim = cx.write(claim).await?;
        self.handle(cx.runtime(), *claim).await?;
        let found = cx.runtime().db().read(move |tx| events::find(tx, &event_id)).await?;
        found.ok_or_else(|| Error::new(ErrorCode::NotFound, "event not found"))
    }

    pub(super) async fn resolve(self: Arc<Self>, cx: Cx, input: ResolveIn) -> Result<Record> {
        let now = cx.runtime().clock().now();
        let spare = cx.runtime().ids().sortable("topup_");
        let request = IdempotentRequest::of(&cx)?;
        let resolve = move |tx: &mut Tx<'_>, trail: &mut Trail| {
            idempotency::once(tx, trail, request.as_ref(), |tx, trail| {
                let payment_id = input.payment_id.trim();
                let found = store::lock(tx, payment_id)?;
                let before = found.ok_or_else(|| unknown(payment_id))?;
                if before.status != PaymentStatus::Review {
                    let text = format!("The payment is {}, not in review.", before.status.as_str());
                    return Err(Error::new(ErrorCode::Conflict, text));
                }
                let mut payment = before.clone();
                if input.credit {
                    trail.authorise_amount(tx, Microcredits(payment.amount))?;
                    let applying = Applying {
                        balance: &self.balance,
                        paid_twice: PaidTwice::Credit,
                        spare_topup_id: &spare,
                        now,
                    };
                    applying.credit(tx, &mut payment)?;
                } else {
                    trail.authorise_amount(tx, Microcredits::ZERO)?;
                    payment.status = PaymentStatus::Failed;
                }
                store::save(tx, &payment, now)?;
                payment.updated_at = now.millis();
                let after = payment.into_record();
                let target = Target::new("payment", &after.own.checkout.payment_id);
                trail.record(target.in_city(&after.city_id), before.into_record(), &after);
                Ok(after)
            })
        };
        cx.write(resolve).await
    }
}
