//! The actions that show wallets, entries, charges and holds.

use std::sync::Arc;

use downcity_core::{ADMIN, Cx, Error, NoInput, Result, ServiceDef, USER};
use downcity_types::{Items, Microcredits, Page, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;

use super::account::Account;
use super::listing::{Filter, Stretch, wanted_text};
use super::lists::{self, Conditions, Entries};
use super::records::{ChargeRecord, HoldRecord, LedgerEntry, OwnWallet};
use super::service::Balance;
use super::wallet::{self, Kind};

pub(super) fn define(balance: &Arc<Balance>, service: &mut ServiceDef) {
    service.get("me", USER, balance, Balance::me).summary("Read the caller's wallet.").description(
        "Reading makes no wallet: before its first use it is shown as it will begin. balance counts \
         reserved amounts in; available_microcredits is what can be spent.",
    );
    service
        .get("history/me", USER, balance, Balance::own_history)
        .summary("List the changes of the caller's wallet, newest first.");
    service
        .get("charges/me", USER, balance, Balance::own_charges)
        .summary("List what the caller was charged, newest first.");
    service
        .get("users", ADMIN, balance, Balance::users)
        .summary("List the wallets, those first that were changed last.");
    service
        .get("history", ADMIN, balance, Balance::history)
        .summary("List changes of wallets, newest first.")
        .description("kind is init, add, sub, topup, redeem, charge, refund or expire.");
    service
        .get("charges", ADMIN, balance, Balance::charges)
        .summary("List charges, newest first.")
        .description("status is settled, unpaid or refunded.");
    service
        .get("holds/list", ADMIN, balance, Balance::holds)
        .summary("List reserved amounts, newest first.")
        .description("status is open, settled, released or expired.");
}

#[derive(Deserialize, JsonSchema)]
struct OwnIn {
    /// Where the page begins, and how long it is: 20 records unless said otherwise, at most 200.
    #[serde(flatten)]
    page: Page,
    /// Those of this kind.
    #[serde(default)]
    kind: Option<String>,
    /// Those with this status.
    #[serde(default)]
    status: Option<String>,
    /// Those with this reference.
    #[serde(default, rename = "ref")]
    reference: Option<String>,
    /// Those made at this time or later.
    #[serde(default)]
    from: Option<Timestamp>,
    /// Those made before this time.
    #[serde(default)]
    to: Option<Timestamp>,
}

#[derive(Deserialize, JsonSchema)]
struct UsersIn {
    /// Where the page begins, and how long it is: 20 records unless said otherwise, at most 200.
    #[serde(flatten)]
    page: Page,
    /// The wallets of this user.
    #[serde(default)]
    user_id: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct HistoryIn {
    /// Which entries.
    #[serde(flatten)]
    filter: Filter,
    /// Those of this kind.
    #[serde(default)]
    kind: Option<String>,
}

/// A kind that a filter names.
fn kind_of(kind: Option<&String>) -> Result<String> {
    let text = wanted_text(kind);
    if text.is_empty() || Kind::ALL.iter().any(|kind| kind.as_str() == text) {
        return Ok(text.to_owned());
    }
    let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    Err(Error::invalid("kind", format!("must be one of: {}", names.join(", "))))
}

/// A status that a filter names.
fn status_of(status: Option<&String>, known: &[&str]) -> Result<String> {
    let text = wanted_text(status);
    if text.is_empty() || known.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(Error::invalid("status", format!("must be one of: {}", known.join(", "))))
}

const CHARGES: &[&str] = &["settled", "unpaid", "refunded"];
const HOLDS: &[&str] = &["open", "settled", "released", "expired"];

impl Balance {
    async fn me(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<OwnWallet> {
        let owner = self.owner_of(&cx)?;
        let (now, init) = (cx.started_at(), owner.init);
        let user_id = owner.user_id.clone();
        let found = cx.runtime().db().read(move |tx| {
            let found = wallet::find(tx, &owner)?;
            found.map(|found| wallet::without_ended(tx, found, now)).transpose()
        });
        let found = found.await?;
        Ok(match found {
            None => OwnWallet::new(user_id, init, Microcredits::ZERO, now, now),
            Some(found) => OwnWallet::new(
                user_id,
                found.balance,
                found.held,
                found.created_at,
                found.updated_at,
            ),
        })
    }

    async fn own_history(self: Arc<Self>, cx: Cx, input: OwnIn) -> Result<Items<LedgerEntry>> {
        let owner = self.owner_of(&cx)?;
        let mut which = Entries::of(&input.page)?;
        which.kind = kind_of(input.kind.as_ref())?;
        which.reference = wanted_text(input.reference.as_ref()).to_owned();
        (which.from, which.to) = lists::bounds(input.from, input.to);
        which.user_id = owner.user_id;
        // A wallet of one city shows what happened there; one of the Federation shows everything.
        which.city_id = owner.scope;
        cx.runtime().db().scan(move |tx| lists::entries(tx, &which)).await
    }

    async fn own_charges(self: Arc<Self>, cx: Cx, input: OwnIn) -> Result<Items<ChargeRecord>> {
        let owner = self.owner_of(&cx)?;
        let stretch = Stretch::of(&input.page, input.from, input.to)?;
        let which = Conditions {
            user_id: owner.user_id,
            city_id: owner.scope,
            status: status_of(input.status.as_ref(), CHARGES)?,
            reference: wanted_text(input.reference.as_ref()).to_owned(),
        };
        cx.runtime().db().scan(move |tx| lists::charges(tx, &which, &stretch)).await
    }

    async fn users(self: Arc<Self>, cx: Cx, input: UsersIn) -> Result<Items<Account>> {
        let stretch = Stretch::of(&input.page, None, None)?;
        let (user_id, limit) =
            (wanted_text(input.user_id.as_ref()).to_owned(), lists::limit(&input.page));
        cx.runtime().db().scan(move |tx| lists::wallets(tx, &user_id, &stretch, limit)).await
    }

    async fn history(self: Arc<Self>, cx: Cx, input: HistoryIn) -> Result<Items<LedgerEntry>> {
        let HistoryIn { filter, kind } = input;
        let mut which = Entries::of(&filter.page)?;
        which.kind = kind_of(kind.as_ref())?;
        which.user_id = wanted_text(filter.user_id.as_ref()).to_owned();
        which.city_id = wanted_text(filter.city_id.as_ref()).to_owned();
        which.reference = wanted_text(filter.reference.as_ref()).to_owned();
        (which.from, which.to) = lists::bounds(filter.from, filter.to);
        cx.runtime().db().scan(move |tx| lists::entries(tx, &which)).await
    }

    async fn charges(self: Arc<Self>, cx: Cx, input: Filter) -> Result<Items<ChargeRecord>> {
        let stretch = Stretch::of(&input.page, input.from, input.to)?;
        let which = conditions(&input, CHARGES)?;
        cx.runtime().db().scan(move |tx| lists::charges(tx, &which, &stretch)).await
    }

    async fn holds(self: Arc<Self>, cx: Cx, input: Filter) -> Result<Items<HoldRecord>> {
        let stretch = Stretch::of(&input.page, input.from, input.to)?;
        let which = conditions(&input, HOLDS)?;
        cx.runtime().db().scan(move |tx| lists::holds(tx, &which, &stretch)).await
    }
}

fn conditions(filter: &Filter, statuses: &[&str]) -> Result<Conditions> {
    Ok(Conditions {
        user_id: wanted_text(filter.user_id.as_ref()).to_owned(),
        city_id: wanted_text(filter.city_id.as_ref()).to_owned(),
        status: status_of(filter.status.as_ref(), statuses)?,
        reference: wanted_text(filter.reference.as_ref()).to_owned(),
    })
}
