//! What the threads of one database know together about the way to the server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::DbError;

/// Keeps threads from waiting one after the other for a server that is down: after a failed
/// connection all of them fail at once, but for one at a time that tries.
#[derive(Default)]
pub(super) struct Link {
    down: Mutex<Option<Down>>,
    doubts: AtomicU64,
}

struct Down {
    /// Until then nobody tries.
    until: Instant,
    pause: Duration,
    error: DbError,
}

impl Link {
    const SHORTEST: Duration = Duration::from_millis(50);
    /// Together with the distance of two looks at the revision this stays below a second, so that a
    /// node follows again within a second of the server's return.
    const LONGEST: Duration = Duration::from_millis(250);

    /// Whether this thread shall try to connect; `attempt` is how long that may take.
    pub(super) fn admit(&self, attempt: Duration) -> Result<(), DbError> {
        let mut down = self.lock();
        let Some(down) = &mut *down else { return Ok(()) };
        let now = Instant::now();
        if now < down.until {
            return Err(down.error.clone());
        }
        down.until = now + attempt;
        Ok(())
    }

    pub(super) fn failed(&self, error: &DbError) {
        let mut down = self.lock();
        let pause = match &*down {
            Some(down) => (down.pause * 2).min(Self::LONGEST),
            None => Self::SHORTEST,
        };
        *down = Some(Down { until: Instant::now() + pause, pause, error: error.clone() });
    }

    pub(super) fn connected(&self) {
        *self.lock() = None;
    }

    /// A connection fell silent: the others are to be looked at before they are used again.
    pub(super) fn doubt(&self) {
        self.doubts.fetch_add(1, Ordering::Relaxed);
    }

    /// Changes with every doubt.
    pub(super) fn doubts(&self) -> u64 {
        self.doubts.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Down>> {
        self.down.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
