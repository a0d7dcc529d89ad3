//! What is wrong with a configuration, each fault with the path of its field.

use std::collections::BTreeSet;
use std::fmt;

use downcity_types::Microcredits;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING,
};
use http::{HeaderName, HeaderValue};

use super::{
    AiConfig, Auth, DefaultModes, Mode, ModelConfig, OpenAiMode, Params, PriceConfig,
    ProviderConfig,
};
use crate::provider::check_base_url;

/// The longest time that any limit of a call may have: an hour.
pub(crate) const MAX_CALL_MS: u64 = 3_600_000;

/// The longest that a job may be pending: a week.
const MAX_PENDING_MS: u64 = 7 * 24 * 3_600_000;

/// One fault of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field within `[ai]`, such as `model[0].provider`.
    pub path: String,
    /// What is wrong with it, and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ai.{}: {}", self.path, self.message)
    }
}

impl AiConfig {
    /// Everything that is wrong with the configuration; empty when it can be used.
    #[must_use]
    pub fn validate(&self) -> Vec<Problem> {
        let mut found = Found::default();
        self.check_limits(&mut found);
        self.storage.check(&mut found);
        let mut ids = BTreeSet::new();
        for (index, provider) in self.provider.iter().enumerate() {
            let at = format!("provider[{index}]");
            found.id(&at, &provider.id, &mut ids);
            provider.check(&at, &mut found);
        }
        let providers = self.providers();
        ids.extend(providers.iter().map(|provider| provider.id.as_str()));
        let mut models = BTreeSet::new();
        for (index, model) in self.model.iter().enumerate() {
            let at = format!("model[{index}]");
            found.id(&at, &model.id, &mut models);
            if model.upstreams.is_empty() && !ids.contains(model.provider.as_str()) {
                let message = unknown("provider", &model.provider, ids.iter().copied());
                found.add(&at, "provider", message);
            }
            model.check_upstreams(&at, &ids, &mut found);
            let sources = model.sources();
            let behind = |provider: &&ProviderConfig| {
                sources.iter().any(|source| source.provider == provider.id)
            };
            let providers: Vec<&ProviderConfig> = providers.iter().filter(behind).collect();
            model.check(&at, &providers, &mut found);
        }
        found.0
    }

    fn check_limits(&self, found: &mut Found) {
        let times = &self.timeouts;
        for (field, value) in [
            ("keep_alive_ms", self.keep_alive_ms),
            ("timeouts.connect_ms", times.connect_ms),
            ("timeouts.first_byte_ms", times.first_byte_ms),
            ("timeouts.idle_ms", times.idle_ms),
            ("timeouts.total_ms", times.total_ms),
        ] {
            if !(1..=MAX_CALL_MS).contains(&value) {
                found.top(field, format!("must be 1 to {MAX_CALL_MS} milliseconds"));
            }
        }
        if !(1..=MAX_PENDING_MS).contains(&self.image_max_pending_duration_ms) {
            let message = format!("must be 1 to {MAX_PENDING_MS} milliseconds");
            found.top("image_max_pending_duration_ms", message);
        }
        if !(1..=MAX_CALL_MS).contains(&self.media_wait_ms) {
            found.top("media_wait_ms", format!("must be 1 to {MAX_CALL_MS} milliseconds"));
        }
        if !(1..=10).contains(&self.retries.attempts) {
            found.top("retries.attempts", "must be 1 to 10");
        }
        for (field, value) in [
            ("retries.backoff_ms", self.retries.backoff_ms),
            ("retries.budget_ms", self.retries.budget_ms),
            ("cool_down.first_ms", self.cool_down.first_ms),
            ("cool_down.most_ms", self.cool_down.most_ms),
        ] {
            if value > MAX_CALL_MS {
                found.top(field, format!("must be at most {MAX_CALL_MS} milliseconds"));
            }
        }
        for (field, is_zero) in [
            ("max_concurrent", self.max_concurrent == Some(0)),
            ("max_messages", self.max_messages == 0),
            ("max_message_bytes", self.max_message_bytes == 0),
            ("max_audio_bytes", self.max_audio_bytes == 0),
        ] {
            if is_zero {
                found.top(field, "must be at least 1");
            }
        }
    }
}

impl ProviderConfig {
    fn check(&self, at: &str, found: &mut Found) {
        if let Some(url) = &self.base_url
            && let Err(why) = check_base_url(url)
        {
            found.add(at, "base_url", why);
        }
        if self.protocol.needs_base_url() && self.base_url.is_none() && self.base_url_env.is_none()
        {
            found.add(at, "base_url", "is required, such as \"https://api.openai.com/v1\"");
        }
        for (field, key) in [("env_key", &self.env_key), ("base_url_env", &self.base_url_env)] {
            if let Some(key) = key {
                found.env_key(at, field, key);
            }
        }
        for key in &self.env_keys {
            found.env_key(at, "env_keys", key);
        }
        let mut keys = BTreeSet::new();
        for key in self.api_keys().filter(|&key| !keys.insert(key)) {
            found.add(at, "env_keys", format!("{key:?} is named twice"));
        }
        for key in self.env.keys() {
            found.env_key(at, "env", key);
        }
        self.check_headers(at, found);
        self.check_media(at, found);
        for name in self.strip.iter().chain(self.force.keys()) {
            if matches!(name.as_str(), "model" | "messages" | "stream") {
                found.add(at, "strip/force", format!("{name:?} belongs to the call itself"));
            }
        }
    }

    fn check_headers(&self, at: &str, found: &mut Found) {
        const OURS: [HeaderName; 5] =
            [HOST, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING];
        for (name, value) in &self.headers {
            match HeaderName::try_from(name) {
                Err(_) => found.add(at, "headers", format!("{name:?} is not a header name")),
                Ok(name) if OURS.contains(&name) => {
                    found.add(at, "headers", format!("{name:?} is set by the connection itself"));
                }
                Ok(name) if self.api_keys().next().is_some() && self.auth.is_header(&name) => {
                    let message = format!("{name:?} is set from env_key; leave one of the two out");
                    found.add(at, "headers", message);
                }
                Ok(_) => {}
            }
            if HeaderValue::from_str(value).is_err() {
                found.add(at, "headers", format!("the value of {name:?} cannot be sent"));
            }
        }
        match &self.auth {
            Auth::Header(name) if HeaderName::try_from(name).is_err() => {
                found.add(at, "auth", format!("{name:?} is not a header name"));
            }
            Auth::Query(name) if name.is_empty() => {
                found.add(at, "auth", "the query parameter needs a name");
            }
            _ => {}
        }
    }
}

impl Auth {
    /// Whether the API key stands in this header.
    fn is_header(&self, name: &HeaderName) -> bool {
        match self {
            Self::Bearer => *name == AUTHORIZATION,
            Self::Header(own) => name.as_str().eq_ignore_ascii_case(own),
            Self::Query(_) | Self::None => false,
        }
    }
}

impl ModelConfig {
    /// Upstreams take the place of the one provider.
    fn check_upstreams(&self, at: &str, ids: &BTreeSet<&str>, found: &mut Found) {
        let names_one = !self.provider.is_empty() || self.upstream_model.is_some();
        if names_one && !self.upstreams.is_empty() {
            found.add(
                at,
                "upstreams",
                "takes the place of provider and upstream_model; leave them out",
            );
        }
        let mut seen = BTreeSet::new();
        for (index, upstream) in self.upstreams.iter().enumerate() {
            let at = format!("{at}.upstreams[{index}]");
            if !ids.contains(upstream.provider.as_str()) {
                let message = unknown("provider", &upstream.provider, ids.iter().copied());
                found.add(&at, "provider", message);
            }
            if !seen.insert((&upstream.provider, &upstream.upstream_model)) {
                found.add(&at, "provider", "stands in the list already, with the same model");
            }
            if upstream.first_byte_ms.is_some_and(|most| !(1..=MAX_CALL_MS).contains(&most)) {
                let message = format!("must be 1 to {MAX_CALL_MS} milliseconds");
                found.add(&at, "first_byte_ms", message);
            }
        }
    }

    fn check(&self, at: &str, providers: &[&ProviderConfig], found: &mut Found) {
        if self.name.trim().is_empty() {
            found.add(at, "name", "must not be empty");
        }
        for key in self.env.keys() {
            found.env_key(at, "env", key);
        }
        let modes = self.modes_with(providers);
        if modes.is_empty() {
            let message = match &self.modes {
                Some(_) => "must name at least one mode",
                None => "the model's providers have no mode in common",
            };
            found.add(at, "modes", message);
        }
        for mode in &modes {
            for provider in providers.iter().filter(|provider| !provider.can(*mode)) {
                let why = if *mode == Mode::Openai && provider.openai_mode == OpenAiMode::Off {
                    "is off at the provider (openai_mode)".to_owned()
                } else {
                    format!("is not what the provider {:?} offers", provider.id)
                };
                found.add(at, "modes", format!("\"{}\" {why}", mode.as_str()));
            }
        }
        if let DefaultModes::Modes(wanted) = &self.default {
            for mode in wanted.iter().filter(|mode| !modes.contains(mode)) {
                let message = format!("\"{}\" is not among the model's modes", mode.as_str());
                found.add(at, "default", message);
            }
        }
        if self.max_output == Some(0) {
            found.add(at, "max_output", "must be at least 1");
        }
        self.default_params.check(&format!("{at}.default_params"), found);
        self.max_params.check(&format!("{at}.max_params"), found);
        if let Some(price) = &self.price {
            price.check(&format!("{at}.price"), found);
        }
    }
}

impl Params {
    fn check(&self, at: &str, found: &mut Found) {
        for (field, value, most) in
            [("temperature", self.temperature, 2.0), ("top_p", self.top_p, 1.0)]
        {
            if value.is_some_and(|value| !(0.0..=most).contains(&value)) {
                found.add(at, field, format!("must be 0 to {most}"));
            }
        }
    }
}

impl PriceConfig {
    fn check(&self, at: &str, found: &mut Found) {
        let fixed = [
            ("per_request", self.per_request),
            ("input_per_m", self.input_per_m),
            ("cached_per_m", self.cached_per_m),
            ("output_per_m", self.output_per_m),
            ("per_image", self.per_image),
            ("per_second", self.per_second),
            ("minimum", self.minimum),
        ];
        let by_mode = self.per_mode.values().map(|&price| ("per_mode", Some(price)));
        for (field, price) in fixed.into_iter().chain(by_mode) {
            if price.is_some_and(|price| price < Microcredits::ZERO) {
                found.add(at, field, "must not be negative");
            }
        }
    }
}

/// The faults so far.
#[derive(Default)]
pub(super) struct Found(Vec<Problem>);

impl Found {
    fn top(&mut self, path: &str, message: impl Into<String>) {
        self.0.push(Problem { path: path.to_owned(), message: message.into() });
    }

    pub(super) fn add(&mut self, at: &str, field: &str, message: impl Into<String>) {
        self.top(&format!("{at}.{field}"), message);
    }

    fn id<'a>(&mut self, at: &str, id: &'a str, seen: &mut BTreeSet<&'a str>) {
        if id.is_empty() || id != id.trim() || id.chars().any(char::is_control) {
            self.add(at, "id", "must be a text without spaces around it");
        } else if !seen.insert(id) {
            self.add(at, "id", format!("{id:?} is taken by an earlier entry"));
        }
    }

    pub(super) fn env_key(&mut self, at: &str, field: &str, key: &str) {
        let first = key.bytes().next().is_some_and(|b| b.is_ascii_uppercase() || b == b'_');
        let rest = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        if !first || !key.bytes().all(rest) {
            let message = format!("{key:?} is not an env key; use A-Z, 0-9 and _");
            self.add(at, field, message);
        }
    }
}

/// The longest name that is compared and repeated, in characters: a caller may send any.
const LONGEST_NAME: usize = 100;

/// "no provider is called …", with the nearest known name.
pub(crate) fn unknown<'a>(
    kind: &str,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> String {
    let is_long = name.chars().nth(LONGEST_NAME).is_some();
    let shown: String = name.chars().take(LONGEST_NAME).collect();
    let shown = if is_long { format!("{shown}…") } else { shown };
    let distance = |candidate: &&str| {
        strsim::damerau_levenshtein(&shown.to_lowercase(), &candidate.to_lowercase())
    };
    let nearest = known.clone().filter(|_| !is_long).min_by_key(distance);
    match nearest {
        Some(near) if distance(&near) <= 2.max(name.chars().count() / 3) => {
            format!("no {kind} is called {shown:?}; did you mean {near:?}?")
        }
        _ => {
            let list: Vec<&str> = known.take(8).collect();
            if list.is_empty() {
                format!("no {kind} is called {shown:?}; none is configured")
            } else {
                format!("no {kind} is called {shown:?}; there are: {}", list.join(", "))
            }
        }
    }
}
