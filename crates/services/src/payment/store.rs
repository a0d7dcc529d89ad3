//! The tables `payment_payments` and `payment_refunds`.

use downcity_core::Result;
use downcity_db::{Row, Tx, sql};
use downcity_types::Timestamp;

use super::providers::Refs;
use super::record::{PaymentStatus, Stored};
use crate::balance::listing::Stretch;

/// A statement that gives whole rows: what stands before the columns, and behind them.
macro_rules! rows_sql {
    ($before:literal, $($behind:tt)*) => {
        sql!(concat!(
            $before,
            " payment_id, provider, topup_id, city_id, user_id, opening_until, session_id,
              provider_payment_id, order_id, amount, minor, currency, paid_minor, paid_currency,
              refunded_minor, refunded, credited_topup_id, status, checkout_url, is_live, last_error,
              expires_at, created_at, updated_at ",
            $($behind)*
        ))
    };
}

/// A page of the list of the trusted side, by the index that this condition on `$6` names.
macro_rules! list_sql {
    ($condition:literal) => {
        rows_sql!(
            "SELECT",
            concat!(
                "FROM payment_payments
                 WHERE (created_at, payment_id) < ($1, $2) AND created_at >= $3 AND created_at < $4
                   AND ",
                $condition,
                " AND ($7 = '' OR status = $7) AND ($8 = '' OR provider = $8)
                  AND ($9 = '' OR city_id = $9)
                 ORDER BY created_at DESC, payment_id DESC LIMIT $5"
            )
        )
    };
}

fn stored(row: &Row) -> Result<Stored> {
    Ok(Stored {
        payment_id: row.get("payment_id")?,
        provider: row.get("provider")?,
        topup_id: row.get("topup_id")?,
        city_id: row.get("city_id")?,
        user_id: row.get("user_id")?,
        opening_until: row.get("opening_until")?,
        session_id: row.get("session_id")?,
        provider_payment_id: row.get("provider_payment_id")?,
        order_id: row.get("order_id")?,
        amount: row.get("amount")?,
        minor: row.get("minor")?,
        currency: row.get("currency")?,
        paid_minor: row.get("paid_minor")?,
        paid_currency: row.get("paid_currency")?,
        refunded_minor: row.get("refunded_minor")?,
        refunded: row.get("refunded")?,
        credited_topup_id: row.get("credited_topup_id")?,
        status: PaymentStatus::parse(&row.get::<String>("status")?)?,
        checkout_url: row.get("checkout_url")?,
        is_live: row.get("is_live")?,
        last_error: row.get("last_error")?,
        expires_at: row.get("expires_at")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

/// Adds an open payment; `false` when its provider and top-up have one.
pub(super) fn insert(tx: &mut Tx<'_>, payment: &Stored) -> Result<bool> {
    let added = tx.execute(
        sql!(
            "INSERT INTO payment_payments
                 (payment_id, provider, topup_id, city_id, user_id, open_key, opening_until,
                  session_id, provider_payment_id, order_id, amount, minor, currency, paid_minor,
                  paid_currency, refunded_minor, refunded, credited_topup_id, status, checkout_url,
                  is_live, last_error, expires_at, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, '', '', '', $8, $9, $10, 0, '', 0, 0, '', $11, '',
                  $12, '', $13, $14, $14)
             ON CONFLICT (open_key) DO NOTHING"
        ),
        &[
            &payment.payment_id,
            &payment.provider,
            &payment.topup_id,
            &payment.city_id,
            &payment.user_id,
            &payment.open_key(),
            &payment.opening_until,
            &payment.amount,
            &payment.minor,
            &payment.currency,
            &payment.status.as_str(),
            &payment.is_live,
            &payment.expires_at,
            &payment.created_at,
        ],
    )?;
    Ok(added == 1)
}

/// Writes what may change of a payment whose row the transaction has locked.
pub(super) fn save(tx: &mut Tx<'_>, payment: &Stored, now: Timestamp) -> Result<()> {
    tx.execute(
        sql!(
            "UPDATE payment_payments
             SET open_key = $2, opening_until = $3, session_id = $4, provider_payment_id = $5,
                 order_id = $6, paid_minor = $7, paid_currency = $8, refunded_minor = $9,
                 refunded = $10, credited_topup_id = $11, status = $12, checkout_url = $13,
                 last_error = $14, expires_at = $15, updated_at = $16
             WHERE payment_id = $1"
        ),
        &[
            &payment.payment_id,
            &payment.open_key(),
            &payment.opening_until,
            &payment.session_id,
            &payment.provider_payment_id,
            &payment.order_id,
            &payment.paid_minor,
            &payment.paid_currency,
            &payment.refunded_minor,
            &payment.refunded,
            &payment.credited_topup_id,
            &payment.status.as_str(),
            &payment.checkout_url,
            &payment.last_error,
            &payment.expires_at,
            &now.millis(),
        ],
    )?;
    Ok(())
}

/// A payment, its row locked until the transaction ends.
pub(super) fn lock(tx: &mut Tx<'_>, payment_id: &str) -> Result<Option<Stored>> {
    tx.query_opt(
        rows_sql!(
            "UPDATE payment_payments SET updated_at = updated_at WHERE payment_id = $1 RETURNING",
            ""
        ),
        &[&payment_id],
    )?
    .as_ref()
    .map(stored)
    .transpose()
}

/// A payment by its id.
pub(super) fn find(tx: &mut Tx<'_>, payment_id: &str) -> Result<Option<Stored>> {
    let select = rows_sql!("SELECT", "FROM payment_payments WHERE payment_id = $1");
    tx.query_opt(select, &[&payment_id])?.as_ref().map(stored).transpose()
}

/// The open payments of a top-up, newest first.
pub(super) fn open_of(tx: &mut Tx<'_>, topup_id: &str) -> Result<Vec<Stored>> {
    tx.query(
        rows_sql!(
            "SELECT",
            "FROM payment_payments WHERE topup_id = $1 AND open_key IS NOT NULL
             ORDER BY created_at DESC, payment_id DESC LIMIT 100"
        ),
        &[&topup_id],
    )?
    .iter()
    .map(stored)
    .collect()
}

/// The id of the payment that an event is about: by our id, by the provider's ids, else the newest open
/// one of the top-up.
pub(super) fn named(tx: &mut Tx<'_>, provider: &str, refs: &Refs) -> Result<Option<String>> {
    let by = [
        (
            sql!(
                "SELECT payment_id FROM payment_payments
                 WHERE provider = $1 AND payment_id = $2 ORDER BY created_at DESC LIMIT 1"
            ),
            &refs.payment_id,
        ),
        (
            sql!(
                "SELECT payment_id FROM payment_payments
                 WHERE provider = $1 AND session_id = $2 ORDER BY created_at DESC LIMIT 1"
            ),
            &refs.session_id,
        ),
        (
            sql!(
                "SELECT payment_id FROM payment_payments
                 WHERE provider = $1 AND provider_payment_id = $2 ORDER BY created_at DESC LIMIT 1"
            ),
            &refs.provider_payment_id,
        ),
        (
            sql!(
                "SELECT payment_id FROM payment_payments
                 WHERE provider = $1 AND order_id = $2 ORDER BY created_at DESC LIMIT 1"
            ),
            &refs.order_id,
        ),
        (
            sql!(
                "SELECT payment_id FROM payment_payments
                 WHERE provider = $1 AND topup_id = $2 AND open_key IS NOT NULL
                 ORDER BY created_at DESC, payment_id DESC LIMIT 1"
            ),
            &refs.topup_id,
        ),
    ];
    for (select, id) in by {
        // A text of others may hold what no column can.
        let Some(id) = id.as_ref().filter(|id| !id.contains('\0')) else { continue };
        if let Some(row) = tx.query_opt(select, &[&provider, id])? {
            return Ok(Some(row.get("payment_id")?));
        }
    }
    Ok(None)
}

/// The payments whose checkouts ended before this time, at most `chunk`.
pub(super) fn overdue(tx: &mut Tx<'_>, before: Timestamp, chunk: i64) -> Result<Vec<String>> {
    tx.query(
        sql!(
            "SELECT payment_id FROM payment_payments
             WHERE open_key IS NOT NULL AND expires_at <= $1 ORDER BY expires_at LIMIT $2"
        ),
        &[&before.millis(), &chunk],
    )?
    .iter()
    .map(|row| Ok(row.get("payment_id")?))
    .collect()
}

/// What a list of the trusted side is narrowed to; empty texts are no condition.
#[derive(Clone, Debug, Default)]
pub(super) struct Narrowed {
    pub(super) user_id: String,
    pub(super) status: String,
    pub(super) provider: String,
    pub(super) city_id: String,
    pub(super) topup_id: String,
}

/// A stretch of all payments, newest first, by the index of the narrowest filter.
pub(super) fn list(tx: &mut Tx<'_>, stretch: &Stretch, by: &Narrowed) -> Result<Vec<Stored>> {
    let (statement, narrowest) = if !by.topup_id.is_empty() {
        (list_sql!("topup_id = $6"), &by.topup_id)
    } else if !by.user_id.is_empty() {
        (list_sql!("user_id = $6"), &by.user_id)
    } else if !by.city_id.is_empty() {
        (list_sql!("city_id = $6"), &by.city_id)
    } else if !by.status.is_empty() {
        (list_sql!("status = $6"), &by.status)
    } else if !by.provider.is_empty() {
        (list_sql!("provider = $6"), &by.provider)
    } else {
        (list_sql!("$6 = ''"), &by.status)
    };
    let (at, id) = &stretch.before;
    tx.query(
        statement,
        &[
            at,
            id,
            &stretch.from,
            &stretch.to,
            &stretch.wanted(),
            narrowest,
            &by.status,
            &by.provider,
            &by.city_id,
        ],
    )?
    .iter()
    .map(stored)
    .collect()
}

/// A stretch of a user's own payments in a city, newest first.
pub(super) fn list_of(
    tx: &mut Tx<'_>,
    stretch: &Stretch,
    city_id: &str,
    user_id: &str,
    provider: &str,
) -> Result<Vec<Stored>> {
    let (at, id) = &stretch.before;
    tx.query(
        rows_sql!(
            "SELECT",
            "FROM payment_payments
             WHERE user_id = $6 AND city_id = $7 AND ($8 = '' OR provider = $8)
               AND (created_at, payment_id) < ($1, $2) AND created_at >= $3 AND created_at < $4
             ORDER BY created_at DESC, payment_id DESC LIMIT $5"
        ),
        &[at, id, &stretch.from, &stretch.to, &stretch.wanted(), &user_id, &city_id, &provider],
    )?
    .iter()
    .map(stored)
    .collect()
}

/// Money that went back, or came again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Back {
    pub(super) minor: i64,
    pub(super) amount: i64,
    pub(super) taken: i64,
}

/// Notes money that went back; `false` when that was noted before.
pub(super) fn insert_refund(
    tx: &mut Tx<'_>,
    refund_id: &str,
    payment_id: &str,
    back: Back,
    now: Timestamp,
) -> Result<bool> {
    let added = tx.execute(
        sql!(
            "INSERT INTO payment_refunds (refund_id, payment_id, minor, amount, taken, created_at)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (refund_id) DO NOTHING"
        ),
        &[&refund_id, &payment_id, &back.minor, &back.amount, &back.taken, &now.millis()],
    )?;
    Ok(added == 1)
}

/// Notes how many credits a refund is about, and what of them was taken.
pub(super) fn set_taken(tx: &mut Tx<'_>, refund_id: &str, amount: i64, taken: i64) -> Result<()> {
    tx.execute(
        sql!("UPDATE payment_refunds SET amount = $2, taken = $3 WHERE refund_id = $1"),
        &[&refund_id, &amount, &taken],
    )?;
    Ok(())
}

/// All money that went back of a payment, and that came again: ids and sums.
pub(super) fn refunds_of(tx: &mut Tx<'_>, payment_id: &str) -> Result<Vec<(String, i64)>> {
    tx.query(
        sql!(
            "SELECT refund_id, minor FROM payment_refunds WHERE payment_id = $1
             ORDER BY created_at LIMIT 10000"
        ),
        &[&payment_id],
    )?
    .iter()
    .map(|row| Ok((row.get("refund_id")?, row.get("minor")?)))
    .collect()
}

/// Money that went back under this id.
pub(super) fn find_refund(tx: &mut Tx<'_>, refund_id: &str) -> Result<Option<Back>> {
    let select = sql!("SELECT minor, amount, taken FROM payment_refunds WHERE refund_id = $1");
    let row = tx.query_opt(select, &[&refund_id])?;
    row.map(|row| {
        Ok(Back { minor: row.get("minor")?, amount: row.get("amount")?, taken: row.get("taken")? })
    })
    .transpose()
}
