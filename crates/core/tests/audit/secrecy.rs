//! What must never stand in the trail.

use downcity_db::{Tx, sql};
use downcity_testkit::{ADMIN_KEY, TestApp, both_engines};
use serde_json::{Value, json};

use crate::common::{ByHand as _, last, service_key, since};

/// Every text of the trail in one.
async fn everything(app: &TestApp) -> String {
    let read = |tx: &mut Tx<'_>| {
        let rows = tx.query(
            sql!(
                "SELECT actor, COALESCE(key_id, '') AS key_id, COALESCE(key_name, '') AS key_name,
                     action, target_kind, target_id, COALESCE(before_json, '') AS before_json,
                     COALESCE(after_json, '') AS after_json, COALESCE(request_id, '') AS request_id
                 FROM audit ORDER BY seq"
            ),
            &[],
        )?;
        let mut text = String::new();
        for row in rows {
            for index in 0..9 {
                text.push_str(&row.at::<String>(index)?);
                text.push('\n');
            }
        }
        Ok::<_, downcity_core::Error>(text)
    };
    app.runtime().db().scan(read).await.unwrap()
}

both_engines! {
    async fn planted_secrets_are_not_in_the_trail(app: TestApp) {
        let admin = app.admin();
        let set = async |key: &str, value: &str| {
            let input = json!({"key": key, "value": value});
            admin.post("/v1/env/upsert", input).await.expect(200);
        };
        set("PROVIDER_KEY", "sk-planted-one").await;
        set("PROVIDER_KEY", "sk-planted-two").await;
        let raw = json!({"raw": "PROVIDER_KEY=sk-planted-three\nOTHER='sk-planted-four'\n"});
        admin.post("/v1/env/import", raw).await.expect(200);
        admin.post("/v1/env/remove", json!({"key": "OTHER"})).await.expect(200);
        app.by_hand("INSERT INTO env (key, value) VALUES ('BY_HAND', 'sk-planted-five')");
        admin.post("/v1/env/refresh", json!({})).await.expect(200);
        let (_, issued) = service_key(&app, &["cities/*"], &[]).await;
        admin.post("/v1/keys/revoke", json!({"key_id": issued["key_id"]})).await.expect(200);
        let token = app.token("city_downcity", "ann").await;
        admin.post("/v1/cities/tokens/revoke", json!({"user_token": token})).await.expect(200);
        let (payload, signature) = token.rsplit_once('.').unwrap();
        // As for a token without an id, which is known by its signature.
        admin.post("/v1/cities/tokens/revoke", json!({"jti": signature})).await.expect(200);

        let key = issued["key"].as_str().unwrap();
        let text = everything(&app).await;
        assert!(text.contains("PROVIDER_KEY") && text.contains(issued["key_id"].as_str().unwrap()));
        for secret in ["sk-planted", ADMIN_KEY, &key[10..], payload, signature] {
            assert!(!text.contains(secret), "{text}");
        }
    }

    async fn fingerprints_show_what_came_back(app: TestApp) {
        let before = last(&app).await;
        for value in ["a", "b", "a"] {
            let input = json!({"key": "K", "value": value});
            app.admin().post("/v1/env/upsert", input).await.expect(200);
        }
        let rows = since(&app, before).await;
        let fingerprint = |row: usize, when: &str| rows[row][when]["fingerprint"].clone();
        assert_eq!(rows[0]["before"], Value::Null);
        assert_eq!(fingerprint(0, "after"), fingerprint(1, "before"));
        assert_eq!(fingerprint(1, "after"), fingerprint(2, "before"));
        assert_eq!(fingerprint(0, "after"), fingerprint(2, "after"));
        assert_ne!(fingerprint(0, "after"), fingerprint(1, "after"));
    }
}
