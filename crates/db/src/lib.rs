//! The database layer: transactions as plain closures, on SQLite and on PostgreSQL.
//!
//! ```no_run
//! # async fn example(db: downcity_db::Db, city: String, amount: i64) -> Result<(), downcity_db::DbError> {
//! use downcity_db::sql;
//!
//! let balance = db
//!     .write(move |tx| {
//!         let row = tx.query_opt(
//!             sql!("UPDATE wallets SET balance = balance - $2 WHERE city_id = $1 AND balance >= $2 RETURNING balance"),
//!             &[&city, &amount],
//!         )?;
//!         row.map(|row| row.get::<i64>("balance")).transpose()
//!     })
//!     .await?;
//! # Ok(()) }
//! ```
//!
//! # Invariants
//! - This is the only crate that names a driver or knows the engine. Statements are written once,
//!   with `$1`, and registered where they stand ([`sql!`]).
//! - A closure is synchronous: it cannot await, so no transaction is ever held open over the
//!   network or another task. It may run several times, so it has no effect outside its [`Tx`].
//! - [`Db::write`] answers after the commit is durable. On PostgreSQL an answer that was lost after
//!   COMMIT was sent is `CommitUnknown`, never a silent retry.
//! - Nothing waits for ever: connecting, signing in, statements, commits and turns in a queue have
//!   time limits on this side too, so that a server that has fallen silent is an error.
//! - [`Db::read`] and [`Db::scan`] see committed data only, one state per closure; the engine
//!   itself refuses writes there.
//! - Errors have the same [`DbErrorKind`] on both engines, and their text holds no parameter and no
//!   stored value.
//!
//! # Deliberately absent
//! Dynamic SQL, nested transactions, an async transaction object, an ORM, row types: domain code
//! names its columns.

mod backup;
mod db;
mod erase;
mod error;
mod job;
mod migrate;
mod options;
mod postgres;
mod registry;
mod restore;
mod revision;
mod row;
mod sql;
mod sqlite;
#[cfg(feature = "testing")]
pub mod testing;
mod transfer;
mod tx;
mod url;
mod value;

pub use backup::{backup, came_from_postgres, migrate_copy};
pub use db::Db;
pub use error::{DbError, DbErrorKind};
pub use migrate::{Migration, MigrationSet, MigrationSql, pending_migrations};
pub use options::DbOptions;
pub use registry::prepare_all;
pub use restore::{restore, restore_server};
pub use row::Row;
pub use sql::{Sql, registered_statements};
pub use transfer::{CopyProgress, CopyStop, CopyWatch};
pub use tx::Tx;
pub use url::DbUrl;
pub use value::{FromValue, Param, ToValue, Typed, Value, ValueType};

/// The two database engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// An embedded SQLite file.
    Sqlite,
    /// A PostgreSQL server, or another engine of its protocol.
    Postgres,
}

impl std::fmt::Display for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        })
    }
}

/// What the macros of this crate expand to.
#[doc(hidden)]
pub mod __private {
    pub use inventory;

    pub use crate::sql::Registered;
}
