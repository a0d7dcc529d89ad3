//! What browsers see when something is wrong, and what providers get wrong.

use downcity_testkit::{Answer, TestAppBuilder, both_engines};
use serde_json::{Value, json};

use super::world::{ELSEWHERE, HERE, World, failed, guarded, oauth, oauth_asking, oauth_hasty};

both_engines! {
    async fn a_callback_is_good_for_one_time(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let started = world.start("google").await;
        world.says("google", json!({"sub": "110"}));
        assert_eq!(world.back(&started, HERE).await.status, 200);
        failed(&world.back(&started, HERE).await, 400, "OAuth state expired or invalid");
        // The second one asked nobody and changed nothing.
        assert_eq!(world.provider.requests().len(), 2);
        assert_eq!(world.result(&started).await.expect(200)["status"], "done");
    }

    async fn the_state_gives_no_result_and_the_handle_no_callback(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let started = world.start("google").await;
        let state = started.sent("state");
        let stolen = app.guest().get(&format!("/v1/accounts/oauth/result?state={state}")).await;
        stolen.expect_error(404, "not_found");
        let path = format!("/v1/accounts/oauth/callback?state={}&code=c", started.handle());
        failed(&app.guest().get(&path).await, 400, "OAuth state expired or invalid");
        assert!(world.provider.requests().is_empty());
    }

    async fn what_no_provider_sends_is_refused(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let call = async |query: &str| {
            app.guest().get(&format!("/v1/accounts/oauth/callback{query}")).await
        };
        for query in ["", "?code=c", "?state=", "?state=a&state=b&code=c", "?state=%00&code=c"] {
            failed(&call(query).await, 400, "Missing state or code");
        }
        failed(&call("?state=unknown&code=c").await, 400, "OAuth state expired or invalid");
        failed(&call("?error=access_denied&state=x").await, 400, "OAuth state expired or invalid");
        let started = world.start("github").await;
        failed(&call(&format!("?state={}", started.sent("state"))).await, 400, "Missing state or code");
        world.result(&started).await.expect_error(404, "not_found");
    }

    async fn who_declines_ends_the_sign_in_and_nothing_of_the_query_is_shown(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let started = world.start("github").await;
        let text = "%3Cscript%3Ealert(1)%3C/script%3E";
        let path = format!(
            "/v1/accounts/oauth/callback?error=access_denied&error_description={text}&state={}",
            started.sent("state")
        );
        let page = app.guest().get(&path).await;
        failed(&page, 400, "access was not granted");
        assert!(!page.text().contains("alert"));
        world.result(&started).await.expect_error(404, "not_found");
    }

    async fn a_code_of_another_provider_is_worth_nothing(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let started = world.start("github").await;
        // The state says which provider is asked, and that one does not know the code.
        let unknown = json!({"error": "bad_verification_code", "error_description": "<b>no</b>"});
        world.provider.then(Answer::json(200, &unknown));
        let page = world.back(&started, HERE).await;
        failed(&page, 400, "GitHub did not accept the sign-in");
        assert!(!page.text().contains("<b>no"));
        assert_eq!(world.provider.request().target, "POST /v1/login/oauth/access_token");
        world.result(&started).await.expect_error(404, "not_found");
    }

    async fn providers_fail_in_many_ways(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let token = Answer::json(200, &json!({"access_token": "at", "openid": "o"}));
        let refusal = |error: &str| json!({"error": error});
        let cases: Vec<(&str, Vec<Answer>, u16)> = vec![
            ("google", vec![Answer::json(400, &refusal("invalid_grant"))], 400),
            ("google", vec![Answer::json(401, &refusal("invalid_client"))], 502),
            ("google", vec![Answer::json(500, &json!({"access_token": "at"}))], 502),
            ("google", vec![Answer::json(200, &json!({"token_type": "bearer"}))], 502),
            ("google", vec![Answer::json(200, &json!([]))], 502),
            ("google", vec![Answer::text(200, "text/html", "<h1>Hello</h1>")], 502),
            ("google", vec![Answer::text(302, "text/html", "").header("location", "/v1/x")], 502),
            ("google", vec![Answer::stream().write("{").cut()], 502),
            ("google", vec![Answer::text(200, "application/json", &"x".repeat(1_100_000))], 502),
            ("google", vec![token.clone(), Answer::json(401, &json!({"sub": "110"}))], 502),
            ("google", vec![token.clone(), Answer::json(200, &json!({"email": "a@example.com"}))], 502),
            ("github", vec![Answer::json(200, &refusal("incorrect_client_credentials"))], 502),
            ("github", vec![token.clone(), Answer::json(200, &json!({"login": "x"})), Answer::json(200, &json!([]))], 502),
            ("github", vec![token.clone(), Answer::json(200, &json!({"id": 1})), Answer::json(500, &json!([]))], 502),
            ("wechat", vec![Answer::json(200, &json!({"errcode": 40029, "errmsg": "invalid code"}))], 400),
            ("wechat", vec![Answer::json(200, &json!({"errcode": 40125, "errmsg": "invalid appsecret"}))], 502),
            ("wechat", vec![Answer::json(200, &json!({"access_token": "at"}))], 502),
            ("wechat", vec![token.clone(), Answer::json(200, &json!({"errcode": 40003}))], 502),
        ];
        for (provider, answers, status) in cases {
            let started = world.start(provider).await;
            let wanted = world.provider.requests().len() + answers.len();
            for answer in answers {
                world.provider.then(answer);
            }
            let page = world.back(&started, HERE).await;
            failed(&page, status, if status == 502 { "Try again later" } else { "Start again" });
            for hint in ["invalid", "errcode", "127.0.0.1", "s&amp;cr", "reqwest", "Hello"] {
                assert!(!page.text().contains(hint), "{hint}: {}", page.text());
            }
            assert_eq!(world.provider.requests().len(), wanted, "{provider} {status}");
            world.result(&started).await.expect_error(404, "not_found");
        }
    }

    async fn a_github_app_without_the_addresses_still_signs_in(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let started = world.start("github").await;
        world.provider.then(Answer::json(200, &json!({"access_token": "at"})));
        world.provider.then(Answer::json(200, &json!({"id": 9, "login": "o", "email": "o@example.com"})));
        world.provider.then(Answer::json(403, &json!({"message": "Resource not accessible"})));
        assert_eq!(world.back(&started, HERE).await.status, 200);
        let profile = world.profile(&world.result(&started).await.expect(200)).await;
        assert_eq!((&profile["email"], &profile["email_verified"]), (&json!("o@example.com"), &json!(false)));
    }

    async fn a_silent_provider_is_given_up(app: TestApp = oauth_hasty) {
        let world = World::new(&app).await;
        for answers in [
            vec![Answer::json(200, &json!({})).silent()],
            vec![Answer::stream().write("{").hang()],
            vec![
                Answer::json(200, &json!({"access_token": "at"})),
                Answer::json(200, &json!({})).silent(),
            ],
        ] {
            let started = world.start("google").await;
            for answer in answers {
                world.provider.then(answer);
            }
            failed(&world.back(&started, HERE).await, 502, "Google could not be reached");
            world.result(&started).await.expect_error(404, "not_found");
        }
    }

    async fn plain_http_leads_to_this_machine_alone(app: TestApp = oauth_strict) {
        let world = World::new(&app).await;
        let input = json!({"provider": "google", "city_id": "shop"});
        let start = async || world.at(HERE).post("/v1/accounts/oauth/start", input.clone()).await;
        start().await.expect_error(500, "missing_config");
        let remove = async |key: &str| {
            app.admin().post("/v1/env/remove", json!({"key": key})).await.expect(200);
        };
        remove("GOOGLE_BASE_URL").await;
        start().await.expect_error(500, "missing_config");
        remove("GOOGLE_API_BASE_URL").await;
        let started: Value = start().await.expect(200);
        let url = started["url"].as_str().unwrap();
        assert!(url.starts_with("https://accounts.google.com/o/oauth2/v2/auth?client_id="), "{url}");
    }

    async fn a_city_that_closes_lets_nobody_in(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let (called, waiting) = (world.start("google").await, world.start("google").await);
        world.says("google", json!({"sub": "110"}));
        world.back(&waiting, HERE).await;
        app.admin().post("/v1/cities/pause", json!({"city_id": "shop"})).await.expect(200);
        failed(&world.back(&called, HERE).await, 400, "not available");
        world.result(&waiting).await.expect_error(403, "city_paused");
        app.admin().post("/v1/cities/activate", json!({"city_id": "shop"})).await.expect(200);
        assert_eq!(world.result(&waiting).await.expect(200)["status"], "done");
    }

    async fn names_are_text(app: TestApp = oauth_asking) {
        let world = World::new(&app).await;
        let input = json!({"name": "<i>\"Shop\" & 'Co'", "city_id": "odd"});
        app.admin().post("/v1/cities/create", input).await.expect(200);
        let input = json!({"provider": "wechat", "city_id": "odd"});
        let started = world.at(HERE).post("/v1/accounts/oauth/start", input).await.expect(200);
        let started = crate::oauth::world::begun(started);
        world.says("wechat", json!({"openid": "o1", "nickname": "</p><script>alert(1)</script>"}));
        let page = world.back(&started, ELSEWHERE).await;
        let html = page.text();
        guarded(&page);
        assert!(html.contains("&lt;i&gt;&quot;Shop&quot; &amp; &#39;Co&#39;"), "{html}");
        assert!(html.contains("&lt;/p&gt;&lt;script&gt;") && !html.contains("<script"), "{html}");
        let html = world.answer(&page, "confirm", ELSEWHERE).await.text();
        assert!(html.contains("Login Successful") && !html.contains("<i>"), "{html}");
    }
}

/// Providers may not be reached over plain HTTP.
fn oauth_strict(builder: TestAppBuilder) -> TestAppBuilder {
    super::world::with_config(builder, |config| config.allow_loopback_http = false)
}
