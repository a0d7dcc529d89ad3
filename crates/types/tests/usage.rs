//! Token usage of the providers we know.

use downcity_types::{TokenCounts, Usage};
use proptest::prelude::*;
use serde_json::{Value, json};

fn counts(usage: &Value) -> Option<(u64, u64, u64)> {
    TokenCounts::from_usage(usage)
        .map(|counts| (counts.input_tokens, counts.cached_tokens, counts.output_tokens))
}

#[test]
fn counts_of_known_shapes() {
    for (usage, expected) in [
        (
            json!({"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 3, "prompt_cache_miss_tokens": 7}),
            (7, 3, 5),
        ),
        (json!({"inputTokens": 10, "cachedInputTokens": 4, "outputTokens": 1}), (6, 4, 1)),
        (json!({"prompt_tokens": 10, "completion_tokens": 5}), (10, 0, 5)),
        (
            json!({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}),
            (6, 4, 5),
        ),
        (
            json!({"inputTokens": 10, "inputTokenDetails": {"noCacheTokens": 8, "cacheReadTokens": 2}, "outputTokens": 1}),
            (8, 2, 1),
        ),
        (json!({"promptTokenCount": 3, "candidatesTokenCount": 2}), (3, 0, 2)),
        (json!({"prompt_tokens": 1, "cached_tokens": 5}), (0, 5, 0)),
        (json!({"completion_tokens": 5}), (0, 0, 5)),
    ] {
        assert_eq!(counts(&usage), Some(expected), "{usage}");
    }
}

#[test]
fn odd_numbers() {
    for (usage, expected) in [
        (json!({"prompt_tokens": "10", "completion_tokens": " 5 "}), (10, 0, 5)),
        (
            json!({"prompt_tokens": 10, "cached_tokens": null, "prompt_tokens_details": null}),
            (10, 0, 0),
        ),
        (json!({"prompt_tokens": -1, "input_tokens": 4}), (4, 0, 0)),
        (json!({"prompt_tokens": "", "input_tokens": 4}), (4, 0, 0)),
        (json!({"prompt_tokens": "NaN", "input_tokens": "inf", "promptTokenCount": 4}), (4, 0, 0)),
        (json!({"prompt_tokens": 4.9}), (4, 0, 0)),
        (json!({"prompt_tokens": u64::MAX}), (u64::MAX, 0, 0)),
    ] {
        assert_eq!(counts(&usage), Some(expected), "{usage}");
    }
    for nothing in [json!(null), json!({}), json!([]), json!("10"), json!({"prompt_tokens": null})]
    {
        assert_eq!(counts(&nothing), None, "{nothing}");
        assert_eq!(Usage::from_openai(&nothing), None);
    }
}

#[test]
fn reasoning_is_counted_where_it_is_told() {
    let reasoning = |usage: Value| TokenCounts::from_usage(&usage).unwrap().reasoning_tokens;
    let told =
        json!({"completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 2}});
    assert_eq!(reasoning(told), Some(2));
    assert_eq!(reasoning(json!({"completion_tokens": 5})), None);
}

#[test]
fn message_usage_has_the_documented_shape() {
    let upstream = json!({
        "prompt_tokens": 10, "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    });
    let usage = Usage::from_openai(&upstream).unwrap();
    let expected = json!({
        "inputTokens": 10, "inputTokenDetails": {"noCacheTokens": 6, "cacheReadTokens": 4},
        "outputTokens": 5, "outputTokenDetails": {"textTokens": 3, "reasoningTokens": 2},
        "totalTokens": 15, "reasoningTokens": 2, "cachedInputTokens": 4, "raw": upstream,
    });
    let written = serde_json::to_value(&usage).unwrap();
    assert_eq!(written, expected);
    assert_eq!(serde_json::to_string(&Usage::default()).unwrap(), "{}");
    // What we show is itself a shape that metering can read.
    assert_eq!(counts(&written), Some((6, 4, 5)));
}

proptest! {
    #[test]
    fn totals_add_up(input in 0..1_000_000_u64, cached in 0..1_000_000_u64, output in 0..1_000_000_u64) {
        let upstream = json!({
            "prompt_tokens": input, "completion_tokens": output,
            "prompt_tokens_details": {"cached_tokens": cached},
        });
        let counts = TokenCounts::from_usage(&upstream).unwrap();
        prop_assert_eq!(counts.input_tokens + counts.cached_tokens, input.max(cached));
        let usage = Usage::from_openai(&upstream).unwrap();
        prop_assert_eq!(usage.total_tokens, Some(input.max(cached) + output));
        let shown = TokenCounts::from_usage(&serde_json::to_value(&usage).unwrap()).unwrap();
        prop_assert_eq!((shown.input_tokens, shown.cached_tokens, shown.output_tokens),
            (counts.input_tokens, counts.cached_tokens, counts.output_tokens));
    }
}
