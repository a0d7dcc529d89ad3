//! Money against a model: random sequences of everything that moves it, over HTTP, on both engines.
//!
//! After each step the tables hold what a model in plain memory says: every wallet, lot, entry, hold,
//! charge, top-up and code. 60 sequences on SQLite and 30 on PostgreSQL, 2,000 and 1,000 with
//! `DOWNCITY_LONG_TESTS=1`.

#[cfg(test)]
mod model;
#[cfg(test)]
mod seen;
#[cfg(test)]
mod sequences;
#[cfg(test)]
mod steps;
