//! The service `balance`: its state and its actions.

use std::sync::Arc;

use async_trait::async_trait;
use downcity_core::{NewHold, Result, Runtime, Service, ServiceDef, Settled, Settlement, Wallets};
use downcity_db::{Tx, migrations};
use downcity_types::Timestamp;

use super::config::{BalanceConfig, WalletScope};
use super::holds::{self, HoldStatus};
use super::settings;
use super::wallet::Owner;

/// The service `balance`.
#[derive(Debug)]
pub struct Balance {
    config: BalanceConfig,
}

impl Balance {
    /// The service with this configuration.
    pub fn new(config: BalanceConfig) -> Arc<Self> {
        Arc::new(Self { config })
    }

    /// The section `[balance]`.
    pub(crate) fn config(&self) -> &BalanceConfig {
        &self.config
    }

    /// Whose wallet a user of a city spends from.
    pub fn owner(&self, city_id: &str, user_id: &str) -> Owner {
        let scope = match self.config.wallet_scope {
            WalletScope::Federation => "",
            WalletScope::City => city_id,
        };
        Owner {
            scope: scope.to_owned(),
            user_id: user_id.to_owned(),
            city_id: city_id.to_owned(),
            init: self.config.init_microcredits,
        }
    }
}

impl Wallets for Balance {
    fn hold(&self, tx: &mut Tx<'_>, hold: &NewHold) -> Result<()> {
        holds::hold(tx, &self.owner(&hold.city_id, &hold.user_id), hold).map(drop)
    }

    fn settle(&self, tx: &mut Tx<'_>, settlement: &Settlement) -> Result<Settled> {
        holds::settle(tx, settlement, "user")
    }

    fn release(&self, tx: &mut Tx<'_>, hold_id: &str, now: Timestamp) -> Result<()> {
        holds::release(tx, hold_id, HoldStatus::Released, now).map(drop)
    }
}

#[async_trait]
impl Service for Balance {
    fn id(&self) -> &'static str {
        "balance"
    }

    fn name(&self) -> &'static str {
        "Balance"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        service.migrations(migrations!(
            "balance",
            [(
                1,
                "wallets",
                {
                    both: "migrations/0001_wallets.sql",
                    sqlite: "migrations/0001_ledger_sqlite.sql",
                    postgres: "migrations/0001_ledger_postgres.sql",
                }
            )]
        ));
    }

    async fn start(&self, runtime: &Arc<Runtime>) -> Result<()> {
        let (scope, now) = (self.config.wallet_scope, runtime.clock().now());
        runtime.db().write(move |tx| settings::keep_scope(tx, scope, now)).await
    }
}
