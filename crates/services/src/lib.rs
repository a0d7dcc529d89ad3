//! The official services: who people are, what they own, how they pay, and what they used.
//!
//! * [`Accounts`]: people, their ways to sign in, their sessions.
//! * [`Balance`]: wallets, the ledger, holds, top-ups and redeem codes.
//! * [`Payment`]: checkouts and webhooks of payment providers.
//! * [`Usage`]: one fact per call, and receipts.
//!
//! # Invariants
//! * Built on the public interface of the core only.
//! * Every change of a balance is one transaction with its ledger entry.
//! * No price lives here: callers say what something costs.

pub mod accounts;
pub mod balance;
mod http;
pub mod mail;
pub mod payment;
pub mod usage;

pub use self::http::client as http_client;
pub use accounts::{Accounts, AccountsConfig, EmailVerification, OauthConfirmation};
pub use balance::{Balance, BalanceConfig, GateUnit};
pub use mail::{MailConfig, MailMode, MailTls};
pub use payment::{Payment, PaymentConfig, StripePayment};
pub use usage::{Usage, UsageConfig};
