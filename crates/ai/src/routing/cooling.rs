//! The keys that rest after their provider refused or limited them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use downcity_core::env::CityEnv;
use downcity_core::{Body, Call};
use downcity_types::Timestamp;
use http::Response;

use super::{Lane, Told};
use crate::config::CoolDown;
use crate::failure::Failure;
use crate::outgoing::Outgoing;
use crate::provider::retry_after;

/// Which keys rest, and until when. It outlives changes of the configuration.
#[derive(Default)]
pub(crate) struct Cooling(Mutex<HashMap<Place, Rest>>);

/// A provider, the name of its key, and the fingerprint of the value: another value does not rest, and
/// cities may have values of their own of one key.
type Place = (String, Option<String>, u64);

/// From how many places on those are forgotten whose rest is long over: values come and go.
const MANY: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rest {
    until: Timestamp,
    /// How often in a row.
    times: u32,
}

impl Cooling {
    /// The lanes of a request that may be asked now, in order: those that do not rest, else the one
    /// that rests the shortest.
    pub(crate) fn lanes<'a>(
        &self,
        call: &Call,
        outgoing: &'a Outgoing,
    ) -> (Lane<'a>, Vec<Lane<'a>>) {
        let mut all: Vec<Lane<'a>> =
            Lane::all(outgoing).filter(|lane| lane.is_ready(call)).collect();
        if all.is_empty() {
            // It then says what is missing.
            all.extend(Lane::all(outgoing).take(1));
        }
        let now = call.runtime().clock().now();
        let resting = self.lock();
        let until = |lane: &Lane<'_>| {
            let rest = if resting.is_empty() { None } else { resting.get(&place(call, *lane)) };
            rest.filter(|rest| rest.until > now).map(|rest| rest.until)
        };
        let mut awake: Vec<Lane<'a>> =
            all.iter().copied().filter(|lane| until(lane).is_none()).collect();
        if awake.is_empty() {
            awake.extend(all.into_iter().min_by_key(|lane| until(lane)));
        }
        let first = awake.remove(0);
        (first, awake)
    }

    /// Learns from an answer of a lane.
    pub(crate) fn note(
        &self,
        call: &Call,
        lane: Lane<'_>,
        answer: &Result<Response<Body>, Failure>,
        bounds: &CoolDown,
    ) {
        let told = Told::of(answer);
        if told == Told::Success {
            let mut resting = self.lock();
            if !resting.is_empty() {
                resting.remove(&place(call, lane));
            }
            return;
        }
        if !matches!(told, Told::KeyRefused | Told::Limited) {
            return;
        }
        let now = call.runtime().clock().now();
        let asked = match answer {
            Ok(response) if told == Told::Limited => retry_after(response.headers(), now),
            _ => None,
        };
        let place = place(call, lane);
        let mut resting = self.lock();
        let times = resting.get(&place).map_or(0, |rest| rest.times);
        let length = asked.map_or_else(|| pause(bounds, times), Duration::from_secs);
        let until = now.saturating_add(length);
        if resting.len() >= MANY {
            let longest = Duration::from_millis(bounds.most_ms);
            resting.retain(|_, rest| rest.until.saturating_add(longest) > now);
        }
        resting.insert(place, Rest { until, times: times.saturating_add(1) });
    }

    /// Until when a provider's key rests, in the value that the call would use. No read of it.
    pub(crate) fn resting_until(
        &self,
        call: &Call,
        provider: &str,
        key: Option<&str>,
    ) -> Option<Timestamp> {
        if self.lock().is_empty() {
            return None;
        }
        let found = key.and_then(|key| call.peek_city_env(key));
        let place = (provider.to_owned(), key.map(str::to_owned), fingerprint(found.as_ref()));
        let until = self.lock().get(&place)?.until;
        (until > call.runtime().clock().now()).then_some(until)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Place, Rest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a key rests that rested so often before in a row.
fn pause(bounds: &CoolDown, times: u32) -> Duration {
    let doubled = bounds.first_ms.saturating_mul(1_u64.checked_shl(times).unwrap_or(u64::MAX));
    Duration::from_millis(doubled.min(bounds.most_ms))
}

fn place(call: &Call, lane: Lane<'_>) -> Place {
    let key = lane.key().map(str::to_owned);
    let found = lane.key().and_then(|key| call.city_env(key));
    (lane.model().provider.id.clone(), key, fingerprint(found.as_ref()))
}

/// Tells values of a key apart, within this process only.
fn fingerprint(found: Option<&CityEnv>) -> u64 {
    let mut hasher = DefaultHasher::new();
    if let Some(found) = found {
        found.value.expose().hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_within_bounds() {
        let bounds = CoolDown { first_ms: 100, most_ms: 1_000 };
        let pauses = [0, 1, 2, 3, 4, 63, 64, u32::MAX].map(|times| pause(&bounds, times));
        assert_eq!(
            pauses.map(|pause| pause.as_millis()),
            [100, 200, 400, 800, 1_000, 1_000, 1_000, 1_000]
        );
    }
}
