//! Limits: of addresses, callers and cities, alone and on several nodes.

#[cfg(test)]
mod addresses;
#[cfg(test)]
mod callers;
#[cfg(test)]
mod common;
#[cfg(test)]
mod nodes;
