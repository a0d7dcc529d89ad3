//! A database of an earlier version: everything in it is there after an upgrade, and works.

#![cfg(test)]

use downcity_testkit::{TestAppBuilder, both_engines};
use downcity_types::Timestamp;
use serde_json::json;

// Credentials that the earlier version gave out; they open nothing but this file's database.
const ADA: &str = "ub_eyJhdWQiOiJkb3duY2l0eTp1c2VyIiwiY2l0eV9pZCI6Im5vdGVzIiwidXNlcl9pZCI6ImFkYSIsIm1ldGFkYXRhIjp7fSwiaWF0IjoxNzk1MjMyNzQxLCJqdGkiOiJ0b2tfbVQ4N24wbzFvc21tRHo0RSJ9.cDhfEVQr-NGGeYBYUpBG5uJ3muEyAq-BQHM5pq_06qQ";
const BOB: &str = "ub_eyJhdWQiOiJkb3duY2l0eTp1c2VyIiwiY2l0eV9pZCI6Im5vdGVzIiwidXNlcl9pZCI6ImJvYiIsIm1ldGFkYXRhIjp7fSwiaWF0IjoxNzk1MjMyNzQxLCJqdGkiOiJ0b2tfUDZ3NDIzMnJWeGMyUWRZeSJ9.NlJ-S__-e-UAB_pI_0iChPXXmvgvU5YlDw-dn6TJHBk";
const EVE: &str = "ub_eyJhdWQiOiJkb3duY2l0eTp1c2VyIiwiY2l0eV9pZCI6InBhdXNlZCIsInVzZXJfaWQiOiJldmUiLCJtZXRhZGF0YSI6e30sImlhdCI6MTc5NTIzMjc0MSwianRpIjoidG9rX0RBM2cwVHAwT1RyUmtmUHQifQ.u4uviErmieDxFOF_fbJc9mGd85GeER_OnjyDRt47C6o";
const ISSUER: &str = "fk_KqNpcEXypHGCXxu9ZG3B58DTHdeuYYcQFmCcrA";

/// A day after the database was left, in milliseconds since 1970.
const TODAY: i64 = 1_795_319_141_000;

fn earlier(builder: TestAppBuilder) -> TestAppBuilder {
    builder.on_database_with(include_str!("fixtures/core-4.sql"))
}

both_engines! {
    async fn an_upgraded_database_keeps_everything(app: TestApp = earlier) {
        app.clock().set(Timestamp::from_millis(TODAY));
        let cities = app.admin().get("/v1/cities/list").await.expect(200);
        let states: Vec<_> = cities["items"].as_array().unwrap().iter()
            .map(|city| (city["city_id"].as_str().unwrap(), city["status"].as_str().unwrap()))
            .collect();
        assert_eq!(states, [("city_downcity", "active"), ("notes", "active"), ("paused", "paused")]);

        let env = app.admin().get("/v1/env/list?reveal=true").await.expect(200);
        let stored = env["items"].as_array().unwrap().iter()
            .find(|entry| entry["key"] == "DEEPSEEK_API_KEY").unwrap();
        assert_eq!(stored["value"], "second");
        let rollback = json!({"key": "DEEPSEEK_API_KEY", "version": 1});
        app.admin().post("/v1/env/rollback", rollback).await.expect(200);
        let value = app.runtime().snapshot().env().get("DEEPSEEK_API_KEY").unwrap();
        assert_eq!(value.expose(), "first");

        for (token, status, code) in [
            (ADA, 403, "forbidden"),
            (BOB, 401, "token_revoked"),
            (EVE, 403, "city_paused"),
        ] {
            let answer = app.user(token).get("/v1/cities/list").await.expect(status);
            assert_eq!(answer["code"], code);
        }
        let issue = |city_id| json!({"city_id": city_id, "user_id": "new"});
        let issuer = app.user(ISSUER);
        issuer.post("/v1/cities/tokens/apply", issue("notes")).await.expect(200);
        issuer.post("/v1/cities/tokens/apply", issue("city_downcity")).await.expect(403);
        let keys = app.admin().get("/v1/keys/list").await.expect(200);
        assert_eq!(keys["items"][0]["name"], "issuer");
    }

    async fn an_upgraded_database_stays_as_it_is_on_later_starts(app: TestApp = earlier) {
        app.clock().set(Timestamp::from_millis(TODAY));
        let again = downcity_testkit::TestApp::builder(app.runtime().db().engine())
            .on_database_of(&app)
            .start()
            .await;
        let answer = again.user(BOB).get("/v1/cities/list").await.expect(401);
        assert_eq!(answer["code"], "token_revoked");
        again.admin().get("/v1/cities/list").await.expect(200);
        again.stop().await;
    }
}
