//! All rows of a PostgreSQL database into a SQLite file, and back.
//!
//! Both engines have the same tables from the same migrations, and both directions go by the tables
//! that are there: each row is read and written once, with the rules of the tables out of the way, so
//! that ledgers and chains arrive as they are.

mod file;
mod plan;
mod put;
mod server;
mod take;
mod text;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use file::{came_from_postgres, forget_origin, migrate_copy};
pub(crate) use put::put;
pub(crate) use take::take;

use crate::error::{DbError, DbErrorKind};

/// Rows between two words about the progress within a table.
const ROWS_PER_WORD: u64 = 10_000;

/// How far a copy is that goes table by table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyProgress<'a> {
    /// The table at hand.
    pub table: &'a str,
    /// Its number, from 1.
    pub number: usize,
    /// How many tables there are.
    pub of: usize,
    /// Its rows that are done.
    pub rows: u64,
    /// Whether those are all.
    pub is_done: bool,
}

/// Who is told how a copy goes.
type Told = Box<dyn FnMut(CopyProgress<'_>) + Send>;

/// Looks on while a copy is made, and can stop it.
#[derive(Default)]
pub struct CopyWatch {
    stop: CopyStop,
    told: Option<Told>,
}

/// Stops a copy that is being made. Clones stop the same one.
#[derive(Clone, Debug, Default)]
pub struct CopyStop(Arc<AtomicBool>);

impl CopyStop {
    /// Stops it: whoever makes it soon gets an error of the kind `Closed`, and nothing of it is left.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl CopyWatch {
    /// Tells `told` about each table, and about each ten thousand rows. Copies of a SQLite file are made
    /// as a whole: there is nothing to tell.
    #[must_use]
    pub fn telling(mut self, told: impl FnMut(CopyProgress<'_>) + Send + 'static) -> Self {
        self.told = Some(Box::new(told));
        self
    }

    /// What stops it.
    pub fn stop(&self) -> CopyStop {
        self.stop.clone()
    }

    /// Says how far it is; fails once it was stopped.
    fn tell(&mut self, progress: CopyProgress<'_>) -> Result<(), DbError> {
        if let Some(told) = &mut self.told {
            told(progress);
        }
        if self.stop.is_stopped() { Err(stopped()) } else { Ok(()) }
    }
}

impl fmt::Debug for CopyWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyWatch").field("stop", &self.stop).finish_non_exhaustive()
    }
}

/// The error of a copy that was stopped.
pub(crate) fn stopped() -> DbError {
    DbError::new(DbErrorKind::Closed, "the copy was stopped")
}

/// A name as both engines read it, whatever it holds.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
