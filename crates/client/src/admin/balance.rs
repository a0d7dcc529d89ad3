//! Wallets, top-ups, charges and redeem codes.

use downcity_types::Items;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::money::{
    BalanceAccount, BalanceQuery, Charge, ChargeRecord, IssuedRedeemCode, LedgerEntry, Mutation,
    RedeemCode, RedeemCreate, RedeemDisable, Topup, TopupUpdate,
};
use crate::Result;
use crate::inner::Inner;

/// The money of a Federation: [`City::balance`](crate::City::balance).
///
/// Amounts that are sent are an [`Amount`](crate::Amount), amounts of records are microcredits. Lists give
/// one page, and its `next_cursor` where there is more. Each call that moves money carries an idempotency
/// key, so that it is done once however often it is sent.
#[derive(Clone, Copy, Debug)]
pub struct Balance<'a> {
    inner: &'a Inner,
}

/// Redeem codes: [`Balance::redeem_codes`].
#[derive(Clone, Copy, Debug)]
pub struct RedeemCodes<'a> {
    balance: Balance<'a>,
}

impl<'a> Balance<'a> {
    pub(super) fn new(inner: &'a Inner) -> Self {
        Self { inner }
    }

    /// Wallets, those first that changed last: `GET /v1/balance/users`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn list_users(&self, query: BalanceQuery) -> Result<Items<BalanceAccount>> {
        self.list("users", query).await
    }

    /// Changes of wallets: `GET /v1/balance/history`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn list_history(&self, query: BalanceQuery) -> Result<Items<LedgerEntry>> {
        self.list("history", query).await
    }

    /// Top-ups: `GET /v1/balance/topups`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn list_topups(&self, query: BalanceQuery) -> Result<Items<Topup>> {
        self.list("topups", query).await
    }

    /// Charges: `GET /v1/balance/charges`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn list_charges(&self, query: BalanceQuery) -> Result<Items<ChargeRecord>> {
        self.list("charges", query).await
    }

    /// Gives credits to a user: `POST /v1/balance/add`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn add(&self, input: Mutation) -> Result<BalanceAccount> {
        self.write(&["add"], &input, input.key.clone()).await
    }

    /// Takes credits from a user: `POST /v1/balance/sub`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error); 402 where the wallet does not have them.
    pub async fn sub(&self, input: Mutation) -> Result<BalanceAccount> {
        self.write(&["sub"], &input, input.key.clone()).await
    }

    /// Charges a user for something: `POST /v1/balance/charge`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error); 402 where the wallet does not cover it.
    pub async fn charge(&self, input: Charge) -> Result<ChargeRecord> {
        self.write(&["charge"], &input, input.key.clone()).await
    }

    /// A top-up is paid, and credited to its user: `POST /v1/balance/topups/finish`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error); 404 for an unknown one, 409 for one that was canceled.
    pub async fn finish_topup(&self, input: TopupUpdate) -> Result<Topup> {
        self.write(&["topups", "finish"], &input, input.key.clone()).await
    }

    /// Gives up a top-up; nothing is credited: `POST /v1/balance/topups/cancel`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error); 404 for an unknown one, 409 for one that is paid.
    pub async fn cancel_topup(&self, input: TopupUpdate) -> Result<Topup> {
        self.write(&["topups", "cancel"], &input, input.key.clone()).await
    }

    /// Redeem codes.
    #[must_use]
    pub fn redeem_codes(&self) -> RedeemCodes<'a> {
        RedeemCodes { balance: *self }
    }

    async fn list<T: DeserializeOwned>(&self, list: &str, query: BalanceQuery) -> Result<Items<T>> {
        self.inner.json(self.inner.get(&["balance", list], &json!(query))?).await
    }

    async fn write<T: DeserializeOwned>(
        &self,
        action: &[&str],
        input: &impl Serialize,
        key: Option<String>,
    ) -> Result<T> {
        let call = self.inner.post(&[&["balance"], action].concat(), &json!(input))?;
        self.inner.json(call.once(key)?).await
    }
}

impl RedeemCodes<'_> {
    /// Codes, without the codes themselves: `GET /v1/balance/redeem-codes`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn list(&self, query: BalanceQuery) -> Result<Items<RedeemCode>> {
        self.balance.list("redeem-codes", query).await
    }

    /// Makes a code: `POST /v1/balance/redeem-codes/create`. The answer is the only place that shows it.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn create(&self, input: RedeemCreate) -> Result<IssuedRedeemCode> {
        self.balance.write(&["redeem-codes", "create"], &input, input.key.clone()).await
    }

    /// Takes a code back: `POST /v1/balance/redeem-codes/disable`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error); 404 for an unknown one, 409 for one that is redeemed.
    pub async fn disable(&self, input: RedeemDisable) -> Result<RedeemCode> {
        self.balance.write(&["redeem-codes", "disable"], &input, input.key.clone()).await
    }
}
