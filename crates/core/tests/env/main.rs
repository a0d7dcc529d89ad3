//! The env vault as callers, operators and other nodes meet it, and what a first start makes.

#[cfg(test)]
mod actions;
#[cfg(test)]
mod at_rest;
#[cfg(test)]
mod boot;
#[cfg(test)]
mod by_hand;
#[cfg(test)]
mod catalog;
#[cfg(test)]
mod cities;
#[cfg(test)]
mod common;
#[cfg(test)]
mod dotenv;
#[cfg(test)]
mod erased;
#[cfg(test)]
mod history;
#[cfg(test)]
mod master_key;
#[cfg(test)]
mod probe;
#[cfg(test)]
mod rekey;
