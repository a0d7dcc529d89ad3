//! Which calls leave a fact, and what it says.

use std::time::Duration;

use downcity_core::Body;
use downcity_testkit::both_engines;
use http::Method;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::common::{Node, buy};

/// Status, HTTP status and code.
fn outcome(event: &Value) -> (&str, u64, Option<&str>) {
    let text = |key: &str| event[key].as_str();
    (text("status").unwrap(), event["http_status"].as_u64().unwrap(), text("code"))
}

both_engines! {
    async fn one_call_is_one_fact_with_all_that_is_known(app: TestApp) {
        let node = Node::start(&app, json!({})).await;
        let user = node.user("c", "u").await;
        let request_id = buy(&user, "pear").await;
        let events = node.events("").await;
        assert_eq!(events.len(), 1, "calls of the admin leave none: {events:?}");
        let mut event = events[0].clone();
        let metadata: Value =
            serde_json::from_str(event["metadata_json"].as_str().unwrap()).unwrap();
        assert_eq!(metadata["variant"], "pear");
        assert_eq!(metadata["started_at"], event["started_at"]);
        for key in ["metadata_json", "created_at", "started_at", "ended_at"] {
            assert!(event.as_object_mut().unwrap().remove(key).unwrap().is_string());
        }
        assert_eq!(event, json!({
            "event_id": format!("usage_{}", &request_id["req_".len()..]),
            "city_id": "c", "user_id": "u", "service": "shop", "action": "buy",
            "model_id": "pear", "provider_id": "maker", "upstream_model": "pear-1",
            "request_id": request_id, "status": "success", "http_status": 200,
            "code": null, "error": null, "streamed": false, "mode": "text",
            "input_tokens": 10, "output_tokens": 4, "cached_tokens": 2, "image_count": null,
            "audio_seconds": null, "video_seconds": null, "first_byte_ms": 3, "duration_ms": 20,
            "charge_microcredits": 0, "hold_id": null, "charge_id": null,
        }));
        let summary = node.ask("summary").await;
        assert_eq!(summary, json!({"items": [{
            "city_id": "c", "service": "shop", "status": "success", "count": 1,
            "input_tokens": 10, "output_tokens": 4, "cached_tokens": 2,
            "charge_microcredits": 0, "avg_duration_ms": 20,
        }]}));
    }

    async fn guests_the_trusted_side_and_the_usage_service_leave_no_fact(app: TestApp) {
        let node = Node::start(&app, json!({})).await;
        let user = node.user("c", "u").await;
        node.app.guest().post("/v1/shop/buy", json!({"what": "pear"})).await.expect_error(401, "missing_credential");
        node.app.admin().post("/v1/shop/buy", json!({"what": "pear"})).await.expect_error(403, "forbidden");
        user.get("/v1/usage/me").await.expect(200);
        user.get("/v1/usage/events").await.expect_error(403, "forbidden");
        assert_eq!(node.events("").await, Vec::<Value>::new());
        user.get("/v1/shop/look?what=pear").await;
        assert_eq!(node.events("").await.len(), 1, "reads leave one");
    }

    async fn failures_are_errors_and_their_texts_hold_no_credentials(app: TestApp) {
        let node = Node::start(&app, json!({})).await;
        let user = node.user("c", "u").await;
        buy(&user, "fail").await;
        user.post("/v1/shop/buy", json!({})).await.expect_error(400, "invalid_input");
        let other = json!({"what": "pear", "city_id": "elsewhere"});
        user.post("/v1/shop/buy", other).await.expect_error(403, "city_mismatch");
        let events = node.events("").await;
        assert_eq!(outcome(&events[0]), ("error", 502, Some("upstream_error")));
        assert_eq!(events[0]["error"], "The maker refused the key [redacted].");
        assert_eq!(events[0]["input_tokens"], 10, "what a failed call used is told");
        assert_eq!(outcome(&events[1]), ("error", 400, Some("invalid_input")));
        assert_eq!(outcome(&events[2]), ("error", 403, Some("city_mismatch")));
        let mine = user.get("/v1/usage/me").await;
        assert!(!mine.text().contains("refused"), "{}", mine.text());
        assert_eq!(mine.json()["items"][2]["error"], "upstream_error");
        assert_eq!(mine.json()["summary"]["errors"], 3);
    }

    async fn a_client_that_leaves_cancels(app: TestApp) {
        let node = Node::start(&app, json!({})).await;
        let user = node.user("c", "u").await;
        let call = user.post("/v1/shop/wait", json!({"what": "pear"}));
        assert!(tokio::time::timeout(Duration::ZERO, call).await.is_err(), "the client leaves");
        assert_eq!(outcome(&node.events("").await[0]), ("canceled", 499, None));
    }

    async fn streams_are_recorded_at_their_end(app: TestApp) {
        let node = Node::start(&app, json!({})).await;
        let user = node.user("c", "u").await;
        let open = |what: &str| {
            let (user, path) = (user.clone(), format!("/v1/shop/stream?what={what}"));
            async move { user.open(Method::GET, &path, Body::Empty).await.into_body() }
        };
        let mut body = open("pear").await;
        body.frame().await.unwrap().unwrap();
        assert!(node.events("").await.is_empty(), "it is still under way");
        body.collect().await.unwrap();
        let mut left = open("pear").await;
        left.frame().await.unwrap().unwrap();
        drop(left);
        open("break").await.collect().await.unwrap();
        let events = node.events("").await;
        assert_eq!(outcome(&events[0]), ("success", 200, None));
        assert_eq!((&events[0]["streamed"], &events[0]["output_tokens"]), (&json!(true), &json!(2)));
        assert_eq!(outcome(&events[1]), ("canceled", 200, None));
        assert_eq!(events[1]["output_tokens"], 1);
        assert_eq!(outcome(&events[2]), ("error", 200, Some("upstream_error")));
    }

    async fn what_is_recorded_is_a_setting(app: TestApp) {
        for (record, expected) in [("all", 2), ("billable", 1), ("off", 0)] {
            let node = Node::start(&app, json!({"record": record})).await;
            let user = node.user("c", record).await;
            user.get("/v1/shop/look?what=pear").await;
            buy(&user, "pear").await;
            let events = node.events(&format!("user_id={record}")).await;
            assert_eq!(events.len(), expected, "{record}");
            assert!(events.last().is_none_or(|event| event["action"] == "buy"));
        }
    }

    async fn facts_are_stored_when_the_node_stops(app: TestApp) {
        let node = Node::start(&app, json!({})).await;
        let user = node.user("c", "u").await;
        for _ in 0..7 {
            buy(&user, "pear").await;
        }
        // A stream that ends while the node stops.
        let mut stream = user.open(Method::GET, "/v1/shop/stream?what=pear", Body::Empty).await;
        stream.body_mut().frame().await.unwrap().unwrap();
        drop(stream);
        node.app.stop().await;
        let next = Node::start(&app, json!({})).await;
        assert_eq!(next.events("").await.len(), 8);
    }

    async fn a_node_tells_how_its_recording_goes(app: TestApp) {
        let node = Node::start(&app, json!({"queue": 300})).await;
        let user = node.user("c", "u").await;
        buy(&user, "pear").await;
        node.events("").await;
        let mut status = node.ask("status").await;
        assert!(status["summed_to"].take().is_string());
        let expected = json!({"waiting": 0, "capacity": 300, "stored": 1, "dropped": 0, "summed_to": null});
        assert_eq!(status, expected);
    }

    async fn two_nodes_record_side_by_side(app: TestApp) {
        let one = Node::start(&app, json!({})).await;
        let user = one.user("c", "u").await;
        let two = Node::start(&app, json!({})).await;
        let token = one.app.token("c", "u").await;
        let elsewhere = two.app.user(&token);
        elsewhere.get("/v1/usage/me").await.expect(200);
        let mut ids = Vec::new();
        for client in [&user, &elsewhere, &user, &elsewhere] {
            ids.push(buy(client, "pear").await);
        }
        two.events("").await;
        let found = one.events("").await;
        let found: Vec<&str> =
            found.iter().map(|event| event["request_id"].as_str().unwrap()).collect();
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(ids.iter().all(|id| found.contains(&id.as_str())), "{found:?} {ids:?}");
    }
}
