//! `GET /v1/audit/list`: filters, pages, and who may read.

use std::time::Duration;

use downcity_testkit::{TestApp, both_engines};
use serde_json::{Value, json};

use crate::common::{last, list, service_key, since};

/// The numbers of the rows of a query.
async fn seqs(app: &TestApp, query: &str) -> Vec<i64> {
    let rows = list(&app.admin(), query).await;
    rows.iter().map(|row| row["seq"].as_i64().unwrap()).collect()
}

both_engines! {
    async fn filters_narrow_the_list(app: TestApp) {
        let (client, issued) = service_key(&app, &["cities/*"], &[]).await;
        let first = last(&app).await;
        app.clock().advance(Duration::from_secs(1));
        let start = app.runtime().clock().now();
        app.create_city("a").await;
        app.clock().advance(Duration::from_secs(1));
        let then = app.runtime().clock().now();
        client.post("/v1/cities/create", json!({"city_id": "b", "name": "B"})).await.expect(200);
        app.clock().advance(Duration::from_secs(1));
        let end = app.runtime().clock().now();
        let reply = app.admin().post("/v1/env/upsert", json!({"key": "K", "value": "v"})).await;
        let revoke = json!({"city_id": "b", "user_id": "ann"});
        app.admin().post("/v1/cities/tokens/revoke", revoke).await.expect(200);
        let [a, b, env, user] = [1, 2, 3, 4].map(|step| first + step);

        let request = format!("request_id={}", reply.header("x-request-id").unwrap());
        let by_key = format!("actor={}", issued["key_id"].as_str().unwrap());
        for (query, expected) in [
            ("actor=admin&action=cities/*", vec![user, a]),
            ("actor=service", vec![b]),
            (by_key.as_str(), vec![b]),
            ("actor=nobody", vec![]),
            ("action=cities/create", vec![b, a]),
            ("action=cities/*&city_id=b", vec![user, b]),
            ("action=cities", vec![]),
            ("target=user", vec![user]),
            ("target=user/ann", vec![user]),
            ("target=city/b", vec![b]),
            ("target=env/K", vec![env]),
            ("target=env/K&city_id=b", vec![]),
            ("city_id=b", vec![user, b]),
            ("city_id=", (1..=user).rev().collect()),
            (request.as_str(), vec![env]),
            (format!("from={start}&to={end}&target=city").as_str(), vec![b, a]),
            (format!("from={then}").as_str(), vec![user, env, b]),
            (format!("from={then}&to={then}").as_str(), vec![]),
        ] {
            assert_eq!(seqs(&app, query).await, expected, "{query}");
        }
    }

    async fn pages_follow_one_another_without_gaps(app: TestApp) {
        for city in ["a", "b", "c", "d", "e"] {
            app.create_city(city).await;
        }
        let all: Vec<i64> = (1..=last(&app).await).rev().collect();
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/v1/audit/list?limit=2&cursor={cursor}");
            let page = app.admin().get(&path).await.expect(200);
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 2);
            seen.extend(items.iter().map(|row| row["seq"].as_i64().unwrap()));
            // What is written meanwhile belongs before the first page.
            if seen.len() == 2 {
                app.create_city("later").await;
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(seen, all);
        for path in ["?cursor=x", "?cursor=WyJhIl0", "?from=yesterday", "?to=1"] {
            let reply = app.admin().get(&format!("/v1/audit/list{path}")).await;
            reply.expect_error(400, "invalid_input");
        }
        let nul = app.admin().get("/v1/audit/list?actor=%00").await;
        nul.expect_error(400, "invalid_input");
    }

    async fn the_trusted_side_reads_within_its_scope(app: TestApp) {
        app.create_city("a").await;
        app.create_city("b").await;
        app.guest().get("/v1/audit/list").await.expect_error(401, "missing_credential");
        let user = app.user(&app.token("a", "ann").await);
        user.get("/v1/audit/list").await.expect_error(403, "forbidden");
        let (other, _) = service_key(&app, &["cities/*"], &[]).await;
        other.get("/v1/audit/list").await.expect_error(403, "forbidden");

        let (all, _) = service_key(&app, &["audit/list"], &[]).await;
        assert_eq!(list(&all, "target=city").await.len(), 3);
        let (own, _) = service_key(&app, &["audit/list"], &["a"]).await;
        own.get("/v1/audit/list").await.expect_error(403, "forbidden");
        own.get("/v1/audit/list?city_id=b").await.expect_error(403, "city_mismatch");
        let rows = list(&own, "city_id=a").await;
        assert_eq!((rows.len(), &rows[0]["target_id"]), (1, &json!("a")));
    }

    async fn a_row_shows_every_field(app: TestApp) {
        let before = last(&app).await;
        app.create_city("a").await;
        let row = since(&app, before).await.remove(0);
        let fields: Vec<&String> = row.as_object().unwrap().keys().collect();
        assert_eq!(fields, [
            "seq", "created_at", "actor", "key_id", "key_name", "action", "target_kind",
            "target_id", "city_id", "before", "after", "request_id", "client_address", "prev_hash",
            "hash",
        ]);
        assert_eq!((&row["before"], &row["client_address"]), (&Value::Null, &Value::Null));
        assert_eq!(row["hash"].as_str().unwrap().len(), 64);
    }
}
