//! The fixed routes.

use downcity_testkit::{TestAppBuilder, both_engines};
use http::Method;
use serde_json::{Value, json};

use crate::demo::Demo;

fn demo(builder: TestAppBuilder) -> TestAppBuilder {
    builder.service(Demo).settings(|settings| settings.version = "1.2.3")
}

fn discreet(builder: TestAppBuilder) -> TestAppBuilder {
    builder.service(Demo).settings(|settings| settings.public_env_keys = false)
}

fn env_of_demo(services: &Value) -> &Value {
    &services["items"].as_array().unwrap().last().unwrap()["env"]
}

both_engines! {
    async fn health_lists_the_services_in_order(app: TestApp = demo) {
        let reply = app.guest().get("/health").await;
        let visible = app.runtime().registry().services().iter().filter(|entry| !entry.is_hidden());
        let visible: Vec<(&str, &str)> = visible.map(|entry| (entry.id(), entry.name())).collect();
        assert_eq!(visible[..2], [("env", "Env"), ("cities", "Cities")]);
        let ids: Vec<String> = visible.iter().map(|(id, _)| format!(r#""{id}""#)).collect();
        let named = visible.iter().map(|(id, name)| format!(r#"{{"id":"{id}","name":"{name}"}}"#));
        let expected = format!(
            r#"{{"ok":true,"name":"downcity","checked_at":"2026-01-02T03:04:05.678Z","services":[{}],"service_list":[{}],"version":"1.2.3"}}"#,
            ids.join(","),
            named.collect::<Vec<_>>().join(",")
        );
        assert_eq!(reply.text(), expected);
        reply.expect(200);
        let head = app.guest().send(Method::HEAD, "/health", "".into()).await;
        assert_eq!(head.status, 200);
    }

    async fn probes_answer_while_the_node_is_well(app: TestApp) {
        assert_eq!(app.guest().get("/livez").await.expect(200), json!({"ok": true}));
        assert_eq!(app.guest().get("/readyz").await.expect(200), json!({"ok": true}));
    }

    async fn a_node_without_database_is_alive_but_not_ready(app: TestApp) {
        app.runtime().db().close().await;
        app.guest().get("/livez").await.expect(200);
        let problems = app.guest().get("/readyz").await.expect_error(503, "unavailable");
        assert_eq!(problems["details"], json!([{"path": "database", "message": "unreachable since 2026-01-02T03:04:05.678Z"}]));
    }

    async fn a_stopping_node_is_not_ready(app: TestApp) {
        app.stop().await;
        let problems = app.guest().get("/readyz").await.expect_error(503, "shutting_down");
        assert_eq!(problems["details"][0], json!({"path": "server", "message": "is stopping"}));
    }

    async fn the_root_says_where_to_look(app: TestApp = demo) {
        let reply = app.guest().get("/").await;
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
        assert!(reply.text().starts_with("Downcity Federation 1.2.3\n"), "{}", reply.text());
        assert!(reply.text().contains("/openapi.json"));
    }

    async fn services_are_public_with_their_env_keys(app: TestApp = demo) {
        let services = app.guest().get("/v1/services").await.expect(200);
        assert_eq!(
            env_of_demo(&services)[0],
            json!({
                "key": "THINGS_KEY",
                "description": "Opens the box of things.",
                "required": true,
            })
        );
        assert_eq!(services["items"][1], json!({"id": "cities", "name": "Cities", "env": []}));
    }

    async fn env_keys_can_be_kept_from_guests(app: TestApp = discreet) {
        app.create_city("c").await;
        let user = app.user(&app.token("c", "u").await);
        let guest = app.guest().get("/v1/services").await.expect(200);
        assert_eq!(env_of_demo(&guest), &json!([]));
        let forged = app.user("ub_not.valid").get("/v1/services").await.expect(200);
        assert_eq!(env_of_demo(&forged), &json!([]));
        for known in [user, app.admin()] {
            let services = known.get("/v1/services").await.expect(200);
            assert_eq!(env_of_demo(&services).as_array().unwrap().len(), 2);
        }
    }

    async fn the_instruction_is_one_text_for_admins(app: TestApp = demo) {
        app.create_city("c").await;
        let user = app.user(&app.token("c", "u").await);
        let path = "/v1/base/instruction";
        app.guest().get(path).await.expect_error(401, "missing_credential");
        user.get(path).await.expect_error(403, "forbidden");
        let reply = app.admin().get(path).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
        let text = reply.text();
        assert!(text.starts_with("# Downcity Federation Instruction\n"), "{text}");
        assert!(text.contains("\n- POST /v1/demo.things/create | auth: admin | Make a thing.\n"));
    }

    async fn the_openapi_document_is_public(app: TestApp = demo) {
        let reply = app.guest().get("/openapi.json").await;
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.expect(200)["openapi"], "3.1.0");
        assert_eq!(app.admin().get("/openapi.json").await.body, reply.body);
    }
}
