//! Which tokens are dead before their time, as a node knows it without asking its database.

use std::sync::atomic::{AtomicI64, Ordering};

use downcity_types::{ClaimsError, ClaimsRef, TokenBuffer};
use papaya::{Equivalent, HashMap, ResizeMode};

use super::store::{self, LogEntry};
use crate::{Error, Result, Runtime};

/// What ends before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// Every token of a city issued until now.
    City {
        /// The city.
        city_id: String,
    },
    /// Every token of a user in a city issued until now.
    User {
        /// The city.
        city_id: String,
        /// The user.
        user_id: String,
    },
    /// One token.
    Token {
        /// The token's city; `None` when only its id is known.
        city_id: Option<String>,
        /// The token's id (`jti`), or the signature of a token that has none.
        token_id: String,
        /// When the token ends by itself, in seconds since 1970; `None` = never, or not known.
        expires_at: Option<i64>,
    },
}

impl Revocation {
    /// The city it concerns; `None` for a token that is known by its id alone.
    pub fn city_id(&self) -> Option<&str> {
        match self {
            Self::City { city_id } | Self::User { city_id, .. } => Some(city_id),
            Self::Token { city_id, .. } => city_id.as_deref(),
        }
    }
}

/// Which tokens are revoked: by token id, by user, by city.
///
/// One instance serves every snapshot of a node. It is fed by the log of revocations, from where it
/// left off. A revocation is never taken back; one of a token goes when the token ends by itself.
pub struct Revocations {
    /// City → the earliest `iat` that is still good.
    cities: HashMap<Box<str>, i64>,
    /// City and user → the earliest `iat` that is still good.
    users: HashMap<Scoped, i64>,
    /// City and token id → the second in which the token ends by itself.
    tokens: HashMap<Scoped, i64>,
    /// Token id → the same, of tokens whose city is not known. Apart, because mostly there are none
    /// and then no token has to be looked up twice.
    tokens_of_any_city: HashMap<Box<str>, i64>,
    /// The revision up to which the log has been read.
    seen: AtomicI64,
}

impl Default for Revocations {
    fn default() -> Self {
        Self {
            cities: map(),
            users: map(),
            tokens: map(),
            tokens_of_any_city: map(),
            seen: AtomicI64::default(),
        }
    }
}

/// Every request reads, and few revocations come: a map that has grown is moved at once, so that
/// readers never have to look into an old table and a new one.
fn map<K, V>() -> HashMap<K, V> {
    HashMap::builder().resize_mode(ResizeMode::Blocking).build()
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
        self.is_revoked_in(&claims.city_id, claims, token_id)
    }

    /// The same as if the token were of this city.
    pub(crate) fn is_revoked_in(
        &self,
        city_id: &str,
        claims: &ClaimsRef<'_>,
        token_id: &str,
    ) -> bool {
        claims.iat < self.not_before(city_id, &claims.user_id) || self.is_ended(city_id, token_id)
    }

    /// The earliest `iat` that a token of this user in this city may have, in seconds since 1970.
    pub(crate) fn not_before(&self, city_id: &str, user_id: &str) -> i64 {
        let city = find(&self.cities, city_id);
        let user = find(&self.users, &ScopedRef { city_id, subject: user_id });
        city.max(user).unwrap_or(i64::MIN)
    }

    fn is_ended(&self, city_id: &str, token_id: &str) -> bool {
        find(&self.tokens, &ScopedRef { city_id, subject: token_id }).is_some()
            || find(&self.tokens_of_any_city, token_id).is_some()
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
                    let end = expires_at.unwrap_or(i64::MAX);
                    match city_id {
                        Some(city_id) => {
                            self.tokens.pin().insert(scoped(city_id, token_id), end);
                        }
                        None => {
                            self.tokens_of_any_city.pin().insert(token_id.into(), end);
                        }
                    }
                }
            }
        }
        self.seen.fetch_max(revision, Ordering::Release);
    }

    /// Forgets tokens that have ended by themselves at `now`, in seconds since 1970. Says whether
    /// there were any.
    pub(crate) fn prune(&self, now: i64) -> bool {
        let tokens = || self.tokens.len() + self.tokens_of_any_city.len();
        let before = tokens();
        self.tokens.pin().retain(|_, end| *end > now);
        self.tokens_of_any_city.pin().retain(|_, end| *end > now);
        tokens() < before
    }

    /// How many revocations are held.
    pub fn len(&self) -> usize {
        let tokens = self.tokens.len() + self.tokens_of_any_city.len();
        self.cities.len() + self.users.len() + tokens
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What ends this one token; `None` when it has ended by itself.
///
/// # Errors
/// 400 when it is no token of this Federation.
pub(crate) fn revocation_of(runtime: &Runtime, user_token: &str) -> Result<Option<Revocation>> {
    let snapshot = runtime.snapshot();
    let keys = snapshot.credentials().keys();
    let now = runtime.clock().now_seconds();
    let unknown = || Error::invalid("user_token", "is not a token of this Federation");
    let mut buffer = TokenBuffer::new();
    let token = keys.open(user_token.as_bytes(), now, &mut buffer).map_err(|_| unknown())?;
    match token.claims.check(now) {
        Ok(()) => Ok(Some(Revocation::Token {
            city_id: Some(snapshot.stored_city_id(&token.claims.city_id).to_owned()),
            token_id: token.token_id().to_owned(),
            expires_at: token.claims.exp,
        })),
        Err(ClaimsError::Expired) => Ok(None),
        Err(_) => Err(unknown()),
    }
}

/// Forgets revocations of tokens that ended by themselves a week ago or earlier, on this node and in
/// the database.
///
/// # Errors
/// Those of the database.
pub async fn prune_revocations(runtime: &Runtime) -> Result<()> {
    let end = runtime.clock().now_seconds().saturating_sub(store::KEPT_AFTER_END);
    // What the node does not hold, the database does not hold either: an idle node writes nothing.
    if !runtime.snapshot().revocations().prune(end) {
        return Ok(());
    }
    runtime.db().write(move |tx| store::delete_expired(tx, end)).await
}

fn find<K, Q>(map: &HashMap<K, i64>, key: &Q) -> Option<i64>
where
    K: std::hash::Hash + Eq,
    Q: std::hash::Hash + Equivalent<K> + ?Sized,
{
    // Most Federations revoke little: the look at the size is cheaper than a hash.
    if map.is_empty() {
        return None;
    }
    map.pin().get(key).copied()
}

/// Sets a lower bound, which never goes back.
fn raise<K: std::hash::Hash + Eq>(map: &HashMap<K, i64>, key: K, not_before: i64) {
    map.pin().update_or_insert(key, |bound| not_before.max(*bound), not_before);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(revocation: Revocation, not_before: i64) -> LogEntry {
        LogEntry { revocation, not_before }
    }

    fn city(city_id: &str) -> Revocation {
        Revocation::City { city_id: city_id.to_owned() }
    }

    fn user(city_id: &str, user_id: &str) -> Revocation {
        Revocation::User { city_id: city_id.to_owned(), user_id: user_id.to_owned() }
    }

    fn token(city_id: Option<&str>, token_id: &str, expires_at: Option<i64>) -> Revocation {
        let city_id = city_id.map(str::to_owned);
        Revocation::Token { city_id, token_id: token_id.to_owned(), expires_at }
    }

    fn is_revoked(revocations: &Revocations, city: &str, user: &str, iat: i64, id: &str) -> bool {
        let payload = format!(r#"{{"aud":"a","city_id":"{city}","user_id":"{user}","iat":{iat}}}"#);
        revocations.is_revoked(&ClaimsRef::parse(payload.as_bytes()).unwrap(), id)
    }

    #[test]
    fn a_city_and_a_user_have_a_bound_that_only_rises() {
        let revocations = Revocations::default();
        assert!(revocations.is_empty());
        assert_eq!(revocations.not_before("a", "u"), i64::MIN);
        revocations.apply(vec![entry(city("a"), 10), entry(user("b", "u"), 20)], 3);
        assert_eq!((revocations.not_before("a", "u"), revocations.not_before("a", "")), (10, 10));
        assert_eq!(
            (revocations.not_before("b", "u"), revocations.not_before("b", "v")),
            (20, i64::MIN)
        );
        assert!(is_revoked(&revocations, "a", "u", 9, "t"));
        assert!(!is_revoked(&revocations, "a", "u", 10, "t"));
        assert!(is_revoked(&revocations, "b", "u", 19, "t"));
        assert!(!is_revoked(&revocations, "b", "v", 19, "t"));

        // A log that is read again, in part or as a whole, changes nothing.
        revocations.apply(vec![entry(city("a"), 5), entry(user("a", "u"), 7)], 1);
        assert_eq!((revocations.not_before("a", "u"), revocations.seen()), (10, 3));
        revocations.apply(vec![entry(user("a", "u"), 12)], 4);
        assert_eq!((revocations.not_before("a", "u"), revocations.not_before("a", "v")), (12, 10));
        assert_eq!((revocations.len(), revocations.seen()), (3, 4));
    }

    #[test]
    fn one_token_ends_in_its_city_or_in_any() {
        let revocations = Revocations::default();
        revocations.apply(
            vec![entry(token(Some("a"), "t1", None), 0), entry(token(None, "t2", None), 0)],
            1,
        );
        for (city, id, dead) in [
            ("a", "t1", true),
            ("b", "t1", false),
            ("a", "t2", true),
            ("b", "t2", true),
            ("a", "t3", false),
        ] {
            assert_eq!(is_revoked(&revocations, city, "u", 1, id), dead, "{city} {id}");
        }
    }

    #[test]
    fn an_entry_goes_when_its_token_has_ended() {
        let revocations = Revocations::default();
        let entries =
            [token(None, "t1", Some(10)), token(None, "t2", Some(11)), token(None, "t3", None)];
        revocations.apply(entries.into_iter().map(|token| entry(token, 0)).collect(), 1);
        assert!(!revocations.prune(9));
        assert!(revocations.prune(10));
        assert!(!revocations.prune(10));
        assert!(!is_revoked(&revocations, "a", "u", 1, "t1"));
        assert!(is_revoked(&revocations, "a", "u", 1, "t2"));
        assert!(revocations.prune(i64::MAX - 1));
        assert!(is_revoked(&revocations, "a", "u", 1, "t3"));
        assert_eq!(revocations.len(), 1);
    }
}
