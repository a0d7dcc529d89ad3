//! The table `usage_events`: one row per recorded call.

use std::sync::atomic::{AtomicU32, Ordering};

use downcity_core::fact::CallFact;
use downcity_core::{Error, Result};
use downcity_db::{DbError, Row, Sql, Tx, sql};
use downcity_types::Timestamp;
use serde_json::{Map, Value};

use super::redact::{redact, storable};

/// Bits of an id below the time.
const BITS: u32 = 20;

/// How often another number is tried when an id is taken, which takes two nodes and one millisecond.
const ATTEMPTS: usize = 16;

/// The largest figure of one call. Those above are faults of whoever told them and count as none: a few of
/// them would be more than a sum can hold.
const MOST: u64 = 1_000_000_000_000;

/// The smallest id of this time or later.
pub(super) fn first_id(at: Timestamp) -> i64 {
    at.millis().max(0).saturating_mul(1 << BITS)
}

/// The lower parts of ids, in a row on each node.
#[derive(Debug)]
pub(super) struct Numbers(AtomicU32);

impl Numbers {
    pub(super) fn starting_at(first: u32) -> Self {
        Self(AtomicU32::new(first))
    }

    /// Begins elsewhere, so that nodes do not count alike.
    pub(super) fn start_at(&self, first: u32) {
        self.0.store(first, Ordering::Relaxed);
    }

    fn id(&self, at: Timestamp) -> i64 {
        let number = self.0.fetch_add(1, Ordering::Relaxed) & ((1 << BITS) - 1);
        first_id(at) | i64::from(number)
    }
}

/// The columns of a row, in the order of the table.
macro_rules! columns {
    () => {
        "id, request_id, city_id, user_id, service, action, status, http_status, code, error,
         streamed, provider_id, model_id, upstream_model, input_tokens, output_tokens,
         cached_tokens, image_count, audio_seconds, video_seconds, first_byte_ms, duration_ms,
         charge_microcredits, hold_id, charge_id, details_json, started_at, ended_at, created_at"
    };
}

/// Adds the fact of a call at this time. A second fact of a request changes nothing.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    fact: &CallFact,
    numbers: &Numbers,
    now: Timestamp,
) -> Result<()> {
    for _ in 0..ATTEMPTS {
        if try_insert(tx, fact, numbers.id(now), now)? || exists(tx, &fact.request_id)? {
            return Ok(());
        }
    }
    Err(Error::internal("no id is free for the fact of a call"))
}

/// Says `false` when the request has a fact already, or when the id is taken.
fn try_insert(tx: &mut Tx<'_>, fact: &CallFact, id: i64, now: Timestamp) -> Result<bool> {
    let metering = &fact.metering;
    let count = |count: Option<u64>| count.filter(|count| *count <= MOST).map(u64::cast_signed);
    let details = &metering.metadata;
    let details = (!details.is_empty()).then(|| Value::from(details.clone()).to_string());
    let inserted = tx.execute(
        sql!(concat!(
            "INSERT INTO usage_events (",
            columns!(),
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
                 $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29)
             ON CONFLICT DO NOTHING"
        )),
        &[
            &id,
            &fact.request_id,
            &fact.city_id,
            &&*storable(&fact.user_id),
            &fact.service,
            &fact.action,
            &fact.status.as_str(),
            &i32::from(fact.http_status),
            &fact.code.map(|code| code.as_str()),
            &fact.message.as_deref().map(redact),
            &fact.streamed,
            &&*given(&metering.provider_id),
            &&*given(&metering.model_id),
            &&*given(&metering.upstream_model),
            &count(metering.input_tokens),
            &count(metering.output_tokens),
            &count(metering.cached_tokens),
            &count(metering.image_count),
            &count(metering.audio_seconds),
            &count(metering.video_seconds),
            &count(metering.first_byte_ms),
            &count(metering.duration_ms).unwrap_or_default(),
            &fact.charge.get(),
            &fact.hold_id,
            &fact.charge_id,
            &details,
            &fact.started_at.millis(),
            &fact.ended_at.millis(),
            &now.millis(),
        ],
    )?;
    Ok(inserted == 1)
}

fn given(text: &Option<String>) -> std::borrow::Cow<'_, str> {
    text.as_deref().map(storable).unwrap_or_default()
}

fn exists(tx: &mut Tx<'_>, request_id: &str) -> Result<bool> {
    let row =
        tx.query_opt(sql!("SELECT id FROM usage_events WHERE request_id = $1"), &[&request_id])?;
    Ok(row.is_some())
}

/// A row as it is stored.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) id: i64,
    pub(super) request_id: String,
    pub(super) city_id: String,
    pub(super) user_id: String,
    pub(super) service: String,
    pub(super) action: String,
    pub(super) status: String,
    pub(super) http_status: i64,
    pub(super) code: Option<String>,
    pub(super) error: Option<String>,
    pub(super) streamed: bool,
    pub(super) provider_id: String,
    pub(super) model_id: String,
    pub(super) upstream_model: String,
    pub(super) input_tokens: Option<i64>,
    pub(super) output_tokens: Option<i64>,
    pub(super) cached_tokens: Option<i64>,
    pub(super) image_count: Option<i64>,
    pub(super) audio_seconds: Option<i64>,
    pub(super) video_seconds: Option<i64>,
    pub(super) first_byte_ms: Option<i64>,
    pub(super) duration_ms: i64,
    pub(super) charge_microcredits: i64,
    pub(super) hold_id: Option<String>,
    pub(super) charge_id: Option<String>,
    pub(super) details: Map<String, Value>,
    pub(super) started_at: Timestamp,
    pub(super) ended_at: Timestamp,
    pub(super) created_at: Timestamp,
}

fn event(row: &Row) -> Result<Event, DbError> {
    let details: Option<String> = row.get("details_json")?;
    let time = |name| row.get(name).map(Timestamp::from_millis);
    Ok(Event {
        id: row.get("id")?,
        request_id: row.get("request_id")?,
        city_id: row.get("city_id")?,
        user_id: row.get("user_id")?,
        service: row.get("service")?,
        action: row.get("action")?,
        status: row.get("status")?,
        http_status: row.get("http_status")?,
        code: row.get("code")?,
        error: row.get("error")?,
        streamed: row.get("streamed")?,
        provider_id: row.get("provider_id")?,
        model_id: row.get("model_id")?,
        upstream_model: row.get("upstream_model")?,
        input_tokens: row.get("input_tokens")?,
        output_tokens: row.get("output_tokens")?,
        cached_tokens: row.get("cached_tokens")?,
        image_count: row.get("image_count")?,
        audio_seconds: row.get("audio_seconds")?,
        video_seconds: row.get("video_seconds")?,
        first_byte_ms: row.get("first_byte_ms")?,
        duration_ms: row.get("duration_ms")?,
        charge_microcredits: row.get("charge_microcredits")?,
        hold_id: row.get("hold_id")?,
        charge_id: row.get("charge_id")?,
        details: details.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
        started_at: time("started_at")?,
        ended_at: time("ended_at")?,
        created_at: time("created_at")?,
    })
}

/// The fact of a request.
pub(super) fn find(tx: &mut Tx<'_>, request_id: &str) -> Result<Option<Event>> {
    let row = tx.query_opt(
        sql!(concat!("SELECT ", columns!(), " FROM usage_events WHERE request_id = $1")),
        &[&request_id],
    )?;
    Ok(row.as_ref().map(event).transpose()?)
}

/// What facts have in common; what is `None` may be anything.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) city_id: Option<String>,
    pub(super) user_id: Option<String>,
    pub(super) service: Option<String>,
    pub(super) action: Option<String>,
    pub(super) model_id: Option<String>,
    pub(super) status: Option<String>,
}

/// A page of facts, given by ids: those from the first to below the second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Between(pub(super) i64, pub(super) i64);

/// A list of facts, the newest first, from a table and with a condition that an index serves.
macro_rules! list {
    ($table:literal, $condition:literal) => {
        list!($table, $condition, "id")
    };
    ($table:literal, $condition:literal, $order:literal) => {
        sql!(concat!(
            "SELECT ",
            columns!(),
            " FROM ",
            $table,
            " WHERE id >= $1 AND id < $2 AND ",
            $condition,
            " AND (CAST($5 AS TEXT) IS NULL OR service = $5)
              AND (CAST($6 AS TEXT) IS NULL OR action = $6)
              AND (CAST($7 AS TEXT) IS NULL OR model_id = $7)
              AND (CAST($8 AS TEXT) IS NULL OR status = $8)
             ORDER BY ",
            $order,
            " DESC LIMIT $9"
        ))
    };
}

/// At most `limit` facts, the newest first. Facts of a user are known by their user up to
/// `summed_to`, and looked for among all above.
pub(super) fn list(
    tx: &mut Tx<'_>,
    filter: &Filter,
    Between(from, below): Between,
    limit: u32,
    summed_to: i64,
) -> Result<Vec<Event>> {
    let failed = filter.status.as_deref().is_some_and(|status| status != "success");
    if filter.user_id.is_some() {
        let fresh = list!(
            "usage_events",
            "user_id = CAST($3 AS TEXT) AND (CAST($4 AS TEXT) IS NULL OR city_id = $4)"
        );
        let mut found = run(tx, fresh, filter, Between(from.max(summed_to), below), limit)?;
        let more = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
        if more > 0 && from < summed_to {
            let old = Between(from, below.min(summed_to));
            found.extend(run(tx, of_user(filter), filter, old, more)?);
        }
        return Ok(found);
    }
    let statement = match &filter.city_id {
        _ if failed => list!(
            "usage_events",
            "status <> 'success' AND CAST($3 AS TEXT) IS NULL
             AND (CAST($4 AS TEXT) IS NULL OR city_id = $4)"
        ),
        Some(_) => {
            list!("usage_events", "CAST($3 AS TEXT) IS NULL AND city_id = CAST($4 AS TEXT)")
        }
        None => list!("usage_events", "CAST($3 AS TEXT) IS NULL AND CAST($4 AS TEXT) IS NULL"),
    };
    run(tx, statement, filter, Between(from, below), limit)
}

/// The list of a user's older facts.
fn of_user(filter: &Filter) -> &'static Sql {
    match &filter.city_id {
        Some(_) => list!(
            "(SELECT id AS own_id FROM usage_of_users
              WHERE user_id = CAST($3 AS TEXT) AND city_id = CAST($4 AS TEXT)
                AND id >= $1 AND id < $2) AS own
             JOIN usage_events ON id = own_id",
            "own_id >= $1",
            "own_id"
        ),
        None => list!(
            "(SELECT id AS own_id FROM usage_of_users
              WHERE user_id = CAST($3 AS TEXT) AND CAST($4 AS TEXT) IS NULL
                AND id >= $1 AND id < $2) AS own
             JOIN usage_events ON id = own_id",
            "own_id >= $1",
            "own_id"
        ),
    }
}

fn run(
    tx: &mut Tx<'_>,
    statement: &'static Sql,
    filter: &Filter,
    Between(from, below): Between,
    limit: u32,
) -> Result<Vec<Event>> {
    let rows = tx.query(
        statement,
        &[
            &from,
            &below,
            &filter.user_id,
            &filter.city_id,
            &filter.service,
            &filter.action,
            &filter.model_id,
            &filter.status,
            &limit,
        ],
    )?;
    rows.iter().map(|row| event(row).map_err(Error::from)).collect()
}

/// Notes for each user the facts between two ids.
pub(super) fn note_users(tx: &mut Tx<'_>, from: i64, to: i64) -> Result<()> {
    tx.execute(
        sql!(
            "INSERT INTO usage_of_users (user_id, city_id, id)
             SELECT user_id, city_id, id FROM usage_events WHERE id >= $1 AND id < $2
             ORDER BY user_id, city_id, id"
        ),
        &[&from, &to],
    )?;
    Ok(())
}

/// Forgets at most `limit` facts with ids below this one; says how many.
pub(super) fn erase(tx: &mut Tx<'_>, below: i64, limit: u32) -> Result<u64> {
    tx.execute(
        sql!(
            "DELETE FROM usage_of_users WHERE (user_id, city_id, id) IN
                 (SELECT user_id, city_id, id FROM usage_events
                  WHERE id < $1 ORDER BY id LIMIT $2)"
        ),
        &[&below, &limit],
    )?;
    let erased = tx.execute(
        sql!(
            "DELETE FROM usage_events WHERE id IN
                 (SELECT id FROM usage_events WHERE id < $1 ORDER BY id LIMIT $2)"
        ),
        &[&below, &limit],
    )?;
    Ok(erased)
}

/// The time of an id.
pub(super) fn time_of(id: i64) -> Timestamp {
    Timestamp::from_millis(id >> BITS)
}
