//! `fed key`: service keys, and the keys that sign user tokens.

use clap::Subcommand;
use serde_json::json;

use crate::failure::Failure;
use crate::fed::{Change, Fed, Page};
use crate::output::{Ask, Column, note, print};

pub(crate) const KEY: &[Column] = &[
    Column::new("ID", "key_id"),
    Column::new("NAME", "name"),
    Column::new("BEGINS", "prefix"),
    Column::new("ACTIONS", "actions"),
    Column::new("CITIES", "cities"),
    Column::credits("PER CALL", "amount_per_call"),
    Column::credits("PER DAY", "amount_per_day"),
    Column::time("LAST USED", "last_used_at"),
    Column::time("ENDS", "expires_at"),
    Column::time("REVOKED", "revoked_at"),
];

pub(crate) const SIGNING: &[Column] = &[
    Column::new("ID", "key_id"),
    Column::new("ALGORITHM", "algorithm"),
    Column::status("STATUS", "status"),
    Column::time("RETIRED", "retired_at"),
    Column::time("VERIFIES UNTIL", "verifies_until"),
];

/// Scoped keys of the trusted side, and the keys that sign user tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// List the service keys, oldest first, without their secrets.
    List {
        /// List the keys that sign user tokens instead.
        #[arg(long)]
        signing: bool,
        #[command(flatten)]
        page: Page,
    },
    /// Create a service key: it acts as the admin on the actions, cities and amounts it names. It is
    /// printed once.
    #[command(
        after_help = "Examples:\n  fed key create billing --action balance/add --per-day 50000000\n  fed key create ci --action 'env/*' --ttl 30d"
    )]
    Create {
        /// Its name, for people.
        name: String,
        /// An action, such as balance/add, or balance/*; may be repeated.
        #[arg(long = "action", value_name = "ACTION", required = true)]
        actions: Vec<String>,
        /// A city; may be repeated. Without it, all.
        #[arg(long = "city", value_name = "CITY")]
        cities: Vec<String>,
        /// How long it works, such as 30d.
        #[arg(long, value_name = "TTL")]
        ttl: Option<String>,
        /// The most microcredits that one call may move.
        #[arg(long, value_name = "MICROCREDITS")]
        per_call: Option<i64>,
        /// The most microcredits that it may move in a day.
        #[arg(long, value_name = "MICROCREDITS")]
        per_day: Option<i64>,
    },
    /// End a service key at once.
    Revoke {
        /// Id of the key.
        #[arg(value_name = "KEY")]
        id: String,
    },
    /// Make a new signing key. Tokens of the one before work until they end.
    Rotate {
        /// Of which kind: hmac or ed25519; unless given, the configured one.
        #[arg(long, value_name = "ALGORITHM")]
        algorithm: Option<String>,
    },
}

impl KeyCommand {
    pub(crate) async fn run(self, fed: Fed) -> Result<(), Failure> {
        match self {
            Self::List { signing: true, .. } => fed.list("keys/signing", json!({}), SIGNING).await,
            Self::List { page, .. } => fed.list("keys/list", page.query(json!({})), KEY).await,
            Self::Create { name, actions, cities, ttl, per_call, per_day } => {
                let input = json!({
                    "name": name, "actions": actions, "ttl": ttl,
                    "cities": (!cities.is_empty()).then_some(cities),
                    "amount_per_call": per_call, "amount_per_day": per_day,
                });
                let Some(created) = fed.send(Change::new("keys/create", input)).await? else {
                    return Ok(());
                };
                if fed.output.json {
                    return crate::output::json(&created);
                }
                note("It is not shown again.");
                print(&format!("{}\n", created["key"].as_str().unwrap_or_default()))
            }
            Self::Revoke { id } => {
                let what = format!("End the service key {id}");
                let ask = Ask { what: &what, typed: None };
                let change = Change::new("keys/revoke", json!({ "key_id": id })).asking(ask);
                fed.change(change, KEY).await
            }
            Self::Rotate { algorithm } => {
                let ask = Ask { what: "Sign new tokens with a new key", typed: None };
                let input = json!({ "algorithm": algorithm });
                let Some(rotated) = fed.send(Change::new("keys/rotate", input).asking(ask)).await?
                else {
                    return Ok(());
                };
                fed.output.record(&rotated, SIGNING)?;
                let is_retired = rotated["retired"].as_array().is_some_and(|keys| !keys.is_empty());
                if is_retired && !fed.output.json {
                    note("Tokens of the key before work until they end: fed key list --signing");
                }
                Ok(())
            }
        }
    }
}
