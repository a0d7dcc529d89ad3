//! Holds: amounts reserved for what is under way. Each ends exactly once.

use downcity_core::{Error, NewHold, Result, Settled, Settlement};
use downcity_db::{Row, Tx, sql};
use downcity_types::{ErrorCode, Microcredits, Timestamp};

use super::charges;
use super::wallet::{self, Kind, Note, Owner, Wallet};

/// How a hold stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldStatus {
    /// The amount is reserved.
    Open,
    /// It ended with a charge.
    Settled,
    /// It ended without one.
    Released,
    /// Its deadline passed.
    Expired,
}

impl HoldStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Open, Self::Settled, Self::Released, Self::Expired];

    /// The status as it stands on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Settled => "settled",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }
}

/// A hold as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    pub(crate) hold_id: String,
    pub(crate) wallet_id: String,
    pub(crate) user_id: String,
    pub(crate) city_id: String,
    pub(crate) amount: Microcredits,
    pub(crate) status: String,
    pub(crate) charge_id: String,
    pub(crate) note: String,
    pub(crate) reference: String,
    pub(crate) metadata: String,
    pub(crate) deadline: Timestamp,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

impl Hold {
    pub(crate) fn of(row: &Row) -> Result<Self> {
        Ok(Self {
            hold_id: row.get("hold_id")?,
            wallet_id: row.get("wallet_id")?,
            user_id: row.get("user_id")?,
            city_id: row.get("city_id")?,
            amount: Microcredits(row.get("amount")?),
            status: row.get("status")?,
            charge_id: row.get("charge_id")?,
            note: row.get("note")?,
            reference: row.get("ref")?,
            metadata: row.get("metadata")?,
            deadline: Timestamp::from_millis(row.get("deadline")?),
            created_at: Timestamp::from_millis(row.get("created_at")?),
            updated_at: Timestamp::from_millis(row.get("updated_at")?),
        })
    }

    fn is_open(&self) -> bool {
        self.status == HoldStatus::Open.as_str()
    }
}

/// Reserves an amount.
///
/// # Errors
/// 402 `insufficient_balance`; 409 when there is a hold of this id.
pub(crate) fn hold(tx: &mut Tx<'_>, owner: &Owner, hold: &NewHold) -> Result<Hold> {
    let wallet = wallet::lock(tx, owner, hold.now)?;
    if wallet.available() < hold.amount {
        return Err(wallet::insufficient(hold.amount, wallet.available()));
    }
    let held = wallet.held.plus(hold.amount).map_err(Error::internal)?;
    let wallet = wallet::store(tx, Wallet { held, ..wallet })?;
    let metadata = serde_json::to_string(&hold.metadata).map_err(Error::internal)?;
    let inserted = tx.execute(
        sql!(
            "INSERT INTO balance_holds (hold_id, wallet_id, user_id, city_id, amount, status,
               charge_id, note, ref, metadata, deadline, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, 'open', '', $6, $7, $8, $9, $10, $10)
             ON CONFLICT (hold_id) DO NOTHING"
        ),
        &[
            &hold.hold_id,
            &wallet.wallet_id,
            &hold.user_id,
            &hold.city_id,
            &hold.amount.get(),
            &hold.note,
            &hold.reference,
            &metadata,
            &hold.deadline.millis(),
            &hold.now.millis(),
        ],
    )?;
    if inserted == 0 {
        return Err(Error::new(ErrorCode::Conflict, "There is a hold of this id."));
    }
    get(tx, &hold.hold_id)
}

/// Ends a hold with a charge.
///
/// # Errors
/// 404 for an unknown hold.
pub(crate) fn settle(tx: &mut Tx<'_>, settlement: &Settlement, actor: &str) -> Result<Settled> {
    let (wallet, hold) = lock(tx, &settlement.hold_id, settlement.now)?;
    if hold.status == HoldStatus::Settled.as_str() {
        return charges::settled(tx, &hold.charge_id);
    }
    // Credits end before the hold does: what is reserved is still there to be charged.
    let wallet = wallet::expire_due(tx, wallet, &hold.city_id, settlement.now)?;
    let wallet = if hold.is_open() { unhold(tx, wallet, &hold)? } else { wallet };
    let amount = settlement.amount.max(Microcredits::ZERO);
    let charged = amount.min(wallet.available());
    let unpaid = Microcredits(amount.get() - charged.get());
    let charge_id = if amount > Microcredits::ZERO { settlement.charge_id.as_str() } else { "" };
    end(tx, &hold.hold_id, HoldStatus::Settled, charge_id, settlement.now)?;
    if amount > Microcredits::ZERO {
        charges::insert(tx, &wallet, &hold, settlement, unpaid)?;
    }
    if charged > Microcredits::ZERO {
        let note = charge_note(settlement, actor);
        wallet::debit_locked(tx, wallet, &hold.city_id, charged, &note)?;
    }
    Ok(Settled { charge_id: charge_id.to_owned(), charged, unpaid })
}

fn charge_note(settlement: &Settlement, actor: &str) -> Note {
    let mut metadata = settlement.metadata.clone();
    metadata.insert("charge_id".to_owned(), settlement.charge_id.clone().into());
    metadata.insert("hold_id".to_owned(), settlement.hold_id.clone().into());
    Note {
        kind: Kind::Charge,
        note: settlement.note.clone(),
        reference: settlement.reference.clone(),
        metadata,
        actor: actor.to_owned(),
        effect: Some(format!("hold:{}", settlement.hold_id)),
        now: settlement.now,
    }
}

/// Ends a hold without a charge; gives it as it is then. One that has ended stays as it is.
///
/// # Errors
/// 404 for an unknown hold.
pub(crate) fn release(
    tx: &mut Tx<'_>,
    hold_id: &str,
    status: HoldStatus,
    now: Timestamp,
) -> Result<Hold> {
    let (wallet, hold) = lock(tx, hold_id, now)?;
    if !hold.is_open() {
        return Ok(hold);
    }
    unhold(tx, wallet, &hold)?;
    end(tx, hold_id, status, "", now)?;
    get(tx, hold_id)
}

/// Ends holds whose deadline has passed, at most `chunk`; says how many.
///
/// # Errors
/// Those of the database.
pub(crate) fn expire(tx: &mut Tx<'_>, now: Timestamp, chunk: i64) -> Result<usize> {
    let rows = tx.query(
        sql!(
            "SELECT hold_id FROM balance_holds WHERE status = 'open' AND deadline <= $1
             ORDER BY deadline LIMIT $2"
        ),
        &[&now.millis(), &chunk],
    )?;
    let overdue: Vec<String> =
        rows.iter().map(|row| row.get("hold_id")).collect::<std::result::Result<_, _>>()?;
    for hold_id in &overdue {
        release(tx, hold_id, HoldStatus::Expired, now)?;
    }
    Ok(overdue.len())
}

/// The hold of this id.
///
/// # Errors
/// 404 for an unknown one.
pub(crate) fn get(tx: &mut Tx<'_>, hold_id: &str) -> Result<Hold> {
    let row = tx.query_opt(
        sql!(
            "SELECT hold_id, wallet_id, user_id, city_id, amount, status, charge_id, note, ref,
               metadata, deadline, created_at, updated_at FROM balance_holds WHERE hold_id = $1"
        ),
        &[&hold_id],
    )?;
    let Some(row) = row else {
        return Err(Error::new(ErrorCode::NotFound, format!("hold not found: {hold_id}")));
    };
    Hold::of(&row)
}

/// A hold with its wallet, both locked: whoever changes a hold has the wallet's row.
fn lock(tx: &mut Tx<'_>, hold_id: &str, now: Timestamp) -> Result<(Wallet, Hold)> {
    let wallet_id = get(tx, hold_id)?.wallet_id;
    let wallet = wallet::lock_by_id(tx, &wallet_id, now)?;
    Ok((wallet, get(tx, hold_id)?))
}

fn unhold(tx: &mut Tx<'_>, wallet: Wallet, hold: &Hold) -> Result<Wallet> {
    let held = wallet.held.minus(hold.amount).map_err(Error::internal)?;
    wallet::store(tx, Wallet { held, ..wallet })
}

fn end(
    tx: &mut Tx<'_>,
    hold_id: &str,
    status: HoldStatus,
    charge_id: &str,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        sql!(
            "UPDATE balance_holds SET status = $2, charge_id = $3, updated_at = $4
             WHERE hold_id = $1"
        ),
        &[&hold_id, &status.as_str(), &charge_id, &now.millis()],
    )?;
    Ok(())
}
