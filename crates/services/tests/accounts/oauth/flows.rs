//! The three flows from end to end.

use std::time::Duration;

use downcity_db::{Tx, sql};
use downcity_testkit::both_engines;
use serde_json::{Value, json};

use super::world::{HERE, RETURN_URL, World, begun, callback, check_pkce, guarded, oauth};
use crate::common::text;

both_engines! {
    async fn github(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let started = world.start("github").await;
        assert_eq!(started.answer["provider"], "github");
        assert_eq!(started.answer["expires_in"], 300);
        assert!(started.handle().len() >= 43);
        assert_ne!(started.sent("state"), started.handle());
        assert_eq!(started.sent("client_id"), "id-of-GITHUB");
        assert_eq!(started.sent("redirect_uri"), callback());
        assert_eq!(started.sent("scope"), "read:user,user:email");
        assert_eq!(world.result(&started).await.expect(200), json!({"status": "pending"}));
        world.says("github", json!({
            "id": 583_231, "login": "octo", "name": null, "email": null,
            "avatar_url": "https://avatars.example.com/u/583231",
            "emails": [{"email": "Octo@Example.com", "primary": true, "verified": true}],
        }));
        let page = world.back(&started, HERE).await;
        assert!(page.text().contains("<title>Login Successful</title>"), "{}", page.text());
        guarded(&page);
        let result = world.result(&started).await.expect(200);
        assert_eq!((&result["status"], &result["city_id"]), (&json!("done"), &json!("shop")));
        assert_eq!(result["expires_at"], "2026-01-09T03:04:05.000Z");
        assert!(text(&result, "user_token").starts_with("ub_"));
        let profile = world.profile(&result).await;
        assert_eq!(profile["user_id"], result["user_id"]);
        assert_eq!(profile["email"], "octo@example.com");
        assert_eq!(profile["email_verified"], true);
        assert_eq!(profile["display_name"], "octo");
        assert_eq!(profile["avatar_url"], "https://avatars.example.com/u/583231");

        let [token, user, emails] = <[_; 3]>::try_from(world.provider.requests()).ok().unwrap();
        assert_eq!(token.target, "POST /v1/login/oauth/access_token");
        let body = token.json();
        check_pkce(&started, text(&body, "code_verifier"));
        assert_eq!((text(&body, "code"), text(&body, "client_secret")), ("c-1", "s&cr+t"));
        assert_eq!(text(&body, "redirect_uri"), callback());
        assert_eq!((&*user.target, &*emails.target), ("GET /v1/user", "GET /v1/user/emails"));
        assert_eq!(user.headers["authorization"], "Bearer at");
        assert!(user.headers.contains_key("user-agent"));
    }

    async fn google(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let started = world.start("google").await;
        assert_eq!(started.sent("response_type"), "code");
        assert_eq!(started.sent("scope"), "openid email profile");
        // Neither a verified flag nor a name, as some test doubles have it.
        world.says("google", json!({"sub": "110", "email": "ann@example.com", "picture": ""}));
        world.back(&started, HERE).await;
        let result = world.result(&started).await.expect(200);
        let profile = world.profile(&result).await;
        assert_eq!((&profile["email"], &profile["display_name"]), (&json!("ann@example.com"), &json!("ann")));
        assert_eq!(profile["email_verified"], false);
        let [token, user] = <[_; 2]>::try_from(world.provider.requests()).ok().unwrap();
        assert_eq!((&*token.target, &*user.target), ("POST /v1/token", "GET /v1/v1/userinfo"));
        let form: Vec<(String, String)> =
            form_urlencoded::parse(&token.body).into_owned().collect();
        let field = |name: &str| &form.iter().find(|(field, _)| field == name).unwrap().1;
        assert_eq!(field("grant_type"), "authorization_code");
        assert_eq!(field("client_secret"), "s&cr+t");
        assert_eq!(field("redirect_uri"), callback());
        check_pkce(&started, field("code_verifier"));
    }

    async fn wechat(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let started = world.start("wechat").await;
        assert_eq!(started.sent("appid"), "id-of-WECHAT");
        assert_eq!(started.sent("scope"), "snsapi_login");
        assert!(text(&started.answer, "url").ends_with("&lang=cn#wechat_redirect"));
        let person = json!({
            "openid": "oAbc", "unionid": "uXyz", "nickname": "安",
            "headimgurl": "http://thirdwx.example.com/mmopen/0",
        });
        world.says("wechat", person);
        world.back(&started, HERE).await;
        let profile = world.profile(&world.result(&started).await.expect(200)).await;
        assert_eq!(profile["email"], "wechat_uXyz@wechat.user");
        assert_eq!(profile["email_verified"], false);
        assert_eq!(profile["display_name"], "安");
        assert_eq!(profile["avatar_url"], "http://thirdwx.example.com/mmopen/0");
        let [token, user] = <[_; 2]>::try_from(world.provider.requests()).ok().unwrap();
        assert_eq!(
            token.target,
            "GET /v1/sns/oauth2/access_token?appid=id-of-WECHAT&secret=s%26cr%2Bt&code=c-1\
             &grant_type=authorization_code"
        );
        assert_eq!(user.target, "GET /v1/sns/userinfo?access_token=at&openid=oAbc&lang=zh_CN");
    }

    async fn a_result_is_given_once_and_for_a_minute_again(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let started = world.start("google").await;
        world.says("google", json!({"sub": "110"}));
        world.back(&started, HERE).await;
        let first = world.result(&started).await.expect(200);
        app.clock().advance(Duration::from_secs(59));
        let again = world.result(&started).await.expect(200);
        for field in ["user_id", "city_id", "expires_at"] {
            assert_eq!(first[field], again[field]);
        }
        // Both are the token of one session.
        for result in [&first, &again] {
            world.profile(result).await;
        }
        app.user(text(&again, "user_token")).post("/v1/accounts/logout", json!({})).await.expect(200);
        let first = app.user(text(&first, "user_token"));
        first.get("/v1/accounts/me").await.expect_error(401, "token_revoked");
        world.result(&started).await.expect_error(404, "not_found");
        app.clock().advance(Duration::from_secs(1));
        world.result(&started).await.expect_error(404, "not_found");
    }

    async fn a_sign_in_ends_after_five_minutes(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let (late, unread) = (world.start("google").await, world.start("google").await);
        world.says("google", json!({"sub": "110"}));
        world.back(&unread, HERE).await;
        app.clock().advance(Duration::from_secs(300));
        crate::oauth::world::failed(&world.back(&late, HERE).await, 400, "expired or invalid");
        for started in [&late, &unread] {
            world.result(started).await.expect_error(404, "not_found");
        }
    }

    async fn a_start_says_what_is_wrong(app: TestApp = oauth) {
        let world = World::new(&app).await;
        app.create_city("closed").await;
        app.admin().post("/v1/cities/pause", json!({"city_id": "closed"})).await.expect(200);
        let start = async |input: Value| {
            app.guest().post("/v1/accounts/oauth/start", input).await
        };
        for provider in [json!(null), json!("twitter"), json!("email"), json!("")] {
            let refused = start(json!({"provider": provider, "city_id": "shop"})).await;
            let refused = refused.expect_error(400, "invalid_input");
            assert_eq!(refused["error"], "provider must be github, google, or wechat");
        }
        let of = |city: Value| json!({"provider": "google", "city_id": city});
        start(of(json!(null))).await.expect_error(400, "invalid_input");
        start(of(json!(" "))).await.expect_error(400, "invalid_input");
        start(of(json!("nowhere"))).await.expect_error(404, "city_not_found");
        start(of(json!("closed"))).await.expect_error(403, "city_paused");
        let mut input = of(json!("shop"));
        input["link"] = true.into();
        start(input).await.expect_error(401, "missing_credential");
        for url in ["https://app.example.com/signed-in", "https://evil.example.com", "/x"] {
            let mut input = of(json!("shop"));
            input["return_url"] = url.into();
            start(input).await.expect_error(400, "invalid_input");
        }
        app.admin().post("/v1/env/remove", json!({"key": "GOOGLE_CLIENT_SECRET"})).await.expect(200);
        let refused = start(of(json!("shop"))).await.expect_error(400, "invalid_input");
        assert_eq!(refused["error"], "provider not configured");
        assert!(world.provider.requests().is_empty());
        let result = async |query: &str| {
            app.guest().get(&format!("/v1/accounts/oauth/result{query}")).await
        };
        for query in ["", "?state=", "?state=%20"] {
            let refused = result(query).await.expect_error(400, "invalid_input");
            assert_eq!(refused["error"], "state required");
        }
        result("?state=x").await.expect_error(404, "not_found");
    }

    async fn a_browser_returns_to_the_product(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let input = json!({"provider": "google", "city_id": "shop", "return_url": RETURN_URL});
        let started = world.at(HERE).post("/v1/accounts/oauth/start", input).await.expect(200);
        let started = begun(started);
        world.says("google", json!({"sub": "110"}));
        let reply = world.back(&started, HERE).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (303, Some(RETURN_URL)));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(world.result(&started).await.expect(200)["status"], "done");
    }

    async fn what_has_ended_is_swept(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let flows = async || {
            let count = |tx: &mut Tx<'_>| {
                let row = tx.query_one(sql!("SELECT COUNT(*) FROM accounts_oauth_states"), &[])?;
                Ok::<_, downcity_core::Error>(row.at::<i64>(0)?)
            };
            app.runtime().db().scan(count).await.unwrap()
        };
        let first = world.start("google").await;
        app.clock().advance(Duration::from_secs(299));
        world.start("google").await;
        downcity_services::accounts::sweep(app.runtime()).await.unwrap();
        assert_eq!(flows().await, 2);
        app.clock().advance(Duration::from_secs(1));
        downcity_services::accounts::sweep(app.runtime()).await.unwrap();
        assert_eq!(flows().await, 1);
        world.result(&first).await.expect_error(404, "not_found");
    }

    async fn nobody_fills_the_table(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let input = json!({"provider": "google", "city_id": "shop"});
        let start = async |address: &str| {
            world.at(address).post("/v1/accounts/oauth/start", input.clone()).await
        };
        for _ in 0..300 {
            start(HERE).await.expect(200);
        }
        let refused = start(HERE).await;
        refused.expect_error(429, "rate_limited");
        assert!(refused.header("retry-after").is_some());
        start("198.51.100.9").await.expect(200);
        app.clock().advance(Duration::from_secs(15 * 60));
        start(HERE).await.expect(200);
    }

    async fn secrets_are_stored_as_hashes(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let started = world.start("github").await;
        world.says("github", json!({"id": 1, "login": "a"}));
        world.back(&started, HERE).await;
        let result = world.result(&started).await.expect(200);
        let body = world.provider.requests()[0].json();
        let read = |tx: &mut Tx<'_>| {
            let row = tx.query_one(
                sql!(
                    "SELECT flow_id, state, poll, nonce, COALESCE(confirmation, '') AS confirmation,
                            COALESCE(person, '') AS person, COALESCE(session_id, '') AS session_id
                     FROM accounts_oauth_states"
                ),
                &[],
            )?;
            let columns =
                ["flow_id", "state", "poll", "nonce", "confirmation", "person", "session_id"];
            columns.iter().map(|name| Ok(row.get::<String>(name)?)).collect()
        };
        let stored: Result<Vec<String>, downcity_core::Error> =
            app.runtime().db().scan(read).await;
        let stored = stored.unwrap().join(" ");
        for secret in [
            started.handle(),
            started.sent("state"),
            text(&body, "code_verifier"),
            text(&body, "client_secret"),
            text(&result, "user_token"),
        ] {
            assert!(!stored.contains(secret), "{stored}");
        }
    }
}
