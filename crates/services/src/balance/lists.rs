//! What lists read: entries, charges, holds and wallets, newest first.

use downcity_core::{Error, Result};
use downcity_db::{Row, Tx, sql};
use downcity_types::{BadCursor, Cursor, Items, Page, Timestamp};

use super::account::Account;
use super::charges::Charge;
use super::holds::{Hold, HoldStatus};
use super::listing::Stretch;
use super::records::{ChargeRecord, HoldRecord, LedgerEntry, entry_of};
use super::wallet::{Kind, Wallet};

/// Records of a page where no number is asked for, and the most there are.
const DEFAULT: u32 = 20;
const MOST: u32 = 200;

/// Which entries of the ledger; empty texts are no condition.
#[derive(Clone, Debug)]
pub(super) struct Entries {
    /// Entries before this one: time, number, wallet.
    before: (i64, i64, String),
    limit: u32,
    pub(super) user_id: String,
    pub(super) city_id: String,
    pub(super) kind: String,
    pub(super) reference: String,
    pub(super) from: i64,
    pub(super) to: i64,
}

impl Entries {
    /// The entries of a page, without conditions.
    ///
    /// # Errors
    /// 400 for a cursor that no page gave.
    pub(super) fn of(page: &Page) -> Result<Self> {
        let invalid =
            |BadCursor| Error::invalid("cursor", "is not the next_cursor of a page; leave it out");
        let before = match page.cursor().map_err(invalid)? {
            None => (i64::MAX, i64::MAX, String::new()),
            Some(cursor) => {
                let wallet = cursor.text(2).map_err(invalid)?;
                if wallet.contains('\0') {
                    return Err(invalid(BadCursor));
                }
                let (at, seq) = (cursor.int(0).map_err(invalid)?, cursor.int(1).map_err(invalid)?);
                (at, seq, wallet.to_owned())
            }
        };
        Ok(Self {
            before,
            limit: page.limit(DEFAULT, MOST),
            user_id: String::new(),
            city_id: String::new(),
            kind: String::new(),
            reference: String::new(),
            from: i64::MIN,
            to: i64::MAX,
        })
    }

    /// One statement per index. What the index does not hold is looked at row by row.
    fn rows(&self, tx: &mut Tx<'_>) -> Result<Vec<Row>> {
        let (at, seq, wallet_id) = self.begin();
        let wanted = i64::from(self.limit) + 1;
        let (user_id, city_id, kind, from) = (&self.user_id, &self.city_id, &self.kind, &self.from);
        let is_rare = !kind.is_empty() && *kind != Kind::Charge.as_str();
        let rows = if !self.reference.is_empty() {
            tx.query(
                sql!(
                    "SELECT wallet_id, seq, entry_id, user_id, city_id, kind, amount, balance_after,
                       note, ref, metadata, actor, created_at FROM balance_ledger
                     WHERE ref = $1 AND ref <> '' AND (created_at, seq, wallet_id) < ($2, $3, $4)
                       AND ($5 = '' OR user_id = $5) AND ($6 = '' OR kind = $6)
                       AND ($7 = '' OR city_id = $7) AND created_at >= $8
                     ORDER BY created_at DESC, seq DESC, wallet_id DESC LIMIT $9"
                ),
                &[&self.reference, &at, &seq, &wallet_id, user_id, kind, city_id, from, &wanted],
            )
        } else if !user_id.is_empty() && is_rare {
            tx.query(
                sql!(
                    "SELECT wallet_id, seq, entry_id, user_id, city_id, kind, amount, balance_after,
                       note, ref, metadata, actor, created_at FROM balance_ledger
                     WHERE user_id = $1 AND kind = $2 AND kind <> 'charge'
                       AND (created_at, seq, wallet_id) < ($3, $4, $5)
                       AND ($6 = '' OR city_id = $6) AND created_at >= $7
                     ORDER BY created_at DESC, seq DESC, wallet_id DESC LIMIT $8"
                ),
                &[user_id, kind, &at, &seq, &wallet_id, city_id, from, &wanted],
            )
        } else if !user_id.is_empty() {
            tx.query(
                sql!(
                    "SELECT wallet_id, seq, entry_id, user_id, city_id, kind, amount, balance_after,
                       note, ref, metadata, actor, created_at FROM balance_ledger
                     WHERE user_id = $1 AND (created_at, seq, wallet_id) < ($2, $3, $4)
                       AND ($5 = '' OR kind = $5) AND ($6 = '' OR city_id = $6)
                       AND created_at >= $7
                     ORDER BY created_at DESC, seq DESC, wallet_id DESC LIMIT $8"
                ),
                &[user_id, &at, &seq, &wallet_id, kind, city_id, from, &wanted],
            )
        } else if is_rare {
            tx.query(
                sql!(
                    "SELECT wallet_id, seq, entry_id, user_id, city_id, kind, amount, balance_after,
                       note, ref, metadata, actor, created_at FROM balance_ledger
                     WHERE kind = $1 AND kind <> 'charge'
                       AND (created_at, seq, wallet_id) < ($2, $3, $4)
                       AND ($5 = '' OR city_id = $5) AND created_at >= $6
                     ORDER BY created_at DESC, seq DESC, wallet_id DESC LIMIT $7"
                ),
                &[kind, &at, &seq, &wallet_id, city_id, from, &wanted],
            )
        } else if !city_id.is_empty() {
            tx.query(
                sql!(
                    "SELECT wallet_id, seq, entry_id, user_id, city_id, kind, amount, balance_after,
                       note, ref, metadata, actor, created_at FROM balance_ledger
                     WHERE city_id = $1 AND (created_at, seq, wallet_id) < ($2, $3, $4)
                       AND ($5 = '' OR kind = $5) AND created_at >= $6
                     ORDER BY created_at DESC, seq DESC, wallet_id DESC LIMIT $7"
                ),
                &[city_id, &at, &seq, &wallet_id, kind, from, &wanted],
            )
        } else {
            tx.query(
                sql!(
                    "SELECT wallet_id, seq, entry_id, user_id, city_id, kind, amount, balance_after,
                       note, ref, metadata, actor, created_at FROM balance_ledger
                     WHERE (created_at, seq, wallet_id) < ($1, $2, $3)
                       AND ($4 = '' OR kind = $4) AND created_at >= $5
                     ORDER BY created_at DESC, seq DESC, wallet_id DESC LIMIT $6"
                ),
                &[&at, &seq, &wallet_id, kind, from, &wanted],
            )
        };
        Ok(rows?)
    }

    /// Where the page begins: after the page before, and before `to`.
    fn begin(&self) -> (i64, i64, &str) {
        let (at, seq, wallet_id) = &self.before;
        if self.to <= *at { (self.to, i64::MIN, "") } else { (*at, *seq, wallet_id) }
    }
}

/// Entries of the ledger.
pub(super) fn entries(tx: &mut Tx<'_>, which: &Entries) -> Result<Items<LedgerEntry>> {
    let rows = which.rows(tx)?;
    let limit = which.limit as usize;
    let items: Vec<LedgerEntry> = rows.iter().take(limit).map(entry_of).collect::<Result<_>>()?;
    let next_cursor = match (rows.get(limit), rows.get(limit.wrapping_sub(1))) {
        (Some(_), Some(last)) => {
            let (at, seq): (i64, i64) = (last.get("created_at")?, last.get("seq")?);
            let wallet_id: String = last.get("wallet_id")?;
            Some(Cursor::new([at.into(), seq.into(), wallet_id.as_str().into()]).encode())
        }
        _ => None,
    };
    Ok(Items { items, next_cursor })
}

/// Conditions of a list; empty texts are none.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions {
    pub(super) user_id: String,
    pub(super) city_id: String,
    pub(super) status: String,
    pub(super) reference: String,
}

/// Charges.
pub(super) fn charges(
    tx: &mut Tx<'_>,
    which: &Conditions,
    stretch: &Stretch,
) -> Result<Items<ChargeRecord>> {
    let Conditions { user_id, city_id, status, reference } = which;
    let (at, id) = &stretch.before;
    let wanted = i64::from(stretch.wanted());
    let is_rare = !status.is_empty() && status != "settled";
    let from = &stretch.from;
    // One statement per index. What the index does not hold is looked at row by row.
    let rows = if !reference.is_empty() {
        tx.query(
            sql!(
                "SELECT charge_id, user_id, city_id, amount, unpaid, refunded, status, hold_id, note,
                   ref, metadata, created_at FROM balance_charges
                 WHERE ref = $1 AND (created_at, charge_id) < ($2, $3)
                   AND ($4 = '' OR user_id = $4) AND ($5 = '' OR city_id = $5)
                   AND ($6 = '' OR status = $6) AND created_at >= $7
                 ORDER BY created_at DESC, charge_id DESC LIMIT $8"
            ),
            &[reference, at, id, user_id, city_id, status, from, &wanted],
        )?
    } else if !user_id.is_empty() && is_rare {
        tx.query(
            sql!(
                "SELECT charge_id, user_id, city_id, amount, unpaid, refunded, status, hold_id, note,
                   ref, metadata, created_at FROM balance_charges
                 WHERE user_id = $1 AND status = $2 AND status <> 'settled'
                   AND (created_at, charge_id) < ($3, $4)
                   AND ($5 = '' OR city_id = $5) AND created_at >= $6
                 ORDER BY created_at DESC, charge_id DESC LIMIT $7"
            ),
            &[user_id, status, at, id, city_id, from, &wanted],
        )?
    } else if !user_id.is_empty() {
        tx.query(
            sql!(
                "SELECT charge_id, user_id, city_id, amount, unpaid, refunded, status, hold_id, note,
                   ref, metadata, created_at FROM balance_charges
                 WHERE user_id = $1 AND (created_at, charge_id) < ($2, $3)
                   AND ($4 = '' OR city_id = $4) AND ($5 = '' OR status = $5)
                   AND created_at >= $6
                 ORDER BY created_at DESC, charge_id DESC LIMIT $7"
            ),
            &[user_id, at, id, city_id, status, from, &wanted],
        )?
    } else if is_rare {
        tx.query(
            sql!(
                "SELECT charge_id, user_id, city_id, amount, unpaid, refunded, status, hold_id, note,
                   ref, metadata, created_at FROM balance_charges
                 WHERE status = $1 AND status <> 'settled' AND (created_at, charge_id) < ($2, $3)
                   AND ($4 = '' OR city_id = $4) AND created_at >= $5
                 ORDER BY created_at DESC, charge_id DESC LIMIT $6"
            ),
            &[status, at, id, city_id, from, &wanted],
        )?
    } else if !city_id.is_empty() {
        tx.query(
            sql!(
                "SELECT charge_id, user_id, city_id, amount, unpaid, refunded, status, hold_id, note,
                   ref, metadata, created_at FROM balance_charges
                 WHERE city_id = $1 AND (created_at, charge_id) < ($2, $3)
                   AND ($4 = '' OR status = $4) AND created_at >= $5
                 ORDER BY created_at DESC, charge_id DESC LIMIT $6"
            ),
            &[city_id, at, id, status, from, &wanted],
        )?
    } else {
        tx.query(
            sql!(
                "SELECT charge_id, user_id, city_id, amount, unpaid, refunded, status, hold_id, note,
                   ref, metadata, created_at FROM balance_charges
                 WHERE (created_at, charge_id) < ($1, $2) AND ($3 = '' OR status = $3)
                   AND created_at >= $4
                 ORDER BY created_at DESC, charge_id DESC LIMIT $5"
            ),
            &[at, id, status, from, &wanted],
        )?
    };
    let charges = rows.iter().map(Charge::of).collect::<Result<Vec<_>>>()?;
    let records = charges.into_iter().map(ChargeRecord::from).collect();
    Ok(stretch.page(records, |charge: &ChargeRecord| (charge.created_at, &charge.charge_id)))
}

/// Holds.
pub(super) fn holds(
    tx: &mut Tx<'_>,
    which: &Conditions,
    stretch: &Stretch,
) -> Result<Items<HoldRecord>> {
    let Conditions { user_id, city_id, status, reference } = which;
    let (at, id) = &stretch.before;
    let wanted = i64::from(stretch.wanted());
    let is_rare = !status.is_empty() && status != HoldStatus::Settled.as_str();
    let from = &stretch.from;
    let rows = if !reference.is_empty() {
        tx.query(
            sql!(
                "SELECT hold_id, wallet_id, user_id, city_id, amount, status, charge_id, note, ref,
                   metadata, deadline, created_at, updated_at FROM balance_holds
                 WHERE ref = $1 AND ref <> '' AND (created_at, hold_id) < ($2, $3)
                   AND ($4 = '' OR user_id = $4) AND ($5 = '' OR city_id = $5)
                   AND ($6 = '' OR status = $6) AND created_at >= $7
                 ORDER BY created_at DESC, hold_id DESC LIMIT $8"
            ),
            &[reference, at, id, user_id, city_id, status, from, &wanted],
        )?
    } else if !user_id.is_empty() {
        tx.query(
            sql!(
                "SELECT hold_id, wallet_id, user_id, city_id, amount, status, charge_id, note, ref,
                   metadata, deadline, created_at, updated_at FROM balance_holds
                 WHERE user_id = $1 AND (created_at, hold_id) < ($2, $3)
                   AND ($4 = '' OR city_id = $4) AND ($5 = '' OR status = $5)
                   AND created_at >= $6
                 ORDER BY created_at DESC, hold_id DESC LIMIT $7"
            ),
            &[user_id, at, id, city_id, status, from, &wanted],
        )?
    } else if is_rare {
        tx.query(
            sql!(
                "SELECT hold_id, wallet_id, user_id, city_id, amount, status, charge_id, note, ref,
                   metadata, deadline, created_at, updated_at FROM balance_holds
                 WHERE status = $1 AND status <> 'settled' AND (created_at, hold_id) < ($2, $3)
                   AND ($4 = '' OR city_id = $4) AND created_at >= $5
                 ORDER BY created_at DESC, hold_id DESC LIMIT $6"
            ),
            &[status, at, id, city_id, from, &wanted],
        )?
    } else if !city_id.is_empty() {
        tx.query(
            sql!(
                "SELECT hold_id, wallet_id, user_id, city_id, amount, status, charge_id, note, ref,
                   metadata, deadline, created_at, updated_at FROM balance_holds
                 WHERE city_id = $1 AND (created_at, hold_id) < ($2, $3)
                   AND ($4 = '' OR status = $4) AND created_at >= $5
                 ORDER BY created_at DESC, hold_id DESC LIMIT $6"
            ),
            &[city_id, at, id, status, from, &wanted],
        )?
    } else {
        tx.query(
            sql!(
                "SELECT hold_id, wallet_id, user_id, city_id, amount, status, charge_id, note, ref,
                   metadata, deadline, created_at, updated_at FROM balance_holds
                 WHERE (created_at, hold_id) < ($1, $2) AND ($3 = '' OR status = $3)
                   AND created_at >= $4
                 ORDER BY created_at DESC, hold_id DESC LIMIT $5"
            ),
            &[at, id, status, from, &wanted],
        )?
    };
    let holds = rows.iter().map(Hold::of).collect::<Result<Vec<_>>>()?;
    let records = holds.into_iter().map(HoldRecord::from).collect();
    Ok(stretch.page(records, |hold: &HoldRecord| (hold.created_at, &hold.hold_id)))
}

/// Wallets, those first that were changed last.
pub(super) fn wallets(
    tx: &mut Tx<'_>,
    user_id: &str,
    stretch: &Stretch,
    limit: usize,
) -> Result<Items<Account>> {
    let (at, id) = &stretch.before;
    let wanted = i64::from(stretch.wanted());
    let rows = if user_id.is_empty() {
        tx.query(
            sql!(
                "SELECT wallet_id, scope, user_id, balance, held, entries, next_expiry, created_at,
                   updated_at FROM balance_wallets WHERE (updated_at, wallet_id) < ($1, $2)
                 ORDER BY updated_at DESC, wallet_id DESC LIMIT $3"
            ),
            &[at, id, &wanted],
        )?
    } else {
        tx.query(
            sql!(
                "SELECT wallet_id, scope, user_id, balance, held, entries, next_expiry, created_at,
                   updated_at FROM balance_wallets
                 WHERE user_id = $1 AND (updated_at, wallet_id) < ($2, $3)
                 ORDER BY updated_at DESC, wallet_id DESC LIMIT $4"
            ),
            &[&user_id, at, id, &wanted],
        )?
    };
    let of = |row: &Row| Ok((Wallet::of(row)?, row.get::<String>("scope")?));
    let wallets = rows.iter().map(of).collect::<Result<Vec<_>>>()?;
    let next_cursor =
        wallets.get(limit.wrapping_sub(1)).filter(|_| wallets.len() > limit).map(|(last, _)| {
            Cursor::new([last.updated_at.millis().into(), last.wallet_id.as_str().into()]).encode()
        });
    let items = wallets.into_iter().take(limit);
    let items = items.map(|(wallet, scope)| Account::of(wallet).in_city(scope)).collect();
    Ok(Items { items, next_cursor })
}

/// The limit of a page.
pub(super) fn limit(page: &Page) -> usize {
    page.limit(DEFAULT, MOST) as usize
}

/// A time as a bound.
pub(super) fn bounds(from: Option<Timestamp>, to: Option<Timestamp>) -> (i64, i64) {
    (from.map_or(i64::MIN, Timestamp::millis), to.map_or(i64::MAX, Timestamp::millis))
}
