//! Who may call what: every route of a whole Federation, for every kind of caller.
//!
//! The rows stand in `table.rs`, one per action, with what the action asks for and an input that is
//! good. What each caller gets follows from the row alone, so that an access that is opened by
//! mistake fails here. A new action without a row fails too.

#[cfg(test)]
mod matrix;
#[cfg(test)]
mod table;
#[cfg(test)]
mod world;
