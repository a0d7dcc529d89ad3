//! What is wrong with a configuration is named by its path.

use downcity_ai::{AiConfig, Mode};
use serde_json::{Value, json};

fn problems(config: Value) -> Vec<String> {
    let config: AiConfig = serde_json::from_value(config).unwrap();
    config.validate().iter().map(|problem| problem.to_string()).collect()
}

#[test]
fn nothing_at_all_is_a_good_configuration() {
    assert_eq!(problems(json!({})), [] as [&str; 0]);
    assert_eq!(serde_json::from_value::<AiConfig>(json!({})).unwrap(), AiConfig::default());
}

#[test]
fn unknown_keys_and_values_are_errors() {
    for config in [
        json!({"keepalive": 1}),
        json!({"provider": [{"id": "a", "base_uri": "x"}]}),
        json!({"provider": [{"id": "a", "protocol": "telepathy"}]}),
        json!({"model": [{"id": "a", "name": "A", "provider": "echo", "modes": ["smell"]}]}),
        json!({"model": [{"id": "a", "name": "A", "provider": "echo", "price": {"per_request": 0.5}}]}),
        json!({"on_disconnect": "wait"}),
    ] {
        assert!(serde_json::from_value::<AiConfig>(config.clone()).is_err(), "{config}");
    }
}

#[test]
fn every_fault_has_its_path() {
    let provider = |more: Value| {
        let mut provider = json!({"id": "p", "base_url": "https://example.com/v1"});
        provider.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"provider": [provider]})
    };
    let model = |more: Value| {
        let mut model = json!({"id": "m", "name": "M", "provider": "echo"});
        model.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"model": [model]})
    };
    for (config, expected) in [
        (json!({"keep_alive_ms": 0}), "ai.keep_alive_ms: must be 1 to 3600000 milliseconds"),
        (
            json!({"timeouts": {"total_ms": 3_600_001}}),
            "ai.timeouts.total_ms: must be 1 to 3600000 milliseconds",
        ),
        (json!({"retries": {"attempts": 0}}), "ai.retries.attempts: must be 1 to 10"),
        (json!({"max_concurrent": 0}), "ai.max_concurrent: must be at least 1"),
        (
            provider(json!({"id": " "})),
            "ai.provider[0].id: must be a text without spaces around it",
        ),
        (
            provider(json!({"base_url": null})),
            "ai.provider[0].base_url: is required, such as \"https://api.openai.com/v1\"",
        ),
        (
            provider(json!({"base_url": "ftp://x"})),
            "ai.provider[0].base_url: must begin with https:// or http://",
        ),
        (
            provider(json!({"base_url": "https://u:p@x"})),
            "ai.provider[0].base_url: must not hold a user name; keys belong into the env",
        ),
        (
            provider(json!({"env_key": "lower"})),
            "ai.provider[0].env_key: \"lower\" is not an env key; use A-Z, 0-9 and _",
        ),
        (
            provider(json!({"env_keys": ["A", "A"]})),
            "ai.provider[0].env_keys: \"A\" is named twice",
        ),
        (
            json!({"cool_down": {"most_ms": 3_600_001}}),
            "ai.cool_down.most_ms: must be at most 3600000 milliseconds",
        ),
        (
            model(json!({"upstreams": [{"provider": "echo"}]})),
            "ai.model[0].upstreams: takes the place of provider and upstream_model; leave them out",
        ),
        (
            model(
                json!({"provider": "", "upstreams": [{"provider": "echo"}, {"provider": "echo"}]}),
            ),
            "ai.model[0].upstreams[1].provider: stands in the list already, with the same model",
        ),
        (
            model(json!({"provider": "", "upstreams": [{"provider": "ecko"}]})),
            "ai.model[0].upstreams[0].provider: no provider is called \"ecko\"; did you mean \"echo\"?",
        ),
        (
            provider(json!({"headers": {"host": "x"}})),
            "ai.provider[0].headers: \"host\" is set by the connection itself",
        ),
        (
            provider(json!({"auth": {"header": "a b"}})),
            "ai.provider[0].auth: \"a b\" is not a header name",
        ),
        (
            provider(json!({"force": {"model": "x"}})),
            "ai.provider[0].strip/force: \"model\" belongs to the call itself",
        ),
        (
            model(json!({"provider": "Ehco"})),
            "ai.model[0].provider: no provider is called \"Ehco\"; did you mean \"echo\"?",
        ),
        (
            model(json!({"provider": "deepseek"})),
            "ai.model[0].provider: no provider is called \"deepseek\"; there are: echo",
        ),
        (model(json!({"name": ""})), "ai.model[0].name: must not be empty"),
        (model(json!({"modes": []})), "ai.model[0].modes: must name at least one mode"),
        (
            model(json!({"modes": ["text", "video"]})),
            "ai.model[0].modes: \"video\" is not what the provider \"echo\" offers",
        ),
        (
            model(json!({"modes": ["text"], "default": ["stream"]})),
            "ai.model[0].default: \"stream\" is not among the model's modes",
        ),
        (model(json!({"max_output": 0})), "ai.model[0].max_output: must be at least 1"),
        (
            model(json!({"max_params": {"top_p": 2}})),
            "ai.model[0].max_params.top_p: must be 0 to 1",
        ),
        (
            model(json!({"price": {"input_per_m": -1}})),
            "ai.model[0].price.input_per_m: must not be negative",
        ),
        (
            model(json!({"price": {"per_image": -1, "per_second": 0}})),
            "ai.model[0].price.per_image: must not be negative",
        ),
        (
            model(json!({"price": {"per_mode": {"text": -1}}})),
            "ai.model[0].price.per_mode: must not be negative",
        ),
    ] {
        assert_eq!(problems(config), [expected]);
    }
}

#[test]
fn ids_are_unique_and_a_mode_that_is_off_cannot_be_offered() {
    let found = problems(json!({
        "provider": [
            {"id": "p", "base_url": "https://example.com", "openai_mode": "off"},
            {"id": "p", "protocol": "echo"},
        ],
        "model": [
            {"id": "m", "name": "M", "provider": "p", "modes": ["openai"]},
            {"id": "m", "name": "M", "provider": "p"},
        ],
    }));
    assert_eq!(
        found,
        [
            "ai.provider[1].id: \"p\" is taken by an earlier entry",
            "ai.model[0].modes: \"openai\" is off at the provider (openai_mode)",
            "ai.model[1].id: \"m\" is taken by an earlier entry",
        ]
    );
}

#[test]
fn requests_for_images_and_videos_are_checked() {
    let provider = |mut provider: Value| {
        provider["id"] = json!("p");
        provider["base_url"] = json!("https://example.com");
        problems(json!({ "provider": [provider] }))
    };
    assert_eq!(
        provider(json!({"protocol": "async-image-jobs", "jobs": {
            "create_path": "jobs", "status_path": "/jobs", "poll_ms": 10, "answer": {"id": ["id"]},
        }})),
        [
            "ai.provider[0].jobs.create_path: \"jobs\" is not a path; begin it with /",
            "ai.provider[0].jobs.status_path: must hold {id}, which stands for the job",
            "ai.provider[0].jobs.poll_ms: must be 200 to 60000 milliseconds",
            "ai.provider[0].jobs.answer.id: \"id\" is not a JSON pointer; begin it with /",
        ]
    );
    assert_eq!(
        provider(json!({"protocol": "http-template", "template": {
            "create": {"path": "/a b", "method": "N O", "headers": {"x y": "z"}},
        }})),
        [
            "ai.provider[0].template.create.path: \"/a b\" is not a path; begin it with /",
            "ai.provider[0].template.create.method: \"N O\" is not a method",
            "ai.provider[0].template.create.headers: \"x y\" is not a header name",
        ]
    );
    assert_eq!(
        provider(json!({"protocol": "http-template", "jobs": {}})),
        [
            "ai.provider[0].jobs: is for the protocol async-image-jobs",
            "ai.provider[0].template: is required: the request that begins the work",
        ]
    );
    assert_eq!(
        problems(json!({"image_max_pending_duration_ms": 0, "media_wait_ms": 0})),
        [
            "ai.image_max_pending_duration_ms: must be 1 to 604800000 milliseconds",
            "ai.media_wait_ms: must be 1 to 3600000 milliseconds",
        ]
    );
}

#[test]
fn prices_are_whole_microcredits() {
    let config: AiConfig = serde_json::from_value(json!({"model": [{
        "id": "m", "name": "M", "provider": "echo",
        "price": {"input_per_m": 140_000, "per_mode": {"stream": 5}, "minimum": 1},
    }]}))
    .unwrap();
    let price = config.model[0].price.as_ref().unwrap();
    assert_eq!(price.input_per_m.unwrap().get(), 140_000);
    assert_eq!(price.per_mode[&Mode::Stream].get(), 5);
    assert!(config.validate().is_empty());
}
