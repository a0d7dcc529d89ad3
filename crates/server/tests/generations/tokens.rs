//! Tokens of every generation, and the first tenants of their servers.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::world::{ADMIN, SIGNING, World, on_both};

/// A token as earlier servers have signed it.
fn signed(payload: &Value) -> String {
    let payload = URL_SAFE_NO_PAD.encode(payload.to_string());
    let mut mac = Hmac::<Sha256>::new_from_slice(SIGNING.as_bytes()).unwrap();
    mac.update(payload.as_bytes());
    format!("ub_{payload}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn token(field: &str, id: &str, iat: i64) -> String {
    signed(
        &json!({"aud": "downcity:user", field: id, "user_id": "user_1", "metadata": {}, "iat": iat}),
    )
}

on_both! {
    async fn tokens_with_each_name_verify(world: World) {
        world.create("prod_1").await;
        for name in ["city_id", "town_id", "bay_id", "studio_id", "product_id"] {
            let token = token(name, "prod_1", 1_700_000_000);
            world.post(&token, "/v1/ai/text", json!({"prompt": "Hi"})).await.expect(200);
            let parts: Vec<&str> = token.split('.').collect();
            let three = format!("{}.{}.{}", parts[0], parts[1], parts[1]);
            world.post(&three, "/v1/ai/text", json!({"prompt": "Hi"})).await
                .expect_error(401, "invalid_credential");
        }
        let two = signed(&json!({"aud": "downcity:user", "city_id": "prod_1", "studio_id": "city_downcity",
            "user_id": "u", "metadata": {}, "iat": 1_700_000_000}));
        world.post(&two, "/v1/ai/text", json!({"prompt": "Hi"})).await
            .expect_error(401, "invalid_credential");
    }

    async fn a_tenant_made_again_takes_no_earlier_token(world: World) {
        let create = json!({"name": "P", "product_id": "prod_1"});
        world.post(ADMIN, "/api/admin/products/create", create.clone()).await.expect(200);
        let before = world.token("prod_1").await;
        let oldest = token("product_id", "prod_1", 1_700_000_000);
        let remove = json!({"product_id": "prod_1"});
        world.post(ADMIN, "/api/admin/products/remove", remove).await.expect(200);
        world.post(ADMIN, "/api/admin/products/create", create).await.expect(200);
        for dead in [&before, &oldest] {
            world.post(dead, "/v1/ai/text", json!({"prompt": "Hi"})).await
                .expect_error(401, "token_revoked");
        }
        let after = world.token("prod_1").await;
        world.post(&after, "/v1/ai/text", json!({"prompt": "Hi"})).await.expect(200);
    }

    async fn the_first_tenants_of_all_generations_are_one(world: World) {
        for (field, id) in [
            ("studio_id", "studio_downcity"),
            ("product_id", "prod_downcity"),
            ("town_id", "town_downcity"),
            ("bay_id", "bay_downcity"),
        ] {
            let token = token(field, id, 1_700_000_000);
            for (field, id) in [(field, id), ("city_id", id), ("city_id", "city_downcity")] {
                let input = json!({"prompt": "Hi", field: id});
                world.post(&token, "/v1/ai/text", input).await.expect(200);
                let me = format!("/v1/usage/me?{field}={id}");
                world.get(&token, &me).await.expect(200);
            }
            let verify = json!({"user_token": token, "city_id": id});
            let status = world.post(ADMIN, "/v1/cities/tokens/verify", verify).await.expect(200);
            assert_eq!((&status["active"], &status["city_id"]), (&json!(true), &json!("city_downcity")));
            let apply = json!({field: id, "user_id": "u"});
            let issued = world.post(ADMIN, "/v1/cities/tokens/apply", apply).await.expect(200);
            assert_eq!(issued["city_id"], "city_downcity");
            let unknown = json!({field: format!("{id}_2"), "user_id": "u"});
            world.post(ADMIN, "/v1/cities/tokens/apply", unknown).await.expect(404);
        }
        let old = token("studio_id", "studio_downcity", 1_700_000_000);
        let revoke = json!({"user_token": old});
        world.post(ADMIN, "/v1/cities/tokens/revoke", revoke).await.expect(200);
        world.post(&old, "/v1/ai/text", json!({"prompt": "Hi"})).await.expect_error(401, "token_revoked");
        let revoke = json!({"city_id": "city_downcity", "user_id": "user_1"});
        world.post(ADMIN, "/v1/cities/tokens/revoke", revoke).await.expect(200);
        let old = token("product_id", "prod_downcity", 1_700_000_000);
        world.post(&old, "/v1/ai/text", json!({"prompt": "Hi"})).await.expect_error(401, "token_revoked");
    }

    async fn a_tenant_of_that_very_id_is_itself(world: World) {
        let create = json!({"name": "S", "studio_id": "studio_downcity"});
        let made = world.post(ADMIN, "/v1/studios/create", create).await.expect(200);
        assert_eq!(made["studio_id"], "studio_downcity");
        let apply = json!({"studio_id": "studio_downcity", "user_id": "u"});
        let issued = world.post(ADMIN, "/v1/studios/tokens/apply", apply).await.expect(200);
        assert_eq!(issued["studio_id"], "studio_downcity");
        let token = issued["user_token"].as_str().unwrap();
        let other = json!({"prompt": "Hi", "city_id": "city_downcity"});
        world.post(token, "/v1/ai/text", other).await.expect_error(403, "city_mismatch");
        // Once it is gone, what was issued for it does not become a token of the first city.
        let remove = json!({"studio_id": "studio_downcity"});
        world.post(ADMIN, "/v1/studios/remove", remove).await.expect(200);
        world.post(token, "/v1/ai/text", json!({"prompt": "Hi"})).await.expect_error(401, "token_revoked");
    }
}
