//! What dispatch asks the limiter, and what callers are told.

use std::net::IpAddr;
use std::time::Duration;

use downcity_types::{ErrorCode, Timestamp};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Denied, LimitKeys, Limiter, Scope, Standing};
use crate::{Error, GuestReason, Identity, Result, Runtime};

static LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
static REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
static RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// One call on its way past the limits.
pub(crate) struct Pass {
    now: Timestamp,
    address: Option<IpAddr>,
    /// Whether limits concern this call at all.
    is_limited: bool,
    standing: Option<Standing>,
}

impl Pass {
    /// For a call that arrives now from this address. Calls that are not `limited` always pass, and
    /// so do those from an exempt address.
    pub(crate) fn new(runtime: &Runtime, address: Option<IpAddr>, limited: bool) -> Self {
        let settings = runtime.limiter().settings();
        let is_exempt = address.is_some_and(|address| settings.is_exempt(address));
        let now = runtime.clock().now();
        Self { now, address, is_limited: limited && !is_exempt, standing: None }
    }

    /// When the call arrived.
    pub(crate) fn arrived_at(&self) -> Timestamp {
        self.now
    }

    /// The first question, before anything is known but the address.
    ///
    /// # Errors
    /// 429 when too many calls came from there.
    pub(crate) fn enter(&mut self, limiter: &Limiter) -> Result<()> {
        let Some(address) = self.address.filter(|_| self.is_limited) else { return Ok(()) };
        let limit = limiter.settings().address;
        let key = limiter.address_key(Scope::Address, address, limit);
        self.count(limiter, LimitKeys::default().with(key))
    }

    /// The second question, when it is known who calls.
    ///
    /// A credential that was never valid here is counted as a failure of its address, and refused
    /// without a word on it once there are too many. That comes after the credential was verified,
    /// which costs a microsecond and no database, so that a good credential passes whatever others
    /// behind the same address do. A credential that has expired or was revoked is no guess: its
    /// holder is always told to get a new one.
    ///
    /// # Errors
    /// 429 when a limit is reached.
    pub(crate) fn identified(&mut self, limiter: &Limiter, caller: &Identity) -> Result<()> {
        if !self.is_limited {
            return Ok(());
        }
        let figures = limiter.settings();
        let mut keys = LimitKeys::default();
        match caller {
            Identity::Guest(GuestReason::Invalid) => {
                if let Some(address) = self.address {
                    let limit = figures.failed_auth;
                    let failures = limiter.address_key(Scope::FailedAuth, address, limit);
                    let counted = limiter.reserve(self.now, keys.with(failures), 1);
                    counted.map_err(|denied| refusal(&denied))?;
                }
            }
            Identity::Guest(_) => {}
            Identity::User(user) => {
                let (city, user) = (user.city.city_id.as_bytes(), user.user_id.as_bytes());
                keys = keys
                    .with(limiter.key(Scope::User, &[city, user], figures.user))
                    .with(limiter.key(Scope::City, &[city], figures.city));
            }
            Identity::Service(key) => {
                let key =
                    limiter.key(Scope::Credential, &[key.id().as_bytes()], figures.credential);
                keys = keys.with(key);
            }
            // Whoever holds it has to get in, most of all while others use up every limit.
            Identity::Admin => return Ok(()),
        }
        self.count(limiter, keys.with(limiter.key(Scope::Federation, &[], figures.federation)))
    }

    fn count(&mut self, limiter: &Limiter, keys: LimitKeys) -> Result<()> {
        let counted = limiter.reserve(self.now, keys, 1).map_err(|denied| refusal(&denied))?;
        if let Some(standing) = counted.standing() {
            self.standing = Some(standing.tighter(self.standing));
        }
        Ok(())
    }

    /// Says how the tightest limit stands, where the answer does not say so already.
    pub(crate) fn sign(&self, headers: &mut HeaderMap) {
        if let Some(standing) = self.standing
            && !headers.contains_key(&LIMIT)
        {
            for (name, value) in figures(standing) {
                headers.insert(name, value);
            }
        }
    }
}

/// The headers by which clients pace themselves; times are in seconds from now.
fn figures(standing: Standing) -> [(&'static HeaderName, HeaderValue); 3] {
    [
        (&LIMIT, HeaderValue::from(standing.limit)),
        (&REMAINING, HeaderValue::from(standing.remaining)),
        (&RESET, HeaderValue::from(seconds(standing.reset))),
    ]
}

fn refusal(denied: &Denied) -> Error {
    let subject = match denied.scope {
        Scope::Federation => "Too many requests are made of this Federation",
        Scope::City => "The users of this city send too many requests",
        Scope::User => "This user sends too many requests",
        Scope::Model => "This model is used too much",
        Scope::Credential => "Too many requests are made with this key",
        Scope::Address => "Too many requests come from this address",
        Scope::FailedAuth => "Too many invalid credentials come from this address",
    };
    let wait = seconds(denied.retry_after).max(1);
    let error = Error::new(ErrorCode::RateLimited, format!("{subject}; try again in {wait} s."))
        .with_header(RETRY_AFTER, HeaderValue::from(wait));
    figures(denied.standing)
        .into_iter()
        .fold(error, |error, (name, value)| error.with_header(name.clone(), value))
}

/// Whole seconds, after which a time has passed for sure.
fn seconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX)
}
