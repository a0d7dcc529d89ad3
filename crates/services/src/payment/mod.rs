//! The service `payment`: checkouts and webhooks of payment providers.
//!
//! # Invariants
//! * Money is credited by a verified event of the provider alone, and once per payment: the ledger's effect
//!   `payment:<payment_id>` is unique.
//! * An event is one transaction: its payment, the top-up, the ledger and its own end.
//! * Money is never swallowed: what is paid is credited, or waits in `review`.
//! * Without the secret of its webhooks a provider is off.

mod admin;
mod alias;
mod apply;
mod checkout;
mod config;
mod events;
mod pages;
mod providers;
mod record;
pub mod sandbox;
mod service;
mod signature;
mod store;
mod sweeper;
mod webhook;

pub use alias::StripePayment;
pub use config::{CurrencyConfig, PaidTwice, PaymentConfig, PaymentMode, RedirectConfig};
pub use events::{EventRecord, SyncStatus};
pub use record::{Checkout, Method, OwnPayment, PaymentStatus};
pub use service::Payment;
pub use webhook::WebhookAck;

/// Signs as providers sign: for programs that play one.
pub mod sign {
    pub use super::signature::hmac::sign::{hex, standard};
    pub use super::signature::rsa::{KeyError, PrivateKey};
}
