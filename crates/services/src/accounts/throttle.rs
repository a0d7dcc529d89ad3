//! What guessing and flooding meets. Counts are shared by all nodes.
//!
//! A stranger must not be able to keep the owner of an account out: what is counted per e-mail alone
//! concerns only addresses from which that user has never signed in.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use downcity_core::env::AUTH_SECRET;
use downcity_core::{Call, Error, Result, Runtime};
use downcity_db::Tx;
use downcity_types::{ErrorCode, Timestamp};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderValue;
use http::header::RETRY_AFTER;
use sha2::Sha256;

use super::store::{addresses, failures};

const QUARTER: Duration = Duration::from_secs(15 * 60);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// Wrong passwords and codes.
    Failures,
    /// Mails that somebody asks for.
    Mails,
    /// Registrations.
    Registrations,
    /// Sign-ins with a provider that begin; of no e-mail.
    Starts,
}

impl Counted {
    fn name(self) -> &'static str {
        match self {
            Self::Failures => "failure",
            Self::Mails => "mail",
            Self::Registrations => "registration",
            Self::Starts => "start",
        }
    }

    /// How many are let in per e-mail and address, per address, and per e-mail from strange addresses.
    fn limits(self) -> [(i64, Duration); 3] {
        match self {
            Self::Failures => [(10, QUARTER), (30, QUARTER), (100, DAY)],
            Self::Mails => [(5, QUARTER), (30, QUARTER), (20, DAY)],
            Self::Registrations => [(60, QUARTER), (60, QUARTER), (60, DAY)],
            Self::Starts => [(300, QUARTER), (300, QUARTER), (i64::MAX, DAY)],
        }
    }
}

/// The buckets of one attempt; made before the transactions that look at them and count.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// Per e-mail and address, per address, and per e-mail from strange addresses.
    buckets: [Bucket; 3],
    /// Nothing is counted of the trusted side, and where the caller's address is exempt.
    is_exempt: bool,
    /// The caller's address, as it is kept.
    address: String,
    now: Timestamp,
}

#[derive(Clone, Debug)]
struct Bucket {
    id: String,
    limit: i64,
    window: Duration,
    /// Concerns only those who come from a strange address.
    strangers_only: bool,
}

impl Attempt {
    /// An attempt of the caller that concerns this e-mail.
    pub(super) fn new(call: &Call, counted: Counted, email: &str) -> Self {
        let runtime = call.runtime();
        let block = block(call.client_address());
        let exempt = &runtime.settings().limits.exempt;
        // A server that signs people in for them has one address for all of them.
        let is_exempt = call.identity().is_trusted()
            || call
                .client_address()
                .is_some_and(|address| exempt.iter().any(|block| block.contains(&address)));
        let name = counted.name();
        let [pair, address, strangers] = counted.limits();
        let bucket = |parts: &[&str], (limit, window), strangers_only| Bucket {
            id: keyed(runtime, parts),
            limit,
            window,
            strangers_only,
        };
        let buckets = [
            bucket(&[name, "pair", email, &block], pair, false),
            bucket(&[name, "address", &block], address, false),
            bucket(&[name, "email", email], strangers, true),
        ];
        Self { buckets, is_exempt, address: keyed_address(call), now: runtime.clock().now() }
    }

    /// Looks whether the attempt may be made; says whether anything is counted against it.
    ///
    /// # Errors
    /// 429 with `Retry-After`.
    pub(super) fn check(&self, tx: &mut Tx<'_>, user_id: Option<&str>) -> Result<bool> {
        // Asked for nobody too, so that the statements are the same.
        let is_known = addresses::is_known(tx, user_id.unwrap_or_default(), &self.address)?;
        let mut over: Option<Timestamp> = None;
        let mut any = false;
        for bucket in self.counted() {
            let Some((count, ends_at)) = failures::find(tx, &bucket.id, self.now)? else {
                continue;
            };
            any = true;
            if count >= bucket.limit && !(bucket.strangers_only && is_known) {
                over = over.max(Some(ends_at));
            }
        }
        over.map_or(Ok(any), |ends_at| Err(too_many(self.now, ends_at)))
    }

    /// Counts the attempt.
    pub(super) fn count(&self, tx: &mut Tx<'_>) -> Result<()> {
        for bucket in self.counted() {
            failures::count(tx, &bucket.id, self.now, self.now.saturating_add(bucket.window))?;
        }
        Ok(())
    }

    /// Checks, then counts.
    ///
    /// # Errors
    /// As [`Attempt::check`].
    pub(super) fn take(&self, tx: &mut Tx<'_>, user_id: Option<&str>) -> Result<()> {
        self.check(tx, user_id)?;
        self.count(tx)
    }

    /// Forgets what stands against this e-mail from this address, after a success.
    pub(super) fn forgive(&self, tx: &mut Tx<'_>) -> Result<()> {
        let [pair, ..] = &self.buckets;
        failures::forgive(tx, &pair.id)
    }

    /// Forgets what stands against this e-mail from this address and from strange ones, and notes this
    /// address as one of the user: they have proved whose the e-mail is.
    pub(super) fn forgive_owner(&self, tx: &mut Tx<'_>, user_id: &str) -> Result<()> {
        let [pair, _, strangers] = &self.buckets;
        failures::forgive(tx, &pair.id)?;
        failures::forgive(tx, &strangers.id)?;
        addresses::note(tx, user_id, &self.address, self.now)
    }

    fn counted(&self) -> &[Bucket] {
        if self.is_exempt { &[] } else { &self.buckets }
    }
}

fn too_many(now: Timestamp, ends_at: Timestamp) -> Error {
    let seconds = (ends_at.millis() - now.millis()).max(1_000).div_euclid(1_000);
    Error::new(ErrorCode::RateLimited, "Too many attempts. Wait before the next one.")
        .with_header(RETRY_AFTER, HeaderValue::from(seconds))
}

/// The caller's address as it is kept: a hash that nobody can undo without the vault.
pub(super) fn keyed_address(call: &Call) -> String {
    keyed(call.runtime(), &["address", &block(call.client_address())])
}

/// An address of IPv4, or the /64 of one of IPv6, which is what one customer has.
fn block(address: Option<IpAddr>) -> String {
    match address {
        None => "none".to_owned(),
        Some(IpAddr::V4(v4)) => v4.to_string(),
        Some(IpAddr::V6(v6)) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

fn keyed(runtime: &Runtime, parts: &[&str]) -> String {
    let key = runtime.snapshot().env().get(AUTH_SECRET).unwrap_or_default();
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()).expect("a key of any length");
    for part in parts {
        mac.update(part.as_bytes());
        // No part holds NUL, so that no two lists of parts are one text.
        mac.update(b"\0");
    }
    URL_SAFE_NO_PAD.encode(&mac.finalize().into_bytes()[..24])
}
