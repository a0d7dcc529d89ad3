//! A whole Federation as `fed` starts it, without a socket, its provider of AI and its payment provider played.

use downcity_core::env::{ADMIN_KEY, MasterKey};
use downcity_core::{Body, Clock as _, Secret, SystemClock};
use downcity_db::testing::TestDatabase;
use downcity_db::{DbOptions, Engine};
use downcity_server::{Config, Federation};
use downcity_services::payment::sandbox::{Account, Moment, Signer, Sold, Vendor};
use downcity_services::payment::sign::PrivateKey;
use downcity_testkit::{Answer, MockUpstream, RSA_KEY_OF_NOBODY};
use http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

pub(crate) const ADMIN: &str = "admin_test_key_0123456789";
pub(crate) const MASTER: &str = "a passphrase for tests, of more than 32 characters";
/// After which a test that waits fails rather than hangs.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";

/// An answer: its status, the id of its request, and its JSON.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) request_id: String,
    pub(crate) body: Value,
    pub(crate) bytes: bytes::Bytes,
}

impl Answered {
    /// The JSON of an answer with this status; another one fails the test.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }
}

/// The Federation, and who plays what is outside of it.
pub(crate) struct Market {
    pub(crate) vendor: Vendor,
    pub(crate) federation: Federation,
    pub(crate) models: MockUpstream,
    pub(crate) checkouts: MockUpstream,
    pub(crate) config: Config,
    pub(crate) database: TestDatabase,
}

/// A text of an answer.
#[track_caller]
pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no text {field} in {value}")).to_owned()
}

/// The settings of a vendor, and its account of the Federation.
fn settings(vendor: Vendor) -> (Vec<(&'static str, String)>, Account) {
    let public = PrivateKey::parse(RSA_KEY_OF_NOBODY).unwrap().public_pem();
    let (pairs, credential): (Vec<(&'static str, &str)>, &str) = match vendor {
        Vendor::Stripe => (
            vec![("STRIPE_SECRET_KEY", "sk_test_1"), ("STRIPE_WEBHOOK_SECRET", SECRET)],
            "sk_test_1",
        ),
        Vendor::Creem => (
            vec![
                ("CREEM_API_KEY", "creem_test_1"),
                ("CREEM_PRODUCT_ID", "prod_1"),
                ("CREEM_WEBHOOK_SECRET", SECRET),
            ],
            "creem_test_1",
        ),
        Vendor::Dodo => (
            vec![
                ("DODO_PAYMENTS_API_KEY", "key_1"),
                ("DODO_PRODUCT_ID", "pdt_1"),
                ("DODO_WEBHOOK_KEY", SECRET),
            ],
            "key_1",
        ),
        Vendor::Waffo => (
            vec![
                ("WAFFO_MERCHANT_ID", "MER_1"),
                ("WAFFO_PRIVATE_KEY", RSA_KEY_OF_NOBODY),
                ("WAFFO_PRODUCT_ID", "PROD_1"),
                ("WAFFO_WEBHOOK_PUBLIC_KEY", &public),
            ],
            &public,
        ),
    };
    let account = Account::new(vendor, Secret::new(credential), false);
    (pairs.into_iter().map(|(key, value)| (key, value.to_owned())).collect(), account)
}

impl Market {
    pub(crate) async fn open(engine: Engine, vendor: Vendor) -> Self {
        let (models, checkouts) = (MockUpstream::start().await, MockUpstream::start().await);
        let mut config = Config::default();
        config.jobs.workers = 0;
        config.server.public_url = Some("https://fed.example.com".to_owned());
        config.payment =
            serde_json::from_value(json!({"mode": "test", "allow_loopback_http": true})).unwrap();
        config.ai = serde_json::from_value(json!({
            "provider": [{"id": "mock", "base_url": models.url()}],
            "model": [{"id": "chat", "name": "Chat", "provider": "mock", "default": true,
                "price": {"input_per_m": 1_000_000, "output_per_m": 10_000_000}}],
        }))
        .unwrap();
        let database = TestDatabase::new(engine).unwrap();
        let mut options = DbOptions::new(database.url());
        options.write_connections = 2;
        options.read_connections = 1;
        options.scan_connections = 1;
        let federation = Federation::builder()
            .config(config.clone())
            .database(options)
            .master_key(MasterKey::parse(MASTER).unwrap())
            .seed(ADMIN_KEY, Secret::new(ADMIN))
            .build()
            .await
            .unwrap();
        let market = Self { vendor, federation, models, checkouts, config, database };
        let (settings, account) = settings(vendor);
        for (key, value) in settings {
            market.set(key, &value).await;
        }
        market.set(vendor.base_url_key(), &market.checkouts.url()).await;
        market.checkouts.by(move |request| {
            let now = SystemClock.now();
            let (status, body) =
                account.answer(&request.target, &request.headers, &request.body, now);
            Answer::json(status, &body)
        });
        market
    }

    async fn set(&self, key: &str, value: &str) {
        let input = json!({"key": key, "value": value, "test": false});
        self.post(ADMIN, "/v1/env/upsert", input).await.expect(200);
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Answered {
        get(&self.federation, token, path).await
    }

    pub(crate) async fn post(&self, token: &str, path: &str, input: Value) -> Answered {
        post(&self.federation, token, path, input).await
    }

    /// The provider tells of a moment of a checkout.
    pub(crate) async fn tell(&self, event_id: &str, moment: &Moment, checkout: &Value) -> Answered {
        let sold = Sold {
            payment_id: text(checkout, "payment_id"),
            topup_id: text(checkout, "topup_id"),
            user_id: "somebody".to_owned(),
            session_id: text(checkout, "provider_session_id"),
            minor: checkout["amount_minor"].as_i64().unwrap(),
            currency: text(checkout, "currency"),
            is_live: false,
        };
        let now = SystemClock.now();
        let signer = match self.vendor {
            Vendor::Waffo => Signer::key(RSA_KEY_OF_NOBODY).unwrap(),
            _ => Signer::secret(SECRET),
        };
        let draft = self.vendor.draft(event_id, moment, &sold, now).unwrap();
        let delivery = draft.signed(&signer, now).unwrap();
        let path = format!("/v1/payment/webhook?provider={}", self.vendor.id());
        call(&self.federation, Method::POST, &path, &delivery.headers, delivery.body).await
    }

    /// The admin's view of a path.
    pub(crate) async fn admin(&self, path: &str) -> Value {
        self.get(ADMIN, path).await.expect(200)
    }

    /// Runs the job that charges a call, once it is there: it follows the answer.
    pub(crate) async fn charge(&self) {
        let charged = async {
            while downcity_core::jobs::run_due(self.federation.runtime()).await.unwrap() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, charged).await.expect("the call is charged");
    }
}

pub(crate) async fn get(federation: &Federation, token: &str, path: &str) -> Answered {
    let headers = [("authorization", format!("Bearer {token}"))];
    call(federation, Method::GET, path, &headers, vec![]).await
}

pub(crate) async fn post(
    federation: &Federation,
    token: &str,
    path: &str,
    input: Value,
) -> Answered {
    let headers = [
        ("authorization", format!("Bearer {token}")),
        ("content-type", "application/json".to_owned()),
    ];
    // A guest has no credential.
    let headers = if token.is_empty() { &headers[1..] } else { &headers[..] };
    call(federation, Method::POST, path, headers, input.to_string().into_bytes()).await
}

async fn call(
    federation: &Federation,
    method: Method,
    path: &str,
    headers: &[(&'static str, String)],
    body: Vec<u8>,
) -> Answered {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let body: Body = bytes::Bytes::from(body).into();
    let response = federation.handle(request.body(body).unwrap()).await;
    let status = response.status().as_u16();
    let request_id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&bytes).unwrap_or_default();
    Answered { status, request_id, body, bytes }
}
