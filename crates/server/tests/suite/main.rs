//! The server over real sockets, and its configuration.

#[cfg(test)]
mod addresses;
#[cfg(test)]
mod config;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod env_store;
#[cfg(test)]
mod federation;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod observe;
#[cfg(feature = "otlp")]
#[cfg(test)]
mod otlp;
#[cfg(test)]
mod rate_limits;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod support;
#[cfg(test)]
mod unread;
