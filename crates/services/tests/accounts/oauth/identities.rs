//! Linking and unlinking.

use std::time::Duration;

use downcity_testkit::{Client, both_engines};
use serde_json::{Value, json};

use super::world::{Begun, ELSEWHERE, HERE, World, begun, failed, oauth};
use crate::common::{PASSWORD, login, register, text};

/// A signed-in user begins to link a provider.
pub(crate) async fn start_link(world: &World<'_>, user: &Client, provider: &str) -> Begun {
    let input = json!({"provider": provider, "link": true});
    let user = user.clone().at(HERE.parse().unwrap());
    let started = user.post("/v1/accounts/oauth/start", input).await.expect(200);
    assert!(world.result(&begun(started.clone())).await.expect(200)["status"] == "pending");
    begun(started)
}

async fn link(world: &World<'_>, user: &Client, provider: &str, person: Value) -> Begun {
    let started = start_link(world, user, provider).await;
    world.says(provider, person);
    let page = world.back(&started, HERE).await;
    assert!(page.text().contains("Login Successful"), "{}", page.text());
    started
}

async fn providers(user: &Client) -> Vec<String> {
    let list = user.get("/v1/accounts/identities").await.expect(200);
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| text(item, "provider").to_owned()).collect()
}

both_engines! {
    async fn a_user_links_a_provider_and_signs_in_with_it(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let ann = register(&app, "ann@example.com").await;
        let user = app.user(text(&ann, "user_token"));
        app.clock().advance(Duration::from_secs(1));
        let person = json!({"id": 5, "login": "annie", "email": "annie@example.org"});
        let started = link(&world, &user, "github", person.clone()).await;
        let result = world.result(&started).await.expect(200);
        let expected = json!({
            "status": "done", "user_id": ann["user_id"], "city_id": "shop", "linked": "github",
        });
        // A user who links has a token already; the result gives no other.
        assert_eq!(result, expected);
        assert_eq!(world.result(&started).await.expect(200), expected);
        let list = user.get("/v1/accounts/identities").await.expect(200);
        assert_eq!(list["items"][0]["provider"], "email");
        assert_eq!(list["items"][1], json!({
            "provider": "github", "subject": "5", "email": "annie@example.org",
            "created_at": "2026-01-02T03:04:06.678Z",
        }));
        assert!(!list.to_string().contains("argon2"), "{list}");
        let signed_in = world.sign_in("github", person).await;
        assert_eq!(signed_in["user_id"], ann["user_id"]);
        assert_eq!(world.profile(&signed_in).await["email"], "ann@example.com");
    }

    async fn a_login_of_somebody_else_is_not_linked(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let person = json!({"sub": "1", "email": "bob@example.com", "email_verified": true});
        let bob = world.sign_in("google", person.clone()).await;
        let ann = register(&app, "ann@example.com").await;
        let user = app.user(text(&ann, "user_token"));
        let started = start_link(&world, &user, "google").await;
        world.says("google", person.clone());
        failed(&world.back(&started, HERE).await, 400, "another account");
        assert_eq!(world.sign_in("google", person).await["user_id"], bob["user_id"]);
        assert_eq!(providers(&user).await, ["email"]);
    }

    async fn who_is_lured_into_linking_is_asked(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let ann = register(&app, "ann@example.com").await;
        let user = app.user(text(&ann, "user_token"));
        let started = start_link(&world, &user, "google").await;
        world.says("google", json!({"sub": "1", "name": "Victim"}));
        let asked = world.back(&started, ELSEWHERE).await;
        let html = asked.text();
        assert!(html.contains("the account <b>ann@example.com</b>"), "{html}");
        failed(&world.answer(&asked, "cancel", ELSEWHERE).await, 200, "did not sign in");
        assert_eq!(providers(&user).await, ["email"]);
    }

    async fn linking_needs_an_account_and_ones_own_city(app: TestApp = oauth) {
        let world = World::new(&app).await;
        app.create_city("other").await;
        let start = async |token: &str, city: Option<&str>| {
            let input = json!({"provider": "google", "link": true, "city_id": city});
            app.user(token).post("/v1/accounts/oauth/start", input).await
        };
        let stranger = app.token("shop", "not-here").await;
        start(&stranger, None).await.expect_error(404, "not_found");
        let ann = register(&app, "ann@example.com").await;
        start(text(&ann, "user_token"), Some("other")).await.expect_error(403, "city_mismatch");
        start(text(&ann, "user_token"), Some("shop")).await.expect(200);
        // Without link a token changes nothing: another city may be signed in to.
        let input = json!({"provider": "google", "city_id": "other"});
        let old = app.user(text(&ann, "user_token"));
        old.post("/v1/accounts/oauth/start", input).await.expect(200);
        assert!(world.provider.requests().is_empty());
    }

    async fn the_last_way_to_sign_in_stays(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let ann = register(&app, "ann@example.com").await;
        let user = app.user(text(&ann, "user_token"));
        let unlink = async |input: Value| user.post("/v1/accounts/identities/unlink", input).await;
        unlink(json!({"provider": "email"})).await.expect_error(409, "conflict");
        unlink(json!({"provider": "google"})).await.expect_error(404, "not_found");
        for sub in ["1", "2"] {
            link(&world, &user, "google", json!({"sub": sub})).await;
        }
        unlink(json!({"provider": "google"})).await.expect_error(400, "invalid_input");
        unlink(json!({"provider": "google", "subject": "3"})).await.expect_error(404, "not_found");
        unlink(json!({"provider": "google", "subject": "2"})).await.expect(200);
        unlink(json!({"provider": "email"})).await.expect(200);
        login(&app, "ann@example.com", PASSWORD).await.expect_error(401, "invalid_login");
        assert_eq!(providers(&user).await, ["google"]);
        unlink(json!({"provider": "google"})).await.expect_error(409, "conflict");
        // What was unlinked is free again, and somebody else's is never touched.
        let other = world.sign_in("google", json!({"sub": "2"})).await;
        assert_ne!(other["user_id"], ann["user_id"]);
        let other = app.user(text(&other, "user_token"));
        let input = json!({"provider": "google", "subject": "1"});
        other.post("/v1/accounts/identities/unlink", input).await.expect_error(404, "not_found");
    }

    async fn a_placeholder_that_stayed_behind_keeps_nobody_out(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let first = world.sign_in("wechat", json!({"openid": "oA"})).await;
        let user = app.user(text(&first, "user_token"));
        link(&world, &user, "github", json!({"id": 1, "login": "a"})).await;
        let input = json!({"provider": "wechat"});
        user.post("/v1/accounts/identities/unlink", input).await.expect(200);
        let second = world.sign_in("wechat", json!({"openid": "oA"})).await;
        assert_ne!(second["user_id"], first["user_id"]);
        assert!(text(&world.profile(&second).await, "email").ends_with(".wechat_oA@wechat.user"));
    }
}
