//! After rows that were written by hand have been sealed: what they said goes from the files.

use std::sync::Arc;

use downcity_db::{Db, Tx, sql};
use downcity_types::Timestamp;

use super::backing::Values;
use super::store::{self, Writer};
use super::{NonceSeed, Vault};
use crate::{Error, Result};

/// Overwrites the clear text of rows that have just been sealed. A failure is told in the log: the
/// rows are sealed all the same.
pub(crate) async fn erase_clear_text(db: &Db) {
    if let Err(error) = db.erase_replaced(&["env", "city_env"]).await {
        tracing::warn!(
            %error,
            "env values are sealed, but what they were before may still stand in the files of the database; POST /v1/env/refresh after the next edit tries again"
        );
    }
}

/// Seals the rows of copies that this start has taken before it migrated, as they stand in the
/// database now. A copy that another vault belongs to, or that is older than the vault, stays as it
/// is; the log says so.
pub(crate) async fn seal_copies(db: &Db, vault: &Arc<Vault>, seed: NonceSeed, now: Timestamp) {
    let created_at = match db.scan(vault_age).await {
        Ok(created_at) => created_at,
        Err(error) => return tracing::warn!(%error, "copies of the database were not sealed"),
    };
    let vault = vault.clone();
    let sealed = db.rewrite_copies(move |tx| {
        if vault_age(tx).ok().flatten() != created_at {
            return Ok(false);
        }
        let values = Values::of_table();
        let writer = Writer { vault: &vault, seed: &seed, now, values: &values };
        Ok::<_, Error>(store::seal_clear_rows(tx, &writer)?.len() > 0)
    });
    match sealed.await {
        Ok(0) => {}
        Ok(copies) => tracing::info!(copies, "env values were sealed in copies of the database"),
        Err(error) => {
            tracing::warn!(%error, "a copy of the database may hold env values in the clear")
        }
    }
}

/// When the vault was made: it tells one vault from another, whatever its master key is now.
fn vault_age(tx: &mut Tx<'_>) -> Result<Option<i64>> {
    let row = tx.query_opt(sql!("SELECT created_at FROM vault WHERE id = 1"), &[])?;
    row.map(|row| Ok(row.get("created_at")?)).transpose()
}
