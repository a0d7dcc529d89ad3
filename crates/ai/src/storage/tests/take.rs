//! Downloads that are stored.
