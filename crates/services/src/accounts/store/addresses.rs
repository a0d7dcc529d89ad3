//! The table `accounts_addresses`: from where users have signed in.

use downcity_core::Result;
use downcity_db::{Tx, sql};
use downcity_types::Timestamp;

/// Notes that a user has signed in from an address.
pub(crate) fn note(tx: &mut Tx<'_>, user_id: &str, address: &str, now: Timestamp) -> Result<()> {
    tx.execute(
        sql!(
            "INSERT INTO accounts_addresses (user_id, address, used_at) VALUES ($1, $2, $3)
             ON CONFLICT (user_id, address) DO UPDATE SET used_at = excluded.used_at"
        ),
        &[&user_id, &address, &now.millis()],
    )?;
    Ok(())
}

/// Whether a user has signed in from an address before.
pub(crate) fn is_known(tx: &mut Tx<'_>, user_id: &str, address: &str) -> Result<bool> {
    let row = tx.query_opt(
        sql!("SELECT used_at FROM accounts_addresses WHERE user_id = $1 AND address = $2"),
        &[&user_id, &address],
    )?;
    Ok(row.is_some())
}

/// Deletes the addresses of a user.
pub(crate) fn delete_of(tx: &mut Tx<'_>, user_id: &str) -> Result<()> {
    tx.execute(sql!("DELETE FROM accounts_addresses WHERE user_id = $1"), &[&user_id])?;
    Ok(())
}

/// Deletes addresses that were last used before, at most `chunk`; says how many.
pub(crate) fn delete_unused(tx: &mut Tx<'_>, before: Timestamp, chunk: u32) -> Result<u64> {
    Ok(tx.execute(
        sql!(
            "DELETE FROM accounts_addresses WHERE (user_id, address) IN
             (SELECT user_id, address FROM accounts_addresses WHERE used_at < $1 LIMIT $2)"
        ),
        &[&before.millis(), &chunk],
    )?)
}
