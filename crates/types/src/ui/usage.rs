//! Token usage: as messages show it, and as metering counts it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Token usage in the metadata of a message. Counts that are not known are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// All input tokens, cached ones included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Input tokens by kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_token_details: Option<InputTokenDetails>,
    /// All output tokens, reasoning included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Output tokens by kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_token_details: Option<OutputTokenDetails>,
    /// Input plus output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_tokens: Option<u64>,
    /// Same as `outputTokenDetails.reasoningTokens`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// Same as `inputTokenDetails.cacheReadTokens`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input_tokens: Option<u64>,
    /// The provider's own usage object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Value>,
}

/// Input tokens by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InputTokenDetails {
    /// Not read from the provider's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_cache_tokens: Option<u64>,
    /// Read from the provider's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read_tokens: Option<u64>,
    /// Written to the provider's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u64>,
}

/// Output tokens by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutputTokenDetails {
    /// The answer itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_tokens: Option<u64>,
    /// The reasoning before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
}

impl Usage {
    /// From the `usage` object of an OpenAI-compatible provider, which is kept as `raw`. `None` if the
    /// value has no count that we know.
    ///
    /// Cached and reasoning tokens that the provider does not name count as 0.
    #[must_use]
    pub fn from_openai(usage: &Value) -> Option<Self> {
        let counts = TokenCounts::from_usage(usage)?;
        let reasoning = counts.reasoning_tokens.unwrap_or(0);
        let input = counts.input_tokens.saturating_add(counts.cached_tokens);
        Some(Self {
            input_tokens: Some(input),
            input_token_details: Some(InputTokenDetails {
                no_cache_tokens: Some(counts.input_tokens),
                cache_read_tokens: Some(counts.cached_tokens),
                cache_write_tokens: None,
            }),
            output_tokens: Some(counts.output_tokens),
            output_token_details: Some(OutputTokenDetails {
                text_tokens: Some(counts.output_tokens.saturating_sub(reasoning)),
                reasoning_tokens: Some(reasoning),
            }),
            total_tokens: Some(input.saturating_add(counts.output_tokens)),
            reasoning_tokens: Some(reasoning),
            cached_input_tokens: Some(counts.cached_tokens),
            raw: Some(usage.clone()),
        })
    }
}

/// Token counts for metering and pricing. `input_tokens` and `cached_tokens` do not overlap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenCounts {
    /// Input tokens that were not read from the provider's cache.
    pub input_tokens: u64,
    /// Input tokens that were read from the provider's cache.
    pub cached_tokens: u64,
    /// Output tokens, reasoning included.
    pub output_tokens: u64,
    /// The part of `output_tokens` that is reasoning, where the provider tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
}

/// Where a count can stand: a key at the top, or a key within a details object.
type Place = (&'static str, &'static str);

const CACHED: &[Place] = &[
    ("", "cached_input_tokens"),
    ("", "cachedTokens"),
    ("", "cached_tokens"),
    ("", "prompt_cache_hit_tokens"),
    ("inputTokenDetails", "cacheReadTokens"),
    ("inputTokenDetails", "cachedTokens"),
    ("prompt_tokens_details", "cached_tokens"),
    ("prompt_tokens_details", "cachedTokens"),
    ("", "cachedInputTokens"),
];

const UNCACHED: &[Place] = &[
    ("", "prompt_cache_miss_tokens"),
    ("inputTokenDetails", "noCacheTokens"),
    ("inputTokenDetails", "inputTokens"),
    ("prompt_tokens_details", "no_cache_tokens"),
    ("prompt_tokens_details", "noCacheTokens"),
];

const INPUT_TOTAL: &[Place] = &[
    ("", "promptTokens"),
    ("", "prompt_tokens"),
    ("", "inputTokens"),
    ("", "input_tokens"),
    ("", "promptTokenCount"),
    ("", "prompt_token_count"),
];

const OUTPUT: &[Place] = &[
    ("", "outputTokens"),
    ("", "output_tokens"),
    ("", "completionTokens"),
    ("", "completion_tokens"),
    ("", "candidatesTokenCount"),
    ("", "candidates_token_count"),
];

const REASONING: &[Place] = &[
    ("", "reasoningTokens"),
    ("", "reasoning_tokens"),
    ("outputTokenDetails", "reasoningTokens"),
    ("completion_tokens_details", "reasoning_tokens"),
    ("completion_tokens_details", "reasoningTokens"),
    ("output_tokens_details", "reasoning_tokens"),
];

impl TokenCounts {
    /// Reads a usage object of any of the known providers. `None` if it names neither input nor output.
    ///
    /// Each count is the first finite, non-negative number among its names; texts that are numbers
    /// count, `null` does not, fractions are cut off.
    #[must_use]
    pub fn from_usage(usage: &Value) -> Option<Self> {
        let usage = usage.as_object()?;
        let cached = first_count(usage, CACHED);
        let total = first_count(usage, INPUT_TOTAL);
        let uncached = first_count(usage, UNCACHED)
            .or_else(|| total.map(|total| total.saturating_sub(cached.unwrap_or(0))));
        let output = first_count(usage, OUTPUT);
        if uncached.is_none() && cached.is_none() && output.is_none() {
            return None;
        }
        Some(Self {
            input_tokens: uncached.unwrap_or(0),
            cached_tokens: cached.unwrap_or(0),
            output_tokens: output.unwrap_or(0),
            reasoning_tokens: first_count(usage, REASONING),
        })
    }
}

fn first_count(usage: &Map<String, Value>, places: &[Place]) -> Option<u64> {
    places.iter().find_map(|&(group, key)| {
        let holder = if group.is_empty() { usage } else { field(usage, group)?.as_object()? };
        count(field(holder, key)?)
    })
}

/// Usage objects have few fields, and most names are absent: comparing beats hashing each name.
fn field<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    object.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
}

fn count(value: &Value) -> Option<u64> {
    let number = match value {
        Value::Number(number) => match number.as_u64() {
            Some(exact) => return Some(exact),
            None => number.as_f64()?,
        },
        Value::String(text) => text.trim().parse().ok()?,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    // The cast cuts the fraction off and saturates.
    (number.is_finite() && number >= 0.0).then_some(number as u64)
}
