//! What recorders are told of calls, and when.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use downcity_core::fact::{CallFact, Ended, FactStatus, OpenCall, Recorder};
use downcity_core::{
    ADMIN, Body, Cx, Error, NoInput, PUBLIC, Reply, Result, Runtime, Service, ServiceDef, Sse, USER,
};
use downcity_testkit::{Client, Engine, TestApp, block_on};
use downcity_types::{ErrorCode, Microcredits};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// What was told, in order: the caller's kind, the fact of a user, and the end.
#[derive(Default)]
struct Told {
    calls: Mutex<Vec<(&'static str, Option<CallFact>, Ended)>>,
    stopped: AtomicBool,
}

impl Told {
    fn take(&self) -> Vec<(&'static str, Option<CallFact>, Ended)> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    /// The one fact that was told since the last look.
    #[track_caller]
    fn fact(&self) -> CallFact {
        let mut told = self.take();
        assert_eq!(told.len(), 1, "{told:?}");
        told.remove(0).1.expect("the caller is a user")
    }
}

struct Notes(Arc<Told>);

impl Recorder for Notes {
    fn record(&self, call: &Cx, ended: &Ended) {
        let fact = CallFact::of(call, ended);
        self.0.calls.lock().unwrap().push((call.identity().kind(), fact, ended.clone()));
    }
}

/// Its panics cost nobody anything.
struct Clumsy;

impl Recorder for Clumsy {
    fn record(&self, _: &Cx, _: &Ended) {
        panic!("clumsy");
    }
}

struct Worker {
    told: Arc<Told>,
    held: Mutex<Option<OpenCall>>,
}

#[derive(Deserialize, JsonSchema)]
struct Order {
    what: String,
}

#[async_trait]
impl Service for Worker {
    fn id(&self) -> &'static str {
        "worker"
    }

    fn name(&self) -> &'static str {
        "Worker"
    }

    fn define(self: Arc<Self>, s: &mut ServiceDef) {
        s.recorder(Arc::new(Clumsy)).recorder(Arc::new(Notes(self.told.clone())));
        s.post("work", PUBLIC, &self, Self::work).summary("Do it.");
        s.post("ask", USER, &self, Self::work)
            .summary("Do it while I wait.")
            .timeout(Duration::from_millis(20))
            .cancel_on_disconnect();
        s.get("stream", USER, &self, Self::stream).summary("Tell it piece by piece.");
        s.get("secret", ADMIN, &self, Self::secret).summary("Keep it.");
    }

    async fn stop(&self, runtime: &Arc<Runtime>) {
        let asked = runtime
            .db()
            .read(|tx| tx.query_one(downcity_db::sql!("SELECT COUNT(*) FROM cities"), &[]));
        assert!(asked.await.is_ok(), "the database is still open");
        self.told.stopped.store(true, Ordering::SeqCst);
    }
}

impl Worker {
    async fn work(self: Arc<Self>, cx: Cx, order: Order) -> Result<Reply> {
        cx.meter(|metering| metering.input_tokens = Some(7));
        match order.what.as_str() {
            "fail" => Err(Error::new(ErrorCode::Conflict, "Not now.")),
            "panic" => panic!("a secret"),
            "hang" => std::future::pending().await,
            "refuse" => Ok(Reply::text("no").with_status(StatusCode::BAD_GATEWAY)),
            "hold" => {
                *self.held.lock().unwrap() = Some(cx.keep_open());
                Ok(Reply::text("held"))
            }
            _ => Ok(Reply::text("done")),
        }
    }

    async fn stream(self: Arc<Self>, cx: Cx, order: Order) -> Result<Sse> {
        let pieces: Vec<Result<bytes::Bytes, Error>> = match order.what.as_str() {
            "break" => vec![Ok("one".into()), Err(Error::internal("gone"))],
            _ => vec![Ok("one".into()), Ok("two".into())],
        };
        if order.what == "break off" {
            cx.broke_off(ErrorCode::UpstreamError, "The provider is gone.");
            cx.broke_off(ErrorCode::Internal, "Only the first note counts.");
        }
        if order.what == "hold" {
            *self.held.lock().unwrap() = Some(cx.keep_open());
        }
        Ok(Sse(Body::from_stream(futures_util::stream::iter(pieces))))
    }

    async fn secret(self: Arc<Self>, _: Cx, _: NoInput) -> Result<Reply> {
        Ok(Reply::text("secret"))
    }
}

struct Node {
    app: TestApp,
    told: Arc<Told>,
    worker: Arc<Worker>,
    user: Client,
}

/// Runs a test with a worker and a user; recorders touch no database, so that one engine shows all.
fn with_worker(test: impl AsyncFnOnce(Node)) {
    block_on(async {
        let told = Arc::new(Told::default());
        let worker = Arc::new(Worker { told: told.clone(), held: Mutex::default() });
        let app = TestApp::builder(Engine::Sqlite).builtin(worker.clone()).start().await;
        app.create_city("c").await;
        let user = app.user(&app.token("c", "u").await);
        told.take();
        test(Node { app, told, worker, user }).await;
    });
}

async fn work(client: &Client, what: &str) -> downcity_testkit::TestReply {
    client.post("/v1/worker/work", json!({"what": what})).await
}

#[test]
fn a_call_is_told_once_with_who_what_and_how() {
    with_worker(async |node| {
        let reply = work(&node.user, "well").await;
        assert_eq!(reply.status, 200);
        let fact = node.told.fact();
        let request_id = reply.header("x-request-id").unwrap();
        assert_eq!(fact.request_id, request_id);
        assert_eq!(fact.event_id, format!("usage_{}", &request_id["req_".len()..]));
        assert_eq!(fact.event_id.len(), "usage_".len() + 16);
        assert_eq!(
            (&*fact.city_id, &*fact.user_id, &*fact.service, &*fact.action),
            ("c", "u", "worker", "work")
        );
        assert_eq!((fact.status, fact.http_status, fact.code), (FactStatus::Success, 200, None));
        assert_eq!((fact.metering.input_tokens, fact.charge), (Some(7), Microcredits::ZERO));
        assert!(fact.metering.duration_ms.is_some() && !fact.streamed);
        let stored = serde_json::to_value(&fact).unwrap();
        assert_eq!(serde_json::from_value::<CallFact>(stored).unwrap(), fact);
    });
}

#[test]
fn callers_who_are_no_users_have_no_fact() {
    with_worker(async |node| {
        for (client, kind) in [(node.app.guest(), "guest"), (node.app.admin(), "admin")] {
            work(&client, "well").await;
            let told = node.told.take();
            assert_eq!((told.len(), told[0].0), (1, kind));
            assert!(told[0].1.is_none());
        }
    });
}

#[test]
fn failures_are_told_wherever_they_happen() {
    with_worker(async |node| {
        let failed = |fact: CallFact| {
            assert_eq!(fact.status, FactStatus::Error);
            (fact.http_status, fact.code.map(ErrorCode::as_str))
        };
        work(&node.user, "fail").await.expect_error(409, "conflict");
        let fact = node.told.fact();
        assert_eq!(fact.message.as_deref(), Some("Not now."));
        assert_eq!(failed(fact), (409, Some("conflict")));
        work(&node.user, "panic").await.expect_error(500, "internal");
        let fact = node.told.fact();
        assert!(!fact.message.as_deref().unwrap().contains("secret"));
        assert_eq!(failed(fact), (500, Some("internal")));
        work(&node.user, "refuse").await;
        assert_eq!(failed(node.told.fact()), (502, None));
        node.user.get("/v1/worker/secret").await.expect_error(403, "forbidden");
        assert_eq!(failed(node.told.fact()), (403, Some("forbidden")));
        node.user.post("/v1/worker/work", json!({})).await.expect_error(400, "invalid_input");
        assert_eq!(failed(node.told.fact()), (400, Some("invalid_input")));
        let other = json!({"what": "well", "city_id": "other"});
        node.user.post("/v1/worker/ask", other).await.expect_error(403, "city_mismatch");
        assert_eq!(failed(node.told.fact()), (403, Some("city_mismatch")));
        let ask = |what: &'static str| node.user.post("/v1/worker/ask", json!({ "what": what }));
        ask("hang").await.expect_error(503, "unavailable");
        assert_eq!(failed(node.told.fact()), (503, Some("unavailable")));
    });
}

#[test]
fn a_client_that_leaves_has_canceled_its_call() {
    with_worker(async |node| {
        let call = node.user.post("/v1/worker/ask", json!({"what": "hang"}));
        assert!(tokio::time::timeout(Duration::ZERO, call).await.is_err(), "the client leaves");
        let fact = node.told.fact();
        assert_eq!((fact.status, fact.http_status), (FactStatus::Canceled, 499));
        // The same while the body is still on its way.
        let body = Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes>>());
        let call = node.user.open(Method::POST, "/v1/worker/work", body);
        assert!(tokio::time::timeout(Duration::ZERO, call).await.is_err(), "the client leaves");
        let fact = node.told.fact();
        assert_eq!((fact.status, fact.http_status), (FactStatus::Canceled, 499));
    });
}

#[test]
fn a_stream_is_told_at_its_last_byte() {
    with_worker(async |node| {
        let open = |what: &str| {
            let path = format!("/v1/worker/stream?what={}", what.replace(' ', "%20"));
            let user = node.user.clone();
            async move { user.open(Method::GET, &path, Body::Empty).await }
        };
        let mut reply = open("well").await;
        reply.body_mut().frame().await.unwrap().unwrap();
        assert!(node.told.take().is_empty(), "it is still under way");
        reply.into_body().collect().await.unwrap();
        let fact = node.told.fact();
        assert_eq!(
            (fact.status, fact.http_status, fact.streamed),
            (FactStatus::Success, 200, true)
        );
        drop(open("well").await);
        assert_eq!(node.told.fact().status, FactStatus::Canceled);
        assert!(open("break").await.into_body().collect().await.is_err());
        let fact = node.told.fact();
        assert_eq!((fact.status, fact.code), (FactStatus::Error, Some(ErrorCode::Internal)));
        open("break off").await.into_body().collect().await.unwrap();
        let fact = node.told.fact();
        assert_eq!((fact.status, fact.http_status), (FactStatus::Error, 200));
        assert_eq!(fact.code, Some(ErrorCode::UpstreamError));
        assert_eq!(fact.message.as_deref(), Some("The provider is gone."));
    });
}

#[test]
fn a_call_that_is_kept_open_is_told_when_the_last_guard_goes() {
    with_worker(async |node| {
        work(&node.user, "hold").await;
        assert!(node.told.take().is_empty());
        let guard = node.worker.held.lock().unwrap().take();
        drop(guard);
        assert_eq!(node.told.fact().status, FactStatus::Success);
        let stream = "/v1/worker/stream?what=hold";
        drop(node.user.open(Method::GET, stream, Body::Empty).await);
        assert!(node.told.take().is_empty(), "its client left, and it is still drained");
        let guard = node.worker.held.lock().unwrap().take();
        drop(guard);
        assert_eq!(node.told.fact().status, FactStatus::Canceled);
    });
}

#[test]
fn services_stop_with_their_node_while_the_database_is_open() {
    with_worker(async |node| {
        assert!(!node.told.stopped.load(Ordering::SeqCst));
        node.app.stop().await;
        assert!(node.told.stopped.load(Ordering::SeqCst));
    });
}
