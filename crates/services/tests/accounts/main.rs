//! Accounts over HTTP, on both engines.

#[cfg(test)]
mod common;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod sign_in;
