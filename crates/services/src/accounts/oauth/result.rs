//! `oauth/result`.

use std::sync::Arc;

use downcity_core::token::{self, IssueRequest};
use downcity_core::{Cx, Error, Result};
use downcity_types::{ErrorCode, IssuedToken, Timestamp, Ttl};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::flow::{Flow, REPEATED, Stage, hashed};
use super::store;
use crate::accounts::service::Accounts;
use crate::accounts::session::{self, Opening};
use crate::accounts::store::sessions::{self, Session};
use crate::accounts::store::users;

#[derive(Deserialize, JsonSchema)]
pub(in crate::accounts) struct ResultIn {
    /// The `state` of `oauth/start`.
    #[serde(default)]
    #[schemars(required, with = "String")]
    state: Option<String>,
}

/// How far a sign-in has come.
#[derive(Serialize, JsonSchema)]
pub(in crate::accounts) struct OauthResult {
    /// `pending`, or `done`.
    status: &'static str,
    /// The credential for the calls of this user; not there when a provider was linked.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_token: Option<String>,
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    /// The city that the token is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    city_id: Option<String>,
    /// When the token ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    /// The provider that was linked to the caller's account.
    #[serde(skip_serializing_if = "Option::is_none")]
    linked: Option<&'static str>,
}

impl OauthResult {
    fn pending() -> Self {
        Self {
            status: "pending",
            user_token: None,
            user_id: None,
            city_id: None,
            expires_at: None,
            linked: None,
        }
    }

    fn signed_in(issued: IssuedToken) -> Self {
        Self {
            status: "done",
            user_token: Some(issued.user_token),
            user_id: Some(issued.user_id),
            city_id: Some(issued.city_id),
            expires_at: issued.expires_at,
            linked: None,
        }
    }

    fn linked(flow: &Flow) -> Self {
        Self {
            status: "done",
            user_id: flow.user_id.clone(),
            city_id: Some(flow.city_id.clone()),
            linked: Some(flow.provider.id()),
            ..Self::pending()
        }
    }
}

impl Accounts {
    pub(in crate::accounts) async fn oauth_result(
        self: Arc<Self>,
        cx: Cx,
        input: ResultIn,
    ) -> Result<OauthResult> {
        let handle = input.state.as_deref().unwrap_or_default().trim();
        if handle.is_empty() {
            return Err(Error::new(ErrorCode::InvalidInput, "state required")
                .with_field("state", "is required"));
        }
        let poll = hashed(handle);
        let mut flow = find(&cx, &poll).await?;
        if flow.stage == Stage::Done {
            match self.deliver(&cx, &flow).await? {
                Some(result) => return Ok(result),
                // Somebody with the same handle was faster: they have the same result.
                None => flow = find(&cx, &poll).await?,
            }
        }
        match flow.stage {
            Stage::Started | Stage::Called | Stage::Asked => Ok(OauthResult::pending()),
            Stage::Done | Stage::Delivered => repeat(&cx, &flow).await,
        }
    }

    /// Opens the session; `None` when the result was given in the meantime.
    async fn deliver(&self, cx: &Cx, flow: &Flow) -> Result<Option<OauthResult>> {
        let runtime = cx.runtime();
        let city = session::city_of(runtime, Some(&flow.city_id))?;
        let opening = Opening::new(cx, self.config.token_ttl, &city, flow.provider.id());
        let until = runtime.clock().now().saturating_add(REPEATED);
        let flow = flow.clone();
        cx.write(move |tx, trail| {
            // Before the flow, as whoever ends the user's sessions does.
            users::lock(tx, flow.user_id.as_deref().unwrap_or_default())?;
            let session_id = flow.link_user_id.is_none().then(|| opening.session_id());
            if !store::deliver(tx, &flow.flow_id, session_id, until)? {
                trail.unchanged();
                return Ok(None);
            }
            if flow.link_user_id.is_some() {
                trail.unchanged();
                return Ok(Some(OauthResult::linked(&flow)));
            }
            let user_id = flow.user_id.as_deref().unwrap_or_default();
            opening.open(tx, trail, user_id).map(OauthResult::signed_in).map(Some)
        })
        .await
    }
}

async fn find(cx: &Cx, poll: &str) -> Result<Flow> {
    let (poll, now) = (poll.to_owned(), cx.runtime().clock().now());
    let flow = cx.runtime().db().read(move |tx| store::find_by_poll(tx, &poll, now)).await?;
    flow.ok_or_else(gone)
}

/// The result once more, for a client whose answer was lost: another token of the same session, with
/// the same end. There is none when the session has ended in the meantime.
async fn repeat(cx: &Cx, flow: &Flow) -> Result<OauthResult> {
    if flow.link_user_id.is_some() {
        return Ok(OauthResult::linked(flow));
    }
    let session_id = flow.session_id.clone().ok_or_else(gone)?;
    let session = cx.runtime().db().read(move |tx| sessions::find(tx, &session_id)).await?;
    let Session { session_id, user_id, city_id, expires_at, .. } = session.ok_or_else(gone)?;
    let left = expires_at.seconds() - cx.runtime().clock().now_seconds();
    let ttl = Ttl::from_seconds(left.max(1)).map_err(Error::internal)?;
    let request = IssueRequest {
        city_id,
        user_id,
        metadata: Map::new(),
        ttl: Some(ttl),
        token_id: Some(session_id),
    };
    token::issue(cx.runtime(), request).map(OauthResult::signed_in)
}

fn gone() -> Error {
    Error::new(ErrorCode::NotFound, "state expired or invalid")
        .with_fix("Begin again with POST /v1/accounts/oauth/start.")
}
