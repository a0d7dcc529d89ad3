//! What was decided at the first start.

use downcity_core::{Error, Result};
use downcity_db::{Tx, sql};
use downcity_types::{ErrorCode, Timestamp};

use super::config::WalletScope;

/// Keeps the scope of wallets, or compares it with the one that was kept.
///
/// # Errors
/// When the database was begun with another scope: money of users would change hands.
pub(super) fn keep_scope(tx: &mut Tx<'_>, scope: WalletScope, now: Timestamp) -> Result<()> {
    tx.execute(
        sql!(
            "INSERT INTO balance_settings (id, wallet_scope, created_at) VALUES (1, $1, $2)
             ON CONFLICT (id) DO NOTHING"
        ),
        &[&scope.as_str(), &now.millis()],
    )?;
    let row = tx.query_one(sql!("SELECT wallet_scope FROM balance_settings WHERE id = 1"), &[])?;
    let kept: String = row.get("wallet_scope")?;
    if kept == scope.as_str() {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::MissingConfig,
        format!(
            "balance.wallet_scope is \"{}\", but the wallets of this database are of \"{kept}\".",
            scope.as_str()
        ),
    )
    .with_fix(format!("Set wallet_scope = \"{kept}\" in [balance], or use another database.")))
}
