//! Which tokens are dead before their time, as a node knows it without asking its database.

use std::sync::atomic::{AtomicI64, Ordering};

use downcity_types::ClaimsRef;
use papaya::{Equivalent, HashMap};

use super::store::{LogEntry, Revocation};

/// Which tokens are revoked: by token id, by user, by city.
///
/// One instance serves every snapshot of a node. It is fed by the log of revocations, from where it
/// left off. A revocation is never taken back; one of a token goes when the token ends by itself.
#[derive(Default)]
pub struct Revocations {
    /// City → the earliest `iat` that is still good.
    cities: HashMap<Box<str>, i64>,
    /// City and user → the earliest `iat` that is still good.
    users: HashMap<Scoped, i64>,
    /// City (empty = any) and token id → the second in which the token ends by itself.
    tokens: HashMap<Scoped, i64>,
    /// The revision up to which the log has been read.
    seen: AtomicI64,
}

#[derive(PartialEq, Eq, Hash)]
struct Scoped {
    city_id: Box<str>,
    subject: Box<str>,
}

/// Looks a [`Scoped`] up without copying; hashes like it.
#[derive(Hash)]
struct ScopedRef<'a> {
    city_id: &'a str,
    subject: &'a str,
}

impl Equivalent<Scoped> for ScopedRef<'_> {
    fn equivalent(&self, key: &Scoped) -> bool {
        self.city_id == &*key.city_id && self.subject == &*key.subject
    }
}

fn scoped(city_id: String, subject: String) -> Scoped {
    Scoped { city_id: city_id.into(), subject: subject.into() }
}

impl Revocations {
    /// Whether the holder of these claims is no longer let in; `token_id` names the one token.
    pub(crate) fn is_revoked(&self, claims: &ClaimsRef<'_>, token_id: &str) -> bool {
        claims.iat < self.not_before(&claims.city_id, &claims.user_id)
            || self.is_ended(&claims.city_id, token_id)
    }

    /// The earliest `iat` that a token of this user in this city may have, in seconds since 1970.
    pub(crate) fn not_before(&self, city_id: &str, user_id: &str) -> i64 {
        let city =
            if self.cities.is_empty() { None } else { self.cities.pin().get(city_id).copied() };
        let user = find(&self.users, city_id, user_id);
        city.max(user).unwrap_or(i64::MIN)
    }

    fn is_ended(&self, city_id: &str, token_id: &str) -> bool {
        find(&self.tokens, city_id, token_id).is_some()
            || find(&self.tokens, "", token_id).is_some()
    }

    /// The revision up to which the log has been read.
    pub(crate) fn seen(&self) -> i64 {
        self.seen.load(Ordering::Acquire)
    }

    /// Takes in what the log says, up to this revision.
    pub(crate) fn apply(&self, entries: Vec<LogEntry>, revision: i64) {
        for LogEntry { revocation, not_before } in entries {
            match revocation {
                Revocation::City { city_id } => {
                    raise(&self.cities, city_id.into(), not_before);
                }
                Revocation::User { city_id, user_id } => {
                    raise(&self.users, scoped(city_id, user_id), not_before);
                }
                Revocation::Token { city_id, token_id, expires_at } => {
                    let key = scoped(city_id.unwrap_or_default(), token_id);
                    self.tokens.pin().insert(key, expires_at.unwrap_or(i64::MAX));
                }
            }
        }
        self.seen.fetch_max(revision, Ordering::Release);
    }

    /// Forgets tokens that have ended by themselves at `now`, in seconds since 1970. Says whether
    /// there were any.
    pub(crate) fn prune(&self, now: i64) -> bool {
        let before = self.tokens.len();
        self.tokens.pin().retain(|_, end| *end > now);
        self.tokens.len() < before
    }

    /// How many revocations are held.
    pub fn len(&self) -> usize {
        self.cities.len() + self.users.len() + self.tokens.len()
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn find(map: &HashMap<Scoped, i64>, city_id: &str, subject: &str) -> Option<i64> {
    // Most Federations revoke little: the look at the size is cheaper than a hash.
    if map.is_empty() {
        return None;
    }
    map.pin().get(&ScopedRef { city_id, subject }).copied()
}

/// Sets a lower bound, which never goes back.
fn raise<K: std::hash::Hash + Eq>(map: &HashMap<K, i64>, key: K, not_before: i64) {
    map.pin().update_or_insert(key, |bound| not_before.max(*bound), not_before);
}
