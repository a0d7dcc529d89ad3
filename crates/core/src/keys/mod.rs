//! Service keys: credentials that act for the trusted side within a scope.
//!
//! A service key (`fk_…`) stands for the admin on the actions that it lists and, when it lists
//! cities, on calls that name one of them. Two things it never does: manage service keys, whatever
//! it lists, and reach the env vault by `*` alone, because whoever sets provider keys and secrets
//! can do nearly everything.
//!
//! The key is shown once. What is kept is its SHA-256: the key has 192 random bits, so that there is
//! nothing to guess and a slow password hash would only slow every call down.

mod scope;
mod secret;
mod service;
mod spending;
mod store;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use downcity_types::{ErrorCode, ServiceKeyRecord, Timestamp};

use crate::last_use::LastUse;
use crate::{Action, Error, GuestReason, Result};

pub(crate) use scope::ActionPattern;
pub use secret::is_well_formed;
pub(crate) use secret::{Digest, PREFIX};
pub use service::{KeysService, delete_ended};
pub(crate) use spending::Allowance;
pub(crate) use store::{load, uses};

/// The id of the service whose actions no service key reaches.
pub(crate) const SERVICE_ID: &str = "keys";

/// A service key as the snapshot holds it: its record and what follows from it, but no secret.
#[derive(Debug)]
pub struct ServiceKey {
    record: ServiceKeyRecord,
    patterns: Vec<ActionPattern>,
    last_use: Arc<LastUse>,
}

impl ServiceKey {
    pub(crate) fn new(record: ServiceKeyRecord, last_use: Arc<LastUse>) -> Self {
        let patterns = record.actions.iter().map(|text| ActionPattern::parse(text)).collect();
        Self { record, patterns, last_use }
    }

    /// The id.
    pub fn id(&self) -> &str {
        &self.record.key_id
    }

    /// What lists show of it; its last use as it was when the snapshot was loaded.
    pub fn record(&self) -> &ServiceKeyRecord {
        &self.record
    }

    /// Whether the key may only name certain cities. It then reaches no action whose input lacks a
    /// field `city_id`, and an action that has one must keep to that city.
    pub fn is_limited_to_cities(&self) -> bool {
        !self.record.cities.is_empty()
    }

    /// Whether the money that it moves is limited, by call or by day.
    pub fn is_limited_to_amounts(&self) -> bool {
        self.record.amount_per_call.is_some() || self.record.amount_per_day.is_some()
    }

    /// Notes that a call came with it. Cheap: nothing is written here.
    pub(crate) fn note_use(&self, now: Timestamp) {
        self.last_use.note(now.seconds());
    }

    /// Why the key does not work at `now`, if so.
    pub(crate) fn ended(&self, now: Timestamp) -> Option<GuestReason> {
        if self.record.revoked_at.is_some() {
            return Some(GuestReason::KeyRevoked);
        }
        let expired = self.record.expires_at.is_some_and(|end| end <= now);
        expired.then_some(GuestReason::KeyExpired)
    }

    /// Whether the action is in scope.
    ///
    /// # Errors
    /// 403 that names the action; for keys of certain cities also when the action takes no city.
    pub(crate) fn check_action(&self, action: &Action) -> Result<()> {
        let name = || format!("{}/{}", action.service_id(), action.id());
        if action.service_id() == SERVICE_ID {
            return Err(forbidden(format!("A service key may not call {}.", name()))
                .with_fix("Manage service keys with the admin key."));
        }
        if !self.patterns.iter().any(|pattern| pattern.covers(action)) {
            let name = name();
            return Err(forbidden(format!("This service key does not cover {name}.")).with_fix(
                format!("Call with the admin key, or with a service key that lists {name:?}."),
            ));
        }
        // A city_id that the action does not know would be ignored, and the call not be about it.
        if !self.is_limited_to_cities() || action.takes_city() {
            return Ok(());
        }
        Err(forbidden(format!(
            "This service key is for certain cities, and {} is not about one city.",
            name()
        ))
        .with_fix("Call with the admin key, or with a service key for all cities."))
    }

    /// Whether the city that a call names is in scope; only keys of certain cities are asked.
    ///
    /// # Errors
    /// 403 when the call names none, or another city.
    pub(crate) fn check_city(&self, city_id: Option<&str>) -> Result<()> {
        match city_id {
            Some(id) if self.record.cities.iter().any(|city| city == id) => Ok(()),
            Some(_) => Err(Error::new(
                ErrorCode::CityMismatch,
                "city_id is not a city of this service key.",
            )
            .with_fix("Send one of the cities that the key was created for.")),
            None => {
                let message = "This service key is for certain cities, and the call names none.";
                Err(forbidden(message).with_fix("Send city_id."))
            }
        }
    }
}

fn forbidden(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorCode::Forbidden, message)
}

/// Every service key by its digest, those that have ended included.
///
/// A lookup in a hash map takes no constant time. All it could tell is the digest of a stored key,
/// which leads to no key: whoever wants to get nearer to a digest cannot choose one.
#[derive(Default)]
pub struct ServiceKeys(HashMap<Digest, Arc<ServiceKey>>);

impl ServiceKeys {
    pub(crate) fn new(keys: HashMap<Digest, Arc<ServiceKey>>) -> Self {
        Self(keys)
    }

    /// Whether a key has ended before `time`.
    pub(crate) fn any_ended_before(&self, time: Timestamp) -> bool {
        self.0.values().any(|key| {
            let ends = [key.record.revoked_at, key.record.expires_at];
            ends.into_iter().flatten().any(|end| end < time)
        })
    }

    /// The key that this credential is.
    ///
    /// # Errors
    /// Why it counts as none, at `now`.
    pub(crate) fn identify(
        &self,
        credential: &[u8],
        now: Timestamp,
    ) -> Result<Arc<ServiceKey>, GuestReason> {
        let key = secret::digest_of(credential).and_then(|digest| self.0.get(&digest));
        let key = key.ok_or(GuestReason::Invalid)?;
        match key.ended(now) {
            Some(reason) => Err(reason),
            None => Ok(key.clone()),
        }
    }
}

impl std::fmt::Debug for ServiceKeys {
    /// Shows how many there are.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ServiceKeys").field(&self.0.len()).finish()
    }
}
