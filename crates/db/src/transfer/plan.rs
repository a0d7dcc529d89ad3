//! Which table of the one side is which of the other.

use std::collections::HashMap;

use super::file::FileTable;
use super::quoted;
use super::server::{ServerColumn, ServerTable};
use crate::error::{DbError, DbErrorKind};

/// What the names of histories of migrations begin with.
const HISTORY: &str = "schema_history_";

/// A table on both sides, with its columns in one order.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) server: String,
    pub(super) file: FileTable,
    pub(super) columns: Vec<ServerColumn>,
}

impl Pair {
    /// Its columns as the server lists them.
    pub(super) fn server_columns(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|column| quoted(&column.name)).collect();
        names.join(", ")
    }
}

/// The same tables of two databases.
pub(super) struct Plan {
    pub(super) pairs: Vec<Pair>,
    /// Tables that only the server has.
    pub(super) only_server: Vec<String>,
    /// Tables that only the file has.
    pub(super) only_file: Vec<String>,
}

/// Whether a table is the history of a service's migrations: each engine has its own.
pub(super) fn is_history(table: &str) -> bool {
    table.starts_with(HISTORY)
}

/// The service of a history.
pub(super) fn service_of(history: &str) -> &str {
    history.strip_prefix(HISTORY).unwrap_or(history)
}

/// Matches the tables of both sides. The engines spell a name in their own way: one folds its letters.
///
/// # Errors
/// `SchemaDivergent` for a table with other columns on one side.
pub(super) fn plan(server: Vec<ServerTable>, file: Vec<FileTable>) -> Result<Plan, DbError> {
    let mut waiting: HashMap<String, FileTable> =
        file.into_iter().map(|table| (table.name.to_lowercase(), table)).collect();
    let mut plan = Plan { pairs: Vec::new(), only_server: Vec::new(), only_file: Vec::new() };
    for table in server.into_iter().filter(|table| !is_history(&table.name)) {
        match waiting.remove(&table.name.to_lowercase()) {
            Some(file) => plan.pairs.push(pair(table, file)?),
            None => plan.only_server.push(table.name),
        }
    }
    plan.only_file =
        waiting.into_values().map(|table| table.name).filter(|name| !is_history(name)).collect();
    plan.only_file.sort_unstable();
    Ok(plan)
}

fn pair(server: ServerTable, mut file: FileTable) -> Result<Pair, DbError> {
    let mut columns = Vec::with_capacity(file.columns.len());
    let mut names = Vec::with_capacity(file.columns.len());
    for column in server.columns {
        let same = file.columns.iter().position(|name| name.eq_ignore_ascii_case(&column.name));
        let Some(place) = same else { return Err(unlike(&server.name, &column.name)) };
        names.push(file.columns.swap_remove(place));
        columns.push(column);
    }
    if let Some(left) = file.columns.first() {
        return Err(unlike(&server.name, left));
    }
    file.columns = names;
    Ok(Pair { server: server.name, file, columns })
}

fn unlike(table: &str, column: &str) -> DbError {
    DbError::new(
        DbErrorKind::SchemaDivergent,
        format!(
            "the column {column} of {table} is on one side alone: this program does not have the schema of the other; use the version that made it"
        ),
    )
}
