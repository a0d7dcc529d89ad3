//! Summaries, daily sums and retention.

use std::time::Duration;

use downcity_db::sql;
use downcity_testkit::{TestApp, both_engines};
use downcity_types::Timestamp;
use serde_json::{Value, json};

use crate::common::{Node, buy};

const HOUR: Duration = Duration::from_hours(1);

/// Groups of a summary: the given keys and the count.
async fn groups(node: &Node, query: &str) -> Vec<Vec<Value>> {
    let summary = node.ask(&format!("summary?{query}")).await;
    let keys = ["day", "city_id", "user_id", "service", "action", "model_id", "status", "count"];
    let row = |item: &Value| keys.iter().filter_map(|key| item.get(key).cloned()).collect();
    summary["items"].as_array().unwrap().iter().map(row).collect()
}

/// A node at six in the evening.
async fn evening(app: &TestApp, config: Value) -> Node {
    app.clock().set("2026-03-01T18:00:00Z".parse().unwrap());
    Node::start(app, config).await
}

both_engines! {
    async fn facts_are_grouped_as_asked(app: TestApp) {
        let node = evening(&app, json!({})).await;
        let (u, v) = (node.user("c", "u").await, node.user("d", "v").await);
        buy(&u, "pear").await;
        buy(&u, "fail").await;
        buy(&v, "pear").await;
        node.events("").await;
        for swept in [false, true] {
            if swept {
                node.app.clock().advance(HOUR);
                node.sweep().await;
            }
            let by_default = [
                vec![json!("c"), json!("shop"), json!("error"), json!(1)],
                vec![json!("c"), json!("shop"), json!("success"), json!(1)],
                vec![json!("d"), json!("shop"), json!("success"), json!(1)],
            ];
            assert_eq!(groups(&node, "").await, by_default);
            let by_user = [vec![json!("u"), json!(2)], vec![json!("v"), json!(1)]];
            assert_eq!(groups(&node, "group_by=user_id").await, by_user);
            assert_eq!(groups(&node, "group_by=user_id&user_id=u").await, by_user[..1]);
            let by_model = [
                vec![json!("2026-03-01"), json!("fail"), json!(1)],
                vec![json!("2026-03-01"), json!("pear"), json!(2)],
            ];
            assert_eq!(groups(&node, "group_by=model_id,%20day").await, by_model);
            assert_eq!(groups(&node, "group_by=action&status=error").await, [[json!("buy"), json!(1)]]);
            assert_eq!(groups(&node, "city_id=nowhere").await, Vec::<Vec<Value>>::new());
        }
        node.app.admin().get("/v1/usage/summary?group_by=mood").await.expect_error(400, "invalid_input");
        let first = node.ask("summary?limit=2").await;
        assert_eq!(first["items"].as_array().unwrap().len(), 2);
        let cursor = first["next_cursor"].as_str().unwrap();
        assert_eq!(groups(&node, &format!("limit=2&cursor={cursor}")).await.len(), 1);
    }

    async fn days_and_spans_of_time_are_exact_wherever_the_sums_are(app: TestApp) {
        let node = evening(&app, json!({})).await;
        let user = node.user("c", "u").await;
        let start: Timestamp = node.app.runtime().clock().now();
        // One call every hour for three days; sums are kept up to somewhere in between.
        for hour in 0..72 {
            buy(&user, "pear").await;
            node.events("").await;
            node.app.clock().advance(HOUR);
            if hour == 40 {
                node.sweep().await;
            }
        }
        let at = |hour: u32| start.saturating_add(HOUR * hour);
        for (from, to) in [(0, 72), (5, 6), (6, 30), (3, 33), (10, 60), (41, 42), (30, 72), (7, 7)] {
            let path = format!("/v1/usage/me?from={}&to={}&limit=1", at(from), at(to));
            let mine = user.get(&path).await.expect(200);
            assert_eq!(mine["summary"]["count"], to - from, "{from}..{to}");
            let query = format!("group_by=service&from={}&to={}", at(from), at(to));
            let expected = if to > from { vec![vec![json!("shop"), json!(to - from)]] } else { vec![] };
            assert_eq!(groups(&node, &query).await, expected);
            let of_user = format!("{query}&user_id=u");
            assert_eq!(groups(&node, &of_user).await, expected);
        }
        let mine = user.get("/v1/usage/me?limit=1").await.expect(200);
        let days = mine["summary"]["days"].as_array().unwrap();
        let days: Vec<_> = days.iter().map(|day| (day["day"].as_str().unwrap(), day["count"].as_i64().unwrap())).collect();
        let expected = [("2026-03-04", 18), ("2026-03-03", 24), ("2026-03-02", 24), ("2026-03-01", 6)];
        assert_eq!(days, expected);
        assert_eq!(mine["summary"]["input_tokens"], 720);
    }

    async fn old_facts_go_and_their_sums_stay(app: TestApp) {
        let node = evening(&app, json!({"retention_days": 2})).await;
        let user = node.user("c", "u").await;
        buy(&user, "pear").await;
        node.events("").await;
        node.app.clock().advance(HOUR * 20);
        buy(&user, "pear").await;
        node.events("").await;
        node.app.clock().advance(HOUR * 40);
        assert_eq!(node.sweep().await, 1, "those of the first day");
        assert_eq!(node.sweep().await, 0);
        let noted = node.app.runtime().db().scan(|tx| {
            tx.query_one(sql!("SELECT COUNT(*) FROM usage_of_users"), &[])?.at::<i64>(0)
        });
        assert_eq!(noted.await.unwrap(), 1, "what is gone is gone from its user, too");
        assert_eq!(node.events("").await.len(), 1);
        let by_day = [vec![json!("2026-03-01"), json!(1)], vec![json!("2026-03-02"), json!(1)]];
        assert_eq!(groups(&node, "group_by=day").await, by_day);
        // Where calls are gone, a day counts whole.
        let late = "group_by=day&from=2026-03-01T23:00:00Z";
        assert_eq!(groups(&node, late).await, by_day);
        let mine = user.get("/v1/usage/me").await.expect(200);
        assert_eq!((&mine["summary"]["count"], mine["items"].as_array().unwrap().len()), (&json!(2), 1));
    }

    async fn figures_that_no_call_can_have_do_not_break_the_sums(app: TestApp) {
        let node = evening(&app, json!({})).await;
        let user = node.user("c", "u").await;
        for what in ["wild", "wild", "pear"] {
            buy(&user, what).await;
        }
        assert_eq!(node.events("").await[0]["input_tokens"], Value::Null);
        assert_eq!(node.ask("summary").await["items"][0]["input_tokens"], 10);
        node.app.clock().advance(HOUR);
        node.sweep().await;
        assert_eq!(node.ask("summary").await["items"][0]["input_tokens"], 10);
    }

    async fn nodes_that_sweep_together_count_once(app: TestApp) {
        let (one, two) = (evening(&app, json!({})).await, evening(&app, json!({})).await);
        let user = one.user("c", "u").await;
        for _ in 0..20 {
            buy(&user, "pear").await;
        }
        one.events("").await;
        one.app.clock().advance(HOUR);
        tokio::join!(one.sweep(), two.sweep());
        assert_eq!(groups(&two, "group_by=service").await, [[json!("shop"), json!(20)]]);
        let swept = two.ask("status").await["summed_to"].clone();
        assert_eq!(swept, "2026-03-01T18:59:30.000Z");
    }
}
