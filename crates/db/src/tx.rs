//! What a closure works with.

use std::time::Instant;

use crate::Engine;
use crate::error::{DbError, DbErrorKind};
use crate::postgres::PgConnection;
use crate::row::Row;
use crate::sql::Sql;
use crate::sqlite;
use crate::value::{Param, ToValue};

/// An open transaction. It is committed if its closure returns `Ok`, rolled back otherwise.
///
/// The first statement that fails ends the transaction on both engines: later statements give the
/// same error again, and the closure cannot commit any more. Where a conflict is expected, ask for
/// it: `ON CONFLICT DO NOTHING`, `RETURNING`, a guarded `UPDATE`.
pub struct Tx<'a> {
    connection: Connection<'a>,
    deadline: Instant,
    may_write: bool,
    fault: Option<DbError>,
    revision: Option<i64>,
}

enum Connection<'a> {
    Sqlite(&'a rusqlite::Connection),
    Postgres(&'a mut PgConnection),
}

impl std::fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tx").field("engine", &self.engine()).finish_non_exhaustive()
    }
}

impl<'a> Tx<'a> {
    /// `may_write` says what the closure is for; SQLite keeps readers from writing by itself.
    pub(crate) fn sqlite(
        connection: &'a rusqlite::Connection,
        deadline: Instant,
        may_write: bool,
    ) -> Self {
        Self::new(Connection::Sqlite(connection), deadline, may_write)
    }

    /// `may_write` says what the closure is for; the transaction was begun accordingly.
    pub(crate) fn postgres(
        connection: &'a mut PgConnection,
        deadline: Instant,
        may_write: bool,
    ) -> Self {
        Self::new(Connection::Postgres(connection), deadline, may_write)
    }

    fn new(connection: Connection<'a>, deadline: Instant, may_write: bool) -> Self {
        Self { connection, deadline, may_write, fault: None, revision: None }
    }

    /// Runs a query and gives all its rows. Lists must carry a LIMIT: the whole result is in
    /// memory.
    pub fn query(
        &mut self,
        sql: &'static Sql,
        params: &[&dyn ToValue],
    ) -> Result<Vec<Row>, DbError> {
        self.guarded(sql, params, |connection, params| match connection {
            Connection::Sqlite(connection) => sqlite::query(connection, sql, params),
            Connection::Postgres(connection) => connection.query(sql, params),
        })
    }

    /// Runs a query that gives at most one row.
    ///
    /// # Errors
    /// `RowCount` if there are several.
    pub fn query_opt(
        &mut self,
        sql: &'static Sql,
        params: &[&dyn ToValue],
    ) -> Result<Option<Row>, DbError> {
        let mut rows = self.query(sql, params)?;
        if rows.len() > 1 {
            return Err(row_count(sql, rows.len()));
        }
        Ok(rows.pop())
    }

    /// Runs a query that gives exactly one row.
    ///
    /// # Errors
    /// `RowCount` if there is none, or several.
    pub fn query_one(
        &mut self,
        sql: &'static Sql,
        params: &[&dyn ToValue],
    ) -> Result<Row, DbError> {
        self.query_opt(sql, params)?.ok_or_else(|| row_count(sql, 0))
    }

    /// Runs an INSERT, UPDATE or DELETE and gives the number of rows that it touched.
    pub fn execute(&mut self, sql: &'static Sql, params: &[&dyn ToValue]) -> Result<u64, DbError> {
        self.guarded(sql, params, |connection, params| match connection {
            Connection::Sqlite(connection) => sqlite::execute(connection, sql, params),
            Connection::Postgres(connection) => connection.execute(sql, params),
        })
    }

    /// Adds one to the revision and gives the new value. Every holder of [`Db::watch`] on any node
    /// hears of it after the commit.
    ///
    /// It locks the revision until the commit. Transactions that lock other rows too take the
    /// revision first, so that no two of them wait for each other.
    ///
    /// [`Db::watch`]: crate::Db::watch
    pub fn bump_revision(&mut self) -> Result<i64, DbError> {
        let notifies = match &self.connection {
            Connection::Sqlite(_) => false,
            Connection::Postgres(connection) => connection.notifies(),
        };
        let row = self.query_one(crate::revision::bump_statement(notifies), &[])?;
        let revision = row.at(0)?;
        self.revision = Some(revision);
        Ok(revision)
    }

    /// Locks the revision until the commit without a change to it, for a transaction that finds out
    /// later whether it makes one. As in [`Tx::bump_revision`], it comes before other locks.
    pub fn lock_revision(&mut self) -> Result<(), DbError> {
        self.execute(crate::sql!("UPDATE db_revision SET value = value WHERE id = 1"), &[])?;
        Ok(())
    }

    /// The engine, for the rare statement that has to be written twice.
    pub(crate) fn engine(&self) -> Engine {
        match self.connection {
            Connection::Sqlite(_) => Engine::Sqlite,
            Connection::Postgres(_) => Engine::Postgres,
        }
    }

    /// Prepares a statement without running it, and checks the types of its columns.
    pub(crate) fn prepare(&mut self, sql: &'static Sql) -> Result<(), DbError> {
        match &mut self.connection {
            Connection::Sqlite(connection) => sqlite::prepare(connection, sql),
            Connection::Postgres(connection) => connection.prepare(sql),
        }
    }

    /// Whether the transaction may be committed: the fault of a statement, or the passed deadline.
    pub(crate) fn verdict(&self) -> Result<(), DbError> {
        match &self.fault {
            Some(fault) => Err(fault.clone()),
            None if Instant::now() > self.deadline => Err(DbError::timeout()),
            None => Ok(()),
        }
    }

    /// The error of the first statement that failed.
    pub(crate) fn fault(&self) -> Option<&DbError> {
        self.fault.as_ref()
    }

    /// The revision that this transaction made, if it made one.
    pub(crate) fn revision(&self) -> Option<i64> {
        self.revision
    }

    fn guarded<R>(
        &mut self,
        sql: &'static Sql,
        params: &[&dyn ToValue],
        run: impl FnOnce(&mut Connection<'a>, &[Param<'_>]) -> Result<R, DbError>,
    ) -> Result<R, DbError> {
        self.verdict()?;
        let result = with_params(params, |params| run(&mut self.connection, params));
        if let Err(error) = result {
            let mut error = error.within(&sql.location());
            if self.may_write {
                error = error.of_a_writer();
            }
            self.fault = Some(error.clone());
            return Err(error);
        }
        result
    }
}

fn row_count(sql: &Sql, found: usize) -> DbError {
    DbError::new(
        DbErrorKind::RowCount,
        format!("{}: expected one row, found {found}", sql.location()),
    )
}

/// Most statements have few parameters: those need no allocation.
const INLINE_PARAMS: usize = 16;

fn with_params<R>(
    params: &[&dyn ToValue],
    run: impl FnOnce(&[Param<'_>]) -> Result<R, DbError>,
) -> Result<R, DbError> {
    for (index, param) in params.iter().enumerate() {
        if let Some(problem) = param.to_param().problem() {
            return Err(DbError::new(
                DbErrorKind::InvalidValue,
                format!("parameter ${}: {problem}", index + 1),
            ));
        }
    }
    if params.len() <= INLINE_PARAMS {
        let mut inline = [Param::Boolean(false); INLINE_PARAMS];
        for (slot, param) in inline.iter_mut().zip(params) {
            *slot = param.to_param();
        }
        run(&inline[..params.len()])
    } else {
        run(&params.iter().map(|param| param.to_param()).collect::<Vec<_>>())
    }
}
