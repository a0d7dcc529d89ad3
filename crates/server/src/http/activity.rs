//! What a connection is doing, as far as it decides whether it may stay.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// The state of one connection, shared by its socket, its requests and the listener.
pub(crate) struct Activity {
    /// When the connection was taken: times below are milliseconds since then.
    begun: Instant,
    /// Requests under way, answers included until their last byte is handed over.
    requests: AtomicUsize,
    /// When the last request ended.
    idle_since: AtomicU64,
    /// Bytes of an answer wait for the client.
    unwritten: AtomicBool,
    /// Answers of HTTP/2 under way, each of which its client may stall alone.
    answers: Mutex<Vec<Arc<Handover>>>,
    /// The client has not taken bytes for too long.
    gave_up: AtomicBool,
    /// The connection shall make room for another one.
    asked_to_leave: AtomicBool,
    asked: Notify,
}

/// When the last piece of an answer was handed over, in milliseconds; 0 while the answer itself is
/// waited for.
#[derive(Default)]
struct Handover(AtomicU64);

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            requests: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            unwritten: AtomicBool::new(false),
            answers: Mutex::default(),
            gave_up: AtomicBool::new(false),
            asked_to_leave: AtomicBool::new(false),
            asked: Notify::new(),
        })
    }

    /// Milliseconds since the connection was taken; never 0.
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// A request has begun; it ends with what is returned.
    pub(crate) fn request(self: &Arc<Self>) -> Busy {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    /// Whether bytes wait for the client.
    pub(crate) fn set_unwritten(&self, waiting: bool) {
        self.unwritten.store(waiting, Ordering::Relaxed);
    }

    /// The client has not taken bytes for too long.
    pub(crate) fn give_up(&self) {
        self.gave_up.store(true, Ordering::Relaxed);
    }

    /// Whether the client has not taken bytes for too long.
    pub(crate) fn gave_up(&self) -> bool {
        self.gave_up.load(Ordering::Relaxed)
    }

    /// Waits until the connection is asked to leave while nothing is under way.
    pub(crate) async fn asked_to_leave(&self) {
        loop {
            self.asked.notified().await;
            if self.idle_since().is_some() {
                return;
            }
            // A request came first: another connection is asked instead.
            self.asked_to_leave.store(false, Ordering::Relaxed);
        }
    }

    fn ask_to_leave(&self) {
        self.asked_to_leave.store(true, Ordering::Relaxed);
        self.asked.notify_one();
    }

    /// Since when nothing is under way; `None` while something is.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let is_idle =
            self.requests.load(Ordering::Relaxed) == 0 && !self.unwritten.load(Ordering::Relaxed);
        let since = Duration::from_millis(self.idle_since.load(Ordering::Relaxed));
        is_idle.then(|| self.begun + since)
    }

    /// Whether a client has not taken what was handed over for as long as this.
    pub(crate) fn is_stalled(&self, patience: Duration) -> bool {
        let now = self.now();
        let patience = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        let is_late = |handed: u64| handed != 0 && now.saturating_sub(handed) > patience;
        lock(&self.answers).iter().any(|answer| is_late(answer.0.load(Ordering::Relaxed)))
    }
}

/// A request under way.
pub(crate) struct Busy(Arc<Activity>);

impl Busy {
    /// Follows the answer of a request of HTTP/2.
    pub(crate) fn follow(self) -> Followed {
        let handover = Arc::new(Handover::default());
        lock(&self.0.answers).push(handover.clone());
        let followed = Followed { busy: self, handover };
        followed.handed_over();
        followed
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.idle_since.store(self.0.now(), Ordering::Relaxed);
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer of HTTP/2 that its client may stall.
pub(crate) struct Followed {
    busy: Busy,
    handover: Arc<Handover>,
}

impl Followed {
    /// The next move is the client's.
    pub(crate) fn handed_over(&self) {
        self.handover.0.store(self.busy.0.now(), Ordering::Relaxed);
    }

    /// The next move is ours.
    pub(crate) fn wanted(&self) {
        self.handover.0.store(0, Ordering::Relaxed);
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        lock(&self.busy.0.answers).retain(|answer| !Arc::ptr_eq(answer, &self.handover));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Plain lists stay usable after a panic elsewhere.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The connections of a listener.
#[derive(Clone, Default)]
pub(crate) struct Crowd(Arc<Mutex<HashMap<usize, Arc<Activity>>>>);

impl Crowd {
    pub(crate) fn join(&self) -> Member {
        let activity = Activity::new();
        lock(&self.0).insert(key(&activity), activity.clone());
        Member { crowd: self.clone(), activity }
    }

    /// Asks the connection to leave that has been idle longest; says whether there was one.
    pub(crate) fn make_room(&self) -> bool {
        let crowd = lock(&self.0);
        let stay = |activity: &Activity| !activity.asked_to_leave.load(Ordering::Relaxed);
        let idle = crowd.values().filter(|activity| stay(activity));
        let idle = idle.filter_map(|activity| Some((activity.idle_since()?, activity)));
        let longest = idle.min_by_key(|(since, _)| *since);
        if let Some((_, activity)) = longest {
            activity.ask_to_leave();
        }
        longest.is_some()
    }
}

/// A place among the connections of a listener.
pub(crate) struct Member {
    crowd: Crowd,
    pub(crate) activity: Arc<Activity>,
}

impl Drop for Member {
    fn drop(&mut self) {
        lock(&self.crowd.0).remove(&key(&self.activity));
    }
}

/// Where a connection's state lies: no two share a place while both live.
fn key(activity: &Arc<Activity>) -> usize {
    Arc::as_ptr(activity).addr()
}
