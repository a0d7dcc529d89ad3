//! A whole Federation as `fed` starts it, with a provider of AI that is played and a service of a
//! product that says what it was given.

use std::sync::Arc;

use downcity_core::env::{ADMIN_KEY as ADMIN_KEY_NAME, MasterKey, SIGNING_KEY};
use downcity_core::{
    Body, BoxError, Cx, NoInput, Reply, Secret, Service, ServiceDef, USER_OR_ADMIN,
};
use downcity_db::testing::TestDatabase;
use downcity_db::{DbOptions, Engine};
use downcity_server::{Config, Federation};
use downcity_testkit::{Answer, MockUpstream};
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

pub(crate) const ADMIN: &str = "admin_test_key_0123456789";
pub(crate) const SIGNING: &str = "sign_test_key_0123456789";

/// Runs each test on SQLite and on PostgreSQL.
macro_rules! on_both {
    ($($(#[$meta:meta])* async fn $name:ident($world:ident: World) $body:block)*) => {$(
        $(#[$meta])*
        mod $name {
            use super::*;

            async fn run($world: World) $body

            #[test]
            fn sqlite() {
                downcity_testkit::block_on(async { run(World::start(downcity_db::Engine::Sqlite).await).await });
            }

            #[test]
            fn postgres() {
                downcity_testkit::block_on(async { run(World::start(downcity_db::Engine::Postgres).await).await });
            }
        }
    )*};
}
pub(crate) use on_both;

/// A product's own service: answers the input that its handler sees, and a `city_id` of its own.
struct Shop;

impl Service for Shop {
    fn id(&self) -> &'static str {
        "shop"
    }

    fn name(&self) -> &'static str {
        "Shop"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        service.post("order", USER_OR_ADMIN, &self, Self::order).summary("Order.");
        service.get("orders", USER_OR_ADMIN, &self, Self::order).summary("List orders.");
        service.get("watch", USER_OR_ADMIN, &self, Self::watch).summary("Watch orders.");
    }
}

impl Shop {
    async fn order(self: Arc<Self>, cx: Cx, _: NoInput) -> downcity_core::Result<Reply> {
        Reply::json(&json!({
            "city_id": "of the answer",
            "items": [{"city_id": "of an item", "nested": {"city_id": "deep"}}],
            "seen": cx.input(),
            "dialect": cx.dialect().as_str(),
        }))
    }

    async fn watch(self: Arc<Self>, _: Cx, _: NoInput) -> downcity_core::Result<Reply> {
        let pieces = STREAMED.as_bytes().chunks(5).map(|piece| Ok::<_, BoxError>(piece.into()));
        let body = Body::from_stream(futures_util::stream::iter(pieces));
        let mut reply = Reply::typed(HeaderValue::from_static("application/json"), "");
        reply.body = body;
        Ok(reply)
    }
}

/// What [`Shop`] streams.
pub(crate) const STREAMED: &str = r#"{"city_id":"a"}"#;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answered {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    /// The sentence of an error in the standard shape, of this status and code.
    #[track_caller]
    pub(crate) fn expect_error(&self, status: u16, code: &str) -> String {
        let body = self.expect(status);
        assert_eq!(body["code"], code, "{body}");
        body["error"].as_str().expect("a sentence").to_owned()
    }
}

pub(crate) struct World {
    pub(crate) federation: Federation,
    pub(crate) models: MockUpstream,
    _database: TestDatabase,
}

impl World {
    pub(crate) async fn start(engine: Engine) -> Self {
        let models = MockUpstream::start().await;
        models.always(Answer::json(
            200,
            &json!({"id": "c", "object": "chat.completion", "choices": [{"index": 0,
                "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}),
        ));
        let mut config = Config::default();
        config.jobs.workers = 0;
        config.ai = serde_json::from_value(json!({
            "provider": [{"id": "mock", "base_url": models.url()}],
            "model": [{"id": "chat", "name": "Chat", "provider": "mock", "default": true}],
        }))
        .unwrap();
        let database = TestDatabase::new(engine).unwrap();
        let mut options = DbOptions::new(database.url());
        options.write_connections = 2;
        options.read_connections = 1;
        options.scan_connections = 1;
        let federation = Federation::builder()
            .config(config)
            .database(options)
            .master_key(
                MasterKey::parse("a passphrase for tests, of more than 32 characters").unwrap(),
            )
            .seed(ADMIN_KEY_NAME, Secret::new(ADMIN))
            .seed(SIGNING_KEY, Secret::new(SIGNING))
            .service(Shop)
            .build()
            .await
            .unwrap();
        Self { federation, models, _database: database }
    }

    /// A call with a credential (none when empty), a dialect in the header (none when empty) and a
    /// body (none for `null`).
    pub(crate) async fn call(
        &self,
        credential: &str,
        dialect: &str,
        route: &str,
        input: &Value,
    ) -> Answered {
        let (method, path) = route.split_once(' ').unwrap();
        let mut request = Request::builder().method(method.parse::<Method>().unwrap()).uri(path);
        if !credential.is_empty() {
            request = request.header("authorization", format!("Bearer {credential}"));
        }
        if !dialect.is_empty() {
            request = request.header("x-downcity-dialect", dialect);
        }
        let body = if input.is_null() { String::new() } else { input.to_string() };
        let request = request.body(body.into()).unwrap();
        let (parts, body) = self.federation.handle(request).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answered {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    pub(crate) async fn get(&self, credential: &str, path: &str) -> Answered {
        self.call(credential, "", &format!("GET {path}"), &Value::Null).await
    }

    pub(crate) async fn post(&self, credential: &str, path: &str, input: Value) -> Answered {
        self.call(credential, "", &format!("POST {path}"), &input).await
    }

    /// A user_token of a user in this city.
    pub(crate) async fn token(&self, city_id: &str) -> String {
        let input = json!({"city_id": city_id, "user_id": "user_1"});
        let issued = self.post(ADMIN, "/v1/cities/tokens/apply", input).await.expect(200);
        issued["user_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn create(&self, city_id: &str) {
        let input = json!({"name": "C", "city_id": city_id});
        self.post(ADMIN, "/v1/cities/create", input).await.expect(200);
    }
}
