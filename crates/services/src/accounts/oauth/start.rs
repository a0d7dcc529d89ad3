//! `oauth/start`.

use std::net::IpAddr;
use std::sync::Arc;

use downcity_core::audit::Target;
use downcity_core::{Call, Cx, Error, Result, env};
use downcity_types::{City, ErrorCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::flow::{Flow, LIFETIME, Stage, hashed, user_code};
use super::provider::Provider;
use super::{github, google, pkce, store, wechat};
use crate::accounts::service::Accounts;
use crate::accounts::session;
use crate::accounts::store::users;
use crate::accounts::throttle::{Attempt, Counted};
use downcity_core::public_url;

/// Where the callback is, below the public URL.
const CALLBACK: &str = "/v1/accounts/oauth/callback";

#[derive(Deserialize, JsonSchema)]
pub(in crate::accounts) struct StartIn {
    /// `github`, `google` or `wechat`.
    #[serde(default)]
    #[schemars(required, with = "String")]
    provider: Option<String>,
    /// The city to sign in to.
    #[serde(default)]
    #[schemars(required, with = "String")]
    city_id: Option<String>,
    /// Where the browser goes at the end, in place of a page of this server: one of the addresses
    /// that `accounts.return_urls` lists for the city.
    #[serde(default)]
    return_url: Option<String>,
    /// Adds the provider to the caller's account, in place of signing somebody in. Needs a user_token.
    #[serde(default)]
    link: Option<bool>,
}

/// A sign-in that has begun.
#[derive(Serialize, JsonSchema)]
pub(in crate::accounts) struct Started {
    /// The provider's page, to be opened in a browser.
    url: String,
    /// What `oauth/result` is asked with. Keep it: it is the only way to the result.
    state: String,
    /// The provider.
    provider: String,
    /// What the page that asks for confirmation shows too, for people to compare.
    user_code: String,
    /// Seconds until the sign-in and its result end.
    expires_in: u64,
}

/// What a provider's page is told.
pub(super) struct Going<'a> {
    pub(super) redirect_uri: &'a str,
    pub(super) state: &'a str,
    pub(super) challenge: Option<&'a str>,
}

impl Accounts {
    pub(in crate::accounts) async fn oauth_start(
        self: Arc<Self>,
        cx: Cx,
        input: StartIn,
    ) -> Result<Started> {
        let provider = input.provider.as_deref().map(str::trim).and_then(Provider::parse);
        let provider = provider.ok_or_else(|| {
            Error::new(ErrorCode::InvalidInput, "provider must be github, google, or wechat")
                .with_field("provider", "must be github, google, or wechat")
        })?;
        let runtime = cx.runtime();
        let is_link = input.link.unwrap_or_default();
        let city = if is_link { linking_city(&cx, &input)? } else { signing_city(&cx, &input)? };
        let client = provider.client(&cx, self.config.allow_loopback_http)?;
        let return_url = self.allowed(&city, input.return_url.as_deref())?;
        let link_user_id = if is_link { Some(linking_user(&cx).await?) } else { None };
        let now = runtime.clock().now();
        let (state, poll) = (runtime.ids().secret::<32>(""), runtime.ids().secret::<32>(""));
        let flow = Flow {
            flow_id: runtime.ids().sortable("oau_"),
            stage: Stage::Started,
            provider,
            city_id: city.city_id.clone(),
            user_code: user_code(runtime.random()),
            redirect_uri: format!("{}{CALLBACK}", public_url(&cx)?),
            return_url,
            nonce: runtime.ids().secret::<32>(""),
            address: cx.client_address().map(|address: IpAddr| address.to_string()),
            link_user_id,
            person: None,
            user_id: None,
            session_id: None,
            created_at: now,
            expires_at: now.saturating_add(LIFETIME),
        };
        let verifier = pkce::verifier(&cx.require_env(env::AUTH_SECRET)?, &flow.nonce);
        let challenge = provider.has_pkce().then(|| pkce::challenge(&verifier));
        let going = Going {
            redirect_uri: &flow.redirect_uri,
            state: &state,
            challenge: challenge.as_deref(),
        };
        let url = match provider {
            Provider::Github => github::page(&client, &going)?,
            Provider::Google => google::page(&client, &going)?,
            Provider::Wechat => wechat::page(&client, &going)?,
        };
        let started = Started {
            url: url.into(),
            provider: provider.id().to_owned(),
            user_code: flow.user_code.clone(),
            expires_in: LIFETIME.as_secs(),
            state: poll.clone(),
        };
        let attempt = Attempt::new(&cx, Counted::Starts, "");
        cx.write(move |tx, trail| {
            attempt.take(tx, None)?;
            store::insert(tx, &flow, &hashed(&state), &hashed(&poll))?;
            let target = Target::new("oauth_flow", &flow.flow_id).in_city(&flow.city_id);
            trail.record(target, (), json!({"provider": flow.provider.id()}));
            Ok(())
        })
        .await?;
        Ok(started)
    }

    /// The address to return to, when the city may use it.
    fn allowed(&self, city: &City, url: Option<&str>) -> Result<Option<String>> {
        let Some(url) = url.map(str::trim).filter(|url| !url.is_empty()) else { return Ok(None) };
        let listed = self.config.return_urls.get(&city.city_id);
        if listed.is_some_and(|listed| listed.iter().any(|listed| listed == url)) {
            return Ok(Some(url.to_owned()));
        }
        Err(Error::invalid("return_url", "is none of the addresses that the city may return to")
            .with_fix("Add it to accounts.return_urls in the configuration, letter by letter."))
    }
}

fn signing_city(call: &Call, input: &StartIn) -> Result<Arc<City>> {
    session::city_of(call.runtime(), input.city_id.as_deref())
}

/// The city of the caller; another one in the input is a mistake.
fn linking_city(call: &Call, input: &StartIn) -> Result<Arc<City>> {
    let user = call.user()?;
    match input.city_id.as_deref().map(str::trim) {
        None | Some("") => Ok(user.city.clone()),
        Some(city_id) if city_id == user.city.city_id => Ok(user.city.clone()),
        Some(_) => Err(Error::new(
            ErrorCode::CityMismatch,
            "city_id does not match the authenticated token",
        )),
    }
}

/// The caller, who has to have an account.
async fn linking_user(cx: &Cx) -> Result<String> {
    let wanted = cx.user()?.user_id.to_string();
    match cx.runtime().db().read(move |tx| users::find(tx, &wanted)).await? {
        Some(_) => session::signed_in(cx).await,
        None => Err(Error::new(ErrorCode::NotFound, "The caller has no account here.")),
    }
}
