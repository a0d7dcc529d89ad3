//! When a call is repeated.

use std::time::Duration;

use crate::random;

/// When a call that got no answer is repeated.
///
/// A GET is repeated whenever the connection fails, and when the server answers 429 or 503 with a
/// `Retry-After`. Anything else is repeated where nothing was sent yet (the name does not resolve, the
/// connection is refused), or where the call carries an `Idempotency-Key`, by which the server knows it
/// again. This crate makes such a key for every write that the server recognises; calls of models have
/// none, and are not made twice.
///
/// Other answers are never repeated, whatever their status.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// How often a call is sent at most; 3 at first.
    pub attempts: u32,
    /// How long to wait after each attempt that failed; the last one is used again. 250 ms and 1 s at
    /// first.
    pub delays: Vec<Duration>,
    /// Whether waits are up to a quarter longer by chance, so that many clients do not come back at
    /// once; they are at first.
    pub jitter: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        let delays = vec![Duration::from_millis(250), Duration::from_secs(1)];
        Self { attempts: 3, delays, jitter: true }
    }
}

impl RetryPolicy {
    /// Each call is sent once.
    #[must_use]
    pub fn none() -> Self {
        Self { attempts: 1, delays: Vec::new(), jitter: false }
    }

    /// How long to wait after an attempt, counted from 1.
    pub(crate) fn delay(&self, attempt: u32) -> Duration {
        let index = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        let delay = self.delays.get(index).or(self.delays.last()).copied().unwrap_or_default();
        if self.jitter { delay.mul_f64(1.0 + random::fraction() / 4.0) } else { delay }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_differ() {
        let policy = RetryPolicy::default();
        for (attempt, least) in [(1, 250), (2, 1_000), (9, 1_000)] {
            let delay = policy.delay(attempt);
            let least = Duration::from_millis(least);
            assert!((least..=least.mul_f64(1.25)).contains(&delay), "{attempt}: {delay:?}");
        }
        let even = RetryPolicy { jitter: false, ..policy };
        assert_eq!(even.delay(1), Duration::from_millis(250));
        assert_eq!(RetryPolicy::none().delay(1), Duration::ZERO);
    }
}
