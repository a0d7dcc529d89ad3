//! The service `ai`: its state and its routes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use downcity_core::env::{Candidate, EnvProbe, Probed};
use downcity_core::{ADMIN, ErrorShape, PUBLIC, Runtime, Service, ServiceDef, USER_OR_ADMIN};

use downcity_db::migrations;
use futures_util::future::join_all;
use tokio::sync::broadcast;

use crate::billing::{Billing, Cashier, Settle};
use crate::catalog::Catalog;
use crate::config::{AiConfig, MAX_CALL_MS, Problem, Starter};
use crate::media::{Produce, sweep_regularly};
use crate::routing::Cooling;
use crate::stored::{self, LeftOut, Merged, StoredRow, merge, without_rows};
use crate::upstream::HyperUpstream;

/// The core's own limit for our actions: beyond every limit that can be configured for a call.
pub(crate) const GUARD: Duration = Duration::from_millis(MAX_CALL_MS + 60_000);

/// The service `ai`: a catalog of models behind which providers stand.
pub struct Ai {
    catalog: Arc<ArcSwap<Catalog>>,
    billing: Billing,
    starter: Starter,
    /// Tells of jobs that ended on this node.
    ended_jobs: broadcast::Sender<Arc<str>>,
    /// Held while the catalog is made anew.
    source: Mutex<Source>,
}

/// What the catalog is made of.
struct Source {
    config: AiConfig,
    rows: Vec<StoredRow>,
    /// Whether a configuration of this process has named providers or models.
    was_configured: bool,
}

impl Ai {
    /// The service with this configuration. What calls cost is held and charged through `billing`.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration.
    pub fn new(config: AiConfig, billing: Billing) -> Result<Arc<Self>, Vec<Problem>> {
        Self::with_starter(config, billing, Starter::default())
    }

    /// The same with another table of providers that count while the configuration names none.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration or the table.
    pub fn with_starter(
        config: AiConfig,
        billing: Billing,
        starter: Starter,
    ) -> Result<Arc<Self>, Vec<Problem>> {
        let was_configured = config.names_its_own();
        let source = Source { config, rows: Vec::new(), was_configured };
        let catalog = build(&source, &starter, None, Arc::default())?;
        Ok(Arc::new(Self {
            catalog: Arc::new(ArcSwap::from_pointee(catalog)),
            billing,
            starter,
            ended_jobs: broadcast::Sender::new(256),
            source: Mutex::new(source),
        }))
    }

    /// Takes another configuration; calls under way end with the one that they began with. One that has
    /// lost its providers leaves `echo`: what is built in comes back with the next start.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration. The running one stays then.
    pub fn apply(&self, mut config: AiConfig) -> Result<(), Vec<Problem>> {
        let mut source = self.source();
        let is_lost = source.was_configured && !config.names_its_own();
        if is_lost && config.starter {
            // A file that was emptied, or is being written, must not make calls free of charge.
            tracing::warn!(
                "the configuration names no provider and no model any more: echo answers"
            );
            config.starter = false;
        }
        let was_configured = source.was_configured || config.names_its_own();
        let next = Source { config, rows: source.rows.clone(), was_configured };
        self.take(next, &mut source)
    }

    /// Takes other rows of the table of models, unless they are those that it has.
    pub(crate) fn take_rows(&self, rows: Vec<StoredRow>) {
        let mut source = self.source();
        if source.rows == rows {
            return;
        }
        let was_configured = source.was_configured;
        let next = Source { config: source.config.clone(), rows, was_configured };
        // The configuration was good before, and no row can spoil it.
        if let Err(problems) = self.take(next, &mut source) {
            tracing::error!(?problems, "the models of the table were not taken over");
        }
    }

    fn take(&self, next: Source, current: &mut Source) -> Result<(), Vec<Problem>> {
        let running = self.catalog();
        let cooling = running.settings.cooling.clone();
        let catalog = build(&next, &self.starter, Some(&running.upstream), cooling)?;
        for left_out in catalog.left_out.iter().filter(|it| !running.left_out.contains(it)) {
            let LeftOut { id, problem } = left_out;
            tracing::warn!(model = id, problem, "a model of the table ai_models is left out");
        }
        self.catalog.store(Arc::new(catalog));
        *current = next;
        Ok(())
    }

    /// The configuration in effect with the providers that there are, without the models of the table
    /// and those that are built in.
    pub(crate) fn configuration(&self) -> AiConfig {
        self.starter.with_providers(&self.source().config)
    }

    fn source(&self) -> MutexGuard<'_, Source> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn billing(&self) -> &Billing {
        &self.billing
    }

    pub(crate) fn ended_jobs(&self) -> &broadcast::Sender<Arc<str>> {
        &self.ended_jobs
    }

    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }
}

/// The catalog of a configuration, the rows of the table and what is built in; connections of the one
/// before are kept where they fit.
fn build(
    Source { config, rows, .. }: &Source,
    starter: &Starter,
    running: Option<&Arc<HyperUpstream>>,
    cooling: Arc<Cooling>,
) -> Result<Catalog, Vec<Problem>> {
    let connect = Duration::from_millis(config.timeouts.connect_ms);
    let allow_private = config.storage.download.allow_private;
    let upstream = match running {
        Some(running)
            if running.connect_timeout() == connect
                && running.allows_private() == allow_private =>
        {
            running.clone()
        }
        _ => Arc::new(HyperUpstream::new(connect, allow_private).map_err(|error| {
            vec![Problem { path: "provider".to_owned(), message: format!("no TLS: {error}") }]
        })?),
    };
    let known = starter.with_providers(config);
    let built_in = without_rows(starter.models(config), rows);
    let mut merged = merge(&known, &built_in, rows);
    let mut catalog = match Catalog::build(&merged.config, upstream.clone(), cooling.clone()) {
        Ok(catalog) => catalog,
        Err(problems) if !known.validate().is_empty() => return Err(problems),
        // Each row is good by itself, but not all of them together.
        Err(problems) => {
            let problem = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            let enabled = rows.iter().filter(|row| row.enabled);
            let left_out =
                enabled.map(|row| LeftOut { id: row.id.clone(), problem: problem.clone() });
            merged = Merged { left_out: left_out.collect(), ..merge(&known, &built_in, &[]) };
            Catalog::build(&merged.config, upstream, cooling)?
        }
    };
    catalog.take_origins(config, merged);
    Ok(catalog)
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

#[async_trait]
impl Service for Ai {
    fn id(&self) -> &'static str {
        "ai"
    }

    fn name(&self) -> &'static str {
        "AI"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        let ai = self.clone();
        service.migrations(stored::migrations()).reload(self.clone());
        service.env_probe(self.clone());
        service.migrations(migrations!("ai", [(1, "jobs", "../migrations/jobs_0001.sql")]));
        service
            .job(Produce(self.clone()))
            .job(Settle(self.billing.clone()))
            .recorder(Arc::new(Cashier(self.billing.clone())));
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
                 keys that they need, whether they are ready, which keys rest, and what keeps rows of \
                 the table of models out (`left_out`). With `city_id` the admin sees what calls of \
                 that city find. `data` is the same list in the form of OpenAI.",
            );
        self.declare_stored(service);
        service
            .post("test", ADMIN, &self, Self::test)
            .summary("Make tiny live calls that show whether models work.")
            .description(
                "Each model is asked for a whole answer, a streamed one and the call of a tool; \
                 providers may charge for that. Nothing is billed to users or counted as their usage, \
                 and no key rests because of it. Models that answer no text are not tested.",
            )
            .timeout(GUARD)
            .cancel_on_disconnect();
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
        self.define_media(service);
        self.declare_images(service);
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
        self.declare_audio(service);
    }

    async fn start(&self, runtime: &Arc<Runtime>) -> downcity_core::Result<()> {
        let sweep = sweep_regularly(self.catalog.clone(), runtime.clone());
        runtime.tasks().spawn_until_stopped(sweep);
        Ok(())
    }
}

impl Ai {
    fn define_media(self: &Arc<Self>, service: &mut ServiceDef) {
        const CREATE: &str = "The answer is a job, which is worked on from now on. Where the model \
            costs money, what it may cost is held; it is charged once the result is there. A repeated \
            request with the same `Idempotency-Key` gets the same job.";
        const RESULT: &str =
            "Reads the job. Users see their own jobs, the trusted side all of them.";
        const WAIT: &str = "Creates a job and waits for it, for two minutes unless configured \
            otherwise. The answer is 504 then, with the `job_id`, and the job goes on.";
        service
            .post("image/create", USER_OR_ADMIN, self, Self::image_create)
            .summary("Have images made.")
            .description(CREATE)
            .moves_money();
        service
            .post("image/result", USER_OR_ADMIN, self, Self::image_result)
            .summary("Show how far images are, and the images once they are there.")
            .description(RESULT);
        service
            .post("image/fetch", ADMIN, self, Self::image_fetch)
            .summary("Look at a job now, due or not, and show it.")
            .description(
                "Jobs are looked at by themselves; this is for those who do not want to wait.",
            )
            .timeout(GUARD);
        service
            .post("image", USER_OR_ADMIN, self, Self::image)
            .summary("Have images made and wait for them.")
            .description(WAIT)
            .timeout(GUARD)
            .moves_money()
            .cancel_on_disconnect();
        service
            .post("video/create", USER_OR_ADMIN, self, Self::video_create)
            .summary("Have a video made.")
            .description(CREATE)
            .moves_money();
        service
            .post("video/result", USER_OR_ADMIN, self, Self::video_result)
            .summary("Show how far a video is, and the video once it is there.")
            .description(RESULT);
        service
            .post("video", USER_OR_ADMIN, self, Self::video)
            .summary("Have a video made and wait for it.")
            .description(WAIT)
            .timeout(GUARD)
            .moves_money()
            .cancel_on_disconnect();
    }
}
