//! `identities`: the ways in which somebody can sign in.

use std::sync::Arc;

use downcity_core::{Cx, Error, NoInput, Result};
use downcity_types::{ErrorCode, Items, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resolve::MAX_IDENTITIES;
use super::store::{self, Linked};
use crate::accounts::records::{DONE, Done};
use crate::accounts::service::Accounts;
use crate::accounts::session;
use crate::accounts::store::identities::CREDENTIAL;
use crate::accounts::store::users;

/// What the wire calls a password.
const EMAIL: &str = "email";

/// A way to sign in.
#[derive(Serialize, JsonSchema)]
pub(in crate::accounts) struct IdentityRecord {
    /// `email` (with a password), `github`, `google` or `wechat`.
    provider: String,
    /// The provider's id of the person; for `email` the user's id.
    subject: String,
    /// The address that the provider named.
    email: Option<String>,
    /// Since when.
    created_at: Timestamp,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::accounts) struct UnlinkIn {
    /// The provider, as in the list.
    provider: String,
    /// Which one, where several of the provider are linked.
    #[serde(default)]
    subject: Option<String>,
}

impl From<Linked> for IdentityRecord {
    fn from(linked: Linked) -> Self {
        let Linked { provider, subject, email, created_at } = linked;
        let provider = if provider == CREDENTIAL { EMAIL.to_owned() } else { provider };
        Self { provider, subject, email, created_at }
    }
}

impl Accounts {
    pub(in crate::accounts) async fn identities(
        self: Arc<Self>,
        cx: Cx,
        _: NoInput,
    ) -> Result<Items<IdentityRecord>> {
        let user_id = cx.user()?.user_id.to_string();
        let list = cx
            .runtime()
            .db()
            .scan(move |tx| store::list_of_user(tx, &user_id, MAX_IDENTITIES + 1))
            .await?;
        Ok(Items::all(list.into_iter().map(Into::into).collect()))
    }

    pub(in crate::accounts) async fn unlink(
        self: Arc<Self>,
        cx: Cx,
        input: UnlinkIn,
    ) -> Result<Done> {
        let user_id = session::signed_in(&cx).await?;
        cx.write(move |tx, _| {
            // Two that go at the same time must not both be the last but one.
            users::lock(tx, &user_id)?.ok_or_else(unknown)?;
            let linked = store::list_of_user(tx, &user_id, MAX_IDENTITIES + 1)?;
            let provider = if input.provider == EMAIL { CREDENTIAL } else { &input.provider };
            let matches = |one: &&Linked| {
                one.provider == provider
                    && input.subject.as_ref().is_none_or(|subject| *subject == one.subject)
            };
            let mut found = linked.iter().filter(matches);
            let Some(one) = found.next() else { return Err(unknown()) };
            if found.next().is_some() {
                return Err(Error::invalid("subject", "is required: several are linked"));
            }
            if linked.len() == 1 {
                return Err(last());
            }
            store::unlink(tx, &user_id, &one.provider, &one.subject)
        })
        .await?;
        Ok(DONE)
    }
}

fn unknown() -> Error {
    Error::new(ErrorCode::NotFound, "The account has no such way to sign in.")
}

fn last() -> Error {
    Error::new(ErrorCode::Conflict, "This is the last way to sign in to the account.")
        .with_fix("Add another one first: link a provider, or set a password.")
}
