//! What operators do with accounts.

use downcity_testkit::both_engines;
use serde_json::{Value, json};

use super::world::{HERE, World, failed, oauth};
use crate::common::{PASSWORD, login, register, text};

both_engines! {
    async fn a_disabled_user_is_out_until_enabled(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let person = json!({"sub": "1", "email": "ann@example.com", "email_verified": true});
        let signed_in = world.sign_in("google", person.clone()).await;
        let user_id = text(&signed_in, "user_id");
        let waiting = world.start("google").await;
        world.says("google", person.clone());
        world.back(&waiting, HERE).await;
        let set = async |action: &str| {
            let input = json!({"user_id": user_id});
            app.admin().post(&format!("/v1/accounts/users/{action}"), input).await.expect(200)
        };
        assert_eq!(set("disable").await, json!({"user_id": user_id, "status": "disabled"}));
        assert_eq!(set("disable").await["status"], "disabled");
        let user = app.user(text(&signed_in, "user_token"));
        user.get("/v1/accounts/me").await.expect_error(401, "token_revoked");
        // Neither what waited before nor what begins now gets in.
        world.result(&waiting).await.expect_error(404, "not_found");
        world.refused("google", person.clone(), 400, "disabled").await;
        assert_eq!(set("enable").await, json!({"user_id": user_id, "status": "active"}));
        let again = world.sign_in("google", person).await;
        assert_eq!(again["user_id"], user_id);
        world.profile(&again).await;
        user.get("/v1/accounts/me").await.expect_error(401, "token_revoked");

        let trail = app.admin().get("/v1/audit/list?target=user").await.expect(200);
        let trail = trail.to_string();
        for action in ["accounts/users/disable", "accounts/users/enable"] {
            assert_eq!(trail.matches(action).count(), 1, "{action} {trail}");
        }
    }

    async fn a_password_does_not_help_who_is_disabled(app: TestApp = oauth) {
        app.create_city("shop").await;
        let ann = register(&app, "ann@example.com").await;
        let input = json!({"user_id": ann["user_id"]});
        app.admin().post("/v1/accounts/users/disable", input).await.expect(200);
        login(&app, "ann@example.com", PASSWORD).await.expect_error(403, "account_disabled");
    }

    async fn a_removed_user_leaves_nothing_here(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let ann = register(&app, "ann@example.com").await;
        let user = app.user(text(&ann, "user_token"));
        let started = crate::oauth::identities::start_link(&world, &user, "google").await;
        world.says("google", json!({"sub": "1"}));
        world.back(&started, HERE).await;
        let waiting = crate::oauth::identities::start_link(&world, &user, "github").await;
        let input = json!({"user_id": ann["user_id"]});
        let done = app.admin().post("/v1/accounts/users/remove", input.clone()).await;
        assert_eq!(done.expect(200), json!({"success": true}));
        user.get("/v1/accounts/me").await.expect_error(401, "token_revoked");
        failed(&world.back(&waiting, HERE).await, 400, "expired");
        login(&app, "ann@example.com", PASSWORD).await.expect_error(401, "invalid_login");
        let new = world.sign_in("google", json!({"sub": "1"})).await;
        assert_ne!(new["user_id"], ann["user_id"]);
        register(&app, "ann@example.com").await;
        app.admin().post("/v1/accounts/users/remove", input).await.expect_error(404, "not_found");
    }

    async fn all_sessions_of_a_user_end_and_those_of_others_stay(app: TestApp = oauth) {
        app.create_city("shop").await;
        app.create_city("other").await;
        let ann = register(&app, "ann@example.com").await;
        let bob = register(&app, "bob@example.com").await;
        let input = json!({"email": "ann@example.com", "password": PASSWORD, "city_id": "other"});
        let elsewhere = app.guest().post("/v1/accounts/login", input).await.expect(200);
        let revoke = async || {
            let input = json!({"user_id": ann["user_id"]});
            app.admin().post("/v1/accounts/users/sessions/revoke", input).await.expect(200)
        };
        assert_eq!(revoke().await, json!({"success": true, "sessions": 2}));
        assert_eq!(revoke().await, json!({"success": true, "sessions": 0}));
        for signed_in in [&ann, &elsewhere] {
            let user = app.user(text(signed_in, "user_token"));
            user.get("/v1/accounts/me").await.expect_error(401, "token_revoked");
        }
        app.user(text(&bob, "user_token")).get("/v1/accounts/me").await.expect(200);
        // A new session is not hit, even within the same second.
        let again: Value = login(&app, "ann@example.com", PASSWORD).await.expect(200);
        app.user(text(&again, "user_token")).get("/v1/accounts/me").await.expect(200);
    }

    async fn who_is_not_there_is_not_found(app: TestApp = oauth) {
        for action in ["disable", "enable", "remove", "sessions/revoke"] {
            for user_id in ["usr_nobody", "", "a\0b"] {
                let path = format!("/v1/accounts/users/{action}");
                let reply = app.admin().post(&path, json!({"user_id": user_id})).await;
                reply.expect_error(404, "not_found");
            }
        }
    }
}
