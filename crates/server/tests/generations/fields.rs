//! The tenant field under all of its names, on the way in and out.

use serde_json::{Value, json};

use crate::world::{ADMIN, STREAMED, World, on_both};

const NAMES: [&str; 5] = ["city_id", "studio_id", "product_id", "town_id", "bay_id"];

on_both! {
    async fn every_name_is_compared_with_the_token(world: World) {
        world.create("a").await;
        world.create("b").await;
        let token = world.token("a").await;
        for name in NAMES {
            let own = json!({"prompt": "Hi", name: "a"});
            world.post(&token, "/v1/ai/text", own.clone()).await.expect(200);
            let other = json!({"prompt": "Hi", name: "b"});
            let refused = world.post(&token, "/v1/ai/text", other.clone()).await;
            let said = match name {
                "studio_id" => "studio_id is not the studio of this user_token.",
                "product_id" => "product_id is not the product of this user_token.",
                _ => "city_id is not the city of this user_token.",
            };
            let code = if said.starts_with("city") { "city_mismatch" } else { "tenant_mismatch" };
            assert_eq!(refused.expect_error(403, code), said);
            // The same in a query, and through OpenAI's route, whose errors are objects.
            world.get(&token, &format!("/v1/usage/me?{name}=a")).await.expect(200);
            world.get(&token, &format!("/v1/usage/me?{name}=b")).await.expect_error(403, code);
            let chat = json!({"messages": [{"role": "user", "content": "Hi"}], name: "b"});
            let refused = world.post(&token, "/v1/ai/chat/completions", chat).await.expect(403);
            assert_eq!(refused["error"]["code"], code, "{refused}");
            assert_eq!(refused["error"]["message"], said);
            for other in NAMES.into_iter().filter(|other| *other != name) {
                let both = json!({"prompt": "Hi", name: "a", other: "b"});
                world.post(&token, "/v1/ai/text", both).await.expect_error(400, "conflicting_fields");
                let both = format!("/v1/usage/me?{name}=a&{other}=b");
                world.get(&token, &both).await.expect_error(400, "conflicting_fields");
                let same = json!({"prompt": "Hi", name: "a", other: " a "});
                world.post(&token, "/v1/ai/text", same).await.expect(200);
                let blank = json!({"prompt": "Hi", name: "a", other: ""});
                world.post(&token, "/v1/ai/text", blank).await.expect(200);
            }
        }
        // Written in escapes, a name is the same name.
        let sneaky = r#"{"prompt":"Hi","studio\u005fid":"b"}"#;
        let request = http::Request::post("/v1/ai/text")
            .header("authorization", format!("Bearer {token}"))
            .body(sneaky.to_owned().into())
            .unwrap();
        assert_eq!(world.federation.handle(request).await.status(), 403);
    }

    async fn no_name_reaches_a_provider_of_ai(world: World) {
        world.create("a").await;
        let token = world.token("a").await;
        for name in NAMES {
            let chat = format!(
                r#"{{"messages":[{{"role":"user","content":"studio_id"}}],"{name}":"a","seed":10000000000000000001}}"#
            );
            let request = http::Request::post("/v1/ai/chat/completions")
                .header("authorization", format!("Bearer {token}"))
                .body(chat.into())
                .unwrap();
            assert_eq!(world.federation.handle(request).await.status(), 200, "{name}");
            let requests = world.models.requests();
            let sent = str::from_utf8(&requests.last().unwrap().body).unwrap();
            assert!(!sent.contains(&format!("\"{name}\":")), "{sent}");
            assert!(sent.contains(r#""seed":10000000000000000001"#), "{sent}");
        }
        assert_eq!(world.models.requests().len(), NAMES.len());
    }

    async fn answers_say_the_name_of_the_dialect_alone(world: World) {
        world.create("a").await;
        let token = world.token("a").await;
        world.post(&token, "/v1/ai/text", json!({"prompt": "Hi"})).await.expect(200);
        for (dialect, field) in
            [("", "city_id"), ("city", "city_id"), ("gate", "studio_id"), ("VisibleBase", "product_id")]
        {
            let answer = world.call(&token, dialect, "GET /v1/shop/orders", &Value::Null).await.expect(200);
            assert_eq!(answer[field], "of the answer", "{dialect}: {answer}");
            let item = json!({field: "of an item", "nested": {"city_id": "deep"}});
            assert_eq!(answer["items"], json!([item]));
        }
        // A mounted path says the same as the header, and wins over it.
        for (path, field) in [
            ("/compat/gate/v1/shop/orders?x=1", "studio_id"),
            ("/compat/visiblebase/v1/shop/orders?x=1", "product_id"),
        ] {
            for header in ["", "city", "gate", "no dialect"] {
                let route = format!("GET {path}");
                let answer = world.call(&token, header, &route, &Value::Null).await.expect(200);
                assert_eq!(answer[field], "of the answer", "{answer}");
                assert_eq!(answer["seen"], json!({"x": "1"}));
            }
        }
        // Where nothing states a dialect, the input has said a name.
        let answer = world.get(ADMIN, "/v1/usage/events?product_id=a").await.expect(200);
        assert!(answer["items"].is_array());
        world.call(ADMIN, "french", "GET /v1/cities/list", &Value::Null).await
            .expect_error(400, "invalid_input");
        world.get(ADMIN, "/compat/french/v1/cities/list").await.expect_error(404, "not_found");
    }

    async fn streams_stay_as_they_are(world: World) {
        let answer = world.get(ADMIN, "/compat/gate/v1/shop/watch").await;
        assert_eq!((answer.status, answer.text.as_str()), (200, STREAMED));
    }

    async fn a_family_of_routes_keeps_its_words_under_any_dialect(world: World) {
        for (path, field) in [
            ("/v1/cities/list", "city_id"),
            ("/v1/studios/list", "studio_id"),
            ("/v1/products/list", "product_id"),
            ("/api/admin/products", "product_id"),
        ] {
            for dialect in ["", "city", "gate", "visiblebase"] {
                let route = format!("GET {path}");
                let list = world.call(ADMIN, dialect, &route, &Value::Null).await.expect(200);
                assert_eq!(list["items"][0][field], "city_downcity", "{dialect} {path}: {list}");
            }
            let list = world.get(ADMIN, &format!("/compat/gate{path}")).await.expect(200);
            assert_eq!(list["items"][0][field], "city_downcity", "{list}");
        }
    }

    async fn a_products_own_fields_are_its_own_but_for_older_clients(world: World) {
        world.create("a").await;
        let token = world.token("a").await;
        let order = json!({"product_id": "apple", "studio_id": "b", "count": 1.5});
        let answer = world.post(&token, "/v1/shop/order", order.clone()).await.expect(200);
        assert_eq!((&answer["seen"], &answer["city_id"]), (&order, &json!("of the answer")));
        for dialect in ["gate", "visiblebase"] {
            let route = "POST /v1/shop/order";
            let refused = world.call(&token, dialect, route, &order).await;
            refused.expect_error(400, "conflicting_fields");
            let other = json!({"product_id": "apple"});
            world.call(&token, dialect, route, &other).await.expect_error(403, "tenant_mismatch");
            let own = json!({"n": 1, "product_id": "a"});
            let seen = world.call(&token, dialect, route, &own).await.expect(200);
            assert_eq!(seen["seen"], json!({"city_id": "a", "n": 1}));
            assert_eq!(seen["dialect"], dialect);
        }
        world.call(&token, "city", "POST /v1/shop/order", &order).await.expect(200);
    }

    async fn people_sign_in_under_any_name(world: World) {
        for (index, name) in NAMES.into_iter().enumerate() {
            let input = json!({"email": format!("ann{index}@example.com"),
                "password": "correct horse battery", name: "city_downcity"});
            let registered = world.post("", "/v1/accounts/register", input.clone()).await.expect(200);
            assert!(registered["user_token"].is_string(), "{registered}");
            let input = json!({"email": format!("ann{index}@example.com"),
                "password": "correct horse battery", name: "nowhere"});
            let refused = world.post("", "/v1/accounts/login", input).await;
            assert_eq!(refused.status, 404, "{}", refused.text);
        }
    }
}
