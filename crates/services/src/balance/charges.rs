//! Charges: what users paid for something that was sold.

use downcity_core::{Error, Result, Settled, Settlement};
use downcity_db::{Row, Tx, sql};
use downcity_types::{ErrorCode, Microcredits, Timestamp};

use super::holds::Hold;
use super::wallet::{self, Kind, Note, Owner, Wallet};

/// A charge as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Charge {
    pub(crate) charge_id: String,
    pub(crate) user_id: String,
    pub(crate) city_id: String,
    pub(crate) amount: Microcredits,
    pub(crate) unpaid: Microcredits,
    pub(crate) refunded: Microcredits,
    pub(crate) status: String,
    pub(crate) hold_id: String,
    pub(crate) note: String,
    pub(crate) reference: String,
    pub(crate) metadata: String,
    pub(crate) created_at: Timestamp,
}

impl Charge {
    pub(crate) fn of(row: &Row) -> Result<Self> {
        Ok(Self {
            charge_id: row.get("charge_id")?,
            user_id: row.get("user_id")?,
            city_id: row.get("city_id")?,
            amount: Microcredits(row.get("amount")?),
            unpaid: Microcredits(row.get("unpaid")?),
            refunded: Microcredits(row.get("refunded")?),
            status: row.get("status")?,
            hold_id: row.get("hold_id")?,
            note: row.get("note")?,
            reference: row.get("ref")?,
            metadata: row.get("metadata")?,
            created_at: Timestamp::from_millis(row.get("created_at")?),
        })
    }
}

/// Charges a wallet at once.
///
/// # Errors
/// 402 `insufficient_balance`, and nothing is stored then.
pub(crate) fn charge(
    tx: &mut Tx<'_>,
    owner: &Owner,
    charge_id: &str,
    amount: Microcredits,
    note: &Note,
) -> Result<Charge> {
    let mut entry = note.clone();
    entry.kind = Kind::Charge;
    entry.metadata.insert("charge_id".to_owned(), charge_id.into());
    let after = wallet::debit(tx, owner, amount, &entry)?;
    let metadata = serde_json::to_string(&note.metadata).map_err(Error::internal)?;
    let stored = Charge {
        charge_id: charge_id.to_owned(),
        user_id: owner.user_id.clone(),
        city_id: owner.city_id.clone(),
        amount,
        unpaid: Microcredits::ZERO,
        refunded: Microcredits::ZERO,
        status: "settled".to_owned(),
        hold_id: String::new(),
        note: note.note.clone(),
        reference: note.reference.clone(),
        metadata,
        created_at: note.now,
    };
    write(tx, &after.wallet_id, after.entries, &stored)?;
    Ok(stored)
}

/// Stores the charge that settles a hold, before the entry of what the wallet can pay of it.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    wallet: &Wallet,
    hold: &Hold,
    settlement: &Settlement,
    unpaid: Microcredits,
) -> Result<()> {
    let metadata = serde_json::to_string(&settlement.metadata).map_err(Error::internal)?;
    let status = if unpaid > Microcredits::ZERO { "unpaid" } else { "settled" };
    let charge = Charge {
        charge_id: settlement.charge_id.clone(),
        user_id: hold.user_id.clone(),
        city_id: hold.city_id.clone(),
        amount: settlement.amount,
        unpaid,
        refunded: Microcredits::ZERO,
        status: status.to_owned(),
        hold_id: hold.hold_id.clone(),
        note: settlement.note.clone(),
        reference: settlement.reference.clone(),
        metadata,
        created_at: settlement.now,
    };
    let entry = if unpaid < settlement.amount { wallet.entries + 1 } else { 0 };
    write(tx, &wallet.wallet_id, entry, &charge)
}

/// `entry` is the number of the ledger entry; 0 where nothing was paid.
fn write(tx: &mut Tx<'_>, wallet_id: &str, entry: i64, charge: &Charge) -> Result<()> {
    let inserted = tx.execute(
        sql!(
            "INSERT INTO balance_charges (charge_id, wallet_id, user_id, city_id, amount, unpaid,
               refunded, status, hold_id, entry, note, ref, metadata, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
             ON CONFLICT (charge_id) DO NOTHING"
        ),
        &[
            &charge.charge_id,
            &wallet_id,
            &charge.user_id,
            &charge.city_id,
            &charge.amount.get(),
            &charge.unpaid.get(),
            &charge.refunded.get(),
            &charge.status,
            &charge.hold_id,
            &entry,
            &charge.note,
            &charge.reference,
            &charge.metadata,
            &charge.created_at.millis(),
        ],
    )?;
    if inserted == 0 {
        return Err(Error::new(ErrorCode::Conflict, "There is a charge of this id."));
    }
    Ok(())
}

/// What a hold was settled with; nothing where there was no charge.
pub(super) fn settled(tx: &mut Tx<'_>, charge_id: &str) -> Result<Settled> {
    let Some(charge) = find(tx, charge_id)? else {
        let nothing = Microcredits::ZERO;
        return Ok(Settled { charge_id: String::new(), charged: nothing, unpaid: nothing });
    };
    Ok(Settled {
        charge_id: charge.charge_id,
        charged: Microcredits(charge.amount.get() - charge.unpaid.get()),
        unpaid: charge.unpaid,
    })
}

/// The charge of this id.
pub(crate) fn find(tx: &mut Tx<'_>, charge_id: &str) -> Result<Option<Charge>> {
    let row = tx.query_opt(
        sql!(
            "SELECT charge_id, user_id, city_id, amount, unpaid, refunded, status, hold_id, note,
               ref, metadata, created_at FROM balance_charges WHERE charge_id = $1"
        ),
        &[&charge_id],
    )?;
    row.as_ref().map(Charge::of).transpose()
}

/// Gives back what was paid of a charge, as credits that do not end.
///
/// # Errors
/// 409 when it was given back before.
pub(crate) fn refund(
    tx: &mut Tx<'_>,
    owner: &Owner,
    charge: &Charge,
    note: &Note,
) -> Result<Charge> {
    let wallet = wallet::lock(tx, owner, note.now)?;
    let paid = Microcredits(charge.amount.get() - charge.unpaid.get());
    let ended = tx.execute(
        sql!(
            "UPDATE balance_charges SET status = 'refunded', refunded = amount - unpaid
             WHERE charge_id = $1 AND wallet_id = $2 AND status <> 'refunded'"
        ),
        &[&charge.charge_id, &wallet.wallet_id],
    )?;
    if ended == 0 {
        return Err(Error::new(ErrorCode::Conflict, "charge is already refunded"));
    }
    if paid > Microcredits::ZERO {
        let mut entry = note.clone();
        entry.metadata.insert("charge_id".to_owned(), charge.charge_id.clone().into());
        entry.reference.clone_from(&charge.reference);
        entry.effect = Some(format!("charge_refund:{}", charge.charge_id));
        wallet::credit(tx, owner, paid, wallet::NEVER, &entry)?;
    }
    Ok(Charge { status: "refunded".to_owned(), refunded: paid, ..charge.clone() })
}
