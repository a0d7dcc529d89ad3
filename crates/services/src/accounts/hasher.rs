//! Hashing of passwords within bounds: as many at a time as the machine has cores, in memory that is
//! used again, and no sooner than it is needed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use argon2::Block;
use downcity_core::{Error, Random, Result};
use downcity_types::ErrorCode;
use http::HeaderValue;
use http::header::RETRY_AFTER;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::password::{self, Password, SALT_BYTES, Stored};

/// The longest wait for a turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many may wait per core; more would not get a turn in time.
const QUEUE_PER_CORE: usize = 128;

/// Hashes and compares passwords.
#[derive(Clone)]
pub(super) struct Hasher(Arc<Inner>);

struct Inner {
    turns: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    /// Memory of hashes that are done, for the next ones.
    memory: Mutex<Vec<Vec<Block>>>,
    /// Whether there was a hash since memory was given back for the last time.
    done: AtomicU64,
    last_done: AtomicU64,
}

/// The right to hash, one at a time per core. Held over the throttle's look and its note, so that
/// not more attempts are let in at a time than there are turns.
#[derive(Clone)]
pub(super) struct Turn {
    hasher: Hasher,
    _permit: Arc<OwnedSemaphorePermit>,
}

/// What came of comparing a password.
#[derive(Debug)]
pub(super) struct Compared {
    /// Whether it is the right one.
    pub(super) matches: bool,
    /// A new hash of the same password, where the stored one is of an earlier kind.
    pub(super) rehashed: Option<String>,
}

impl Default for Hasher {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Inner {
            turns: Arc::new(Semaphore::new(cores)),
            queue: Arc::new(Semaphore::new(cores * (QUEUE_PER_CORE + 1))),
            memory: Mutex::default(),
            done: AtomicU64::new(0),
            last_done: AtomicU64::new(0),
        }))
    }
}

impl Hasher {
    /// Waits for a turn.
    ///
    /// # Errors
    /// 503 when too many wait, or none came free in time.
    pub(super) async fn turn(&self) -> Result<Turn> {
        let _place = self.0.queue.clone().try_acquire_owned().map_err(|_full| busy())?;
        let turn = tokio::time::timeout(PATIENCE, self.0.turns.clone().acquire_owned());
        let permit = turn.await.map_err(|_late| busy())?.map_err(Error::internal)?;
        Ok(Turn { hasher: self.clone(), _permit: Arc::new(permit) })
    }

    /// How many hashes this node has computed.
    pub(super) fn count(&self) -> u64 {
        self.0.done.load(Ordering::Relaxed)
    }

    /// Gives memory back that nothing has used since the last call.
    pub(super) fn release_idle(&self) {
        let done = self.count();
        if self.0.last_done.swap(done, Ordering::Relaxed) == done {
            self.memory().clear();
        }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Vec<Vec<Block>>> {
        self.0.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs work with the memory of one hash.
    fn with_memory<T>(&self, work: impl FnOnce(&mut [Block]) -> T) -> T {
        let kept = self.memory().pop();
        let mut blocks = kept.unwrap_or_else(|| vec![Block::new(); password::BLOCKS]);
        let value = work(&mut blocks);
        self.memory().push(blocks);
        value
    }

    fn counted(&self) {
        self.0.done.fetch_add(1, Ordering::Relaxed);
    }
}

impl Turn {
    /// Hashes a new password.
    ///
    /// # Errors
    /// When the work was lost.
    pub(super) async fn hash(&self, random: &dyn Random, password: &Password) -> Result<String> {
        let (salt, password) = (new_salt(random), password.clone());
        self.run(move |hasher, blocks| {
            hasher.counted();
            password::hash(&password, &salt, blocks)
        })
        .await?
    }

    /// Compares a password with what is stored of it. The work is the same whether there is such a
    /// user, whether they have a password, and whether it is the right one; `any_scrypt` says that
    /// there are hashes of the earlier kind, and then each comparison costs both kinds.
    ///
    /// # Errors
    /// When the work was lost.
    pub(super) async fn compare(
        &self,
        random: &dyn Random,
        password: &Password,
        stored: Option<&str>,
        any_scrypt: bool,
    ) -> Result<Compared> {
        let (salt, password) = (new_salt(random), password.clone());
        let stored = stored.and_then(Stored::parse);
        self.run(move |hasher, blocks| match stored {
            Some(stored @ Stored::Scrypt { .. }) => {
                hasher.counted();
                let matches = stored.matches(&password, blocks);
                hasher.counted();
                let hash = password::hash(&password, &salt, blocks)?;
                Ok(Compared { matches, rehashed: matches.then_some(hash) })
            }
            stored => {
                if any_scrypt {
                    hasher.counted();
                    password::waste_scrypt(&password, &salt);
                }
                hasher.counted();
                let Some(stored) = stored else {
                    password::hash(&password, &salt, blocks)?;
                    return Ok(Compared { matches: false, rehashed: None });
                };
                let matches = stored.matches(&password, blocks);
                let rehash = matches && !stored.is_current();
                let rehashed =
                    rehash.then(|| password::hash(&password, &salt, blocks)).transpose()?;
                Ok(Compared { matches, rehashed })
            }
        })
        .await?
    }

    /// Runs work on a thread that may block. The turn ends with the work, also when nobody waits for
    /// it any more.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Hasher, &mut [Block]) -> T + Send + 'static,
    ) -> Result<T> {
        let turn = self.clone();
        tokio::task::spawn_blocking(move || {
            turn.hasher.with_memory(|blocks| work(&turn.hasher, blocks))
        })
        .await
        .map_err(Error::internal)
    }
}

fn new_salt(random: &dyn Random) -> [u8; SALT_BYTES] {
    let mut salt = [0; SALT_BYTES];
    random.fill(&mut salt);
    salt
}

fn busy() -> Error {
    Error::new(ErrorCode::Unavailable, "Too many people sign in at the moment. Try again shortly.")
        .with_header(RETRY_AFTER, HeaderValue::from_static("5"))
}
