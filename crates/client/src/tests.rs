//! Calls over a transport of the tests' own: addresses, headers, repetition, errors.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::*;

/// What comes of one attempt.
pub(crate) enum Turn {
    Answer(u16, String),
    /// Busy, with a word on how long.
    Busy(u16, &'static str),
    /// The server is not reached.
    Refused,
    /// The connection ends before the answer.
    Reset,
    /// The connection ends within the answer.
    Cut,
    /// Nothing comes.
    Silence,
}

#[derive(Clone, Default)]
pub(crate) struct Wire(Arc<Mutex<(VecDeque<Turn>, Vec<Request>)>>);

impl Wire {
    pub(crate) fn new(turns: impl IntoIterator<Item = Turn>) -> Self {
        let wire = Self::default();
        wire.0.lock().unwrap().0.extend(turns);
        wire
    }

    fn ok() -> Self {
        Self::new([Turn::Answer(200, "{}".to_owned())])
    }

    pub(crate) fn sent(&self) -> Vec<Request> {
        self.0.lock().unwrap().1.clone()
    }

    pub(crate) fn admin(&self) -> AdminCity {
        let builder = City::admin("https://fed.example.com/base//").admin_secret_key("key_1");
        builder.city_id("city_demo").transport(self.clone()).build().unwrap()
    }

    fn user(&self) -> UserCity {
        let builder = City::user("https://fed.example.com").city_id("city_demo");
        builder.user_token("token_1").transport(self.clone()).build().unwrap()
    }
}

impl Transport for Wire {
    fn send(&self, request: Request) -> SendFuture<'_> {
        Box::pin(async move {
            let turn = {
                let mut state = self.0.lock().unwrap();
                state.1.push(request);
                state.0.pop_front().expect("another attempt was not expected")
            };
            let mut headers = header::HeaderMap::new();
            let (status, body) = match turn {
                Turn::Answer(status, body) => (status, vec![Ok(Bytes::from(body))]),
                Turn::Busy(status, seconds) => {
                    headers.insert(header::RETRY_AFTER, seconds.parse().unwrap());
                    (status, vec![Ok(Bytes::from_static(b"{\"error\":\"Busy.\"}"))])
                }
                Turn::Refused => return Err(TransportError::unsent("connection refused")),
                Turn::Reset => return Err(TransportError::broken("connection reset")),
                Turn::Cut => (200, vec![Ok(Bytes::from_static(b"{")), Err("cut".into())]),
                Turn::Silence => std::future::pending().await,
            };
            let status = StatusCode::from_u16(status).unwrap();
            Ok(Response::new(status, headers, Box::pin(stream::iter(body))))
        })
    }
}

async fn read(wire: &Wire) -> Result<Value> {
    wire.admin().service("a")?.get("b", ()).await
}

async fn write(wire: &Wire) -> Result<Value> {
    wire.admin().service("a")?.action("b").invoke(()).await
}

async fn write_once(wire: &Wire) -> Result<Value> {
    wire.admin().service("a")?.action("b").idempotency_key("k1").invoke(()).await
}

#[tokio::test]
async fn any_route_can_be_called_for_one_effect() {
    let wire = Wire::new((0..2).map(|_| Turn::Answer(200, "done".to_owned())));
    let admin = wire.admin();
    let body = json!({ "a": 1 });
    assert_eq!(admin.query_once("/v1/a/b", &body, "k1").await.unwrap(), "done");
    assert_eq!(admin.query(Method::POST, "/v1/a/b", Some(&body)).await.unwrap(), "done");
    let sent = wire.sent();
    assert_eq!(sent[0].headers["idempotency-key"], "k1");
    assert_eq!((&sent[0].method, &sent[0].body), (&sent[1].method, &sent[1].body));
    assert!(!sent[1].headers.contains_key("idempotency-key"));
    assert!(admin.query_once("/v1/a/b", &body, "\n").await.unwrap_err().status().is_none());
}

#[tokio::test]
async fn calls_have_an_address_headers_and_a_body() {
    let wire = Wire::new((0..3).map(|_| Turn::Answer(200, "{\"ok\":true}".to_owned())));
    let admin = wire.admin();
    let accounts = admin.service(" payment.stripe ").unwrap();
    let query = json!({ "q": "a b&c", "limit": 5, "all": true, "none": null });
    let answer: Value = accounts.get("/oauth/result", query).await.unwrap();
    assert_eq!(answer, json!({ "ok": true }));
    let _: Value = accounts.action("le ad?").invoke(json!({ "a": 1 })).await.unwrap();
    let user = wire.user();
    let echo = user.service("echo").unwrap();
    let _: Value = echo.action("say").invoke(json!({ "city_id": "other" })).await.unwrap();
    let sent = wire.sent();
    assert_eq!(
        sent[0].url.as_str(),
        "https://fed.example.com/base/v1/payment.stripe/oauth/result?q=a+b%26c&limit=5&all=true"
    );
    assert_eq!((&sent[0].method, &sent[0].body), (&Method::GET, &None));
    assert_eq!(sent[0].headers[header::AUTHORIZATION], "Bearer key_1");
    assert!(!format!("{:?}", sent[0]).contains("key_1"));
    assert!(sent[1].url.path().ends_with("/le%20ad%3F"), "{}", sent[1].url);
    assert_eq!(sent[1].headers[header::CONTENT_TYPE], "application/json");
    assert!(!sent[1].headers.contains_key("idempotency-key"));
    // The trusted side says itself which city it means.
    assert_eq!(sent[1].body.as_deref(), Some(&b"{\"a\":1}"[..]));
    assert_eq!(sent[2].body.as_deref(), Some(&b"{\"city_id\":\"city_demo\"}"[..]));
}

#[tokio::test]
async fn paths_stay_below_their_service() {
    let wire = Wire::default();
    let admin = wire.admin();
    let service = admin.service("a").unwrap();
    for path in ["", " ", "/", "a/../b", "..", ".", "a//b", "a/%2e%2E/b", "a/"] {
        let told = service.action(path).invoke::<Value>(()).await;
        assert!(matches!(told, Err(Error::Config { field: "path", .. })), "{path:?}: {told:?}");
    }
    assert!(matches!(admin.service("  "), Err(Error::Config { field: "service", .. })));
    let told = admin.service("..").unwrap().get::<Value>("b", ()).await;
    assert!(matches!(told, Err(Error::Config { field: "path", .. })));
    let told = service.action("b").invoke::<Value>([1]).await;
    assert!(matches!(told, Err(Error::Config { field: "input", .. })));
    assert!(wire.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_read_is_repeated_whenever_the_connection_fails() {
    for failure in [|| Turn::Reset, || Turn::Refused, || Turn::Cut] {
        let wire = Wire::new([failure(), failure(), Turn::Answer(200, "1".to_owned())]);
        let begun = Instant::now();
        assert_eq!(read(&wire).await.unwrap(), json!(1));
        let waited = begun.elapsed().as_millis();
        assert!((1_250..=1_600).contains(&waited), "{waited} ms");
        assert_eq!(wire.sent().len(), 3);
        let wire = Wire::new([failure(), failure(), failure()]);
        let error = read(&wire).await.unwrap_err();
        assert!(matches!(error, Error::Transport { attempts: 3, .. }), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_is_repeated_only_where_that_is_safe() {
    let wire = Wire::new([Turn::Reset]);
    let error = write(&wire).await.unwrap_err();
    assert!(matches!(&error, Error::Transport { attempts: 1, .. }));
    assert_eq!(
        error.to_string(),
        "POST https://fed.example.com/base/v1/a/b got no answer in 1 attempt(s): connection reset"
    );
    let wire = Wire::new([Turn::Cut]);
    assert!(matches!(write(&wire).await, Err(Error::Transport { attempts: 1, .. })));
    // Nothing was sent yet.
    let wire = Wire::new([Turn::Refused, Turn::Refused, Turn::Answer(200, "1".to_owned())]);
    assert_eq!(write(&wire).await.unwrap(), json!(1));
    // The server knows it again.
    let wire = Wire::new([Turn::Reset, Turn::Cut, Turn::Answer(200, "1".to_owned())]);
    assert_eq!(write_once(&wire).await.unwrap(), json!(1));
    for request in wire.sent() {
        assert_eq!(request.headers["idempotency-key"], "k1");
    }
    // Models are not asked twice.
    let wire = Wire::new([Turn::Reset]);
    let error = wire.user().ai().text(TextInput::prompt("Hi")).await.unwrap_err();
    assert!(matches!(error, Error::Transport { attempts: 1, .. }));
}

#[tokio::test(start_paused = true)]
async fn answers_are_not_repeated_but_reads_of_busy_servers() {
    for status in [400, 401, 404, 409, 429, 500, 502, 503] {
        let wire = Wire::new([Turn::Answer(status, "{\"error\":\"No.\"}".to_owned())]);
        let error = read(&wire).await.unwrap_err();
        assert_eq!((error.status(), error.message()), (Some(status), Some("No.")));
    }
    for status in [429, 503] {
        let wire = Wire::new([Turn::Busy(status, "7"), Turn::Answer(200, "1".to_owned())]);
        let begun = Instant::now();
        assert_eq!(read(&wire).await.unwrap(), json!(1));
        assert_eq!(begun.elapsed().as_secs(), 7);
        let wire = Wire::new([Turn::Busy(status, "7")]);
        assert_eq!(write_once(&wire).await.unwrap_err().status(), Some(status));
        let wire = Wire::new([Turn::Busy(status, "soon")]);
        assert_eq!(read(&wire).await.unwrap_err().status(), Some(status));
    }
    let wire = Wire::new([Turn::Busy(502, "7")]);
    assert_eq!(read(&wire).await.unwrap_err().status(), Some(502));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever() {
    let silence = || Wire::new([Turn::Silence]);
    let begun = Instant::now();
    let error = read(&silence()).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { after, .. } if after == Duration::from_secs(30)));
    assert_eq!(begun.elapsed().as_secs(), 30);
    let begun = Instant::now();
    silence().user().ai().text(TextInput::prompt("Hi")).await.unwrap_err();
    assert_eq!(begun.elapsed().as_secs(), 600, "models think first");
    let begun = Instant::now();
    let wire = Wire::new([Turn::Busy(503, "3600")]);
    assert!(matches!(read(&wire).await, Err(Error::Timeout { .. })));
    assert_eq!(begun.elapsed().as_secs(), 30, "waits between attempts count");
    let hasty = City::user("https://fed.example.com").city_id("c").user_token("t");
    let hasty = hasty.timeout(Duration::from_secs(2)).transport(silence()).build().unwrap();
    let begun = Instant::now();
    let told = hasty.ai().stream(TextInput::prompt("Hi")).await;
    assert!(matches!(told, Err(Error::Timeout { .. })));
    assert_eq!(begun.elapsed().as_secs(), 2);
}

#[tokio::test]
async fn a_policy_may_forbid_repetition() {
    let wire = Wire::new([Turn::Refused]);
    let admin = City::admin("http://127.0.0.1:1").admin_secret_key("k").retry(RetryPolicy::none());
    let admin = admin.transport(wire.clone()).build().unwrap();
    let error = admin.list_services().await.unwrap_err();
    assert!(matches!(error, Error::Transport { attempts: 1, .. }));
}

#[tokio::test]
async fn an_answer_that_is_no_json_is_told() {
    let wire = Wire::new([Turn::Answer(200, "<html>".to_owned())]);
    let error = read(&wire).await.unwrap_err();
    assert!(matches!(&error, Error::Decode { body, .. } if body == "<html>"));
    assert_eq!((error.body(), error.status()), (Some("<html>"), None));
}

#[tokio::test]
async fn services_are_listed_to_both_sides() {
    let list = json!({ "items": [{ "id": "accounts", "name": "Accounts", "env": [] }] });
    let wire = Wire::new((0..2).map(|_| Turn::Answer(200, list.to_string())));
    assert_eq!(wire.admin().list_services().await.unwrap()[0].id, "accounts");
    assert_eq!(wire.user().list_services().await.unwrap()[0].name, "Accounts");
    assert_eq!(wire.sent()[1].url.path(), "/v1/services");
}

#[test]
fn builders_refuse_what_cannot_work() {
    let field = |told: Result<UserCity>| match told {
        Err(Error::Config { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let user = |url: &str| City::user(url).transport(Wire::ok());
    for url in ["", "fed.example.com", "ftp://a", "https://a:b@c", "https://a?b", "https://a#b"] {
        assert_eq!(field(user(url).build()), "federation_url", "{url}");
    }
    let url = "https://fed.example.com";
    assert_eq!(field(user(url).city_id(" ").build()), "city_id");
    assert_eq!(field(user(url).user_token(" ").build()), "user_token");
    let admin = City::admin(url).transport(Wire::ok()).admin_secret_key("").build();
    assert!(matches!(admin, Err(Error::Config { field: "admin_secret_key", .. })));
}

#[tokio::test]
async fn secrets_are_not_shown() {
    let wire = Wire::ok();
    let shown = format!("{:?} {:?} {:?}", wire.admin(), wire.user(), wire.user().ai().model("m"));
    assert!(!shown.contains("key_1") && !shown.contains("token_1"), "{shown}");
    let line = City::user("https://a.example").user_token("two\nlines").transport(wire).build();
    let error = line.unwrap().list_services().await.unwrap_err();
    assert!(!error.to_string().contains("lines"), "{error}");
}
