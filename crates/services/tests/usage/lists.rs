//! Lists of facts: pages, order and filters.

use std::time::Duration;

use downcity_testkit::both_engines;
use serde_json::{Value, json};

use crate::common::{Node, buy};

fn ids(items: &Value) -> Vec<String> {
    let items = items.as_array().unwrap().iter();
    items.map(|item| item["request_id"].as_str().unwrap().to_owned()).collect()
}

both_engines! {
    async fn pages_follow_each_other_newest_first(app: TestApp) {
        let node = Node::start(&app, json!({})).await;
        let user = node.user("c", "u").await;
        let mut made = Vec::new();
        for n in 0..7 {
            made.push(buy(&user, "pear").await);
            node.events("").await;
            if n % 2 == 0 {
                node.app.clock().advance(Duration::from_millis(1));
            }
            if n == 3 {
                // From here on, the first ones are found by their user.
                node.app.clock().advance(Duration::from_hours(1));
                node.sweep().await;
            }
        }
        made.reverse();
        let admin = node.app.admin();
        let lists = [
            ("events?", &admin),
            ("events?city_id=c", &admin),
            ("events?user_id=u", &admin),
            ("events?user_id=u&city_id=c&status=success", &admin),
            ("me?", &user),
        ];
        for (path, client) in lists {
            let mut found = Vec::new();
            let mut next = format!("/v1/usage/{path}&limit=3");
            let mut sizes = Vec::new();
            loop {
                let page = client.get(&next).await.expect(200);
                sizes.push(page["items"].as_array().unwrap().len());
                found.extend(ids(&page["items"]));
                let Some(cursor) = page["next_cursor"].as_str() else { break };
                next = format!("/v1/usage/{path}&limit=3&cursor={cursor}");
            }
            assert_eq!((found, sizes), (made.clone(), vec![3, 3, 1]), "{path}");
        }
        for bad in ["cursor=x", "status=fine", "from=yesterday"] {
            node.app.admin().get(&format!("/v1/usage/events?{bad}")).await.expect_error(400, "invalid_input");
        }
    }

    async fn filters_apply_together(app: TestApp) {
        let node = Node::start(&app, json!({})).await;
        let (u, v) = (node.user("c", "u").await, node.user("d", "v").await);
        buy(&u, "pear").await;
        buy(&u, "fail").await;
        node.events("").await;
        node.app.clock().advance(Duration::from_secs(10));
        let later = node.app.runtime().clock().now();
        buy(&v, "plum").await;
        u.get("/v1/shop/look?what=pear").await;
        let cases = [
            ("", 4),
            ("city_id=c", 3),
            ("city_id=c&status=error", 1),
            ("city_id=d&status=error", 0),
            ("user_id=v", 1),
            ("user_id=v&city_id=c", 0),
            ("user_id=u&action=look", 1),
            ("service=shop&action=buy", 3),
            ("service=other", 0),
            ("model_id=plum", 1),
            ("status=error", 1),
            ("status=success", 3),
            ("status=canceled", 0),
            ("limit=2", 2),
            ("limit=nonsense", 4),
            ("city_id=&user_id=", 4),
        ];
        for (query, expected) in cases {
            assert_eq!(node.events(query).await.len(), expected, "{query}");
        }
        assert_eq!(node.events(&format!("from={later}")).await.len(), 2);
        assert_eq!(node.events(&format!("to={later}")).await.len(), 2);
        let mine = u.get("/v1/usage/me?status=error").await.expect(200);
        assert_eq!((&mine["summary"]["count"], mine["items"].as_array().unwrap().len()), (&json!(1), 1));
    }

    async fn users_see_themselves_in_their_city_alone(app: TestApp) {
        let node = Node::start(&app, json!({})).await;
        let here = node.user("c", "u").await;
        let there = node.user("d", "u").await;
        let other = node.user("c", "v").await;
        let mine = buy(&here, "pear").await;
        buy(&there, "pear").await;
        buy(&other, "pear").await;
        // What a user asks for beyond that changes nothing.
        let me = here.get("/v1/usage/me?user_id=v").await.expect(200);
        assert_eq!((ids(&me["items"]), &me["summary"]["count"]), (vec![mine], &json!(1)));
        here.get("/v1/usage/me?city_id=d").await.expect_error(403, "city_mismatch");
    }
}
