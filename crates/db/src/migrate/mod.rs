//! Numbered migrations, one sequence per service.
//!
//! Each service has a history table `schema_history_<service>`. Its pending steps are applied in
//! one transaction. A database that a newer binary has migrated is refused before anything is
//! changed.

pub(crate) mod postgres;
pub(crate) mod sqlite;

use std::collections::HashSet;
use std::error::Error;

use refinery::Runner;
use refinery::error::Kind;

use crate::Engine;
use crate::error::{DbError, DbErrorKind};
use crate::options::DbOptions;
use crate::sqlite::open_plain;
use crate::url::Target;

/// The migrations of one service, made by [`migrations!`](crate::migrations).
#[derive(Clone, Copy, Debug)]
pub struct MigrationSet {
    /// Id of the service: lower-case letters, digits, `-` and `_`.
    pub service: &'static str,
    /// The steps, versions ascending.
    pub steps: &'static [Migration],
}

/// One step of a schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Number of the step, from 1.
    pub version: u32,
    /// What it does, in lower-case letters, digits and `_`.
    pub name: &'static str,
    /// The statements.
    pub sql: MigrationSql,
}

/// The statements of a step.
#[derive(Clone, Copy, Debug)]
pub enum MigrationSql {
    /// One text for both engines: the rule.
    Same(&'static str),
    /// A text per engine: the exception, for triggers and the like.
    Split {
        /// For SQLite.
        sqlite: &'static str,
        /// For PostgreSQL.
        postgres: &'static str,
    },
}

/// Declares the migrations of a service from SQL files beside the calling file.
///
/// ```text
/// migrations!("balance", [
///     (1, "init", "migrations/0001_init.sql"),
///     (2, "guard", { sqlite: "migrations/0002_sqlite.sql", postgres: "migrations/0002_postgres.sql" }),
///     (3, "log", { both: "migrations/0003.sql", sqlite: "…", postgres: "…" }),
/// ])
/// ```
///
/// With `both`, its statements come first on either engine, then the engine's own.
#[macro_export]
macro_rules! migrations {
    ($service:expr, [$(($version:expr, $name:expr, $sql:tt $(,)?)),* $(,)?]) => {
        $crate::MigrationSet {
            service: $service,
            steps: const {
                &[$($crate::Migration {
                    version: $version,
                    name: $name,
                    sql: $crate::__migration_sql!($sql),
                }),*]
            },
        }
    };
}

/// The file or files of one step, for [`migrations!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __migration_sql {
    ($path:literal) => {
        $crate::MigrationSql::Same(include_str!($path))
    };
    ({ both: $both:literal, sqlite: $sqlite:literal, postgres: $postgres:literal $(,)? }) => {
        $crate::MigrationSql::Split {
            sqlite: concat!(include_str!($both), include_str!($sqlite)),
            postgres: concat!(include_str!($both), include_str!($postgres)),
        }
    };
    ({ sqlite: $sqlite:literal, postgres: $postgres:literal $(,)? }) => {
        $crate::MigrationSql::Split {
            sqlite: include_str!($sqlite),
            postgres: include_str!($postgres),
        }
    };
}

/// This crate's own tables, then the callers'; checked for mistakes in their declaration.
pub(crate) fn all_sets(given: &[MigrationSet]) -> Result<Vec<MigrationSet>, DbError> {
    let own = crate::migrations!("db", [(1, "revision", "../../migrations/0001_revision.sql")]);
    let sets: Vec<_> = std::iter::once(own).chain(given.iter().copied()).collect();
    let mut services = HashSet::new();
    for set in &sets {
        let mistake = |problem: &str| {
            DbError::new(
                DbErrorKind::Config,
                format!("the migrations of service {:?}: {problem}", set.service),
            )
        };
        if !services.insert(set.history_table()) {
            return Err(mistake("another service has the same id"));
        }
        if set.service.is_empty() || !set.service.bytes().all(is_id_byte) {
            return Err(mistake("the id may hold a-z, 0-9, - and _ only"));
        }
        let mut before = 0;
        for step in set.steps {
            if step.version <= before {
                return Err(mistake("the versions must ascend from 1"));
            }
            if step.name.is_empty() || !step.name.bytes().all(is_id_byte) {
                return Err(mistake("the name of a step may hold a-z, 0-9, - and _ only"));
            }
            before = step.version;
        }
    }
    Ok(sets)
}

fn is_id_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_')
}

impl MigrationSet {
    pub(crate) fn history_table(&self) -> String {
        format!("schema_history_{}", self.service.replace('-', "_"))
    }

    /// The newest version that this binary knows.
    pub(crate) fn known(&self) -> u32 {
        self.steps.last().map_or(0, |step| step.version)
    }

    /// The steps as the migration runner knows them.
    pub(crate) fn steps(&self, engine: Engine) -> Result<Vec<refinery::Migration>, DbError> {
        let steps = self.steps.iter().map(|step| {
            let text = match (step.sql, engine) {
                (MigrationSql::Same(text), _) => text,
                (MigrationSql::Split { sqlite, .. }, Engine::Sqlite) => sqlite,
                (MigrationSql::Split { postgres, .. }, Engine::Postgres) => postgres,
            };
            refinery::Migration::unapplied(&format!("V{}__{}", step.version, step.name), text)
        });
        steps.collect::<Result<Vec<_>, _>>().map_err(|error| self.failed(&error))
    }

    fn runner(&self, engine: Engine) -> Result<Runner, DbError> {
        let steps = self.steps(engine)?;
        let mut runner =
            Runner::new(&steps).set_grouped(true).set_abort_divergent(true).set_abort_missing(true);
        runner.set_migration_table_name(self.history_table());
        Ok(runner)
    }

    fn place(&self) -> String {
        format!("migrating service {:?}", self.service)
    }

    /// What an error of the migration runner means.
    fn failed(&self, error: &refinery::Error) -> DbError {
        let place = self.place();
        match error.kind() {
            Kind::DivergentVersion(applied, known) => DbError::new(
                DbErrorKind::SchemaDivergent,
                format!(
                    "{place}: step {applied} of this database is not the step {known} of this binary; start the binary that made the database, or restore a copy taken before"
                ),
            ),
            Kind::MissingVersion(applied) => DbError::new(
                DbErrorKind::SchemaDivergent,
                format!("{place}: this binary lacks step {applied}, which the database has"),
            ),
            other => driver_error(error).map_or_else(
                || DbError::new(DbErrorKind::Engine, format!("{place}: {other}")),
                |error| error.within(&place),
            ),
        }
    }
}

/// The driver's error inside one of the migration runner.
fn driver_error(error: &refinery::Error) -> Option<DbError> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<rusqlite::Error>() {
            return Some(crate::sqlite::translate(error));
        }
        if let Some(error) = error.downcast_ref::<tokio_postgres::Error>() {
            return Some(crate::postgres::translate(error));
        }
        cause = error.source();
    }
    None
}

/// A set and the version that the database has of it, 0 for none.
pub(crate) struct Found {
    pub(crate) set: MigrationSet,
    pub(crate) version: u32,
}

/// How many steps of these migrations a database lacks. Only reads: nothing is created or migrated.
///
/// # Errors
/// `Unavailable` if the database cannot be reached, `SchemaNewer` if a newer binary migrated it, `Config`
/// for options that cannot be used.
pub async fn pending_migrations(
    options: &DbOptions,
    migrations: &[MigrationSet],
) -> Result<usize, DbError> {
    let sets = all_sets(migrations)?;
    let options = options.clone();
    let looking = tokio::task::spawn_blocking(move || {
        let found = match options.url.target() {
            Target::Sqlite(path) => {
                sqlite::versions(&open_plain(path, options.connect_timeout)?, &sets)?
            }
            Target::Postgres(target) => postgres::look(target, &options, &sets)?,
        };
        refuse_newer(&found)?;
        Ok(found.iter().map(Found::pending).sum())
    });
    looking.await.unwrap_or_else(|_ended| {
        Err(DbError::new(DbErrorKind::Unavailable, "looking at the database was interrupted"))
    })
}

impl Found {
    /// How many steps the database lacks.
    fn pending(&self) -> usize {
        self.set.steps.iter().filter(|step| step.version > self.version).count()
    }
}

/// Refuses a database that a newer binary has migrated.
pub(crate) fn refuse_newer(found: &[Found]) -> Result<(), DbError> {
    for Found { set, version } in found {
        let known = set.known();
        if *version > known {
            return Err(DbError::new(
                DbErrorKind::SchemaNewer { service: set.service, found: *version, known },
                format!(
                    "the schema of service {:?} is at version {version}, this binary knows {known}: start the newer binary, or restore a copy taken before the migration",
                    set.service
                ),
            ));
        }
    }
    Ok(())
}
