//! A node without its database: it answers what it knows, says what it lacks, and comes back.

use std::time::{Duration, Instant};

use downcity_db::testing::Proxy;
use downcity_testkit::{Engine, TestApp, TestReply};
use serde_json::{Value, json};

use crate::common::{PROMISED, SLACK, knows_env, lets_in, put_env, revoke, soon};

/// Time limits of the database, short so that the test is.
const LIMIT: Duration = Duration::from_millis(300);

/// A node whose way to the database a test can disturb, and one that has its own.
async fn pair() -> (TestApp, TestApp, Proxy) {
    let stable = TestApp::builder(Engine::Postgres).start().await;
    let proxy = Proxy::start(stable.database()).unwrap();
    let node = TestApp::builder(Engine::Postgres)
        .on_database_of(&stable)
        .through(proxy.url())
        .options(|options| {
            options.database.closure_limit = LIMIT;
            options.database.scan_limit = LIMIT;
            options.database.connect_timeout = LIMIT;
        });
    (stable, node.start().await, proxy)
}

fn assert_unavailable(reply: &TestReply) {
    let error = reply.expect_error(503, "unavailable");
    assert_eq!(reply.header("retry-after"), Some("1"), "{error}");
}

/// Everything that needs no database works; everything else says so, in time.
async fn alone(node: &TestApp, user_token: &str) {
    assert!(lets_in(node, user_token).await);
    assert!(!lets_in(node, "ub_no.token").await);
    for path in ["/health", "/livez", "/v1/services", "/openapi.json"] {
        node.guest().get(path).await.expect(200);
    }
    for path in ["/v1/env/list", "/v1/env/catalog"] {
        node.admin().get(path).await.expect(200);
    }
    assert_eq!(node.admin().get("/v1/base/instruction").await.status, 200);
    node.token("a", "another").await;
    node.user("admin_wrong_key_0123456789").get("/v1/env/list").await.expect(401);

    let began = Instant::now();
    assert_unavailable(&node.admin().get("/v1/cities/list").await);
    assert_unavailable(&node.admin().get("/v1/keys/list").await);
    assert_unavailable(&node.admin().post("/v1/cities/create", json!({"name": "B"})).await);
    let input = json!({"key": "K", "value": "v"});
    assert_unavailable(&node.admin().post("/v1/env/upsert", input).await);
    assert_unavailable(&node.admin().post("/v1/env/refresh", json!({})).await);
    let took = began.elapsed();
    println!("five refusals in {took:?}");
    // A second is what the server gets beyond each limit.
    assert!(took < 5 * (LIMIT + Duration::from_secs(1)) + SLACK, "{took:?}");
}

async fn readiness(node: &TestApp) -> Value {
    let reply = node.guest().get("/readyz").await;
    assert_eq!(reply.header("retry-after"), (reply.status == 503).then_some("1"));
    reply.json()
}

async fn disturbed(disturb: impl Fn(&Proxy)) {
    let (stable, node, proxy) = pair().await;
    stable.create_city("a").await;
    let token = stable.token("a", "u").await;
    soon("the city", async || node.runtime().snapshot().city("a").is_some()).await;
    let since = stable.clock().clone();
    disturb(&proxy);
    soon("not ready", async || readiness(&node).await["code"] == "unavailable").await;
    alone(&node, &token).await;
    let details = readiness(&node).await["details"].clone();
    assert_eq!(details[0]["path"], "database");
    let message = details[0]["message"].as_str().unwrap();
    let now = downcity_core::Clock::now(&since).to_string();
    // The clock of the test stands still; what is subtracted from it is the time that passed.
    assert!(message.starts_with(&format!("unreachable since {}", &now[..14])), "{message}");

    // Meanwhile the others go on.
    revoke(&stable, json!({"user_token": token})).await;
    put_env(&stable.admin(), "MEANWHILE", "v").await;
    assert!(lets_in(&node, &token).await);

    proxy.mend();
    let began = Instant::now();
    soon("the revocation", async || !lets_in(&node, &token).await).await;
    soon("the env value", async || knows_env(&node, "MEANWHILE").await).await;
    soon("ready", async || readiness(&node).await["ok"] == true).await;
    node.admin().get("/v1/cities/list").await.expect(200);
    let input = json!({"name": "B", "city_id": "b"});
    node.admin().post("/v1/cities/create", input).await.expect(200);
    let took = began.elapsed();
    assert!(took < PROMISED + SLACK, "{took:?}");
    // A connection that was silent since before may be given up only now.
    soon("reachable", async || node.runtime().unreachable_since().is_none()).await;
    node.stop().await;
    stable.stop().await;
}

#[test]
fn a_node_whose_database_went_away_serves_from_memory_and_recovers() {
    downcity_testkit::block_on(disturbed(Proxy::cut));
}

#[test]
fn a_node_whose_database_fell_silent_serves_from_memory_and_recovers() {
    downcity_testkit::block_on(disturbed(Proxy::stall));
}

#[test]
fn many_callers_of_a_silent_database_are_all_refused_in_time() {
    downcity_testkit::block_on(async {
        let (_stable, node, proxy) = pair().await;
        proxy.stall();
        let began = Instant::now();
        let callers = (0..200).map(|number| {
            let admin = node.admin();
            async move {
                let reply = if number % 2 == 0 {
                    admin.get("/v1/cities/list").await
                } else {
                    admin.post("/v1/cities/create", json!({"name": "C"})).await
                };
                reply.status.as_u16()
            }
        });
        let statuses = futures_util::future::join_all(callers).await;
        let took = began.elapsed();
        println!("200 refusals in {took:?}");
        assert!(statuses.iter().all(|status| *status == 503), "{statuses:?}");
        assert!(took < Duration::from_secs(3) + SLACK, "{took:?}");
        proxy.mend();
        soon("work again", async || {
            node.admin().get("/v1/cities/list").await.status.as_u16() == 200
        })
        .await;
    });
}
