//! Migrating a PostgreSQL database, one node at a time.

use postgres::Client;
use postgres::error::SqlState;

use super::{Found, MigrationSet, refuse_newer};
use crate::Engine;
use crate::error::{DbError, DbErrorKind};
use crate::options::DbOptions;
use crate::postgres::{Features, connect, connector, translate};
use crate::url::PostgresTarget;

/// Key of the advisory lock under which nodes migrate ("downcity" in ASCII).
const LOCK_KEY: i64 = 0x646f_776e_6369_7479;
/// How long a node waits for another one that is migrating, in ms.
const LOCK_WAIT_MS: u32 = 120_000;

/// Applies what is pending, and finds out what the server can do.
pub(crate) fn run(
    target: &PostgresTarget,
    options: &DbOptions,
    sets: &[MigrationSet],
) -> Result<Features, DbError> {
    let mut client = connect(target, &connector(target)?, options.connect_timeout)?;
    lock(&mut client)?;
    let found = sets
        .iter()
        .map(|set| Ok(Found { set: *set, version: version(&mut client, set)? }))
        .collect::<Result<Vec<_>, DbError>>()?;
    refuse_newer(&found)?;
    for Found { set, version } in &found {
        set.runner(Engine::Postgres)?.run(&mut client).map_err(|error| set.failed(&error))?;
        if set.known() > *version {
            tracing::info!(service = set.service, version = set.known(), "schema migrated");
        }
    }
    // The lock ends with this connection.
    Ok(Features { notify: has_notify(&mut client) })
}

fn lock(client: &mut Client) -> Result<(), DbError> {
    let wait = format!(
        "SET statement_timeout = {LOCK_WAIT_MS}; SELECT pg_advisory_lock({LOCK_KEY}); SET statement_timeout = 0"
    );
    match client.batch_execute(&wait) {
        Ok(()) => Ok(()),
        Err(error) if error.code() == Some(&SqlState::QUERY_CANCELED) => Err(DbError::new(
            DbErrorKind::Timeout,
            "another node has been migrating the database for two minutes; look at its log",
        )),
        // Engines of the same protocol without advisory locks: start the first node alone there.
        Err(error) if lacks(&error) => {
            tracing::warn!(
                "the database has no advisory locks: do not start nodes together when migrating"
            );
            client.batch_execute("SET statement_timeout = 0").map_err(|error| translate(&error))
        }
        Err(error) => Err(translate(&error).within("waiting to migrate")),
    }
}

fn version(client: &mut Client, set: &MigrationSet) -> Result<u32, DbError> {
    let text = format!("SELECT COALESCE(MAX(version), 0) FROM {}", set.history_table());
    match client.query_one(&text, &[]) {
        Ok(row) => row
            .try_get::<_, i32>(0)
            .ok()
            .and_then(|version| u32::try_from(version).ok())
            .ok_or_else(|| {
                DbError::new(
                    DbErrorKind::SchemaDivergent,
                    format!("the history of service {:?} cannot be read", set.service),
                )
            }),
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(0),
        Err(error) => Err(translate(&error).within("reading the schema's version")),
    }
}

fn has_notify(client: &mut Client) -> bool {
    client
        .query_one("SELECT EXISTS (SELECT 1 FROM pg_proc WHERE proname = 'pg_notify')", &[])
        .is_ok_and(|row| row.try_get(0).unwrap_or(false))
}

fn lacks(error: &postgres::Error) -> bool {
    matches!(error.code(), Some(&SqlState::UNDEFINED_FUNCTION | &SqlState::FEATURE_NOT_SUPPORTED))
}
