//! How a database is opened.

use std::path::PathBuf;
use std::time::Duration;

use crate::url::DbUrl;

/// Options of [`Db::open`](crate::Db::open). [`DbOptions::new`] gives the defaults.
#[derive(Clone, Debug)]
pub struct DbOptions {
    /// Where the database is.
    pub url: DbUrl,
    /// Runs every write closure twice, the first time rolled back: proves that closures have no
    /// effect outside their transaction. For tests; off by default.
    pub replay_writes: bool,
    /// PostgreSQL connections for [`Db::write`](crate::Db::write); default 8. SQLite has one
    /// writer.
    pub write_connections: usize,
    /// Connections for [`Db::read`](crate::Db::read); default 6.
    pub read_connections: usize,
    /// Connections for [`Db::scan`](crate::Db::scan), also the number of scans at one time;
    /// default 3.
    pub scan_connections: usize,
    /// Longest run of a write or read closure, not counting its wait in the queue; default 5 s.
    pub closure_limit: Duration,
    /// Longest run of a scan closure; default 30 s.
    pub scan_limit: Duration,
    /// How long to wait for a PostgreSQL connection to be made, signing in included, and for a
    /// SQLite lock that another process holds; default 3 s.
    pub connect_timeout: Duration,
    /// How long [`Db::open`](crate::Db::open) goes on trying to reach a PostgreSQL server that does
    /// not answer yet; default: it tries once.
    pub open_patience: Duration,
    /// How long a closure may wait for its turn before it is refused as `Busy`; default 10 s.
    pub queue_wait: Duration,
    /// Distance between two looks at the revision; default 500 ms.
    pub poll_interval: Duration,
    /// Closures that may wait per queue before further ones are refused as `Busy`; default 16,384.
    pub queue_limit: usize,
    /// SQLite: most closures in one durable commit; default 256.
    pub batch_limit: usize,
    /// SQLite: folder of the copies that are taken before a migration; default: beside the file.
    pub backup_dir: Option<PathBuf>,
}

impl DbOptions {
    /// The defaults for a database.
    pub fn new(url: DbUrl) -> Self {
        Self {
            url,
            replay_writes: false,
            write_connections: 8,
            read_connections: 6,
            scan_connections: 3,
            closure_limit: Duration::from_secs(5),
            scan_limit: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(3),
            open_patience: Duration::ZERO,
            queue_wait: Duration::from_secs(10),
            poll_interval: Duration::from_millis(500),
            queue_limit: 16_384,
            batch_limit: 256,
            backup_dir: None,
        }
    }
}
