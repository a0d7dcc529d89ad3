//! The catalog: which models there are, what they need, and which one answers a call.
//!
//! A catalog is immutable. A change of the configuration makes a new one; calls under way keep the
//! one that they began with.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use std::time::Duration;

use downcity_core::{Call, Error, Result};
use downcity_types::{EnvRequirement, ErrorCode};
use http::StatusCode;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::{
    AiConfig, CoolDown, DefaultModes, MaxTokensField, Mode, ModelConfig, OnDisconnect, OpenAiMode,
    Params, PriceConfig, Problem, ProtocolKind, ProviderConfig, Retries, UpstreamConfig,
    echo_model, unknown,
};
use crate::limits::CallLimits;
use crate::price::Rate;
use crate::provider::{
    Anthropic, Echo, Gemini, HttpTemplate, ImageJobs, OpenAi, OpenAiImages, Protocol,
};
use crate::routing::Cooling;
use crate::storage::Storage;
use crate::stored::{LeftOut, Merged};
use crate::upstream::HyperUpstream;

/// Models and settings of one configuration.
pub(crate) struct Catalog {
    models: Vec<Arc<Model>>,
    by_id: HashMap<Box<str>, usize>,
    /// Settings that every call reads.
    pub(crate) settings: CallSettings,
    providers: Vec<Arc<Provider>>,
    slots: Option<Arc<Semaphore>>,
    /// The ids of the models that the table has brought.
    pub(crate) stored: HashSet<String>,
    /// The ids of the models that nobody has configured or stored.
    pub(crate) built_in: HashSet<String>,
    /// The rows of the table that are no models.
    pub(crate) left_out: Vec<LeftOut>,
    /// Where generated files live.
    pub(crate) storage: Arc<Storage>,
    /// The way to the providers, with its pool of connections.
    pub(crate) upstream: Arc<HyperUpstream>,
}

/// What every call reads of the configuration.
#[derive(Clone)]
pub(crate) struct CallSettings {
    pub(crate) limits: CallLimits,
    pub(crate) retries: Retries,
    pub(crate) cool_down: CoolDown,
    /// The keys that rest.
    pub(crate) cooling: Arc<Cooling>,
    pub(crate) on_disconnect: OnDisconnect,
    /// Whether calls of the trusted side are billed to the user that they name.
    pub(crate) bill_admin: bool,
    pub(crate) max_messages: usize,
    pub(crate) max_message_bytes: usize,
    /// The longest that an image or a video may take.
    pub(crate) max_pending: Duration,
    /// The longest that a call waits for one.
    pub(crate) media_wait: Duration,
    pub(crate) max_audio_bytes: usize,
}

/// A provider as calls use it.
pub(crate) struct Provider {
    pub(crate) id: String,
    /// The ways in, one for each API key, in order; never none.
    pub(crate) accesses: Vec<Access>,
    /// The env key that holds its address, where there is one.
    pub(crate) base_url_env: Option<String>,
    pub(crate) openai_mode: OpenAiMode,
    pub(crate) text_only: bool,
    pub(crate) lenient: bool,
    pub(crate) include_usage: bool,
    /// It speaks the Messages API of Anthropic, and takes what that has beyond the form of OpenAI.
    pub(crate) speaks_messages: bool,
    pub(crate) max_tokens_field: MaxTokensField,
    pub(crate) options_key: String,
    pub(crate) strip: Vec<String>,
    pub(crate) force: Map<String, Value>,
}

/// A provider with one of its API keys.
pub(crate) struct Access {
    /// The env key that holds the API key, where the provider has one.
    pub(crate) key: Option<String>,
    pub(crate) protocol: Arc<dyn Protocol>,
}

/// A model as calls use it, at the first of its upstreams.
pub(crate) struct Model {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) tags: Vec<String>,
    pub(crate) meta: Map<String, Value>,
    pub(crate) hidden: bool,
    /// In the order of the catalog.
    pub(crate) modes: Vec<Mode>,
    pub(crate) default_modes: Vec<Mode>,
    pub(crate) env: Vec<EnvRequirement>,
    /// The env keys that this upstream cannot be asked without: one of each list.
    needs: Vec<Vec<String>>,
    /// The provider's own name of the model.
    pub(crate) upstream_model: String,
    /// The same as JSON, as it goes into each request.
    pub(crate) upstream_model_json: Box<RawValue>,
    pub(crate) provider: Arc<Provider>,
    /// How long this upstream may take until its answer begins, where it has a limit of its own.
    pub(crate) first_byte: Option<Duration>,
    /// The same model at its further upstreams, in order.
    pub(crate) fallbacks: Vec<Arc<Model>>,
    pub(crate) max_output: Option<u64>,
    /// The price as it is shown.
    pub(crate) price: Option<PriceConfig>,
    /// What a call costs by its mode, in the order of [`Mode::ALL`].
    rates: [Option<Rate>; Mode::ALL.len()],
    pub(crate) default_params: Params,
    pub(crate) max_params: Params,
}

/// The providers of a configuration by their ids.
type Providers<'a> = HashMap<&'a str, (&'a ProviderConfig, Arc<Provider>)>;

impl Catalog {
    /// Builds the catalog of a configuration.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration.
    pub(crate) fn build(
        config: &AiConfig,
        upstream: Arc<HyperUpstream>,
        cooling: Arc<Cooling>,
    ) -> Result<Self, Vec<Problem>> {
        let problems = config.validate();
        if !problems.is_empty() {
            return Err(problems);
        }
        let storage = Storage::new(&config.storage, &upstream).map_err(|wrong| vec![wrong])?;
        let configured = config.providers();
        let built = |config| (config, Arc::new(Provider::new(config, &upstream)));
        let providers: Providers<'_> =
            configured.iter().map(|config| (config.id.as_str(), built(config))).collect();
        let mut models = Vec::new();
        for (index, model) in config.model.iter().enumerate() {
            let built = Model::with_upstreams(model, &providers).ok_or_else(|| {
                let path = format!("model[{index}].provider");
                let message = unknown("provider", &model.provider, std::iter::empty());
                vec![Problem { path, message }]
            })?;
            models.push(Arc::new(built));
        }
        if models.is_empty() && config.provider.is_empty() {
            models.extend(Model::with_upstreams(&echo_model(), &providers).map(Arc::new));
        }
        let by_id = models.iter().enumerate().map(|(at, model)| (model.id.as_str().into(), at));
        Ok(Self {
            providers: providers.into_values().map(|(_, provider)| provider).collect(),
            by_id: by_id.collect(),
            models,
            settings: CallSettings {
                limits: CallLimits::new(config),
                retries: config.retries.clone(),
                cool_down: config.cool_down.clone(),
                cooling,
                on_disconnect: config.on_disconnect,
                bill_admin: config.bill_admin,
                max_messages: config.max_messages,
                max_message_bytes: config.max_message_bytes,
                max_pending: Duration::from_millis(config.image_max_pending_duration_ms),
                media_wait: Duration::from_millis(config.media_wait_ms),
                max_audio_bytes: config.max_audio_bytes,
            },
            storage: Arc::new(storage),
            stored: HashSet::new(),
            built_in: HashSet::new(),
            left_out: Vec::new(),
            slots: config.max_concurrent.map(|most| Arc::new(Semaphore::new(most))),
            upstream,
        })
    }

    /// Notes where the models are from.
    pub(crate) fn take_origins(&mut self, own: &AiConfig, Merged { stored, left_out, .. }: Merged) {
        let is_own = |id: &str| own.model.iter().any(|model| model.id == id);
        let ids = self.models.iter().map(|model| &model.id);
        let built_in = ids.filter(|id| !stored.contains(*id) && !is_own(id)).cloned().collect();
        self.built_in = built_in;
        self.stored = stored;
        self.left_out = left_out;
    }

    /// Every model, those that callers of `text` get by default first.
    pub(crate) fn listed(&self) -> Vec<&Arc<Model>> {
        let mut models: Vec<&Arc<Model>> = self.models.iter().collect();
        // Stable: models of one score keep the order of the configuration.
        models.sort_by_key(|model| std::cmp::Reverse(model.score(Mode::Text)));
        models
    }

    /// Whether somebody wants the model: it was configured or stored, or it has all of its keys.
    pub(crate) fn is_wanted(&self, model: &Model, call: &Call) -> bool {
        !self.built_in.contains(&model.id) || model.missing_env(call).is_none()
    }

    /// The env keys of all models: described by the first model that needs one, with the names of
    /// all that do. What built-in models alone need is optional.
    pub(crate) fn env_requirements(&self) -> Vec<EnvRequirement> {
        let mut found: Vec<(EnvRequirement, Vec<&str>)> = Vec::new();
        for model in &self.models {
            let fallbacks = model.fallbacks.iter().flat_map(|fallback| &fallback.env);
            let is_built_in = self.built_in.contains(&model.id);
            for needed in model.env.iter().chain(fallbacks) {
                let required = needed.required && !is_built_in;
                match found.iter_mut().find(|(known, _)| known.key == needed.key) {
                    Some((known, names)) => {
                        known.required |= required;
                        if !names.contains(&model.name.as_str()) {
                            names.push(&model.name);
                        }
                    }
                    None => {
                        let needed = EnvRequirement { required, ..needed.clone() };
                        found.push((needed, vec![&model.name]));
                    }
                }
            }
        }
        let named = found.into_iter().map(|(mut needed, names)| {
            needed.description = format!("{} - used by {}", needed.description, names.join(", "));
            needed
        });
        named.collect()
    }

    /// A model by its id, whatever its keys.
    pub(crate) fn find(&self, id: &str) -> Option<&Arc<Model>> {
        self.by_id.get(id).and_then(|&at| self.models.get(at))
    }

    /// The model that answers: the one that is asked for, else the best that is callable now.
    ///
    /// # Errors
    /// 422 when there is none (404 on the surfaces of others); 500 `missing_config` when its env keys
    /// are not set; 404 for a city that the trusted side names and that there is not.
    pub(crate) fn resolve(
        &self,
        asked: Option<&str>,
        mode: Mode,
        call: &Call,
    ) -> Result<Arc<Model>> {
        check_city(call)?;
        let asked = asked.map(str::trim).filter(|id| !id.is_empty());
        let Some(id) = asked else { return self.default_model(mode, call) };
        let Some(model) = self.find(id) else {
            return Err(self.unknown_model(id, call));
        };
        if !model.modes.contains(&mode) {
            let modes: Vec<&str> = model.modes.iter().map(|mode| mode.as_str()).collect();
            let message = format!(
                "The model {id:?} does not support {:?}; it supports: {}.",
                mode.as_str(),
                modes.join(", ")
            );
            let error = Error::new(ErrorCode::ModelUnsupported, message);
            return Err(error.with_field("model", "does not support this kind of call"));
        }
        match model.missing_env(call) {
            // Nobody has asked for it, so users do not know it.
            Some(_) if self.built_in.contains(&model.id) && !call.identity().is_trusted() => {
                Err(self.unknown_model(id, call))
            }
            Some(key) => Err(Error::missing_config(key)),
            None => Ok(model.clone()),
        }
    }

    /// Names the nearest of the models that the caller can see. On the surfaces of OpenAI and Anthropic
    /// it is the 404 that their SDKs know; on the routes of the service itself a request that cannot be
    /// carried out.
    pub(crate) fn unknown_model(&self, id: &str, call: &Call) -> Error {
        let seen = |model: &&Arc<Model>| !model.hidden && model.missing_env(call).is_none();
        let seen = self.models.iter().filter(seen).map(|model| model.id.as_str());
        let message = unknown("model", id, seen).replacen("no model", "No model", 1);
        let end = if message.ends_with('?') { "" } else { "." };
        let error = Error::new(ErrorCode::ModelNotFound, format!("{message}{end}"))
            .with_field("model", "is no model that can be called")
            .with_fix("GET /v1/ai/models lists the models.");
        match call.action().path().starts_with("/v1/ai/") {
            true => error,
            false => error.with_status(StatusCode::NOT_FOUND),
        }
    }

    fn default_model(&self, mode: Mode, call: &Call) -> Result<Arc<Model>> {
        let best = self
            .models
            .iter()
            .filter(|model| model.modes.contains(&mode) && !model.hidden)
            .filter(|model| model.missing_env(call).is_none())
            // Of equals the last is the maximum: reversed, that is the first of the configuration.
            .rev()
            .max_by_key(|model| model.score(mode));
        best.cloned().ok_or_else(|| {
            let message = if self.models.is_empty() {
                "No model is configured.".to_owned()
            } else {
                format!("No model for {:?} is available now.", mode.as_str())
            };
            Error::new(ErrorCode::ModelNotFound, message)
                .with_fix("GET /v1/ai/models lists the models that can be called.")
        })
    }

    /// What can try a value of this env key.
    pub(crate) fn probing(&self, key: &str) -> impl Iterator<Item = &Arc<dyn Protocol>> {
        let accesses = self.providers.iter().flat_map(|provider| &provider.accesses);
        accesses.map(|access| &access.protocol).filter(move |protocol| protocol.probes(key))
    }

    /// Whether calls of a city use a value of this env key that the city has of its own.
    pub(crate) fn reads_for_cities(&self, key: &str) -> bool {
        let is_in_a_request = self.providers.iter().any(|provider| {
            let mut keys = provider.accesses.iter().filter_map(|access| access.key.as_deref());
            keys.any(|known| known == key) || provider.base_url_env.as_deref() == Some(key)
        });
        is_in_a_request || self.env_requirements().iter().any(|needed| needed.key == key)
    }

    /// A place among the calls that may be under way at the same time.
    ///
    /// # Errors
    /// 429 when all are taken.
    pub(crate) fn take_slot(&self) -> Result<Option<OwnedSemaphorePermit>> {
        let Some(slots) = &self.slots else { return Ok(None) };
        slots.clone().try_acquire_owned().map(Some).map_err(|_| {
            let retry_after = http::HeaderValue::from_static("1");
            Error::new(ErrorCode::RateLimited, "Too many AI calls are under way; try again.")
                .with_header(http::header::RETRY_AFTER, retry_after)
        })
    }
}

/// Calls of the trusted side may be made for a city, which then has to exist: its keys count, and its
/// users pay.
fn check_city(call: &Call) -> Result<()> {
    let is_named = call.identity().is_trusted()
        && call
            .input()
            .get("city_id")
            .and_then(Value::as_str)
            .is_some_and(|id| !id.trim().is_empty());
    if is_named && call.served_city().is_none() {
        return Err(Error::new(ErrorCode::CityNotFound, "No city has this city_id.")
            .with_fix("GET /v1/cities/list lists the cities."));
    }
    Ok(())
}

impl Provider {
    fn new(config: &ProviderConfig, upstream: &Arc<HyperUpstream>) -> Self {
        let access = |key: Option<&String>| {
            let config = ProviderConfig { env_key: key.cloned(), ..config.clone() };
            let protocol: Arc<dyn Protocol> = match config.protocol {
                ProtocolKind::OpenaiChat
                | ProtocolKind::OpenaiEmbeddings
                | ProtocolKind::OpenaiAudio => Arc::new(OpenAi::new(&config, upstream.clone())),
                ProtocolKind::AnthropicMessages => {
                    Arc::new(Anthropic::new(&config, upstream.clone()))
                }
                ProtocolKind::GeminiGenerateContent => {
                    Arc::new(Gemini::new(&config, upstream.clone()))
                }
                ProtocolKind::OpenaiImages => {
                    Arc::new(OpenAiImages::new(&config, upstream.clone()))
                }
                ProtocolKind::AsyncImageJobs => Arc::new(ImageJobs::new(&config, upstream.clone())),
                ProtocolKind::HttpTemplate => {
                    Arc::new(HttpTemplate::new(&config, upstream.clone()))
                }
                ProtocolKind::Echo => Arc::new(Echo),
            };
            Access { key: config.env_key, protocol }
        };
        let mut accesses: Vec<Access> = config.api_keys().map(|key| access(Some(key))).collect();
        if accesses.is_empty() {
            accesses.push(access(None));
        }
        Self {
            id: config.id.clone(),
            accesses,
            base_url_env: config.base_url_env.clone(),
            openai_mode: config.openai_mode,
            text_only: config.text_only,
            lenient: config.lenient,
            include_usage: config.include_usage,
            speaks_messages: config.protocol == ProtocolKind::AnthropicMessages,
            max_tokens_field: config.max_tokens_field,
            options_key: config.options_key.clone().unwrap_or_else(|| config.id.clone()),
            strip: config.strip.clone(),
            force: config.force.clone(),
        }
    }
}

impl Model {
    /// The model at each of its upstreams; `None` where a provider is missing.
    fn with_upstreams(model: &ModelConfig, providers: &Providers<'_>) -> Option<Self> {
        let sources = model.sources();
        let found = sources.iter().map(|source| providers.get(source.provider.as_str()));
        let found: Vec<_> = found.collect::<Option<_>>()?;
        let configured: Vec<&ProviderConfig> = found.iter().map(|(config, _)| *config).collect();
        let modes = model.modes_with(&configured);
        let is_one_of_several = found.len() > 1;
        let mut built = sources.iter().zip(found).map(|(source, provider)| {
            let mut built = Self::new(model, source, provider, &modes);
            for needed in built.env.iter_mut().filter(|_| is_one_of_several) {
                needed.required = false;
            }
            built
        });
        let first = built.next()?;
        Some(Self { fallbacks: built.map(Arc::new).collect(), ..first })
    }

    fn new(
        model: &ModelConfig,
        upstream: &UpstreamConfig,
        (source, provider): &(&ProviderConfig, Arc<Provider>),
        modes: &[Mode],
    ) -> Self {
        let modes = modes.to_vec();
        let default_modes = match &model.default {
            DefaultModes::All(true) => modes.clone(),
            DefaultModes::All(false) => Vec::new(),
            DefaultModes::Modes(list) => {
                modes.iter().copied().filter(|mode| list.contains(mode)).collect()
            }
        };
        let (env, needs) = env_of(model, source);
        let upstream_model = upstream_model(model, upstream, source);
        Self {
            id: model.id.clone(),
            name: model.name.clone(),
            description: model.description.clone(),
            tags: model.tags.clone(),
            meta: model.meta.clone(),
            hidden: model.hidden,
            env,
            needs,
            upstream_model_json: to_raw_value(&upstream_model).unwrap_or_default(),
            upstream_model,
            provider: provider.clone(),
            first_byte: upstream.first_byte_ms.map(Duration::from_millis),
            fallbacks: Vec::new(),
            max_output: model.max_output,
            rates: Mode::ALL.map(|mode| Rate::of(model.price.as_ref()?, mode)),
            price: model.price.clone(),
            default_params: model.default_params,
            max_params: model.max_params,
            modes,
            default_modes,
        }
    }

    /// How well the model serves callers that name none: 3 to 0.
    fn score(&self, mode: Mode) -> u8 {
        if self.default_modes.contains(&mode) {
            3
        } else if self.default_modes.contains(&Mode::Text) {
            2
        } else {
            u8::from(!self.default_modes.is_empty())
        }
    }

    /// Whether calls cost money in any of its modes.
    pub(crate) fn is_priced(&self) -> bool {
        self.modes.iter().any(|&mode| self.rate(mode).is_some())
    }

    /// What a call in this mode costs; `None` where it is free.
    pub(crate) fn rate(&self, mode: Mode) -> Option<Rate> {
        self.rates.get(mode as usize).copied().flatten()
    }

    /// An env key without a value now, where none of the model's upstreams can be asked without.
    pub(crate) fn missing_env(&self, call: &Call) -> Option<&str> {
        let missing = self.missing_here(call)?;
        let is_ready = |fallback: &Arc<Self>| fallback.missing_here(call).is_none();
        (!self.fallbacks.iter().any(is_ready)).then_some(missing)
    }

    /// The model at each of its upstreams, in order.
    pub(crate) fn upstreams(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.fallbacks.iter().map(Arc::as_ref))
    }

    /// The env keys without a value that upstreams of the model cannot be asked without.
    pub(crate) fn all_missing_env(&self, call: &Call) -> Vec<String> {
        let mut missing: Vec<String> = Vec::new();
        let is_set = |key: &String| call.has_city_env(key);
        let needs = self.upstreams().flat_map(|upstream| &upstream.needs);
        for key in needs.filter(|keys| !keys.iter().any(is_set)).flatten() {
            if !missing.contains(key) {
                missing.push(key.clone());
            }
        }
        missing
    }

    /// An env key that this upstream needs and that has no value now.
    pub(crate) fn missing_here(&self, call: &Call) -> Option<&str> {
        if self.needs.is_empty() {
            return None;
        }
        let is_set = |key: &String| call.has_city_env(key);
        let unmet = self.needs.iter().find(|keys| !keys.iter().any(is_set))?;
        unmet.first().map(String::as_str)
    }
}

/// The one rule for the provider's own name of a model.
fn upstream_model(
    model: &ModelConfig,
    upstream: &UpstreamConfig,
    provider: &ProviderConfig,
) -> String {
    let named = [
        upstream.upstream_model.as_deref(),
        model.meta.get("upstream_model").and_then(Value::as_str),
        provider.passthrough_model.as_deref(),
    ];
    let named = named.into_iter().flatten().map(str::trim).find(|name| !name.is_empty());
    named.unwrap_or(&model.id).to_owned()
}

/// The env keys that are shown for a model, and those that it cannot do without: one of each list.
fn env_of(
    model: &ModelConfig,
    provider: &ProviderConfig,
) -> (Vec<EnvRequirement>, Vec<Vec<String>>) {
    let api_keys: Vec<String> = provider.api_keys().cloned().collect();
    let is_one_of_several = |key: &String| api_keys.len() > 1 && api_keys.contains(key);
    let described = if model.env.is_empty() { &provider.env } else { &model.env };
    let mut shown: Vec<EnvRequirement> = Vec::new();
    let mut needs = Vec::new();
    if described.is_empty() || api_keys.len() > 1 {
        let required = api_keys.len() == 1;
        let undescribed = api_keys.iter().filter(|key| !described.contains_key(*key));
        shown.extend(undescribed.map(|key| EnvRequirement {
            key: key.clone(),
            description: format!("{} API Key", provider.id),
            required,
        }));
        needs.extend((!api_keys.is_empty()).then(|| api_keys.clone()));
    }
    for (key, description) in described.clone() {
        let required = !is_one_of_several(&key);
        if required {
            needs.push(vec![key.clone()]);
        }
        shown.push(EnvRequirement { key, description, required });
    }
    (shown, needs)
}
