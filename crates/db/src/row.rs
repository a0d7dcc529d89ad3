//! One row of a result.

use crate::error::{DbError, DbErrorKind};
use crate::sql::Columns;
use crate::value::{FromValue, Value};

/// One row of a result: named values, owned.
#[derive(Clone, Debug)]
pub struct Row {
    columns: Columns,
    values: Vec<Value>,
}

impl Row {
    pub(crate) fn new(columns: Columns, values: Vec<Value>) -> Self {
        Self { columns, values }
    }

    /// The value of the column `name`.
    ///
    /// # Errors
    /// `Decode` if there is no such column, or if its value is not a `T`; NULL is a value of
    /// `Option<T>` only. The error names the column, never the value.
    pub fn get<T: FromValue>(&self, name: &str) -> Result<T, DbError> {
        let Some(index) = self.columns.iter().position(|column| **column == *name) else {
            return Err(DbError::new(
                DbErrorKind::Decode,
                format!("the result has no column {name}"),
            ));
        };
        self.at(index)
    }

    /// The value at `index`, counted from zero. Errors as [`Row::get`].
    pub fn at<T: FromValue>(&self, index: usize) -> Result<T, DbError> {
        let Some(value) = self.values.get(index) else {
            return Err(DbError::new(
                DbErrorKind::Decode,
                format!("the result has {} columns, none at {index}", self.values.len()),
            ));
        };
        T::from_value(value).map_err(|expected| {
            let name = self.columns.get(index).map_or("?", |column| column);
            let found = if *value == Value::Null { "NULL" } else { "another type" };
            DbError::new(
                DbErrorKind::Decode,
                format!("column {name}: expected {expected}, found {found}"),
            )
        })
    }
}
