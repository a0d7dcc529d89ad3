//! `users/import`: accounts that come from an earlier deployment, with the hashes of their passwords.

use std::sync::Arc;

use downcity_core::audit::{Target, Trail};
use downcity_core::{Cx, Error, Result, Secret};
use downcity_db::Tx;
use downcity_types::{Items, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::email;
use super::oauth::is_subject;
use super::password::Stored;
use super::profile::is_web;
use super::register::given_name;
use super::service::Accounts;
use super::store::identities::{self, CREDENTIAL, NewIdentity};
use super::store::users::{self, User};

/// The most accounts of one call.
const MOST: usize = 500;

#[derive(Deserialize, JsonSchema)]
pub(super) struct ImportIn {
    /// The accounts; at most 500.
    users: Vec<ImportedUser>,
}

/// An account from elsewhere.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ImportedUser {
    /// The id; it is kept.
    user_id: String,
    /// The e-mail address; the placeholder of an account of a provider is taken too.
    email: String,
    /// Whether the address is known to be the user's: `true`, `false`, 1 or 0.
    #[serde(default)]
    #[schemars(with = "bool")]
    email_verified: Value,
    /// The name.
    #[serde(default)]
    name: Option<String>,
    /// The picture of the provider.
    #[serde(default)]
    image: Option<String>,
    /// What the user says of themselves.
    #[serde(default)]
    bio: Option<String>,
    /// The hash of the password: `salt:key` of scrypt, or `$argon2id$…`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    password_hash: Option<Secret>,
    /// What the user signs in with beside it.
    #[serde(default)]
    identities: Vec<ImportedIdentity>,
    /// When the account was made: RFC 3339, or milliseconds since 1970 as number or text.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    created_at: Value,
}

/// The id of a user at a provider.
#[derive(Deserialize, JsonSchema)]
struct ImportedIdentity {
    /// `github`, `google` or `wechat`.
    provider: String,
    /// The provider's id of the user.
    subject: String,
}

/// What came of one row.
#[derive(Clone, Serialize, JsonSchema)]
pub(super) struct ImportedRow {
    /// The id of the row.
    user_id: String,
    /// `created`, `unchanged` (the account is there already), or `refused`.
    status: &'static str,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// A row that can be stored.
struct Row {
    user: User,
    identities: Vec<NewIdentity>,
}

impl Accounts {
    pub(super) async fn import(
        self: Arc<Self>,
        cx: Cx,
        input: ImportIn,
    ) -> Result<Items<ImportedRow>> {
        if input.users.len() > MOST {
            return Err(Error::invalid("users", format!("must hold at most {MOST} accounts")));
        }
        let now = cx.runtime().clock().now();
        let rows: Vec<_> =
            input.users.into_iter().map(|user| (user.user_id.clone(), user.check(now))).collect();
        let items = cx.write(move |tx, trail| {
            let mut items = Vec::with_capacity(rows.len());
            for (user_id, row) in &rows {
                let (status, reason) = match row {
                    Ok(row) => store(tx, trail, row)?,
                    Err(reason) => ("refused", Some(reason.clone())),
                };
                items.push(ImportedRow { user_id: user_id.clone(), status, reason });
            }
            if items.iter().all(|item| item.status != "created") {
                trail.unchanged();
            }
            Ok(items)
        });
        Ok(Items::all(items.await?))
    }
}

impl ImportedUser {
    /// The row as it is stored, or why it cannot be.
    fn check(self, now: Timestamp) -> std::result::Result<Row, String> {
        let said = |error: Error| error.message().to_owned();
        let user_id = self.user_id.trim().to_owned();
        if user_id.is_empty() || user_id.len() > 512 || user_id.contains('\0') {
            return Err("user_id must have 1 to 512 bytes, none of them NUL".to_owned());
        }
        let address = self.email.trim().to_ascii_lowercase();
        let stands_in = email::is_placeholder(&address)
            && address.len() <= email::MAX_BYTES
            && !address.contains('\0');
        let email = if stands_in { address } else { email::normalise(&address).map_err(said)? };
        let name = given_name(self.name.as_deref(), &email).map_err(said)?;
        let created_at = time(&self.created_at)?.unwrap_or(now);
        let texts = [&self.image, &self.bio];
        if texts.into_iter().flatten().any(|text| text.len() > 8_000 || text.contains('\0')) {
            return Err("image and bio must have at most 8,000 bytes, none of them NUL".to_owned());
        }
        if self.image.as_deref().is_some_and(|url| !url.is_empty() && !is_web(url)) {
            return Err("image must be a web address".to_owned());
        }
        let identity = |provider: &str, subject: String, secret| NewIdentity {
            provider: provider.to_owned(),
            subject,
            user_id: user_id.clone(),
            secret,
            email: None,
            now: created_at,
        };
        let mut identities = Vec::new();
        if let Some(hash) = self.password_hash {
            let hash = hash.expose();
            let stored =
                Stored::parse(hash).ok_or("password_hash has no form that is known here")?;
            let secret = Some((hash.to_owned(), stored.scheme()));
            identities.push(identity(CREDENTIAL, user_id.clone(), secret));
        }
        for other in self.identities {
            let is_known = ["github", "google", "wechat"].contains(&other.provider.as_str());
            if !is_known || !is_subject(&other.subject) {
                return Err("an identity needs a known provider, and a subject of at most 200 visible ASCII characters".to_owned());
            }
            identities.push(identity(&other.provider, other.subject, None));
        }
        let is_verified = self.email_verified == json!(true) || self.email_verified == json!(1);
        let user = User {
            email_verified: is_verified && !email::is_placeholder(&email),
            avatar_url: self.image.clone().unwrap_or_default(),
            image: self.image,
            bio: self.bio.unwrap_or_default(),
            ..User::new(user_id, email, name, created_at)
        };
        Ok(Row { user, identities })
    }
}

/// Stores one row, wholly or not at all.
fn store(tx: &mut Tx<'_>, trail: &mut Trail, row: &Row) -> Result<(&'static str, Option<String>)> {
    let refused = |reason: &str| Ok(("refused", Some(reason.to_owned())));
    if let Some(there) = users::find(tx, &row.user.user_id)? {
        return if there.email == row.user.email {
            Ok(("unchanged", None))
        } else {
            refused("the user_id belongs to an account with another e-mail")
        };
    }
    for identity in &row.identities {
        if identities::find_user_id(tx, &identity.provider, &identity.subject)?.is_some() {
            return refused("another account signs in with one of the identities");
        }
    }
    if !users::insert(tx, &row.user)? {
        return refused("another account has this e-mail");
    }
    for identity in &row.identities {
        identities::insert(tx, identity)?;
    }
    let after = json!({"email": row.user.email, "imported": true});
    trail.record(Target::new("user", &row.user.user_id), (), after);
    Ok(("created", None))
}

/// A time in one of the forms that earlier deployments have stored.
fn time(value: &Value) -> std::result::Result<Option<Timestamp>, String> {
    let millis = |number: f64| Timestamp::from_millis(number as i64);
    match value {
        Value::Null => Ok(None),
        Value::Number(number) => Ok(number.as_f64().map(millis)),
        Value::String(text) => match (text.parse::<Timestamp>(), text.parse::<f64>()) {
            (Ok(time), _) => Ok(Some(time)),
            (_, Ok(number)) if number.is_finite() => Ok(Some(millis(number))),
            _ => Err("created_at is no time".to_owned()),
        },
        _ => Err("created_at is no time".to_owned()),
    }
}
