//! How many calls are taken, of whom.
//!
//! One [`Limiter`] counts calls by address, user, city, service key and over all, each in a sliding
//! window in the memory of the node; `share` lets nodes count together. Dispatch asks it: see `gate`.
//!
//! governor would do for a single node, but keeps one point in time per key (GCRA): amounts that are
//! known only after a call could not be corrected, and counts of several nodes could not be added.

mod gate;
mod settings;
mod share;
mod table;
mod window;

use std::hash::Hasher as _;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use downcity_types::Timestamp;
use siphasher::sip::SipHasher13;

pub(crate) use gate::Pass;
pub use settings::LimitSettings;
use share::Sharing;
pub(crate) use share::share_regularly;
use table::Table;
use window::{Measure, Moment, Window};

/// A node tells others of a window when it has counted this part of its limit: up to so many nodes
/// never pass a limit together without knowing of each other.
const SHARED_FROM: u64 = 16;

/// What a limit is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Every call of the Federation.
    Federation,
    /// The calls of a city's users.
    City,
    /// The calls of one user of a city.
    User,
    /// The use of one model.
    Model,
    /// The calls with one service key.
    Credential,
    /// The calls from one address; of IPv6, from one block of 64 bits, as a subscriber gets one.
    Address,
    /// Invalid credentials from one address.
    FailedAuth,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 7] = [
        Self::Federation,
        Self::City,
        Self::User,
        Self::Model,
        Self::Credential,
        Self::Address,
        Self::FailedAuth,
    ];

    /// The scope as metrics and configuration name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Federation => "federation",
            Self::City => "city",
            Self::User => "user",
            Self::Model => "model",
            Self::Credential => "credential",
            Self::Address => "address",
            Self::FailedAuth => "failed_auth",
        }
    }
}

/// One limit of one subject: what [`Limiter::reserve`] counts against.
#[derive(Clone, Copy, Debug)]
pub struct LimitKey {
    scope: Scope,
    /// A keyed hash of scope and subject, the same on every node. Two subjects share one with a
    /// chance of 1 in 2^64, and would then share a limit.
    id: u64,
    limit: u32,
}

/// The limits that a call counts against, up to one per scope.
#[derive(Clone, Copy, Debug, Default)]
pub struct LimitKeys([Option<LimitKey>; Scope::ALL.len()]);

impl LimitKeys {
    /// Adds a limit, if there is one. Limits are asked in the order in which they were added: the
    /// narrowest first, so that what a user may not do does not use up the city's room.
    #[must_use]
    pub fn with(mut self, key: Option<LimitKey>) -> Self {
        if let Some(place) = self.0.iter_mut().find(|place| place.is_none()) {
            *place = key;
        }
        self
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = &LimitKey> {
        self.0.iter().flatten()
    }
}

/// How a limit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How much is let in per window.
    pub limit: u32,
    /// How much more is let in now.
    pub remaining: u32,
    /// When `remaining` grows, if nothing else is counted meanwhile.
    pub reset: Duration,
}

impl Standing {
    /// The tighter of two.
    fn tighter(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.remaining < self.remaining => other,
            _ => self,
        }
    }
}

/// What [`Limiter::reserve`] counted; [`Limiter::adjust`] corrects it when the true amount is known.
#[derive(Clone, Copy, Debug)]
pub struct Reservation {
    keys: LimitKeys,
    slice: i64,
    amount: u32,
    standing: Option<Standing>,
}

impl Reservation {
    /// How the tightest of its limits stands now; `None` when nothing is limited.
    pub fn standing(&self) -> Option<Standing> {
        self.standing
    }
}

/// A limit is reached; nothing was counted.
#[derive(Clone, Copy, Debug)]
pub struct Denied {
    /// Which limit.
    pub scope: Scope,
    /// How it stands.
    pub standing: Standing,
    /// After which time the same call is let in, if nothing else is counted meanwhile.
    pub retry_after: Duration,
}

/// Counts calls and refuses those beyond the limits. Shared by all calls of a node.
pub struct Limiter {
    settings: LimitSettings,
    measure: Measure,
    table: Table,
    hasher: SipHasher13,
    /// Whether something was counted, since it was last asked, that other nodes should know.
    busy: AtomicBool,
    sharing: tokio::sync::Mutex<Sharing>,
    denied: [metrics::Counter; Scope::ALL.len()],
}

impl Limiter {
    /// A limiter whose keys are hashed under this key, the same on every node.
    pub(crate) fn new(settings: LimitSettings, hash_key: &[u8; 16]) -> Self {
        Self {
            measure: Measure::new(settings.window),
            table: Table::new(settings.tracked),
            hasher: SipHasher13::new_with_key(hash_key),
            busy: AtomicBool::new(false),
            sharing: tokio::sync::Mutex::default(),
            denied: Scope::ALL.map(
                |scope| metrics::counter!("downcity_limited_total", "scope" => scope.as_str()),
            ),
            settings,
        }
    }

    /// What is configured.
    pub fn settings(&self) -> &LimitSettings {
        &self.settings
    }

    /// A limit of `limit` per window on a subject, which is named by these parts; `None` when the
    /// limit is 0, which stands for none.
    pub fn key(&self, scope: Scope, subject: &[&[u8]], limit: u32) -> Option<LimitKey> {
        if limit == 0 {
            return None;
        }
        let mut hasher = self.hasher;
        hasher.write(&[scope as u8]);
        for part in subject {
            // The length first: `("ab", "c")` is not `("a", "bc")`.
            hasher.write(&(part.len() as u64).to_le_bytes());
            hasher.write(part);
        }
        Some(LimitKey { scope, id: hasher.finish(), limit })
    }

    /// A limit on an address: one of IPv4, or a /64 of IPv6.
    pub fn address_key(&self, scope: Scope, address: IpAddr, limit: u32) -> Option<LimitKey> {
        match address.to_canonical() {
            IpAddr::V4(address) => self.key(scope, &[&address.octets()], limit),
            IpAddr::V6(address) => self.key(scope, &[&address.octets()[..8]], limit),
        }
    }

    /// Counts `amount` against every one of the limits, or against none of them when one is reached.
    ///
    /// # Errors
    /// The first limit, in the order of the keys, that has no room.
    pub fn reserve(
        &self,
        now: Timestamp,
        keys: LimitKeys,
        amount: u32,
    ) -> Result<Reservation, Denied> {
        let now = self.measure.at(now.millis());
        let mut reservation = Reservation { keys, slice: now.slice, amount, standing: None };
        for (count, key) in keys.iter().enumerate() {
            match self.take(now, key, amount) {
                Ok((slice, standing)) => {
                    reservation.slice = slice;
                    reservation.standing = Some(standing.tighter(reservation.standing));
                }
                Err(denied) => {
                    for taken in keys.iter().take(count) {
                        self.correct(now, taken, reservation.slice, -i64::from(amount));
                    }
                    self.denied[key.scope as usize].increment(1);
                    return Err(denied);
                }
            }
        }
        Ok(reservation)
    }

    /// Corrects a reservation to the amount that was used. More than was reserved is counted even
    /// where it passes the limit: it has been used.
    pub fn adjust(&self, now: Timestamp, reservation: &Reservation, actual: u32) {
        let by = i64::from(actual) - i64::from(reservation.amount);
        let now = self.measure.at(now.millis());
        for key in reservation.keys.iter() {
            self.correct(now, key, reservation.slice, by);
        }
    }

    /// How a limit stands; nothing is counted.
    pub fn remaining(&self, now: Timestamp, key: &LimitKey) -> Standing {
        let now = self.measure.at(now.millis());
        let standing = self.table.peek(key.id, now.slice, |window| standing(window, now, key));
        standing.unwrap_or_else(|| standing_of_none(key))
    }

    fn take(&self, now: Moment, key: &LimitKey, amount: u32) -> Result<(i64, Standing), Denied> {
        self.table.with(key.id, key.limit, now.slice, |window| {
            if window.used() + u64::from(amount) > u64::from(key.limit) {
                return Err(Denied {
                    scope: key.scope,
                    standing: standing(window, now, key),
                    retry_after: Duration::from_millis(window.wait(now, key.limit, amount)),
                });
            }
            let slice = window.add(amount);
            if window.own_used() * SHARED_FROM >= u64::from(key.limit) {
                self.busy.store(true, Ordering::Relaxed);
            }
            Ok((slice, standing(window, now, key)))
        })
    }

    fn correct(&self, now: Moment, key: &LimitKey, slice: i64, by: i64) {
        self.table.with(key.id, key.limit, now.slice, |window| window.correct(slice, by));
    }
}

fn standing(window: &Window, now: Moment, key: &LimitKey) -> Standing {
    let room = u64::from(key.limit).saturating_sub(window.used());
    Standing {
        limit: key.limit,
        remaining: u32::try_from(room).unwrap_or(u32::MAX),
        reset: Duration::from_millis(window.until_room_grows(now)),
    }
}

fn standing_of_none(key: &LimitKey) -> Standing {
    Standing { limit: key.limit, remaining: key.limit, reset: Duration::ZERO }
}

impl std::fmt::Debug for Limiter {
    /// Shows what is configured and how many subjects are counted.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter")
            .field("settings", &self.settings)
            .field("keys", &self.table.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
