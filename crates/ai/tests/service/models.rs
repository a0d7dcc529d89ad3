//! `GET /v1/ai/models`

use downcity_testkit::{TestAppBuilder, both_engines};
use serde_json::{Value, json};

use crate::common::{ai, config, fixture, read, set_env, with};

fn with_models(builder: TestAppBuilder) -> TestAppBuilder {
    builder.builtin(ai(read(config("http://127.0.0.1:1/v1"))).unwrap())
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect()
}

both_engines! {
    async fn the_list_follows_the_env(app: TestApp = with_models) {
        app.create_city("city_a").await;
        let user = app.user(&app.token("city_a", "u").await);
        let list = || async { user.get("/v1/ai/models").await.expect(200) };
        assert_eq!(ids(&list().await["items"]), [] as [&str; 0]);
        set_env(&app, "MOCK_API_KEY", "x").await;
        assert_eq!(ids(&list().await["items"]), ["chat", "down"], "the default model is first");
        set_env(&app, "UNSET_API_KEY", "x").await;
        assert_eq!(ids(&list().await["items"]), ["chat", "keyless", "down"]);
        set_env(&app, "MOCK_API_KEY", "").await;
        assert_eq!(ids(&list().await["items"]), ["keyless"], "a blank key is none");
    }
}

#[tokio::test]
async fn guests_are_refused() {
    let fixture = fixture().await;
    fixture.app.guest().get("/v1/ai/models").await.expect_error(401, "missing_credential");
}

#[tokio::test]
async fn users_and_the_admin_have_their_views() {
    let fixture = with(|config| {
        config["model"] = json!([
            {
                "id": "a", "name": "A", "provider": "mock", "description": "d", "tags": ["t"],
                "meta": {"upstream_model": "secret-name", "family": "f"},
                "default": ["stream"], "modes": ["text", "stream"],
            },
            {"id": "h", "name": "H", "provider": "mock", "hidden": true},
        ]);
    })
    .await;
    let user = fixture.user.get("/v1/ai/models").await.expect(200);
    assert_eq!(
        user,
        json!({
            "object": "list",
            "items": [{
                "id": "a", "name": "A", "description": "d", "modalities": ["text", "stream"],
                "tags": ["t"], "meta": {"family": "f"},
            }],
            "data": [{"id": "a", "object": "model", "created": 0, "owned_by": "downcity"}],
        })
    );
    let admin = fixture.app.admin().get("/v1/ai/models").await.expect(200);
    assert_eq!(ids(&admin["items"]), ["a", "h"]);
    let model = &admin["items"][0];
    assert_eq!(model["meta"], json!({"upstream_model": "secret-name", "family": "f"}));
    assert_eq!(model["default_modes"], json!(["stream"]));
    assert_eq!(
        model["env_requirements"],
        json!([{"key": "MOCK_API_KEY", "description": "mock API Key", "required": true}])
    );
}

#[tokio::test]
async fn the_env_catalog_has_a_scope_for_models() {
    let fixture = fixture().await;
    let catalog = fixture.app.admin().get("/v1/env/catalog").await.expect(200);
    let scope = catalog["items"].as_array().unwrap().last().unwrap();
    assert_eq!((&scope["id"], &scope["name"]), (&json!("ai-models"), &json!("AI Models")));
    let described: Vec<&str> = scope["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|env| env["description"].as_str().unwrap())
        .collect();
    assert_eq!(
        described,
        ["keyless API Key - used by Keyless", "down API Key - used by Down, Chat"]
    );
}
