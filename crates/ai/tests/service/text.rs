//! `POST /v1/ai/text`

use downcity_testkit::{Answer, Gate};
use serde_json::{Value, json};

use crate::common::{Fixture, KEY, completion, error_body, fixture, usage, with};

async fn ask(fixture: &Fixture, input: Value) -> downcity_testkit::TestReply {
    fixture.user.post("/v1/ai/text", input).await
}

#[tokio::test]
async fn the_answer_is_a_message_of_the_documented_shape() {
    let fixture = fixture().await;
    fixture.upstream.always(Answer::json(200, &completion("Hello")));
    let mut message = ask(&fixture, json!({"prompt": "Hi", "city_id": "city_a"})).await.expect(200);
    let id = message["id"].take();
    let id = id.as_str().unwrap().strip_prefix("msg_").unwrap();
    let lengths: Vec<usize> = id.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
    assert_eq!(
        message,
        json!({
            "id": null, "role": "assistant", "parts": [{"type": "text", "text": "Hello"}],
            "metadata": {
                "model": "chat", "city_id": "city_a", "user_id": "user_1", "finishReason": "stop",
                "usage": {
                    "inputTokens": 10, "inputTokenDetails": {"noCacheTokens": 6, "cacheReadTokens": 4},
                    "outputTokens": 5, "outputTokenDetails": {"textTokens": 3, "reasoningTokens": 2},
                    "totalTokens": 15, "reasoningTokens": 2, "cachedInputTokens": 4, "raw": usage(),
                },
            },
        })
    );
    let request = fixture.upstream.request();
    assert_eq!(request.target, "POST /v1/chat/completions");
    assert_eq!(request.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(
        request.json(),
        json!({"model": "upstream-1", "messages": [{"role": "user", "content": "Hi"}]})
    );
}

#[tokio::test]
async fn the_admin_has_no_user() {
    let fixture = fixture().await;
    fixture.upstream.always(Answer::json(200, &completion("Hello")));
    let admin = fixture.app.admin();
    let message = admin.post("/v1/ai/text", json!({"prompt": "Hi"})).await.expect(200);
    assert!(message["metadata"].get("user_id").is_none(), "{message}");
}

#[tokio::test]
async fn every_parameter_reaches_the_provider() {
    let fixture = with(|config| {
        config["provider"][0]["max_tokens_field"] = json!("max_completion_tokens");
        config["provider"][0]["force"] = json!({"user": "fixed"});
        config["provider"][0]["strip"] = json!(["seed"]);
        config["provider"][0]["headers"] = json!({"x-team": "a"});
        config["provider"][0]["auth"] = json!({"header": "x-api-key"});
    })
    .await;
    fixture.upstream.always(Answer::json(200, &completion("ok")));
    let function = json!({"name": "f", "description": "", "parameters": {}});
    let input = json!({
        "system": "Be brief", "prompt": "Second",
        "messages": [{"role": "user", "parts": [{"type": "text", "text": "First"}]}],
        "tools": [{"type": "function", "function": {"name": "f"}}, {"type": "other"}],
        "tool_choice": {"type": "tool", "toolName": "f"},
        "temperature": 0.25, "top_p": 0.5, "max_output_tokens": 7, "stop": ["END"], "seed": 3,
        "response_format": {"type": "json_object"},
        "provider_options": {
            "mock": {"reasoning_effort": "low", "model": "stolen", "n": 9},
            "other": {"unseen": true},
        },
        "unknown": 1,
    });
    ask(&fixture, input).await.expect(200);
    let request = fixture.upstream.request();
    assert_eq!(request.headers["x-team"], "a");
    assert_eq!(request.headers["x-api-key"], KEY);
    assert!(request.headers.get("authorization").is_none());
    assert_eq!(
        request.json(),
        json!({
            "model": "upstream-1",
            "messages": [
                {"role": "system", "content": "Be brief"},
                {"role": "user", "content": "First"},
                {"role": "user", "content": "Second"},
            ],
            "tools": [{"type": "function", "function": function}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "temperature": 0.25, "top_p": 0.5, "max_completion_tokens": 7, "stop": ["END"],
            "response_format": {"type": "json_object"},
            "reasoning_effort": "low", "user": "fixed",
        })
    );
}

#[tokio::test]
async fn a_model_has_defaults_and_bounds() {
    let fixture = with(|config| {
        let model = &mut config["model"][2];
        model["max_output"] = json!(100);
        model["default_params"] = json!({"temperature": 0.5});
        model["max_params"] = json!({"temperature": 1.0, "top_p": 0.5});
    })
    .await;
    fixture.upstream.always(Answer::json(200, &completion("ok")));
    for (route, input, sent) in [
        ("text", json!({"prompt": "a"}), json!([0.5, null, 100])),
        (
            "text",
            json!({"prompt": "a", "temperature": 2, "max_output_tokens": 500}),
            json!([1.0, null, 100]),
        ),
        (
            "text",
            json!({"prompt": "a", "top_p": 0.25, "max_output_tokens": 5}),
            json!([0.5, 0.25, 5]),
        ),
        (
            "chat/completions",
            json!({"messages": [], "max_tokens": 500, "top_p": 1}),
            json!([0.5, 0.5, 100]),
        ),
        ("chat/completions", json!({"messages": []}), json!([0.5, null, 100])),
    ] {
        fixture.user.post(&format!("/v1/ai/{route}"), input).await.expect(200);
        let body = fixture.upstream.requests().pop().unwrap().json();
        assert_eq!(json!([body["temperature"], body["top_p"], body["max_tokens"]]), sent);
    }
}

#[tokio::test]
async fn bad_input_names_its_field() {
    let fixture = with(|config| {
        config["max_messages"] = json!(2);
        config["max_message_bytes"] = json!(100);
    })
    .await;
    let message = json!({"role": "user", "parts": [{"type": "text", "text": "a"}]});
    let long = json!({"role": "user", "parts": [{"type": "text", "text": "a".repeat(101)}]});
    for (input, path) in [
        (json!({}), "messages"),
        (json!({"prompt": "  "}), "messages"),
        (json!({"messages": "Hi"}), "messages"),
        (json!({"messages": [7]}), "messages[0]"),
        (json!({"messages": [{"role": "robot", "parts": []}]}), "messages[0].role"),
        (
            json!({"messages": [{"role": "user", "parts": [{"type": "text"}]}]}),
            "messages[0].parts[0]",
        ),
        (json!({"messages": [{"role": "user", "parts": []}]}), "messages[0].parts"),
        (json!({"messages": [message, message, message]}), "messages"),
        (json!({"messages": [message, long]}), "messages[1]"),
        (json!({"prompt": "a".repeat(101)}), "prompt"),
        (json!({"prompt": "a", "temperature": "warm"}), "temperature"),
        (json!({"prompt": "a", "tools": "f"}), "tools"),
        (json!({"prompt": "a", "tools": [{"type": "function"}]}), "tools[0].function.name"),
        (json!({"prompt": "a", "max_output_tokens": 0}), "max_output_tokens"),
        (json!({"prompt": "a", "max_output_tokens": -1}), "max_output_tokens"),
        (json!({"prompt": "a", "provider_options": {"mock": 1}}), "provider_options.mock"),
        (json!({"prompt": "a", "model": {"id": "chat"}}), "model"),
    ] {
        let body = ask(&fixture, input.clone()).await.expect_error(400, "invalid_input");
        assert_eq!(body["details"][0]["path"], path, "{input}: {body}");
    }
    assert!(fixture.upstream.requests().is_empty());
}

#[tokio::test]
async fn failures_have_their_status() {
    let fixture = fixture().await;
    let html = "<html>Sign in</html>";
    for (answer, status, code, tries) in [
        (Answer::json(400, &error_body("Too long")), 400, "invalid_input", 1),
        (Answer::json(413, &error_body("Too large")), 413, "payload_too_large", 1),
        (Answer::json(422, &error_body("No")), 422, "unprocessable", 1),
        (Answer::json(401, &error_body(KEY)), 502, "upstream_auth", 1),
        (Answer::json(403, &error_body("no")), 502, "upstream_auth", 1),
        (Answer::json(404, &error_body("no such model")), 502, "upstream_error", 1),
        (Answer::text(302, "text/html", html), 502, "upstream_error", 1),
        (Answer::text(500, "text/plain", "oops"), 502, "upstream_error", 3),
        (Answer::text(504, "text/plain", "slow"), 504, "upstream_timeout", 3),
        (Answer::json(429, &error_body("Slow down")), 429, "upstream_rate_limited", 3),
        (Answer::text(200, "text/html", html), 502, "upstream_invalid", 1),
        (Answer::json(200, &json!({"choices": []})), 502, "upstream_invalid", 1),
        (Answer::json(200, &error_body("no")), 502, "upstream_invalid", 1),
        (Answer::stream().cut(), 502, "upstream_invalid", 1),
        (Answer::pieces("application/json").write("{").cut(), 502, "upstream_error", 3),
    ] {
        let before = fixture.upstream.requests().len();
        fixture.upstream.always(answer);
        let reply = ask(&fixture, json!({"prompt": "Hi"})).await;
        let body = reply.expect_error(status, code);
        assert!(!reply.text().contains(KEY) && !reply.text().contains("<html>"), "{body}");
        assert_eq!(fixture.upstream.requests().len() - before, tries, "{body}");
    }
}

#[tokio::test]
async fn a_request_fault_is_told_in_the_providers_words_without_its_key() {
    let fixture = fixture().await;
    fixture.upstream.always(Answer::json(400, &error_body(&format!("{KEY} may not do that"))));
    let body = ask(&fixture, json!({"prompt": "Hi"})).await.expect_error(400, "invalid_input");
    assert_eq!(body["error"], "*** may not do that");
}

#[tokio::test]
async fn a_passing_failure_is_tried_again_and_retry_after_is_obeyed_or_passed_on() {
    let fixture = fixture().await;
    fixture.upstream.then(Answer::text(503, "text/plain", "busy"));
    fixture.upstream.then(Answer::json(429, &error_body("wait")).header("retry-after", "0"));
    fixture.upstream.then(Answer::json(200, &completion("third")));
    let message = ask(&fixture, json!({"prompt": "Hi"})).await.expect(200);
    assert_eq!(message["parts"][0]["text"], "third");
    assert_eq!(fixture.metered.all(1).await[0].request_count, Some(3));

    for (after, passed) in [("61", "61"), (&u64::MAX.to_string(), "86400")] {
        let answer = Answer::json(429, &error_body("wait")).header("retry-after", after);
        fixture.upstream.always(answer);
        let reply = ask(&fixture, json!({"prompt": "Hi"})).await;
        reply.expect_error(429, "upstream_rate_limited");
        assert_eq!(reply.header("retry-after"), Some(passed));
    }
    assert_eq!(fixture.upstream.requests().len(), 5, "too long to wait: not tried again");
}

#[tokio::test]
async fn an_unreachable_provider_is_a_502_and_a_silent_one_a_504() {
    let fixture = with(|config| {
        config["timeouts"] = json!({"first_byte_ms": 50, "idle_ms": 50});
    })
    .await;
    let reply = ask(&fixture, json!({"prompt": "Hi", "model": "down"})).await;
    let body = reply.expect_error(502, "upstream_error");
    assert!(!body.to_string().contains("127.0.0.1"), "{body}");
    for answer in [Answer::stream().silent(), Answer::pieces("application/json").write("{").hang()]
    {
        fixture.upstream.always(answer);
        let reply = ask(&fixture, json!({"prompt": "Hi"})).await;
        reply.expect_error(504, "upstream_timeout");
    }
}

#[tokio::test]
async fn a_caller_who_leaves_cancels_or_finishes_the_call() {
    for (policy, cancels) in [("cancel", true), ("finish", false)] {
        let fixture = with(|config| config["on_disconnect"] = json!(policy)).await;
        let gate = Gate::default();
        fixture.upstream.always(Answer::json(200, &completion("late")).wait(&gate));
        let call = ask(&fixture, json!({"prompt": "Hi"}));
        let request = tokio::select! {
            _ = call => panic!("the answer cannot be there yet"),
            request = fixture.upstream.arrived(0) => request,
        };
        if !cancels {
            gate.open();
        }
        assert_eq!(request.left_early().await, cancels);
    }
}
