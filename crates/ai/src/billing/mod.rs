//! Calls that cost money: held before the provider is called, settled from what was consumed.
//!
//! A call of a priced model reserves its estimate in one write, before anything goes to the
//! provider; a wallet that does not cover it ends the call with 402. The [`Meter`] then carries the
//! [`Bill`] to the end of the call, whatever that is, and leaves what is [`Due`] there. Once the
//! call has ended and nothing of it is under way, the [`Cashier`] stores a job that settles it, or
//! gives the hold back where nothing is owed.
//!
//! Calls of free models, and those of the trusted side unless configured, come near no database.
//!
//! [`Meter`]: crate::metering::Meter

mod bill;
mod settle;

use std::sync::Arc;

use downcity_core::Wallets;
use downcity_core::fact::FactStore;

pub(crate) use bill::{Bill, Due, Progress};
pub(crate) use settle::{Cashier, Settle};

/// Where the money of calls is held and charged, and where their facts are stored.
#[derive(Clone)]
pub struct Billing {
    /// The wallets that pay.
    pub wallets: Arc<dyn Wallets>,
    /// Keeps the fact of each call that was paid for, in the transaction that charges it.
    pub facts: Arc<dyn FactStore>,
}

impl std::fmt::Debug for Billing {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Billing").finish_non_exhaustive()
    }
}
