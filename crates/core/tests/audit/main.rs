//! The audit trail: what leaves a row, that nothing is written without, and that changes show.

#[cfg(test)]
mod by_services;
#[cfg(test)]
mod common;
#[cfg(test)]
mod list;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod secrecy;
#[cfg(test)]
mod verify;
#[cfg(test)]
mod writes;
