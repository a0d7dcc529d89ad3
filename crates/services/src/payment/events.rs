//! The table `payment_events`, and what callers see of it.

use std::time::Duration;

use downcity_core::{Error, Result};
use downcity_db::{Row, Tx, sql};
use downcity_types::{ErrorCode, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::providers::Event;
use crate::balance::listing::Stretch;

/// How long one run has an event for itself.
pub(super) const LEASE: Duration = Duration::from_mins(5);
/// For how long an event of no known payment is tried again.
const UNMATCHED_FOR: Duration = Duration::from_hours(72);
/// The longest wait between two runs.
const LONGEST_WAIT: Duration = Duration::from_hours(6);

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyncStatus {
    /// It is being handled.
    Pending,
    /// Its payment says what it says.
    Applied,
    /// It changes nothing here.
    Ignored,
    /// No payment is known that it is about; it is tried again for three days.
    Unmatched,
    /// Handling it failed; it is tried again.
    Failed,
    /// It is of the other mode.
    Rejected,
}

impl SyncStatus {
    const ALL: [Self; 6] = [
        Self::Pending,
        Self::Applied,
        Self::Ignored,
        Self::Unmatched,
        Self::Failed,
        Self::Rejected,
    ];

    /// The status as it stands on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Applied => "applied",
            Self::Ignored => "ignored",
            Self::Unmatched => "unmatched",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
        }
    }

    /// The status of a text.
    ///
    /// # Errors
    /// 400 for any other text.
    pub(super) fn parse(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|status| status.as_str()).collect();
            Error::invalid("status", format!("must be one of: {}", known.join(", ")))
        })
    }

    /// Whether nothing more is to be done.
    const fn is_final(self) -> bool {
        matches!(self, Self::Applied | Self::Ignored | Self::Rejected)
    }
}

/// An event as the trusted side sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventRecord {
    /// The provider's name, a colon and its id of the event.
    pub event_id: String,
    /// The provider.
    pub provider: String,
    /// The provider's name of what happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// What became of it.
    pub sync_status: SyncStatus,
    /// Why it failed; empty where it did not.
    pub sync_error: String,
    /// The payment that it is about; empty where none is known.
    pub payment_id: String,
    /// How often it was handled.
    pub attempts: i64,
    /// The body as it came; only with `include=payload`, and empty after `payment.keep_payloads`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_json: Option<String>,
    /// When it came first.
    pub created_at: Timestamp,
    /// When it was handled last.
    pub updated_at: Timestamp,
}

/// An event that is to be stored.
#[derive(Clone, Debug)]
pub(super) struct NewEvent {
    pub(super) event_id: String,
    pub(super) provider: String,
    pub(super) event: Event,
    pub(super) payload: String,
    pub(super) now: Timestamp,
}

/// The right to handle an event.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) event_id: String,
    pub(super) provider: String,
    pub(super) event: Event,
    attempt: i64,
    created_at: i64,
}

/// What came of an attempt to claim an event.
#[derive(Clone, Debug)]
pub(super) enum Claimed {
    /// It is to be handled now.
    Yes(Box<Claim>),
    /// Its end is known, or another run has it.
    No(SyncStatus),
}

/// Stores an event and claims it, unless its end is known or another run has it.
pub(super) fn take(tx: &mut Tx<'_>, new: &NewEvent) -> Result<Claimed> {
    let json = serde_json::to_string(&new.event).map_err(Error::internal)?;
    let due_at = new.now.saturating_add(LEASE).millis();
    let added = tx.execute(
        sql!(
            "INSERT INTO payment_events (event_id, provider, type, sync_status, sync_error, payment_id,
                 event, payload, attempts, due_at, created_at, updated_at)
             VALUES ($1, $2, $3, 'pending', '', '', $4, $5, 1, $6, $7, $7)
             ON CONFLICT (event_id) DO NOTHING"
        ),
        &[
            &new.event_id,
            &new.provider,
            &new.event.kind,
            &json,
            &new.payload,
            &due_at,
            &new.now.millis(),
        ],
    )?;
    if added == 1 {
        return Ok(Claimed::Yes(Box::new(Claim {
            event_id: new.event_id.clone(),
            provider: new.provider.clone(),
            event: new.event.clone(),
            attempt: 1,
            created_at: new.now.millis(),
        })));
    }
    claim(tx, &new.event_id, false, new.now)
}

/// Stores an event of the other mode, for administrators to see.
pub(super) fn reject(tx: &mut Tx<'_>, new: &NewEvent, why: &str) -> Result<()> {
    let json = serde_json::to_string(&new.event).map_err(Error::internal)?;
    tx.execute(
        sql!(
            "INSERT INTO payment_events (event_id, provider, type, sync_status, sync_error, payment_id,
                 event, payload, attempts, due_at, created_at, updated_at)
             VALUES ($1, $2, $3, 'rejected', $4, '', $5, $6, 0, NULL, $7, $7)
             ON CONFLICT (event_id) DO NOTHING"
        ),
        &[
            &new.event_id,
            &new.provider,
            &new.event.kind,
            &why,
            &json,
            &new.payload,
            &new.now.millis(),
        ],
    )?;
    Ok(())
}

/// Claims a stored event. With `even_if_final` also one whose end is known, as when it is replayed.
///
/// # Errors
/// 404 for an unknown event.
pub(super) fn claim(
    tx: &mut Tx<'_>,
    event_id: &str,
    even_if_final: bool,
    now: Timestamp,
) -> Result<Claimed> {
    let row = tx
        .query_opt(
            sql!(
                "SELECT provider, sync_status, event, attempts, due_at, created_at FROM payment_events
                 WHERE event_id = $1"
            ),
            &[&event_id],
        )?
        .ok_or_else(|| {
            Error::new(ErrorCode::NotFound, format!("event not found: {event_id}"))
        })?;
    let status = SyncStatus::parse(&row.get::<String>("sync_status")?)?;
    let due_at: Option<i64> = row.get("due_at")?;
    let is_held =
        status == SyncStatus::Pending && due_at.is_some_and(|due_at| due_at > now.millis());
    let is_over = status == SyncStatus::Rejected || status.is_final() && !even_if_final;
    if is_held || is_over {
        return Ok(Claimed::No(status));
    }
    let attempts: i64 = row.get("attempts")?;
    let taken = tx.execute(
        sql!(
            "UPDATE payment_events SET sync_status = 'pending', due_at = $3, attempts = $2 + 1,
                 updated_at = $4
             WHERE event_id = $1 AND attempts = $2"
        ),
        &[&event_id, &attempts, &now.saturating_add(LEASE).millis(), &now.millis()],
    )?;
    if taken == 0 {
        return Ok(Claimed::No(SyncStatus::Pending));
    }
    Ok(Claimed::Yes(Box::new(Claim {
        event_id: event_id.to_owned(),
        provider: row.get("provider")?,
        event: serde_json::from_str(&row.get::<String>("event")?).map_err(Error::internal)?,
        attempt: attempts + 1,
        created_at: row.get("created_at")?,
    })))
}

/// Ends a run: what became of the event. An older run than the newest one changes nothing.
///
/// # Errors
/// 409 when another run has taken over; the transaction is to be undone then.
pub(super) fn end(
    tx: &mut Tx<'_>,
    claim: &Claim,
    status: SyncStatus,
    error: &str,
    payment_id: &str,
    now: Timestamp,
) -> Result<SyncStatus> {
    let age = now.millis().saturating_sub(claim.created_at);
    let is_given_up = status == SyncStatus::Unmatched
        && u128::try_from(age).is_ok_and(|age| age > UNMATCHED_FOR.as_millis());
    let status = if is_given_up { SyncStatus::Ignored } else { status };
    let due_at = (!status.is_final()).then(|| now.saturating_add(wait(claim.attempt)).millis());
    let changed = tx.execute(
        sql!(
            "UPDATE payment_events SET sync_status = $3, sync_error = $4, payment_id = $5, due_at = $6,
                 updated_at = $7
             WHERE event_id = $1 AND attempts = $2"
        ),
        &[
            &claim.event_id,
            &claim.attempt,
            &status.as_str(),
            &error,
            &payment_id,
            &due_at,
            &now.millis(),
        ],
    )?;
    if changed == 0 {
        return Err(Error::new(ErrorCode::Conflict, "The event is being handled elsewhere."));
    }
    Ok(status)
}

/// The wait after this many runs.
fn wait(attempt: i64) -> Duration {
    let doublings = u32::try_from(attempt.clamp(1, 12) - 1).unwrap_or(0);
    Duration::from_mins(1).saturating_mul(1 << doublings).min(LONGEST_WAIT)
}

/// Events that are to be handled again, at most `chunk`.
pub(super) fn due(tx: &mut Tx<'_>, now: Timestamp, chunk: i64) -> Result<Vec<String>> {
    tx.query(
        sql!(
            "SELECT event_id FROM payment_events
             WHERE due_at IS NOT NULL AND due_at <= $1 ORDER BY due_at LIMIT $2"
        ),
        &[&now.millis(), &chunk],
    )?
    .iter()
    .map(|row| Ok(row.get("event_id")?))
    .collect()
}

/// Empties bodies that came before this time, at most `chunk`; says how many.
pub(super) fn forget_payloads(tx: &mut Tx<'_>, before: Timestamp, chunk: i64) -> Result<u64> {
    Ok(tx.execute(
        sql!(
            "UPDATE payment_events SET payload = ''
             WHERE payload <> '' AND event_id IN
                 (SELECT event_id FROM payment_events
                  WHERE payload <> '' AND created_at < $1 ORDER BY created_at LIMIT $2)"
        ),
        &[&before.millis(), &chunk],
    )?)
}

/// A page of the list, by the index that this condition on `$6` names.
macro_rules! list_sql {
    ($condition:literal) => {
        sql!(concat!(
            "SELECT event_id, provider, type, sync_status, sync_error, payment_id, attempts, payload,
                 created_at, updated_at
             FROM payment_events
             WHERE (created_at, event_id) < ($1, $2) AND created_at >= $3 AND created_at < $4 AND ",
            $condition,
            " AND ($7 = '' OR sync_status = $7) AND ($8 = '' OR provider = $8)
             ORDER BY created_at DESC, event_id DESC LIMIT $5"
        ))
    };
}

/// A stretch of all events, newest first; empty texts are no condition.
pub(super) fn list(
    tx: &mut Tx<'_>,
    stretch: &Stretch,
    payment_id: &str,
    status: &str,
    provider: &str,
    with_payload: bool,
) -> Result<Vec<EventRecord>> {
    let (statement, narrowest) = if !payment_id.is_empty() {
        (list_sql!("payment_id = $6"), payment_id)
    } else if !status.is_empty() {
        (list_sql!("sync_status = $6"), status)
    } else if !provider.is_empty() {
        (list_sql!("provider = $6"), provider)
    } else {
        (list_sql!("$6 = ''"), "")
    };
    let (at, id) = &stretch.before;
    tx.query(
        statement,
        &[at, id, &stretch.from, &stretch.to, &stretch.wanted(), &narrowest, &status, &provider],
    )?
    .iter()
    .map(|row| record(row, with_payload))
    .collect()
}

/// An event, with its body.
pub(super) fn find(tx: &mut Tx<'_>, event_id: &str) -> Result<Option<EventRecord>> {
    let select = sql!(
        "SELECT event_id, provider, type, sync_status, sync_error, payment_id, attempts, payload,
             created_at, updated_at
         FROM payment_events WHERE event_id = $1"
    );
    tx.query_opt(select, &[&event_id])?.map(|row| record(&row, false)).transpose()
}

fn record(row: &Row, with_payload: bool) -> Result<EventRecord> {
    let payload: String = row.get("payload")?;
    Ok(EventRecord {
        event_id: row.get("event_id")?,
        provider: row.get("provider")?,
        kind: row.get("type")?,
        sync_status: SyncStatus::parse(&row.get::<String>("sync_status")?)?,
        sync_error: row.get("sync_error")?,
        payment_id: row.get("payment_id")?,
        attempts: row.get("attempts")?,
        payload_json: with_payload.then_some(payload),
        created_at: Timestamp::from_millis(row.get("created_at")?),
        updated_at: Timestamp::from_millis(row.get("updated_at")?),
    })
}
