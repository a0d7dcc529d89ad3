//! What a write leaves behind.

use std::sync::Arc;

use downcity_db::Tx;
use downcity_types::{Microcredits, Timestamp};
use serde::Serialize;

use super::chain::Link;
use super::store::{self, Head};
use crate::env::Vault;
use crate::keys::Allowance;
use crate::{Call, Error, Identity, Result, Secret};

/// What a change was made to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    kind: &'static str,
    id: String,
    city_id: Option<String>,
}

impl Target {
    /// A record by its kind (`city`, `note`, …; without a slash) and its id, which must not be a
    /// secret. A city is in itself; anything else is in none until [`Target::in_city`] says so.
    pub fn new(kind: &'static str, id: impl Into<String>) -> Self {
        let id = id.into();
        let city_id = (kind == "city").then(|| id.clone());
        Self { kind, id, city_id }
    }

    /// The city that the record belongs to.
    #[must_use]
    pub fn in_city(mut self, city_id: impl Into<String>) -> Self {
        self.city_id = Some(city_id.into());
        self
    }
}

/// What one transaction leaves in the audit trail; handed to the closures of
/// [`Call::write`](Call::write) and [`Call::change`](Call::change).
///
/// It keeps rows for the trusted side alone; for others every method does nothing.
#[derive(Clone)]
pub struct Trail {
    vault: Arc<Vault>,
    /// `None` for callers whose writes are not recorded.
    origin: Option<Arc<Origin>>,
    /// What the caller may move, on actions that move money.
    allowance: Allowance,
    changes: Vec<Change>,
    unchanged: bool,
    /// The first value that could not be written as JSON.
    fault: Option<Arc<serde_json::Error>>,
}

/// What the rows of one transaction have in common. Made before it.
struct Origin {
    at: Timestamp,
    actor: &'static str,
    /// Id and name of a service key.
    key: Option<(String, String)>,
    action: String,
    request_id: Option<String>,
    client_address: Option<String>,
}

#[derive(Clone)]
struct Change {
    target: Target,
    before: Option<String>,
    after: Option<String>,
}

impl Trail {
    /// The trail of a call.
    pub(crate) fn of(call: &Call) -> Self {
        let origin = |actor, key| {
            let action = format!("{}/{}", call.action().service_id(), call.action().id());
            let request_id = Some(call.request_id().to_owned());
            let at = call.runtime().clock().now();
            let client_address = call.client_address().map(|address| address.to_string());
            Arc::new(Origin { at, actor, key, action, request_id, client_address })
        };
        let origin = match call.identity() {
            Identity::Guest(_) | Identity::User(_) => None,
            Identity::Service(key) => {
                let named = (key.id().to_owned(), key.record().name.clone());
                Some(origin("service", Some(named)))
            }
            Identity::Admin => Some(origin("admin", None)),
        };
        Self::with(call.runtime().state().vault().clone(), origin, Allowance::of(call))
    }

    /// The trail of what the Federation does by itself, such as `system/start`.
    pub(crate) fn system(vault: Arc<Vault>, action: &str, at: Timestamp) -> Self {
        let action = action.to_owned();
        let origin = Origin {
            at,
            actor: "system",
            key: None,
            action,
            request_id: None,
            client_address: None,
        };
        Self::with(vault, Some(Arc::new(origin)), Allowance::of_system())
    }

    fn with(vault: Arc<Vault>, origin: Option<Arc<Origin>>, allowance: Allowance) -> Self {
        Self { vault, origin, allowance, changes: Vec::new(), unchanged: false, fault: None }
    }

    /// Records a change: what the target was before and is after, as JSON; `()` or `None` where
    /// there was nothing, or is nothing any more. One transaction may record several.
    ///
    /// Secrets must not stand in the values: put their [`Trail::fingerprint`] there.
    pub fn record(&mut self, target: Target, before: impl Serialize, after: impl Serialize) {
        if self.origin.is_none() {
            return;
        }
        match (json(&before), json(&after)) {
            (Ok(before), Ok(after)) => self.changes.push(Change { target, before, after }),
            (Err(error), _) | (_, Err(error)) => self.fault = Some(Arc::new(error)),
        }
    }

    /// Says that the transaction changes nothing, as when a request is repeated.
    pub fn unchanged(&mut self) {
        self.unchanged = true;
    }

    /// Lets the caller move this amount of money, given or taken, and counts it with this
    /// transaction. Service keys with amounts may be refused; for all other callers it does nothing.
    /// The day of a call is that of its arrival, in UTC.
    ///
    /// # Errors
    /// 403 `amount_exceeded` when the key may not move that much in one call, or no more of it
    /// today; 500 on an action that does not declare that it moves money.
    pub fn authorise_amount(&mut self, tx: &mut Tx<'_>, amount: Microcredits) -> Result<()> {
        self.allowance.take(tx, amount)
    }

    /// What tells one secret from another in the trail: `fp_` and 16 hexadecimal digits of an HMAC
    /// under a key of this database's vault. Without that key not even a guess can be checked.
    pub fn fingerprint(&self, secret: &Secret) -> String {
        self.vault.fingerprint(secret)
    }

    /// Runs a write with a trail of its own, and appends what it recorded.
    ///
    /// # Errors
    /// Those of the write; 500 when it recorded nothing and did not say that nothing changed, or
    /// when it moved money for a key with amounts without asking.
    pub(crate) fn run<T>(
        &self,
        tx: &mut Tx<'_>,
        write: impl FnOnce(&mut Tx<'_>, &mut Self) -> Result<T>,
    ) -> Result<T> {
        // A write may run again: each run begins with nothing recorded.
        let mut trail = Self::with(self.vault.clone(), self.origin.clone(), self.allowance.clone());
        let value = write(tx, &mut trail)?;
        trail.append(tx)?;
        Ok(value)
    }

    fn append(self, tx: &mut Tx<'_>) -> Result<()> {
        let Some(origin) = self.origin else { return Ok(()) };
        if let Some(fault) = self.fault {
            return Err(Error::internal(fault));
        }
        if self.changes.is_empty() {
            return if self.unchanged { Ok(()) } else { Err(unrecorded(&origin.action)) };
        }
        self.allowance.check()?;
        let mut head = store::lock_head(tx)?;
        for change in self.changes {
            let link = origin.link(&head, change);
            let hash = link.hash();
            store::insert(tx, &link, &hash)?;
            head = Head { seq: link.seq, hash };
        }
        store::move_head(tx, &head)
    }
}

impl std::fmt::Debug for Trail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trail").field("changes", &self.changes.len()).finish_non_exhaustive()
    }
}

impl Origin {
    fn link(&self, head: &Head, change: Change) -> Link {
        let (key_id, key_name) = self.key.clone().unzip();
        Link {
            seq: head.seq + 1,
            created_at: self.at.millis(),
            actor: self.actor.to_owned(),
            key_id,
            key_name,
            action: self.action.clone(),
            target_kind: change.target.kind.to_owned(),
            target_id: change.target.id,
            city_id: change.target.city_id,
            before: change.before,
            after: change.after,
            request_id: self.request_id.clone(),
            client_address: self.client_address.clone(),
            prev_hash: head.hash.clone(),
        }
    }
}

/// The JSON text of a value; `None` for what is `null`.
fn json(value: &impl Serialize) -> Result<Option<String>, serde_json::Error> {
    serde_json::to_string(value).map(|text| (text != "null").then_some(text))
}

fn unrecorded(action: &str) -> Error {
    Error::internal(format!(
        "{action} wrote for the trusted side without a record; call trail.record or trail.unchanged"
    ))
}
