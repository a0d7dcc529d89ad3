//! Migrating a PostgreSQL database, one node at a time.

use std::time::Duration;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use super::{Found, MigrationSet, refuse_newer};
use crate::Engine;
use crate::error::{DbError, DbErrorKind};
use crate::options::DbOptions;
use crate::postgres::{Ended, Features, Session, connector, translate};
use crate::url::PostgresTarget;

/// Key of the advisory lock under which nodes migrate ("downcity" in ASCII).
pub(crate) const LOCK_KEY: i64 = 0x646f_776e_6369_7479;
/// How long a node waits for another one that is migrating.
const LOCK_WAIT: Duration = Duration::from_secs(120);
/// How long one look at the database may take.
const LOOK: Duration = Duration::from_secs(10);
/// How long the pending steps of one service may take: large tables take their time.
const APPLY: Duration = Duration::from_secs(24 * 3600);

/// Applies what is pending, and finds out what the server can do.
pub(crate) fn run(
    target: &PostgresTarget,
    options: &DbOptions,
    sets: &[MigrationSet],
) -> Result<Features, DbError> {
    let mut session = Session::connect(target, &connector(target)?, options.connect_timeout)?;
    lock(&mut session)?;
    let found = versions(&mut session, sets)?;
    refuse_newer(&found)?;
    for Found { set, version } in &found {
        apply(&mut session, set)?;
        if set.known() > *version {
            tracing::info!(service = set.service, version = set.known(), "schema migrated");
        }
    }
    // The lock ends with this connection.
    Ok(Features { notify: has_notify(&mut session) })
}

/// Which versions the database has; changes nothing.
pub(crate) fn look(
    target: &PostgresTarget,
    options: &DbOptions,
    sets: &[MigrationSet],
) -> Result<Vec<Found>, DbError> {
    let mut session = Session::connect(target, &connector(target)?, options.connect_timeout)?;
    versions(&mut session, sets)
}

fn versions(session: &mut Session, sets: &[MigrationSet]) -> Result<Vec<Found>, DbError> {
    sets.iter().map(|set| Ok(Found { set: *set, version: version(session, set)? })).collect()
}

fn apply(session: &mut Session, set: &MigrationSet) -> Result<(), DbError> {
    let runner = set.runner(Engine::Postgres)?;
    let applied = session.run(APPLY, async |client| runner.run_async(client).await.map(drop));
    applied.map_err(|ended| match ended {
        Ended::Failed(error) => set.failed(&error),
        Ended::Lost(error) => translate(&error).within(&set.place()),
        Ended::Silent => DbError::timeout().within(&set.place()),
    })
}

/// Takes the lock; says so in the log when another node has it.
fn lock(session: &mut Session) -> Result<(), DbError> {
    let tried = session.run(LOOK, async |client| {
        let row = client.query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK_KEY]).await?;
        row.try_get::<_, bool>(0)
    });
    let taken = match tried {
        Ok(true) => return Ok(()),
        Ok(false) => {
            tracing::info!("another node is migrating the database; waiting for it");
            let wait = LOCK_WAIT.as_millis();
            let command = format!(
                "SET statement_timeout = {wait}; SELECT pg_advisory_lock({LOCK_KEY}); SET statement_timeout = 0"
            );
            session.command(LOCK_WAIT + LOOK, &command)
        }
        Err(error) => Err(error),
    };
    match taken {
        Ok(()) => Ok(()),
        Err(Ended::Failed(error)) if error.code() == Some(&SqlState::QUERY_CANCELED) => {
            Err(DbError::new(
                DbErrorKind::Timeout,
                "another node has been migrating the database for two minutes; look at its log",
            ))
        }
        // Engines of the same protocol without advisory locks: start the first node alone there.
        Err(Ended::Failed(error)) if lacks(&error) => {
            tracing::warn!(
                "the database has no advisory locks: do not start nodes together when migrating"
            );
            Ok(())
        }
        Err(ended) => Err(ended.into_db_error().within("waiting to migrate")),
    }
}

fn version(session: &mut Session, set: &MigrationSet) -> Result<u32, DbError> {
    let text = format!("SELECT COALESCE(MAX(version), 0) FROM {}", set.history_table());
    match session.run(LOOK, async |client| client.query_one(&text, &[]).await) {
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
        Err(Ended::Failed(error)) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(0),
        Err(ended) => Err(ended.into_db_error().within("reading the schema's version")),
    }
}

fn has_notify(session: &mut Session) -> bool {
    let text = "SELECT EXISTS (SELECT 1 FROM pg_proc WHERE proname = 'pg_notify')";
    session
        .run(LOOK, async |client| client.query_one(text, &[]).await)
        .is_ok_and(|row| row.try_get(0).unwrap_or(false))
}

fn lacks(error: &Error) -> bool {
    matches!(error.code(), Some(&SqlState::UNDEFINED_FUNCTION | &SqlState::FEATURE_NOT_SUPPORTED))
}
