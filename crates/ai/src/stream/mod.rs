//! Streamed answers: reading a provider's events, encoding ours, and watching what passes through.

pub(crate) mod body;
pub(crate) mod chunks;
pub(crate) mod depth;
pub(crate) mod encoded;
pub(crate) mod encoder;
pub(crate) mod events;
pub(crate) mod relay;
pub(crate) mod tap;
pub(crate) mod ui;

#[cfg(test)]
pub(crate) mod tests;
