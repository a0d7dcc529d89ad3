//! Durable work: rows that workers on any node run, each until it is done or given up.
//!
//! A job is enqueued in the transaction of its cause and looked for by due time. A worker holds it
//! by a lease with a fencing token; a run takes at most its lease, so a job whose node died is due
//! again when the lease ends. A job may therefore run more than once: its effect has to be
//! idempotent, or end the job in its own transaction ([`finish`]).

mod job;
mod service;
mod store;
mod sweep;
mod worker;

pub(crate) use job::JobRegistration;
pub use job::{Job, JobCx, JobEnd, JobPolicy, Lease, NewJob};
pub use service::{JobRecord, JobsService};
pub use store::{JobRow, JobStatus, enqueue, finish, get};
pub use sweep::sweep;
pub use worker::run_due;
pub(crate) use worker::start_workers;
