//! One chunk of a provider's stream, as far as it is read.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

#[derive(Debug, Deserialize)]
pub(crate) struct Chunk<'a> {
    #[serde(borrow, default)]
    pub(crate) choices: Option<Vec<Choice<'a>>>,
    #[serde(default)]
    pub(crate) usage: Option<Value>,
    #[serde(default)]
    pub(crate) error: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Choice<'a> {
    #[serde(default)]
    pub(crate) index: u32,
    #[serde(borrow, default)]
    pub(crate) delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    pub(crate) finish_reason: Option<Cow<'a, str>>,
    /// The text at which the answer was to stop and did; some providers tell a number in its place.
    #[serde(borrow, default)]
    pub(crate) stop_reason: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Delta<'a> {
    #[serde(borrow, default)]
    pub(crate) content: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) reasoning_content: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) reasoning: Option<Text<'a>>,
    /// Whole blocks of thinking with their signatures.
    #[serde(default)]
    pub(crate) thinking_blocks: Option<Value>,
    #[serde(borrow, default)]
    pub(crate) refusal: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) tool_calls: Option<Vec<ToolDelta<'a>>>,
}

impl Chunk<'_> {
    /// The bytes of all texts in it, for prices.
    pub(crate) fn produced(&self) -> u64 {
        let deltas = self.choices.iter().flatten().filter_map(|choice| choice.delta.as_ref());
        deltas.map(Delta::produced).sum()
    }
}

impl Delta<'_> {
    /// The bytes of all texts in it, for prices. Reasoning stands under one of two names, or the
    /// same under both.
    pub(crate) fn produced(&self) -> u64 {
        let length = |text: &Option<Text<'_>>| text.as_ref().map_or(0, Text::len);
        let reasoning = length(&self.reasoning_content).max(length(&self.reasoning));
        let calls = self.tool_calls.iter().flatten().filter_map(|call| call.function.as_ref());
        let part = |part: &Option<Cow<'_, str>>| part.as_deref().map_or(0, str::len);
        let calls = calls.map(|call| part(&call.name) + part(&call.arguments));
        let words = length(&self.content) + part(&self.refusal);
        (words + reasoning + calls.sum::<usize>()) as u64
    }

    /// About the bytes that remain of it in memory where everything is kept: its texts, and what
    /// nobody pays for.
    pub(crate) fn kept(&self) -> usize {
        let calls = self.tool_calls.iter().flatten().map(|call| {
            let id = call.id.as_deref().map_or(0, str::len);
            id + call.extra_content.as_ref().map_or(0, weight)
        });
        let blocks = self.thinking_blocks.as_ref().map_or(0, weight);
        let texts = usize::try_from(self.produced()).unwrap_or(usize::MAX);
        texts.saturating_add(blocks).saturating_add(calls.sum())
    }
}

/// About the bytes that a value needs in memory.
fn weight(value: &Value) -> usize {
    let inner = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(weight).sum(),
        Value::Object(fields) => {
            let entry =
                |(name, value): (&String, &Value)| size_of::<String>() + name.len() + weight(value);
            fields.iter().map(entry).sum()
        }
    };
    size_of::<Value>() + inner
}

/// A text, or something else in its place that is of no use here.
#[derive(Debug)]
pub(crate) enum Text<'a> {
    Whole(Cow<'a, str>),
    Other,
}

impl<'a> Text<'a> {
    /// The bytes of the text.
    fn len(&self) -> usize {
        match self {
            Self::Whole(text) => text.len(),
            Self::Other => 0,
        }
    }

    /// The text; empty where there is none.
    pub(crate) fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Whole(text) => text,
            Self::Other => Cow::Borrowed(""),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    /// By hand, as each event has one: an untagged enum would copy it before it is looked at.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text::Whole(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text::Whole(Cow::Owned(text.to_owned())))
    }

    /// The texts of parts, one after the other.
    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Text<'de>, A::Error> {
        let mut whole = String::new();
        while let Some(part) = parts.next_element::<Value>()? {
            whole.push_str(part.get("text").and_then(Value::as_str).unwrap_or_default());
        }
        Ok(Text::Whole(Cow::Owned(whole)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Text<'de>, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text::Other)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Text<'de>, E> {
        Ok(Text::Other)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Text<'de>, E> {
        Ok(Text::Other)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Text<'de>, E> {
        Ok(Text::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Text<'de>, E> {
        Ok(Text::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Text<'de>, E> {
        Ok(Text::Other)
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct ToolDelta<'a> {
    #[serde(default)]
    pub(crate) index: Option<usize>,
    #[serde(borrow, default)]
    pub(crate) id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) function: Option<FunctionDelta<'a>>,
    /// What the provider wants to see again beside the call.
    #[serde(default)]
    pub(crate) extra_content: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct FunctionDelta<'a> {
    #[serde(borrow, default)]
    pub(crate) name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) arguments: Option<Cow<'a, str>>,
}
