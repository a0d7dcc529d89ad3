//! Rotation of the keys that sign tokens.
//!
//! A rotation makes a new active key and retires the one before, which verifies until the grace of
//! the configuration has passed. The active HMAC key is the env value, so that a value that anybody
//! writes there replaces it without grace: a retired HMAC key counts only while the key that
//! followed it is the active one.
//!
//! Whoever changes keys holds the lock of the env vault, so that rotations follow one another.

use std::sync::Arc;

use downcity_db::Tx;
use downcity_types::{
    ErrorCode, HmacKey, SigningKeyRecord, SigningKeyStatus, Timestamp, TokenAlgorithm,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::keyring::{KeyRing, hmac_key_id};
use super::signing_keys::{self, Ed25519Secret, Succession};
use crate::audit::{Target, Trail};
use crate::env::{self, SIGNING_KEY, Writer};
use crate::idempotency::{self, IdempotentRequest};
use crate::{Cx, Error, Result, Runtime, Secret};

/// How many retired keys of one algorithm may verify: each costs the look at a forged token a
/// signature.
const MAX_RETIRED: usize = 16;

/// What the audit trail calls a signing key.
pub(super) const TARGET: &str = "signing_key";

/// Answer of a rotation.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Rotated {
    /// The new key.
    #[serde(flatten)]
    key: SigningKeyRecord,
    /// The retired keys of this algorithm that still verify.
    retired: Vec<SigningKeyRecord>,
}

/// Answer of a drop.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Dropped {
    /// The ids of the keys that verify nothing any more.
    dropped: Vec<String>,
}

/// The keys that sign or verify on this node.
pub(crate) fn list(runtime: &Runtime) -> Vec<SigningKeyRecord> {
    let issuing = runtime.settings().token_algorithm;
    runtime.snapshot().credentials().keys().records(issuing, runtime.clock().now_seconds())
}

/// A key that is about to become the active one.
enum Next {
    Hmac { key_id: String, text: Secret },
    Ed25519(Ed25519Secret),
}

impl Next {
    fn make(runtime: &Runtime, algorithm: TokenAlgorithm) -> Self {
        match algorithm {
            TokenAlgorithm::Hmac => {
                let text = Secret::new(runtime.ids().secret::<32>("sign_"));
                let key_id = hmac_key_id(&HmacKey::new(text.expose().as_bytes()));
                Self::Hmac { key_id, text }
            }
            TokenAlgorithm::Ed25519 => Self::Ed25519(Ed25519Secret::generate(runtime.random())),
        }
    }

    fn key_id(&self) -> &str {
        match self {
            Self::Hmac { key_id, .. } => key_id,
            Self::Ed25519(key) => key.public().key_id(),
        }
    }
}

/// Makes a new active key of an algorithm, by default the one in use, and retires the one before.
///
/// # Errors
/// 409 when too many retired keys verify already.
pub(crate) async fn rotate(cx: &Cx, algorithm: Option<TokenAlgorithm>) -> Result<Rotated> {
    let runtime = cx.runtime();
    let issuing = runtime.settings().token_algorithm;
    let algorithm = algorithm.unwrap_or(issuing);
    let request = IdempotentRequest::of(cx)?;
    let next = Next::make(runtime, algorithm);
    let now = runtime.clock().now();
    // In whole seconds, as the ends of tokens.
    let grace = runtime.settings().token_rotation_grace;
    let until = Timestamp::from_seconds(now.seconds()).saturating_add(grace);
    let rotated = env::change(cx, move |tx, trail, writer| {
        idempotency::once(tx, trail, request.as_ref(), |tx, trail| {
            let before = records(tx, writer, issuing)?;
            replace(tx, trail, writer, &next, until)?;
            let after = records(tx, writer, issuing)?;
            record(trail, &before, &after);
            rotated(after, next.key_id())
        })
    })
    .await?;
    tracing::info!(key_id = rotated.key.key_id, "a signing key was rotated");
    Ok(rotated)
}

fn replace(
    tx: &mut Tx<'_>,
    trail: &mut Trail,
    writer: &Writer<'_>,
    next: &Next,
    until: Timestamp,
) -> Result<()> {
    match next {
        Next::Hmac { key_id, text } => {
            if let Some(before) = writer.values.load(tx, writer.vault)?.get(SIGNING_KEY) {
                let before_id = hmac_key_id(&HmacKey::new(before.expose().as_bytes()));
                let succession =
                    Succession { key_id: &before_id, key: &before, successor: key_id, until };
                signing_keys::retire_hmac(tx, writer, &succession)?;
            }
            signing_keys::shorten(tx, TokenAlgorithm::Hmac, until)?;
            env::put(tx, trail, writer, &env::Slot::federation(SIGNING_KEY), text)?;
        }
        Next::Ed25519(key) => {
            signing_keys::retire_active(tx, writer.now, until)?;
            signing_keys::shorten(tx, TokenAlgorithm::Ed25519, until)?;
            signing_keys::insert_active(tx, writer, key)?;
        }
    }
    signing_keys::delete_overdue(tx, writer.now)?;
    Ok(())
}

/// The keys that verify, as the transaction sees them.
fn records(
    tx: &mut Tx<'_>,
    writer: &Writer<'_>,
    issuing: TokenAlgorithm,
) -> Result<Vec<SigningKeyRecord>> {
    let active = writer.values.load(tx, writer.vault)?.get(SIGNING_KEY);
    let ring = KeyRing::new(active.as_ref(), signing_keys::load(tx, writer.vault)?);
    Ok(ring.records(issuing, writer.now.seconds()))
}

/// Leaves in the audit trail which keys came, changed and went.
fn record(trail: &mut Trail, before: &[SigningKeyRecord], after: &[SigningKeyRecord]) {
    let find = |records: &[SigningKeyRecord], key_id: &str| {
        records.iter().find(|record| record.key_id == key_id).cloned()
    };
    let gone = before.iter().filter(|record| find(after, &record.key_id).is_none());
    for SigningKeyRecord { key_id, .. } in after.iter().chain(gone) {
        let (before, after) = (find(before, key_id), find(after, key_id));
        if before != after {
            trail.record(Target::new(TARGET, key_id), before, after);
        }
    }
}

/// The answer to a rotation after which these keys verify.
fn rotated(mut records: Vec<SigningKeyRecord>, key_id: &str) -> Result<Rotated> {
    let place = records.iter().position(|record| record.key_id == key_id);
    let key = place.map(|place| records.remove(place));
    let key = key.ok_or_else(|| Error::internal("the new signing key is not in the ring"))?;
    records.retain(|record| {
        record.status == SigningKeyStatus::Retired && record.algorithm == key.algorithm
    });
    if records.len() > MAX_RETIRED {
        return Err(Error::new(
            ErrorCode::Conflict,
            format!("More than {MAX_RETIRED} retired signing keys would still verify."),
        )
        .with_fix("End the older ones with POST /v1/keys/retired/drop."));
    }
    Ok(Rotated { key, retired: records })
}

/// Ends retired keys before their time: one, or all.
///
/// # Errors
/// 404 when no retired key has this id.
pub(crate) async fn drop_retired(cx: &Cx, key_id: Option<String>) -> Result<Dropped> {
    let known = list(cx.runtime());
    let dropped = cx
        .change(move |tx, trail| {
            env::lock(tx)?;
            let dropped = signing_keys::delete_retired(tx, key_id.as_deref())?;
            if dropped.is_empty() && key_id.is_some() {
                return Err(unknown_key());
            }
            trail.unchanged();
            for key_id in &dropped {
                // One that counts no more is stored, but not in the ring.
                let before = known.iter().find(|record| record.key_id == *key_id);
                let before =
                    before.map_or_else(|| json!({ "key_id": key_id }), |known| json!(known));
                trail.record(Target::new(TARGET, key_id), before, ());
            }
            Ok(dropped)
        })
        .await?;
    tracing::info!(key_ids = ?dropped, "retired signing keys were dropped");
    Ok(Dropped { dropped })
}

fn unknown_key() -> Error {
    Error::new(ErrorCode::NotFound, "No retired signing key has this key_id.")
        .with_fix("GET /v1/keys/signing lists the keys.")
}

/// Deletes retired keys that are past their end.
///
/// # Errors
/// Those of the database.
pub async fn prune_signing_keys(runtime: &Arc<Runtime>) -> Result<()> {
    let now = runtime.clock().now();
    // What the node does not hold, the database does not hold either: an idle node writes nothing.
    if !runtime.snapshot().credentials().keys().has_overdue(now) {
        return Ok(());
    }
    runtime.change(move |tx| signing_keys::delete_overdue(tx, now)).await.map(drop)
}
