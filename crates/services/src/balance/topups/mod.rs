//! Top-ups: a user says how much to buy; once that is paid, it is credited, exactly once.

mod actions;
mod record;
mod store;

use std::time::Duration;

use downcity_core::{Error, Result, Runtime};
use downcity_db::Tx;
use downcity_types::{ErrorCode, Microcredits, Timestamp};
use serde_json::{Map, Value};

pub(super) use actions::define;
use record::Stored;
pub use record::{PER_CENT, Topup, TopupStatus};

use super::Balance;
use super::extra::Noted;
use super::wallet::{self, Kind, NEVER, Note};

/// Top-ups of one user that may be pending at the same time.
const MOST_PENDING: i64 = 20;

/// How long a top-up waits to be paid.
pub const PENDING_FOR: Duration = Duration::from_hours(24);

/// Top-ups that one transaction of the sweeper cancels.
const CHUNK: i64 = 200;

/// A top-up that is to be made.
#[derive(Clone, Debug)]
pub struct NewTopup {
    /// Its id: `topup_` and what makes it sort by time.
    pub topup_id: String,
    /// The city in which it is made.
    pub city_id: String,
    /// Whose wallet it is for.
    pub user_id: String,
    /// How much; whole US cents.
    pub amount: Microcredits,
    /// A remark.
    pub note: String,
    /// A reference to something outside.
    pub reference: String,
    /// Further facts.
    pub metadata: Map<String, Value>,
    /// When it is made.
    pub now: Timestamp,
}

/// The end of a pending top-up.
#[derive(Clone, Debug)]
pub struct TopupEnd {
    /// Which.
    pub topup_id: String,
    /// The city that it has to be of; `None` = any.
    pub city_id: Option<String>,
    /// Replaces note and reference where given; the facts are added to those of the top-up.
    pub noted: Noted,
    /// Who ends it, as the ledger says it: `admin`, `payment:<id>`, …
    pub actor: String,
    /// What may be credited only once, such as `payment:<id>`; the top-up itself unless given.
    pub effect: Option<String>,
    /// Whether a top-up that was canceled for not being paid in time may still be paid, as when the
    /// message of the payment came late.
    pub even_if_expired: bool,
    /// When it ends.
    pub now: Timestamp,
}

impl TopupEnd {
    /// The end of a top-up, by `actor`, with nothing said about it.
    pub fn new(runtime: &Runtime, topup_id: &str, actor: &str) -> Self {
        Self {
            topup_id: topup_id.to_owned(),
            city_id: None,
            noted: Noted::default(),
            actor: actor.to_owned(),
            effect: None,
            even_if_expired: false,
            now: runtime.clock().now(),
        }
    }
}

/// Adds a pending top-up.
///
/// # Errors
/// 400 for an amount of broken cents or outside the configured bounds, 409 when the user has too many
/// that are pending.
pub fn create(balance: &Balance, tx: &mut Tx<'_>, new: &NewTopup) -> Result<Topup> {
    check_amount(balance, new.amount)?;
    let scope = &balance.owner(&new.city_id, &new.user_id).scope;
    store::expire_of(tx, scope, &new.user_id, new.now)?;
    let topup = Stored {
        topup_id: new.topup_id.clone(),
        scope: scope.clone(),
        user_id: new.user_id.clone(),
        city_id: new.city_id.clone(),
        amount: new.amount.get(),
        status: TopupStatus::Pending,
        note: new.note.clone(),
        reference: new.reference.clone(),
        metadata: json_text(&new.metadata)?,
        is_expired: false,
        expires_at: new.now.saturating_add(PENDING_FOR).millis(),
        created_at: new.now.millis(),
        updated_at: new.now.millis(),
    };
    let taken = store::taken_slots(tx, scope, &new.user_id)?;
    for slot in (0..MOST_PENDING).filter(|slot| !taken.contains(slot)) {
        // Somebody else may take the place meanwhile.
        if store::insert(tx, &topup, slot)? {
            return Ok(topup.into_record());
        }
    }
    Err(Error::new(
        ErrorCode::Conflict,
        format!("{MOST_PENDING} top-ups of this user wait to be paid already."),
    )
    .with_fix("Pay one of them, or wait: what is not paid is canceled after 24 hours."))
}

/// A top-up of this user, whatever its status.
///
/// # Errors
/// 404 when there is none, or it is another user's.
pub fn get(
    balance: &Balance,
    tx: &mut Tx<'_>,
    city_id: &str,
    user_id: &str,
    topup_id: &str,
) -> Result<Topup> {
    let owner = balance.owner(city_id, user_id);
    store::find(tx, topup_id)?
        .filter(|topup| topup.scope == owner.scope && topup.user_id == owner.user_id)
        .map(Stored::into_record)
        .ok_or_else(|| unknown(topup_id))
}

/// A top-up by its id, whoever's it is.
///
/// # Errors
/// Those of the database.
pub fn find(tx: &mut Tx<'_>, topup_id: &str) -> Result<Option<Topup>> {
    Ok(store::find(tx, topup_id)?.map(Stored::into_record))
}

/// Whether a payment can still finish a top-up: it is pending, or was canceled for not being paid in time.
/// The top-up is locked until the commit, so that the answer stays true.
///
/// # Errors
/// Those of the database.
pub fn can_be_paid(tx: &mut Tx<'_>, topup_id: &str) -> Result<bool> {
    let topup = store::lock(tx, topup_id)?;
    Ok(topup.is_some_and(|topup| topup.status == TopupStatus::Pending || topup.is_expired))
}

/// A top-up is paid: credits it to its user. Exactly one call per top-up succeeds. What is refused
/// has changed no money, so that the caller's transaction may go on.
///
/// # Errors
/// 404 for an unknown top-up, 409 for one that is not pending any more or whose effect has happened,
/// 400 when the wallet would hold too much.
pub fn finish(balance: &Balance, tx: &mut Tx<'_>, end: &TopupEnd) -> Result<Topup> {
    let before = ending(tx, end)?;
    let after = ended(end, &before)?;
    credit(balance, tx, end, &after)?;
    Ok(store_end(tx, &before, TopupStatus::Paid, &after)?.into_record())
}

/// A top-up is given up: nothing is credited.
///
/// # Errors
/// 404 for an unknown top-up, 409 for one that is not pending any more.
pub fn cancel(tx: &mut Tx<'_>, end: &TopupEnd) -> Result<Topup> {
    let before = ending(tx, end)?;
    let after = ended(end, &before)?;
    Ok(store_end(tx, &before, TopupStatus::Canceled, &after)?.into_record())
}

/// Cancels overdue top-ups, a limited number of them; says how many.
///
/// # Errors
/// Those of the database.
pub fn expire(tx: &mut Tx<'_>, now: Timestamp) -> Result<u64> {
    store::expire(tx, now, CHUNK)
}

/// The top-up that is to end, locked until the commit.
fn ending(tx: &mut Tx<'_>, end: &TopupEnd) -> Result<Stored> {
    let topup = store::lock(tx, &end.topup_id)?
        .filter(|topup| end.city_id.as_ref().is_none_or(|city_id| *city_id == topup.city_id))
        .ok_or_else(|| unknown(&end.topup_id))?;
    let is_open = topup.status == TopupStatus::Pending || end.even_if_expired && topup.is_expired;
    if is_open {
        return Ok(topup);
    }
    Err(Error::new(ErrorCode::Conflict, format!("topup is already {}", topup.status.as_str())))
}

/// What a top-up says after its end.
fn ended(end: &TopupEnd, before: &Stored) -> Result<Stored> {
    let mut after = before.clone();
    if let Some(note) = &end.noted.note {
        after.note.clone_from(note);
    }
    if let Some(reference) = &end.noted.reference {
        after.reference.clone_from(reference);
    }
    after.metadata = merged(&before.metadata, &end.noted.meta)?;
    after.updated_at = end.now.millis();
    Ok(after)
}

fn store_end(
    tx: &mut Tx<'_>,
    before: &Stored,
    status: TopupStatus,
    after: &Stored,
) -> Result<Stored> {
    store::end(tx, before, status, after)?
        .ok_or_else(|| Error::new(ErrorCode::Conflict, "topup is no longer pending"))
}

/// The text of these facts with further ones; of equal names the further one counts.
pub(super) fn merged(facts: &str, further: &Map<String, Value>) -> Result<String> {
    let mut facts: Map<String, Value> = serde_json::from_str(facts).map_err(Error::internal)?;
    facts.extend(further.clone());
    json_text(&facts)
}

pub(super) fn json_text(facts: &Map<String, Value>) -> Result<String> {
    serde_json::to_string(facts).map_err(Error::internal)
}

fn check_amount(balance: &Balance, amount: Microcredits) -> Result<()> {
    if amount.get() % PER_CENT != 0 {
        return Err(Error::invalid("amount", "must be whole cents, such as 12.34"));
    }
    let (least, most) = balance.config().topup_bounds();
    if amount < least || amount > most {
        return Err(Error::invalid(
            "amount",
            format!(
                "must be from {} to {} credits",
                super::amount::credits_text(least),
                super::amount::credits_text(most)
            ),
        ));
    }
    Ok(())
}

fn unknown(topup_id: &str) -> Error {
    Error::new(ErrorCode::NotFound, format!("topup not found: {topup_id}"))
}

fn credit(balance: &Balance, tx: &mut Tx<'_>, end: &TopupEnd, topup: &Stored) -> Result<()> {
    let text = |text: &str, other: &str| (if text.is_empty() { other } else { text }).to_owned();
    let mut metadata: Map<String, Value> =
        serde_json::from_str(&topup.metadata).map_err(Error::internal)?;
    metadata.insert("topup_id".to_owned(), topup.topup_id.clone().into());
    let effect = end.effect.clone().unwrap_or_else(|| format!("topup:{}", topup.topup_id));
    // Asked before anything is changed: an entry that turns out to be there already is found too late.
    if store::has_happened(tx, &effect)? {
        return Err(Error::new(ErrorCode::Conflict, "This has changed the balance already."));
    }
    let note = Note {
        kind: Kind::Topup,
        note: text(&topup.note, "topup"),
        reference: text(&topup.reference, &topup.topup_id),
        metadata,
        actor: end.actor.clone(),
        effect: Some(effect),
        now: end.now,
    };
    let owner = balance.owner(&topup.city_id, &topup.user_id);
    wallet::credit(tx, &owner, Microcredits(topup.amount), NEVER, &note).map(drop)
}
