//! `/v1/balance/topups/*`.

use std::sync::Arc;

use downcity_core::audit::{Target, Trail};
use downcity_core::idempotency::{self, IdempotentRequest};
use downcity_core::{ADMIN, Cx, Result, ServiceDef, USER};
use downcity_db::Tx;
use downcity_types::{Items, Page, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{NewTopup, Stored, Topup, TopupEnd, TopupStatus, store};
use crate::balance::Balance;
use crate::balance::amount::AmountIn;
use crate::balance::changing::actor;
use crate::balance::extra::Extra;
use crate::balance::listing::{Filter, Stretch, wanted_text};
use crate::balance::service::narrowed;

/// Declares the actions.
pub(in crate::balance) fn define(balance: &Arc<Balance>, service: &mut ServiceDef) {
    service
        .post("topups/create", USER, balance, Balance::create_topup)
        .summary("Say how much to buy; nothing is credited until it is paid.")
        .description(
            "The amount is whole cents within the configured bounds. A user has at most 20 top-ups \
             that are pending; one that is not paid within 24 hours is canceled. note, ref and meta \
             are kept under user in metadata_json.",
        );
    service
        .get("topups/me", USER, balance, Balance::own_topups)
        .summary("List the caller's top-ups, newest first.");
    service
        .get("topups", ADMIN, balance, Balance::topups)
        .summary("List top-ups, newest first.")
        .description("status is pending, paid or canceled; from and to are about created_at.");
    service
        .post("topups/finish", ADMIN, balance, Balance::finish_topup)
        .summary("A top-up is paid: credit it to its user.")
        .description(
            "Of several calls for one top-up one succeeds; the others get 409. With city_id, \
             top-ups of other cities are unknown.",
        )
        .moves_money();
    service
        .post("topups/cancel", ADMIN, balance, Balance::cancel_topup)
        .summary("Give up a top-up that is pending; nothing is credited.")
        .description("With city_id, top-ups of other cities are unknown.");
}

#[derive(Deserialize, JsonSchema)]
struct CreateIn {
    /// How much to buy.
    #[serde(flatten)]
    amount: AmountIn,
    /// Remarks of the user.
    #[serde(flatten)]
    extra: Extra,
}

#[derive(Deserialize, JsonSchema)]
struct OwnIn {
    /// Where the page begins, and how long it is: 20 records unless said otherwise, at most 200.
    #[serde(flatten)]
    page: Page,
    /// Those made at this time or later.
    #[serde(default)]
    from: Option<Timestamp>,
    /// Those made before this time.
    #[serde(default)]
    to: Option<Timestamp>,
}

#[derive(Deserialize, JsonSchema)]
struct EndIn {
    /// The top-up.
    topup_id: String,
    /// The city that it has to be of.
    #[serde(default)]
    city_id: Option<String>,
    /// Note and reference replace those of the top-up, meta is added to its facts.
    #[serde(flatten)]
    extra: Extra,
}

impl Balance {
    async fn create_topup(self: Arc<Self>, cx: Cx, input: CreateIn) -> Result<Topup> {
        let user = cx.user()?;
        let new = NewTopup {
            topup_id: cx.runtime().ids().sortable("topup_"),
            city_id: user.city.city_id.clone(),
            user_id: user.user_id.to_string(),
            amount: input.amount.positive()?,
            note: String::new(),
            reference: String::new(),
            metadata: input.extra.checked()?.of_user(),
            now: cx.runtime().clock().now(),
        };
        super::check_amount(&self, new.amount)?;
        let request = IdempotentRequest::of(&cx)?;
        let create = move |tx: &mut Tx<'_>, trail: &mut Trail| {
            idempotency::once(tx, trail, request.as_ref(), |tx, _| super::create(&self, tx, &new))
        };
        cx.write(create).await
    }

    async fn own_topups(self: Arc<Self>, cx: Cx, input: OwnIn) -> Result<Items<Topup>> {
        let stretch = Stretch::of(&input.page, input.from, input.to)?;
        let user = cx.user()?;
        let owner = self.owner(&user.city.city_id, &user.user_id);
        let list = move |tx: &mut Tx<'_>| {
            let topups = store::list_of(tx, &stretch, &owner)?;
            Ok(page(&stretch, topups))
        };
        cx.runtime().db().scan(list).await
    }

    async fn topups(self: Arc<Self>, cx: Cx, filter: Filter) -> Result<Items<Topup>> {
        let stretch = Stretch::of(&filter.page, filter.from, filter.to)?;
        match wanted_text(filter.status.as_ref()) {
            "" => {}
            status => {
                TopupStatus::parse(status)?;
            }
        }
        let list = move |tx: &mut Tx<'_>| {
            let topups = store::list(tx, &stretch, &filter)?;
            Ok(page(&stretch, topups))
        };
        cx.runtime().db().scan(list).await
    }

    async fn finish_topup(self: Arc<Self>, cx: Cx, input: EndIn) -> Result<Topup> {
        let end = end_of(&cx, input)?;
        let request = IdempotentRequest::of(&cx)?;
        let finish = move |tx: &mut Tx<'_>, trail: &mut Trail| {
            idempotency::once(tx, trail, request.as_ref(), |tx, trail| {
                let before = super::find(tx, &end.topup_id)?;
                if let Some(before) = &before {
                    trail.authorise_amount(tx, before.amount)?;
                }
                let topup = super::finish(&self, tx, &end)?;
                trail.record(target(&topup), before, &topup);
                Ok(topup)
            })
        };
        cx.write(finish).await
    }

    async fn cancel_topup(self: Arc<Self>, cx: Cx, input: EndIn) -> Result<Topup> {
        let end = end_of(&cx, input)?;
        let request = IdempotentRequest::of(&cx)?;
        let cancel = move |tx: &mut Tx<'_>, trail: &mut Trail| {
            idempotency::once(tx, trail, request.as_ref(), |tx, trail| {
                let before = super::find(tx, &end.topup_id)?;
                let topup = super::cancel(tx, &end)?;
                trail.record(target(&topup), before, &topup);
                Ok(topup)
            })
        };
        cx.write(cancel).await
    }
}

fn page(stretch: &Stretch, topups: Vec<Stored>) -> Items<Topup> {
    let topups = topups.into_iter().map(Stored::into_record).collect();
    stretch.page(topups, |topup: &Topup| (topup.created_at, &topup.topup_id))
}

fn target(topup: &Topup) -> Target {
    Target::new("topup", &topup.topup_id).in_city(&topup.city_id)
}

fn end_of(cx: &Cx, input: EndIn) -> Result<TopupEnd> {
    let mut end = TopupEnd::new(cx.runtime(), input.topup_id.trim(), &actor(cx));
    end.city_id = narrowed(input.city_id)?;
    end.noted = input.extra.checked()?;
    Ok(end)
}
