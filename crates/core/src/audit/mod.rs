//! The audit trail: who changed what on the trusted side.
//!
//! Handlers write through [`Call::write`](crate::Call::write) and
//! [`Call::change`](crate::Call::change), whose closures get a [`Trail`] beside the transaction.
//! What they record there is appended to the table `audit` before the commit, so that a change and
//! its row stand or fall together. For the admin key and for service keys a closure that neither
//! records nor says that nothing changed fails its transaction: no write succeeds without its row.
//!
//! Each row holds the hash of the row before (see `chain.rs`). Nodes append in one order, because
//! each locks the head of the chain before it reads it.

mod chain;
mod service;
mod store;
mod trail;
mod verify;

pub use service::AuditService;
pub use trail::{Target, Trail};
pub use verify::{Anchor, AuditProblem, AuditReport, Broken, Problem, Verification, verify};

/// The action of what a start of a node changes.
pub(crate) const START: &str = "system/start";
