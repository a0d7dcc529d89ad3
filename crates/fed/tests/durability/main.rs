//! What was answered survives: the death of the process at any moment, and faults of disk and
//! database.
//!
//! `rounds`: `kill -9` at random moments of a mixed write load. What was answered is there after the
//! next start, what was not answered happened whole or not at all, and a start takes two seconds at
//! most. 50 rounds on each engine, 1,000 with `DOWNCITY_LONG_TESTS=1`. The random numbers follow from
//! a seed that is printed; `DOWNCITY_TEST_SEED` sets it.
//!
//! `money`: the same under a load of money. Whatever was answered is in the ledger exactly once, and
//! `fed ledger verify` finds nothing wrong. 50 rounds on SQLite and 25 on PostgreSQL, 200 in the long
//! run.
//!
//! `disk`: what callers are told while the disk is full or fails, and that the server recovers
//! without a restart. `connection`: the same for a connection to PostgreSQL that breaks at any byte.
//!
//! `dotenv`: `kill -9` while env values are written into a `.env` file, which is the old one or the new
//! one afterwards. 20 rounds, 200 in the long run.

#[cfg(test)]
mod check;
#[cfg(test)]
mod connection;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod dotenv;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod http;
#[cfg(test)]
mod load;
#[cfg(test)]
mod model;
#[cfg(test)]
mod money;
#[cfg(test)]
mod node;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod random;
#[cfg(test)]
mod rounds;
