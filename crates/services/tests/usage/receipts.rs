//! Receipts of single calls.

use downcity_testkit::both_engines;
use serde_json::json;

use crate::common::{Node, buy};

both_engines! {
    async fn a_receipt_is_for_its_user_and_the_trusted_side(app: TestApp) {
        let node = Node::start(&app, json!({})).await;
        let user = node.user("c", "u").await;
        let id = buy(&user, "fail").await;
        let path = format!("/v1/usage/requests/{id}");
        let mine = user.get(&path).await.expect(200);
        assert_eq!((&mine["request_id"], &mine["error"]), (&json!(id), &json!("upstream_error")));
        let trusted = node.app.admin().get(&path).await.expect(200);
        assert_eq!(trusted["error"], "The maker refused the key [redacted].");
        for other in [node.user("c", "v").await, node.user("d", "u").await] {
            other.get(&path).await.expect_error(404, "not_found");
        }
        node.app.guest().get(&path).await.expect_error(401, "missing_credential");
        for id in ["req_unknown", "x", "%00", "%20"] {
            let path = format!("/v1/usage/requests/{id}");
            let status = node.app.admin().get(&path).await.status.as_u16();
            assert!(matches!(status, 400 | 404), "{id}: {status}");
        }
    }

    async fn a_paid_call_shows_its_cost_at_once_and_counts_once(app: TestApp) {
        let node = Node::start(&app, json!({"record": "off"})).await;
        let user = node.user("c", "u").await;
        let id = buy(&user, "paid").await;
        let path = format!("/v1/usage/requests/{id}");
        // The shop stores it on a task of its own, as a job does.
        node.stored.notified().await;
        let receipt = user.get(&path).await.expect(200);
        assert_eq!(receipt["charge_microcredits"], 1_500);
        assert_eq!((&receipt["hold_id"], &receipt["charge_id"]), (&json!("hold_1"), &json!("charge_1")));
        assert_eq!(receipt["provider_id"], "maker");
        let mine = user.get("/v1/usage/me").await.expect(200);
        assert_eq!(mine["items"].as_array().unwrap().len(), 1);
        assert_eq!(mine["summary"]["charge_microcredits"], 1_500);
        assert_eq!(node.ask("summary").await["items"][0]["charge_microcredits"], 1_500);
    }
}
