//! Durable work: rows that workers on any node run, each until it is done or given up.

mod job;
mod worker;

pub use job::Job;
pub(crate) use job::JobRegistration;
pub(crate) use worker::start_workers;
