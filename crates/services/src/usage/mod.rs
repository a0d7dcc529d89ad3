//! The service `usage`: one fact per call of a user, receipts and sums.
//!
//! # What is here
//! * `queue`: facts on their way to the database, off the path of calls.
//! * `events`: the facts; `sums`: sums per day, kept behind the facts; `window`, `summary` and `mine`:
//!   both read together.
//!
//! # Invariants
//! * A call is never slower or worse for being recorded: what cannot be stored in time is counted
//!   and dropped.
//! * A request has one fact at most. Facts of billed calls are stored in the transaction that charges
//!   for them.
//! * What a node recorded is stored before the node answers what was recorded, and before it stops.
//! * No text of a fact holds a credential.

mod config;
mod events;
mod mine;
mod queue;
mod records;
mod redact;
mod service;
mod summary;
mod sums;
mod window;

pub use config::{RecordedCalls, UsageConfig};
pub use records::{Mine, MyDay, MySummary, RecordingStatus, SummaryItem, UsageEvent};
pub use service::Usage;
