//! What one node changes is in force on the others within a second.

use downcity_db::testing::Proxy;
use downcity_testkit::{ADMIN_KEY, Engine, TestApp, both_engines};
use serde_json::json;

use crate::common::{issuing, knows_env, lets_in, put_env, revoke, soon, status_of};

async fn with_others(app: &TestApp, count: usize) -> Vec<TestApp> {
    let mut others = Vec::new();
    for _ in 0..count {
        let other = TestApp::builder(app.runtime().db().engine()).on_database_of(app);
        others.push(other.start().await);
    }
    others
}

/// A change of every kind on one node; `others` must follow each of them in time.
async fn everything_changes(app: &TestApp, others: &[TestApp]) {
    for other in others {
        app.create_city("a").await;
        soon("a city", async || issuing(other, "a").await.is_empty()).await;
        app.admin().post("/v1/cities/pause", json!({"city_id": "a"})).await.expect(200);
        soon("a pause", async || issuing(other, "a").await == "city_paused").await;
        app.admin().post("/v1/cities/activate", json!({"city_id": "a"})).await.expect(200);
        soon("an activation", async || issuing(other, "a").await.is_empty()).await;

        put_env(&app.admin(), "SOME_KEY", "a value").await;
        soon("an env value", async || knows_env(other, "SOME_KEY").await).await;
        app.admin().post("/v1/env/remove", json!({"key": "SOME_KEY"})).await.expect(200);
        soon("a removal", async || !knows_env(other, "SOME_KEY").await).await;

        let input = json!({"name": "Key", "actions": ["env/list"]});
        let key = app.admin().post("/v1/keys/create", input).await.expect(200);
        let holder = other.user(key["key"].as_str().unwrap());
        soon("a service key", async || status_of(&holder).await == 200).await;
        let input = json!({"key_id": key["key_id"]});
        app.admin().post("/v1/keys/revoke", input).await.expect(200);
        soon("its end", async || status_of(&holder).await == 401).await;

        let token = app.token("a", "u").await;
        assert!(lets_in(other, &token).await);
        revoke(app, json!({"user_token": token})).await;
        soon("a revoked token", async || !lets_in(other, &token).await).await;
        let token = app.token("a", "u").await;
        revoke(app, json!({"city_id": "a", "user_id": "u"})).await;
        soon("a revoked user", async || !lets_in(other, &token).await).await;
        let token = app.token("a", "u").await;
        revoke(app, json!({"city_id": "a"})).await;
        soon("a revoked city", async || !lets_in(other, &token).await).await;

        let before = app.token("a", "u").await;
        app.admin().post("/v1/keys/rotate", json!({})).await.expect(200);
        let after = app.token("a", "u").await;
        soon("a rotated key", async || lets_in(other, &after).await).await;
        assert!(lets_in(other, &before).await, "the retired key still counts");
        let key = "DOWNCITY_FEDERATION_TOKEN_SIGNING_KEY";
        put_env(&app.admin(), key, "sign_another_key_of_at_least_32_characters").await;
        soon("a replaced key", async || !lets_in(other, &after).await).await;

        app.admin().post("/v1/cities/remove", json!({"city_id": "a"})).await.expect(200);
        soon("a city's end", async || issuing(other, "a").await == "city_not_found").await;

        let key = "DOWNCITY_FEDERATION_ADMIN_SECRET_KEY";
        put_env(&app.admin(), key, "admin_for_a_moment_0123456789").await;
        soon("another admin key", async || status_of(&other.admin()).await == 401).await;
        put_env(&app.user("admin_for_a_moment_0123456789"), key, ADMIN_KEY).await;
        soon("the admin key", async || status_of(&other.admin()).await == 200).await;
    }
}

both_engines! {
    async fn two_nodes_agree_within_a_second(app: TestApp) {
        everything_changes(&app, &with_others(&app, 1).await).await;
    }
}

#[test]
fn three_nodes_agree_within_a_second() {
    downcity_testkit::block_on(async {
        let app = TestApp::builder(Engine::Postgres).start().await;
        let others = with_others(&app, 2).await;
        everything_changes(&app, &others).await;
        // And in every other direction.
        put_env(&others[1].admin(), "FROM_THE_THIRD", "v").await;
        for node in [&app, &others[0]] {
            soon("from the third", async || knows_env(node, "FROM_THE_THIRD").await).await;
        }
    });
}

#[test]
fn a_node_that_lost_its_connections_agrees_within_a_second() {
    downcity_testkit::block_on(async {
        let app = TestApp::builder(Engine::Postgres).start().await;
        app.create_city("a").await;
        let proxy = Proxy::start(app.database()).unwrap();
        let other = TestApp::builder(Engine::Postgres).on_database_of(&app).through(proxy.url());
        let other = other.start().await;
        for round in 0..3 {
            let token = app.token("a", &format!("u{round}")).await;
            assert!(lets_in(&other, &token).await);
            // Its connections are closed at the moment of the change.
            proxy.hang_up();
            revoke(&app, json!({"user_token": token})).await;
            soon("after a hang-up", async || !lets_in(&other, &token).await).await;

            // The server ends them all, those of the changing node too.
            let token = app.token("a", &format!("v{round}")).await;
            app.database()
                .execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE datname = current_database() AND pid <> pg_backend_pid()",
                )
                .unwrap();
            revoke(&app, json!({"user_token": token})).await;
            soon("after an end by the server", async || !lets_in(&other, &token).await).await;

            // The change happens while it is cut off: in force once the way is open again.
            let token = app.token("a", &format!("w{round}")).await;
            proxy.cut();
            revoke(&app, json!({"user_token": token})).await;
            assert!(lets_in(&other, &token).await, "it cannot know");
            proxy.mend();
            soon("after a cut", async || !lets_in(&other, &token).await).await;

            // The same where nothing is cut and nothing arrives.
            let token = app.token("a", &format!("x{round}")).await;
            proxy.stall();
            revoke(&app, json!({"user_token": token})).await;
            tokio::time::sleep(std::time::Duration::from_millis(700)).await;
            proxy.mend();
            soon("after a stall", async || !lets_in(&other, &token).await).await;
        }
    });
}
