//! How long a call may take, and what watches it.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::config::AiConfig;

/// How long a provider may keep its connection open after it said that it is done.
pub(crate) const AFTER_DONE: Duration = Duration::from_secs(1);

/// The times of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallLimits {
    pub(crate) first_byte: Duration,
    pub(crate) idle: Duration,
    pub(crate) total: Duration,
    pub(crate) keep_alive: Duration,
}

impl CallLimits {
    pub(crate) fn new(config: &AiConfig) -> Self {
        let times = &config.timeouts;
        Self {
            first_byte: Duration::from_millis(times.first_byte_ms),
            idle: Duration::from_millis(times.idle_ms),
            total: Duration::from_millis(times.total_ms),
            keep_alive: Duration::from_millis(config.keep_alive_ms),
        }
    }

    /// The longest that a call takes: a first try whose connection failed, a second one, the answer.
    pub(crate) fn longest(&self) -> Duration {
        self.total.saturating_add(self.first_byte.saturating_mul(2))
    }
}

/// A timer whose deadline moves often: it is touched only when it would have rung.
#[derive(Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Ready once the deadline has passed. Deadlines may only move later from call to call.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        loop {
            ready!(sleep.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

/// Watches the pauses and the whole length of a streamed answer.
pub(crate) struct Patience {
    idle: Duration,
    last: Instant,
    end: Instant,
    alarm: Alarm,
}

impl Patience {
    /// `spent` is what the call has taken before.
    pub(crate) fn new(limits: &CallLimits, spent: Duration) -> Self {
        let now = Instant::now();
        let rest = limits.total.saturating_sub(spent);
        Self { idle: limits.idle, last: now, end: now + rest, alarm: Alarm::default() }
    }

    /// Waits no longer than this from now on.
    pub(crate) fn after(time: Duration) -> Self {
        let now = Instant::now();
        Self { idle: time, last: now, end: now + time, alarm: Alarm::default() }
    }

    /// Something arrived.
    pub(crate) fn touch(&mut self) {
        self.last = Instant::now();
    }

    /// Ready once the answer has paused or lasted for too long.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = (self.last + self.idle).min(self.end);
        self.alarm.poll(cx, deadline)
    }

    /// Whether the answer as a whole has lasted for too long, data or not.
    pub(crate) fn is_over(&self) -> bool {
        self.last >= self.end
    }
}
