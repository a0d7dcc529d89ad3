//! `/v1/balance/redeem-codes/*`.

use std::sync::Arc;
use std::time::Duration;

use downcity_core::audit::{Target, Trail};
use downcity_core::idempotency::{self, Claim, IdempotentRequest};
use downcity_core::{ADMIN, Cx, Error, Result, ServiceDef, USER};
use downcity_db::Tx;
use downcity_types::{Items, Microcredits, Page, Span, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::code::Code;
use super::throttle::{self, Subjects};
use super::{CodeStatus, RedeemCode, Redeemer, Stored, Symbols, Terms, store, unknown_code};
use crate::balance::Balance;
use crate::balance::account::Account;
use crate::balance::amount::AmountIn;
use crate::balance::extra::Extra;
use crate::balance::listing::{Stretch, wanted_text};
use crate::balance::service::{named, narrowed};

/// Codes that one call makes at most.
const LARGEST_BATCH: usize = 500;

/// Uses of one code, at most.
const MOST_USES: i64 = 1_000_000;

/// Declares the actions.
pub(in crate::balance) fn define(balance: &Arc<Balance>, service: &mut ServiceDef) {
    service
        .post("redeem-codes/redeem", USER, balance, Balance::redeem)
        .summary("Redeem a code: its amount is credited to the caller.")
        .description(
            "Case, spaces and hyphens of the code do not count. After 10 unknown codes within 10 \
             minutes, of one user or from one address, 429 says when to try again. note, ref and \
             meta are kept under user in metadata_json.",
        );
    service
        .get("redeem-codes", ADMIN, balance, Balance::redeem_codes)
        .summary("List redeem codes, newest first.")
        .description(
            "status is active, redeemed or disabled; user_id is who redeemed them; from and to are \
             about created_at. The codes themselves are not shown.",
        );
    service
        .post("redeem-codes/create", ADMIN, balance, Balance::create_code)
        .summary("Make a redeem code; the answer is the only place that shows it.")
        .description(
            "Without code one is made. A code of your own has at least 12 letters and numbers. The \
             amount that a service key moves is that of all uses together.",
        )
        .moves_money();
    service
        .post("redeem-codes/batch", ADMIN, balance, Balance::create_codes)
        .summary("Make up to 500 redeem codes of equal terms.")
        .moves_money();
    service
        .post("redeem-codes/disable", ADMIN, balance, Balance::disable_code)
        .summary("Take back a redeem code that is active.")
        .description("With city_id, codes of other cities are unknown.");
}

#[derive(Deserialize, JsonSchema)]
struct RedeemIn {
    /// The code.
    code: String,
    /// Remarks of the user.
    #[serde(flatten)]
    extra: Extra,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Redeemed {
    /// The wallet afterwards.
    account: Account,
    /// The code.
    redeem_code: RedeemCode,
}

#[derive(Deserialize, JsonSchema)]
struct ListIn {
    /// Where the page begins, and how long it is: 20 records unless said otherwise, at most 200.
    #[serde(flatten)]
    page: Page,
    /// Those with this status.
    #[serde(default)]
    status: Option<String>,
    /// Those that this user redeemed.
    #[serde(default)]
    user_id: Option<String>,
    /// Those that only users of this city can redeem.
    #[serde(default)]
    city_id: Option<String>,
    /// Those that were made together.
    #[serde(default)]
    batch_id: Option<String>,
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

/// What a code is worth to whom.
#[derive(Deserialize, JsonSchema)]
struct TermsIn {
    /// What each use credits.
    #[serde(flatten)]
    amount: AmountIn,
    /// Remarks, seen by whoever redeems the code.
    #[serde(flatten)]
    extra: Extra,
    /// The city whose users may redeem it; users of every city unless given.
    #[serde(default)]
    city_id: Option<String>,
    /// How often it can be redeemed: once unless said otherwise.
    #[serde(default = "one")]
    max_uses: i64,
    /// How often one user can redeem it: once unless said otherwise.
    #[serde(default = "one")]
    max_uses_per_user: i64,
    /// When it can be redeemed no more.
    #[serde(default)]
    expires_at: Option<Timestamp>,
    /// When the credits end that it gives; they do not end unless this or the next field is given.
    #[serde(default)]
    credits_expire_at: Option<Timestamp>,
    /// How long after it was redeemed the credits end, such as `"30d"`.
    #[serde(default)]
    credits_expire_after: Option<Span>,
}

#[derive(Deserialize, JsonSchema)]
struct CreateIn {
    /// The code; made when absent.
    #[serde(default)]
    code: Option<String>,
    /// Its terms.
    #[serde(flatten)]
    terms: TermsIn,
}

#[derive(Deserialize, JsonSchema)]
struct BatchIn {
    /// How many codes: 1 to 500.
    count: usize,
    /// Their terms.
    #[serde(flatten)]
    terms: TermsIn,
}

#[derive(Deserialize, JsonSchema)]
struct DisableIn {
    /// The code's id.
    redeem_code_id: String,
    /// The city that it has to be of.
    #[serde(default)]
    city_id: Option<String>,
    /// Note and reference replace those of the code, meta is added to its facts.
    #[serde(flatten)]
    extra: Extra,
}

/// A code that was just made.
#[derive(Serialize, JsonSchema)]
struct NewCode {
    /// Its record.
    #[serde(flatten)]
    record: RedeemCode,
    /// The code: shown here and never again.
    code: String,
}

#[derive(Serialize, JsonSchema)]
struct NewCodes {
    /// What they have in common.
    batch_id: String,
    /// The codes.
    items: Vec<NewCode>,
}

fn one() -> i64 {
    1
}

impl Balance {
    async fn redeem(self: Arc<Self>, cx: Cx, input: RedeemIn) -> Result<Redeemed> {
        let code_hash = Code::parse(&input.code)?.hash();
        let user = cx.user()?;
        let owner = self.owner(&user.city.city_id, &user.user_id);
        let now = cx.runtime().clock().now();
        let subjects = Subjects::of(&cx, &owner);
        let by = Redeemer { owner, said: input.extra.checked()?.of_user(), now };
        let request = IdempotentRequest::of(&cx)?;
        let redeem = move |tx: &mut Tx<'_>, trail: &mut Trail| {
            if let Err(refusal) = throttle::check(tx, &subjects, now) {
                // What was answered already is no guess.
                return match request.as_ref().map(|request| idempotency::claim(tx, request)) {
                    Some(Ok(Claim::Replay(answer))) => {
                        trail.unchanged();
                        Ok(Some(answer))
                    }
                    _ => Err(refusal),
                };
            }
            let code = store::find_by_hash(tx, &code_hash)?
                .filter(|code| code.city_id.is_empty() || code.city_id == by.owner.city_id);
            let Some(code) = code else {
                // Counted, so the transaction has to be committed.
                throttle::count(tx, &subjects, now)?;
                return Ok(None);
            };
            let redeem = |tx: &mut Tx<'_>, _: &mut Trail| {
                let (wallet, redeem_code) = super::redeem(tx, &code, &by)?;
                Ok(Redeemed { account: Account::of(wallet), redeem_code })
            };
            idempotency::once(tx, trail, request.as_ref(), redeem).map(Some)
        };
        cx.write(redeem).await?.ok_or_else(unknown_code)
    }

    async fn redeem_codes(self: Arc<Self>, cx: Cx, input: ListIn) -> Result<Items<RedeemCode>> {
        match wanted_text(input.status.as_ref()) {
            "" => {}
            status => {
                CodeStatus::parse(status)?;
            }
        }
        let wanted = store::Wanted {
            stretch: Stretch::of(&input.page, input.from, input.to)?,
            user_id: input.user_id,
            batch_id: input.batch_id,
            reference: input.reference,
            city_id: input.city_id,
            status: input.status,
        };
        let list = move |tx: &mut Tx<'_>| {
            let codes = store::list(tx, &wanted)?.into_iter().map(Stored::into_record).collect();
            Ok(wanted
                .stretch
                .page(codes, |code: &RedeemCode| (code.created_at, &*code.redeem_code_id)))
        };
        cx.runtime().db().scan(list).await
    }

    async fn create_code(self: Arc<Self>, cx: Cx, input: CreateIn) -> Result<NewCode> {
        let request = IdempotentRequest::of(&cx)?;
        let symbols = match input.code.as_deref().map(str::trim) {
            None | Some("") => Symbols::new(cx.runtime().random(), request.as_ref(), 1),
            Some(code) => Symbols::Chosen(Code::choose(code)?),
        };
        let mut made = make(&cx, input.terms, String::new(), symbols, 1, request).await?;
        made.pop().ok_or_else(|| Error::internal("no code was made"))
    }

    async fn create_codes(self: Arc<Self>, cx: Cx, input: BatchIn) -> Result<NewCodes> {
        if !(1..=LARGEST_BATCH).contains(&input.count) {
            return Err(Error::invalid("count", format!("must be from 1 to {LARGEST_BATCH}")));
        }
        let request = IdempotentRequest::of(&cx)?;
        let batch_id = cx.runtime().ids().sortable("rcb_");
        let symbols = Symbols::new(cx.runtime().random(), request.as_ref(), input.count);
        let items = make(&cx, input.terms, batch_id, symbols, input.count, request).await?;
        let batch_id = items.first().map(|code| code.record.batch_id.clone()).unwrap_or_default();
        Ok(NewCodes { batch_id, items })
    }

    async fn disable_code(self: Arc<Self>, cx: Cx, input: DisableIn) -> Result<RedeemCode> {
        let redeem_code_id = input.redeem_code_id.trim().to_owned();
        let city_id = narrowed(input.city_id)?;
        let noted = input.extra.checked()?;
        let now = cx.runtime().clock().now();
        let request = IdempotentRequest::of(&cx)?;
        let disable = move |tx: &mut Tx<'_>, trail: &mut Trail| {
            idempotency::once(tx, trail, request.as_ref(), |tx, trail| {
                let (before, after) =
                    super::disable(tx, &redeem_code_id, city_id.as_deref(), &noted, now)?;
                trail.record(target(&after), before, &after);
                Ok(after)
            })
        };
        cx.write(disable).await
    }
}

/// Makes codes of equal terms, all or none.
async fn make(
    cx: &Cx,
    terms: TermsIn,
    batch_id: String,
    symbols: Symbols,
    count: usize,
    request: Option<IdempotentRequest>,
) -> Result<Vec<NewCode>> {
    let runtime = cx.runtime();
    let terms = terms.checked(batch_id, runtime.clock().now())?;
    let worth = terms.worth(count)?;
    let ids: Vec<String> = (0..count).map(|_| runtime.ids().sortable("rc_")).collect();
    let make = move |tx: &mut Tx<'_>, trail: &mut Trail| {
        let codes = symbols.codes(trail);
        let records = idempotency::once(tx, trail, request.as_ref(), |tx, trail| {
            terms.check_times()?;
            trail.authorise_amount(tx, worth)?;
            let mut records = Vec::with_capacity(codes.len());
            for (id, code) in ids.iter().zip(&codes) {
                records.push(super::create(tx, id, code, &terms)?);
            }
            record(trail, &records);
            Ok(records)
        })?;
        let show = |(record, code)| NewCode { record, code: symbols.shown(code) };
        Ok(records.into_iter().zip(&codes).map(show).collect())
    };
    cx.write(make).await
}

/// One row of the audit trail for a code, or for a batch.
fn record(trail: &mut Trail, records: &[RedeemCode]) {
    match records {
        [code] if code.batch_id.is_empty() => trail.record(target(code), (), code),
        [first, ..] => {
            let ids: Vec<_> = records.iter().map(|code| &code.redeem_code_id).collect();
            let batch = json!({ "first": first, "redeem_code_ids": ids });
            trail.record(
                in_city(Target::new("redeem_code_batch", &first.batch_id), first),
                (),
                batch,
            );
        }
        [] => trail.unchanged(),
    }
}

fn target(code: &RedeemCode) -> Target {
    in_city(Target::new("redeem_code", &code.redeem_code_id), code)
}

fn in_city(target: Target, code: &RedeemCode) -> Target {
    if code.city_id.is_empty() { target } else { target.in_city(&code.city_id) }
}

impl TermsIn {
    fn checked(self, batch_id: String, now: Timestamp) -> Result<Terms> {
        let count = |path, count: i64| {
            if (1..=MOST_USES).contains(&count) {
                return Ok(count);
            }
            Err(Error::invalid(path, format!("must be from 1 to {MOST_USES}")))
        };
        let after = self.credits_expire_after.map(Span::get);
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Ok(Terms {
            amount: self.amount.positive()?,
            noted: self.extra.checked()?,
            city_id: match self.city_id.as_deref().map(str::trim) {
                None | Some("") => String::new(),
                Some(city_id) => named("city_id", city_id)?,
            },
            batch_id,
            max_uses: count("max_uses", self.max_uses)?,
            max_uses_per_user: count("max_uses_per_user", self.max_uses_per_user)?,
            expires_at: self.expires_at,
            credits_expire_at: self.credits_expire_at,
            credits_expire_ms: after.map(millis),
            now,
        })
    }
}

impl Terms {
    /// Whether all that ends, ends later. Asked of new requests alone: a repeated one may come after
    /// the end.
    fn check_times(&self) -> Result<()> {
        for (path, time) in
            [("expires_at", self.expires_at), ("credits_expire_at", self.credits_expire_at)]
        {
            if time.is_some_and(|time| time <= self.now) {
                return Err(Error::invalid(path, "must be in the future"));
            }
        }
        Ok(())
    }

    /// What this many codes give away when all of them are used up.
    fn worth(&self, count: usize) -> Result<Microcredits> {
        let uses = u64::try_from(self.max_uses).unwrap_or(u64::MAX);
        let all = self.amount.times(uses.saturating_mul(count as u64)).ok();
        all.filter(|all| all.get() <= Microcredits::MAX_WIRE).ok_or_else(|| {
            Error::invalid("amount", "is too much for so many codes and uses together")
        })
    }
}
