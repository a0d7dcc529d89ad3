//! Every noun and verb of the command line, against a server process.

#[cfg(test)]
mod account;
#[cfg(test)]
mod backup;
#[cfg(test)]
mod balance;
#[cfg(test)]
mod call;
#[cfg(test)]
mod chat;
#[cfg(test)]
mod city;
#[cfg(test)]
mod connection;
#[cfg(test)]
mod env;
#[cfg(test)]
mod job;
#[cfg(test)]
mod key;
#[cfg(test)]
mod local;
#[cfg(test)]
mod model;
#[cfg(test)]
mod payment;
#[cfg(test)]
mod redeem;
#[cfg(test)]
mod token;
#[cfg(test)]
mod usage;
#[cfg(test)]
mod verify;
#[cfg(test)]
#[path = "../support/world.rs"]
mod world;
