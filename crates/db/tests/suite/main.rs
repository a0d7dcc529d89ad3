//! The database layer through its public interface, on both engines.

#[cfg(test)]
mod common;
#[cfg(test)]
mod transactions;
