//! People who are sent into somebody else's sign-in.

use downcity_testkit::both_engines;
use serde_json::{Value, json};

use super::world::{
    ELSEWHERE, HERE, RETURN_URL, World, begun, failed, guarded, oauth, oauth_asking, secret_of,
};
use crate::common::text;

fn victim() -> Value {
    json!({"sub": "666", "email": "victim@example.com", "email_verified": true, "name": "Vic"})
}

both_engines! {
    async fn who_comes_from_elsewhere_is_asked(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let started = world.start("google").await;
        world.says("google", victim());
        let page = world.back(&started, ELSEWHERE).await;
        let html = page.text();
        assert_eq!(page.status, 200);
        assert!(html.contains("<title>Confirm Login</title>"), "{html}");
        assert!(html.contains("<b>shop</b>") && html.contains("victim@example.com"), "{html}");
        assert!(html.contains(text(&started.answer, "user_code")), "{html}");
        guarded(&page);
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("form-action 'self';"), "{policy}");
        let cookie = page.header("set-cookie").unwrap();
        for part in ["; HttpOnly", "; SameSite=Strict", "; Secure", "; Max-Age=300"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        // Until then the lure is worth nothing: no token, and no account.
        assert_eq!(world.result(&started).await.expect(200), json!({"status": "pending"}));
        let page = world.answer(&page, "confirm", ELSEWHERE).await;
        assert!(page.text().contains("<title>Login Successful</title>"), "{}", page.text());
        let result = world.result(&started).await.expect(200);
        assert_eq!(world.profile(&result).await["email"], "victim@example.com");
    }

    async fn who_cancels_gives_nothing_away(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let started = world.start("google").await;
        world.says("google", victim());
        let asked = world.back(&started, ELSEWHERE).await;
        failed(&world.answer(&asked, "cancel", ELSEWHERE).await, 200, "You did not sign in");
        world.result(&started).await.expect_error(404, "not_found");
        failed(&world.answer(&asked, "confirm", ELSEWHERE).await, 400, "no longer valid");
        // Nobody was made: the address is still free.
        crate::common::register(&app, "victim@example.com").await;
    }

    async fn only_the_browser_that_was_asked_can_answer(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let started = world.start("google").await;
        world.says("google", victim());
        let asked = world.back(&started, ELSEWHERE).await;
        let secret = secret_of(&asked);
        for (secret, cookie) in [
            (secret.as_str(), None),
            (&secret, Some("downcity_oauth=guess")),
            (&secret, Some("other=1; downcity_oauth=")),
            ("guess", Some("downcity_oauth=guess")),
            ("", Some("downcity_oauth=guess")),
        ] {
            let page = world.answer_with(secret, "confirm", HERE, cookie).await;
            failed(&page, 400, "no longer valid");
        }
        assert_eq!(world.result(&started).await.expect(200)["status"], "pending");
        // The page itself was not used up by those who guessed; it is by its own answer.
        let page = world.answer(&asked, "confirm", ELSEWHERE).await;
        assert!(page.text().contains("Login Successful"));
        failed(&world.answer(&asked, "confirm", ELSEWHERE).await, 400, "no longer valid");
    }

    async fn an_address_that_says_nothing_is_no_reason_not_to_ask(app: TestApp = oauth) {
        let world = World::new(&app).await;
        // Of a local network, or of a proxy that names others: everybody may have it.
        for (address, header) in [
            ("10.0.0.1", None),
            ("127.0.0.1", None),
            ("::1", None),
            (HERE, Some("198.51.100.77")),
        ] {
            let mut client = world.at(address);
            if let Some(header) = header {
                client = client.with_header("x-forwarded-for", header);
            }
            let input = json!({"provider": "google", "city_id": "shop"});
            let started = begun(client.post("/v1/accounts/oauth/start", input).await.expect(200));
            world.says("google", victim());
            let state = started.sent("state");
            let page = client.get(&format!("/v1/accounts/oauth/callback?state={state}&code=c")).await;
            assert!(page.text().contains("<title>Confirm Login</title>"), "{address} {header:?}");
        }
        // A call that came over no network has no address at all.
        let input = json!({"provider": "google", "city_id": "shop"});
        let started = begun(app.guest().post("/v1/accounts/oauth/start", input).await.expect(200));
        world.says("google", victim());
        let state = started.sent("state");
        let page = app.guest().get(&format!("/v1/accounts/oauth/callback?state={state}&code=c")).await;
        assert!(page.text().contains("<title>Confirm Login</title>"));
    }

    async fn everybody_is_asked_where_that_is_configured(app: TestApp = oauth_asking) {
        let world = World::new(&app).await;
        let input = json!({"provider": "google", "city_id": "shop", "return_url": RETURN_URL});
        let started = world.at(HERE).post("/v1/accounts/oauth/start", input).await.expect(200);
        let started = begun(started);
        world.says("google", victim());
        let asked = world.back(&started, HERE).await;
        let policy = asked.header("content-security-policy").unwrap();
        assert!(policy.contains("form-action 'self' https://app.example.com;"), "{policy}");
        let reply = world.answer(&asked, "confirm", HERE).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (303, Some(RETURN_URL)));
    }
}

/// In development everything is one machine, and nobody has set a public URL.
mod development {
    use downcity_services::{AccountsConfig, MailConfig};
    use downcity_testkit::TestAppBuilder;

    use super::*;

    fn local(builder: TestAppBuilder) -> TestAppBuilder {
        let config = AccountsConfig { allow_loopback_http: true, ..AccountsConfig::default() };
        crate::common::with(builder, config, MailConfig::default())
    }

    both_engines! {
        async fn one_machine_is_not_asked(app: TestApp = local) {
            let world = World::new(&app).await;
            let client = world.at("127.0.0.1").with_header("host", "localhost:43127");
            let input = json!({"provider": "google", "city_id": "shop"});
            let started = client.post("/v1/accounts/oauth/start", input.clone()).await.expect(200);
            let started = begun(started);
            let callback = "http://localhost:43127/v1/accounts/oauth/callback";
            assert_eq!(started.sent("redirect_uri"), callback);
            world.says("google", victim());
            let state = started.sent("state");
            let page = client.get(&format!("/v1/accounts/oauth/callback?state={state}&code=c")).await;
            assert!(page.text().contains("Login Successful"), "{}", page.text());
            // A name that somebody else chose is never where people are sent.
            for host in ["fed.example.com", "localhost.example.com", "a@127.0.0.1"] {
                let client = world.at("127.0.0.1").with_header("host", host);
                let refused = client.post("/v1/accounts/oauth/start", input.clone()).await;
                refused.expect_error(500, "missing_config");
            }
        }
    }
}
