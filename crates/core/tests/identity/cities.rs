//! `/v1/cities/{list,create,pause,activate,remove}`.

use std::time::Duration;

use downcity_db::sql;
use downcity_testkit::{TestApp, both_engines};
use serde_json::{Value, json};

use crate::probe::{assert_alive, assert_dead, user_call, with_probe};

async fn create(app: &TestApp, input: Value) -> downcity_testkit::TestReply {
    app.admin().post("/v1/cities/create", input).await
}

async fn on_city(app: &TestApp, action: &str, city_id: &str) -> downcity_testkit::TestReply {
    app.admin().post(&format!("/v1/cities/{action}"), json!({"city_id": city_id})).await
}

async fn ids(app: &TestApp, query: &str) -> (Vec<String>, Option<String>) {
    let list = app.admin().get(&format!("/v1/cities/list{query}")).await.expect(200);
    let ids = list["items"].as_array().unwrap().iter();
    let ids = ids.map(|city| city["city_id"].as_str().unwrap().to_owned()).collect();
    (ids, list["next_cursor"].as_str().map(str::to_owned))
}

both_engines! {
    async fn a_change_that_is_stored_but_cannot_be_shown_says_so(app: TestApp) {
        // What loading needs is gone for a while; what the change needs is not.
        app.database().execute("ALTER TABLE service_keys RENAME TO put_aside").unwrap();
        let client = app.admin().with_header("idempotency-key", "new-city");
        let input = json!({"name": "A", "city_id": "a"});
        let reply = client.post("/v1/cities/create", input.clone()).await;
        reply.expect_error(503, "commit_unknown");
        app.database().execute("ALTER TABLE put_aside RENAME TO service_keys").unwrap();
        let city = client.post("/v1/cities/create", input).await.expect(200);
        assert_eq!(city["city_id"], "a");
        let cities = app.admin().get("/v1/cities/list").await.expect(200);
        let count = cities["items"].as_array().unwrap().iter().filter(|city| city["city_id"] == "a").count();
        assert_eq!(count, 1);
        app.token("a", "u").await;
    }

    async fn a_city_is_made_with_trimmed_fields(app: TestApp) {
        let city = create(&app, json!({"name": "  Ünïcode 🏙️ ", "city_id": " my.City_1-x ", "other": 1})).await.expect(200);
        assert_eq!(city, json!({
            "city_id": "my.City_1-x",
            "name": "Ünïcode 🏙️",
            "status": "active",
            "created_at": "2026-01-02T03:04:05.678Z",
            "updated_at": "2026-01-02T03:04:05.678Z",
        }));
        assert_eq!(app.runtime().snapshot().city("my.City_1-x").unwrap().name, "Ünïcode 🏙️");
        create(&app, json!({"name": "Other", "city_id": "my.City_1-x"})).await.expect_error(409, "city_exists");
        assert_eq!(app.runtime().snapshot().city("my.City_1-x").unwrap().name, "Ünïcode 🏙️");
        create(&app, json!({"name": "y".repeat(200), "city_id": "x".repeat(128)})).await.expect(200);
    }

    async fn an_id_is_made_where_none_is_given(app: TestApp) {
        let mut seen = std::collections::HashSet::new();
        for input in [json!({"name": "A"}), json!({"name": "A", "city_id": null}), json!({"name": "A", "city_id": "  "})] {
            let city = create(&app, input).await.expect(200);
            let id = city["city_id"].as_str().unwrap().to_owned();
            let random = id.strip_prefix("city_").unwrap();
            let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            assert!(random.len() == 16 && random.chars().all(legal), "{id}");
            assert!(seen.insert(id));
        }
    }

    async fn bad_fields_of_a_new_city_are_named(app: TestApp) {
        for (input, field) in [
            (json!({}), "name"),
            (json!({"name": ""}), "name"),
            (json!({"name": " \n\t"}), "name"),
            (json!({"name": 7}), "name"),
            (json!({"name": null}), "name"),
            (json!({"name": "a\0b"}), "name"),
            (json!({"name": "y".repeat(201)}), "name"),
            (json!({"name": "A", "city_id": 7}), "city_id"),
            (json!({"name": "A", "city_id": "a b"}), "city_id"),
            (json!({"name": "A", "city_id": "a/ü"}), "city_id"),
            (json!({"name": "A", "city_id": "a\0"}), "city_id"),
            (json!({"name": "A", "city_id": "x".repeat(129)}), "city_id"),
        ] {
            let error = create(&app, input.clone()).await.expect_error(400, "invalid_input");
            assert_eq!(error["details"][0]["path"], field, "{input}");
        }
        assert_eq!(ids(&app, "").await.0, ["city_downcity"]);
    }

    async fn pausing_and_activating_are_idempotent(app: TestApp = with_probe) {
        app.create_city("a").await;
        let user = app.user(&app.token("a", "u").await);
        assert_alive(user_call(&user).await);
        app.clock().advance(Duration::from_secs(1));
        let paused = on_city(&app, "pause", " a ").await.expect(200);
        assert_eq!((&paused["status"], &paused["updated_at"]), (&json!("paused"), &json!("2026-01-02T03:04:06.678Z")));
        app.clock().advance(Duration::from_secs(1));
        assert_eq!(on_city(&app, "pause", "a").await.expect(200), paused, "nothing has changed");

        let input = json!({"city_id": "a", "user_id": "u"});
        app.admin().post("/v1/cities/tokens/apply", input.clone()).await.expect_error(403, "city_paused");
        assert_eq!(user_call(&user).await, (403, "city_paused".to_owned()));

        let active = on_city(&app, "activate", "a").await.expect(200);
        assert_eq!((&active["status"], &active["updated_at"]), (&json!("active"), &json!("2026-01-02T03:04:07.678Z")));
        assert_eq!(active["created_at"], "2026-01-02T03:04:05.678Z");
        app.admin().post("/v1/cities/tokens/apply", input).await.expect(200);
        assert_alive(user_call(&user).await);
    }

    async fn an_unknown_city_is_404_everywhere(app: TestApp) {
        for id in ["nowhere", "a\0b", "city_downcity2", &"x".repeat(10_000)] {
            for action in ["pause", "activate", "remove"] {
                on_city(&app, action, id).await.expect_error(404, "city_not_found");
            }
            let input = json!({"city_id": id, "user_id": "u"});
            for action in ["tokens/apply", "tokens/revoke"] {
                let path = format!("/v1/cities/{action}");
                app.admin().post(&path, input.clone()).await.expect_error(404, "city_not_found");
            }
        }
        for action in ["pause", "activate", "remove", "tokens/apply", "tokens/revoke"] {
            let path = format!("/v1/cities/{action}");
            for input in [json!({}), json!({"city_id": ""}), json!({"city_id": " "}), json!({"city_id": 5})] {
                let error = app.admin().post(&path, input.clone()).await.expect_error(400, "invalid_input");
                assert_eq!(error["details"][0]["path"], "city_id", "{action} {input}");
            }
        }
    }

    async fn a_removed_city_stays_removed_for_its_tokens(app: TestApp = with_probe) {
        app.create_city("a").await;
        let mut tokens = vec![app.token("a", "u").await];
        // All of it within one second, several times over.
        for round in 0..4 {
            assert_eq!(on_city(&app, "remove", "a").await.expect(200), json!({"success": true}));
            on_city(&app, "remove", "a").await.expect_error(404, "city_not_found");
            for token in &tokens {
                assert_dead(user_call(&app.user(token)).await, "invalid_credential");
            }
            app.create_city("a").await;
            for token in &tokens {
                assert_dead(user_call(&app.user(token)).await, "token_revoked");
            }
            tokens.push(app.token("a", "u").await);
            // A bound of the user's own, above the city's, must not outlive the removal either.
            if round == 2 {
                let user = json!({"city_id": "a", "user_id": "u"});
                app.admin().post("/v1/cities/tokens/revoke", user).await.expect(200);
                tokens.push(app.token("a", "u").await);
            }
            assert_alive(user_call(&app.user(tokens.last().unwrap())).await);
        }
        // As after a restart, and on another node.
        let other = with_probe(TestApp::builder(app.runtime().db().engine())).on_database_of(&app).start().await;
        let last = tokens.pop().unwrap();
        assert_alive(user_call(&other.user(&last)).await);
        for token in &tokens {
            assert_dead(user_call(&other.user(token)).await, "token_revoked");
        }
    }

    async fn the_list_is_in_order_of_creation_then_id(app: TestApp) {
        app.clock().advance(Duration::from_secs(1));
        for id in ["c", "a", "b"] {
            app.create_city(id).await;
        }
        app.clock().advance(Duration::from_secs(1));
        app.create_city("0").await;
        let all = ["city_downcity", "a", "b", "c", "0"];
        assert_eq!(ids(&app, "").await, (all.map(str::to_owned).to_vec(), None));
        for limit in 1..7 {
            let (mut seen, mut query) = (Vec::new(), format!("?limit={limit}"));
            loop {
                let (page, next) = ids(&app, &query).await;
                assert!(page.len() <= limit);
                seen.extend(page);
                let Some(next) = next else { break };
                query = format!("?limit={limit}&cursor={next}");
            }
            assert_eq!(seen, all, "{limit}");
        }
        for bad in ["0", "-1", "x", "1.5", ""] {
            assert_eq!(ids(&app, &format!("?limit={bad}")).await.0, all, "{bad}");
        }
        // The last is `[1,"\u0000"]`, which no list has given.
        for bad in ["x", "e30", "WzFd", "WyJhIiwiYiJd", "WzEsIlx1MDAwMCJd"] {
            let path = format!("/v1/cities/list?cursor={bad}");
            let error = app.admin().get(&path).await.expect_error(400, "invalid_input");
            assert_eq!(error["details"][0]["path"], "cursor", "{bad}");
        }
    }

    async fn a_list_without_limit_has_a_thousand(app: TestApp) {
        let fill = |tx: &mut downcity_db::Tx<'_>| {
            for number in 0..1_000_i64 {
                let id = format!("n{number:04}");
                tx.execute(
                    sql!(
                        "INSERT INTO cities (city_id, name, status, created_at, updated_at)
                         VALUES ($1, 'N', 'active', 0, 0)"
                    ),
                    &[&id],
                )?;
            }
            Ok(())
        };
        app.runtime().change(fill).await.unwrap();
        for query in ["", "?limit=1001", "?limit=99999999999999999999"] {
            let (first, next) = ids(&app, query).await;
            assert_eq!((first.len(), first[0].as_str(), first[999].as_str()), (1_000, "n0000", "n0999"));
            let (rest, end) = ids(&app, &format!("?cursor={}", next.unwrap())).await;
            assert_eq!((rest, end), (vec!["city_downcity".to_owned()], None));
        }
        assert_eq!(app.runtime().snapshot().city("n0500").unwrap().name, "N");
    }

    async fn only_the_admin_gets_in(app: TestApp) {
        let user = app.user(&app.token("city_downcity", "u").await);
        for action in ["create", "pause", "activate", "remove", "tokens/apply", "tokens/revoke"] {
            let path = format!("/v1/cities/{action}");
            // Refused before the input is looked at.
            app.guest().post(&path, json!({})).await.expect_error(401, "missing_credential");
            app.user("wrong").post(&path, json!({})).await.expect_error(401, "invalid_credential");
            user.post(&path, json!({})).await.expect_error(403, "forbidden");
        }
        app.guest().get("/v1/cities/list").await.expect_error(401, "missing_credential");
        user.get("/v1/cities/list").await.expect_error(403, "forbidden");
    }

    async fn a_repeated_create_makes_one_city(app: TestApp) {
        let client = app.admin().with_header("idempotency-key", "sign-up-7");
        let first = client.post("/v1/cities/create", json!({"name": "Once"})).await.expect(200);
        let again = client.post("/v1/cities/create", json!({"name": "Once"})).await.expect(200);
        assert_eq!(first, again);
        let other = client.post("/v1/cities/create", json!({"name": "Twice"})).await;
        other.expect_error(409, "idempotency_mismatch");
        let list = app.admin().get("/v1/cities/list").await.expect(200);
        let named = list["items"].as_array().unwrap().iter().filter(|city| city["name"] == "Once");
        assert_eq!(named.count(), 1);
    }

    async fn the_key_of_a_repeated_request_may_stand_in_the_body(app: TestApp) {
        let plain = app.admin();
        let create = async |client: &downcity_testkit::Client, input: Value| {
            client.post("/v1/cities/create", input).await
        };
        let keyed = json!({"idempotency_key": " order 7 ", "name": "Once"});
        let first = create(&plain, keyed.clone()).await.expect(200);
        assert_eq!(create(&plain, keyed).await.expect(200), first);

        // The same key in the header is the same request: the field is no part of the input.
        let header = app.admin().with_header("idempotency-key", "order 7");
        assert_eq!(create(&header, json!({"name": "Once"})).await.expect(200), first);
        let both = json!({"name": "Once", "idempotency_key": "order 7"});
        assert_eq!(create(&header, both).await.expect(200), first);
        let null = json!({"name": "Once", "idempotency_key": null});
        assert_eq!(create(&header, null).await.expect(200), first);

        let other = json!({"idempotency_key": "order 7", "name": "Twice"});
        create(&plain, other).await.expect_error(409, "idempotency_mismatch");
        let differs = json!({"idempotency_key": "order 8", "name": "Once"});
        create(&header, differs).await.expect_error(400, "conflicting_fields");
        for bad in [json!(""), json!(" "), json!(7), json!([]), json!("ü"), json!("x".repeat(256))] {
            let input = json!({"idempotency_key": bad, "name": "Once"});
            let error = create(&plain, input).await.expect_error(400, "invalid_input");
            assert_eq!(error["details"][0]["path"], "idempotency_key", "{bad}");
        }
        let (ids, _) = ids(&app, "").await;
        assert_eq!(ids.iter().filter(|id| first["city_id"] == **id).count(), 1);
    }

    async fn a_text_that_cannot_be_stored_is_refused(app: TestApp) {
        let reply = app.admin().post("/v1/cities/create", json!({"name": "a\u{0}b"})).await;
        reply.expect_error(400, "invalid_input");
    }
}
