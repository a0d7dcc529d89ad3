//! Whether all money is where the ledger says: a walk over the whole database, some rows at a time.
//!
//! It needs no lock, and works while servers move money. What a wallet holds is compared with entries
//! that were there at the same time: the state of a wallet and the number of its last entry are read
//! together, and entries do not change afterwards. Everything else is compared within one statement.

mod action;
mod effects;
mod report;
mod vouchers;
mod wallets;

use downcity_core::Result;
use downcity_db::Db;

pub(super) use action::{Turn, define};
pub use report::{Broken, LedgerReport, Problem, Verification};

/// Compares wallets, ledger, lots, holds, charges, refunds, top-ups and codes with each other. `progress` is told how
/// many entries are done.
///
/// # Errors
/// When the database does not answer, or holds no wallets' tables.
pub async fn verify(db: &Db, mut progress: impl FnMut(u64) + Send) -> Result<Verification> {
    let mut report = Verification::default();
    wallets::walk(db, &mut report, &mut progress).await?;
    effects::charges(db, &mut report).await?;
    effects::holds(db, &mut report).await?;
    effects::refunds(db, &mut report).await?;
    vouchers::topups(db, &mut report).await?;
    vouchers::codes(db, &mut report).await?;
    effects::repeated(db, &mut report).await?;
    Ok(report)
}
