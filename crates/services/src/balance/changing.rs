//! The actions of the trusted side that change wallets.

use std::sync::Arc;

use downcity_core::audit::Target;
use downcity_core::idempotency::{self, IdempotentRequest};
use downcity_core::{ADMIN, Cx, Error, Identity, NewHold, Result, ServiceDef, Settlement};
use downcity_types::{ErrorCode, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::account::Account;
use super::amount::AmountIn;
use super::charges;
use super::extra::{Extra, Noted};
use super::holds::{self, HoldStatus};
use super::records::{ChargeRecord, HoldRecord};
use super::service::Balance;
use super::wallet::{self, Kind, NEVER, Note};

pub(super) fn define(balance: &Arc<Balance>, service: &mut ServiceDef) {
    service
        .post("add", ADMIN, balance, Balance::add)
        .summary("Give credits to a user.")
        .description(
            "With expires_at the credits end then; those that end first are spent first. Send an \
             Idempotency-Key, so that a repeated request adds once.",
        )
        .moves_money();
    service
        .post("sub", ADMIN, balance, Balance::sub)
        .summary("Take credits from a user; 402 when they are not available.")
        .moves_money();
    service
        .post("charge", ADMIN, balance, Balance::charge)
        .summary("Charge a user for something; 402 when the wallet does not cover it.")
        .description(
            "Send an Idempotency-Key, so that a repeated request charges once. metadata may be \
             called meta.",
        )
        .moves_money();
    service
        .post("charges/refund", ADMIN, balance, Balance::refund_charge)
        .summary("Give a charge back, once; what was not paid of it is no longer owed.")
        .moves_money();
    service
        .post("holds/create", ADMIN, balance, Balance::create_hold)
        .summary("Reserve credits of a user; 402 when they are not available.")
        .description(
            "Settle or release it later. A hold that is not ended by its deadline is released.",
        )
        .moves_money();
    service
        .post("holds/settle", ADMIN, balance, Balance::settle_hold)
        .summary("End a hold with a charge, of less or more than was held.")
        .description(
            "What the wallet cannot cover is the unpaid part of the charge. Settled again, it gives \
             the first charge; a settled amount of 0 makes none.",
        )
        .moves_money();
    service
        .post("holds/release", ADMIN, balance, Balance::release_hold)
        .summary("End a hold without a charge; one that has ended stays as it is.");
}

#[derive(Deserialize, JsonSchema)]
struct MoveIn {
    /// Whose wallet.
    user_id: String,
    /// The city; required where a user has a wallet per city.
    #[serde(default)]
    city_id: Option<String>,
    /// How much.
    #[serde(flatten)]
    amount: AmountIn,
    /// Remarks.
    #[serde(flatten)]
    extra: Extra,
}

#[derive(Deserialize, JsonSchema)]
struct AddIn {
    /// What to add.
    #[serde(flatten)]
    what: MoveIn,
    /// When the credits end; without it they do not.
    #[serde(default)]
    expires_at: Option<Timestamp>,
}

#[derive(Deserialize, JsonSchema)]
struct ChargeIn {
    /// What to charge.
    #[serde(flatten)]
    what: MoveIn,
    /// Further facts, at most 8 KiB as JSON.
    #[serde(default)]
    metadata: Option<Map<String, Value>>,
}

#[derive(Deserialize, JsonSchema)]
struct RefundIn {
    /// The charge.
    charge_id: String,
    /// The city that it has to be of.
    #[serde(default)]
    city_id: Option<String>,
    /// Why.
    #[serde(default)]
    note: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct HoldIn {
    /// What to reserve.
    #[serde(flatten)]
    what: MoveIn,
    /// When it ends by itself; as configured where it is left out.
    #[serde(default)]
    deadline: Option<Timestamp>,
}

#[derive(Deserialize, JsonSchema)]
struct SettleIn {
    /// The hold.
    hold_id: String,
    /// The city that it has to be of.
    #[serde(default)]
    city_id: Option<String>,
    /// What it cost; 0 ends the hold without a charge.
    #[serde(flatten)]
    amount: AmountIn,
    /// Remarks; without note and ref those of the hold.
    #[serde(flatten)]
    extra: Extra,
}

#[derive(Deserialize, JsonSchema)]
struct ReleaseIn {
    /// The hold.
    hold_id: String,
    /// The city that it has to be of.
    #[serde(default)]
    city_id: Option<String>,
}

/// Who changes a wallet, as the ledger names it.
pub(super) fn actor(cx: &Cx) -> String {
    match cx.identity() {
        Identity::Service(key) => format!("service:{}", key.id()),
        Identity::Admin => "admin".to_owned(),
        Identity::User(_) => "user".to_owned(),
        Identity::Guest(_) => "guest".to_owned(),
    }
}

fn note(cx: &Cx, kind: Kind, noted: Noted, default_note: &str) -> Note {
    Note {
        kind,
        note: noted.note.unwrap_or_else(|| default_note.to_owned()),
        reference: noted.reference.unwrap_or_default(),
        metadata: noted.meta,
        actor: actor(cx),
        effect: None,
        now: cx.started_at(),
    }
}

impl Balance {
    async fn add(self: Arc<Self>, cx: Cx, input: AddIn) -> Result<Account> {
        let AddIn { what, expires_at } = input;
        let owner = self.owner_named(what.city_id.as_deref(), &what.user_id)?;
        let amount = what.amount.positive()?;
        let note = note(&cx, Kind::Add, what.extra.checked()?, "");
        let ends = expires_at.map_or(NEVER, Timestamp::millis);
        let request = IdempotentRequest::of(&cx)?;
        cx.write(move |tx, trail| {
            idempotency::once(tx, trail, request.as_ref(), |tx, trail| {
                // Asked of new requests alone: a repeated one may come after the end.
                if ends <= note.now.millis() {
                    return Err(Error::invalid("expires_at", "lies in the past"));
                }
                trail.authorise_amount(tx, amount)?;
                let before = wallet::lock(tx, &owner, note.now)?;
                let after = wallet::credit(tx, &owner, amount, ends, &note)?;
                let target = Target::new("wallet", &owner.user_id).in_city(&owner.city_id);
                trail.record(target, Account::of(before), Account::of(after.clone()));
                Ok(Account::of(after))
            })
        })
        .await
    }

    async fn sub(self: Arc<Self>, cx: Cx, input: MoveIn) -> Result<Account> {
        let owner = self.owner_named(input.city_id.as_deref(), &input.user_id)?;
        let amount = input.amount.positive()?;
        let note = note(&cx, Kind::Sub, input.extra.checked()?, "");
        let request = IdempotentRequest::of(&cx)?;
        cx.write(move |tx, trail| {
            idempotency::once(tx, trail, request.as_ref(), |tx, trail| {
                trail.authorise_amount(tx, amount)?;
                let before = wallet::lock(tx, &owner, note.now)?;
                let after = wallet::debit(tx, &owner, amount, &note)?;
                let target = Target::new("wallet", &owner.user_id).in_city(&owner.city_id);
                trail.record(target, Account::of(before), Account::of(after.clone()));
                Ok(Account::of(after))
            })
        })
        .await
    }

    async fn charge(self: Arc<Self>, cx: Cx, input: ChargeIn) -> Result<ChargeRecord> {
        let ChargeIn { what, metadata } = input;
        let owner = self.owner_named(what.city_id.as_deref(), &what.user_id)?;
        let amount = what.amount.positive()?;
        let noted = what.extra.or_meta(metadata).checked()?;
        let mut note = note(&cx, Kind::Charge, noted, "charge");
        let charge_id = cx.runtime().ids().secret::<12>("chg_");
        if note.reference.is_empty() {
            note.reference.clone_from(&charge_id);
        }
        let request = IdempotentRequest::of(&cx)?;
        cx.write(move |tx, trail| {
            idempotency::once(tx, trail, request.as_ref(), |tx, trail| {
                trail.authorise_amount(tx, amount)?;
                let charge = charges::charge(tx, &owner, &charge_id, amount, &note)?;
                let record = ChargeRecord::from(charge);
                let target = Target::new("charge", &charge_id).in_city(&owner.city_id);
                trail.record(target, (), &record);
                Ok(record)
            })
        })
        .await
    }

    async fn refund_charge(self: Arc<Self>, cx: Cx, input: RefundIn) -> Result<ChargeRecord> {
        let noted = Extra::of_note(input.note).checked()?;
        let note = note(&cx, Kind::Refund, noted, "refund");
        let request = IdempotentRequest::of(&cx)?;
        let balance = self.clone();
        cx.write(move |tx, trail| {
            idempotency::once(tx, trail, request.as_ref(), |tx, trail| {
                let before = charges::find(tx, &input.charge_id)?
                    .filter(|charge| of_city(&charge.city_id, input.city_id.as_deref()))
                    .ok_or_else(|| not_found("charge", &input.charge_id))?;
                trail.authorise_amount(tx, before.amount)?;
                let owner = balance.owner(&before.city_id, &before.user_id);
                let after = charges::refund(tx, &owner, &before, &note)?;
                let (before, after) = (ChargeRecord::from(before), ChargeRecord::from(after));
                let target = Target::new("charge", &before.charge_id).in_city(&before.city_id);
                trail.record(target, &before, &after);
                Ok(after)
            })
        })
        .await
    }

    async fn create_hold(self: Arc<Self>, cx: Cx, input: HoldIn) -> Result<HoldRecord> {
        let HoldIn { what, deadline } = input;
        let owner = self.owner_named(what.city_id.as_deref(), &what.user_id)?;
        let noted = what.extra.checked()?;
        let now = cx.started_at();
        let deadline = deadline.unwrap_or(now.saturating_add(self.config().hold_timeout.get()));
        let hold = NewHold {
            hold_id: cx.runtime().ids().secret::<12>("hold_"),
            city_id: owner.city_id.clone(),
            user_id: owner.user_id.clone(),
            amount: what.amount.positive()?,
            note: noted.note.unwrap_or_default(),
            reference: noted.reference.unwrap_or_default(),
            metadata: noted.meta,
            deadline,
            now,
        };
        let request = IdempotentRequest::of(&cx)?;
        cx.write(move |tx, trail| {
            idempotency::once(tx, trail, request.as_ref(), |tx, trail| {
                if hold.deadline <= hold.now {
                    return Err(Error::invalid("deadline", "lies in the past"));
                }
                trail.authorise_amount(tx, hold.amount)?;
                let record = HoldRecord::from(holds::hold(tx, &owner, &hold)?);
                let target = Target::new("hold", &hold.hold_id).in_city(&owner.city_id);
                trail.record(target, (), &record);
                Ok(record)
            })
        })
        .await
    }

    async fn settle_hold(self: Arc<Self>, cx: Cx, input: SettleIn) -> Result<HoldRecord> {
        let amount = input.amount.not_negative()?;
        let noted = input.extra.checked()?;
        let (hold_id, city_id) = (input.hold_id, input.city_id);
        let charge_id = cx.runtime().ids().secret::<12>("chg_");
        let (now, by) = (cx.started_at(), actor(&cx));
        let request = IdempotentRequest::of(&cx)?;
        cx.write(move |tx, trail| {
            idempotency::once(tx, trail, request.as_ref(), |tx, trail| {
                let before = of(tx, &hold_id, city_id.as_deref())?;
                if before.status == HoldStatus::Settled.as_str() {
                    trail.unchanged();
                    return Ok(HoldRecord::from(before));
                }
                trail.authorise_amount(tx, amount)?;
                let settlement = Settlement {
                    hold_id: hold_id.clone(),
                    charge_id: charge_id.clone(),
                    amount,
                    note: noted.note.clone().unwrap_or_else(|| before.note.clone()),
                    reference: noted.reference.clone().unwrap_or_else(|| before.reference.clone()),
                    metadata: noted.meta.clone(),
                    now,
                };
                holds::settle(tx, &settlement, &by)?;
                let after = holds::get(tx, &hold_id)?;
                let (before, after) = (HoldRecord::from(before), HoldRecord::from(after));
                let target = Target::new("hold", &hold_id).in_city(&before.city_id);
                trail.record(target, &before, &after);
                Ok(after)
            })
        })
        .await
    }

    async fn release_hold(self: Arc<Self>, cx: Cx, input: ReleaseIn) -> Result<HoldRecord> {
        let now = cx.started_at();
        cx.write(move |tx, trail| {
            let before = of(tx, &input.hold_id, input.city_id.as_deref())?;
            let after = holds::release(tx, &input.hold_id, HoldStatus::Released, now)?;
            let (before, after) = (HoldRecord::from(before), HoldRecord::from(after));
            if before.status == after.status {
                trail.unchanged();
            } else {
                let target = Target::new("hold", &after.hold_id).in_city(&after.city_id);
                trail.record(target, &before, &after);
            }
            Ok(after)
        })
        .await
    }
}

/// The hold that a call of the trusted side names.
fn of(tx: &mut downcity_db::Tx<'_>, hold_id: &str, city_id: Option<&str>) -> Result<holds::Hold> {
    let hold = holds::get(tx, hold_id)?;
    if of_city(&hold.city_id, city_id) { Ok(hold) } else { Err(not_found("hold", hold_id)) }
}

/// Whether something of this city is within reach of a call that names one, or none.
fn of_city(of: &str, named: Option<&str>) -> bool {
    named.map(str::trim).is_none_or(|named| named.is_empty() || named == of)
}

fn not_found(what: &str, id: &str) -> Error {
    Error::new(ErrorCode::NotFound, format!("{what} not found: {id}"))
}
