//! The audit trail of a configured database, looked at from outside.

use downcity_core::Error;
use downcity_core::audit::verify;
pub use downcity_core::audit::{Anchor, AuditReport, Broken, Problem, Verification};
use downcity_db::{Db, DbOptions};

use crate::builder::FederationBuilder;
use crate::error::StartError;

impl FederationBuilder {
    /// Checks that no row of the configured database's audit trail was changed, removed or put in
    /// later. Works while a server runs on it; the database is neither created nor migrated, and no
    /// master key is needed. `progress` is told how many rows are done, of how many.
    ///
    /// # Errors
    /// When there is no database yet, when it cannot be read, or when it has no audit trail.
    pub async fn verify_audit(
        mut self,
        anchor: Option<Anchor>,
        progress: impl FnMut(i64, i64) + Send,
    ) -> Result<Verification, StartError> {
        let url = self.existing_database()?;
        crate::builder::install_crypto_provider();
        let shown = url.to_string();
        let unusable = |error: &Error| StartError::kernel(&shown, error);
        let options = DbOptions::new(url);
        let db = Db::open_to_read(&options).map_err(|error| unusable(&error.into()))?;
        let checked = verify(&db, anchor.as_ref(), progress).await;
        db.close().await;
        checked.map_err(|error| unusable(&error))
    }
}
