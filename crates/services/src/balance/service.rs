//! The service `balance`: its state and its actions.

use std::sync::Arc;

use async_trait::async_trait;
use downcity_core::{
    Cx, Error, NewHold, Result, Runtime, Service, ServiceDef, Settled, Settlement, Wallets,
};
use downcity_db::{Tx, migrations};
use downcity_types::Timestamp;

use super::config::{BalanceConfig, WalletScope};
use super::gate::{GateAmounts, GateUnit};
use super::holds::{self, HoldStatus};
use super::wallet::Owner;
use super::{changing, codes, reading, settings, sweeper, topups, verify};

/// The longest id, in bytes: what every database can index.
const MAX_ID: usize = 512;

/// The service `balance`.
#[derive(Debug)]
pub struct Balance {
    config: BalanceConfig,
    gate_unit: GateUnit,
    checking: verify::Turn,
}

impl Balance {
    /// The service with this configuration.
    pub fn new(config: BalanceConfig) -> Arc<Self> {
        Self::with_gate_unit(config, GateUnit::default())
    }

    /// The same, where a unit of clients of the generation gate is worth this.
    pub fn with_gate_unit(config: BalanceConfig, gate_unit: GateUnit) -> Arc<Self> {
        Arc::new(Self { config, gate_unit, checking: verify::Turn::default() })
    }

    /// The section `[balance]`.
    pub(crate) fn config(&self) -> &BalanceConfig {
        &self.config
    }

    pub(super) fn checking(&self) -> &verify::Turn {
        &self.checking
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

impl Balance {
    /// Whose wallet the calling user spends from.
    pub(super) fn owner_of(&self, cx: &Cx) -> Result<Owner> {
        let user = cx.user()?;
        Ok(self.owner(&user.city.city_id, &user.user_id))
    }

    /// Whose wallet a call of the trusted side is about.
    pub(super) fn owner_named(&self, city_id: Option<&str>, user_id: &str) -> Result<Owner> {
        let user_id = named("user_id", user_id)?;
        let city_id = match city_id.map(str::trim).filter(|city| !city.is_empty()) {
            Some(city_id) => named("city_id", city_id)?,
            None if self.config.wallet_scope == WalletScope::City => {
                return Err(Error::invalid("city_id", "is required: a user has a wallet per city"));
            }
            None => String::new(),
        };
        Ok(self.owner(&city_id, &user_id))
    }
}

/// An id that a call of the trusted side names.
///
/// # Errors
/// 400 for one that is empty, or that cannot be stored.
pub(super) fn named(path: &str, id: &str) -> Result<String> {
    let id = id.trim();
    if id.is_empty() || id.len() > MAX_ID || id.contains('\0') {
        return Err(Error::invalid(path, format!("is required, with at most {MAX_ID} bytes")));
    }
    Ok(id.to_owned())
}

/// The city that a call of the trusted side narrows itself to, where it names one.
///
/// # Errors
/// 400 for an empty id: whoever meant a city must not reach all of them.
pub(super) fn narrowed(city_id: Option<String>) -> Result<Option<String>> {
    city_id
        .map(|city_id| match named("city_id", &city_id) {
            Err(_) if city_id.trim().is_empty() => {
                Err(Error::invalid("city_id", "must not be empty: name a city, or leave it out"))
            }
            city_id => city_id,
        })
        .transpose()
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
            [
                (
                    1,
                    "wallets",
                    {
                        both: "migrations/0001_wallets.sql",
                        sqlite: "migrations/0001_ledger_sqlite.sql",
                        postgres: "migrations/0001_ledger_postgres.sql",
                    }
                ),
                (2, "vouchers", "migrations/0002_vouchers.sql"),
                (3, "hold_lists", "migrations/0003_hold_lists.sql"),
            ]
        ));
        service.instruction(include_str!("instruction.md"));
        service.hook(GateAmounts(self.gate_unit));
        reading::define(&self, service);
        changing::define(&self, service);
        topups::define(&self, service);
        codes::define(&self, service);
        verify::define(&self, service);
    }

    async fn start(&self, runtime: &Arc<Runtime>) -> Result<()> {
        runtime.tasks().spawn_until_stopped(sweeper::sweep_regularly(runtime.clone()));
        let (scope, now) = (self.config.wallet_scope, runtime.clock().now());
        runtime.db().write(move |tx| settings::keep_scope(tx, scope, now)).await
    }
}
