//! The services list and the instruction document.

use std::sync::Arc;

use downcity_core::{Registry, Settings, views};

use crate::demo::Demo;

fn registry() -> Registry {
    Registry::builder().service(Arc::new(Demo)).build().unwrap()
}

fn settings() -> Settings {
    Settings {
        version: "1.2.3",
        public_url: Some("https://fed.example.com".to_owned()),
        ..Settings::default()
    }
}

#[test]
fn services_are_listed_in_order_without_hidden_ones() {
    let list = views::services(&registry(), true);
    let ids: Vec<&str> = list.items.iter().map(|service| service.id.as_str()).collect();
    assert_eq!((&ids[..2], ids.last()), (&["env", "cities"][..], Some(&"demo.things")));
    assert!(!ids.contains(&"system"));
    let demo = list.items.last().unwrap();
    assert_eq!(demo.name, "Things");
    let keys: Vec<(&str, bool)> =
        demo.env.iter().map(|need| (need.key.as_str(), need.required)).collect();
    assert_eq!(keys, [("THINGS_KEY", true), ("THINGS_COLOUR", false)]);
}

#[test]
fn env_keys_can_be_left_out() {
    let list = views::services(&registry(), false);
    assert_eq!(list.items.len(), views::services(&registry(), true).items.len());
    assert!(list.items.iter().all(|service| service.env.is_empty()));
    assert!(serde_json::to_string(&list).unwrap().contains(r#""env":[]"#));
}

#[test]
fn the_instruction_of_a_service_names_every_route_and_key() {
    let text = views::instruction(&registry(), &settings());
    let start = text.find("## Things (demo.things)").unwrap();
    insta::assert_snapshot!("instruction_of_a_service", &text[start..]);
}

#[test]
fn the_documents_of_a_kernel_alone() {
    let registry = Registry::builder().build().unwrap();
    let settings = Settings { version: "1.2.3", ..Settings::default() };
    insta::assert_snapshot!("kernel_instruction", views::instruction(&registry, &settings));
    insta::assert_json_snapshot!("kernel_services", views::services(&registry, true));
}

#[test]
fn the_instruction_begins_with_how_to_use_the_federation() {
    let text = views::instruction(&registry(), &settings());
    let end = text.find("\n## Env (env)").unwrap();
    insta::assert_snapshot!("instruction_of_a_federation", &text[..end]);
}

#[test]
fn the_instruction_holds_every_action_and_key_of_the_registry() {
    let registry = registry();
    let text = views::instruction(&registry, &settings());
    for action in registry.actions() {
        let method = action.method().map_or("ANY", http::Method::as_str);
        let line = format!(
            "\n- {method} {} | auth: {} | {}\n",
            action.path(),
            action.access().names().join(" | "),
            action.summary()
        );
        assert!(text.contains(&line), "{line}");
    }
    for service in registry.services() {
        assert!(text.contains(&format!("\n## {} ({})\n", service.name(), service.id())));
        for need in service.env() {
            assert!(text.contains(&format!("\n{} | ", need.key)), "{}", need.key);
        }
    }
}
