//! A shop whose users pay at a provider that is played on loopback.

use std::sync::Arc;

use downcity_core::Secret;
use downcity_services::payment::sandbox::{Account, Delivery, Moment, Signer, Sold, Vendor};
use downcity_services::payment::sign::PrivateKey;
use downcity_services::{Balance, BalanceConfig, Payment, PaymentConfig, StripePayment};
use downcity_testkit::{
    Answer, Client, Engine, MockUpstream, RSA_KEY_OF_NOBODY, TestApp, TestAppBuilder, TestReply,
};
use downcity_types::Timestamp;
use serde_json::{Value, json};

pub(crate) const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";

/// A node with the services that sell, and the provider that is played.
pub(crate) struct Shop {
    pub(crate) app: TestApp,
    pub(crate) payment: Arc<Payment>,
    pub(crate) upstream: MockUpstream,
    pub(crate) vendor: Vendor,
}

/// A user with a checkout.
pub(crate) struct Buyer {
    pub(crate) client: Client,
    pub(crate) user_id: String,
    pub(crate) topup_id: String,
    pub(crate) checkout: Value,
    pub(crate) sold: Sold,
}

/// A text of an answer.
#[track_caller]
pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no text {field} in {value}"))
}

pub(crate) fn usd(minor: i64) -> Moment {
    Moment::Paid { minor, currency: "usd".to_owned() }
}

/// The public half of the key that Waffo is played with.
fn public_key() -> String {
    PrivateKey::parse(RSA_KEY_OF_NOBODY).unwrap().public_pem()
}

/// The settings of a vendor.
fn settings(vendor: Vendor) -> Vec<(&'static str, String)> {
    let set = |pairs: &[(&'static str, &str)]| {
        pairs.iter().map(|(key, value)| (*key, (*value).to_owned())).collect()
    };
    match vendor {
        Vendor::Stripe => {
            set(&[("STRIPE_SECRET_KEY", "sk_test_1"), ("STRIPE_WEBHOOK_SECRET", SECRET)])
        }
        Vendor::Creem => set(&[
            ("CREEM_API_KEY", "creem_test_1"),
            ("CREEM_PRODUCT_ID", "prod_1"),
            ("CREEM_WEBHOOK_SECRET", SECRET),
        ]),
        Vendor::Dodo => set(&[
            ("DODO_PAYMENTS_API_KEY", "key_1"),
            ("DODO_PRODUCT_ID", "pdt_1"),
            ("DODO_WEBHOOK_KEY", SECRET),
        ]),
        Vendor::Waffo => set(&[
            ("WAFFO_MERCHANT_ID", "MER_1"),
            ("WAFFO_PRIVATE_KEY", RSA_KEY_OF_NOBODY),
            ("WAFFO_PRODUCT_ID", "PROD_1"),
            ("WAFFO_WEBHOOK_PUBLIC_KEY", &public_key()),
        ]),
    }
}

/// The account of the shop with the vendor.
fn account(vendor: Vendor) -> Account {
    let credential = match vendor {
        Vendor::Stripe => "sk_test_1".to_owned(),
        Vendor::Creem => "creem_test_1".to_owned(),
        Vendor::Dodo => "key_1".to_owned(),
        Vendor::Waffo => public_key(),
    };
    Account::new(vendor, Secret::new(credential), false)
}

impl Shop {
    /// A shop on the database of an app, that sells through a vendor in test mode.
    pub(crate) async fn open(app: &TestApp, vendor: Vendor) -> Self {
        Self::open_with(app, vendor, json!({})).await
    }

    /// The same with further keys of the section `[payment]`.
    pub(crate) async fn open_with(app: &TestApp, vendor: Vendor, further: Value) -> Self {
        Self::build(app, vendor, further, |builder| builder).await
    }

    /// The same, for what happens at the same time.
    pub(crate) async fn open_for_races(app: &TestApp, vendor: Vendor) -> Self {
        Self::build(app, vendor, json!({}), TestAppBuilder::runs_once).await
    }

    async fn build(
        app: &TestApp,
        vendor: Vendor,
        further: Value,
        change: impl FnOnce(TestAppBuilder) -> TestAppBuilder,
    ) -> Self {
        let mut config = json!({"mode": "test", "allow_loopback_http": true});
        config.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        let config: PaymentConfig = serde_json::from_value(config).unwrap();
        assert_eq!(config.validate(), []);
        let balance = Balance::new(BalanceConfig::default());
        let payment = Payment::new(config, balance.clone());
        // The engine is that of the app.
        let app = change(TestApp::builder(Engine::Sqlite))
            .on_database_of(app)
            .settings(|settings| settings.public_url = Some("https://fed.example.com/".to_owned()))
            .builtin(balance)
            .builtin(payment.clone())
            .builtin(StripePayment::new(payment.clone()))
            .start()
            .await;
        let upstream = MockUpstream::start().await;
        let shop = Self { app, payment, upstream, vendor };
        shop.sell_through(vendor).await;
        let city = json!({"name": "shop", "city_id": "shop"});
        let made = shop.app.admin().post("/v1/cities/create", city).await;
        assert!(matches!(made.status.as_u16(), 200 | 409), "{}", made.text());
        shop
    }

    /// Sets what a vendor needs.
    pub(crate) async fn configure(&self, vendor: Vendor) {
        for (key, value) in settings(vendor) {
            self.set(key, &value).await;
        }
        self.set(vendor.base_url_key(), &self.upstream.url()).await;
    }

    /// Sets what a vendor needs, and lets the played provider answer as that vendor.
    pub(crate) async fn sell_through(&self, vendor: Vendor) {
        self.configure(vendor).await;
        let (account, clock) = (account(vendor), self.app.clock().clone());
        self.upstream.by(move |request| {
            use downcity_core::Clock as _;
            let (status, body) =
                account.answer(&request.target, &request.headers, &request.body, clock.now());
            Answer::json(status, &body)
        });
    }

    pub(crate) async fn set(&self, key: &str, value: &str) {
        let input = json!({"key": key, "value": value, "test": false});
        self.app.admin().post("/v1/env/upsert", input).await.expect(200);
    }

    pub(crate) async fn unset(&self, key: &str) {
        self.app.admin().post("/v1/env/remove", json!({"key": key})).await.expect(200);
    }

    pub(crate) fn now(&self) -> Timestamp {
        use downcity_core::Clock as _;
        self.app.clock().now()
    }

    pub(crate) async fn user(&self, user_id: &str) -> Client {
        self.app.user(&self.app.token("shop", user_id).await)
    }

    pub(crate) async fn topup(&self, client: &Client, credits: u32) -> String {
        let made = client.post("/v1/balance/topups/create", json!({"amount": credits})).await;
        text(&made.expect(200), "topup_id").to_owned()
    }

    /// A user who has opened a checkout for 25 credits.
    pub(crate) async fn buyer(&self, user_id: &str) -> Buyer {
        let client = self.user(user_id).await;
        let topup_id = self.topup(&client, 25).await;
        let checkout = self.check_out(&client, &topup_id).await.expect(200);
        let sold = self.sold(&checkout, user_id);
        Buyer { client, user_id: user_id.to_owned(), topup_id, checkout, sold }
    }

    pub(crate) async fn check_out(&self, client: &Client, topup_id: &str) -> TestReply {
        let input = json!({"method_id": self.vendor.id(), "topup_id": topup_id});
        client.post("/v1/payment/checkout/create", input).await
    }

    pub(crate) fn sold(&self, checkout: &Value, user_id: &str) -> Sold {
        Sold {
            payment_id: text(checkout, "payment_id").to_owned(),
            topup_id: text(checkout, "topup_id").to_owned(),
            user_id: user_id.to_owned(),
            session_id: text(checkout, "provider_session_id").to_owned(),
            minor: checkout["amount_minor"].as_i64().unwrap(),
            currency: text(checkout, "currency").to_owned(),
            is_live: false,
        }
    }

    pub(crate) fn signer(&self) -> Signer {
        match self.vendor {
            Vendor::Waffo => Signer::key(RSA_KEY_OF_NOBODY).unwrap(),
            _ => Signer::secret(SECRET),
        }
    }

    /// The signed webhook of a moment; `None` when the vendor tells of no such moment.
    pub(crate) fn delivery(
        &self,
        event_id: &str,
        moment: &Moment,
        sold: &Sold,
    ) -> Option<Delivery> {
        let draft = self.vendor.draft(event_id, moment, sold, self.now())?;
        Some(draft.signed(&self.signer(), self.now()).unwrap())
    }

    /// Sends a webhook to the address that names the vendor.
    pub(crate) async fn send(&self, delivery: &Delivery) -> TestReply {
        let path = format!("/v1/payment/webhook?provider={}", self.vendor.id());
        self.send_to(&path, delivery).await
    }

    pub(crate) async fn send_to(&self, path: &str, delivery: &Delivery) -> TestReply {
        let mut client = self.app.guest();
        for (name, value) in &delivery.headers {
            client = client.with_header(name, value);
        }
        client.send(http::Method::POST, path, delivery.body.clone().into_body()).await
    }

    /// Tells of a moment; the event has to be taken, and end so.
    #[track_caller]
    pub(crate) fn tell<'a>(
        &'a self,
        event_id: &'a str,
        moment: &'a Moment,
        sold: &'a Sold,
        sync_status: &'a str,
    ) -> impl Future<Output = ()> + 'a {
        let place = std::panic::Location::caller();
        async move {
            let delivery = self.delivery(event_id, moment, sold).expect("the vendor tells of it");
            let ack = self.send(&delivery).await;
            assert_eq!(ack.status.as_u16(), 200, "{place} {:?}: {}", self.vendor, ack.text());
            let expected = json!({"received": true, "event_id": format!("{}:{event_id}", self.vendor.id()),
                "provider": self.vendor.id(), "sync_status": sync_status});
            assert_eq!(ack.json(), expected, "{place} {:?}", self.vendor);
        }
    }

    /// A payment as the trusted side sees it.
    pub(crate) async fn payment(&self, sold: &Sold) -> Value {
        let path = format!("/v1/payment/payments/get?payment_id={}", sold.payment_id);
        self.app.admin().get(&path).await.expect(200)
    }

    pub(crate) async fn status(&self, sold: &Sold) -> String {
        text(&self.payment(sold).await, "status").to_owned()
    }

    /// What a user's wallet holds, in credits; it is the sum of its entries.
    pub(crate) async fn credits(&self, client: &Client) -> i64 {
        let balance = client.get("/v1/balance/me").await.expect(200);
        let entries = client.get("/v1/balance/history/me?limit=200").await.expect(200);
        let entries = entries["items"].as_array().unwrap();
        let sum: i64 = entries.iter().map(|entry| entry["amount"].as_i64().unwrap()).sum();
        assert_eq!(balance["microcredits"].as_i64(), Some(sum), "{balance}");
        assert_eq!(sum % 10_000, 0);
        sum / 1_000_000
    }

    pub(crate) async fn event(&self, event_id: &str) -> Option<Value> {
        let list = self.app.admin().get("/v1/payment/events?limit=200").await.expect(200);
        let wanted = format!("{}:{event_id}", self.vendor.id());
        list["items"].as_array().unwrap().iter().find(|event| event["event_id"] == *wanted).cloned()
    }
}

/// Bytes as a body.
pub(crate) trait IntoBody {
    fn into_body(self) -> downcity_core::Body;
}

impl IntoBody for Vec<u8> {
    fn into_body(self) -> downcity_core::Body {
        bytes::Bytes::from(self).into()
    }
}
