//! The env vault as callers, operators and other nodes meet it, and what a first start makes.

mod actions;
mod at_rest;
mod boot;
mod by_hand;
mod catalog;
mod common;
mod master_key;
