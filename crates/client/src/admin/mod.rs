//! What your server does with the admin key.

pub(crate) mod amount;
pub(crate) mod backup;
pub(crate) mod balance;
pub(crate) mod cities;
pub(crate) mod env;
pub(crate) mod money;
#[cfg(test)]
mod tests;
pub(crate) mod tokens;

use downcity_types::Items;
use serde_json::Value;

use crate::{Admin, Balance, CatalogModel, Cities, City, Env, Result, Tokens};

impl City<Admin> {
    /// The cities of the Federation.
    #[must_use]
    pub fn cities(&self) -> Cities<'_> {
        Cities::new(&self.inner)
    }

    /// Tokens for users of the client's city.
    #[must_use]
    pub fn tokens(&self) -> Tokens<'_> {
        Tokens::new(&self.inner)
    }

    /// The env: values that services and models read, such as keys of providers.
    #[must_use]
    pub fn env(&self) -> Env<'_> {
        Env::new(&self.inner)
    }

    /// Wallets, top-ups, charges and redeem codes.
    #[must_use]
    pub fn balance(&self) -> Balance<'_> {
        Balance::new(&self.inner)
    }

    /// All models, with the env keys that they need: `GET /v1/ai/models`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn list_models(&self) -> Result<Vec<CatalogModel>> {
        let call = self.inner.get(&["ai", "models"], &Value::Null)?;
        let models: Items<CatalogModel> = self.inner.json(call).await?;
        Ok(models.items)
    }

    /// What people and agents need to know to use this Federation, as Markdown.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn instruction(&self) -> Result<String> {
        self.inner.text(self.inner.get(&["federation", "instruction"], &Value::Null)?).await
    }
}
