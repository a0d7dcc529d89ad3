//! Checking every statement of the program against a database.

use crate::sql::registered_statements;
use crate::{Db, DbError};

/// Prepares every registered statement on a database whose migrations are applied, and checks that
/// result columns have types that exist on both engines. Run it on both.
///
/// # Errors
/// Every statement that the engine refuses, with its `file:line`.
pub async fn prepare_all(db: &Db) -> Result<(), Vec<(String, DbError)>> {
    let mut refused = Vec::new();
    for statement in registered_statements() {
        // A transaction each: on PostgreSQL a refused statement ends its transaction.
        if let Err(error) = db.scan(move |tx| tx.prepare(statement)).await {
            refused.push((statement.location(), error));
        }
    }
    if refused.is_empty() { Ok(()) } else { Err(refused) }
}
