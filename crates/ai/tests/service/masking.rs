//! A provider that repeats the Federation's own key does not tell it to callers.

use downcity_testkit::Answer;
use serde_json::json;

use crate::common::{Fixture, KEY, chunk, completion, error_body, fixture};

async fn relayed(fixture: &Fixture, answer: Answer) -> String {
    fixture.upstream.always(answer);
    let reply = fixture.user.post("/v1/ai/chat/completions", json!({"stream": true})).await;
    assert_eq!(reply.status, 200);
    reply.text()
}

#[tokio::test]
async fn error_events_of_a_relayed_stream() {
    let fixture = fixture().await;
    let begun = || Answer::stream().event(&chunk(json!({"content": "half"}), None));
    let error = format!("data: {}\n\n", error_body(&format!("bad key {KEY}!")));
    for cut in [error.find(KEY).unwrap() + 5, 3, error.len() - 1] {
        let (first, rest) = error.split_at(cut);
        let text = relayed(&fixture, begun().write(first).write(rest)).await;
        assert!(text.contains("half") && text.contains("bad key *"), "{text}");
        assert!(!text.contains(KEY), "{text}");
    }
    // An event of another form, and one that is too long to wait for its end.
    let named = format!("event: error\ndata: {{\"message\":\"{KEY}\"}}\n\ndata: [DONE]\n\n");
    assert!(!relayed(&fixture, begun().write(&named)).await.contains(KEY));
    let long = "x".repeat(300 * 1024);
    let (head, tail) = KEY.split_at(9);
    let answer = begun()
        .write(&format!("data: {{\"error\":{{\"message\":\"{long}{head}"))
        .write(&format!("{tail}{long}"))
        .write(head)
        .write(tail)
        .write("\"}}\n\ndata: [DONE]\n\n");
    let text = relayed(&fixture, answer).await;
    assert!(text.len() > 2 * long.len() && text.ends_with("data: [DONE]\n\n"));
    assert!(!text.contains(KEY) && !text.contains(head));
}

#[tokio::test]
async fn error_chunks_of_a_message_stream() {
    let fixture = fixture().await;
    // The limit on the words of a provider does not leave a part of the key.
    let late = format!("{}{KEY}", "x".repeat(990));
    for words in [format!("bad key {KEY}!"), late] {
        let answer = Answer::stream()
            .event(&chunk(json!({"content": "half"}), None))
            .event(&error_body(&words));
        fixture.upstream.always(answer);
        let text = fixture.user.post("/v1/ai/stream", json!({"prompt": "Hi"})).await.text();
        assert!(text.contains("***") && !text.contains(&KEY[..8]), "{text}");
    }
}

#[tokio::test]
async fn whole_answers() {
    let fixture = fixture().await;
    let body = completion(&format!("bad key {KEY}!")).to_string();
    let (head, tail) = body.split_at(body.find(KEY).unwrap() + 7);
    for answer in [
        Answer::text(200, "application/json", &body),
        Answer::pieces("application/json").write(head).write(tail),
        Answer::pieces("application/json").write(&body),
    ] {
        fixture.upstream.always(answer);
        let reply = fixture.user.post("/v1/ai/chat/completions", json!({})).await;
        let message =
            reply.expect(200)["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
        assert_eq!(message, format!("bad key {}!", "*".repeat(KEY.len())));
    }
}
