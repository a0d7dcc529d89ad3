//! The database layer through its public interface, on both engines.

#[cfg(test)]
mod backup;
#[cfg(test)]
mod closures;
#[cfg(test)]
mod common;
#[cfg(test)]
mod durability;
#[cfg(test)]
mod notices;
#[cfg(test)]
mod queue;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod server_faults;
#[cfg(test)]
mod silence;
#[cfg(test)]
mod transactions;
#[cfg(test)]
mod transfer;
#[cfg(test)]
mod url;
#[cfg(test)]
mod values;
