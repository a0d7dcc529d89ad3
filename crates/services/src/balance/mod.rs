//! The service `balance`: wallets, their ledger, holds and charges.

mod amount;
mod charges;
mod config;
mod holds;
mod refunds;
mod service;
mod settings;
mod wallet;

pub use config::{BalanceConfig, WalletScope};
pub use holds::HoldStatus;
pub use refunds::{Refund, Refunded, claw_back};
pub use service::Balance;
pub use wallet::{Kind, Note, Owner, Wallet};
