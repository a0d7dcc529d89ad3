//! `fed account`.

use clap::Subcommand;
use downcity_server::FailureKind;
use serde_json::json;

use crate::failure::Failure;
use crate::fed::{Change, Fed, Page};
use crate::output::{Ask, Column};

pub(crate) const ACCOUNT: &[Column] = &[
    Column::new("ID", "user_id"),
    Column::new("E-MAIL", "email"),
    Column::new("NAME", "name"),
    Column::status("STATUS", "status"),
    Column::new("VERIFIED", "email_verified"),
    Column::time("CREATED", "created_at"),
];

pub(crate) const SESSION: &[Column] = &[
    Column::new("ID", "session_id"),
    Column::new("USER", "user_id"),
    Column::new("CITY", "city_id"),
    Column::status("STATUS", "status"),
    Column::new("BY", "method"),
    Column::new("ADDRESS", "address"),
    Column::time("CREATED", "created_at"),
    Column::time("ENDS", "expires_at"),
];

/// Users who signed up here.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// List the accounts, newest first.
    List {
        #[command(flatten)]
        page: Page,
    },
    /// Show the account with an e-mail address.
    Show {
        /// The address.
        email: String,
    },
    /// Disable an account: its sessions end, and nobody signs in to it.
    Disable {
        /// Id of the user.
        #[arg(value_name = "USER")]
        user_id: String,
    },
    /// Let a disabled user sign in again.
    Enable {
        /// Id of the user.
        #[arg(value_name = "USER")]
        user_id: String,
    },
    /// List sessions, those that end last first; or end all of a user.
    Sessions {
        /// Only those in this city.
        #[arg(long, value_name = "CITY")]
        city: Option<String>,
        /// End all sessions of this user.
        #[arg(long, value_name = "USER", conflicts_with = "city")]
        revoke: Option<String>,
        #[command(flatten)]
        page: Page,
    },
}

impl AccountCommand {
    pub(crate) async fn run(self, fed: Fed) -> Result<(), Failure> {
        match self {
            Self::List { page } => fed.list("accounts/users", page.query(json!({})), ACCOUNT).await,
            Self::Show { email } => {
                let found = fed.remote.get("accounts/users", json!({ "email": email })).await?;
                let account = found["items"].get(0).ok_or_else(|| {
                    let message = format!("No account has the address {email}.");
                    Failure::new(FailureKind::NotFound, message)
                })?;
                fed.output.record(account, ACCOUNT)
            }
            Self::Disable { user_id } => {
                let what = format!("Disable {user_id} and end all sessions");
                let ask = Ask { what: &what, typed: None };
                let input = json!({ "user_id": user_id });
                let change = Change::new("accounts/users/disable", input).asking(ask);
                fed.carry_out(change, &format!("{user_id} is disabled.")).await
            }
            Self::Enable { user_id } => {
                let change = Change::new("accounts/users/enable", json!({ "user_id": user_id }));
                fed.carry_out(change, &format!("{user_id} may sign in again.")).await
            }
            Self::Sessions { revoke: Some(user_id), .. } => {
                let what = format!("End all sessions of {user_id}");
                let ask = Ask { what: &what, typed: None };
                let input = json!({ "user_id": user_id });
                let change = Change::new("accounts/users/sessions/revoke", input).asking(ask);
                fed.carry_out(change, &format!("{user_id} has to sign in again.")).await
            }
            Self::Sessions { city, page, .. } => {
                let query = page.query(json!({ "city_id": city }));
                fed.list("accounts/sessions", query, SESSION).await
            }
        }
    }
}
