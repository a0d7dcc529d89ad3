//! What a product's client does for one user.

pub(crate) mod ai;
pub(crate) mod handle;
pub(crate) mod input;
pub(crate) mod job;
pub(crate) mod models;
pub(crate) mod payment;
pub(crate) mod stream;
#[cfg(test)]
mod tests;

use crate::{Ai, City, Payment, User};

impl City<User> {
    /// The models.
    #[must_use]
    pub fn ai(&self) -> Ai<'_> {
        Ai::new(self)
    }

    /// Buying credits.
    #[must_use]
    pub fn payment(&self) -> Payment<'_> {
        Payment::new(self)
    }
}
