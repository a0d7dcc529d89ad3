//! The `env` table.

use downcity_db::{Tx, sql};

use super::{EnvValues, Vault};
use crate::{Result, Secret};

/// Opens every row.
pub(crate) fn load(tx: &mut Tx<'_>, _vault: &Vault) -> Result<EnvValues> {
    let mut values = EnvValues::default();
    for row in tx.query(sql!("SELECT key, value FROM env ORDER BY key"), &[])? {
        values.entries.insert(row.get("key")?, Secret::new(row.get::<String>("value")?));
    }
    Ok(values)
}
