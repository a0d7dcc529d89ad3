//! A whole Federation is used in every way that touches secrets, then everything it left is searched.

use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};

use downcity_core::env::{ADMIN_KEY, AUTH_SECRET, MasterKey, SIGNING_KEY};
use downcity_core::{ADMIN, Body, Cx, NoInput, Result, Secret, Service, ServiceDef};
use downcity_db::testing::TestDatabase;
use downcity_db::{DbError, DbOptions, Engine, sql};
use downcity_server::{Config, Federation};
use downcity_testkit::{Answer, MockUpstream};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::planted::Planted;

const MASTER: &str = "planted-master-key-passphrase-000000000000";
const ADMIN_SECRET: &str = "planted_admin_key_1111111111111111";

/// The whole log of this process, everything that anybody says included.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        let listen = || {
            let log = Self::default();
            let writer = log.clone();
            tracing_subscriber::fmt()
                .with_ansi(false)
                .with_max_level(tracing::Level::TRACE)
                .with_writer(move || writer.clone())
                .init();
            log
        };
        LOG.get_or_init(listen).clone()
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A handler that dies while it holds a secret.
struct Dying;

impl Dying {
    async fn die(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<()> {
        let held = cx.require_env("PLANTED_ONE")?;
        assert!(held.expose().is_empty(), "{held:?} of {cx:?}, {:?}", cx.runtime().snapshot());
        Ok(())
    }
}

impl Service for Dying {
    fn id(&self) -> &'static str {
        "dying"
    }

    fn name(&self) -> &'static str {
        "Dying"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        service.post("die", ADMIN, &self, Self::die).summary("Die while holding a secret.");
    }
}

/// A Federation under search.
struct Searched {
    federation: Federation,
    upstream: MockUpstream,
    planted: Vec<Planted>,
    /// What callers got who must not see secrets: every failure, and every answer to a user.
    told: Vec<u8>,
}

impl Searched {
    async fn start(database: &TestDatabase) -> Self {
        let upstream = MockUpstream::start().await;
        let mut config = Config::default();
        config.metrics.enabled = true;
        config.ai = serde_json::from_value(json!({
            "provider": [{"id": "mock", "base_url": upstream.url(), "env_key": "MOCK_API_KEY"}],
            "model": [{"id": "chat", "name": "Chat", "provider": "mock", "default": true}],
            "retries": {"attempts": 1},
        }))
        .unwrap();
        let federation = Federation::builder()
            .config(config)
            .database(DbOptions::new(database.url()))
            .master_key(MasterKey::parse(MASTER).unwrap())
            .seed(ADMIN_KEY, Secret::new(ADMIN_SECRET))
            .service(Dying)
            .build()
            .await
            .unwrap();
        let mut this = Self { federation, upstream, planted: Vec::new(), told: Vec::new() };
        this.plant("master key", MASTER);
        this.plant("admin key", ADMIN_SECRET);
        this
    }

    /// Remembers a secret for the search, and gives it.
    fn plant(&mut self, name: &str, text: &str) -> String {
        self.planted.push(Planted::new(name, text));
        text.to_owned()
    }

    async fn send(&mut self, credential: &str, path: &str, body: String) -> (u16, Value) {
        let method = if body.is_empty() { Method::GET } else { Method::POST };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, format!("Bearer {credential}"))
            .header("idempotency-key", format!("key for {path}"));
        let response = self.federation.handle(request.body(Body::from(body)).unwrap()).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        if status >= 400 || credential != ADMIN_SECRET {
            self.told.extend_from_slice(&bytes);
            self.told.extend(format!("{headers:?}").into_bytes());
        }
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    async fn admin(&mut self, action: &str, input: Value) -> Value {
        let (status, answer) =
            self.send(ADMIN_SECRET, &format!("/v1/{action}"), input.to_string()).await;
        assert_eq!(status, 200, "{action}: {answer}");
        answer
    }

    async fn fails(&mut self, credential: &str, path: &str, body: &str) {
        let (status, answer) = self.send(credential, path, body.to_owned()).await;
        assert!(status >= 400, "{path}: {answer}");
    }

    /// Values of every kind in and out of the vault.
    async fn use_env(&mut self) {
        let one = self.plant("env value", "planted-env-one-2222222222222222");
        let two = self.plant("second env value", "planted/env+two=3333333333333333");
        let imported = self.plant("imported value", "planted-imported-4444444444444444");
        let by_hand = self.plant("value by hand", "planted-by-hand-5555555555555555");
        let refused = self.plant("refused value", "planted-refused-6666666666666666");
        let kept = self.plant("provider key", "planted-provider-key-7777777777777777");
        let auth = self.plant("auth secret", "planted-auth-secret-8888888888888888");
        for value in [&one, &two] {
            self.admin("env/upsert", json!({"key": "PLANTED_ONE", "value": value})).await;
        }
        self.admin("env/rollback", json!({"key": "PLANTED_ONE", "version": 1})).await;
        self.admin("env/import", json!({"raw": format!("A=1\nIMPORTED='{imported}'")})).await;
        self.admin("env/upsert", json!({"key": AUTH_SECRET, "value": auth})).await;
        self.admin("env/remove", json!({"key": "IMPORTED"})).await;
        self.upstream.models(Answer::text(401, "text/plain", &format!("not {refused}")));
        let input = json!({"key": "MOCK_API_KEY", "value": refused}).to_string();
        self.fails(ADMIN_SECRET, "/v1/env/upsert", &input).await;
        self.upstream.models(Answer::text(500, "text/plain", &format!("not {kept}")));
        self.admin("env/upsert", json!({"key": "MOCK_API_KEY", "value": kept})).await;
        self.admin("env/test", json!({"key": "MOCK_API_KEY"})).await;
        let row = by_hand.clone();
        let written = self.federation.runtime().db().write(move |tx| {
            tx.execute(sql!("INSERT INTO env (key, value) VALUES ('BY_HAND', $1)"), &[&row])
        });
        written.await.map_err(|error: DbError| error).unwrap();
        self.admin("env/refresh", json!({})).await;
        // What cannot be read must not be repeated.
        for body in [
            format!("{{\"key\":\"K\",\"value\":\"{one}\""),
            json!({"key": one, "value": two}).to_string(),
            json!({"key": "K", "value": [one]}).to_string(),
            json!({"key": ADMIN_KEY, "value": format!("{two} ü")}).to_string(),
        ] {
            self.fails(ADMIN_SECRET, "/v1/env/upsert", &body).await;
        }
        let raw = json!({"raw": format!("A=1\n{one}\n{two} x=3")}).to_string();
        self.fails(ADMIN_SECRET, "/v1/env/import", &raw).await;
        self.fails(ADMIN_SECRET, &format!("/v1/env/history?key={one}"), "").await;
        self.fails(ADMIN_SECRET, "/v1/dying/die", "{}").await;
    }

    /// Tokens and keys, and calls with broken ones.
    async fn use_credentials(&mut self) -> String {
        self.admin("cities/create", json!({"name": "City", "city_id": "city_a"})).await;
        let input = json!({"city_id": "city_a", "user_id": "user_1"});
        let first = self.admin("cities/tokens/apply", input.clone()).await;
        let first = first["user_token"].as_str().unwrap().to_owned();
        let signing = self.plant("signing key", "planted-signing-key-9999999999999999");
        self.admin("env/upsert", json!({"key": SIGNING_KEY, "value": signing})).await;
        self.admin("keys/rotate", json!({})).await;
        let token = self.admin("cities/tokens/apply", input).await;
        let token = token["user_token"].as_str().unwrap().to_owned();
        for (name, token) in [("earlier token", &first), ("token", &token)] {
            self.plant(name, token);
            self.plant(&format!("signature of the {name}"), token.rsplit('.').next().unwrap());
        }
        self.admin("cities/tokens/verify", json!({"city_id": "city_a", "user_token": token})).await;
        let issued = self.admin("keys/create", json!({"name": "S", "actions": ["cities/*"]})).await;
        let key = issued["key"].as_str().unwrap().to_owned();
        // Its first characters are shown in lists.
        self.plant("service key", &key[10..]);
        self.send(&key, "/v1/cities/list", String::new()).await;
        for broken in [format!("{token}x"), format!("{key}x"), format!("{ADMIN_SECRET}x"), first] {
            self.fails(&broken, "/v1/cities/list", "").await;
        }
        let input = json!({"city_id": "city_a", "user_token": [token]}).to_string();
        self.fails(ADMIN_SECRET, "/v1/cities/tokens/verify", &input).await;
        token
    }

    /// A provider that repeats its key.
    async fn use_models(&mut self, token: &str) {
        let value = self.federation.runtime().snapshot().env().get("MOCK_API_KEY").unwrap();
        let error = json!({"error": {"message": format!("no: {}", value.expose())}});
        let said = error.to_string();
        let (head, tail) = said.split_at(30);
        let answers = || {
            [
                Answer::json(400, &error),
                Answer::json(401, &error),
                Answer::json(500, &error),
                Answer::json(200, &error),
                Answer::stream().event(&error),
                Answer::stream().write("data: ").write(head).write(tail).write("\n\n"),
                Answer::pieces("application/json").write(head).write(tail),
            ]
        };
        for (path, input) in [
            ("/v1/ai/chat/completions", json!({"stream": true})),
            ("/v1/ai/chat/completions", json!({})),
            ("/v1/ai/stream", json!({"prompt": "Hi"})),
            ("/v1/ai/text", json!({"prompt": "Hi"})),
        ] {
            for answer in answers() {
                self.upstream.always(answer);
                self.send(token, path, input.to_string()).await;
            }
        }
    }

    /// Documents and lists, which show no secret to anybody.
    async fn documents(&mut self) -> Vec<u8> {
        let mut found = Vec::new();
        let listed = [
            "/metrics",
            "/v1/services",
            "/openapi.json",
            "/v1/audit/list",
            "/v1/keys/list",
            "/v1/keys/signing",
            "/v1/env/catalog",
            "/v1/env/history?key=PLANTED_ONE",
            "/v1/env/history?key=MOCK_API_KEY",
        ];
        for path in listed {
            let request =
                Request::get(path).header(AUTHORIZATION, format!("Bearer {ADMIN_SECRET}"));
            let response = self.federation.handle(request.body(Body::Empty).unwrap()).await;
            found.extend(response.into_body().collect().await.unwrap().to_bytes());
        }
        found
    }

    fn check(&self, place: &str, bytes: &[u8]) {
        let hits: Vec<&str> = self
            .planted
            .iter()
            .filter(|planted| planted.is_in(bytes))
            .map(|planted| planted.name.as_str())
            .collect();
        assert_eq!(hits, [""; 0], "{place} shows secrets");
    }
}

async fn search(engine: Engine) {
    let log = Log::listen();
    let database = TestDatabase::new(engine).unwrap();
    let mut searched = Searched::start(&database).await;
    searched.use_env().await;
    let token = searched.use_credentials().await;
    searched.use_models(&token).await;
    let documents = searched.documents().await;
    assert!(!documents.is_empty() && !searched.told.is_empty());
    searched.check("a document", &documents);
    searched.check("an answer", &searched.told);
    let stored = database.dump().unwrap();
    assert!(memchr::memmem::find(&stored, b"sealed:v1:").is_some(), "the dump holds the rows");
    searched.check("the database", &stored);
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.sqlite");
    let db = searched.federation.runtime().db();
    db.backup(&copy, downcity_db::CopyWatch::default()).await.unwrap();
    searched.check("a backup", &std::fs::read(copy).unwrap());
    let Searched { federation, upstream, planted, told } = searched;
    let debug = format!("{:?} {:?}", federation.runtime().snapshot(), federation.config());
    federation.shutdown().await;
    let logged = log.bytes();
    assert!(memchr::memmem::find(&logged, b"TRACE").is_some(), "the log is whole");
    for (place, bytes) in [
        ("the log", logged),
        ("the database after the end", database.dump().unwrap()),
        ("Debug", debug.into_bytes()),
    ] {
        let hits: Vec<&str> =
            planted.iter().filter(|it| it.is_in(&bytes)).map(|it| it.name.as_str()).collect();
        assert_eq!(hits, [""; 0], "{place} shows secrets");
    }
    // The secrets were really on their way.
    let keys: Vec<_> = upstream.requests().into_iter().map(|it| it.headers).collect();
    assert!(
        planted.iter().any(|it| it.is_in(format!("{:?}", keys[0]["authorization"]).as_bytes()))
    );
    drop(told);
}

#[test]
fn nothing_shows_a_secret_on_sqlite() {
    downcity_testkit::block_on(search(Engine::Sqlite));
}

#[test]
fn nothing_shows_a_secret_on_postgres() {
    downcity_testkit::block_on(search(Engine::Postgres));
}
