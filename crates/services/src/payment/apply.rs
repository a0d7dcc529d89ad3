//! What an event does to its payment and to the wallet, in one transaction.

use downcity_core::Result;
use downcity_db::Tx;
use downcity_types::{Microcredits, Timestamp};
use serde_json::{Map, Value, json};

use super::config::PaidTwice;
use super::events::SyncStatus;
use super::providers::{Event, Money, Refs, What};
use super::record::{PaymentStatus, Stored};
use super::store::{self, Back};
use crate::balance::topups::{self, NewTopup, TopupEnd};
use crate::balance::{self, Balance, Kind, Note, Refund};

/// What applying an event needs besides the transaction.
pub(super) struct Applying<'a> {
    pub(super) balance: &'a Balance,
    pub(super) paid_twice: PaidTwice,
    /// An id for a further top-up, made before the transaction.
    pub(super) spare_topup_id: &'a str,
    pub(super) now: Timestamp,
}

/// What became of an event, and of which payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Applied {
    pub(super) status: SyncStatus,
    pub(super) payment_id: String,
}

impl Applying<'_> {
    /// Applies an event of a provider. The same event, or another one that says the same, may come any number of
    /// times and in any order.
    ///
    /// # Errors
    /// Those of the database, and of the credit.
    pub(super) fn apply(&self, tx: &mut Tx<'_>, provider: &str, event: &Event) -> Result<Applied> {
        let nothing = |status| Ok(Applied { status, payment_id: String::new() });
        if event.what == What::Other {
            return nothing(SyncStatus::Ignored);
        }
        let Some(payment_id) = store::named(tx, provider, &event.refs)? else {
            return nothing(SyncStatus::Unmatched);
        };
        let Some(mut payment) = store::lock(tx, &payment_id)? else {
            return nothing(SyncStatus::Unmatched);
        };
        learn(&mut payment, &event.refs);
        let status = match &event.what {
            What::Other => SyncStatus::Ignored,
            What::Paid(money) => self.paid(tx, &mut payment, money.as_ref())?,
            What::Declined { reason } => declined(&mut payment, reason.as_deref()),
            What::Expired => ended(&mut payment, PaymentStatus::Expired, None),
            What::Failed { reason } => {
                ended(&mut payment, PaymentStatus::Failed, reason.as_deref())
            }
            What::Canceled => ended(&mut payment, PaymentStatus::Canceled, None),
            What::Refunded { refund_id, money } => {
                self.refunded(tx, &mut payment, refund_id, money.as_ref())?
            }
            What::RefundedInAll { money } => self.refunded_in_all(tx, &mut payment, money)?,
            What::Disputed { dispute_id, money } => {
                self.disputed(tx, &mut payment, dispute_id, money.as_ref())?
            }
            What::DisputeClosed { dispute_id, is_won } => {
                self.dispute_closed(tx, &mut payment, dispute_id, *is_won)?
            }
        };
        store::save(tx, &payment, self.now)?;
        Ok(Applied { status, payment_id })
    }

    fn paid(
        &self,
        tx: &mut Tx<'_>,
        payment: &mut Stored,
        money: Option<&Money>,
    ) -> Result<SyncStatus> {
        // Money that came before is credited, waits for an administrator, was dismissed or went back.
        if payment.is_credited() || has_money(payment) {
            return Ok(SyncStatus::Applied);
        }
        if let Some(money) = money {
            payment.paid_minor = money.minor.max(0);
            payment.paid_currency.clone_from(&money.currency);
        }
        let wanted = format!("{} {}", payment.minor, payment.currency);
        let fault = match money {
            None => Some(format!("the event does not say how much was paid of {wanted}")),
            Some(money) if money.currency != payment.currency || money.minor < payment.minor => {
                Some(format!("{} {} were paid in place of {wanted}", money.minor, money.currency))
            }
            Some(_) => None,
        };
        match fault {
            Some(fault) => review(payment, &fault),
            None if self.paid_twice == PaidTwice::Review
                && !topups::can_be_paid(tx, &payment.topup_id)? =>
            {
                review(payment, "the top-up is not pending any more");
            }
            None => self.credit(tx, payment)?,
        }
        Ok(SyncStatus::Applied)
    }

    /// Credits what is paid: the top-up, or a further one where that is over.
    ///
    /// # Errors
    /// Those of the credit. Some come after something was written: the transaction has to be undone.
    pub(super) fn credit(&self, tx: &mut Tx<'_>, payment: &mut Stored) -> Result<()> {
        let mut end = TopupEnd {
            topup_id: payment.topup_id.clone(),
            city_id: None,
            noted: balance::Noted {
                note: Some(format!("{} topup", payment.provider)),
                reference: None,
                meta: facts(payment),
            },
            actor: format!("payment:{}", payment.payment_id),
            effect: Some(format!("payment:{}", payment.payment_id)),
            even_if_expired: true,
            now: self.now,
        };
        if !topups::can_be_paid(tx, &payment.topup_id)? {
            self.spare_topup_id.clone_into(&mut end.topup_id);
            end.noted.meta.insert("duplicate_of".to_owned(), payment.topup_id.clone().into());
            let further = NewTopup {
                topup_id: end.topup_id.clone(),
                city_id: payment.city_id.clone(),
                user_id: payment.user_id.clone(),
                amount: Microcredits(payment.amount),
                note: format!("{} topup", payment.provider),
                reference: format!("payment:{}", payment.payment_id),
                metadata: Map::new(),
                now: self.now,
            };
            topups::create(self.balance, tx, &further)?;
        }
        payment.credited_topup_id = topups::finish(self.balance, tx, &end)?.topup_id;
        payment.status = PaymentStatus::Paid;
        payment.last_error.clear();
        if payment.refunded_minor > 0 {
            // A part went back while it waited.
            let refund_id = format!("{}:{}:before", payment.provider, payment.payment_id);
            let nothing = Back { minor: 0, amount: 0, taken: 0 };
            store::insert_refund(tx, &refund_id, &payment.payment_id, nothing, self.now)?;
            self.take_back(tx, payment, &refund_id, "refund")?;
        }
        Ok(())
    }

    /// Keeps a payment whose money could not be credited for an administrator; `None` when the event is not about such
    /// a payment. For a transaction of its own, after the one of the event was undone.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) fn keep_for_review(
        &self,
        tx: &mut Tx<'_>,
        provider: &str,
        event: &Event,
        fault: &str,
    ) -> Result<Option<String>> {
        let What::Paid(Some(money)) = &event.what else { return Ok(None) };
        let Some(payment_id) = store::named(tx, provider, &event.refs)? else { return Ok(None) };
        let found = store::lock(tx, &payment_id)?;
        let Some(mut payment) = found.filter(|payment| !has_money(payment)) else {
            return Ok(None);
        };
        learn(&mut payment, &event.refs);
        payment.paid_minor = money.minor.max(0);
        payment.paid_currency.clone_from(&money.currency);
        review(&mut payment, fault);
        store::save(tx, &payment, self.now)?;
        Ok(Some(payment_id))
    }

    fn refunded(
        &self,
        tx: &mut Tx<'_>,
        payment: &mut Stored,
        refund_id: &str,
        money: Option<&Money>,
    ) -> Result<SyncStatus> {
        if !has_money(payment) {
            return Ok(SyncStatus::Unmatched);
        }
        if let Some(fault) = other_currency(payment, money) {
            payment.last_error = fault;
            return Ok(SyncStatus::Applied);
        }
        let refund_id = format!("{}:{refund_id}", payment.provider);
        let left = received(payment) - payment.refunded_minor;
        let minor = money.map_or(left, |money| money.minor);
        if !self.went_back(tx, payment, &refund_id, minor, "refund")? {
            return Ok(SyncStatus::Applied);
        }
        let is_all_back = match payment.is_credited() {
            true => payment.refunded == payment.amount,
            false => payment.refunded_minor >= received(payment),
        };
        if is_all_back && payment.status != PaymentStatus::Disputed {
            payment.status = PaymentStatus::Refunded;
        }
        Ok(SyncStatus::Applied)
    }

    /// The provider says how much has gone back by now: what is new is a refund of its own. Disputes are not
    /// counted in.
    fn refunded_in_all(
        &self,
        tx: &mut Tx<'_>,
        payment: &mut Stored,
        money: &Money,
    ) -> Result<SyncStatus> {
        if other_currency(payment, Some(money)).is_some() || !has_money(payment) {
            return self.refunded(tx, payment, "", Some(money));
        }
        let prefix = format!("{}:{}:", payment.provider, payment.payment_id);
        let told: i64 = store::refunds_of(tx, &payment.payment_id)?
            .iter()
            .filter(|(refund_id, _)| refund_id.starts_with(&prefix))
            .map(|(_, minor)| minor)
            .sum();
        let minor = money.minor.min(received(payment)) - told;
        if minor <= 0 {
            return Ok(SyncStatus::Applied);
        }
        let refund_id = format!("{}:{}", payment.payment_id, money.minor);
        let further = Money { minor, currency: money.currency.clone() };
        self.refunded(tx, payment, &refund_id, Some(&further))
    }

    fn disputed(
        &self,
        tx: &mut Tx<'_>,
        payment: &mut Stored,
        dispute_id: &str,
        money: Option<&Money>,
    ) -> Result<SyncStatus> {
        if !has_money(payment) {
            return Ok(SyncStatus::Unmatched);
        }
        let refund_id = format!("{}:{dispute_id}", payment.provider);
        let left = received(payment) - payment.refunded_minor;
        let same = money.filter(|money| money.currency == received_in(payment));
        let minor = same.map_or(left, |money| money.minor.min(left));
        if self.went_back(tx, payment, &refund_id, minor, "dispute")? {
            payment.status = PaymentStatus::Disputed;
        }
        Ok(SyncStatus::Applied)
    }

    /// A dispute that was won gives back what it took, but what went back otherwise meanwhile.
    fn dispute_closed(
        &self,
        tx: &mut Tx<'_>,
        payment: &mut Stored,
        dispute_id: &str,
        is_won: bool,
    ) -> Result<SyncStatus> {
        let refund_id = format!("{}:{dispute_id}", payment.provider);
        let opened = store::find_refund(tx, &refund_id)?;
        if !is_won {
            // Also where the message of its beginning never came.
            return self.disputed(tx, payment, dispute_id, None);
        }
        let Some(back) = opened else {
            // The message of its beginning may be on its way.
            return Ok(SyncStatus::Unmatched);
        };
        let won_id = format!("{refund_id}:won");
        let again = Back { minor: -back.minor, amount: -back.amount, taken: -back.taken };
        if !store::insert_refund(tx, &won_id, &payment.payment_id, again, self.now)? {
            return Ok(SyncStatus::Applied);
        }
        payment.refunded_minor = went_back_in_all(tx, payment)?;
        if !payment.is_credited() {
            payment.status = PaymentStatus::Review;
            return Ok(SyncStatus::Applied);
        }
        self.give_back(tx, payment, &refund_id, back)?;
        let is_all_back = payment.refunded == payment.amount;
        payment.status = if is_all_back { PaymentStatus::Refunded } else { PaymentStatus::Paid };
        Ok(SyncStatus::Applied)
    }

    /// Gives credits back after a dispute: first what its wallet still owes of them is owed no more.
    fn give_back(
        &self,
        tx: &mut Tx<'_>,
        payment: &mut Stored,
        refund_id: &str,
        back: Back,
    ) -> Result<()> {
        let due = (payment.refunded - share(payment)).max(0);
        let forgiven = due.min(back.amount - back.taken);
        let given = (due - forgiven).min(back.taken);
        payment.refunded -= forgiven + given;
        balance::forgive(tx, refund_id, Microcredits(forgiven))?;
        if given == 0 {
            return Ok(());
        }
        let note = Note {
            kind: Kind::Add,
            note: format!("{} dispute won", payment.provider),
            reference: format!("payment:{}", payment.payment_id),
            metadata: facts(payment),
            actor: format!("payment:{}", payment.payment_id),
            effect: Some(format!("dispute_won:{refund_id}")),
            now: self.now,
        };
        let owner = self.balance.owner(&payment.city_id, &payment.user_id);
        balance::credit(tx, &owner, Microcredits(given), balance::NEVER, &note).map(drop)
    }

    /// Notes money that went back, once per id; `false` when that was done before. More than came cannot go back.
    fn went_back(
        &self,
        tx: &mut Tx<'_>,
        payment: &mut Stored,
        refund_id: &str,
        minor: i64,
        why: &str,
    ) -> Result<bool> {
        let back = Back { minor: minor.clamp(0, received(payment)), amount: 0, taken: 0 };
        if !store::insert_refund(tx, refund_id, &payment.payment_id, back, self.now)? {
            return Ok(false);
        }
        payment.refunded_minor = went_back_in_all(tx, payment)?;
        if payment.is_credited() {
            self.take_back(tx, payment, refund_id, why)?;
        }
        Ok(true)
    }

    /// Takes the credits for all money that went back and for which none were taken yet.
    fn take_back(
        &self,
        tx: &mut Tx<'_>,
        payment: &mut Stored,
        refund_id: &str,
        why: &str,
    ) -> Result<()> {
        let amount = share(payment) - payment.refunded;
        if amount <= 0 {
            return Ok(());
        }
        payment.refunded += amount;
        let refund = Refund {
            refund_id: refund_id.to_owned(),
            owner: self.balance.owner(&payment.city_id, &payment.user_id),
            amount: Microcredits(amount),
            note: format!("{} {why}", payment.provider),
            reference: format!("payment:{}", payment.payment_id),
            metadata: facts(payment),
            actor: format!("payment:{}", payment.payment_id),
            now: self.now,
        };
        let taken = balance::claw_back(tx, &refund)?.taken;
        store::set_taken(tx, refund_id, amount, taken.get())
    }
}

/// Keeps the provider's ids that were not known before.
fn learn(payment: &mut Stored, refs: &Refs) {
    for (known, told) in [
        (&mut payment.session_id, &refs.session_id),
        (&mut payment.provider_payment_id, &refs.provider_payment_id),
        (&mut payment.order_id, &refs.order_id),
    ] {
        if let (true, Some(told)) = (known.is_empty(), told)
            && !told.contains('\0')
        {
            known.clone_from(told);
        }
    }
}

/// Whether the provider has told of money for a payment, wherever its credits are.
fn has_money(payment: &Stored) -> bool {
    payment.is_credited()
        || payment.paid_minor > 0
        || matches!(
            payment.status,
            PaymentStatus::Review | PaymentStatus::Refunded | PaymentStatus::Disputed
        )
}

/// How much came, in the smallest unit: the price where the provider did not say.
fn received(payment: &Stored) -> i64 {
    if payment.paid_minor > 0 { payment.paid_minor } else { payment.minor }
}

/// The currency of what came.
fn received_in(payment: &Stored) -> &str {
    if payment.paid_currency.is_empty() { &payment.currency } else { &payment.paid_currency }
}

/// How much of what came has gone back by now, refunds and disputes together.
fn went_back_in_all(tx: &mut Tx<'_>, payment: &Stored) -> Result<i64> {
    let rows = store::refunds_of(tx, &payment.payment_id)?;
    let sum = rows.iter().fold(0_i64, |sum, (_, minor)| sum.saturating_add(*minor));
    Ok(sum.clamp(0, received(payment)))
}

/// What of the credits has to be back for the money that went back: all of them once the price is reached.
fn share(payment: &Stored) -> i64 {
    if payment.refunded_minor >= received(payment).min(payment.minor) {
        return payment.amount;
    }
    let part = i128::from(payment.amount) * i128::from(payment.refunded_minor)
        / i128::from(received(payment).max(1));
    i64::try_from(part).unwrap_or(payment.amount).clamp(0, payment.amount)
}

fn other_currency(payment: &Stored, money: Option<&Money>) -> Option<String> {
    let money = money.filter(|money| money.currency != received_in(payment))?;
    Some(format!(
        "{} {} went back of a payment in {}: take the credits back by hand",
        money.minor,
        money.currency,
        received_in(payment)
    ))
}

fn review(payment: &mut Stored, fault: &str) {
    payment.status = PaymentStatus::Review;
    fault.clone_into(&mut payment.last_error);
}

fn declined(payment: &mut Stored, reason: Option<&str>) -> SyncStatus {
    if !payment.status.is_open() {
        return SyncStatus::Ignored;
    }
    payment.last_error = reason.unwrap_or("an attempt to pay failed").to_owned();
    SyncStatus::Applied
}

fn ended(payment: &mut Stored, status: PaymentStatus, reason: Option<&str>) -> SyncStatus {
    if !payment.status.is_open() {
        return SyncStatus::Ignored;
    }
    payment.status = status;
    payment.last_error = reason.unwrap_or_default().to_owned();
    SyncStatus::Applied
}

fn facts(payment: &Stored) -> Map<String, Value> {
    let facts = json!({
        "provider": payment.provider,
        "payment_id": payment.payment_id,
        "provider_session_id": payment.session_id,
        "provider_payment_id": payment.provider_payment_id,
        "provider_order_id": payment.order_id,
    });
    match facts {
        Value::Object(facts) => facts,
        _ => Map::new(),
    }
}
