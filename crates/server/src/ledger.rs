//! The ledger of a configured database, looked at from outside.

use downcity_core::Error;
use downcity_db::{Db, DbOptions};
use downcity_services::balance::verify;
pub use downcity_services::balance::{
    Broken as BrokenMoney, LedgerReport, Problem as MoneyProblem,
    Verification as LedgerVerification,
};

use crate::builder::FederationBuilder;
use crate::error::StartError;

impl FederationBuilder {
    /// Checks that all money of the configured database is where its ledger says. Works while a server
    /// runs on it; the database is neither created nor migrated, and no master key is needed.
    /// `progress` is told how many entries are done.
    ///
    /// # Errors
    /// When there is no database yet, when it cannot be read, or when it has no ledger.
    pub async fn verify_ledger(
        mut self,
        progress: impl FnMut(u64) + Send,
    ) -> Result<LedgerVerification, StartError> {
        let url = self.existing_database()?;
        crate::builder::install_crypto_provider();
        let shown = url.to_string();
        let unusable = |error: &Error| StartError::kernel(&shown, error);
        let options = DbOptions::new(url);
        let db = Db::open_to_read(&options).map_err(|error| unusable(&error.into()))?;
        let checked = verify(&db, progress).await;
        db.close().await;
        checked.map_err(|error| unusable(&error))
    }
}
