//! Copies of the database over HTTP.

#[cfg(test)]
mod copies;
