//! The bill of one call, from its hold to what is owed at its end.

use std::sync::Arc;
use std::time::Duration;

use downcity_core::audit::{Target, Trail};
use downcity_core::{Cx, Error, Identity, NewHold, Result, Settlement, Wallets};
use downcity_db::Tx;
use downcity_types::{ErrorCode, Microcredits, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::config::Mode;
use crate::limits::CallLimits;
use crate::outgoing::Outgoing;
use crate::price::{Consumed, Rate, tokens_of};

/// How much longer than its call a hold lasts: the time for the end of the call to be stored.
const GRACE: Duration = Duration::from_secs(10 * 60);

/// The longest id of a user or a city, in bytes, as tokens have them.
const MAX_ID: usize = 512;

/// Whose wallet pays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Payer {
    pub(crate) city_id: String,
    pub(crate) user_id: String,
}

/// What is reserved for a call, and how its price is found in the end.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Bill {
    payer: Payer,
    hold_id: String,
    charge_id: String,
    held: Microcredits,
    /// The price when the call began.
    rate: Rate,
    model_id: String,
    provider_id: String,
    action_id: String,
    request_id: String,
    /// Bytes of the request to the provider.
    sent: u64,
}

/// How far a call got at its provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing was asked yet.
    #[default]
    Unsent,
    /// The provider has the request, and has not failed.
    Sent,
    /// The provider failed, before its answer or in the middle of it.
    Failed,
}

/// What is left to do for a call that has ended; left in the call's locals.
#[derive(Clone, Debug)]
pub(crate) struct Due(Arc<Owed>);

/// What a call owes.
#[derive(Debug)]
struct Owed {
    bill: Bill,
    amount: Microcredits,
    consumed: Consumed,
    /// Nobody told what was consumed.
    is_estimate: bool,
}

impl Bill {
    /// The bill of a call; `None` where it is free.
    ///
    /// # Errors
    /// 400 or 404 for the user that the trusted side names; 400 when the estimate is more than any
    /// wallet holds.
    pub(crate) fn of(
        cx: &Cx,
        mode: Mode,
        outgoing: &Outgoing,
        bills_admin: bool,
    ) -> Result<Option<Self>> {
        let model = &*outgoing.model;
        let Some(rate) = model.rate(mode) else { return Ok(None) };
        let Some(payer) = payer(cx, bills_admin)? else { return Ok(None) };
        let sent = outgoing.counted();
        let held = rate.estimate(sent, &outgoing.most).map_err(|_| {
            Error::new(
                ErrorCode::InvalidInput,
                "So long an answer costs more than any wallet holds; ask for fewer output tokens.",
            )
        })?;
        // A hold of nothing is none, and what the call consumes may still cost.
        let held = held.max(Microcredits(1));
        let ids = cx.runtime().ids();
        Ok(Some(Self {
            payer,
            hold_id: ids.sortable("hold_"),
            charge_id: ids.sortable("chg_"),
            held,
            rate,
            model_id: model.id.clone(),
            provider_id: model.provider.id.clone(),
            action_id: cx.action().id().to_owned(),
            request_id: cx.request_id().to_owned(),
            sent,
        }))
    }

    /// The bytes of the request that count as input.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Another provider answers than the one that was asked first.
    pub(crate) fn answered_by(&mut self, provider_id: &str) {
        if self.provider_id != provider_id {
            provider_id.clone_into(&mut self.provider_id);
        }
    }

    /// Reserves the estimate.
    ///
    /// # Errors
    /// 402 when the wallet does not cover it; those of the database.
    pub(crate) fn hold(
        &self,
        cx: &Cx,
        wallets: &Arc<dyn Wallets>,
        limits: &CallLimits,
    ) -> impl Future<Output = Result<()>> + Send + use<> {
        let hold = self.reservation(cx.runtime().clock().now(), limits.longest());
        let wallets = wallets.clone();
        cx.write(move |tx, trail| Self::reserve(&wallets, &hold, tx, trail))
    }

    /// The hold of the estimate, for work that lasts no longer than this.
    pub(crate) fn reservation(&self, now: Timestamp, lasts: Duration) -> NewHold {
        NewHold {
            hold_id: self.hold_id.clone(),
            city_id: self.payer.city_id.clone(),
            user_id: self.payer.user_id.clone(),
            amount: self.held,
            note: self.model_id.clone(),
            reference: self.request_id.clone(),
            metadata: self.metadata(),
            deadline: now.saturating_add(lasts + GRACE),
            now,
        }
    }

    /// Reserves the estimate in a transaction.
    ///
    /// # Errors
    /// As [`Bill::hold`].
    pub(crate) fn reserve(
        wallets: &Arc<dyn Wallets>,
        hold: &NewHold,
        tx: &mut Tx<'_>,
        trail: &mut Trail,
    ) -> Result<()> {
        trail.authorise_amount(tx, hold.amount)?;
        let after = json!({"user_id": hold.user_id, "amount_microcredits": hold.amount});
        trail.record(Target::new("hold", &hold.hold_id).in_city(&hold.city_id), (), after);
        wallets.hold(tx, hold)
    }

    /// Who pays.
    pub(crate) fn payer(&self) -> &Payer {
        &self.payer
    }

    /// What is owed at the end of the call. `told` is the provider's word on what was consumed,
    /// `produced` the bytes of its answer.
    ///
    /// A call that failed before anything was produced owes nothing. Figures that no call can have
    /// consumed count as none.
    pub(crate) fn end(self, progress: Progress, produced: u64, told: Option<Consumed>) -> Due {
        let told = told.filter(Consumed::is_plausible);
        let has_output = produced > 0 || told.is_some_and(|told| told.output_tokens > 0);
        let owes = match progress {
            Progress::Unsent => false,
            Progress::Sent => true,
            Progress::Failed => has_output,
        };
        let (consumed, is_estimate) = match told {
            Some(told) if told.output_tokens > 0 || produced == 0 => (told, false),
            // It was told before anything was produced.
            Some(told) => (Consumed { output_tokens: tokens_of(produced), ..told }, true),
            None => (Consumed::of_bytes(self.sent, produced), true),
        };
        let cost = || {
            self.rate.cost(&consumed).unwrap_or_else(|_| {
                tracing::warn!(
                    request_id = self.request_id,
                    ?consumed,
                    "the call consumed more than any wallet can pay; its estimate is charged"
                );
                self.held
            })
        };
        let amount = if owes { cost() } else { Microcredits::ZERO };
        let is_estimate = owes && is_estimate && self.rate.is_metered();
        Due(Arc::new(Owed { bill: self, amount, consumed, is_estimate }))
    }

    /// What is owed for images or a video that were made. Where tokens cost and the provider did not
    /// tell them, the estimate that was held is owed: nothing else measures what such work took.
    pub(crate) fn end_made(self, consumed: Consumed, is_told: bool) -> Due {
        if is_told || !self.rate.is_by_tokens() {
            return self.end(Progress::Sent, 0, Some(consumed));
        }
        let amount = self.held;
        Due(Arc::new(Owed { bill: self, amount, consumed, is_estimate: true }))
    }

    fn metadata(&self) -> Map<String, Value> {
        let texts = [
            ("service_id", "ai"),
            ("action_id", &self.action_id),
            ("model_id", &self.model_id),
            ("provider_id", &self.provider_id),
            ("request_id", &self.request_id),
        ];
        texts.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect()
    }
}

impl Due {
    /// What is to be charged; nothing gives the hold back.
    pub(crate) fn amount(&self) -> Microcredits {
        self.0.amount
    }

    /// Whether the amount was computed from what was sent and produced, as nobody told more.
    pub(crate) fn is_estimate(&self) -> bool {
        self.0.is_estimate
    }

    /// The hold to be ended.
    pub(crate) fn hold_id(&self) -> &str {
        &self.0.bill.hold_id
    }

    /// The charge that will end the hold, where anything is owed.
    pub(crate) fn charge_id(&self) -> Option<&str> {
        (self.0.amount > Microcredits::ZERO).then_some(self.0.bill.charge_id.as_str())
    }

    /// Who pays.
    pub(crate) fn payer(&self) -> &Payer {
        &self.0.bill.payer
    }

    /// The charge that ends the hold.
    pub(crate) fn settlement(&self, now: Timestamp) -> Settlement {
        let Owed { bill, amount, consumed, is_estimate } = &*self.0;
        let mut metadata = bill.metadata();
        if bill.rate.is_metered() {
            metadata.insert("input_tokens".to_owned(), consumed.input_tokens.into());
            metadata.insert("cached_tokens".to_owned(), consumed.cached_tokens.into());
            metadata.insert("output_tokens".to_owned(), consumed.output_tokens.into());
            for (name, count) in [("images", consumed.images), ("seconds", consumed.seconds)] {
                if count > 0 {
                    metadata.insert(name.to_owned(), count.into());
                }
            }
        }
        if *is_estimate {
            metadata.insert("estimated".to_owned(), true.into());
        }
        Settlement {
            hold_id: bill.hold_id.clone(),
            charge_id: bill.charge_id.clone(),
            amount: *amount,
            note: bill.model_id.clone(),
            reference: bill.request_id.clone(),
            metadata,
            now,
        }
    }
}

/// Who pays for a call: its user; on the trusted side, where that is configured, the user that the
/// call names, if it names one.
fn payer(cx: &Cx, bills_admin: bool) -> Result<Option<Payer>> {
    if let Some(user) = cx.identity().user() {
        let (city_id, user_id) = (user.city.city_id.clone(), user.user_id.to_string());
        return Ok(Some(Payer { city_id, user_id }));
    }
    if !bills_admin || !matches!(cx.identity(), Identity::Service(_) | Identity::Admin) {
        return Ok(None);
    }
    let named = |field: &str| match cx.input().get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id))
            if !id.trim().is_empty() && !id.contains('\0') && id.len() <= MAX_ID =>
        {
            Ok(Some(id.clone()))
        }
        Some(_) => Err(Error::invalid(
            field,
            format!("must be a text of at most {MAX_ID} bytes, not empty, without NUL"),
        )),
    };
    let Some(user_id) = named("user_id")? else { return Ok(None) };
    let Some(city_id) = named("city_id")? else {
        return Err(Error::invalid("city_id", "is required beside user_id"));
    };
    if cx.runtime().snapshot().city(&city_id).is_none() {
        return Err(Error::new(ErrorCode::CityNotFound, "No city has this city_id."));
    }
    Ok(Some(Payer { city_id, user_id }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PriceConfig;

    const SENT: u64 = 300;
    const HELD: Microcredits = Microcredits(5_000);

    fn bill(price: Value) -> Bill {
        let price: PriceConfig = serde_json::from_value(price).unwrap();
        Bill {
            payer: Payer { city_id: "city".to_owned(), user_id: "ann".to_owned() },
            hold_id: "hold_1".to_owned(),
            charge_id: "chg_1".to_owned(),
            held: HELD,
            rate: Rate::of(&price, Mode::Text).unwrap(),
            model_id: "m".to_owned(),
            provider_id: "p".to_owned(),
            action_id: "text".to_owned(),
            request_id: "req_1".to_owned(),
            sent: SENT,
        }
    }

    /// 1 microcredit an input token, 10 an output token.
    fn metered() -> Bill {
        bill(json!({"input_per_m": 1_000_000, "output_per_m": 10_000_000}))
    }

    fn told(input_tokens: u64, output_tokens: u64) -> Option<Consumed> {
        Some(Consumed { input_tokens, output_tokens, ..Consumed::default() })
    }

    #[test]
    fn what_is_owed_hangs_on_how_far_the_call_got() {
        use Progress::{Failed, Sent, Unsent};
        for (progress, produced, told, amount, is_estimate) in [
            (Unsent, 0, None, 0, false),
            // The client left before the answer began: the request was sent.
            (Sent, 0, None, 100, true),
            (Sent, 30, None, 100 + 100, true),
            (Sent, 30, told(80, 7), 80 + 70, false),
            (Sent, 0, told(80, 0), 80, false),
            // Told before anything was produced.
            (Sent, 30, told(80, 0), 80 + 100, true),
            (Failed, 0, None, 0, false),
            (Failed, 0, told(80, 0), 0, false),
            (Failed, 0, told(80, 1), 90, false),
            (Failed, 3, None, 110, true),
            // No call consumes as much: its words are nothing, its bytes count.
            (Sent, 3, told(u64::MAX, u64::MAX), 110, true),
            (Failed, 0, told(u64::MAX, u64::MAX), 0, false),
        ] {
            let due = metered().end(progress, produced, told);
            assert_eq!(
                (due.amount(), due.is_estimate()),
                (Microcredits(amount), is_estimate),
                "{progress:?} {produced} {told:?}"
            );
        }
    }

    #[test]
    fn what_was_made_costs_its_estimate_where_nobody_told_its_tokens() {
        let made = Consumed { images: 1, output_tokens: 7, ..Consumed::default() };
        for (price, is_told, amount) in [
            (json!({"output_per_m": 10_000_000}), true, 70),
            (json!({"output_per_m": 10_000_000}), false, HELD.get()),
            (json!({"per_image": 40}), false, 40),
            (json!({"per_request": 9, "output_per_m": 10_000_000}), false, 9),
        ] {
            let due = bill(price.clone()).end_made(made, is_told);
            assert_eq!(due.amount(), Microcredits(amount), "{price} {is_told}");
            assert_eq!(due.is_estimate(), amount == HELD.get());
        }
    }

    #[test]
    fn a_flat_price_is_owed_whole_or_not_at_all() {
        let end =
            |progress, produced| bill(json!({"per_request": 7})).end(progress, produced, None);
        assert_eq!(end(Progress::Unsent, 0).amount(), Microcredits(0));
        assert_eq!(end(Progress::Sent, 0).amount(), Microcredits(7));
        assert_eq!(end(Progress::Failed, 0).amount(), Microcredits(0));
        let cut = end(Progress::Failed, 1);
        assert_eq!((cut.amount(), cut.is_estimate()), (Microcredits(7), false));
        let metadata = cut.settlement(Timestamp::from_millis(1)).metadata;
        assert_eq!(metadata.get("output_tokens"), None, "tokens are not what it costs");
    }

    #[test]
    fn what_no_wallet_can_pay_is_charged_as_it_was_held() {
        let dear = bill(json!({"output_per_m": Microcredits::MAX_WIRE}));
        assert_eq!(dear.end(Progress::Sent, 0, told(0, 1_000_001)).amount(), HELD);
    }

    #[test]
    fn the_settlement_says_what_was_charged_for() {
        let due = metered().end(Progress::Sent, 30, None);
        let settlement = due.settlement(Timestamp::from_millis(1));
        assert_eq!((settlement.hold_id.as_str(), settlement.amount), ("hold_1", Microcredits(200)));
        assert_eq!((settlement.note.as_str(), settlement.reference.as_str()), ("m", "req_1"));
        assert_eq!(
            Value::Object(settlement.metadata),
            json!({
                "service_id": "ai", "action_id": "text", "model_id": "m", "provider_id": "p",
                "request_id": "req_1", "input_tokens": 100, "cached_tokens": 0,
                "output_tokens": 10, "estimated": true,
            })
        );
    }
}
