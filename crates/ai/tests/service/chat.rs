//! `POST /v1/ai/chat/completions`: what is passed on, and how.

use downcity_testkit::{Answer, Gate};
use serde_json::{Value, json};

use crate::common::{
    Fixture, KEY, chunk, completion, fixture, read_until, text_chunks, usage, with,
};

async fn ask(fixture: &Fixture, body: &str) -> downcity_testkit::TestReply {
    let path = "/v1/ai/chat/completions";
    fixture.user.send(http::Method::POST, path, body.to_owned().into()).await
}

#[tokio::test]
async fn a_request_changes_only_where_it_has_to() {
    let fixture = fixture().await;
    fixture.upstream.by(|request| match request.json()["stream"] == true {
        true => Answer::events(&text_chunks(&["ok"])),
        false => Answer::json(200, &completion("ok")),
    });
    let cases = [
        (
            r#"{ "messages": [ {"role":"user", "content":"Gr\u00fc\u00dfe"} ], "model": "chat", "x": [1.10, 12345678901234567890123, -0.0], "city_id": "city_a" }"#,
            r#"{"messages":[ {"role":"user", "content":"Gr\u00fc\u00dfe"} ],"model":"upstream-1","x":[1.10, 12345678901234567890123, -0.0]}"#,
        ),
        (r#"{"a\"b":1}"#, r#"{"a\"b":1,"model":"upstream-1"}"#),
        (
            r#"{"model":"keyless","model":"chat","city\u005fid":"city_a"}"#,
            r#"{"model":"upstream-1"}"#,
        ),
        (
            r#"{"stream":false,"model":null,"stream":null}"#,
            r#"{"model":"upstream-1","stream":null}"#,
        ),
        (
            r#"{"stream":true,"stream_options":{"x":1}}"#,
            r#"{"stream":true,"stream_options":{"x":1,"include_usage":true},"model":"upstream-1"}"#,
        ),
        (
            r#"{"stream":true,"stream_options":{ "include_usage": true }}"#,
            r#"{"stream":true,"stream_options":{ "include_usage": true },"model":"upstream-1"}"#,
        ),
        (
            r#"{"stream":true,"stream_options":null}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true},"model":"upstream-1"}"#,
        ),
    ];
    for (index, (sent, expected)) in cases.iter().enumerate() {
        assert_eq!(ask(&fixture, sent).await.status, 200);
        let request = fixture.upstream.arrived(index).await;
        assert_eq!(String::from_utf8_lossy(&request.body), *expected);
        assert_eq!(request.headers["authorization"], format!("Bearer {KEY}"));
        assert_eq!(request.headers["accept-encoding"], "identity");
    }
}

#[tokio::test]
async fn an_answer_is_relayed_byte_by_byte_with_few_headers() {
    let fixture = fixture().await;
    let body = r#"{ "choices" : [ {"message": {}} ], "n": 1.10, "usage": {"prompt_tokens": 1} }"#;
    let answer = Answer::text(200, "application/json; charset=utf-8", body)
        .header("x-request-id", "up-1")
        .header("set-cookie", "a=b")
        .header("server", "mock")
        .header("x-ratelimit-limit", "1");
    fixture.upstream.always(answer);
    let reply = ask(&fixture, "{}").await;
    assert_eq!(reply.text(), body);
    let mut names: Vec<&str> = reply.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    let limits = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
    let expected =
        [&["content-type"], &limits[..], &["x-request-id", "x-upstream-request-id"]].concat();
    assert_eq!(names, expected);
    assert_ne!(reply.header("x-ratelimit-limit"), Some("1"), "it is the Federation's own");
    assert_eq!(reply.header("x-upstream-request-id"), Some("up-1"));
    assert_ne!(reply.header("x-request-id"), Some("up-1"));
}

#[tokio::test]
async fn a_long_answer_and_one_of_unknown_length_are_relayed_too() {
    let fixture = fixture().await;
    let whole = completion(&"long ".repeat(100_000));
    fixture.upstream.always(Answer::json(200, &whole));
    assert_eq!(ask(&fixture, "{}").await.json(), whole);
    fixture.upstream.always(
        Answer::pieces("application/json").write("\n{\"choices\": [{").write("\"message\":{}}]}"),
    );
    assert_eq!(ask(&fixture, "{}").await.text(), "\n{\"choices\": [{\"message\":{}}]}");
    let metered = fixture.metered.all(2).await;
    assert_eq!(metered[0].raw_usage, Some(usage()));
}

fn written(events: &[Value], eol: &str) -> String {
    let data = events.iter().map(ToString::to_string).chain(["[DONE]".to_owned()]);
    data.map(|data| format!("data: {data}{eol}{eol}")).collect()
}

#[tokio::test]
async fn a_stream_is_relayed_and_hides_only_the_usage_that_nobody_asked_for() {
    let fixture = fixture().await;
    let events = text_chunks(&["Grüße ", "👩‍🚀"]);
    let shown: Vec<Value> =
        events.iter().filter(|event| event.get("usage").is_none()).cloned().collect();
    for eol in ["\n", "\r\n"] {
        let mut answer = Answer::stream();
        let text = written(&events, eol);
        for piece in text.as_bytes().chunks(13) {
            // Pieces may end within a character: they are put together before they are read.
            answer = answer.write_bytes(piece);
        }
        fixture.upstream.always(answer);
        let reply = ask(&fixture, r#"{"stream":true}"#).await;
        assert_eq!(reply.text(), written(&shown, eol));
        assert_eq!(reply.header("content-type"), Some("text/event-stream"));
        assert_eq!(reply.header("cache-control"), Some("no-cache"));
        let asked = r#"{"stream":true,"stream_options":{"include_usage":true}}"#;
        assert_eq!(ask(&fixture, asked).await.text(), text);
    }
    for metering in fixture.metered.all(4).await {
        assert_eq!(metering.raw_usage, Some(usage()));
    }
}

#[tokio::test]
async fn a_provider_that_knows_no_usage_option_is_not_asked() {
    let fixture = with(|config| config["provider"][0]["include_usage"] = json!(false)).await;
    let events = text_chunks(&["x"]);
    fixture.upstream.always(Answer::events(&events));
    let reply = ask(&fixture, r#"{"stream":true}"#).await;
    assert_eq!(reply.text(), written(&events, "\n"));
    assert_eq!(fixture.upstream.request().json(), json!({"stream": true, "model": "upstream-1"}));
}

#[tokio::test]
async fn a_stream_ends_at_done_or_with_its_provider() {
    let fixture = fixture().await;
    let one = chunk(json!({"content": "one"}), None);
    let done = "data: [DONE]\n\n";
    let later = "data: {\"later\":1}\n\n";
    let expected = format!("data: {one}\n\n{done}");
    for answer in [
        Answer::stream().event(&one).write(done).write(later).hang(),
        Answer::stream().event(&one).write(&format!("{done}{later}")).hang(),
        Answer::stream().event(&one).write("data: [DO").write("NE]\n").write("\n").hang(),
        Answer::stream().event(&one).write(done).cut(),
    ] {
        fixture.upstream.always(answer);
        assert_eq!(ask(&fixture, r#"{"stream":true}"#).await.text(), expected);
    }
    let finished = chunk(json!({}), Some("stop"));
    let refused = json!({"error": {"message": "overloaded"}});
    for last in [finished, refused] {
        fixture.upstream.always(Answer::stream().event(&one).event(&last));
        let text = ask(&fixture, r#"{"stream":true}"#).await.text();
        assert_eq!(text, format!("data: {one}\n\ndata: {last}\n\n"));
    }
    fixture.upstream.always(Answer::stream());
    let text = ask(&fixture, r#"{"stream":true}"#).await.text();
    assert!(text.starts_with("data: {\"error\":") && text.contains("upstream_error"), "{text}");
}

#[tokio::test]
async fn tokens_arrive_while_the_provider_still_writes() {
    let fixture = fixture().await;
    let gate = Gate::default();
    let answer = Answer::stream()
        .event(&chunk(json!({"content": "first"}), None))
        .wait(&gate)
        .event(&chunk(json!({"content": "last"}), Some("stop")));
    fixture.upstream.always(answer);
    let mut response = fixture.open("chat/completions", json!({"stream": true})).await;
    read_until(&mut response, "first").await;
    gate.open();
    read_until(&mut response, "last").await;
}

#[tokio::test]
async fn normalising_flattens_or_refuses() {
    let fixture = with(|config| {
        config["provider"][0]["openai_mode"] = json!("normalize");
        config["provider"][0]["text_only"] = json!(true);
    })
    .await;
    fixture.upstream.always(Answer::json(200, &completion("ok")));
    let text = json!({"type": "text", "text": "a"});
    let input = |part: &Value| json!({"messages": [{"role": "user", "content": [text, part]}]});
    ask(&fixture, &input(&text).to_string()).await.expect(200);
    assert_eq!(fixture.upstream.request().json()["messages"][0]["content"], "a\na");
    let image = json!({"type": "image_url", "image_url": {"url": "data:,"}});
    let body = ask(&fixture, &input(&image).to_string()).await.expect(422);
    assert_eq!(body["error"]["param"], "messages[0].content[1]");
    assert_eq!(body["error"]["code"], "unsupported_content");
}

#[tokio::test]
async fn a_model_of_texts_refuses_other_parts_on_every_way_to_ask() {
    let fixture = with(|config| config["provider"][0]["text_only"] = json!(true)).await;
    fixture.upstream.always(Answer::json(200, &completion("ok")));
    let url = "data:image/png;base64,AAAA";
    let image = json!({"type": "image_url", "image_url": {"url": url}});
    let text = json!({"type": "text", "text": "a"});
    let chat =
        |role: &str, part: &Value| json!({"messages": [{"role": role, "content": [text, part]}]});
    let block =
        json!({"type": "image", "source": {"type": "url", "url": "https://img.test/a.png"}});
    let blocks = json!({"max_tokens": 9, "messages": [{"role": "user", "content": [text, block]}]});
    let item = json!({"role": "user", "content": [
        {"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": url},
    ]});
    let file = json!({"type": "file", "mediaType": "image/png", "url": url});
    let message = json!({"role": "user", "parts": [text, file]});
    for (path, input, named) in [
        ("/v1/chat/completions", chat("user", &image), "messages[0].content[1]"),
        ("/v1/chat/completions", chat("tool", &image), "messages[0].content[1]"),
        ("/v1/responses", json!({"input": [item]}), "input[0].content[1]"),
        ("/v1/messages", blocks, "messages[0].content[1]"),
        ("/v1/ai/text", json!({"messages": [message]}), "messages[0].parts[1]"),
    ] {
        let reply = fixture.user.post(path, input).await;
        assert_eq!(reply.status, 422, "{path} {}", reply.text());
        assert!(reply.text().contains(named), "{path} {}", reply.text());
    }
    assert!(fixture.upstream.requests().is_empty());
    ask(&fixture, &chat("user", &text).to_string()).await.expect(200);
    assert_eq!(fixture.upstream.request().json()["messages"][0]["content"], "a\na");
    ask(&fixture, &chat("system", &text).to_string()).await.expect(200);
    assert_eq!(
        fixture.upstream.requests()[1].json()["messages"],
        chat("system", &text)["messages"]
    );
}

#[tokio::test]
async fn a_caller_who_leaves_cancels_or_finishes_the_call() {
    for (policy, cancels) in [("cancel", true), ("finish", false)] {
        let fixture = with(|config| config["on_disconnect"] = json!(policy)).await;
        let gate = Gate::default();
        let mut answer =
            Answer::stream().event(&chunk(json!({"content": "one"}), None)).wait(&gate);
        for event in text_chunks(&["two"]) {
            answer = answer.event(&event);
        }
        fixture.upstream.always(answer);
        let mut response = fixture.open("chat/completions", json!({"stream": true})).await;
        read_until(&mut response, "one").await;
        drop(response);
        if !cancels {
            gate.open();
        }
        assert_eq!(fixture.upstream.request().left_early().await, cancels);
    }
}
