//! A wide mix of calls on a whole Federation that logs everything: nothing that a caller, a
//! provider or the env vault holds stands in the log.

use std::net::SocketAddr;
use std::sync::Arc;

use downcity_core::env::{ADMIN_KEY, MasterKey};
use downcity_db::testing::TestDatabase;
use downcity_db::{DbOptions, Engine};
use downcity_testkit::tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use downcity_testkit::tokio::net::TcpStream;
use downcity_testkit::{Answer, Capture, MockUpstream, block_on};
use serde_json::{Value, json};

use super::{log_panic, subscriber};
use crate::Federation;
use crate::config::{Config, LogConfig, LogFormat};
use crate::prelude::*;

/// Stands in every value that must not be logged; what follows it says where the value was.
const MARK: &str = "geheim";
const ADMIN: &str = "admin_geheim_0123456789abcdef";

fn loudest() -> LogConfig {
    // What is asked for by name is no exception.
    let level = "trace,hyper=trace,h2=trace,rustls=trace,tokio_postgres=trace".to_owned();
    LogConfig { format: LogFormat::Text, level, requests: true }
}

/// Fails in every way that may leave traces.
struct Clumsy;

#[derive(Deserialize, JsonSchema)]
struct Text {
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Nothing {}

impl Clumsy {
    async fn panic(self: Arc<Self>, _: Cx, input: Text) -> Result<Nothing> {
        panic!("cannot take {}", input.text)
    }

    async fn refuse(self: Arc<Self>, _: Cx, input: Text) -> Result<Nothing> {
        Err(Error::new(ErrorCode::Conflict, format!("{} is taken.", input.text)))
    }
}

impl Service for Clumsy {
    fn id(&self) -> &'static str {
        "clumsy"
    }

    fn name(&self) -> &'static str {
        "Clumsy"
    }

    fn define(self: Arc<Self>, s: &mut ServiceDef) {
        s.get("panic", PUBLIC, &self, Self::panic).summary("Panic with the input.");
        s.post("panic", PUBLIC, &self, Self::panic).summary("Panic with the input.");
        s.post("refuse", PUBLIC, &self, Self::refuse).summary("Refuse with the input.");
        s.post("of/{text}", PUBLIC, &self, Self::panic).summary("Panic with the path.");
    }
}

/// A Federation with a provider, on a free port.
async fn federation(database: &TestDatabase, upstream: &MockUpstream) -> Federation {
    let config = json!({"ai": {
        "retries": {"attempts": 1},
        "provider": [{"id": "mock", "protocol": "openai-chat", "base_url": upstream.url(), "env_key": "MOCK_API_KEY"}],
        "model": [{"id": "chat", "name": "Chat", "provider": "mock", "default": true}],
    }});
    let mut config: Config = serde_json::from_value(config).unwrap();
    config.server.max_uri_size = crate::config::ByteSize::bytes(400);
    Federation::builder()
        .config(config)
        .database(DbOptions::new(database.url()))
        .master_key(MasterKey::parse("geheim-master-key of more than 32 characters").unwrap())
        .seed(ADMIN_KEY, Secret::new(ADMIN))
        .service(Clumsy)
        .listen("127.0.0.1:0")
        .build()
        .await
        .unwrap()
}

/// Sends bytes on a connection of their own, and its end where the client `leaves`; gives all that
/// comes back until the server closes.
async fn send(address: SocketAddr, bytes: impl AsRef<[u8]>, leaves: bool) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_ref()).await.unwrap();
    if leaves {
        stream.shutdown().await.unwrap();
    }
    let mut answer = Vec::new();
    // A connection that is reset has answered all it will.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// One request with marks in its headers.
async fn call(
    address: SocketAddr,
    target: &str,
    credential: &str,
    body: impl ToString,
) -> (u16, String) {
    let body = body.to_string();
    let request = format!(
        "{target} HTTP/1.1\r\nhost: geheim-host.example\r\nauthorization: Bearer {credential}\r\n\
         cookie: session=geheim-cookie\r\nx-api-key: geheim-header\r\norigin: https://geheim-origin.example\r\n\
         user-agent: geheim-agent\r\nreferer: https://x.example/geheim-referer\r\ntraceparent: geheim-trace\r\n\
         idempotency-key: geheim-key-{}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        target.len(),
        body.len(),
    );
    let answer = send(address, request, false).await;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    (status, body)
}

async fn as_admin(address: SocketAddr, path: &str, body: Value) -> Value {
    let (status, body) = call(address, &format!("POST {path}"), ADMIN, body).await;
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// Values in the vault, in cities, tokens and service keys; gives a user token and a service key.
async fn fill(address: SocketAddr) -> (String, String) {
    for (key, value) in [("MOCK_API_KEY", "geheim-provider-key"), ("SHOP_KEY", "geheim-value")] {
        as_admin(address, "/v1/env/upsert", json!({"key": key, "value": value})).await;
    }
    as_admin(address, "/v1/env/import", json!({"raw": "OTHER_KEY=geheim-import\n"})).await;
    let city = json!({"city_id": "city_a", "name": "geheim-name"});
    as_admin(address, "/v1/cities/create", city).await;
    let apply = json!({
        "city_id": "city_a", "user_id": "geheim-user@example.com", "metadata": {"plan": "geheim-metadata"},
    });
    let token = as_admin(address, "/v1/cities/tokens/apply", apply).await;
    let key = json!({"name": "geheim-key-name", "actions": ["cities/list"]});
    let key = as_admin(address, "/v1/keys/create", key).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&token["user_token"]), text(&key["key"]))
}

/// Requests that are answered in all the ways there are.
async fn knock(address: SocketAddr, token: &str, key: &str) {
    for (target, credential, body, status) in [
        ("GET /v1/cities/list?limit=geheim-query", ADMIN, "", 200),
        ("GET /v1/cities/list?geheim-name-of-query=1", key, "", 200),
        ("GET /v1/cities/list", "geheim-credential", "", 401),
        ("GET /v1/cities/list", token, "", 403),
        ("GET /geheim-path/geheim", ADMIN, "", 404),
        ("GET /v1/ai/models/geheim-model", token, "", 404),
        ("DELETE /v1/cities/list?geheim=1", ADMIN, "", 405),
        ("GEHEIM /livez", ADMIN, "", 405),
        ("geheim-method /livez", ADMIN, "", 405),
        ("POST /v1/cities/create", ADMIN, "{\"name\": \"geheim-half", 400),
        ("POST /v1/cities/create", ADMIN, "{\"name\": {\"geheim-field\": 1}}", 400),
        ("POST /v1/cities/create", ADMIN, "{\"geheim-unknown\": 1}", 400),
        ("POST /v1/env/upsert", ADMIN, "{\"key\": \"geheim key\", \"value\": \"geheim\"}", 400),
        ("POST /v1/env/import", ADMIN, "{\"raw\": \"geheim line\"}", 200),
        ("POST /v1/cities/tokens/revoke", ADMIN, "{\"user_token\": \"ub_geheim.geheim\"}", 400),
        ("POST /v1/clumsy/refuse", token, "{\"text\": \"geheim-refusal\"}", 409),
        ("POST /v1/clumsy/panic", token, "{\"text\": \"geheim-panic\"}", 500),
        ("GET /v1/clumsy/panic?text=geheim-panic-of-query", token, "", 500),
        ("POST /v1/clumsy/of/geheim-panic-of-path", token, "{}", 500),
    ] {
        let (answered, body) = call(address, target, credential, body).await;
        assert_eq!(answered, status, "{target}: {body}");
    }
    let long = format!("GET /livez?geheim-long={}", "x".repeat(500));
    assert_eq!(call(address, &long, ADMIN, "").await.0, 414);
    for bytes in [
        &b"geheim-line\r\n\r\n"[..],
        b"GET /livez HTTP/1.1\r\ngeheim header\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nhost: a\r\nhost: geheim-host\r\n\r\n",
        b"POST /v1/cities/create HTTP/1.1\r\nhost: a\r\ncontent-length: 90\r\n\r\ngeheim-part",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngeheim-frame-that-is-none",
        b"GET /livez HTTP/1.1\r\nx-geheim: \xff\xfe\r\nhost: a\r\n\r\n",
    ] {
        send(address, bytes, true).await;
    }
}

/// Prompts, answers, and failures of a provider that tells its secrets.
async fn converse(address: SocketAddr, upstream: &MockUpstream, token: &str) {
    let message = json!({"role": "user", "content": "geheim-prompt"});
    let ask = |stream: bool| json!({"model": "chat", "messages": [message], "stream": stream});
    let completion = json!({"id": "geheim-id", "object": "chat.completion", "created": 1, "model": "chat", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "geheim-completion"}, "finish_reason": "stop"},
    ]});
    let delta = json!({"choices": [{"index": 0, "delta": {"content": "geheim-delta"}}]});
    let error = json!({"error": {"message": "geheim-failure: bad key geheim-provider-key", "code": "geheim-code"}});
    for (answer, stream) in [
        (Answer::json(200, &completion), false),
        (Answer::events([&delta]), true),
        (Answer::stream().event(&delta).cut(), true),
        (Answer::stream().event(&delta).event(&error), true),
        (Answer::stream().event(&delta).write("data: {geheim-event\n\n"), true),
        (Answer::json(500, &error), false),
        (Answer::json(401, &error), false),
        (Answer::json(429, &error).header("retry-after", "geheim-later"), false),
        (Answer::text(200, "text/html", "<p>geheim-page</p>"), false),
        (Answer::text(200, "application/json", "{\"geheim-json\": "), false),
    ] {
        upstream.then(answer);
        let (status, _) = call(address, "POST /v1/ai/chat/completions", token, ask(stream)).await;
        assert_ne!(status, 0);
    }
    upstream.then(Answer::json(200, &completion));
    let text = json!({"prompt": "geheim-text-prompt", "model": "geheim-model"});
    call(address, "POST /v1/ai/text", token, text).await;
}

/// The same over HTTP/2, whose library logs frames.
async fn speak_http2(address: SocketAddr) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut send, connection) = hyper::client::conn::http2::handshake(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(stream),
    )
    .await
    .unwrap();
    let request = http::Request::get(format!("http://{address}/v1/cities/list?geheim-query=2"))
        .header("authorization", "Bearer geheim-credential-2")
        .header("x-geheim", "geheim-header-2")
        .body(Body::Empty)
        .unwrap();
    let answer = downcity_testkit::tokio::select! {
        answer = send.send_request(request) => answer.unwrap(),
        _ = connection => panic!("the connection ended"),
    };
    assert_eq!(answer.status(), 401);
}

#[test]
fn nothing_that_callers_and_providers_say_is_logged() {
    let log = Capture::default();
    let writer = log.clone();
    let lines = subscriber(&loudest(), move || writer.clone(), false);
    tracing::subscriber::set_global_default(lines).expect("no other test of this crate logs");
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        log_panic(panic);
        usual(panic);
    }));
    block_on(async {
        let upstream = MockUpstream::start().await;
        let database = TestDatabase::new(Engine::Sqlite).unwrap();
        let federation = federation(&database, &upstream).await;
        let address = federation.local_addr().unwrap();
        let (token, key) = fill(address).await;
        knock(address, &token, &key).await;
        converse(address, &upstream, &token).await;
        speak_http2(address).await;
        assert!(federation.shutdown().await);
        for secret in [token.as_str(), key.as_str()] {
            assert_eq!(log.lines_with(secret), [""; 0]);
        }
    });
    let shown = log.text();
    for line in shown.lines() {
        assert!(!line.to_lowercase().contains(MARK), "{line}");
    }
    // Were nothing logged at all, nothing would be proven.
    for expected in [
        "route=\"/v1/cities/list\" status=401 code=\"invalid_credential\"",
        "route=\"/v1/clumsy/of/{text}\" status=500 code=\"internal\"",
        "method=\"other\" status=405 code=\"method_not_allowed\"",
        "method=\"GET\" status=404 code=\"not_found\"",
        "status=414 code=\"uri_too_long\"",
        "the provider failed",
        "the answer broke off",
        "panicked at crates/server/src/telemetry/secrecy.rs",
        "city_id=\"city_a\"",
        "client=127.0.0.1",
        "key_id=\"key_",
        " DEBUG ",
    ] {
        assert!(shown.contains(expected), "{expected}\n{shown}");
    }
}

#[test]
fn libraries_that_show_what_they_carry_are_kept_quiet() {
    let log = Capture::default();
    let writer = log.clone();
    let lines = subscriber(&loudest(), move || writer.clone(), false);
    tracing::subscriber::with_default(lines, || {
        tracing::trace!(target: "h2::codec::framed_read", "geheim");
        tracing::debug!(target: "hyper::proto::h1::io", "geheim");
        tracing::debug!(target: "tokio_postgres::prepare", "geheim");
        tracing::debug!(target: "rustls::client::hs", "geheim");
        tracing::info!(target: "h2::client", "of general interest");
        tracing::trace!(target: "hyperloop", "of a product's own crate");
    });
    let shown = log.text();
    assert!(!shown.contains(MARK), "{shown}");
    assert!(shown.contains("of general interest") && shown.contains("product's own"), "{shown}");
}

#[test]
fn request_lines_are_written_only_where_they_are_asked_for() {
    for requests in [true, false] {
        let log = Capture::default();
        let writer = log.clone();
        let config = LogConfig { requests, ..loudest() };
        tracing::subscriber::with_default(
            subscriber(&config, move || writer.clone(), false),
            || {
                tracing::info!(target: downcity_core::ACCESS_LOG, "request");
            },
        );
        assert_eq!(log.text().is_empty(), !requests);
    }
}
