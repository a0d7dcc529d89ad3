//! Closures on their way to a database thread.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::error::{DbError, DbErrorKind};
use crate::tx::Tx;

/// What should become of the transaction that a closure ran in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Commit,
    Rollback,
    /// The closure may be in a broken state: it must not be run again.
    Panicked,
}

/// Runs a closure once and says what it gave and whether its changes may be kept.
pub(crate) fn run_closure<T, E, F>(closure: &mut F, tx: &mut Tx<'_>) -> (Result<T, E>, Verdict)
where
    F: FnMut(&mut Tx<'_>) -> Result<T, E>,
    E: From<DbError>,
{
    // A closure that panicked is never called again, so nobody sees what it left half done; its
    // changes in the database are rolled back.
    match catch_unwind(AssertUnwindSafe(|| closure(tx))) {
        Ok(Ok(value)) => match tx.verdict() {
            Ok(()) => (Ok(value), Verdict::Commit),
            Err(error) => (Err(error.into()), Verdict::Rollback),
        },
        Ok(Err(error)) => (Err(error), Verdict::Rollback),
        Err(_panic) => {
            let error = DbError::new(
                DbErrorKind::Panicked,
                "the closure panicked; its transaction was rolled back",
            );
            (Err(error.into()), Verdict::Panicked)
        }
    }
}

/// A closure of any type with its way back to the caller.
pub(crate) trait Job: Send {
    /// Runs the closure and keeps its result. One that has panicked is not run again.
    fn attempt(&mut self, tx: &mut Tx<'_>) -> Verdict;
    /// Replaces the result.
    fn fail(&mut self, error: DbError);
    /// Gives the result to the caller.
    fn answer(self: Box<Self>);
    /// True if the caller has gone away, so that a job that was not started can be dropped.
    fn abandoned(&self) -> bool;
}

struct Call<T, E, F> {
    closure: F,
    result: Option<Result<T, E>>,
    panicked: bool,
    reply: oneshot::Sender<Result<T, E>>,
}

/// Packs a closure; the receiver gets its result.
pub(crate) fn pack<T, E, F>(closure: F) -> (Box<dyn Job>, oneshot::Receiver<Result<T, E>>)
where
    F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<DbError> + Send + 'static,
{
    let (reply, receiver) = oneshot::channel();
    (Box::new(Call { closure, result: None, panicked: false, reply }), receiver)
}

impl<T, E, F> Job for Call<T, E, F>
where
    F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<DbError> + Send,
{
    fn attempt(&mut self, tx: &mut Tx<'_>) -> Verdict {
        if self.panicked {
            return Verdict::Panicked;
        }
        let (result, verdict) = run_closure(&mut self.closure, tx);
        self.panicked = verdict == Verdict::Panicked;
        self.result = Some(result);
        verdict
    }

    fn fail(&mut self, error: DbError) {
        self.result = Some(Err(error.into()));
    }

    fn answer(self: Box<Self>) {
        let result = self.result.unwrap_or_else(|| Err(DbError::closed().into()));
        // A caller that went away wants no answer.
        drop(self.reply.send(result));
    }

    fn abandoned(&self) -> bool {
        self.reply.is_closed()
    }
}

/// A bounded queue from many tasks to one or several threads.
pub(crate) struct Queue {
    state: Mutex<QueueState>,
    arrived: Condvar,
    limit: usize,
    /// How long a job may wait.
    patience: Duration,
}

#[derive(Default)]
struct QueueState {
    waiting: VecDeque<Waiting>,
    idle_threads: usize,
    closed: bool,
}

struct Waiting {
    since: Instant,
    job: Box<dyn Job>,
}

impl Queue {
    pub(crate) fn new(limit: usize, patience: Duration) -> Self {
        Self { state: Mutex::default(), arrived: Condvar::new(), limit, patience }
    }

    /// Adds a job at the end.
    pub(crate) fn push(&self, job: Box<dyn Job>) -> Result<(), DbError> {
        let mut state = self.lock();
        if state.closed {
            return Err(DbError::closed());
        }
        if state.waiting.len() >= self.limit {
            return Err(DbError::busy());
        }
        state.waiting.push_back(Waiting { since: Instant::now(), job });
        // Waking costs a system call: busy threads look at the queue by themselves.
        let wake = state.idle_threads > 0;
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Waits for jobs and takes up to `most` of them. `None` once the queue is closed and empty.
    ///
    /// Jobs that have waited too long are refused on the way: their callers have better things to
    /// do, and those behind them still have a chance.
    pub(crate) fn pop(&self, most: usize) -> Option<Vec<Box<dyn Job>>> {
        loop {
            let taken = self.take(most)?;
            let now = Instant::now();
            let mut jobs = Vec::with_capacity(taken.len());
            for Waiting { since, mut job } in taken {
                if now.saturating_duration_since(since) > self.patience {
                    job.fail(DbError::busy());
                    job.answer();
                } else {
                    jobs.push(job);
                }
            }
            if !jobs.is_empty() {
                return Some(jobs);
            }
        }
    }

    fn take(&self, most: usize) -> Option<Vec<Waiting>> {
        let mut state = self.lock();
        loop {
            if !state.waiting.is_empty() {
                let count = state.waiting.len().min(most);
                return Some(state.waiting.drain(..count).collect());
            }
            if state.closed {
                return None;
            }
            state.idle_threads += 1;
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle_threads -= 1;
        }
    }

    /// Refuses further jobs; what waits is still served.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    /// The queue holds plain data that is valid after every line: a poisoned lock is no reason to
    /// stop.
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
