//! `fed token`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use downcity_server::FailureKind;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::fed::{Change, Fed};
use crate::output::{Ask, Column, note, print, secret};

const TOKEN: &[Column] = &[
    Column::status("ACTIVE", "active"),
    Column::new("REASON", "reason"),
    Column::new("TOKEN ID", "token_id"),
    Column::new("CITY", "city_id"),
    Column::new("USER", "user_id"),
    Column::new("METADATA", "metadata"),
    Column::new("ALGORITHM", "algorithm"),
    Column::time("ISSUED", "issued_at"),
    Column::time("ENDS", "expires_at"),
];

/// Which token.
#[derive(Debug, Args)]
pub(crate) struct Inspected {
    /// Read the token from this file; - reads standard input.
    #[arg(long, value_name = "PATH")]
    token_file: Option<PathBuf>,
    /// Whether it is good in this city.
    #[arg(long, value_name = "CITY")]
    city: Option<String>,
}

impl Inspected {
    /// Prints what it says, and whether it is good.
    async fn show(self, fed: &Fed) -> Result<bool, Failure> {
        let token = secret(self.token_file.as_deref(), "user_token:")?;
        let input = json!({ "user_token": token.expose_secret(), "city_id": self.city });
        let found = fed.remote.post("cities/tokens/verify", input).await?;
        fed.output.record(&found, TOKEN)?;
        Ok(found["active"] == Value::Bool(true))
    }
}

/// The signed credential of one user in one city.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Issue a user_token. It is printed once and stored nowhere.
    #[command(
        after_help = "Examples:\n  fed token issue --city city_mail --user ann\n  export DOWNCITY_USER_TOKEN=$(fed token issue --city city_mail --user ann --ttl 1h)"
    )]
    Issue {
        /// Id of the city.
        #[arg(long, value_name = "CITY")]
        city: String,
        /// Id of the user, as the product knows it.
        #[arg(long, value_name = "USER")]
        user: String,
        /// How long it works, such as 30m, 12h or 7d.
        #[arg(long, value_name = "TTL")]
        ttl: Option<String>,
        /// Something that the token says of its user; may be repeated.
        #[arg(long = "meta", value_name = "NAME=VALUE", value_parser = pair)]
        meta: Vec<(String, String)>,
    },
    /// Say what a token says and whether it is good now. Asks for the token, or reads it.
    #[command(after_help = "Example:\n  fed token inspect --token-file token.txt")]
    Inspect(Inspected),
    /// The same, for scripts: ends with exit code 1 when the token is not good.
    #[command(
        after_help = "Example:\n  fed token verify --token-file token.txt --city city_mail || echo refused"
    )]
    Verify(Inspected),
    /// End one token, all of a user in a city, or all of a city.
    #[command(
        after_help = "Examples:\n  fed token revoke --token-id 0198…\n  fed token revoke --city city_mail --user ann\n  fed token revoke --city city_mail"
    )]
    Revoke {
        /// End this one, by its id.
        #[arg(long, value_name = "ID", conflicts_with_all = ["city", "user", "token_file"])]
        token_id: Option<String>,
        /// End the one in this file; - reads standard input.
        #[arg(long, value_name = "PATH", conflicts_with_all = ["city", "user"])]
        token_file: Option<PathBuf>,
        /// End those of this city.
        #[arg(long, value_name = "CITY", required_unless_present_any = ["token_id", "token_file"])]
        city: Option<String>,
        /// Only those of this user.
        #[arg(long, value_name = "USER", requires = "city")]
        user: Option<String>,
    },
}

impl TokenCommand {
    pub(crate) async fn run(self, fed: Fed) -> Result<(), Failure> {
        match self {
            Self::Issue { city, user, ttl, meta } => {
                let metadata: Map<String, Value> =
                    meta.into_iter().map(|(name, value)| (name, value.into())).collect();
                let input = json!({
                    "city_id": city, "user_id": user, "ttl": ttl,
                    "metadata": (!metadata.is_empty()).then_some(metadata),
                });
                let Some(issued) = fed.send(Change::new("cities/tokens/apply", input)).await?
                else {
                    return Ok(());
                };
                if fed.output.json {
                    return crate::output::json(&issued);
                }
                if let Some(end) = issued["expires_at"].as_str() {
                    note(&format!("Good until {end}. It is not shown again."));
                }
                print(&format!("{}\n", issued["user_token"].as_str().unwrap_or_default()))
            }
            Self::Inspect(token) => token.show(&fed).await.map(drop),
            Self::Verify(token) => {
                if token.show(&fed).await? {
                    return Ok(());
                }
                Err(Failure::new(FailureKind::Failed, "The token is not good."))
            }
            Self::Revoke { token_id, token_file, city, user } => {
                let token = token_file.as_deref().map(|path| secret(Some(path), "")).transpose()?;
                let what = match (&city, &user) {
                    (Some(city), Some(user)) => format!("End all tokens of {user} in {city}"),
                    (Some(city), None) => format!("End all tokens of the city {city}"),
                    _ => "End the token".to_owned(),
                };
                let input = json!({
                    "jti": token_id, "city_id": city, "user_id": user,
                    "user_token": token.as_ref().map(|token| token.expose_secret()),
                });
                let ask = Ask { what: &what, typed: city.as_deref().filter(|_| user.is_none()) };
                let change = Change::new("cities/tokens/revoke", input).asking(ask);
                fed.carry_out(change, "They are refused from now on.").await
            }
        }
    }
}

/// `NAME=VALUE`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.to_owned()))
        }
        _ => Err("must be a name, = and a value".to_owned()),
    }
}
