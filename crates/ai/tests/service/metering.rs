//! What calls consumed, as hooks see it.

use downcity_testkit::Answer;
use serde_json::{Value, json};

use crate::common::{chunk, completion, fixture, read_until, text_chunks, usage};

#[tokio::test]
async fn every_route_tells_what_it_consumed() {
    let fixture = fixture().await;
    let calls = [
        ("text", json!({"prompt": "Hi"}), "text", false),
        ("stream", json!({"prompt": "Hi"}), "stream", true),
        ("chat/completions", json!({"messages": []}), "openai", false),
        ("chat/completions", json!({"messages": [], "stream": true}), "openai", true),
    ];
    for (index, (route, input, mode, streams)) in calls.into_iter().enumerate() {
        fixture.upstream.always(if streams {
            Answer::events(&text_chunks(&["a", "b"]))
        } else {
            Answer::json(200, &completion("ab"))
        });
        let reply = fixture.user.post(&format!("/v1/ai/{route}"), input).await;
        assert_eq!(reply.status, 200);
        let metering = fixture.metered.all(index + 1).await.pop().unwrap();
        assert_eq!(metering.provider_id.as_deref(), Some("mock"), "{route}");
        assert_eq!(metering.model_id.as_deref(), Some("chat"));
        assert_eq!(metering.upstream_model.as_deref(), Some("upstream-1"));
        assert_eq!(
            (metering.input_tokens, metering.cached_tokens, metering.output_tokens),
            (Some(6), Some(4), Some(5))
        );
        assert_eq!(metering.request_count, Some(1));
        assert_eq!(metering.raw_usage, Some(usage()));
        assert_eq!(metering.metadata["mode"], mode);
        assert!(metering.first_byte_ms <= metering.duration_ms && metering.first_byte_ms.is_some());
    }
}

#[tokio::test]
async fn a_call_that_its_caller_leaves_is_still_accounted_for() {
    let fixture = fixture().await;
    for (index, route) in ["stream", "chat/completions"].into_iter().enumerate() {
        let mut early = chunk(json!({"content": "one"}), None);
        early["usage"] = json!({"prompt_tokens": 7, "completion_tokens": 1});
        fixture.upstream.always(Answer::stream().event(&early).hang());
        let input = json!({"prompt": "Hi", "stream": true});
        let mut response = fixture.open(route, input).await;
        read_until(&mut response, "one").await;
        drop(response);
        let metering = fixture.metered.all(index + 1).await.pop().unwrap();
        assert_eq!((metering.input_tokens, metering.output_tokens), (Some(7), Some(1)), "{route}");
        assert!(metering.duration_ms.is_some());
    }
}

#[tokio::test]
async fn usage_in_every_chunk_counts_once() {
    let fixture = fixture().await;
    let mut answer = Answer::stream();
    for tokens in 1..=3 {
        let mut event = chunk(json!({"content": "x"}), None);
        event["usage"] = json!({"prompt_tokens": 10, "completion_tokens": tokens});
        answer = answer.event(&event);
    }
    fixture.upstream.always(answer.write("data: [DONE]\n\n"));
    let reply = fixture.user.post("/v1/ai/chat/completions", json!({"stream": true})).await;
    let events: Vec<Value> = reply
        .text()
        .lines()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
        .collect();
    assert_eq!(events.len(), 3, "events with content are never hidden");
    assert_eq!(fixture.metered.all(1).await[0].output_tokens, Some(3));
}
