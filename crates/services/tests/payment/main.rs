//! The service `payment`, over HTTP and against providers on loopback.

#[cfg(test)]
mod asked;
#[cfg(test)]
mod back;
#[cfg(test)]
mod common;
#[cfg(test)]
mod events;
#[cfg(test)]
mod forged;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod paid;
