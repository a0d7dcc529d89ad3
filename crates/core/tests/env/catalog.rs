//! The env catalog.

use std::sync::Arc;

use downcity_core::{Service, ServiceDef};
use downcity_testkit::{TestApp, TestAppBuilder, both_engines};
use downcity_types::EnvRequirement;
use serde_json::{Value, json};

use crate::common::{refresh, upsert, write_by_hand};

struct Needy;

impl Service for Needy {
    fn id(&self) -> &'static str {
        "needy"
    }

    fn name(&self) -> &'static str {
        "Needy"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        service.env("NEEDY_KEY", "Opens the door.", true);
        service.env("NEEDY_HINT", "Helps a little.", false);
        service.env_scope("ai-models", "AI Models", || {
            vec![EnvRequirement {
                key: "MODEL_KEY".to_owned(),
                description: "A key - used by A,B".to_owned(),
                required: true,
            }]
        });
        service.env_scope("nothing", "Nothing", Vec::new);
    }
}

/// Registered before a service with keys, to prove that computed scopes come last.
struct Plain;

impl Service for Plain {
    fn id(&self) -> &'static str {
        "plain"
    }

    fn name(&self) -> &'static str {
        "Plain"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        service.env("PLAIN_KEY", "For nothing.", false);
    }
}

fn with_services(app: TestAppBuilder) -> TestAppBuilder {
    app.service(Needy).service(Plain)
}

async fn catalog(app: &TestApp) -> Vec<Value> {
    let catalog = app.admin().get("/v1/env/catalog").await.expect(200);
    catalog["items"].as_array().unwrap().clone()
}

/// The entry of one key.
async fn entry(app: &TestApp, key: &str) -> Value {
    let scopes = catalog(app).await;
    let mut entries = scopes.iter().flat_map(|scope| scope["env"].as_array().unwrap());
    entries.find(|entry| entry["key"] == key).unwrap().clone()
}

both_engines! {
    async fn one_scope_per_service_with_keys_and_then_the_computed_ones(
        app: TestApp = with_services
    ) {
        let scopes = catalog(&app).await;
        let names: Vec<_> =
            scopes.iter().map(|scope| (scope["id"].as_str(), scope["name"].as_str())).collect();
        let expected =
            [("needy", "Needy"), ("plain", "Plain"), ("ai-models", "AI Models")];
        assert_eq!(names, expected.map(|(id, name)| (Some(id), Some(name))));
        let keys = json!([
            {"key": "NEEDY_KEY", "description": "Opens the door.", "required": true, "configured": false},
            {"key": "NEEDY_HINT", "description": "Helps a little.", "required": false, "configured": false},
        ]);
        assert_eq!(scopes[0]["env"], keys, "no value_preview without a value");
    }

    async fn a_preview_shows_at_most_four_characters(app: TestApp = with_services) {
        for (value, preview) in [
            ("", None),
            ("short", Some("********")),
            ("elevenchars", Some("********")),
            ("twelve_chars", Some("********hars")),
            ("sk-a-long-secret-of-a-provider", Some("********ider")),
        ] {
            upsert(&app, "MODEL_KEY", value).await;
            let entry = entry(&app, "MODEL_KEY").await;
            assert_eq!(entry["configured"], preview.is_some());
            assert_eq!(entry.get("value_preview").and_then(Value::as_str), preview);
        }
    }

    async fn a_row_written_by_hand_is_configured_after_a_refresh(app: TestApp = with_services) {
        write_by_hand(&app, "NEEDY_KEY", "a value by hand").await;
        assert_eq!(entry(&app, "NEEDY_KEY").await["configured"], false);
        refresh(&app).await;
        assert_eq!(entry(&app, "NEEDY_KEY").await["configured"], true);
    }
}
