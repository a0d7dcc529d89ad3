//! Accounts over HTTP, on both engines.

#[cfg(test)]
mod account;
#[cfg(test)]
mod common;
#[cfg(test)]
mod import;
#[cfg(test)]
mod links;
#[cfg(test)]
mod oauth;
#[cfg(test)]
mod passwords;
#[cfg(test)]
mod races;
#[cfg(test)]
mod secrecy;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod smtp;
#[cfg(test)]
mod throttle;
#[cfg(test)]
mod verification;
