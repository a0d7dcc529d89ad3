//! Keys of providers are tried before they are stored.

use downcity_testkit::{Answer, TestReply};
use serde_json::{Value, json};

use crate::common::{Fixture, KEY, fixture, set_env, with};

const NEW: &str = "sk-another-upstream-secret";

async fn post(fixture: &Fixture, action: &str, input: Value) -> TestReply {
    fixture.app.admin().post(&format!("/v1/env/{action}"), input).await
}

fn applied(fixture: &Fixture) -> String {
    let value = fixture.app.runtime().snapshot().env().get("MOCK_API_KEY");
    value.unwrap().expose().to_owned()
}

fn models(status: u16) -> Answer {
    Answer::json(status, &json!({"error": {"message": format!("about {NEW}")}, "data": []}))
}

#[tokio::test]
async fn a_key_that_the_provider_refuses_is_not_stored() {
    let fixture = fixture().await;
    for status in [401, 403] {
        fixture.upstream.models(models(status));
        let reply = post(&fixture, "upsert", json!({"key": "mock_api_key", "value": NEW})).await;
        let error = reply.expect_error(422, "env_refused");
        assert!(error["fix"].as_str().unwrap().contains("\"test\": false"));
        let raw = format!("A=1\nMOCK_API_KEY={KEY}-old\nMOCK_API_KEY={NEW}\n");
        let import = post(&fixture, "import", json!({"raw": raw})).await;
        let message = import.expect_error(422, "env_refused")["error"].to_string();
        assert!(message.contains("line 3") && message.contains("MOCK_API_KEY"), "{message}");
        for text in [reply.text(), import.text()] {
            assert!(!text.contains(NEW) && !text.contains("about"), "{text}");
        }
        assert_eq!(applied(&fixture), KEY);
        assert!(!fixture.app.runtime().snapshot().env().is_configured("A"));
    }
    let tried = fixture.upstream.model_requests();
    let last = tried.last().unwrap();
    assert_eq!(last.target, "GET /v1/models");
    assert_eq!(last.headers["authorization"], format!("Bearer {NEW}"));
    let forced = json!({"key": "MOCK_API_KEY", "value": NEW, "test": false});
    let answer = post(&fixture, "upsert", forced).await.expect(200);
    assert_eq!(answer, json!({"success": true, "key": "MOCK_API_KEY"}));
    assert_eq!(applied(&fixture), NEW);
    // The way back is tried as well.
    let back = json!({"key": "MOCK_API_KEY", "version": 1});
    post(&fixture, "rollback", back).await.expect_error(422, "env_refused");
    let back = json!({"key": "MOCK_API_KEY", "version": 1, "test": false});
    post(&fixture, "rollback", back).await.expect(200);
    assert_eq!(applied(&fixture), KEY);
}

#[tokio::test]
async fn a_key_that_cannot_be_tried_is_stored_with_a_warning() {
    let fixture = fixture().await;
    for (status, why) in [(404, "list"), (405, "list"), (500, "500"), (429, "429")] {
        fixture.upstream.models(models(status));
        let input = json!({"key": "MOCK_API_KEY", "value": format!("{NEW}{status}")});
        let answer = post(&fixture, "upsert", input).await.expect(200);
        let warning = answer["warning"].as_str().unwrap();
        // Two providers use the key, and one of them is down: any of both reasons will do.
        assert!(warning.contains(why) || warning.contains("could not be reached"), "{warning}");
        assert!(applied(&fixture).ends_with(&status.to_string()));
    }
    let raw = format!("MOCK_API_KEY={NEW}\nOTHER=1");
    let answer = post(&fixture, "import", json!({"raw": raw})).await.expect(200);
    assert_eq!(answer["warnings"].as_array().unwrap().len(), 1);
    assert_eq!(answer["warnings"][0]["key"], "MOCK_API_KEY");
    let asked = fixture.upstream.model_requests().len();
    // Other keys, blank values and masks are nobody's to try.
    let blank = json!({"key": "MOCK_API_KEY", "value": ""});
    for input in [blank, json!({"key": "OTHER", "value": NEW})] {
        let answer = post(&fixture, "upsert", input).await.expect(200);
        assert_eq!(answer.get("warning"), None);
    }
    assert_eq!(fixture.upstream.model_requests().len(), asked);
}

#[tokio::test]
async fn a_good_key_is_stored_without_a_word_and_can_be_tried_again() {
    let fixture = fixture().await;
    fixture.upstream.models(models(200));
    let input = json!({"key": "MOCK_API_KEY", "value": NEW});
    let answer = post(&fixture, "upsert", input).await.expect(200);
    assert_eq!(answer, json!({"success": true, "key": "MOCK_API_KEY"}));
    let test = async |key: &str| post(&fixture, "test", json!({"key": key})).await;
    let accepted = json!({"key": "MOCK_API_KEY", "result": "accepted"});
    assert_eq!(test("mock_api_key").await.expect(200), accepted);
    fixture.upstream.models(models(401));
    assert_eq!(test("MOCK_API_KEY").await.expect(200)["result"], "refused");
    set_env(&fixture.app, "OTHER", "x").await;
    assert_eq!(test("OTHER").await.expect(200)["result"], "unknown");
    test("UNSET_API_KEY").await.expect_error(404, "not_found");
}

#[tokio::test]
async fn the_address_may_come_with_the_key_and_the_key_stands_where_it_belongs() {
    let fixture = with(|config| {
        config["provider"][1] = json!({
            "id": "keyless", "base_url_env": "MOCK_URL", "env_key": "URL_KEY",
            "auth": {"query": "api key"},
        });
    })
    .await;
    fixture.upstream.models(models(200));
    let answer =
        post(&fixture, "upsert", json!({"key": "URL_KEY", "value": NEW})).await.expect(200);
    assert!(answer["warning"].is_string(), "no address yet: {answer}");
    let raw = format!("MOCK_URL={}/\nURL_KEY=a&b{NEW}\n", fixture.upstream.url());
    let answer = post(&fixture, "import", json!({"raw": raw})).await.expect(200);
    assert_eq!(answer.get("warnings"), None);
    let target = fixture.upstream.model_requests().last().unwrap().target.clone();
    assert_eq!(target, format!("GET /v1/models?api%20key=a%26b{}", NEW.replace('-', "%2D")));
}
