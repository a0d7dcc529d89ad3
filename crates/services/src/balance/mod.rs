//! The service `balance`: wallets, their ledger, holds and charges.

mod account;
mod amount;
mod changing;
mod charges;
mod codes;
mod config;
mod extra;
mod gate;
mod holds;
pub(crate) mod listing;
mod lists;
mod reading;
mod records;
mod refunds;
mod service;
mod settings;
mod sweeper;
pub mod topups;
mod verify;
mod wallet;

pub use account::Account;
pub use codes::{CodeStatus, RedeemCode};
pub use config::{BalanceConfig, WalletScope};
pub use extra::Noted;
pub use gate::GateUnit;
pub use holds::HoldStatus;
pub use records::{ChargeRecord, Conversion, HoldRecord, LedgerEntry, OwnWallet};
pub(crate) use refunds::forgive;
pub use refunds::{Refund, Refunded, claw_back};
pub use service::Balance;
pub use sweeper::{sweep_vouchers, sweep_wallets};
pub use verify::{Broken, LedgerReport, Problem, Verification, verify};
pub use wallet::{Kind, Note, Owner, Wallet};
pub(crate) use wallet::{NEVER, credit};
