//! Opening and ending of sessions. A session is its token: its id is the token's `jti`, so that no
//! request has to ask the database whether a session is still good.

use std::sync::Arc;

use downcity_core::audit::{Target, Trail};
use downcity_core::token::{self, IssueRequest, Revocation};
use downcity_core::{Call, Error, Result, Runtime};
use downcity_db::Tx;
use downcity_types::{City, ErrorCode, IssuedToken, Timestamp, Ttl};
use serde_json::{Map, json};

use super::oauth;
use super::store::addresses;
use super::store::sessions::{self, Session};
use super::store::users;
use super::throttle::keyed_address;

/// How many sessions a user may have; the oldest ones beyond end [`SURPLUS`] at a time, so that not
/// every login of a busy program has to end one.
const MAX_SESSIONS: u32 = 500;
const SURPLUS: u32 = 50;

/// Longest `User-Agent` that is kept, in characters.
const USER_AGENT_CHARS: usize = 200;

/// The city for which somebody signs in.
///
/// # Errors
/// 400 without one, 404 for one that is not there, 403 for one that is paused.
pub(crate) fn city_of(runtime: &Runtime, city_id: Option<&str>) -> Result<Arc<City>> {
    let city_id = city_id.unwrap_or_default().trim();
    if city_id.is_empty() {
        return Err(Error::invalid("city_id", "is required: name the city to sign in to"));
    }
    token::active_city(&runtime.snapshot(), city_id)
}

/// Everything about a session but whose it is: made before the transaction that opens it.
#[derive(Clone)]
pub(crate) struct Opening {
    runtime: Arc<Runtime>,
    session_id: String,
    city_id: String,
    method: String,
    address: Option<String>,
    user_agent: Option<String>,
    /// Where the caller is, as it is kept.
    place: String,
    ttl: Ttl,
    now: Timestamp,
}

impl Opening {
    /// A session of this city for the caller, who has proved by `method` who they are.
    pub(crate) fn new(call: &Call, ttl: Ttl, city: &City, method: &str) -> Self {
        let runtime = call.runtime().clone();
        let longest = runtime.settings().token_max_ttl;
        let agent = call.parts().headers.get(http::header::USER_AGENT);
        let agent = agent.and_then(|agent| agent.to_str().ok());
        Self {
            session_id: runtime.ids().secret::<12>("ses_"),
            city_id: city.city_id.clone(),
            method: method.to_owned(),
            address: call.client_address().map(|address| address.to_string()),
            user_agent: agent.map(|agent| agent.chars().take(USER_AGENT_CHARS).collect()),
            place: keyed_address(call),
            ttl: longest.map_or(ttl, |longest| ttl.min(longest)),
            now: runtime.clock().now(),
            runtime,
        }
    }

    /// The id that the session will have.
    pub(crate) fn session_id(&self) -> &str {
        &self.session_id
    }

    /// Opens the session: issues the token and stores the row. Signing touches no database and gives
    /// the same token when the transaction runs again. Recorded where the trusted side signs somebody
    /// in.
    ///
    /// # Errors
    /// 404 and 403 when the city has gone or was paused, 403 `account_disabled`, also when the account
    /// has just gone.
    pub(crate) fn open(
        &self,
        tx: &mut Tx<'_>,
        trail: &mut Trail,
        user_id: &str,
    ) -> Result<IssuedToken> {
        let issued = token::issue(
            &self.runtime,
            IssueRequest {
                city_id: self.city_id.clone(),
                user_id: user_id.to_owned(),
                metadata: Map::new(),
                ttl: Some(self.ttl),
                token_id: Some(self.session_id.clone()),
            },
        )?;
        // Whoever ends the user's sessions now either sees this one, or was first.
        users::lock(tx, user_id)?;
        end_oldest(tx, user_id, self.now)?;
        let session = Session {
            session_id: self.session_id.clone(),
            user_id: user_id.to_owned(),
            city_id: self.city_id.clone(),
            method: self.method.clone(),
            address: self.address.clone(),
            user_agent: self.user_agent.clone(),
            created_at: self.now,
            expires_at: issued.expires_at.unwrap_or(Timestamp::MAX),
        };
        if !sessions::insert(tx, &session)? {
            return Err(disabled());
        }
        addresses::note(tx, user_id, &self.place, self.now)?;
        let target = Target::new("session", &session.session_id).in_city(&session.city_id);
        trail.record(target, (), json!({"user_id": user_id, "method": session.method}));
        Ok(issued)
    }
}

/// A 403 for an account that an operator has disabled.
pub(crate) fn disabled() -> Error {
    Error::new(ErrorCode::AccountDisabled, "This account is disabled; ask the operator.")
}

/// The calling user, who has signed in to the account. An account is of the whole Federation: a token
/// that a city's own server issued for the same user id must not reach what the account has elsewhere.
///
/// # Errors
/// 403 for a token that is no session of this account.
pub(crate) async fn signed_in(call: &Call) -> Result<String> {
    let caller = call.user()?;
    let user_id = caller.user_id.to_string();
    let token_id = caller.token_id.as_deref().unwrap_or_default().to_owned();
    let session = call.runtime().db().read(move |tx| sessions::find(tx, &token_id)).await?;
    if session.is_some_and(|session| session.user_id == user_id) {
        return Ok(user_id);
    }
    Err(Error::new(ErrorCode::Forbidden, "This needs somebody who has signed in to the account.")
        .with_fix("Sign in with POST /v1/accounts/login, and use the user_token that it gives."))
}

/// Makes room for one more session.
fn end_oldest(tx: &mut Tx<'_>, user_id: &str, now: Timestamp) -> Result<()> {
    let surplus = sessions::list_of_user(tx, user_id, MAX_SESSIONS, SURPLUS)?;
    if surplus.len() == SURPLUS as usize {
        for session in &surplus {
            end(tx, session, now)?;
        }
    }
    Ok(())
}

/// Ends a session: its token is refused from then on, on every node. Inside a transaction of
/// `change` this node knows of it when that returns.
pub(crate) fn end(tx: &mut Tx<'_>, session: &Session, now: Timestamp) -> Result<()> {
    let revocation = Revocation::Token {
        city_id: Some(session.city_id.clone()),
        token_id: session.session_id.clone(),
        expires_at: Some(session.expires_at.seconds()),
    };
    token::revoke(tx, &revocation, now)?;
    sessions::delete(tx, &session.session_id)
}

/// Ends whatever lets somebody act as this user: every token of the sessions' cities, and of
/// `city_id`, the sessions, and sign-ins that are under way. Says how many sessions there were. One
/// that is being opened is waited for.
pub(crate) fn end_all(
    tx: &mut Tx<'_>,
    user_id: &str,
    city_id: Option<&str>,
    now: Timestamp,
) -> Result<usize> {
    users::lock(tx, user_id)?;
    let open = sessions::list_of_user(tx, user_id, 0, MAX_SESSIONS + SURPLUS)?;
    let mut cities: Vec<&str> = open.iter().map(|session| session.city_id.as_str()).collect();
    cities.extend(city_id);
    cities.sort_unstable();
    cities.dedup();
    for city_id in cities {
        let (city_id, user_id) = (city_id.to_owned(), user_id.to_owned());
        token::revoke(tx, &Revocation::User { city_id, user_id }, now)?;
    }
    end_others(tx, user_id, None, now)
}

/// Ends all sessions of a user but one, and the sign-ins that are under way. One that is being opened
/// is waited for.
pub(crate) fn end_others(
    tx: &mut Tx<'_>,
    user_id: &str,
    keep: Option<&str>,
    now: Timestamp,
) -> Result<usize> {
    users::lock(tx, user_id)?;
    let open = sessions::list_of_user(tx, user_id, 0, MAX_SESSIONS + SURPLUS)?;
    let others: Vec<_> =
        open.iter().filter(|session| Some(session.session_id.as_str()) != keep).collect();
    for session in &others {
        end(tx, session, now)?;
    }
    oauth::store::delete_of_user(tx, user_id)?;
    Ok(others.len())
}
