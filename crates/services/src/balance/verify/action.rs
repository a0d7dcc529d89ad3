//! The check as an action of the trusted side.

use std::sync::Arc;
use std::time::Duration;

use downcity_core::{ADMIN, Cx, Error, NoInput, Result, ServiceDef};
use downcity_types::ErrorCode;
use tokio::sync::Mutex;

use super::{LedgerReport, verify};
use crate::balance::Balance;

/// The longest check.
const CHECK_TIME: Duration = Duration::from_secs(3_600);

/// Held while a check runs: one at a time.
pub(in crate::balance) type Turn = Mutex<()>;

pub(in crate::balance) fn define(balance: &Arc<Balance>, service: &mut ServiceDef) {
    service
        .post("ledger/verify", ADMIN, balance, Balance::verify_ledger)
        .summary("Check that all money is where the ledger says.")
        .description(
            "Compares wallets, ledger, lots, holds, charges, refunds, top-ups and codes, some rows at a \
             time, while others go on writing. The first hundred things that are wrong are named. A node \
             runs one check at a time; another is refused with 409.",
        )
        .timeout(CHECK_TIME)
        .cancel_on_disconnect();
}

impl Balance {
    async fn verify_ledger(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<LedgerReport> {
        let _turn = self.checking().try_lock().map_err(|_| {
            let message = "The ledger is being checked on this node; wait for that to end.";
            Error::new(ErrorCode::Conflict, message)
        })?;
        verify(cx.runtime().db(), |_| ()).await.map(LedgerReport::from)
    }
}
