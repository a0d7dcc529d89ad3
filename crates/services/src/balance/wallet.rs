//! Wallets and their ledger: the only place that changes a balance.
//!
//! Every function runs in the caller's transaction. The row of the wallet is locked first, by the
//! update that changes it, so that operations on one wallet follow each other and the number and the
//! balance of an entry are those of this update.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use downcity_core::{Error, Result};
use downcity_db::{Row, Tx, sql};
use downcity_types::{ErrorCode, Microcredits, Timestamp};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// The end of credits that do not end.
pub(crate) const NEVER: i64 = i64::MAX;

/// Lots that one statement looks at; spending goes on with the next ones.
const LOTS: i64 = 32;

/// Whose wallet it is, and where it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Empty where wallets are of the whole Federation, else the city.
    pub(crate) scope: String,
    /// The user.
    pub(crate) user_id: String,
    /// The city where it is used; empty where none was named.
    pub(crate) city_id: String,
    /// What a wallet has when it is made.
    pub(crate) init: Microcredits,
}

/// Why a balance changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What every wallet begins with.
    Init,
    /// Given by the trusted side.
    Add,
    /// Taken by the trusted side.
    Sub,
    /// A top-up that was paid.
    Topup,
    /// A redeem code.
    Redeem,
    /// Something that was sold.
    Charge,
    /// A charge given back, or a payment that went back to whoever paid.
    Refund,
    /// Credits whose time is over.
    Expire,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Init,
        Self::Add,
        Self::Sub,
        Self::Topup,
        Self::Redeem,
        Self::Charge,
        Self::Refund,
        Self::Expire,
    ];

    /// The kind as it stands on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Topup => "topup",
            Self::Redeem => "redeem",
            Self::Charge => "charge",
            Self::Refund => "refund",
            Self::Expire => "expire",
        }
    }
}

/// What an entry says besides the amount.
#[derive(Clone, Debug)]
pub struct Note {
    /// Why.
    pub kind: Kind,
    /// A remark for people.
    pub note: String,
    /// A reference to something outside.
    pub reference: String,
    /// Further facts.
    pub metadata: Map<String, Value>,
    /// Who did it: `admin`, `service:<key>`, `user`, `system`, `payment:<id>`.
    pub actor: String,
    /// What may change a balance only once, such as `payment:<id>`; unique for ever.
    pub effect: Option<String>,
    /// The time of the call.
    pub now: Timestamp,
}

/// A wallet after an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wallet {
    /// Its id.
    pub wallet_id: String,
    /// Whose it is.
    pub user_id: String,
    /// What it holds, reserved amounts included.
    pub balance: Microcredits,
    /// What of it is reserved.
    pub held: Microcredits,
    /// The number of its last entry.
    pub(crate) entries: i64,
    pub(crate) next_expiry: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed; never before the change before.
    pub updated_at: Timestamp,
}

impl Wallet {
    /// What can be spent.
    pub fn available(&self) -> Microcredits {
        Microcredits(self.balance.get() - self.held.get())
    }

    /// Reads the columns of a wallet.
    pub(crate) fn of(row: &Row) -> Result<Self> {
        Ok(Self {
            wallet_id: row.get("wallet_id")?,
            user_id: row.get("user_id")?,
            balance: Microcredits(row.get("balance")?),
            held: Microcredits(row.get("held")?),
            entries: row.get("entries")?,
            next_expiry: row.get("next_expiry")?,
            created_at: Timestamp::from_millis(row.get("created_at")?),
            updated_at: Timestamp::from_millis(row.get("updated_at")?),
        })
    }
}

/// The wallet of an owner; `None` before its first use.
pub(crate) fn find(tx: &mut Tx<'_>, owner: &Owner) -> Result<Option<Wallet>> {
    let row = tx.query_opt(
        sql!(
            "SELECT wallet_id, user_id, balance, held, entries, next_expiry, created_at, updated_at
             FROM balance_wallets WHERE scope = $1 AND user_id = $2"
        ),
        &[&owner.scope, &owner.user_id],
    )?;
    row.as_ref().map(Wallet::of).transpose()
}

/// A wallet as it is at this time: without credits that have ended and were not taken out yet. What is
/// reserved does not end.
///
/// # Errors
/// Those of the database.
pub(super) fn without_ended(tx: &mut Tx<'_>, wallet: Wallet, now: Timestamp) -> Result<Wallet> {
    if wallet.next_expiry > now.millis() {
        return Ok(wallet);
    }
    let row = tx.query_one(
        sql!(
            "SELECT CAST(COALESCE(SUM(remaining), 0) AS BIGINT) AS ended FROM balance_lots
             WHERE wallet_id = $1 AND remaining > 0 AND expires_at <= $2"
        ),
        &[&wallet.wallet_id, &now.millis()],
    )?;
    let ended: i64 = row.get("ended")?;
    let balance = Microcredits(wallet.balance.get() - ended.min(wallet.available().get()));
    Ok(Wallet { balance, ..wallet })
}

/// The wallet of an owner, locked until the transaction ends, with ended lots taken out. It is made
/// where there is none, with what every wallet begins with.
///
/// # Errors
/// Those of the database.
pub(crate) fn lock(tx: &mut Tx<'_>, owner: &Owner, now: Timestamp) -> Result<Wallet> {
    let wallet = match touch(tx, owner, now)? {
        Some(wallet) => wallet,
        None => create(tx, owner, now)?,
    };
    expire_due(tx, wallet, &owner.city_id, now)
}

/// A wallet that is known to be there, locked until the transaction ends.
///
/// # Errors
/// Those of the database.
pub(crate) fn lock_by_id(tx: &mut Tx<'_>, wallet_id: &str, now: Timestamp) -> Result<Wallet> {
    let row = tx.query_one(
        sql!(
            "UPDATE balance_wallets
             SET updated_at = CASE WHEN updated_at > $2 THEN updated_at ELSE $2 END
             WHERE wallet_id = $1
             RETURNING wallet_id, user_id, balance, held, entries, next_expiry, created_at,
               updated_at"
        ),
        &[&wallet_id, &now.millis()],
    )?;
    Wallet::of(&row)
}

/// Takes ended lots out of a wallet that nobody uses; of one per city it happens there.
///
/// # Errors
/// Those of the database.
pub(super) fn expire_of(tx: &mut Tx<'_>, wallet_id: &str, now: Timestamp) -> Result<()> {
    let wallet = lock_by_id(tx, wallet_id, now)?;
    let row = tx
        .query_one(sql!("SELECT scope FROM balance_wallets WHERE wallet_id = $1"), &[&wallet_id])?;
    expire_due(tx, wallet, &row.get::<String>("scope")?, now).map(drop)
}

/// Takes ended lots out of a locked wallet.
///
/// # Errors
/// Those of the database.
pub(crate) fn expire_due(
    tx: &mut Tx<'_>,
    wallet: Wallet,
    city_id: &str,
    now: Timestamp,
) -> Result<Wallet> {
    if wallet.next_expiry > now.millis() {
        return Ok(wallet);
    }
    expire_lots(tx, wallet, city_id, now)
}

fn touch(tx: &mut Tx<'_>, owner: &Owner, now: Timestamp) -> Result<Option<Wallet>> {
    let row = tx.query_opt(
        sql!(
            "UPDATE balance_wallets
             SET updated_at = CASE WHEN updated_at > $3 THEN updated_at ELSE $3 END
             WHERE scope = $1 AND user_id = $2
             RETURNING wallet_id, user_id, balance, held, entries, next_expiry, created_at,
               updated_at"
        ),
        &[&owner.scope, &owner.user_id, &now.millis()],
    )?;
    row.as_ref().map(Wallet::of).transpose()
}

fn create(tx: &mut Tx<'_>, owner: &Owner, now: Timestamp) -> Result<Wallet> {
    let made = tx.execute(
        sql!(
            "INSERT INTO balance_wallets (wallet_id, scope, user_id, balance, held, entries,
               next_expiry, created_at, updated_at)
             VALUES ($1, $2, $3, 0, 0, 0, $4, $5, $5) ON CONFLICT (scope, user_id) DO NOTHING"
        ),
        &[&wallet_id(owner), &owner.scope, &owner.user_id, &NEVER, &now.millis()],
    )?;
    let wallet = touch(tx, owner, now)?
        .ok_or_else(|| Error::internal("a wallet that was just made is not there"))?;
    if made == 0 || owner.init <= Microcredits::ZERO {
        return Ok(wallet);
    }
    let note = Note {
        kind: Kind::Init,
        note: "initial balance".to_owned(),
        reference: String::new(),
        metadata: Map::new(),
        actor: "system".to_owned(),
        effect: Some(format!("init:{}", wallet.wallet_id)),
        now,
    };
    credit_locked(tx, wallet, &owner.city_id, owner.init, NEVER, &note)
}

/// An id that follows from the owner, so that no transaction needs randomness for it.
fn wallet_id(owner: &Owner) -> String {
    derived_id("wal_", &[owner.scope.as_bytes(), owner.user_id.as_bytes()])
}

/// An id of an entry, which follows from its wallet and number.
pub(crate) fn entry_id(wallet_id: &str, seq: i64) -> String {
    derived_id("bal_", &[wallet_id.as_bytes(), &seq.to_be_bytes()])
}

fn derived_id(prefix: &str, parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    format!("{prefix}{}", BASE64_URL_SAFE_NO_PAD.encode(digest.get(..12).unwrap_or(&digest)))
}

/// Adds credits, which end at `expires_at` ([`NEVER`] for those that do not).
///
/// # Errors
/// 409 when the effect has happened already; 400 when the wallet would hold too much.
pub(crate) fn credit(
    tx: &mut Tx<'_>,
    owner: &Owner,
    amount: Microcredits,
    expires_at: i64,
    note: &Note,
) -> Result<Wallet> {
    let wallet = lock(tx, owner, note.now)?;
    credit_locked(tx, wallet, &owner.city_id, amount, expires_at, note)
}

fn credit_locked(
    tx: &mut Tx<'_>,
    wallet: Wallet,
    city_id: &str,
    amount: Microcredits,
    expires_at: i64,
    note: &Note,
) -> Result<Wallet> {
    let balance =
        wallet.balance.plus(amount).ok().filter(|sum| sum.get() <= Microcredits::MAX_WIRE);
    let Some(balance) = balance else {
        return Err(Error::invalid("amount", "would make the balance larger than can be counted"));
    };
    let next_expiry = wallet.next_expiry.min(expires_at);
    let after = store(tx, Wallet { balance, next_expiry, entries: wallet.entries + 1, ..wallet })?;
    append(tx, &after, city_id, amount.get(), note)?;
    tx.execute(
        sql!(
            "INSERT INTO balance_lots (wallet_id, seq, amount, remaining, expires_at)
             VALUES ($1, $2, $3, $3, $4)"
        ),
        &[&after.wallet_id, &after.entries, &amount.get(), &expires_at],
    )?;
    Ok(after)
}

/// Takes credits that are available.
///
/// # Errors
/// 402 `insufficient_balance`; 409 when the effect has happened already.
pub(crate) fn debit(
    tx: &mut Tx<'_>,
    owner: &Owner,
    amount: Microcredits,
    note: &Note,
) -> Result<Wallet> {
    if let Some(after) = take_at_once(tx, owner, amount, note.now)? {
        spend(tx, &after.wallet_id, amount.get())?;
        append(tx, &after, &owner.city_id, -amount.get(), note)?;
        return Ok(after);
    }
    let wallet = lock(tx, owner, note.now)?;
    if wallet.available() < amount {
        return Err(insufficient(amount, wallet.available()));
    }
    debit_locked(tx, wallet, &owner.city_id, amount, note)
}

/// Lowers a balance in the statement that locks it; `None` where there is no wallet, where credits
/// have ended, or where too little is available.
fn take_at_once(
    tx: &mut Tx<'_>,
    owner: &Owner,
    amount: Microcredits,
    now: Timestamp,
) -> Result<Option<Wallet>> {
    let row = tx.query_opt(
        sql!(
            "UPDATE balance_wallets SET balance = balance - $3, entries = entries + 1,
               updated_at = CASE WHEN updated_at > $4 THEN updated_at ELSE $4 END
             WHERE scope = $1 AND user_id = $2 AND balance - held >= $3 AND next_expiry > $4
             RETURNING wallet_id, user_id, balance, held, entries, next_expiry, created_at,
               updated_at"
        ),
        &[&owner.scope, &owner.user_id, &amount.get(), &now.millis()],
    )?;
    row.as_ref().map(Wallet::of).transpose()
}

/// Takes credits of a locked wallet. The caller has seen that they are available.
pub(crate) fn debit_locked(
    tx: &mut Tx<'_>,
    wallet: Wallet,
    city_id: &str,
    amount: Microcredits,
    note: &Note,
) -> Result<Wallet> {
    spend(tx, &wallet.wallet_id, amount.get())?;
    let balance = wallet.balance.minus(amount).map_err(Error::internal)?;
    let after = store(tx, Wallet { balance, entries: wallet.entries + 1, ..wallet })?;
    append(tx, &after, city_id, -amount.get(), note)?;
    Ok(after)
}

/// Writes what an operation made of a locked wallet. The table refuses what must not be.
pub(crate) fn store(tx: &mut Tx<'_>, wallet: Wallet) -> Result<Wallet> {
    tx.execute(
        sql!(
            "UPDATE balance_wallets SET balance = $2, held = $3, entries = $4, next_expiry = $5
             WHERE wallet_id = $1"
        ),
        &[
            &wallet.wallet_id,
            &wallet.balance.get(),
            &wallet.held.get(),
            &wallet.entries,
            &wallet.next_expiry,
        ],
    )?;
    Ok(wallet)
}

/// Writes the entry of a change whose wallet is stored already. Its time is that of the wallet: calls
/// that overlap have their entries in the order in which they changed it.
fn append(tx: &mut Tx<'_>, after: &Wallet, city_id: &str, amount: i64, note: &Note) -> Result<()> {
    let metadata = serde_json::to_string(&note.metadata).map_err(Error::internal)?;
    let inserted = tx.execute(
        sql!(
            "INSERT INTO balance_ledger (wallet_id, seq, entry_id, user_id, city_id, kind, amount,
               balance_after, note, ref, metadata, actor, effect, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
             ON CONFLICT (effect) WHERE effect IS NOT NULL DO NOTHING"
        ),
        &[
            &after.wallet_id,
            &after.entries,
            &entry_id(&after.wallet_id, after.entries),
            &after.user_id,
            &city_id,
            &note.kind.as_str(),
            &amount,
            &after.balance.get(),
            &note.note,
            &note.reference,
            &metadata,
            &note.actor,
            &note.effect,
            &after.updated_at.millis(),
        ],
    )?;
    if inserted == 0 {
        return Err(Error::new(ErrorCode::Conflict, "This has changed the balance already."));
    }
    Ok(())
}

/// Takes an amount out of the lots, those first that end first.
fn spend(tx: &mut Tx<'_>, wallet_id: &str, amount: i64) -> Result<()> {
    // Most often the first lot has enough.
    let taken = tx.execute(
        sql!(
            "UPDATE balance_lots SET remaining = remaining - $2
             WHERE wallet_id = $1 AND remaining >= $2 AND seq =
               (SELECT seq FROM balance_lots WHERE wallet_id = $1 AND remaining > 0
                ORDER BY expires_at, seq LIMIT 1)"
        ),
        &[&wallet_id, &amount],
    )?;
    if taken == 1 {
        return Ok(());
    }
    let mut left = amount;
    while left > 0 {
        let lots = open_lots(tx, wallet_id)?;
        if lots.is_empty() {
            return Err(Error::internal("the lots of a wallet hold less than its balance"));
        }
        for lot in lots {
            let taken = left.min(lot.remaining);
            take(tx, wallet_id, lot.seq, taken)?;
            left -= taken;
            if left == 0 {
                break;
            }
        }
    }
    Ok(())
}

struct Lot {
    seq: i64,
    remaining: i64,
    expires_at: i64,
}

fn open_lots(tx: &mut Tx<'_>, wallet_id: &str) -> Result<Vec<Lot>> {
    let rows = tx.query(
        sql!(
            "SELECT seq, remaining, expires_at FROM balance_lots
             WHERE wallet_id = $1 AND remaining > 0 ORDER BY expires_at, seq LIMIT $2"
        ),
        &[&wallet_id, &LOTS],
    )?;
    rows.iter()
        .map(|row| {
            Ok(Lot {
                seq: row.get("seq")?,
                remaining: row.get("remaining")?,
                expires_at: row.get("expires_at")?,
            })
        })
        .collect()
}

fn take(tx: &mut Tx<'_>, wallet_id: &str, seq: i64, amount: i64) -> Result<()> {
    tx.execute(
        sql!(
            "UPDATE balance_lots SET remaining = remaining - $3 WHERE wallet_id = $1 AND seq = $2"
        ),
        &[&wallet_id, &seq, &amount],
    )?;
    Ok(())
}

/// Wallets after `after` of which credits have ended, those first whose credits ended first: when that
/// was, and the id. At most `limit`.
///
/// # Errors
/// Those of the database.
pub(super) fn list_expiring(
    tx: &mut Tx<'_>,
    after: &(i64, String),
    now: Timestamp,
    limit: i64,
) -> Result<Vec<(i64, String)>> {
    let rows = tx.query(
        sql!(
            "SELECT next_expiry, wallet_id FROM balance_wallets
             WHERE (next_expiry, wallet_id) > ($1, $2) AND next_expiry <= $3
               AND next_expiry < 9223372036854775807
             ORDER BY next_expiry, wallet_id LIMIT $4"
        ),
        &[&after.0, &after.1, &now.millis(), &limit],
    )?;
    rows.iter().map(|row| Ok((row.get("next_expiry")?, row.get("wallet_id")?))).collect()
}

/// Takes out what has ended, as far as it is not reserved, and notes what ends next.
fn expire_lots(
    tx: &mut Tx<'_>,
    mut wallet: Wallet,
    city_id: &str,
    now: Timestamp,
) -> Result<Wallet> {
    loop {
        let lots = open_lots(tx, &wallet.wallet_id)?;
        let first = lots.first().map_or(NEVER, |lot| lot.expires_at);
        let available = wallet.available().get();
        let Some(lot) = lots.first().filter(|_| first <= now.millis() && available > 0) else {
            return store(tx, Wallet { next_expiry: first, ..wallet });
        };
        let amount = lot.remaining.min(available);
        take(tx, &wallet.wallet_id, lot.seq, amount)?;
        let note = Note {
            kind: Kind::Expire,
            note: "credits expired".to_owned(),
            reference: entry_id(&wallet.wallet_id, lot.seq),
            metadata: Map::new(),
            actor: "system".to_owned(),
            effect: None,
            now,
        };
        let balance = Microcredits(wallet.balance.get() - amount);
        wallet = store(tx, Wallet { balance, entries: wallet.entries + 1, ..wallet })?;
        append(tx, &wallet, city_id, -amount, &note)?;
    }
}

/// A 402 that says how much is missing.
pub(crate) fn insufficient(need: Microcredits, available: Microcredits) -> Error {
    Error::new(
        ErrorCode::InsufficientBalance,
        format!(
            "insufficient balance: need {} microcredits, current {} microcredits",
            need.get(),
            available.get()
        ),
    )
    .with_fact("required", need.get())
    .with_fact("available", available.get())
    .with_fix("Top up the wallet, or redeem a code.")
}
