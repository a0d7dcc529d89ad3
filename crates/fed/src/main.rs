//! `fed`: the Federation as one binary.
//!
//! Data goes to standard output, everything else to standard error. Exit codes: 0 ok, 1 failure,
//! 2 usage, 3 not found, 4 not allowed, 5 conflict, 6 unreachable.

mod actions;
mod args;
mod audit;
mod backup;
mod commands;
mod connection;
mod doctor;
mod download;
mod failure;
mod fed;
mod ledger;
mod nouns;
mod output;
mod payment;
mod reference;
mod remote;
mod shapes;
mod vault;
mod workspace;

use std::process::ExitCode;

use clap::Parser as _;

/// A server holds many small, short-lived values: this allocator keeps them close together.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let command = args.command.unwrap_or_else(args::without_command);
    match commands::run(args.flags, command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
