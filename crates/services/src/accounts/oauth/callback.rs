//! `oauth/callback` and `oauth/confirm`: what browsers open.

use std::sync::Arc;

use downcity_core::audit::{Target, Trail};
use downcity_core::{Body, Cx, Error, RawRequest, Reply, Result, env, token};
use downcity_db::Tx;
use downcity_types::{City, ErrorCode};
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use serde_json::json;

use super::exchange::{self, Fault, Grant};
use super::flow::{Flow, LIFETIME, hashed};
use super::origin::is_same_machine;
use super::pages::{self, Failure};
use super::person::Person;
use super::provider::Provider;
use super::resolve::{self, Refusal, Resolved};
use super::{github, google, pkce, store, wechat};
use crate::accounts::config::{EmailVerification, OauthConfirmation};
use crate::accounts::service::Accounts;
use crate::accounts::store::users;

/// Longest code or secret that is taken from a browser, in bytes.
const MAX_TEXT: usize = 2_048;
/// Largest form, in bytes.
const MAX_FORM: usize = 4_096;
/// Binds the page that asks for confirmation to the browser that was shown it.
const COOKIE_NAME: &str = "downcity_oauth";
/// How often a change is tried that meets others.
const TRIES: usize = 3;

/// What a provider sends back, or a form holds.
struct Fields(Vec<(String, String)>);

impl Fields {
    fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// A field that is there once and is not empty.
    fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(field, _)| field == name);
        let (_, value) = found.next()?;
        let is_text = !value.is_empty() && value.len() <= MAX_TEXT && !value.contains('\0');
        (is_text && found.next().is_none()).then_some(value)
    }
}

impl Accounts {
    pub(in crate::accounts) async fn oauth_callback(
        self: Arc<Self>,
        cx: Cx,
        request: RawRequest,
    ) -> Result<Reply> {
        let fields = Fields::parse(request.parts.uri.query().unwrap_or_default().as_bytes());
        Ok(page_of(self.called(&cx, &fields).await))
    }

    pub(in crate::accounts) async fn oauth_confirm(
        self: Arc<Self>,
        cx: Cx,
        request: RawRequest,
    ) -> Result<Reply> {
        let cookie = cookie(&request.parts.headers);
        Ok(page_of(match read_form(request.body).await {
            Some(fields) => self.confirmed(&cx, &fields, cookie.as_deref()).await,
            None => Err(Failure::Form),
        }))
    }

    /// Somebody comes from a provider.
    async fn called(&self, cx: &Cx, fields: &Fields) -> Result<Reply, Failure> {
        let state = fields.get("state").ok_or(Failure::Missing)?;
        let flow = self.take_started(cx, state).await?.ok_or(Failure::Unknown)?;
        let reply = match fields.get("code") {
            Some(code) => self.identified(cx, &flow, code).await,
            None if fields.get("error").is_some() => Err(Failure::Denied(flow.provider)),
            None => Err(Failure::Missing),
        };
        if reply.is_err() {
            drop_flow(cx, &flow).await?;
        }
        reply
    }

    async fn take_started(&self, cx: &Cx, state: &str) -> Result<Option<Flow>> {
        let (state, now) = (hashed(state), cx.runtime().clock().now());
        cx.write(move |tx, trail| {
            let flow = store::take_started(tx, &state, now)?;
            note(trail, flow.as_ref(), "called");
            Ok(flow)
        })
        .await
    }

    /// Asks the provider who it is, and the person whether they want to.
    async fn identified(&self, cx: &Cx, flow: &Flow, code: &str) -> Result<Reply, Failure> {
        let city = city_of(cx, flow)?;
        let person = self.ask_provider(cx, flow, code).await.map_err(|fault| {
            exchange::log(flow.provider, &fault);
            Failure::from_fault(flow.provider, fault)
        })?;
        let asks_always = self.config.oauth_confirmation == OauthConfirmation::Always;
        if !asks_always && is_same_machine(cx, flow) {
            return self.finish(cx, flow, &city, person).await;
        }
        self.ask_person(cx, flow, &city, &person).await
    }

    async fn ask_provider(&self, cx: &Cx, flow: &Flow, code: &str) -> Result<Person, Fault> {
        let client = flow.provider.client(cx, self.config.allow_loopback_http)?;
        let verifier = pkce::verifier(&cx.require_env(env::AUTH_SECRET)?, &flow.nonce);
        let verifier = flow.provider.has_pkce().then(|| verifier.secret().as_str());
        let http = self.http.get().ok_or_else(|| Error::internal("the service has not started"))?;
        let grant = Grant { code, redirect_uri: &flow.redirect_uri, verifier };
        match flow.provider {
            Provider::Github => github::person(&client, http, &grant).await,
            Provider::Google => google::person(&client, http, &grant).await,
            Provider::Wechat => wechat::person(&client, http, &grant).await,
        }
    }

    async fn ask_person(
        &self,
        cx: &Cx,
        flow: &Flow,
        city: &City,
        person: &Person,
    ) -> Result<Reply, Failure> {
        let ids = cx.runtime().ids();
        let (form_secret, cookie_secret) = (ids.secret::<32>(""), ids.secret::<32>(""));
        let confirmation = confirmation(&form_secret, &cookie_secret);
        let stored = serde_json::to_string(person).map_err(Error::internal)?;
        let (asked, link_user_id) = (flow.clone(), flow.link_user_id.clone());
        let account = cx
            .write(move |tx, trail| {
                note(trail, Some(&asked), "asked");
                let account = match &link_user_id {
                    Some(user_id) => users::find(tx, user_id)?.map(|user| user.email),
                    None => None,
                };
                Ok(store::ask(tx, &asked.flow_id, &confirmation, &stored)?.then_some(account))
            })
            .await?
            .ok_or(Failure::Unknown)?;
        let page = pages::Confirmation {
            city: &city.name,
            provider: flow.provider,
            person,
            account: account.as_deref(),
            user_code: &flow.user_code,
            form_secret: &form_secret,
            return_url: flow.return_url.as_deref(),
        };
        Ok(page.render().with_header(SET_COOKIE, set_cookie(flow, &cookie_secret)?))
    }

    /// Somebody has answered the page that asks.
    async fn confirmed(
        &self,
        cx: &Cx,
        fields: &Fields,
        cookie: Option<&str>,
    ) -> Result<Reply, Failure> {
        let form_secret = fields.get("confirmation").ok_or(Failure::Form)?;
        let confirmation = confirmation(form_secret, cookie.ok_or(Failure::Form)?);
        let now = cx.runtime().clock().now();
        let flow = cx
            .write(move |tx, trail| {
                let flow = store::take_asked(tx, &confirmation, now)?;
                note(trail, flow.as_ref(), "confirmed");
                Ok(flow)
            })
            .await?
            .ok_or(Failure::Form)?;
        let reply = match fields.get("decision") {
            Some("confirm") => self.go_on(cx, &flow).await,
            _ => Err(Failure::Cancelled),
        };
        if reply.is_err() {
            drop_flow(cx, &flow).await?;
        }
        reply
    }

    async fn go_on(&self, cx: &Cx, flow: &Flow) -> Result<Reply, Failure> {
        let city = city_of(cx, flow)?;
        let person = serde_json::from_str(flow.person.as_deref().unwrap_or_default());
        self.finish(cx, flow, &city, person.map_err(Error::internal)?).await
    }

    /// Finds the person's account and lets the starter have the result.
    async fn finish(
        &self,
        cx: &Cx,
        flow: &Flow,
        city: &City,
        mut person: Person,
    ) -> Result<Reply, Failure> {
        if self.config.email_verification == EmailVerification::Required && !person.email_verified {
            // Here every address of an account is a proved one, or stands in for one.
            person.email = None;
        }
        let now = cx.runtime().clock().now();
        let user_id = crate::accounts::register::new_user_id(cx);
        let new = resolve::new_account(&person, user_id, now);
        let mut tries = 0;
        let outcome = loop {
            tries += 1;
            let (flow, person, new) = (flow.clone(), person.clone(), new.clone());
            // What the snapshot shows may change: sessions of those who cannot have been the owner end.
            let finished = cx.change(move |tx, trail| {
                note(trail, Some(&flow), "done");
                let outcome = match &flow.link_user_id {
                    Some(user_id) => resolve::link(tx, &person, user_id, now)?,
                    None => resolve::resolve(tx, &person, &new, now)?,
                };
                finished(tx, &flow, outcome)
            });
            match finished.await {
                Err(error) if error.code() == ErrorCode::Conflict && tries < TRIES => {}
                other => break other?,
            }
        };
        let resolved = outcome.map_err(Failure::Refused)?;
        if resolved.took_over {
            tracing::info!(
                user_id = resolved.user_id,
                provider = person.provider.id(),
                "an account with an unverified address was taken over by the owner of the address"
            );
        }
        let is_link = flow.link_user_id.is_some();
        Ok(match flow.return_url.as_deref().map(HeaderValue::try_from) {
            Some(Ok(url)) => pages::redirect().with_header(LOCATION, url),
            _ => pages::success(&city.name, person.provider, is_link),
        })
    }
}

/// Stores what came of a flow; what is refused leaves nothing behind.
fn finished(
    tx: &mut Tx<'_>,
    flow: &Flow,
    outcome: Result<Resolved, Refusal>,
) -> Result<Result<Resolved, Refusal>> {
    let Ok(resolved) = outcome else { return Ok(outcome) };
    if store::finish(tx, &flow.flow_id, &resolved.user_id)? {
        return Ok(Ok(resolved));
    }
    // Undone with the transaction: a flow that has ended signs nobody in.
    Err(Error::new(ErrorCode::NotFound, "The sign-in has ended."))
}

/// Ends a flow that came to nothing, so that its starter learns of it.
async fn drop_flow(cx: &Cx, flow: &Flow) -> Result<()> {
    let flow = flow.clone();
    cx.write(move |tx, trail| {
        note(trail, Some(&flow), "dropped");
        store::delete(tx, &flow.flow_id)
    })
    .await
}

/// The trusted side has no business here, but what it does is recorded as everywhere.
fn note(trail: &mut Trail, flow: Option<&Flow>, stage: &str) {
    match flow {
        Some(flow) => {
            let target = Target::new("oauth_flow", &flow.flow_id).in_city(&flow.city_id);
            trail.record(target, (), json!({"stage": stage}));
        }
        None => trail.unchanged(),
    }
}

fn city_of(cx: &Cx, flow: &Flow) -> Result<Arc<City>, Failure> {
    token::active_city(&cx.runtime().snapshot(), &flow.city_id).map_err(|_| Failure::NoCity)
}

/// The page of an outcome. Faults of ours are logged here: people get a page, not an error body.
fn page_of(outcome: Result<Reply, Failure>) -> Reply {
    outcome.unwrap_or_else(|failure| {
        if let Failure::Ours(error) = &failure
            && error.status().is_server_error()
        {
            tracing::error!(?error, "a sign-in with a provider could not be finished");
        }
        failure.page()
    })
}

async fn read_form(body: Body) -> Option<Fields> {
    let body = Limited::new(body, MAX_FORM).collect().await.ok()?;
    Some(Fields::parse(&body.to_bytes()))
}

/// What is stored of a page that asks: neither the page nor the cookie alone confirms anything.
fn confirmation(form_secret: &str, cookie_secret: &str) -> String {
    hashed(&format!("{form_secret}.{cookie_secret}"))
}

fn set_cookie(flow: &Flow, secret: &str) -> Result<HeaderValue> {
    let secure = if flow.redirect_uri.starts_with("https:") { "; Secure" } else { "" };
    let cookie = format!(
        "{COOKIE_NAME}={secret}; Path=/; Max-Age={}; HttpOnly; SameSite=Strict{secure}",
        LIFETIME.as_secs()
    );
    HeaderValue::try_from(cookie).map_err(Error::internal)
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE_NAME && value.len() <= MAX_TEXT).then(|| value.to_owned())
    });
    pairs.next()
}

impl Failure {
    fn from_fault(provider: Provider, fault: Fault) -> Self {
        match fault {
            Fault::BadCode(_) => Self::BadCode(provider),
            Fault::Upstream(_) => Self::Provider(provider),
            Fault::Ours(error) if error.status() == StatusCode::BAD_REQUEST => {
                Self::Provider(provider)
            }
            Fault::Ours(error) => Self::Ours(error),
        }
    }
}
