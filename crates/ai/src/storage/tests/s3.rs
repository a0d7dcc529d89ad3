//! A bucket.
