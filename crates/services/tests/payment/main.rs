//! The service `payment`, over HTTP and against providers on loopback.

#[cfg(test)]
mod back;
#[cfg(test)]
mod common;
#[cfg(test)]
mod events;
#[cfg(test)]
mod forged;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod paid;
