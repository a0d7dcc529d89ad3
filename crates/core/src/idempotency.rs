//! Requests that may be repeated: the second one gets the first one's answer.
//!
//! The key comes in the header `Idempotency-Key` or in the field `idempotency_key` of the body. Its
//! scope is one identity and one action. Only successes are stored, for 30 days; a request that failed
//! may be tried again with its key.

use downcity_db::{Tx, sql};
use downcity_types::{ErrorCode, Timestamp};
use http::HeaderValue;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::audit::Trail;
use crate::hex::hex;
use crate::{Call, Error, Identity, Result};

/// How long an answer is kept.
pub const KEPT: std::time::Duration = std::time::Duration::from_secs(30 * 24 * 3600);

const MAX_KEY: usize = 255;

/// The field of a body that does the same as the header.
const FIELD: &str = "idempotency_key";

/// A request that carries an idempotency key.
#[derive(Clone, Debug)]
pub struct IdempotentRequest {
    scope: String,
    key: String,
    request_hash: String,
    now: Timestamp,
}

/// What is known of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim<T> {
    /// It is new: do the work, then [`record`] the answer in the same transaction.
    New,
    /// It was answered before.
    Replay(T),
}

impl IdempotentRequest {
    /// The request of this call, when it has the header `Idempotency-Key` or the field
    /// `idempotency_key`. The field is no part of what a repeated request has to be equal in.
    ///
    /// # Errors
    /// 400 for a key that is empty, too long or not printable ASCII, for several headers, and for a
    /// header and a field that differ.
    pub fn of(call: &Call) -> Result<Option<Self>> {
        let in_header = header_key(call)?;
        let (in_field, request_hash) = match call.input().get(FIELD) {
            None => (None, hash(call.input())),
            Some(field) => (field_key(field)?, hash(&without_field(call.input()))),
        };
        let key = match (in_header, in_field) {
            (None, None) => return Ok(None),
            (Some(header), Some(field)) if header != field => {
                return Err(Error::new(
                    ErrorCode::ConflictingFields,
                    "The header Idempotency-Key and the field idempotency_key differ.",
                )
                .with_fix("Send one of them."));
            }
            (Some(key), _) | (None, Some(key)) => key,
        };
        let identity = match call.identity() {
            Identity::Guest(_) => "guest".to_owned(),
            Identity::Admin => "admin".to_owned(),
            Identity::Service(key) => format!("service {}", key.id()),
            Identity::User(user) => format!("user {} {}", user.city.city_id, user.user_id),
        };
        Ok(Some(Self {
            scope: format!("{:?} {identity}", call.action()),
            key: key.to_owned(),
            request_hash,
            now: call.started_at(),
        }))
    }
}

impl IdempotentRequest {
    /// What tells this request from all others: whoever sends it, the action and the key.
    pub fn id(&self) -> String {
        format!("{} {}", self.scope, self.key)
    }
}

fn header_key(call: &Call) -> Result<Option<&str>> {
    let mut headers = call.parts().headers.get_all("idempotency-key").iter();
    let Some(header) = headers.next() else { return Ok(None) };
    if headers.next().is_some() {
        return Err(Error::invalid("Idempotency-Key", "must be sent once"));
    }
    key_of(header).map(Some)
}

/// The key that a header holds, without the space around it.
pub(crate) fn key_of(header: &HeaderValue) -> Result<&str> {
    checked("Idempotency-Key", header.to_str().unwrap_or_default())
}

/// The key that the field of a body holds; `null` is none.
fn field_key(field: &Value) -> Result<Option<&str>> {
    match field {
        Value::Null => Ok(None),
        Value::String(key) => checked(FIELD, key).map(Some),
        _ => Err(Error::invalid(FIELD, "must be a text")),
    }
}

fn checked<'a>(place: &str, key: &'a str) -> Result<&'a str> {
    let key = key.trim();
    let is_printable = key.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if key.is_empty() || key.len() > MAX_KEY || !is_printable {
        return Err(Error::invalid(
            place,
            format!("must be 1 to {MAX_KEY} printable ASCII characters"),
        ));
    }
    Ok(key)
}

/// The input without the key, the order of its fields kept.
fn without_field(input: &Value) -> Value {
    let mut input = input.clone();
    if let Some(fields) = input.as_object_mut() {
        fields.shift_remove(FIELD);
    }
    input
}

fn hash(input: &Value) -> String {
    hex(&Sha256::digest(input.to_string()))
}

/// Takes the key, or finds the answer that it got. Of several transactions at once one gets `New`;
/// the others wait for its end.
///
/// # Errors
/// 409 when the key came with another input before.
pub fn claim<T: DeserializeOwned>(
    tx: &mut Tx<'_>,
    request: &IdempotentRequest,
) -> Result<Claim<T>> {
    let taken = tx.execute(
        sql!(
            "INSERT INTO idempotency (scope, key, request_hash, reply, created_at)
             VALUES ($1, $2, $3, '', $4) ON CONFLICT (scope, key) DO NOTHING"
        ),
        &[&request.scope, &request.key, &request.request_hash, &request.now.millis()],
    )?;
    if taken == 1 {
        return Ok(Claim::New);
    }
    let found = find(tx, request)?;
    let gone = || Error::internal("an idempotency key that is taken, and not there");
    found.map(Claim::Replay).ok_or_else(gone)
}

/// Finds the answer that a request got before, and takes no key: for work that needs more than the
/// request before it can begin.
///
/// # Errors
/// 409 when the key came with another input before.
pub fn find<T: DeserializeOwned>(
    tx: &mut Tx<'_>,
    request: &IdempotentRequest,
) -> Result<Option<T>> {
    let row = tx.query_opt(
        sql!("SELECT request_hash, reply FROM idempotency WHERE scope = $1 AND key = $2"),
        &[&request.scope, &request.key],
    )?;
    let Some(row) = row else { return Ok(None) };
    if row.get::<String>("request_hash")? != request.request_hash {
        return Err(Error::new(
            ErrorCode::IdempotencyMismatch,
            "This idempotency key was used with another input.",
        )
        .with_fix("Use a new key for a new request."));
    }
    let reply: String = row.get("reply")?;
    serde_json::from_str(&reply).map(Some).map_err(Error::internal)
}

/// Stores the answer to a claimed request.
///
/// # Errors
/// When the answer cannot be written as JSON, or the request was not claimed.
pub fn record<T: Serialize>(tx: &mut Tx<'_>, request: &IdempotentRequest, reply: &T) -> Result<()> {
    let reply = serde_json::to_string(reply).map_err(Error::internal)?;
    tx.query_one(
        sql!(
            "UPDATE idempotency SET reply = $3 WHERE scope = $1 AND key = $2 RETURNING created_at"
        ),
        &[&request.scope, &request.key, &reply],
    )?;
    Ok(())
}

/// Runs work once per key: claims, works, records. Without a request the work just runs. A repeated
/// request changes nothing, which the audit trail is told.
///
/// # Errors
/// Those of [`claim`] and of the work.
pub fn once<T: Serialize + DeserializeOwned>(
    tx: &mut Tx<'_>,
    trail: &mut Trail,
    request: Option<&IdempotentRequest>,
    work: impl FnOnce(&mut Tx<'_>, &mut Trail) -> Result<T>,
) -> Result<T> {
    let Some(request) = request else { return work(tx, trail) };
    match claim(tx, request)? {
        Claim::Replay(reply) => {
            trail.unchanged();
            Ok(reply)
        }
        Claim::New => {
            let reply = work(tx, trail)?;
            record(tx, request, &reply)?;
            Ok(reply)
        }
    }
}

/// Forgets answers older than [`KEPT`], at most `chunk` of them; says how many.
///
/// # Errors
/// Those of the database.
pub fn forget_old(tx: &mut Tx<'_>, now: Timestamp, chunk: i64) -> Result<u64> {
    Ok(tx.execute(
        sql!(
            "DELETE FROM idempotency WHERE (scope, key) IN
             (SELECT scope, key FROM idempotency WHERE created_at < $1 LIMIT $2)"
        ),
        &[&now.saturating_sub(KEPT).millis(), &chunk],
    )?)
}
