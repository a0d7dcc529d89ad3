//! Time, randomness and ids as parameters, so that tests can move one and seed the other.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use downcity_types::Timestamp;

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// The current time, to the millisecond.
    fn now(&self) -> Timestamp;

    /// The current time in whole seconds since 1970, as tokens count it.
    fn now_seconds(&self) -> i64 {
        self.now().seconds()
    }
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
        let now = std::time::SystemTime::now();
        let millis = match now.duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        };
        Timestamp::from_millis(millis)
    }
}

/// Where randomness comes from.
pub trait Random: Send + Sync + 'static {
    /// Fills the buffer with random bytes fit for keys and nonces.
    fn fill(&self, buffer: &mut [u8]);
}

/// The operating system's random source.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that asks the system for randomness"
        )]
        let filled = getrandom::fill(buffer);
        #[expect(
            clippy::expect_used,
            reason = "without randomness no key can be made; going on would be worse than stopping"
        )]
        filled.expect("the operating system gives random bytes");
    }
}

/// Makes ids from the injected clock and randomness.
#[derive(Clone)]
pub struct Ids {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Ids {
    /// Ids made from these two sources.
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { clock, random }
    }

    /// `prefix` followed by base64url of `N` random bytes: `secret::<32>("admin_")` is 49 characters.
    pub fn secret<const N: usize>(&self, prefix: &str) -> String {
        let mut bytes = [0u8; N];
        self.random.fill(&mut bytes);
        let mut text = String::with_capacity(prefix.len() + N.div_ceil(3) * 4);
        text.push_str(prefix);
        URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
        text
    }

    /// `prefix` followed by a version 7 UUID (RFC 9562): ids that sort by the time they were made.
    pub fn sortable(&self, prefix: &str) -> String {
        let mut bytes = [0u8; 10];
        self.random.fill(&mut bytes);
        let millis = u64::try_from(self.clock.now().millis()).unwrap_or(0);
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid();
        format!("{prefix}{}", id.simple())
    }
}
