//! `sessions/me`, `sessions/revoke` and `sessions`.

use std::sync::Arc;

use downcity_core::audit::Target;
use downcity_core::{Cx, Error, NoInput, Result};
use downcity_db::Tx;
use downcity_types::{ErrorCode, Items, Page, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::records::{DONE, Done};
use super::service::Accounts;
use super::session;
use super::store::sessions::{self, Session};
use crate::accounts::listing::Place;

/// The most sessions that a user is shown; there are hardly more.
const SHOWN: u32 = 600;

#[derive(Deserialize, JsonSchema)]
pub(super) struct RevokeIn {
    /// The session.
    session_id: String,
    /// The city that the session has to be of.
    #[serde(default)]
    city_id: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct ListIn {
    #[serde(flatten)]
    page: Page,
    /// Only sessions of this city.
    #[serde(default)]
    city_id: Option<String>,
}

/// One session.
#[derive(Serialize, JsonSchema)]
pub(super) struct SessionRow {
    /// The id; the token's `jti`.
    session_id: String,
    /// Whose it is.
    user_id: String,
    /// The city that it is for.
    city_id: String,
    /// How it began: `credential`, `magic_link`, `code`, or a provider.
    method: String,
    /// From where it began.
    address: Option<String>,
    /// With what it began.
    user_agent: Option<String>,
    /// When it ends.
    expires_at: Timestamp,
    /// When it began.
    created_at: Timestamp,
    /// `active` or `expired`.
    status: &'static str,
    /// `true` for the session of this call.
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<bool>,
}

impl SessionRow {
    fn new(session: Session, now: Timestamp) -> Self {
        Self {
            status: if session.expires_at > now { "active" } else { "expired" },
            session_id: session.session_id,
            user_id: session.user_id,
            city_id: session.city_id,
            method: session.method,
            address: session.address,
            user_agent: session.user_agent,
            expires_at: session.expires_at,
            created_at: session.created_at,
            current: None,
        }
    }
}

impl Accounts {
    pub(super) async fn sessions_me(
        self: Arc<Self>,
        cx: Cx,
        _: NoInput,
    ) -> Result<Items<SessionRow>> {
        let caller = cx.user()?;
        let (user_id, now) = (session::signed_in(&cx).await?, cx.runtime().clock().now());
        let list = move |tx: &mut Tx<'_>| sessions::list_of_user(tx, &user_id, 0, SHOWN);
        let rows = cx.runtime().db().scan(list).await?;
        let open = rows.into_iter().filter(|session| session.expires_at > now);
        let rows = open.map(|session| {
            let current = Some(session.session_id.as_str()) == caller.token_id.as_deref();
            SessionRow { current: Some(current), ..SessionRow::new(session, now) }
        });
        Ok(Items::all(rows.collect()))
    }

    pub(super) async fn sessions_revoke(self: Arc<Self>, cx: Cx, input: RevokeIn) -> Result<Done> {
        let owner = match cx.identity().user() {
            Some(_) => Some(session::signed_in(&cx).await?),
            None => None,
        };
        let now = cx.runtime().clock().now();
        if input.session_id.contains('\0') {
            return Err(unknown());
        }
        cx.change(move |tx, trail| {
            let session = sessions::find(tx, &input.session_id)?.ok_or_else(unknown)?;
            let is_own = owner.as_deref().is_none_or(|owner| owner == session.user_id);
            // A user may end the sessions of all cities; the trusted side of a city only those of it.
            let city_id = input.city_id.as_deref().filter(|_| owner.is_none());
            let is_there = city_id.is_none_or(|city_id| *city_id == session.city_id);
            if !is_own || !is_there {
                return Err(unknown());
            }
            let target = Target::new("session", &session.session_id).in_city(&session.city_id);
            trail.record(target, json!({"user_id": session.user_id}), ());
            session::end(tx, &session, now)
        })
        .await?;
        Ok(DONE)
    }

    pub(super) async fn sessions(
        self: Arc<Self>,
        cx: Cx,
        input: ListIn,
    ) -> Result<Items<SessionRow>> {
        let place = Place::of(&input.page)?;
        let (limit, city_id) = (place.limit, input.city_id);
        let list = move |tx: &mut Tx<'_>| {
            sessions::list_before(tx, city_id.as_deref(), place.at, &place.id, limit + 1)
        };
        let rows = cx.runtime().db().scan(list).await?;
        let now = cx.runtime().clock().now();
        let rows = rows.into_iter().map(|session| SessionRow::new(session, now)).collect();
        Ok(Place::page(limit, rows, |row: &SessionRow| (row.expires_at.millis(), &row.session_id)))
    }
}

fn unknown() -> Error {
    Error::new(ErrorCode::NotFound, "There is no such session.")
}
