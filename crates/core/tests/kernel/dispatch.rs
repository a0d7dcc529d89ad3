//! From a request to an answer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use downcity_core::{Body, Cx, NoInput, PUBLIC, Result, Service, ServiceDef, USER_OR_ADMIN};
use downcity_testkit::{Engine, TestApp, TestAppBuilder, block_on, both_engines};
use http::Method;
use serde_json::json;
use tokio::sync::{Notify, mpsc};

use crate::demo::Demo;

fn demo(builder: TestAppBuilder) -> TestAppBuilder {
    builder.service(Demo)
}

both_engines! {
    async fn path_parameters_join_the_input(app: TestApp = demo) {
        app.create_city("c").await;
        let user = app.user(&app.token("c", "u").await);
        let path = "/v1/demo.things/items/a%20b?deep=true&depth=2&id=ignored";
        let item = user.get(path).await.expect(200);
        assert_eq!((&item["id"], item["parts"].as_array().unwrap().len()), (&json!("a b"), 2));
        let renamed = app
            .admin()
            .post("/v1/demo.things/items/7", json!({"title": "t", "id": "ignored"}))
            .await
            .expect(200);
        assert_eq!((&renamed["id"], &renamed["title"]), (&json!("7"), &json!("t")));
        let lost = app.admin().send(Method::DELETE, "/v1/demo.things/items/8", Body::Empty).await;
        assert_eq!(lost.expect(200)["id"], "8");
        let error = user.get("/v1/demo.things/items/7?depth=deep").await;
        let error = error.expect_error(400, "invalid_input");
        assert_eq!(error["details"][0]["path"], "depth");
    }

    async fn a_native_wildcard_keeps_the_request_as_it_came(app: TestApp = demo) {
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let client = app.guest().with_header("x-signature", "s1,s2");
            let body = Body::from("\u{0}not json");
            let reply = client.send(method.clone(), "/v1/demo.things/native/a/b%2Fc?x=1&x=2", body);
            let seen = reply.await.expect(202);
            assert_eq!(seen["method"], method.as_str());
            assert_eq!(seen["uri"], "/v1/demo.things/native/a/b%2Fc?x=1&x=2");
            assert_eq!(seen["rest"], json!([["rest", "a/b/c"]]));
            assert_eq!(seen["headers"]["x-signature"], "s1,s2");
            assert_eq!(seen["body"], "\u{0}not json");
            assert_eq!(seen["identity"], "guest");
        }
        let special = app.guest().get("/v1/demo.things/native/about").await;
        assert_eq!(special.text(), "Turn it off and on again.");
        let any = app.guest().send(Method::POST, "/v1/demo.things/native/about", "{}".into()).await;
        assert_eq!(any.expect_error(405, "method_not_allowed")["code"], "method_not_allowed");
    }

    async fn head_is_get_and_other_methods_are_refused_with_what_is_allowed(app: TestApp = demo) {
        let guest = app.guest();
        let head = guest.send(Method::HEAD, "/v1/demo.things/manual", Body::Empty).await;
        assert_eq!(head.status, 200);
        assert_eq!(head.header("content-type"), Some("text/plain; charset=utf-8"));
        let post = guest.post("/health", json!({})).await;
        post.expect_error(405, "method_not_allowed");
        assert_eq!(post.header("allow"), Some("GET, HEAD, OPTIONS"));
        let put = guest.send(Method::PUT, "/v1/demo.things/items/1", Body::Empty).await;
        put.expect_error(405, "method_not_allowed");
        assert_eq!(put.header("allow"), Some("GET, POST, DELETE, HEAD, OPTIONS"));
        let options = guest.send(Method::OPTIONS, "/health", Body::Empty).await;
        assert_eq!((options.status.as_u16(), options.body.len()), (204, 0));
        assert_eq!(options.header("allow"), Some("GET, HEAD, OPTIONS"));
    }

    async fn unknown_addresses_are_404_in_the_common_shape(app: TestApp = demo) {
        for path in ["/nowhere", "/v1/demo.things", "/v1/demo.things/native/", "/v1/%ff/x", "//health"] {
            app.guest().get(path).await.expect_error(404, "not_found");
        }
    }

    async fn errors_of_the_openai_surface_have_their_own_shape(app: TestApp = demo) {
        let reply = app.guest().post("/v1/demo.things/chat/completions", json!({})).await;
        let body = reply.expect(401);
        let keys: Vec<&String> = body["error"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["message", "type", "param", "code"]);
        assert_eq!(body["error"]["type"], "authentication_error");
        assert!(reply.header("x-request-id").is_some());
    }
}

/// A service whose handlers tell what becomes of them.
struct Slow {
    /// `started`, then `done` or `dropped`.
    events: mpsc::UnboundedSender<&'static str>,
    release: Arc<Notify>,
}

struct Guard(mpsc::UnboundedSender<&'static str>, &'static str);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.send(self.1);
    }
}

impl Service for Slow {
    fn id(&self) -> &'static str {
        "slow"
    }

    fn name(&self) -> &'static str {
        "Slow"
    }

    fn define(self: Arc<Self>, s: &mut ServiceDef) {
        s.post("change", PUBLIC, &self, Self::work).summary("Change something.");
        s.post("ask", PUBLIC, &self, Self::work).cancel_on_disconnect().summary("Ask something.");
        s.get("read", PUBLIC, &self, Self::work)
            .timeout(Duration::from_millis(5))
            .summary("Read something, not for long.");
        s.get("panic", USER_OR_ADMIN, &self, Self::panic).summary("Fall over.");
    }
}

#[derive(serde::Serialize, schemars::JsonSchema)]
struct Done {}

impl Slow {
    async fn work(self: Arc<Self>, _: Cx, _: NoInput) -> Result<Done> {
        let mut guard = Guard(self.events.clone(), "dropped");
        let _ = self.events.send("started");
        self.release.notified().await;
        guard.1 = "done";
        Ok(Done {})
    }

    async fn panic(self: Arc<Self>, _: Cx, _: NoInput) -> Result<Done> {
        panic!("a secret of the handler")
    }
}

struct Bench {
    app: TestApp,
    events: Mutex<mpsc::UnboundedReceiver<&'static str>>,
    release: Arc<Notify>,
}

impl Bench {
    async fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let release = Arc::new(Notify::new());
        let slow = Slow { events: sender, release: release.clone() };
        let app = TestApp::builder(Engine::Sqlite).service(slow).start().await;
        Self { app, events: Mutex::new(receiver), release }
    }

    #[expect(clippy::await_holding_lock, reason = "nobody else waits for events")]
    async fn event(&self) -> &'static str {
        self.events.lock().unwrap().recv().await.unwrap()
    }

    /// Begins a call and leaves as soon as the handler has started.
    async fn begin_and_leave(&self, path: &str) {
        let client = self.app.guest();
        tokio::select! {
            reply = client.post(path, json!({})) => panic!("answered early: {reply:?}"),
            event = self.event() => assert_eq!(event, "started"),
        }
    }
}

#[test]
fn a_change_outlives_its_caller() {
    block_on(async {
        let bench = Bench::new().await;
        bench.begin_and_leave("/v1/slow/change").await;
        bench.release.notify_one();
        assert_eq!(bench.event().await, "done");
    });
}

#[test]
fn a_question_ends_with_its_caller() {
    block_on(async {
        let bench = Bench::new().await;
        bench.begin_and_leave("/v1/slow/ask").await;
        assert_eq!(bench.event().await, "dropped");
    });
}

#[test]
fn an_action_that_takes_too_long_is_cut_off() {
    block_on(async {
        let bench = Bench::new().await;
        bench.app.guest().get("/v1/slow/read").await.expect_error(503, "unavailable");
        assert_eq!((bench.event().await, bench.event().await), ("started", "dropped"));
    });
}

#[test]
fn a_panic_is_a_plain_500_with_a_request_id() {
    block_on(async {
        let bench = Bench::new().await;
        let body = bench.app.admin().get("/v1/slow/panic").await.expect_error(500, "internal");
        assert!(!body.to_string().contains("secret"), "{body}");
        bench.app.guest().get("/health").await.expect(200);
    });
}
