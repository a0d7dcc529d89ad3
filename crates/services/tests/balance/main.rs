//! The service `balance`, over HTTP and as other services use it.

#[cfg(test)]
mod holds;
