//! The service `balance`, over HTTP and as other services use it.

#[cfg(test)]
mod actions;
#[cfg(test)]
mod holds;
#[cfg(test)]
mod trust;
#[cfg(test)]
mod verify;
