//! Signing in with a provider, against a provider on loopback.

mod admin;
mod concurrency;
mod failures;
mod flows;
mod identities;
mod lured;
mod resolution;
pub(crate) mod world;
