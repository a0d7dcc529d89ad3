//! Payments that went back to whoever paid: what is left of them is taken, the rest is owed.

use downcity_core::{Error, Result};
use downcity_db::{Tx, sql};
use downcity_types::{Microcredits, Timestamp};
use serde_json::{Map, Value};

use super::wallet::{self, Kind, Note, Owner};

/// A payment, or a part of one, that went back.
#[derive(Clone, Debug)]
pub struct Refund {
    /// The provider's id of it, with the provider's name before it; unique for ever.
    pub refund_id: String,
    /// Whose wallet had been credited.
    pub owner: Owner,
    /// How much went back.
    pub amount: Microcredits,
    /// A remark for people.
    pub note: String,
    /// What had been paid, such as the id of the payment.
    pub reference: String,
    /// Further facts.
    pub metadata: Map<String, Value>,
    /// Who says so: `payment:<id>` or `admin`.
    pub actor: String,
    /// The time of the call.
    pub now: Timestamp,
}

/// What came of a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refunded {
    /// What the wallet still had, and gave back.
    pub taken: Microcredits,
    /// What it had spent already.
    pub unpaid: Microcredits,
}

/// Takes back what was refunded, once per refund: again, it gives the first result.
///
/// # Errors
/// Those of the database.
pub fn claw_back(tx: &mut Tx<'_>, refund: &Refund) -> Result<Refunded> {
    let wallet = wallet::lock(tx, &refund.owner, refund.now)?;
    if let Some(done) = find(tx, &refund.refund_id)? {
        return Ok(done);
    }
    let taken = refund.amount.min(wallet.available()).max(Microcredits::ZERO);
    let metadata = serde_json::to_string(&refund.metadata).map_err(Error::internal)?;
    tx.execute(
        sql!(
            "INSERT INTO balance_refunds (refund_id, wallet_id, user_id, city_id, amount, taken,
               note, ref, metadata, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
        ),
        &[
            &refund.refund_id,
            &wallet.wallet_id,
            &wallet.user_id,
            &refund.owner.city_id,
            &refund.amount.get(),
            &taken.get(),
            &refund.note,
            &refund.reference,
            &metadata,
            &refund.now.millis(),
        ],
    )?;
    if taken > Microcredits::ZERO {
        let mut metadata = refund.metadata.clone();
        metadata.insert("refund_id".to_owned(), refund.refund_id.clone().into());
        let note = Note {
            kind: Kind::Refund,
            note: refund.note.clone(),
            reference: refund.reference.clone(),
            metadata,
            actor: refund.actor.clone(),
            effect: Some(format!("refund:{}", refund.refund_id)),
            now: refund.now,
        };
        wallet::debit_locked(tx, wallet, &refund.owner.city_id, taken, &note)?;
    }
    Ok(Refunded { taken, unpaid: Microcredits(refund.amount.get() - taken.get()) })
}

/// A payment did not go back after all, as when a dispute was won: this much of what its wallet still owes is owed
/// no more. What was taken is for the caller to give back.
///
/// # Errors
/// Those of the database.
pub(crate) fn forgive(tx: &mut Tx<'_>, refund_id: &str, amount: Microcredits) -> Result<()> {
    tx.execute(
        sql!("DELETE FROM balance_refunds WHERE refund_id = $1 AND taken = 0 AND amount <= $2"),
        &[&refund_id, &amount.get()],
    )?;
    tx.execute(
        sql!(
            "UPDATE balance_refunds SET amount = amount - $2
             WHERE refund_id = $1 AND amount - $2 >= taken"
        ),
        &[&refund_id, &amount.get()],
    )?;
    Ok(())
}

fn find(tx: &mut Tx<'_>, refund_id: &str) -> Result<Option<Refunded>> {
    let row = tx.query_opt(
        sql!("SELECT amount, taken FROM balance_refunds WHERE refund_id = $1"),
        &[&refund_id],
    )?;
    row.map(|row| {
        let (amount, taken): (i64, i64) = (row.get("amount")?, row.get("taken")?);
        Ok(Refunded { taken: Microcredits(taken), unpaid: Microcredits(amount - taken) })
    })
    .transpose()
}
