//! Copies of the database, over HTTP.
//!
//! A copy is made in a folder of its own, which nobody else may read, and sent from there piece by
//! piece. Whatever happens, nothing of it stays on the disk: the folder goes with the work that uses it,
//! and one that a killed process has left goes with the next copy.

mod folder;
mod service;

pub(crate) use service::BackupService;

/// The id of the service. `*` of a service key leaves it out: a copy holds everything.
pub(crate) const SERVICE_ID: &str = "backup";
