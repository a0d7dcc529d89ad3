//! Many at the same time.

use std::collections::HashSet;

use downcity_testkit::{Answer, TestApp, TestReply, both_engines};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::world::{Begun, HERE, World, oauth};
use crate::common::{register, text};

/// Opens these addresses at the same time.
async fn all_at_once(app: &TestApp, paths: Vec<String>) -> Vec<TestReply> {
    let mut calls = JoinSet::new();
    for path in paths {
        let client = app.guest().at(HERE.parse().unwrap());
        calls.spawn(async move { client.get(&path).await });
    }
    calls.join_all().await
}

fn callback(begun: &Begun) -> String {
    format!("/v1/accounts/oauth/callback?state={}&code=c", begun.sent("state"))
}

fn result(begun: &Begun) -> String {
    format!("/v1/accounts/oauth/result?state={}", begun.handle())
}

both_engines! {
    async fn one_callback_of_many_is_taken(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let started = world.start("google").await;
        world.says("google", json!({"sub": "1"}));
        let replies = all_at_once(&app, vec![callback(&started); 20]).await;
        let taken = replies.iter().filter(|reply| reply.status == 200).count();
        assert_eq!((taken, world.provider.requests().len()), (1, 2));
    }

    async fn one_person_in_many_windows_is_one_account(app: TestApp = oauth) {
        let world = World::new(&app).await;
        // One answer for both questions: whatever comes first, it is the same person.
        let answer = json!({"access_token": "at", "openid": "oA", "unionid": "uA"});
        world.provider.always(Answer::json(200, &answer));
        let mut flows = Vec::new();
        for _ in 0..8 {
            flows.push(world.start("wechat").await);
        }
        for reply in all_at_once(&app, flows.iter().map(callback).collect()).await {
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
        let results = all_at_once(&app, flows.iter().map(result).collect()).await;
        let users: HashSet<String> =
            results.iter().map(|reply| text(&reply.expect(200), "user_id").to_owned()).collect();
        assert_eq!(users.len(), 1);
    }

    async fn a_result_asked_for_by_many_is_of_one_session(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let started = world.start("google").await;
        world.says("google", json!({"sub": "1"}));
        world.back(&started, HERE).await;
        let results: Vec<Value> = all_at_once(&app, vec![result(&started); 10])
            .await
            .iter()
            .map(|reply| reply.expect(200))
            .collect();
        app.user(text(&results[0], "user_token")).post("/v1/accounts/logout", json!({})).await.expect(200);
        for result in &results {
            let user = app.user(text(result, "user_token"));
            user.get("/v1/accounts/me").await.expect_error(401, "token_revoked");
        }
    }

    async fn two_ways_that_go_at_once_leave_one(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let ann = register(&app, "ann@example.com").await;
        let user = app.user(text(&ann, "user_token"));
        let started = crate::oauth::identities::start_link(&world, &user, "google").await;
        world.says("google", json!({"sub": "1"}));
        world.back(&started, HERE).await;
        let mut calls = JoinSet::new();
        for provider in ["email", "google"] {
            let (user, input) = (user.clone(), json!({"provider": provider}));
            calls.spawn(async move {
                user.post("/v1/accounts/identities/unlink", input).await.status.as_u16()
            });
        }
        let mut statuses = calls.join_all().await;
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
    }
}
