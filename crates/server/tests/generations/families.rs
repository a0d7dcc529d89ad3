//! One tenant through the routes of every generation.

use serde_json::{Value, json};

use crate::world::{ADMIN, World, on_both};

/// The routes of a generation.
struct Family {
    list: &'static str,
    base: &'static str,
    apply: &'static str,
    field: &'static str,
    prefix: &'static str,
    noun: &'static str,
    /// What the codes of its errors begin with.
    codes: &'static str,
}

const FAMILIES: [Family; 4] = [
    Family {
        list: "/v1/cities/list",
        base: "/v1/cities",
        apply: "/v1/cities/tokens/apply",
        field: "city_id",
        prefix: "city_",
        noun: "city",
        codes: "city",
    },
    Family {
        list: "/v1/studios/list",
        base: "/v1/studios",
        apply: "/v1/studios/tokens/apply",
        field: "studio_id",
        prefix: "studio_",
        noun: "studio",
        codes: "tenant",
    },
    Family {
        list: "/v1/products/list",
        base: "/v1/products",
        apply: "/v1/products/tokens/apply",
        field: "product_id",
        prefix: "prod_",
        noun: "product",
        codes: "tenant",
    },
    Family {
        list: "/api/admin/products",
        base: "/api/admin/products",
        apply: "/api/admin/tokens/apply",
        field: "product_id",
        prefix: "prod_",
        noun: "product",
        codes: "tenant",
    },
];

/// The record without its id, which has to stand under this field.
#[track_caller]
fn split(mut record: Value, field: &str) -> (String, Value) {
    let id = record.as_object_mut().unwrap().remove(field);
    let id = id.unwrap_or_else(|| panic!("no {field} in {record}"));
    for other in ["city_id", "studio_id", "product_id"] {
        assert!(record.get(other).is_none(), "{other} is in {record}");
    }
    (id.as_str().unwrap().to_owned(), record)
}

on_both! {
    async fn a_tenant_of_one_generation_is_one_of_all(world: World) {
        for maker in &FAMILIES {
            let path = format!("{}/create", maker.base);
            let made = world.post(ADMIN, &path, json!({"name": "Mine"})).await.expect(200);
            let (id, record) = split(made, maker.field);
            assert!(id.starts_with(maker.prefix) && id.len() == maker.prefix.len() + 16, "{id}");
            assert_eq!(record["name"], "Mine");
            assert_eq!(record["status"], "active");
            assert!(record["created_at"].is_string() && record["updated_at"].is_string());
            for family in &FAMILIES {
                let list = world.get(ADMIN, family.list).await.expect(200);
                let items = list["items"].as_array().unwrap().clone();
                let found = items.into_iter().map(|item| split(item, family.field));
                let found: Vec<_> = found.filter(|(own, _)| *own == id).collect();
                assert_eq!(found.len(), 1, "{list}");
                assert_eq!(found[0].1["created_at"], record["created_at"]);

                let input = json!({family.field: id});
                for (verb, status) in [("pause", "paused"), ("activate", "active")] {
                    let path = format!("{}/{verb}", family.base);
                    let changed = world.post(ADMIN, &path, input.clone()).await.expect(200);
                    let (own, changed) = split(changed, family.field);
                    assert_eq!((&own, &changed["status"]), (&id, &json!(status)));
                }
                let input = json!({family.field: id, "user_id": "u", "ttl": "7d",
                    "metadata": {"plan": "pro"}});
                let issued = world.post(ADMIN, family.apply, input).await.expect(200);
                let (own, issued) = split(issued, family.field);
                assert_eq!((&own, &issued["user_id"]), (&id, &json!("u")));
                assert!(issued["user_token"].as_str().unwrap().starts_with("ub_"));
                assert!(issued["expires_at"].is_string());
            }
            // The next family's remove, so that each removes what another has made.
            let next = FAMILIES.iter().position(|family| family.base == maker.base).unwrap() + 1;
            let remover = &FAMILIES[next % FAMILIES.len()];
            let path = format!("{}/remove", remover.base);
            let input = json!({remover.field: id});
            let removed = world.post(ADMIN, &path, input.clone()).await.expect(200);
            assert_eq!(removed, json!({"success": true}));
            let code = format!("{}_not_found", remover.codes);
            world.post(ADMIN, &path, input).await.expect_error(404, &code);
        }
    }

    async fn what_is_wrong_is_told_in_the_words_of_the_routes(world: World) {
        world.create("prod_x1").await;
        let token = world.token("prod_x1").await;
        world.post(ADMIN, "/v1/cities/pause", json!({"city_id": "prod_x1"})).await.expect(200);
        for family in &FAMILIES {
            let Family { noun, codes, field, .. } = family;
            let code = |end: &str| format!("{codes}_{end}");
            let apply = |id: &str| json!({*field: id, "user_id": "u"});

            let paused = world.post(ADMIN, family.apply, apply("prod_x1")).await;
            let sentence = paused.expect_error(403, &code("paused"));
            if *codes == "tenant" {
                assert_eq!(sentence, format!("{noun} prod_x1 is paused"));
            }
            let unknown = world.post(ADMIN, family.apply, apply("nowhere")).await;
            let sentence = unknown.expect_error(404, &code("not_found"));
            assert_eq!(sentence, format!("No {noun} has this {field}."));
            let path = format!("{}/create", family.base);
            let twice = world.post(ADMIN, &path, json!({"name": "X", *field: "prod_x1"})).await;
            twice.expect_error(409, &code("exists"));
            let path = format!("{}/pause", family.base);
            let missing = world.post(ADMIN, &path, json!({})).await;
            assert_eq!(missing.expect_error(400, "invalid_input"), format!("{field}: is required"));
            assert_eq!(missing.json()["details"][0]["path"], **field);
            world.post("", &path, json!({})).await.expect_error(401, "missing_credential");
            world.post("admin_wrong", &path, json!({})).await.expect_error(401, "invalid_credential");
            world.post(&token, &path, json!({})).await.expect(403);
        }
        // Use is refused as issue is, whatever the caller calls it.
        for (dialect, code, noun) in
            [("", "city_paused", "city"), ("gate", "tenant_paused", "studio"),
             ("visiblebase", "tenant_paused", "product")]
        {
            let used = world.call(&token, dialect, "POST /v1/ai/text", &json!({"prompt": "Hi"})).await;
            assert_eq!(used.expect_error(403, code), format!("The {noun} of this user_token is paused."));
        }
        world.post(ADMIN, "/api/admin/products/activate", json!({"product_id": "prod_x1"})).await.expect(200);
        world.post(&token, "/v1/ai/text", json!({"prompt": "Hi"})).await.expect(200);
    }

    async fn env_of_the_oldest_routes_is_the_env_of_all(world: World) {
        let upserted = json!({"key": "openai_api_key", "value": "sk-xxx", "test": false});
        let answer = world.post(ADMIN, "/api/admin/env/upsert", upserted).await.expect(200);
        assert_eq!((&answer["success"], &answer["key"]), (&json!(true), &json!("OPENAI_API_KEY")));
        let raw = json!({"raw": "A_KEY=1\nB_KEY=2\n"});
        let answer = world.post(ADMIN, "/api/admin/env/import", raw).await.expect(200);
        assert_eq!(answer["count"], 2);
        assert_eq!(
            world.get(ADMIN, "/api/admin/env").await.expect(200),
            world.get(ADMIN, "/v1/env/list").await.expect(200)
        );
        assert_eq!(
            world.get(ADMIN, "/api/admin/env/catalog").await.expect(200),
            world.get(ADMIN, "/v1/env/catalog").await.expect(200)
        );
        world.post(ADMIN, "/api/admin/env/refresh", json!({})).await.expect(200);
        world.post(ADMIN, "/api/admin/env/remove", json!({"key": "A_KEY"})).await.expect(200);
        let list = world.get(ADMIN, "/v1/env/list").await.expect(200).to_string();
        assert!(!list.contains("A_KEY") && list.contains("B_KEY"), "{list}");
    }

    async fn ids_are_opaque_and_the_given_ones_checked(world: World) {
        for (base, field) in [("/v1/studios", "studio_id"), ("/api/admin/products", "product_id")] {
            let path = format!("{base}/create");
            for good in ["abc", "a.b-c_1", &"x".repeat(128)] {
                let id = format!("{}{good}", &field[..1]);
                let id = &id[..id.len().min(128)];
                let made = world.post(ADMIN, &path, json!({"name": "N", field: id})).await.expect(200);
                assert_eq!(made[field], id);
            }
            for bad in ["a b", "a/b", &"x".repeat(129), "städte"] {
                let answer = world.post(ADMIN, &path, json!({"name": "N", field: bad})).await;
                answer.expect_error(400, "invalid_input");
                assert_eq!(answer.json()["details"][0]["path"], field);
            }
        }
        // Equal but for their prefix, they are two.
        world.create("city_abc").await;
        world.create("studio_abc").await;
        let remove = json!({"studio_id": "studio_abc"});
        world.post(ADMIN, "/v1/studios/remove", remove).await.expect(200);
        assert!(world.get(ADMIN, "/v1/cities/list").await.text.contains("\"city_abc\""));
    }

    async fn a_repeated_create_is_answered_once_whatever_its_route(world: World) {
        let input = json!({"name": "Once", "idempotency_key": "create-1"});
        let first = world.post(ADMIN, "/v1/studios/create", input.clone()).await.expect(200);
        let again = world.post(ADMIN, "/v1/products/create", input).await.expect(200);
        assert_eq!(first["studio_id"], again["product_id"]);
    }
}
