//! A node with the usage service and a service whose calls are recorded.

use std::sync::{Arc, Mutex};

use downcity_core::fact::{CallFact, Ended, FactStore, OwnFact, Recorder};
use downcity_core::{Body, Cx, Error, Reply, Result, Service, ServiceDef, Sse, USER};
use downcity_services::{Usage, UsageConfig};
use downcity_testkit::{Client, Engine, TestApp};
use downcity_types::{ErrorCode, Microcredits};
use futures_util::StreamExt as _;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Notify;

/// A node on the database of an app.
pub(crate) struct Node {
    pub(crate) app: TestApp,
    pub(crate) usage: Arc<Usage>,
    /// Told when the shop has stored a fact itself.
    pub(crate) stored: Arc<Notify>,
}

impl Node {
    /// A node with this section `[usage]`, on the database of the app.
    pub(crate) async fn start(app: &TestApp, config: Value) -> Self {
        let config: UsageConfig = serde_json::from_value(config).unwrap();
        let usage = Usage::new(config);
        let shop =
            Arc::new(Shop { facts: usage.clone(), sold: Mutex::default(), stored: Arc::default() });
        let stored = shop.stored.clone();
        // The engine is that of the app.
        let builder = TestApp::builder(Engine::Sqlite).on_database_of(app);
        let app = builder.builtin(usage.clone()).builtin(shop).start().await;
        Self { app, usage, stored }
    }

    /// A client of this user, whose city is made when it is new.
    pub(crate) async fn user(&self, city_id: &str, user_id: &str) -> Client {
        let input = json!({"name": city_id, "city_id": city_id});
        let made = self.app.admin().post("/v1/cities/create", input).await;
        assert!(matches!(made.status.as_u16(), 200 | 409), "{}", made.text());
        self.app.user(&self.app.token(city_id, user_id).await)
    }

    /// What the admin gets at this path of the usage service.
    pub(crate) async fn ask(&self, path: &str) -> Value {
        self.app.admin().get(&format!("/v1/usage/{path}")).await.expect(200)
    }

    /// The recorded calls that the admin sees, oldest first.
    pub(crate) async fn events(&self, query: &str) -> Vec<Value> {
        let mut items = self.ask(&format!("events?{query}")).await["items"].take();
        items.as_array_mut().unwrap().reverse();
        items.as_array().unwrap().clone()
    }

    /// Adds old facts to the sums and forgets what is too old.
    pub(crate) async fn sweep(&self) -> u64 {
        self.usage.sweep(self.app.runtime()).await.unwrap()
    }
}

/// Calls an action of the shop; gives the request's id.
pub(crate) async fn buy(client: &Client, what: &str) -> String {
    let reply = client.post("/v1/shop/buy", json!({"what": what})).await;
    reply.header("x-request-id").unwrap().to_owned()
}

/// Sells, looks, and streams.
struct Shop {
    facts: Arc<Usage>,
    /// Requests whose fact the shop stores itself.
    sold: Mutex<Vec<String>>,
    stored: Arc<Notify>,
}

#[derive(Deserialize, JsonSchema)]
struct Order {
    what: String,
}

impl Service for Shop {
    fn id(&self) -> &'static str {
        "shop"
    }

    fn name(&self) -> &'static str {
        "Shop"
    }

    fn define(self: Arc<Self>, s: &mut ServiceDef) {
        s.recorder(self.clone());
        s.post("buy", USER, &self, Self::buy).summary("Buy something.");
        s.post("wait", USER, &self, Self::wait).summary("Wait.").cancel_on_disconnect();
        s.get("look", USER, &self, Self::look).summary("Look at something.");
        s.get("stream", USER, &self, Self::stream).summary("Watch something.");
    }
}

impl Shop {
    async fn buy(self: Arc<Self>, cx: Cx, order: Order) -> Result<Reply> {
        cx.meter(|metering| {
            metering.provider_id = Some("maker".to_owned());
            metering.model_id = Some(order.what.clone());
            metering.upstream_model = Some(format!("{}-1", order.what));
            metering.input_tokens = Some(if order.what == "wild" { u64::MAX } else { 10 });
            metering.output_tokens = Some(4);
            metering.cached_tokens = Some(2);
            metering.first_byte_ms = Some(3);
            metering.duration_ms = Some(20);
            metering.metadata.insert("mode".to_owned(), "text".into());
        });
        match order.what.as_str() {
            "fail" => Err(Error::new(
                ErrorCode::UpstreamError,
                "The maker refused the key sk-0123456789abcdef.",
            )),
            "paid" => {
                cx.locals().put(OwnFact);
                self.sold.lock().unwrap().push(cx.request_id().to_owned());
                Ok(Reply::text("paid"))
            }
            _ => Ok(Reply::text("bought")),
        }
    }

    async fn wait(self: Arc<Self>, _: Cx, _: Order) -> Result<Reply> {
        std::future::pending().await
    }

    async fn look(self: Arc<Self>, _: Cx, _: Order) -> Result<Reply> {
        Ok(Reply::text("seen"))
    }

    async fn stream(self: Arc<Self>, cx: Cx, order: Order) -> Result<Sse> {
        let call = cx.clone();
        let breaks = order.what == "break";
        let pieces = futures_util::stream::iter([1, 2]).map(move |piece| {
            // What is counted while the answer streams.
            call.meter(|metering| metering.output_tokens = Some(piece));
            if breaks && piece == 2 {
                call.broke_off(ErrorCode::UpstreamError, "The maker is gone.");
            }
            Ok::<_, Error>(bytes::Bytes::from_static(b"data: piece\n\n"))
        });
        Ok(Sse(Body::from_stream(pieces)))
    }
}

/// Stores the facts of paid calls itself, with what they cost.
impl Recorder for Shop {
    fn record(&self, call: &Cx, ended: &Ended) {
        let mut sold = self.sold.lock().unwrap();
        let Some(at) = sold.iter().position(|id| id == call.request_id()) else { return };
        sold.remove(at);
        let Some(fact) = CallFact::of(call, ended) else { return };
        let fact = CallFact {
            charge: Microcredits(1_500),
            hold_id: Some("hold_1".to_owned()),
            charge_id: Some("charge_1".to_owned()),
            ..fact
        };
        let (facts, runtime) = (self.facts.clone(), call.runtime().clone());
        let told = self.stored.clone();
        call.runtime().tasks().spawn(async move {
            let stored = runtime.db().write(move |tx| {
                facts.insert(tx, &fact)?;
                // As a job that runs again does.
                facts.insert(tx, &fact)
            });
            stored.await.unwrap();
            told.notify_one();
        });
    }
}
