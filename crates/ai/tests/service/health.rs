//! `POST /v1/ai/test`, and what the admin sees of the state of models.

use downcity_testkit::{Answer, Recorded};
use serde_json::{Value, json};

use crate::common::{Fixture, KEY, completion, error_body, set_env, text_chunks, with};

/// A provider that can do everything.
fn able(request: &Recorded) -> Answer {
    let body = request.json();
    if body["stream"] == true {
        return Answer::events(&text_chunks(&["O", "K"]));
    }
    let mut answer = completion("OK");
    if body["tools"].is_array() {
        let call =
            json!({"id": "c", "type": "function", "function": {"name": "ping", "arguments": "{}"}});
        answer["choices"][0]["message"] =
            json!({"role": "assistant", "content": null, "tool_calls": [call]});
    }
    Answer::json(200, &answer)
}

async fn test(fixture: &Fixture, input: Value) -> Value {
    fixture.app.admin().post("/v1/ai/test", input).await.expect(200)
}

async fn fixture() -> Fixture {
    with(|_| {}).await
}

async fn listed(fixture: &Fixture, query: &str, id: &str) -> Value {
    let list = fixture.app.admin().get(&format!("/v1/ai/models{query}")).await.expect(200);
    let mut items = list["items"].as_array().unwrap().iter();
    items.find(|model| model["id"] == id).unwrap().clone()
}

#[tokio::test]
async fn a_model_that_works() {
    let fixture = fixture().await;
    fixture.upstream.by(able);
    let answer = test(&fixture, json!({"model": "chat"})).await;
    assert_eq!(answer["ok"], true);
    let mut item = answer["items"][0].clone();
    assert!(item["latency_ms"].take().is_u64() && item["first_byte_ms"].take().is_u64());
    assert_eq!(
        item,
        json!({
            "model": "chat", "ok": true, "latency_ms": null, "first_byte_ms": null,
            "streaming": {"ok": true}, "tools": {"ok": true}, "usage": true,
            "upstream": {
                "provider": "mock", "upstream_model": "upstream-1",
                "key": "MOCK_API_KEY", "key_of": "federation",
            },
        })
    );
    // Tiny, and three of them.
    let requests = fixture.upstream.requests();
    assert_eq!(requests.len(), 3);
    for request in requests {
        let most = request.json()["max_tokens"].as_u64().unwrap();
        assert!(most <= 256, "{most}");
    }
}

#[tokio::test]
async fn all_models_are_tested_and_each_says_what_is_wrong() {
    let fixture = fixture().await;
    fixture.upstream.by(|request| match request.json() {
        body if body["tools"].is_array() => {
            Answer::json(400, &error_body(&format!("no tools, {KEY}")))
        }
        body if body["stream"] == true => Answer::text(200, "text/html", "<p>hello</p>"),
        _ => {
            let mut answer = completion("OK");
            answer.as_object_mut().unwrap().shift_remove("usage");
            Answer::json(200, &answer)
        }
    });
    let answer = test(&fixture, json!({})).await;
    assert_eq!(answer["ok"], false);
    let items = answer["items"].as_array().unwrap();
    let item = |id: &str| items.iter().find(|item| item["model"] == id).unwrap();
    assert_eq!(items.len(), 3);
    assert_eq!(
        (&item("keyless")["ok"], &item("keyless")["code"]),
        (&json!(false), &json!("missing_config"))
    );
    let down = item("down");
    assert_eq!((&down["ok"], &down["code"]), (&json!(false), &json!("upstream_error")));
    assert_eq!((&down["upstream"]["provider"], &down["streaming"]), (&json!("down"), &Value::Null));
    let chat = item("chat");
    assert_eq!((&chat["ok"], &chat["usage"]), (&json!(true), &json!(false)));
    assert_eq!(
        (&chat["streaming"]["ok"], &chat["streaming"]["code"]),
        (&json!(false), &json!("upstream_invalid"))
    );
    assert_eq!(chat["tools"]["ok"], false);
    let why = chat["tools"]["error"].as_str().unwrap();
    assert!(why.contains("no tools") && !answer.to_string().contains(KEY), "{answer}");
}

#[tokio::test]
async fn a_model_that_ignores_the_tool() {
    let fixture = fixture().await;
    fixture.upstream.by(|request| {
        if request.json()["stream"] == true {
            able(request)
        } else {
            Answer::json(200, &completion("OK"))
        }
    });
    let answer = test(&fixture, json!({"models": ["chat"]})).await;
    let tools = &answer["items"][0]["tools"];
    assert_eq!((&tools["ok"], tools.get("code")), (&json!(false), None));
    assert!(tools["error"].as_str().unwrap().contains("without calling the tool"));
}

#[tokio::test]
async fn a_test_is_nobodys_usage_and_lets_no_key_rest() {
    let fixture = fixture().await;
    fixture.upstream.always(Answer::json(429, &error_body("slow down")));
    let answer = test(&fixture, json!({"model": "chat"})).await;
    assert_eq!(answer["items"][0]["code"], "upstream_rate_limited");
    assert_eq!(listed(&fixture, "", "chat").await["keys"][0]["resting_until"], Value::Null);
    fixture.upstream.by(able);
    test(&fixture, json!({"model": "chat"})).await;
    let metered = fixture.metered.all(2).await;
    assert!(
        metered.iter().all(|it| it.model_id.is_none() && it.output_tokens.is_none()),
        "{metered:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_tested_is_refused() {
    let fixture = fixture().await;
    let admin = fixture.app.admin();
    let unknown = admin.post("/v1/ai/test", json!({"models": ["chat", "chatt"]})).await;
    unknown.expect_error(422, "model_not_found");
    let nowhere = admin.post("/v1/ai/test", json!({"city_id": "nowhere"})).await;
    nowhere.expect_error(404, "city_not_found");
    fixture.user.post("/v1/ai/test", json!({})).await.expect_error(403, "forbidden");
    fixture
        .app
        .guest()
        .post("/v1/ai/test", json!({}))
        .await
        .expect_error(401, "missing_credential");
    assert!(fixture.upstream.requests().is_empty());
}

#[tokio::test]
async fn a_city_is_tested_with_its_own_key() {
    let fixture = fixture().await;
    fixture.upstream.by(able);
    let own = json!({"key": "MOCK_API_KEY", "value": "sk-of-the-city-alone", "test": false, "city_id": "city_a"});
    fixture.app.admin().post("/v1/env/upsert", own).await.expect(200);
    let answer = test(&fixture, json!({"model": "chat", "city_id": "city_a"})).await;
    assert_eq!(answer["items"][0]["upstream"]["key_of"], "city");
    for request in fixture.upstream.requests() {
        assert_eq!(request.headers["authorization"], "Bearer sk-of-the-city-alone");
    }
}

#[tokio::test]
async fn the_admin_sees_what_is_ready_and_what_rests() {
    let fixture = fixture().await;
    let keyless = listed(&fixture, "", "keyless").await;
    assert_eq!(
        (&keyless["ready"], &keyless["missing_env"]),
        (&json!(false), &json!(["UNSET_API_KEY"]))
    );
    let state = |key_of: Value, rest: Value| json!([{"provider": "mock", "key": "MOCK_API_KEY", "configured": true, "key_of": key_of, "resting_until": rest}]);
    let chat = listed(&fixture, "", "chat").await;
    assert_eq!(
        (&chat["ready"], &chat["missing_env"], &chat["source"]),
        (&json!(true), &json!([]), &json!("configuration"))
    );
    assert_eq!(chat["keys"], state(json!("federation"), Value::Null));
    // The key of the Federation rests, that of a city does not.
    let own = json!({"key": "MOCK_API_KEY", "value": "sk-of-the-city-alone", "test": false, "city_id": "city_a"});
    fixture.app.create_city("city_b").await;
    fixture.app.admin().post("/v1/env/upsert", own).await.expect(200);
    fixture.upstream.always(Answer::json(401, &error_body("no")));
    let other = fixture.app.user(&fixture.app.token("city_b", "ben").await);
    other.post("/v1/ai/text", json!({"prompt": "Hi", "model": "chat"})).await;
    let rests = listed(&fixture, "", "chat").await["keys"].clone();
    assert_eq!(rests, state(json!("federation"), json!("2026-01-02T03:04:10.678Z")));
    let city = listed(&fixture, "?city_id=city_a", "chat").await["keys"].clone();
    assert_eq!(city, state(json!("city"), Value::Null));
    let user = fixture.user.get("/v1/ai/models").await.expect(200);
    for field in ["ready", "missing_env", "keys", "source"] {
        assert!(user["items"][0].get(field).is_none(), "{field}");
    }
    set_env(&fixture.app, "UNSET_API_KEY", "x").await;
    assert_eq!(listed(&fixture, "", "keyless").await["ready"], true);
}
