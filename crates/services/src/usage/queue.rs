//! Facts on their way to the database: what calls push, and the writer of the node.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use downcity_core::fact::{CallFact, Ended, OwnFact, Recorder};
use downcity_core::{Cx, Error, Result, Runtime};
use downcity_db::Tx;
use downcity_types::ErrorCode;
use tokio::sync::Notify;

use super::config::RecordedCalls;
use super::events::{self, Numbers};

/// As soon as so many facts wait, they are written.
const BATCH: usize = 200;

/// Facts of one transaction, when many wait: they share its pages and its sync.
const MOST: usize = 1_000;

/// The longest that a fact waits while the database answers.
const EVERY: Duration = Duration::from_secs(1);

/// How long the writer waits after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(2);

/// Facts that wait for the database.
pub(super) struct Queue {
    record: RecordedCalls,
    numbers: Arc<Numbers>,
    capacity: usize,
    waiting: Mutex<VecDeque<CallFact>>,
    /// Held by whoever writes, so that a flush ends when all that came before it is stored.
    writing: tokio::sync::Mutex<()>,
    /// The first fact after a while, or a batch that is full.
    wanted: Notify,
    stored: AtomicU64,
    dropped: AtomicU64,
}

impl Queue {
    pub(super) fn new(record: RecordedCalls, capacity: usize, numbers: Arc<Numbers>) -> Self {
        Self {
            record,
            numbers,
            capacity,
            waiting: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            wanted: Notify::new(),
            stored: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Takes a fact, or counts it as dropped when there is no room.
    fn push(&self, fact: CallFact) {
        let mut waiting = self.lock();
        if waiting.len() >= self.capacity {
            drop(waiting);
            return self.drop_facts(1);
        }
        waiting.push_back(fact);
        let count = waiting.len();
        drop(waiting);
        if count == 1 || count == BATCH {
            self.wanted.notify_one();
        }
    }

    fn drop_facts(&self, count: usize) {
        let count = count as u64;
        metrics::counter!("downcity_usage_facts_dropped_total").increment(count);
        if self.dropped.fetch_add(count, Ordering::Relaxed) == 0 {
            tracing::error!("facts of calls are dropped: the database does not take them in time");
        }
    }

    /// How many facts wait.
    pub(super) fn waiting(&self) -> usize {
        self.lock().len()
    }

    /// How many facts this node stored from its queue.
    pub(super) fn stored(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }

    /// How many facts this node dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// How many facts may wait.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<CallFact>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<CallFact> {
        let mut waiting = self.lock();
        let count = waiting.len().min(MOST);
        waiting.drain(..count).collect()
    }

    /// Puts facts back in front of those that came since.
    fn put_back(&self, facts: Vec<CallFact>) {
        let mut waiting = self.lock();
        for fact in facts.into_iter().rev() {
            waiting.push_front(fact);
        }
        let dropped = waiting.len().saturating_sub(self.capacity);
        waiting.truncate(self.capacity);
        drop(waiting);
        if dropped > 0 {
            self.drop_facts(dropped);
        }
    }

    /// Stores all that waits. The work is the node's own: it ends also when nobody waits for it.
    ///
    /// # Errors
    /// When the database does not take it; nothing is lost then.
    pub(super) async fn flush(self: &Arc<Self>, runtime: &Arc<Runtime>) -> Result<()> {
        let (queue, node) = (self.clone(), runtime.clone());
        let work = async move { queue.write_all(&node).await };
        runtime.tasks().spawn(work).await.unwrap_or_else(|stopped| Err(Error::internal(stopped)))
    }

    async fn write_all(&self, runtime: &Arc<Runtime>) -> Result<()> {
        let _writing = self.writing.lock().await;
        loop {
            let facts = self.take();
            if facts.is_empty() {
                self.show_waiting();
                return Ok(());
            }
            let facts = Arc::new(facts);
            let written = write(runtime, &self.numbers, &facts).await;
            let facts = Arc::unwrap_or_clone(facts);
            match written {
                Ok(()) => self.note_stored(facts.len()),
                Err(error) if may_pass(&error) => {
                    self.put_back(facts);
                    self.show_waiting();
                    return Err(error);
                }
                Err(_) => self.write_singly(runtime, facts).await,
            }
        }
    }

    /// One fact that cannot be stored keeps no other from it.
    async fn write_singly(&self, runtime: &Arc<Runtime>, facts: Vec<CallFact>) {
        for fact in facts {
            match write(runtime, &self.numbers, &Arc::new(vec![fact])).await {
                Ok(()) => self.note_stored(1),
                Err(error) => {
                    tracing::error!(%error, "the fact of a call cannot be stored");
                    self.drop_facts(1);
                }
            }
        }
    }

    fn show_waiting(&self) {
        metrics::gauge!("downcity_usage_facts_waiting").set(self.waiting() as f64);
    }

    fn note_stored(&self, count: usize) {
        self.stored.fetch_add(count as u64, Ordering::Relaxed);
        metrics::counter!("downcity_usage_facts_total").increment(count as u64);
    }

    /// Writes what comes until the node stops.
    pub(super) async fn write_regularly(self: Arc<Self>, runtime: Weak<Runtime>) {
        loop {
            self.wanted.notified().await;
            if self.waiting() < BATCH {
                // The rest of a batch, or a second.
                let _ = tokio::time::timeout(EVERY, self.wanted.notified()).await;
            }
            loop {
                let Some(runtime) = runtime.upgrade() else { return };
                match self.flush(&runtime).await {
                    Ok(()) => break,
                    Err(error) => tracing::warn!(%error, "facts of calls are not stored yet"),
                }
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }
}

impl Recorder for Queue {
    fn record(&self, call: &Cx, ended: &Ended) {
        let action = call.action();
        if action.service_id() == "usage"
            || call.identity().user().is_none()
            || !self.record.includes(action)
            || call.locals().get::<OwnFact>().is_some()
        {
            return;
        }
        if let Some(fact) = CallFact::of(call, ended) {
            self.push(fact);
        }
    }
}

async fn write(
    runtime: &Arc<Runtime>,
    numbers: &Arc<Numbers>,
    facts: &Arc<Vec<CallFact>>,
) -> Result<()> {
    let (node, numbers, facts) = (runtime.clone(), numbers.clone(), facts.clone());
    let insert = move |tx: &mut Tx<'_>| {
        // The time of the transaction, not of the wait for it: see `sums`.
        let now = node.clock().now();
        facts.iter().try_for_each(|fact| events::insert(tx, fact, &numbers, now))
    };
    runtime.db().write(insert).await
}

/// Whether the same facts may be stored later: the fault is the database's, not theirs.
fn may_pass(error: &Error) -> bool {
    matches!(
        error.code(),
        ErrorCode::Unavailable | ErrorCode::CommitUnknown | ErrorCode::StorageFull
    )
}

#[cfg(test)]
mod tests {
    use downcity_core::Metering;
    use downcity_core::fact::FactStatus;
    use downcity_types::{Microcredits, Timestamp};

    use super::*;

    fn fact(number: u32) -> CallFact {
        CallFact {
            event_id: format!("usage_{number}"),
            request_id: format!("req_{number}"),
            city_id: "c".to_owned(),
            user_id: "u".to_owned(),
            service: "s".to_owned(),
            action: "a".to_owned(),
            status: FactStatus::Success,
            http_status: 200,
            code: None,
            message: None,
            streamed: false,
            metering: Metering::default(),
            charge: Microcredits::ZERO,
            hold_id: None,
            charge_id: None,
            started_at: Timestamp::from_millis(0),
            ended_at: Timestamp::from_millis(0),
        }
    }

    fn numbers(facts: &[CallFact]) -> Vec<&str> {
        facts.iter().map(|fact| &fact.request_id["req_".len()..]).collect()
    }

    #[test]
    fn what_finds_no_room_is_counted_and_what_comes_back_keeps_its_place() {
        let queue = Queue::new(RecordedCalls::All, 3, Arc::new(Numbers::starting_at(0)));
        for number in 0..5 {
            queue.push(fact(number));
        }
        assert_eq!((queue.waiting(), queue.dropped()), (3, 2));
        let taken = queue.take();
        assert_eq!(numbers(&taken), ["0", "1", "2"]);
        queue.push(fact(5));
        queue.push(fact(6));
        queue.put_back(taken);
        assert_eq!((queue.waiting(), queue.dropped()), (3, 4), "the newest go");
        assert_eq!(numbers(&queue.take()), ["0", "1", "2"]);
    }

    #[test]
    fn a_transaction_takes_a_part_of_many() {
        let queue = Queue::new(RecordedCalls::All, 5_000, Arc::new(Numbers::starting_at(0)));
        for number in 0..1_500 {
            queue.push(fact(number));
        }
        assert_eq!((queue.take().len(), queue.take().len(), queue.take().len()), (1_000, 500, 0));
    }
}
