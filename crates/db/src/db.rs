//! The handle of an open database.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::Engine;
use crate::error::{DbError, DbErrorKind};
use crate::job::pack;
use crate::migrate::{self, MigrationSet};
use crate::options::DbOptions;
use crate::postgres::{Features, Lane, Postgres};
use crate::revision::{self, Notifier};
use crate::sqlite::{Readers, Sqlite};
use crate::transfer::CopyWatch;
use crate::tx::Tx;
use crate::url::Target;

/// Distance between two attempts to reach a server that does not answer yet.
const OPEN_PAUSE: Duration = Duration::from_millis(500);

/// An open database. Clones share it; it ends when the last one is dropped, or at [`Db::close`].
#[derive(Clone)]
pub struct Db {
    shared: Arc<Shared>,
}

struct Shared {
    backend: Backend,
    notifier: Arc<Notifier>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    options: DbOptions,
    /// What it was migrated by.
    migrations: Vec<MigrationSet>,
}

enum Backend {
    Sqlite(Sqlite),
    Postgres(Box<Postgres>),
}

/// A handle that does not keep the database open.
pub(crate) struct WeakDb(Weak<Shared>);

impl WeakDb {
    pub(crate) fn upgrade(&self) -> Option<Db> {
        self.0.upgrade().map(|shared| Db { shared })
    }
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").field("engine", &self.engine()).finish_non_exhaustive()
    }
}

impl Db {
    /// Opens a database and brings its schema up to date: this crate's own tables first, then
    /// `migrations` in their order. A SQLite file is created where there is none.
    ///
    /// A PostgreSQL server that does not answer is tried again for [`DbOptions::open_patience`].
    ///
    /// Must be called inside a tokio runtime: notices of change are followed by background tasks.
    ///
    /// # Errors
    /// `Unavailable` if the database cannot be reached, `SchemaNewer` if a newer binary migrated
    /// it, `SchemaDivergent` if an applied migration is not the one this binary knows, `Config` for
    /// options that cannot be used, otherwise the error of the step that failed.
    pub async fn open(options: DbOptions, migrations: &[MigrationSet]) -> Result<Self, DbError> {
        let sets = migrate::all_sets(migrations)?;
        let notifier = Arc::new(Notifier::new());
        let backend = start_patiently(&options, sets, &notifier).await?;
        let shared = Arc::new(Shared {
            backend,
            notifier,
            tasks: Mutex::default(),
            options: options.clone(),
            migrations: migrations.to_vec(),
        });
        let db = Self { shared };
        db.shared.notifier.publish(db.revision().await?);
        db.start_tasks(&options);
        Ok(db)
    }

    /// Opens a database as it stands, to read it: nothing is created or migrated, no change is
    /// followed, and writes are refused as `Closed`. For commands that look into a database, which
    /// another binary may be serving from.
    ///
    /// # Errors
    /// `Config` for options that cannot be used. Whether it can be reached, and has the tables that
    /// are asked for, shows at the first read.
    pub fn open_to_read(options: &DbOptions) -> Result<Self, DbError> {
        let notifier = Arc::new(Notifier::new());
        let backend = match options.url.target() {
            Target::Sqlite(path) => Backend::Sqlite(Sqlite::to_read(path, options)),
            Target::Postgres(target) => {
                // Only those who write owe others a notice.
                let features = Features { notify: false };
                let postgres = Postgres::start(target, options, features, Arc::clone(&notifier))?;
                postgres.refuse_writes();
                Backend::Postgres(Box::new(postgres))
            }
        };
        let shared = Shared {
            backend,
            notifier,
            options: options.clone(),
            tasks: Mutex::default(),
            migrations: Vec::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Runs `closure` in a transaction: committed and durable when this gives `Ok`, rolled back
    /// when the closure gives an error.
    ///
    /// The closure may run several times (a collision with another transaction, a lost connection),
    /// so it must have no effect outside `tx`: ids, times and randomness are made before it. It
    /// must not wait for anything else, as it holds one of few connections. If this future is
    /// dropped, the transaction may still be carried out.
    ///
    /// # Errors
    /// What the closure gave, or the error of the engine.
    pub async fn write<T, E, F>(&self, closure: F) -> Result<T, E>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let (job, answer) = pack(closure);
        match &self.shared.backend {
            Backend::Sqlite(sqlite) => sqlite.submit(job)?,
            Backend::Postgres(postgres) => postgres.submit(Lane::Write, job)?,
        }
        // Every queued job is answered; a missing answer means that its thread died at work.
        answered(answer, DbErrorKind::CommitUnknown).await
    }

    /// Runs a short read: a few rows, found by index. All its statements see one state of the
    /// database, committed data only, and the engine refuses to write.
    ///
    /// On SQLite it runs on the calling task, so it must be a matter of microseconds; whatever
    /// lists or sums up belongs into [`Db::scan`].
    pub async fn read<T, E, F>(&self, closure: F) -> Result<T, E>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        match &self.shared.backend {
            Backend::Sqlite(sqlite) => {
                let _turn = sqlite.readers.read_turn().await?;
                sqlite.readers.read(closure)
            }
            Backend::Postgres(postgres) => {
                let (job, answer) = pack(closure);
                postgres.submit(Lane::Read, job)?;
                answered(answer, DbErrorKind::Unavailable).await
            }
        }
    }

    /// Runs a read that may take long, such as a list or an aggregate, on a thread of its own. As
    /// [`Db::read`] otherwise.
    pub async fn scan<T, E, F>(&self, closure: F) -> Result<T, E>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        match &self.shared.backend {
            Backend::Sqlite(sqlite) => {
                let turn = sqlite.readers.scan_turn().await?;
                on_own_thread(&sqlite.readers, closure, turn).await
            }
            Backend::Postgres(postgres) => {
                let (job, answer) = pack(closure);
                postgres.submit(Lane::Scan, job)?;
                answered(answer, DbErrorKind::Unavailable).await
            }
        }
    }

    /// As [`Db::scan`], but never waits behind scans: for the state that a node serves from, which
    /// must follow the database whatever else is asked of it. Such loads come one at a time.
    pub async fn load<T, E, F>(&self, closure: F) -> Result<T, E>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        match &self.shared.backend {
            Backend::Sqlite(sqlite) => on_own_thread(&sqlite.readers, closure, ()).await,
            Backend::Postgres(postgres) => {
                let (job, answer) = pack(closure);
                postgres.submit(Lane::Read, job)?;
                answered(answer, DbErrorKind::Unavailable).await
            }
        }
    }

    /// Writes a copy of the whole database, as it stands at one moment, into a new SQLite file and gives
    /// its size in bytes: [`backup`](crate::backup) with the migrations that the database was opened with.
    ///
    /// # Errors
    /// As there.
    pub async fn backup(&self, target: &Path, mut watch: CopyWatch) -> Result<u64, DbError> {
        let (shared, target) = (Arc::clone(&self.shared), target.to_owned());
        blocking(move || {
            crate::backup::backup(&shared.options, &shared.migrations, &target, &mut watch)
        })
        .await
    }

    /// Overwrites what rows of these tables held before they were replaced.
    ///
    /// SQLite: a file of up to 64 MiB is written anew, and the write-ahead log is emptied; `tables`
    /// do not matter. PostgreSQL: the tables are written into new files; its own log and its
    /// backups are the business of whoever runs it. Neither overwrites what a disk keeps of files
    /// that were shortened or removed.
    ///
    /// # Errors
    /// When the engine refuses, or when others hold on to old rows for too long. Calling it again
    /// does no harm.
    pub async fn erase_replaced(&self, tables: &'static [&'static str]) -> Result<(), DbError> {
        let options = self.shared.options.clone();
        blocking(move || crate::erase::run(&options, tables)).await
    }

    /// Runs `closure` on each copy that was taken of a SQLite file before a migration, in a
    /// transaction of its own; `true` keeps what it did and overwrites what that replaced. Copies
    /// have the schema of their time. Gives the number of copies that were changed; there are none
    /// of a PostgreSQL database.
    ///
    /// # Errors
    /// What the closure gave, or the error of the engine; the copy at hand is as it was then.
    pub async fn rewrite_copies<E, F>(&self, closure: F) -> Result<usize, E>
    where
        F: FnMut(&mut Tx<'_>) -> Result<bool, E> + Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let options = self.shared.options.clone();
        blocking(move || crate::erase::rewrite_copies(&options, closure)).await
    }

    /// The newest revision this node has heard of: by its own commits, by a notice of the
    /// database, or by looking at it every [`DbOptions::poll_interval`]. It never goes back.
    pub fn watch(&self) -> watch::Receiver<i64> {
        self.shared.notifier.subscribe()
    }

    /// The revision as it stands in the database.
    pub async fn revision(&self) -> Result<i64, DbError> {
        revision::read(self).await
    }

    /// The engine behind this handle, to show to people: code does not branch on it.
    pub fn engine(&self) -> Engine {
        match self.shared.backend {
            Backend::Sqlite(_) => Engine::Sqlite,
            Backend::Postgres(_) => Engine::Postgres,
        }
    }

    /// The file of a SQLite database, beside which a node keeps what belongs to it.
    pub fn file(&self) -> Option<&Path> {
        self.shared.options.url.sqlite_path()
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), DbError> {
        self.revision().await.map(drop)
    }

    /// Since when the database has not answered the regular looks at its revision; `None` while it
    /// does.
    pub fn unreachable_since(&self) -> Option<Instant> {
        self.shared.notifier.unreachable_since()
    }

    /// Finishes what is queued, then ends threads, tasks and connections. Later calls give
    /// `Closed`.
    pub async fn close(&self) {
        self.shared.end_tasks();
        self.shared.backend.close();
        let threads = self.shared.backend.take_threads();
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a database thread ended by a panic");
                }
            }
        });
        if joined.await.is_err() {
            tracing::warn!("the runtime ended before the database threads did");
        }
    }

    pub(crate) fn notifier(&self) -> &Notifier {
        &self.shared.notifier
    }

    fn start_tasks(&self, options: &DbOptions) {
        let weak = WeakDb(Arc::downgrade(&self.shared));
        let mut tasks = vec![revision::start(revision::poll(weak, options.poll_interval))];
        if let Backend::Postgres(postgres) = &self.shared.backend {
            tasks.extend(postgres.listen(Arc::clone(&self.shared.notifier)).map(revision::start));
        }
        self.shared.tasks.lock().unwrap_or_else(PoisonError::into_inner).extend(tasks);
    }
}

/// Starts the backend; waits for a server that does not answer yet as long as the options say.
async fn start_patiently(
    options: &DbOptions,
    sets: Vec<MigrationSet>,
    notifier: &Arc<Notifier>,
) -> Result<Backend, DbError> {
    let is_server = matches!(options.url.target(), Target::Postgres(_));
    let began = Instant::now();
    let mut told = false;
    loop {
        let (given, sets, notifier) = (options.clone(), sets.clone(), Arc::clone(notifier));
        let starting = tokio::task::spawn_blocking(move || start(&given, &sets, notifier));
        let started = starting.await.unwrap_or_else(|_ended| {
            Err(DbError::new(DbErrorKind::Unavailable, "opening the database was interrupted"))
        });
        let patient = is_server && began.elapsed() < options.open_patience;
        match started {
            Err(error) if patient && error.kind() == DbErrorKind::Unavailable => {
                if !std::mem::replace(&mut told, true) {
                    let patience = options.open_patience.as_secs();
                    tracing::warn!(%error, "no database yet; trying again for {patience} s");
                }
                tokio::time::sleep(OPEN_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

/// Migrates and starts the backend. Blocks its thread.
fn start(
    options: &DbOptions,
    sets: &[MigrationSet],
    notifier: Arc<Notifier>,
) -> Result<Backend, DbError> {
    match options.url.target() {
        Target::Sqlite(path) => {
            migrate::sqlite::run(path, options, sets)?;
            Sqlite::start(path, options, notifier).map(Backend::Sqlite)
        }
        Target::Postgres(target) => {
            let features = migrate::postgres::run(target, options, sets)?;
            Postgres::start(target, options, features, notifier)
                .map(|postgres| Backend::Postgres(Box::new(postgres)))
        }
    }
}

/// Runs a scan of SQLite on a thread that may block, and keeps `turn` until it has ended.
async fn on_own_thread<T, E, F>(
    readers: &Arc<Readers>,
    closure: F,
    turn: impl Send + 'static,
) -> Result<T, E>
where
    F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<DbError> + Send + 'static,
{
    let readers = Arc::clone(readers);
    let scan = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        readers.scan(closure)
    });
    scan.await.unwrap_or_else(|_ended| {
        Err(DbError::new(DbErrorKind::Closed, "the runtime is shutting down").into())
    })
}

/// Runs work on a thread that may block.
async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<DbError> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_ended| {
        Err(DbError::new(DbErrorKind::Closed, "the runtime is shutting down").into())
    })
}

async fn answered<T, E: From<DbError>>(
    answer: oneshot::Receiver<Result<T, E>>,
    lost: DbErrorKind,
) -> Result<T, E> {
    answer.await.unwrap_or_else(|_lost| {
        Err(DbError::new(lost, "the database thread ended without an answer").into())
    })
}

impl Backend {
    fn close(&self) {
        match self {
            Self::Sqlite(sqlite) => sqlite.close(),
            Self::Postgres(postgres) => postgres.close(),
        }
    }

    fn take_threads(&self) -> Vec<std::thread::JoinHandle<()>> {
        match self {
            Self::Sqlite(sqlite) => sqlite.take_threads(),
            Self::Postgres(postgres) => postgres.take_threads(),
        }
    }
}

impl Shared {
    fn end_tasks(&self) {
        for task in self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
    }
}

impl Drop for Shared {
    /// Threads finish what is queued and end by themselves: joining them here could block a
    /// runtime's thread.
    fn drop(&mut self) {
        self.end_tasks();
        self.backend.close();
    }
}
