//! Tokens that are dead before their time.

use downcity_db::Tx;

use crate::Result;

/// Which tokens are revoked: by token id, by user, by city.
#[derive(Default)]
pub struct Revocations {}

impl Revocations {
    /// Reads the revocations that still matter.
    pub(crate) fn load(_tx: &mut Tx<'_>) -> Result<Self> {
        Ok(Self {})
    }
}
