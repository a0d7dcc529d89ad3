//! Whose account somebody signs in to.

use downcity_db::sql;
use downcity_testkit::{TestApp, both_engines};
use serde_json::{Value, json};

use super::world::{World, oauth, oauth_verified};
use crate::common::{PASSWORD, login, register, text};

const ANN: &str = "ann@example.com";

fn google(sub: &str, verified: bool) -> Value {
    json!({"sub": sub, "email": "Ann@Example.com", "email_verified": verified, "name": "G Ann"})
}

fn github(id: u64, verified: bool) -> Value {
    json!({
        "id": id, "login": "ann", "email": ANN,
        "emails": [{"email": ANN, "primary": true, "verified": verified}],
    })
}

/// Marks an address as proved, as following a mailed link does.
async fn verify(app: &TestApp, email: &str) {
    let email = email.to_owned();
    let written = app.runtime().db().write(move |tx| {
        let verify = sql!("UPDATE accounts_users SET email_verified = TRUE WHERE email = $1");
        tx.execute(verify, &[&email])?;
        Ok::<_, downcity_core::Error>(())
    });
    written.await.unwrap();
}

both_engines! {
    async fn verified_on_both_sides_is_one_account(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let registered = register(&app, ANN).await;
        verify(&app, ANN).await;
        for (provider, user) in [("google", google("1", true)), ("github", github(2, true))] {
            let result = world.sign_in(provider, user).await;
            assert_eq!(result["user_id"], registered["user_id"], "{provider}");
        }
        // The password stays good, and so does what was signed in before.
        login(&app, ANN, PASSWORD).await.expect(200);
        world.profile(&registered).await;
    }

    async fn what_the_provider_has_not_verified_links_nothing(app: TestApp = oauth) {
        let world = World::new(&app).await;
        register(&app, ANN).await;
        for is_verified in [false, true] {
            if is_verified {
                verify(&app, ANN).await;
            }
            world.refused("google", google("1", false), 400, "exists already").await;
            world.refused("github", github(2, false), 400, "exists already").await;
        }
    }

    async fn the_owner_of_an_address_takes_an_unproved_account(app: TestApp = oauth) {
        let world = World::new(&app).await;
        // Somebody registers another's address, lets a login of theirs wait, and links one to it.
        let squatter = register(&app, ANN).await;
        let token = app.user(text(&squatter, "user_token"));
        let waiting = crate::oauth::identities::start_link(&world, &token, "wechat").await;
        let linked = crate::oauth::identities::start_link(&world, &token, "github").await;
        world.says("github", json!({"id": 66, "login": "squatter"}));
        world.back(&linked, crate::oauth::world::HERE).await;

        let result = world.sign_in("google", google("1", true)).await;
        assert_eq!(result["user_id"], squatter["user_id"]);
        assert_eq!(world.profile(&result).await["email_verified"], true);
        // Nothing of the squatter's works any more.
        token.get("/v1/accounts/me").await.expect_error(401, "token_revoked");
        login(&app, ANN, PASSWORD).await.expect_error(401, "invalid_login");
        crate::oauth::world::failed(&world.back(&waiting, crate::oauth::world::HERE).await, 400, "expired");
        let other = world.sign_in("github", json!({"id": 66, "login": "squatter"})).await;
        assert_ne!(other["user_id"], result["user_id"]);
        let ways = app.user(text(&result, "user_token")).get("/v1/accounts/identities").await;
        let ways = ways.expect(200);
        assert_eq!(ways["items"].as_array().unwrap().len(), 1, "{ways}");
        assert_eq!(ways["items"][0]["provider"], "google");
    }

    async fn a_new_address_is_a_new_account(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let verified = world.sign_in("google", google("1", true)).await;
        let profile = world.profile(&verified).await;
        assert_eq!((&profile["email"], &profile["email_verified"]), (&json!(ANN), &json!(true)));
        // The same person again is the same account, whatever has become of the address.
        let mut renamed = google("1", false);
        renamed["email"] = json!("other@example.com");
        renamed["name"] = json!("Somebody Else");
        let again = world.sign_in("google", renamed).await;
        assert_eq!(again["user_id"], verified["user_id"]);
        let profile = world.profile(&again).await;
        assert_eq!((&profile["email"], &profile["display_name"]), (&json!(ANN), &json!("G Ann")));
        // An account that GitHub has verified joins it; one that it has not does not.
        world.refused("github", github(2, false), 400, "exists already").await;
        assert_eq!(world.sign_in("github", github(2, true)).await["user_id"], again["user_id"]);
    }

    async fn placeholders_are_addresses_of_nobody(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let first = world.sign_in("github", json!({"id": 7, "login": "a"})).await;
        let profile = world.profile(&first).await;
        assert_eq!(profile["email"], "github_7@github.user");
        assert_eq!(profile["email_verified"], false);
        // A provider that claims to have verified one is not believed.
        let claim = json!({"sub": "8", "email": "github_7@github.user", "email_verified": true});
        let other = world.sign_in("google", claim).await;
        assert_ne!(other["user_id"], first["user_id"]);
        assert_eq!(world.profile(&other).await["email"], "google_8@google.user");
    }

    async fn only_what_is_empty_is_filled(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let person = |name: &str, picture: &str| json!({"sub": "1", "name": name, "picture": picture});
        let result = world.sign_in("google", person("Ann", "")).await;
        assert_eq!(world.profile(&result).await["avatar_url"], "");
        let result = world.sign_in("google", person("Bob", "https://x.test/1.png")).await;
        let profile = world.profile(&result).await;
        assert_eq!(profile["display_name"], "Ann");
        assert_eq!(profile["avatar_url"], "https://x.test/1.png");
        let result = world.sign_in("google", person("Eve", "https://x.test/2.png")).await;
        assert_eq!(world.profile(&result).await["avatar_url"], "https://x.test/1.png");
    }

    async fn wechat_keeps_a_person_through_a_new_name(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let first = world.sign_in("wechat", json!({"openid": "oA"})).await;
        assert_eq!(world.profile(&first).await["email"], "wechat_oA@wechat.user");
        for address in ["wechat_oA@wechat.user", "%20wechat_oA@wechat.user", "a%00"] {
            let found = app.admin().get(&format!("/v1/accounts/users?email={address}")).await.expect(200);
            let ids: Vec<_> = found["items"].as_array().unwrap().iter().map(|user| &user["user_id"]).collect();
            assert_eq!(ids, if address == "a%00" { vec![] } else { vec![&first["user_id"]] });
        }
        // Bound, unbound, bound to another owner, and moved to another app: always the same person.
        for person in [
            json!({"openid": "oA", "unionid": "uA"}),
            json!({"openid": "oA"}),
            json!({"openid": "oB", "unionid": "uA"}),
            json!({"openid": "oB", "unionid": "uB"}),
            json!({"openid": "oB"}),
        ] {
            let again = world.sign_in("wechat", person.clone()).await;
            assert_eq!(again["user_id"], first["user_id"], "{person}");
        }
        let other = world.sign_in("wechat", json!({"openid": "oC", "unionid": "uC"})).await;
        assert_ne!(other["user_id"], first["user_id"]);
    }

    async fn a_person_of_one_provider_is_nobody_at_another(app: TestApp = oauth) {
        let world = World::new(&app).await;
        let first = world.sign_in("github", json!({"id": 1, "login": "a"})).await;
        let second = world.sign_in("google", json!({"sub": "1"})).await;
        let third = world.sign_in("wechat", json!({"openid": "1"})).await;
        assert!(first["user_id"] != second["user_id"] && second["user_id"] != third["user_id"]);
    }

    async fn where_addresses_are_verified_no_other_is_taken(app: TestApp = oauth_verified) {
        let world = World::new(&app).await;
        let claimed = world.sign_in("google", google("1", false)).await;
        let profile = world.profile(&claimed).await;
        assert_eq!(profile["email"], "google_1@google.user");
        // So the owner of the address is not kept from it.
        let owner = world.sign_in("github", github(2, true)).await;
        assert_ne!(owner["user_id"], claimed["user_id"]);
        let profile = world.profile(&owner).await;
        assert_eq!((&profile["email"], &profile["email_verified"]), (&json!(ANN), &json!(true)));
        let again = world.sign_in("google", google("1", false)).await;
        assert_eq!(again["user_id"], claimed["user_id"]);
    }
}
