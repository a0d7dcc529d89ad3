//! `fed`: the Federation as one binary.
//!
//! Data goes to standard output, everything else to standard error. Exit codes: 0 ok, 1 failure,
//! 2 usage, 3 not found, 4 not allowed, 5 conflict, 6 unreachable.

mod args;
mod audit;
mod backup;
mod commands;
mod connection;
mod doctor;
mod failure;
mod fed;
mod ledger;
mod model;
mod nouns;
mod output;
mod payment;
mod reference;
mod remote;
mod vault;

use std::process::ExitCode;

use clap::Parser as _;

/// A server holds many small, short-lived values: this allocator keeps them close together.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = args::Args::parse();
    match commands::run(args.flags, args.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
