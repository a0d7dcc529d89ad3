//! The body that goes to a provider: the caller's bytes, with only that changed which has to be.
//!
//! The object is split into its top-level fields once; values are copied byte by byte, so numbers
//! and texts arrive as they were written.

mod audio;
mod counted;
mod passed;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use downcity_core::{Error, Result};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::catalog::Model;
use crate::config::OpenAiMode;
use crate::convert::normalize;
use crate::convert::request::TextInput;
use crate::price::{self, Consumed};
use crate::provider::Task;

pub(crate) use self::audio::{Recording, text_of};

/// Fields that are meant for the Federation and never leave it.
const OURS: &[&str] = &["city_id", "user_id"];

/// A body that is ready to be sent, and for whom.
pub(crate) struct Outgoing {
    pub(crate) task: Task,
    pub(crate) body: Bytes,
    pub(crate) model: Arc<Model>,
    /// The most that its answer may bring, as far as anybody limits it. For prices: nothing where
    /// the model has none.
    pub(crate) most: Consumed,
    /// A stream of events is asked for.
    pub(crate) stream: bool,
    /// Usage is asked for on our own account: the caller must not see it in a stream.
    pub(crate) hide_usage: bool,
    /// The same request for the model's further upstreams that can take it, in order.
    pub(crate) fallbacks: Vec<Self>,
}

impl Outgoing {
    /// A caller's own chat request, for the model that `resolve` finds for its `model`.
    ///
    /// # Errors
    /// 400 that names the field, 422 for content that the model cannot take, those of `resolve`.
    pub(crate) fn read(
        bytes: &[u8],
        resolve: impl FnOnce(Option<&str>) -> Result<Arc<Model>>,
    ) -> Result<Self> {
        let peek = Fields::read(bytes)?.peek()?;
        let model = resolve(peek.model.as_deref())?;
        Self::of_each(&model, |model| Self::fitted(Fields::read(bytes)?, model, &peek))
    }

    /// The request for one upstream of a model.
    fn fitted<'a>(mut fields: Fields<'a>, model: &'a Arc<Model>, peek: &Peek) -> Result<Self> {
        let hide_usage = peek.stream && model.provider.include_usage && !peek.wants_usage;
        fields.fit(model, peek)?;
        let output_tokens = if model.is_priced() { fields.most_output(model) } else { 0 };
        let most = Consumed { output_tokens, ..Consumed::default() };
        let body = fields.write();
        let model = model.clone();
        let (task, stream) = (Task::Chat, peek.stream);
        Ok(Self { task, body, model, most, stream, hide_usage, fallbacks: Vec::new() })
    }

    /// The request for all upstreams that can take it.
    ///
    /// # Errors
    /// That of the first upstream, where none can.
    pub(crate) fn of_each(
        model: &Arc<Model>,
        make: impl Fn(&Arc<Model>) -> Result<Self>,
    ) -> Result<Self> {
        let first = make(model);
        let mut others = model.fallbacks.iter().filter_map(|fallback| make(fallback).ok());
        let first = match first {
            Ok(first) => first,
            Err(error) => others.next().ok_or(error)?,
        };
        Ok(Self { fallbacks: others.collect(), ..first })
    }

    /// The request for the upstreams after this place; `None` where there are none.
    pub(crate) fn after(&mut self, place: usize) -> Option<Self> {
        let mut others = self.fallbacks.drain(..).skip(place);
        let first = others.next()?;
        Some(Self { fallbacks: others.collect(), ..first })
    }

    /// The chat request that a conversation becomes.
    ///
    /// # Errors
    /// As [`Outgoing::read`].
    pub(crate) fn chat(input: &TextInput, model: &Arc<Model>, stream: bool) -> Result<Self> {
        Self::for_each(model, |model| input.chat_request(model, stream))
    }

    /// The chat request that `request` makes for each upstream of a model, its `model` not yet set.
    ///
    /// # Errors
    /// Those of `request`; as [`Outgoing::read`].
    pub(crate) fn for_each(
        model: &Arc<Model>,
        request: impl Fn(&Model) -> Result<Map<String, Value>>,
    ) -> Result<Self> {
        Self::of_each(model, |model| {
            let request = request(model)?;
            let bytes = serde_json::to_vec(&request).map_err(Error::internal)?;
            let fields = Fields::read(&bytes)?;
            let peek = fields.peek()?;
            Self::fitted(fields, model, &peek)
        })
    }
}

/// The top-level fields of a JSON object, in their order.
pub(crate) struct Fields<'a>(Vec<(Cow<'a, str>, Cow<'a, RawValue>)>);

/// A name that is borrowed where it holds no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::with_capacity(16);
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &RawValue>()? {
                    fields.push((name, Cow::Borrowed(value)));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// What the choice of a model and the form of the answer hang on.
#[derive(Debug, PartialEq)]
struct Peek {
    model: Option<String>,
    stream: bool,
    /// Whether the caller wants a stream to tell its usage.
    wants_usage: bool,
}

impl<'a> Fields<'a> {
    /// Splits the bytes of a JSON object.
    ///
    /// # Errors
    /// 400 when they are none.
    fn read(bytes: &'a [u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|error| {
            Error::new(
                downcity_types::ErrorCode::InvalidJson,
                format!("The body is not a JSON object (line {}).", error.line()),
            )
        })
    }

    /// The last value of this name, which is the one that JSON readers take.
    pub(crate) fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().rfind(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| known != name);
    }

    /// Sets a field in the place of the first of its name, else at the end.
    pub(crate) fn set(&mut self, name: &'a str, value: Cow<'a, RawValue>) {
        let place = self.0.iter().position(|(known, _)| known == name);
        self.remove(name);
        let place = place.unwrap_or(self.0.len()).min(self.0.len());
        self.0.insert(place, (Cow::Borrowed(name), value));
    }

    fn set_json(&mut self, name: &'a str, value: &Value) -> Result<()> {
        let value = serde_json::value::to_raw_value(value).map_err(Error::internal)?;
        self.set(name, Cow::Owned(value));
        Ok(())
    }

    /// Reads what the call itself hangs on.
    ///
    /// # Errors
    /// 400 that names the field.
    fn peek(&self) -> Result<Peek> {
        Ok(Peek {
            model: self.typed("model", "a text")?,
            stream: self.typed("stream", "true or false")?.unwrap_or(false),
            wants_usage: self.usage_option()? == Some(true),
        })
    }

    /// `null` counts as absent.
    fn typed<T: for<'de> Deserialize<'de>>(&self, name: &str, what: &str) -> Result<Option<T>> {
        let Some(raw) = self.get(name) else { return Ok(None) };
        serde_json::from_str(raw.get()).map_err(|_| Error::invalid(name, format!("must be {what}")))
    }

    fn usage_option(&self) -> Result<Option<bool>> {
        #[derive(Deserialize)]
        struct Options {
            include_usage: Option<bool>,
        }
        let options: Option<Options> =
            self.typed("stream_options", "an object with a boolean include_usage")?;
        Ok(options.and_then(|options| options.include_usage))
    }

    /// Makes the fields those for the provider of a model.
    ///
    /// # Errors
    /// 422 when the messages hold what the model cannot take.
    fn fit(&mut self, model: &'a Model, peek: &Peek) -> Result<()> {
        let provider = &*model.provider;
        self.address(model);
        self.settle(&["stream", "stream_options", "max_tokens", "max_completion_tokens", "n"]);
        self.check_limits()?;
        if peek.stream && provider.include_usage && !peek.wants_usage {
            self.ask_for_usage()?;
        }
        self.apply_params(model)?;
        if (provider.text_only || provider.openai_mode == OpenAiMode::Normalize)
            && let Some(messages) = self.get("messages")
            && let Some(flat) = normalize::messages(messages, provider.text_only, provider.lenient)?
        {
            self.set("messages", Cow::Owned(flat));
        }
        self.enforce(model)
    }

    /// Takes out what is not for the provider, and names the model as the provider does.
    fn address(&mut self, model: &'a Model) {
        let strip = &model.provider.strip;
        let keep = |name: &str| !OURS.contains(&name) && !strip.iter().any(|s| s == name);
        self.0.retain(|(name, _)| keep(name));
        self.set("model", Cow::Borrowed(&*model.upstream_model_json));
    }

    /// Sets what the configuration of the provider always sends.
    fn enforce(&mut self, model: &'a Model) -> Result<()> {
        for (name, value) in &model.provider.force {
            self.set_json(name, value)?;
        }
        Ok(())
    }

    /// What limits the answer has to be a number: a provider may read anything else as no limit.
    ///
    /// # Errors
    /// 400 that names the field.
    fn check_limits(&self) -> Result<()> {
        for name in ["max_tokens", "max_completion_tokens", "n"] {
            let Some(raw) = self.get(name).filter(|raw| raw.get() != "null") else { continue };
            let number: Option<f64> = serde_json::from_str(raw.get()).ok();
            let number = number.filter(|number| *number >= 1.0 && number.fract() == 0.0);
            number.ok_or_else(|| Error::invalid(name, "must be a whole number of at least 1"))?;
        }
        Ok(())
    }

    /// The most output tokens that an answer to these fields may have.
    fn most_output(&self, model: &Model) -> u64 {
        let number = |name: &str| {
            let number: f64 = serde_json::from_str(self.get(name)?.get()).ok()?;
            // Whole and positive, as was checked; saturates.
            Some(number as u64)
        };
        let asked = number("max_tokens").max(number("max_completion_tokens"));
        price::most_output(asked, model.max_output, number("n").unwrap_or(1))
    }

    /// Of fields that we have read only the value that we have read may go on: two readers need
    /// not agree on which of two equal names counts.
    fn settle(&mut self, read: &[&str]) {
        for &name in read {
            let named = |(known, _): &(Cow<'a, str>, Cow<'a, RawValue>)| known == name;
            if self.0.iter().filter(|field| named(field)).count() > 1
                && let Some(last) = self.0.iter().rposition(named)
            {
                let kept = self.0.swap_remove(last);
                self.remove(name);
                self.0.push(kept);
            }
        }
    }

    fn ask_for_usage(&mut self) -> Result<()> {
        let options: Option<Map<String, Value>> = self.typed("stream_options", "an object")?;
        let mut options = options.unwrap_or_default();
        options.insert("include_usage".to_owned(), Value::Bool(true));
        self.set_json("stream_options", &Value::Object(options))
    }

    fn apply_params(&mut self, model: &Model) -> Result<()> {
        let (defaults, most) = (&model.default_params, &model.max_params);
        for (name, default, most) in [
            ("temperature", defaults.temperature, most.temperature),
            ("top_p", defaults.top_p, most.top_p),
        ] {
            let given = match (default, most) {
                (None, None) => continue,
                _ => self.typed::<f64>(name, "a number")?,
            };
            let wanted = given.or(default);
            let allowed = wanted.map(|value| most.map_or(value, |most| value.min(most)));
            if let Some(value) = allowed.filter(|_| allowed != given) {
                self.set_json(name, &Value::from(value))?;
            }
        }
        let Some(most) = model.max_output else { return Ok(()) };
        let mut limited = false;
        for name in ["max_tokens", "max_completion_tokens"] {
            let Some(given) = self.typed::<f64>(name, "a number")? else { continue };
            limited = true;
            if given > most as f64 {
                self.set_json(name, &Value::from(most))?;
            }
        }
        if !limited {
            self.set_json(model.provider.max_tokens_field.as_str(), &Value::from(most))?;
        }
        Ok(())
    }

    /// The object.
    pub(crate) fn write(&self) -> Bytes {
        let length: usize =
            self.0.iter().map(|(name, value)| name.len() + value.get().len() + 8).sum();
        let mut out = Vec::with_capacity(length + 2);
        out.push(b'{');
        for (index, (name, value)) in self.0.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            // Writing a text into memory cannot fail.
            let _ = serde_json::to_writer(&mut out, name);
            out.push(b':');
            out.extend_from_slice(value.get().as_bytes());
        }
        out.push(b'}');
        out.into()
    }
}
