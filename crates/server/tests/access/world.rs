//! A Federation, and everything that a row may need in it.

use std::sync::Arc;

use async_trait::async_trait;
use downcity_core::env::{ADMIN_KEY as ADMIN_KEY_NAME, Candidate, EnvProbe, MasterKey, Probed};
use downcity_core::{Body, Secret, Service, ServiceDef};
use downcity_db::testing::TestDatabase;
use downcity_db::{DbOptions, Engine, Tx, sql};
use downcity_server::{Config, Federation};
use downcity_testkit::tokio::join;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use serde_json::{Value, json};

use crate::matrix::Caller;

/// The password of every account.
pub(crate) const PASSWORD: &str = "correct horse battery";

const ADMIN_KEY: &str = "admin_test_key_0123456789";

/// A product's service that has no actions, but knows how to try the env keys of the rows.
struct Trying;

impl Service for Trying {
    fn id(&self) -> &'static str {
        "trying"
    }

    fn name(&self) -> &'static str {
        "Trying"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        service.env_probe(self.clone());
    }
}

#[async_trait]
impl EnvProbe for Trying {
    fn knows(&self, key: &str) -> bool {
        key.starts_with("SAMPLE_")
    }

    async fn probe(&self, _: &Candidate) -> Probed {
        Probed::Accepted
    }
}

/// A whole Federation, as `fed` starts it, without a socket.
pub(crate) struct Bench {
    pub(crate) federation: Federation,
    _database: TestDatabase,
    worlds: std::cell::Cell<u32>,
}

/// An answer: its status and, for JSON, its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// The code of an error, in either shape; empty for a success.
    pub(crate) fn code(&self) -> &str {
        let code = self.body.get("code").or_else(|| self.body["error"].get("code"));
        code.and_then(Value::as_str).filter(|_| self.status >= 400).unwrap_or_default()
    }
}

impl Bench {
    pub(crate) async fn start(engine: Engine) -> Self {
        let database = TestDatabase::new(engine).unwrap();
        let mut options = DbOptions::new(database.url());
        options.write_connections = 2;
        options.read_connections = 1;
        options.scan_connections = 1;
        let federation = Federation::builder()
            .config(Config::default())
            .database(options)
            .master_key(
                MasterKey::parse("a passphrase for tests, of more than 32 characters").unwrap(),
            )
            .seed(ADMIN_KEY_NAME, Secret::new(ADMIN_KEY))
            .service(Trying)
            .build()
            .await
            .unwrap();
        Self { federation, _database: database, worlds: 0.into() }
    }

    pub(crate) async fn call(
        &self,
        credential: Option<&str>,
        method: &Method,
        path: &str,
        input: &Value,
    ) -> Answer {
        let (uri, body) = if *method == Method::GET {
            (format!("{path}?{}", query(input)), Body::Empty)
        } else {
            (path.to_owned(), input.to_string().into())
        };
        let mut request = Request::builder().method(method).uri(uri);
        request = request.header(CONTENT_TYPE, "application/json");
        if let Some(credential) = credential {
            request = request.header(AUTHORIZATION, format!("Bearer {credential}"));
        }
        let response = self.federation.handle(request.body(body).unwrap()).await;
        let status = response.status().as_u16();
        let body = match response.into_body() {
            Body::Full(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Body::Empty | Body::Stream(_) => Value::Null,
        };
        Answer { status, body }
    }

    async fn admin(&self, path: &str, input: Value) -> Value {
        let answer = self.call(Some(ADMIN_KEY), &Method::POST, path, &input).await;
        assert_eq!(answer.status, 200, "{path} {input}: {}", answer.body);
        answer.body
    }

    /// What the database holds: its revision, and how many rows each table has.
    pub(crate) async fn state(&self) -> Vec<(String, i64)> {
        let read = |tx: &mut Tx<'_>| {
            let rows = tx.query(
                sql!(
                    "SELECT 'revision' AS name, value AS size FROM db_revision
                     UNION ALL SELECT 'accounts_users', COUNT(*) FROM accounts_users
                     UNION ALL SELECT 'accounts_sessions', COUNT(*) FROM accounts_sessions
                     UNION ALL SELECT 'audit', COUNT(*) FROM audit
                     UNION ALL SELECT 'balance_wallets', COUNT(*) FROM balance_wallets
                     UNION ALL SELECT 'balance_ledger', COUNT(*) FROM balance_ledger
                     UNION ALL SELECT 'balance_holds', COUNT(*) FROM balance_holds
                     UNION ALL SELECT 'balance_charges', COUNT(*) FROM balance_charges
                     UNION ALL SELECT 'balance_topups', COUNT(*) FROM balance_topups
                     UNION ALL SELECT 'balance_redeem_codes', COUNT(*) FROM balance_redeem_codes
                     UNION ALL SELECT 'balance_redemptions', COUNT(*) FROM balance_redemptions
                     UNION ALL SELECT 'cities', COUNT(*) FROM cities
                     UNION ALL SELECT 'env', COUNT(*) FROM env
                     UNION ALL SELECT 'env_versions', COUNT(*) FROM env_versions
                     UNION ALL SELECT 'idempotency', COUNT(*) FROM idempotency
                     UNION ALL SELECT 'jobs', COUNT(*) FROM jobs
                     UNION ALL SELECT 'payment_payments', COUNT(*) FROM payment_payments
                     UNION ALL SELECT 'payment_events', COUNT(*) FROM payment_events
                     UNION ALL SELECT 'revocations', COUNT(*) FROM revocations
                     UNION ALL SELECT 'service_keys', COUNT(*) FROM service_keys
                     UNION ALL SELECT 'service_key_spending', COUNT(*) FROM service_key_spending
                     UNION ALL SELECT 'signing_keys', COUNT(*) FROM signing_keys"
                ),
                &[],
            )?;
            rows.iter().map(|row| Ok((row.get("name")?, row.get("size")?))).collect()
        };
        let state: Result<_, downcity_core::Error> =
            self.federation.runtime().db().scan(read).await;
        state.unwrap()
    }

    /// New cities, credentials and records, for the action of this name.
    pub(crate) async fn world(&self, action: &str) -> World {
        let number = self.worlds.replace(self.worlds.get() + 1);
        let named = |kind: &str| format!("{kind}_{number}");
        let (home, other, vacant) = (named("home"), named("other"), named("vacant"));
        join!(self.city(&home), self.city(&other), self.city(&vacant));
        let env_key = named("SAMPLE");
        // Not `action`, and open to no guest.
        let elsewhere = if action == "cities/pause" { "cities/activate" } else { "cities/pause" };
        // No key can list an action of `keys`: what covers most is refused there.
        let covered = if action.starts_with("keys/") { "*" } else { action };
        let (user, stranger, key, city_key, other_city_key, other_key, open_key, spare_key, ()) = join!(
            self.token(&home),
            self.token(&other),
            self.key(covered, vec![]),
            self.key(covered, vec![&home, &vacant]),
            self.key(covered, vec![&other]),
            self.key(elsewhere, vec![]),
            self.key("*", vec![]),
            self.key("*", vec![]),
            self.env(&home, &env_key, "first"),
        );
        // A key covers the id of a city, whether there is one or not.
        let removed = json!({"city_id": vacant});
        join!(self.env(&home, &env_key, "second"), self.admin("/v1/cities/remove", removed));
        // Hashing a password takes its time: only where accounts are tried.
        let email = named("ann") + "@example.com";
        let account = if action.starts_with("accounts/") {
            Some(self.account(&email, &home).await)
        } else {
            None
        };
        let user_id = account.as_ref().map(|account| text(&account["user_id"]));
        let user = account.map_or(user, |account| text(&account["user_token"]));
        let session_id = self.session_of(&user).await;
        let vouchers = if action.starts_with("balance/") {
            self.vouchers(&named("buyer"), &home).await
        } else {
            Vouchers::default()
        };
        World {
            vouchers,
            user,
            user_id: user_id.unwrap_or_default(),
            session_id,
            email,
            new_email: named("new") + "@example.com",
            stranger,
            key: key.1,
            city_key: city_key.1,
            other_city_key: other_city_key.1,
            other_key: other_key.1,
            open_key: open_key.1,
            key_id: spare_key.0,
            env_key,
            home,
            vacant,
        }
    }

    async fn city(&self, city_id: &str) {
        let input = json!({"name": city_id, "city_id": city_id});
        self.admin("/v1/cities/create", input).await;
    }

    /// A value of the Federation, and one that a city has of its own.
    async fn env(&self, city_id: &str, key: &str, value: &str) {
        self.admin("/v1/env/upsert", json!({"key": key, "value": value})).await;
        let own = json!({"key": key, "value": value, "city_id": city_id});
        self.admin("/v1/env/upsert", own).await;
    }

    async fn token(&self, city_id: &str) -> String {
        let input = json!({"city_id": city_id, "user_id": "u"});
        text(&self.admin("/v1/cities/tokens/apply", input).await["user_token"])
    }

    async fn account(&self, email: &str, city_id: &str) -> Value {
        let input = json!({"email": email, "password": PASSWORD, "city_id": city_id});
        self.admin("/v1/accounts/register", input).await
    }

    /// The newest session of a user; empty when there is none.
    async fn session_of(&self, user: &str) -> String {
        let path = "/v1/accounts/sessions/me";
        let answer = self.call(Some(user), &Method::GET, path, &json!({})).await;
        answer.body["items"][0]["session_id"].as_str().unwrap_or_default().to_owned()
    }

    /// What wallets are filled with.
    async fn vouchers(&self, user_id: &str, city_id: &str) -> Vouchers {
        let input = json!({"city_id": city_id, "user_id": user_id});
        let user = text(&self.admin("/v1/cities/tokens/apply", input).await["user_token"]);
        let path = "/v1/balance/topups/create";
        let topup = self.call(Some(&user), &Method::POST, path, &json!({"amount": 5})).await;
        let many = json!({"amount": 5, "max_uses": 100, "max_uses_per_user": 100});
        let of_city = json!({"amount": 5, "city_id": city_id});
        let money = |amount: i64| json!({"city_id": city_id, "user_id": user_id, "amount": amount});
        self.admin("/v1/balance/add", money(100)).await;
        let charge = self.admin("/v1/balance/charge", money(1)).await;
        let hold = self.admin("/v1/balance/holds/create", money(1)).await;
        let (code, own) = join!(
            self.admin("/v1/balance/redeem-codes/create", many),
            self.admin("/v1/balance/redeem-codes/create", of_city),
        );
        Vouchers {
            user_id: user_id.to_owned(),
            charge_id: text(&charge["charge_id"]),
            hold_id: text(&hold["hold_id"]),
            topup_id: text(&topup.body["topup_id"]),
            code: text(&code["code"]),
            redeem_code_id: text(&own["redeem_code_id"]),
        }
    }

    /// The id and the text of a new key.
    async fn key(&self, action: &str, cities: Vec<&str>) -> (String, String) {
        let input = json!({"name": "K", "actions": [action], "cities": cities});
        let issued = self.admin("/v1/keys/create", input).await;
        (text(&issued["key_id"]), text(&issued["key"]))
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn query(input: &Value) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in input.as_object().unwrap() {
        query.append_pair(name, &value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    query.finish()
}

/// What wallets are filled with.
#[derive(Default)]
pub(crate) struct Vouchers {
    /// A user of `home` whose wallet holds something.
    pub(crate) user_id: String,
    /// A charge of this user.
    pub(crate) charge_id: String,
    /// An open hold of this user.
    pub(crate) hold_id: String,
    /// A pending top-up of a user of `home`.
    pub(crate) topup_id: String,
    /// A code that everybody can redeem.
    pub(crate) code: String,
    /// A code for users of `home`.
    pub(crate) redeem_code_id: String,
}

/// What one or more cells are tried in.
pub(crate) struct World {
    /// The city that calls are about.
    pub(crate) home: String,
    /// The id of a city that was removed; the keys of `home` cover it too.
    pub(crate) vacant: String,
    /// An env key with two versions.
    pub(crate) env_key: String,
    /// The id of a service key.
    pub(crate) key_id: String,
    /// The session of `user`, where accounts are tried.
    pub(crate) session_id: String,
    /// The id of `user`, where accounts are tried.
    pub(crate) user_id: String,
    /// The e-mail address of `user`, where accounts are tried.
    pub(crate) email: String,
    /// The e-mail address of nobody.
    pub(crate) new_email: String,
    /// What wallets are filled with, where money is tried.
    pub(crate) vouchers: Vouchers,
    /// The token of a user in `home`.
    pub(crate) user: String,
    stranger: String,
    key: String,
    open_key: String,
    city_key: String,
    other_city_key: String,
    other_key: String,
}

impl World {
    pub(crate) fn credential(&self, caller: Caller) -> Option<&str> {
        match caller {
            Caller::Guest => None,
            Caller::Forger => Some("fk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAxYXKDQ"),
            Caller::User => Some(&self.user),
            Caller::UserOfAnotherCity => Some(&self.stranger),
            Caller::KeyInScope => Some(&self.key),
            Caller::KeyOfEverything => Some(&self.open_key),
            Caller::KeyOfTheCity => Some(&self.city_key),
            Caller::KeyOfAnotherCity => Some(&self.other_city_key),
            Caller::KeyOfAnotherAction => Some(&self.other_key),
            Caller::Admin => Some(ADMIN_KEY),
        }
    }
}
