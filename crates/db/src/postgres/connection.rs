//! One PostgreSQL connection with its prepared statements.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Column, Error, Statement};

use super::Features;
use super::error::ends_connection;
use super::session::{Ended, Session};
use crate::Engine;
use crate::error::{DbError, DbErrorKind};
use crate::row::Row;
use crate::sql::{Columns, Sql};
use crate::value::{Param, Value, ValueType};

/// How long past the server's own time limit its word is waited for.
const GRACE: Duration = Duration::from_secs(1);

/// How long a kept connection may take to show that it is still one.
const CHECK: Duration = Duration::from_secs(1);

/// A connection of a worker.
pub(crate) struct PgConnection {
    session: Session,
    statements: HashMap<usize, Prepared>,
    features: Features,
    /// How long one exchange with the server may take.
    patience: Duration,
    in_transaction: bool,
    broken: bool,
    silent: bool,
}

#[derive(Clone)]
struct Prepared {
    statement: Statement,
    columns: Columns,
}

impl PgConnection {
    /// Makes a connection ready for work whose statements the server ends after `limit`.
    pub(super) fn new(
        session: Session,
        features: Features,
        limit: Duration,
    ) -> Result<Self, DbError> {
        let mut connection = Self {
            session,
            statements: HashMap::new(),
            features,
            patience: limit.saturating_add(GRACE),
            in_transaction: false,
            broken: false,
            silent: false,
        };
        connection.command(&format!("SET statement_timeout = {}", limit.as_millis()))?;
        Ok(connection)
    }

    /// Whether a commit can carry a notice.
    pub(crate) fn notifies(&self) -> bool {
        self.features.notify
    }

    /// True once the connection is of no use any more.
    pub(super) fn is_broken(&self) -> bool {
        self.broken || self.session.is_ended()
    }

    /// True if the connection was given up because the server said nothing.
    pub(super) fn fell_silent(&self) -> bool {
        self.silent
    }

    /// Finds out whether a connection that was kept is still one.
    pub(super) fn answers(&mut self) -> bool {
        let answer = self.session.command(CHECK, "");
        answer.map_err(|ended| self.noted(ended)).is_ok()
    }

    /// Begins a transaction by the given command.
    pub(super) fn begin(&mut self, command: &str) -> Result<(), DbError> {
        self.command(command)?;
        self.in_transaction = true;
        Ok(())
    }

    /// Commits. The transaction is over afterwards, whatever the outcome.
    pub(super) fn commit(&mut self) -> Result<(), DbError> {
        self.in_transaction = false;
        self.command("COMMIT")
    }

    /// Rolls back the open transaction, if there is one.
    pub(super) fn roll_back(&mut self) {
        // A connection that cannot do it is marked as broken; the server rolls back by itself.
        if std::mem::take(&mut self.in_transaction)
            && let Err(error) = self.command("ROLLBACK")
        {
            self.broken = true;
            tracing::debug!(%error, "a transaction could not be rolled back");
        }
    }

    /// Runs commands that give no rows.
    pub(super) fn command(&mut self, text: &str) -> Result<(), DbError> {
        let done = self.session.command(self.patience, text);
        done.map_err(|ended| self.noted(ended))
    }

    pub(crate) fn query(
        &mut self,
        sql: &'static Sql,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, DbError> {
        let prepared = self.prepared(sql, params)?;
        let arguments = as_arguments(params);
        let found = self
            .session
            .run(self.patience, async |client| client.query(&prepared.statement, &arguments).await);
        found
            .map_err(|ended| self.noted(ended))?
            .iter()
            .map(|row| decoded(row, &prepared.columns))
            .collect()
    }

    pub(crate) fn execute(
        &mut self,
        sql: &'static Sql,
        params: &[Param<'_>],
    ) -> Result<u64, DbError> {
        let prepared = self.prepared(sql, params)?;
        let arguments = as_arguments(params);
        let changed = self.session.run(self.patience, async |client| {
            client.execute(&prepared.statement, &arguments).await
        });
        changed.map_err(|ended| self.noted(ended))
    }

    /// Prepares a statement and checks that parameters and columns have types of this layer.
    pub(crate) fn prepare(&mut self, sql: &'static Sql) -> Result<(), DbError> {
        let prepared = self.cached(sql)?;
        for (index, wanted) in prepared.statement.params().iter().enumerate() {
            if value_type(wanted).is_none() {
                return Err(unsupported(&format!("of parameter ${}", index + 1), wanted));
            }
        }
        for column in prepared.statement.columns() {
            if value_type(column.type_()).is_none() {
                return Err(unsupported(column.name(), column.type_()));
            }
        }
        Ok(())
    }

    fn prepared(&mut self, sql: &'static Sql, params: &[Param<'_>]) -> Result<Prepared, DbError> {
        let prepared = self.cached(sql)?;
        let wanted = prepared.statement.params();
        if wanted.len() != params.len() {
            return Err(DbError::parameter_count(wanted.len(), params.len()));
        }
        for (index, (param, wanted)) in params.iter().zip(wanted).enumerate() {
            if !fits(*param, wanted) {
                return Err(DbError::new(
                    DbErrorKind::InvalidValue,
                    format!(
                        "parameter ${} is {}, the statement wants {wanted}",
                        index + 1,
                        param.value_type().sql_name()
                    ),
                ));
            }
        }
        Ok(prepared)
    }

    fn cached(&mut self, sql: &'static Sql) -> Result<Prepared, DbError> {
        // A statement is a static: its address is its identity.
        let key = std::ptr::from_ref(sql).addr();
        if let Some(prepared) = self.statements.get(&key) {
            return Ok(prepared.clone());
        }
        let prepared =
            self.session.run(self.patience, async |client| client.prepare(sql.text()).await);
        let statement = prepared.map_err(|ended| self.noted(ended))?;
        let names = statement.columns().iter().map(Column::name);
        let prepared = Prepared { columns: sql.columns(Engine::Postgres, names), statement };
        self.statements.insert(key, prepared.clone());
        Ok(prepared)
    }

    fn noted(&mut self, ended: Ended<Error>) -> DbError {
        self.silent |= matches!(ended, Ended::Silent);
        self.broken |= match &ended {
            Ended::Failed(error) => ends_connection(error),
            Ended::Lost(_) | Ended::Silent => true,
        };
        ended.into_db_error()
    }
}

fn as_arguments<'p>(params: &'p [Param<'p>]) -> Vec<&'p (dyn ToSql + Sync)> {
    params.iter().map(|param| param as &(dyn ToSql + Sync)).collect()
}

/// The kind of value that a type of the server is read as.
fn value_type(server: &Type) -> Option<ValueType> {
    match *server {
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => {
            Some(ValueType::Text)
        }
        Type::INT8 | Type::INT4 | Type::INT2 => Some(ValueType::Integer),
        Type::BOOL => Some(ValueType::Boolean),
        Type::FLOAT8 | Type::FLOAT4 => Some(ValueType::Real),
        _ => None,
    }
}

fn fits(param: Param<'_>, wanted: &Type) -> bool {
    let in_range = match param {
        Param::Integer(number) => match *wanted {
            Type::INT4 => i32::try_from(number).is_ok(),
            Type::INT2 => i16::try_from(number).is_ok(),
            _ => true,
        },
        _ => true,
    };
    in_range && value_type(wanted) == Some(param.value_type())
}

impl ToSql for Param<'_> {
    fn to_sql(
        &self,
        wanted: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match *self {
            Self::Null(_) => Ok(IsNull::Yes),
            Self::Text(text) => text.to_sql(wanted, out),
            Self::Boolean(flag) => flag.to_sql(wanted, out),
            Self::Integer(number) => match *wanted {
                Type::INT4 => i32::try_from(number)?.to_sql(wanted, out),
                Type::INT2 => i16::try_from(number)?.to_sql(wanted, out),
                _ => number.to_sql(wanted, out),
            },
            Self::Real(number) => match *wanted {
                #[expect(clippy::cast_possible_truncation, reason = "the column holds no more")]
                Type::FLOAT4 => (number as f32).to_sql(wanted, out),
                _ => number.to_sql(wanted, out),
            },
        }
    }

    fn accepts(_wanted: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn decoded(row: &tokio_postgres::Row, columns: &Columns) -> Result<Row, DbError> {
    let values = row.columns().iter().enumerate().map(|(index, column)| {
        let server = column.type_();
        let value = match *server {
            Type::INT8 => row.try_get::<_, Option<i64>>(index).map(|v| v.map(Value::Integer)),
            Type::INT4 => row
                .try_get::<_, Option<i32>>(index)
                .map(|v| v.map(|number| Value::Integer(number.into()))),
            Type::INT2 => row
                .try_get::<_, Option<i16>>(index)
                .map(|v| v.map(|number| Value::Integer(number.into()))),
            Type::BOOL => row.try_get::<_, Option<bool>>(index).map(|v| v.map(Value::Boolean)),
            Type::FLOAT8 => row.try_get::<_, Option<f64>>(index).map(|v| v.map(Value::Real)),
            Type::FLOAT4 => row
                .try_get::<_, Option<f32>>(index)
                .map(|v| v.map(|number| Value::Real(number.into()))),
            _ if value_type(server) == Some(ValueType::Text) => {
                row.try_get::<_, Option<String>>(index).map(|v| v.map(Value::Text))
            }
            _ => return Err(unsupported(column.name(), server)),
        };
        value.map(|value| value.unwrap_or(Value::Null)).map_err(|_undecodable| {
            DbError::new(
                DbErrorKind::Decode,
                format!("column {}: the stored value cannot be read", column.name()),
            )
        })
    });
    Ok(Row::new(Arc::clone(columns), values.collect::<Result<_, _>>()?))
}

fn unsupported(column: &str, server: &Type) -> DbError {
    DbError::new(
        DbErrorKind::Decode,
        format!(
            "column {column} has type {server}: CAST it to TEXT, BIGINT, BOOLEAN or DOUBLE PRECISION"
        ),
    )
}
