//! How much money a key may move: checked and counted inside the transaction that moves it.

use std::sync::Arc;

use downcity_db::{Tx, sql};
use downcity_types::{ErrorCode, Microcredits, ServiceKeyRecord, Timestamp};

use super::ServiceKey;
use crate::{Action, Call, Error, Result};

const DAY_MS: i64 = 24 * 3600 * 1000;

/// For how many days the daily sums of a key are kept.
const DAYS_KEPT: i64 = 31;

/// How much money the transactions of one call may move.
#[derive(Clone)]
pub(crate) struct Allowance {
    /// A key with amounts; `None` for callers that may move any amount.
    key: Option<Arc<ServiceKey>>,
    /// The action, when it does not say that it moves money.
    undeclared: Option<Arc<Action>>,
    /// When the call arrived.
    at: Timestamp,
    asked: bool,
}

impl Allowance {
    /// The allowance of a call.
    pub(crate) fn of(call: &Call) -> Self {
        let key = call.identity.service_key().filter(|key| key.is_limited_to_amounts());
        Self {
            key: key.cloned(),
            undeclared: (!call.action.moves_money).then(|| call.action.clone()),
            at: call.started_at,
            asked: false,
        }
    }

    /// The allowance of what the Federation does by itself.
    pub(crate) fn of_system() -> Self {
        Self { key: None, undeclared: None, at: Timestamp::from_millis(0), asked: false }
    }

    /// Lets this transaction move an amount, and counts it.
    ///
    /// # Errors
    /// 403 `amount_exceeded`; 500 when the action does not say that it moves money.
    pub(crate) fn take(&mut self, tx: &mut Tx<'_>, amount: Microcredits) -> Result<()> {
        if let Some(action) = &self.undeclared {
            return Err(Error::internal(format!("{action:?} does not declare moves_money")));
        }
        self.asked = true;
        match &self.key {
            Some(key) => reserve(tx, key.record(), amount, self.at),
            None => Ok(()),
        }
    }

    /// Whether a transaction that changed something has asked before.
    ///
    /// # Errors
    /// 500 when the action moves money, the key has amounts, and nothing was asked for.
    pub(crate) fn check(&self) -> Result<()> {
        if self.key.is_none() || self.undeclared.is_some() || self.asked {
            return Ok(());
        }
        Err(Error::internal(
            "a transaction moved money for a service key with amounts without asking; \
             call trail.authorise_amount",
        ))
    }
}

/// Lets a key move this amount at `now`, and counts it for the day (UTC). What is counted is undone
/// with the transaction. Concurrent transactions of one key wait for each other here.
///
/// # Errors
/// 403 `amount_exceeded` when it is more than the key may move in one call, or more than is left of
/// its day.
fn reserve(
    tx: &mut Tx<'_>,
    key: &ServiceKeyRecord,
    amount: Microcredits,
    now: Timestamp,
) -> Result<()> {
    // Taking moves as much as giving.
    let amount = Microcredits(amount.get().checked_abs().unwrap_or(i64::MAX));
    if let Some(most) = key.amount_per_call
        && amount > most
    {
        return Err(too_much_for_a_call(amount, most));
    }
    let Some(most) = key.amount_per_day else { return Ok(()) };
    let day = now.millis().div_euclid(DAY_MS);
    match count(tx, &key.key_id, day, amount, most)? {
        Some(spent) if spent == amount => forget_old_days(tx, &key.key_id, day),
        Some(_) => Ok(()),
        None => Err(too_much_for_the_day(amount, most, spent_on(tx, &key.key_id, day)?, day)),
    }
}

/// Adds to the sum of the day unless it would become more than `most`; the new sum.
fn count(
    tx: &mut Tx<'_>,
    key_id: &str,
    day: i64,
    amount: Microcredits,
    most: Microcredits,
) -> Result<Option<Microcredits>> {
    if amount > most {
        return Ok(None);
    }
    let row = tx.query_opt(
        sql!(
            "INSERT INTO service_key_spending (key_id, day, spent) VALUES ($1, $2, $3)
             ON CONFLICT (key_id, day) DO UPDATE
                 SET spent = service_key_spending.spent + excluded.spent
                 WHERE service_key_spending.spent + excluded.spent <= $4
             RETURNING spent"
        ),
        &[&key_id, &day, &amount.get(), &most.get()],
    )?;
    row.map(|row| Ok(Microcredits(row.get("spent")?))).transpose()
}

fn spent_on(tx: &mut Tx<'_>, key_id: &str, day: i64) -> Result<Microcredits> {
    let row = tx.query_opt(
        sql!("SELECT spent FROM service_key_spending WHERE key_id = $1 AND day = $2"),
        &[&key_id, &day],
    )?;
    row.map_or(Ok(Microcredits::ZERO), |row| Ok(Microcredits(row.get("spent")?)))
}

fn forget_old_days(tx: &mut Tx<'_>, key_id: &str, today: i64) -> Result<()> {
    tx.execute(
        sql!("DELETE FROM service_key_spending WHERE key_id = $1 AND day < $2"),
        &[&key_id, &(today - DAYS_KEPT)],
    )?;
    Ok(())
}

fn too_much_for_a_call(amount: Microcredits, most: Microcredits) -> Error {
    let message = format!(
        "This service key may move at most {} microcredits in one call; the call moves {}.",
        most.get(),
        amount.get()
    );
    Error::new(ErrorCode::AmountExceeded, message)
        .with_field("amount_per_call", format!("is {}", most.get()))
        .with_fix("Call with the admin key, or with a service key of a larger amount_per_call.")
}

fn too_much_for_the_day(
    amount: Microcredits,
    most: Microcredits,
    spent: Microcredits,
    day: i64,
) -> Error {
    let left = most.get().saturating_sub(spent.get()).max(0);
    let reset = Timestamp::from_millis((day + 1).saturating_mul(DAY_MS));
    let message = format!(
        "This service key may move {left} microcredits more until {reset}; the call moves {}.",
        amount.get()
    );
    Error::new(ErrorCode::AmountExceeded, message)
        .with_field("amount_per_day", format!("is {}; {left} are left until {reset}", most.get()))
        .with_fix("Wait until then, or call with the admin key.")
}
