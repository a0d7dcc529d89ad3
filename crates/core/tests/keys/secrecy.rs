//! What is kept and shown of a key.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use downcity_core::{Call, Hook, Result};
use downcity_db::{Tx, sql};
use downcity_testkit::{Engine, TestApp, both_engines};
use serde_json::{Value, json};

use crate::common::{create, with_key, with_probe};

/// Every column of the only key.
async fn row(app: &TestApp) -> Vec<String> {
    let read = |tx: &mut Tx<'_>| {
        let row = tx.query_one(
            sql!(
                "SELECT digest, key_id, name, prefix, actions, cities, expires_at, created_at,
                     revoked_at
                 FROM service_keys"
            ),
            &[],
        )?;
        let texts = ["digest", "key_id", "name", "prefix", "actions", "cities"];
        texts.iter().map(|column| row.get::<String>(column)).collect::<Result<Vec<_>, _>>()
    };
    app.runtime().db().scan(read).await.unwrap()
}

/// Prints what a hook can reach.
#[derive(Clone, Default)]
struct Printer(Arc<Mutex<String>>);

#[async_trait]
impl Hook for Printer {
    async fn before(&self, call: &mut Call) -> Result<()> {
        let text = format!(
            "{call:?} {:?} {:?} {:?}",
            call.identity(),
            call.runtime().snapshot(),
            call.runtime().snapshot().keys()
        );
        self.0.lock().unwrap().push_str(&text);
        Ok(())
    }
}

both_engines! {
    async fn a_key_is_shown_once_and_kept_as_digest(app: TestApp = with_probe) {
        let client = app.admin().with_header("idempotency-key", "once");
        let input = json!({"name": "K", "actions": ["probe/*"]});
        let issued = client.post("/v1/keys/create", input.clone()).await.expect(200);
        let key = issued["key"].as_str().unwrap();
        let columns = row(&app).await;
        let digest = URL_SAFE_NO_PAD.encode(downcity_core::token::digest(key.as_bytes()));
        assert_eq!((&columns[0], columns[3].as_str()), (&digest, &key[..10]));
        assert!(columns.iter().all(|column| !column.contains(&key[10..])), "{columns:?}");

        let list = app.admin().get("/v1/keys/list").await.expect(200);
        assert!(!list.to_string().contains(&key[10..]) && !list.to_string().contains(&digest));
        let revoked = app.admin().post("/v1/keys/revoke", json!({"key_id": issued["key_id"]})).await.expect(200);
        assert!(!revoked.to_string().contains(&key[10..]));
        // A repeated request is a new one: nobody could give the first answer again.
        let again = client.post("/v1/keys/create", input).await.expect(200);
        assert_ne!(again["key"], issued["key"]);
        let stored = app.runtime().db().scan(|tx: &mut Tx<'_>| {
            let row = tx.query_one(sql!("SELECT COUNT(*) AS count FROM idempotency"), &[])?;
            row.get::<i64>("count")
        });
        assert_eq!(stored.await.unwrap(), 0);
    }

    async fn what_is_no_key_is_refused_alike(app: TestApp = with_probe) {
        let issued = create(&app, json!({"name": "K", "actions": ["probe/*"]})).await;
        let key = issued["key"].as_str().unwrap();
        with_key(&app, &issued).get("/v1/probe/admin").await.expect(200);
        let upper = key.to_ascii_uppercase();
        let unknown = "fk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAxYXKDQ";
        assert!(downcity_core::keys::is_well_formed(unknown.as_bytes()));
        let digest = row(&app).await.swap_remove(0);
        let mut texts: Vec<Value> = Vec::new();
        for bad in [
            unknown, "fk_", "fk", "fk_x", &key[..40], &key[3..], &upper, &format!("{key}A"), &format!("fk_{key}"),
            &format!("ub_{}", &key[3..]), &key[..10], &digest, issued["key_id"].as_str().unwrap(), "nonsense",
        ] {
            let reply = app.user(bad).get("/v1/probe/admin").await;
            let mut error = reply.expect_error(401, "invalid_credential");
            error.as_object_mut().unwrap().remove("request_id");
            texts.push(error);
        }
        assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    }
}

#[test]
fn nothing_prints_a_key() {
    downcity_testkit::block_on(async {
        let printer = Printer::default();
        let app = with_probe(TestApp::builder(Engine::Sqlite)).hook(printer.clone()).start().await;
        let issued = create(&app, json!({"name": "K", "actions": ["probe/*"]})).await;
        with_key(&app, &issued).get("/v1/probe/admin").await.expect(200);
        let key = issued["key"].as_str().unwrap();
        let digest = row(&app).await.swap_remove(0);
        let printed = printer.0.lock().unwrap().clone();
        assert!(printed.contains("Service(") && printed.contains("ServiceKeys(1)"), "{printed}");
        assert!(!printed.contains(&key[10..]) && !printed.contains(&digest), "{printed}");
    });
}
