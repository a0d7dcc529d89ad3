//! The service `ai`: its state and its routes.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use downcity_core::env::{Candidate, EnvProbe, Probed};
use downcity_core::{ErrorShape, PUBLIC, Service, ServiceDef, USER_OR_ADMIN};

use futures_util::future::join_all;

use crate::billing::{Billing, Cashier, Settle};
use crate::catalog::Catalog;
use crate::config::{AiConfig, MAX_CALL_MS, Problem};
use crate::routing::Cooling;
use crate::upstream::HyperUpstream;

/// The core's own limit for our actions: beyond every limit that can be configured for a call.
pub(crate) const GUARD: Duration = Duration::from_millis(MAX_CALL_MS + 60_000);

/// The service `ai`: a catalog of models behind which providers stand.
pub struct Ai {
    catalog: ArcSwap<Catalog>,
    billing: Billing,
}

impl Ai {
    /// The service with this configuration. What calls cost is held and charged through `billing`.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration.
    pub fn new(config: AiConfig, billing: Billing) -> Result<Arc<Self>, Vec<Problem>> {
        let catalog = build(&config, None, Arc::default())?;
        Ok(Arc::new(Self { catalog: ArcSwap::from_pointee(catalog), billing }))
    }

    /// Takes another configuration; calls under way end with the one that they began with.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration. The running one stays then.
    pub fn apply(&self, config: AiConfig) -> Result<(), Vec<Problem>> {
        let running = self.catalog();
        let cooling = running.settings.cooling.clone();
        let catalog = build(&config, Some(&running.upstream), cooling)?;
        self.catalog.store(Arc::new(catalog));
        Ok(())
    }

    pub(crate) fn billing(&self) -> &Billing {
        &self.billing
    }

    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }
}

/// The catalog of a configuration; connections of the one before are kept where they fit.
fn build(
    config: &AiConfig,
    running: Option<&Arc<HyperUpstream>>,
    cooling: Arc<Cooling>,
) -> Result<Catalog, Vec<Problem>> {
    let connect = Duration::from_millis(config.timeouts.connect_ms);
    let upstream = match running {
        Some(running) if running.connect_timeout() == connect => running.clone(),
        _ => Arc::new(HyperUpstream::new(connect).map_err(|error| {
            vec![Problem { path: "provider".to_owned(), message: format!("no TLS: {error}") }]
        })?),
    };
    Catalog::build(config, upstream, cooling)
}

/// Several providers may use one key: it works where one of them accepts it.
#[async_trait]
impl EnvProbe for Ai {
    fn knows(&self, key: &str) -> bool {
        self.catalog().probing(key).next().is_some()
    }

    fn reads_for_cities(&self, key: &str) -> bool {
        self.catalog().reads_for_cities(key)
    }

    async fn probe(&self, candidate: &Candidate) -> Probed {
        let catalog = self.catalog();
        let tests = catalog.probing(candidate.key()).map(|protocol| protocol.probe(candidate));
        let mut told = Probed::Unknown("No provider uses this key any more.".to_owned());
        for probed in join_all(tests).await {
            match probed {
                Probed::Accepted => return Probed::Accepted,
                Probed::Refused => told = Probed::Refused,
                Probed::Unknown(_) if told == Probed::Refused => {}
                unknown => told = unknown,
            }
        }
        told
    }
}

impl Service for Ai {
    fn id(&self) -> &'static str {
        "ai"
    }

    fn name(&self) -> &'static str {
        "AI"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        let ai = self.clone();
        service.env_probe(self.clone());
        service.job(Settle(self.billing.clone())).recorder(Arc::new(Cashier(self.billing.clone())));
        service.instruction(include_str!("instruction.md")).env_scope(
            "ai-models",
            "AI Models",
            move || ai.catalog().env_requirements(),
        );
        let ai = self.clone();
        service.env_scope("ai-files", "AI Files", move || ai.catalog().storage.env_requirements());
        service
            .get("files/{key}", PUBLIC, &self, Self::file)
            .summary("Get a generated file, such as an image.")
            .description(
                "For whoever has a link to the file, which an answer of another action holds: the link \
                 is signed and ends at `expires`. Ranges and `If-None-Match` are answered.",
            )
            .produces("*/*");
        service
            .get("models", USER_OR_ADMIN, &self, Self::models)
            .summary("List the models that can be called now.")
            .description(
                "Users see the models whose env keys are set; the admin sees all of them, with the \
                 keys that they need. `data` is the same list in the form of OpenAI.",
            );
        service
            .post("text", USER_OR_ADMIN, &self, Self::text)
            .summary("Answer a conversation with one whole message.")
            .timeout(GUARD)
            .moves_money()
            .cancel_on_disconnect();
        service
            .post("stream", USER_OR_ADMIN, &self, Self::stream)
            .summary("Answer a conversation with a UI message stream.")
            .description(
                "Server-sent events: each `data:` holds one chunk, the last one `[DONE]`. A failure \
                 before the first chunk has its own status; a later one is an `error` chunk.",
            )
            .produces("text/event-stream")
            .timeout(GUARD)
            .moves_money()
            .cancel_on_disconnect();
        // The second address is that of OpenAI, for SDKs whose base URL is `<federation>/v1`.
        for path in ["chat/completions", "/v1/chat/completions"] {
            service
                .post(path, USER_OR_ADMIN, &self, Self::chat)
                .summary(
                    "Pass a chat completion on to the model's provider, in the form of OpenAI.",
                )
                .description(
                    "Fields and answers are the provider's. `model` is an id of GET /v1/models, or \
                     absent for the default model.",
                )
                .errors(ErrorShape::OpenAi)
                .produces("application/json")
                .timeout(GUARD)
                .moves_money()
                .cancel_on_disconnect();
        }
        service
            .post("/v1/responses", USER_OR_ADMIN, &self, Self::responses)
            .summary("Answer a conversation with a response, in the form of OpenAI's Responses API.")
            .description(
                "Nothing is stored: `input` holds the whole conversation, and what needs a stored \
                 response is refused with 400. Of tools, functions alone are taken. With `stream` the \
                 answer is the API's sequence of events.",
            )
            .errors(ErrorShape::OpenAi)
            .produces("application/json")
            .timeout(GUARD)
            .moves_money()
            .cancel_on_disconnect();
        service
            .get("/v1/models", USER_OR_ADMIN, &self, Self::openai_models)
            .summary("List the models that can be called now, in the form of OpenAI.")
            .errors(ErrorShape::OpenAi);
        service
            .get("/v1/models/{*model}", USER_OR_ADMIN, &self, Self::openai_model)
            .summary("Show one model in the form of OpenAI.")
            .errors(ErrorShape::OpenAi);
        self.declare_embeddings(service);
        self.declare_messages(service);
    }
}
