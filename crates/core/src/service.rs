//! Services: how capabilities are declared.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use downcity_db::MigrationSet;
use downcity_types::EnvRequirement;
use http::Method;

use crate::action::{Action, CredentialHeader, ErrorShape, Input, Output, TypedHandler};
use crate::env::EnvProbe;
use crate::fact::Recorder;
use crate::finish::ActionMetrics;
use crate::jobs::{Job, JobRegistration};
use crate::snapshot::Reload;
use crate::{Access, Cx, Hook, Result, Runtime};

/// A capability of the Federation: an id, a name, and what it declares in [`Service::define`].
///
/// Built-in services and a product's own use this one interface.
#[async_trait]
pub trait Service: Send + Sync + 'static {
    /// The id, unique in a Federation: `[a-z0-9._-]+`. It is the first segment of its routes.
    fn id(&self) -> &'static str;

    /// The name that people see.
    fn name(&self) -> &'static str;

    /// Declares actions, env requirements, migrations, hooks, jobs and the instruction text.
    fn define(self: Arc<Self>, service: &mut ServiceDef);

    /// Runs once when the node starts, after migrations and before the first request.
    ///
    /// # Errors
    /// A failure ends the start.
    async fn start(&self, runtime: &Arc<Runtime>) -> Result<()> {
        let _ = runtime;
        Ok(())
    }

    /// Runs once when the node stops: no call is under way any more, and the database is still
    /// open. Services are asked in the reverse order of their start, each for a few seconds at
    /// most.
    async fn stop(&self, runtime: &Arc<Runtime>) {
        let _ = runtime;
    }
}

/// Env requirements that are known only at run time, such as those of configured models.
pub struct EnvScopeSource {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) requirements: Box<dyn Fn() -> Vec<EnvRequirement> + Send + Sync>,
}

/// Free text for the instruction document, computed when the document is asked for.
pub(crate) type InstructionText = Box<dyn Fn() -> String + Send + Sync>;

/// What a service declares.
pub struct ServiceDef {
    pub(crate) id: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) hidden: bool,
    pub(crate) actions: Vec<Action>,
    pub(crate) env: Vec<EnvRequirement>,
    pub(crate) env_scopes: Vec<EnvScopeSource>,
    pub(crate) env_probes: Vec<Arc<dyn EnvProbe>>,
    pub(crate) reloads: Vec<Arc<dyn Reload>>,
    pub(crate) migrations: Vec<MigrationSet>,
    pub(crate) instruction: Option<InstructionText>,
    pub(crate) hooks: Vec<Arc<dyn Hook>>,
    pub(crate) global_hooks: Vec<Arc<dyn Hook>>,
    pub(crate) jobs: Vec<JobRegistration>,
    pub(crate) recorders: Vec<Arc<dyn Recorder>>,
}

impl ServiceDef {
    pub(crate) fn new(id: &str, name: &str) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            hidden: false,
            actions: Vec::new(),
            env: Vec::new(),
            env_scopes: Vec::new(),
            env_probes: Vec::new(),
            reloads: Vec::new(),
            migrations: Vec::new(),
            instruction: None,
            hooks: Vec::new(),
            global_hooks: Vec::new(),
            jobs: Vec::new(),
            recorders: Vec::new(),
        }
    }

    /// Declares a GET action; its input comes from the query string.
    ///
    /// `path` is relative to `/v1/{service}/`, or absolute with a leading slash. It may hold
    /// `{param}` segments and end in a `{*rest}` wildcard.
    pub fn get<S, F, I, O, Fut>(
        &mut self,
        path: &str,
        access: Access,
        service: &Arc<S>,
        handler: F,
    ) -> ActionDef<'_>
    where
        S: Send + Sync + 'static,
        F: Fn(Arc<S>, Cx, I) -> Fut + Send + Sync + 'static,
        I: Input,
        O: Output,
        Fut: Future<Output = Result<O>> + Send + 'static,
    {
        self.action(Some(Method::GET), path, access, service, handler)
    }

    /// Declares a POST action; its input is a JSON object. Paths as in [`ServiceDef::get`].
    pub fn post<S, F, I, O, Fut>(
        &mut self,
        path: &str,
        access: Access,
        service: &Arc<S>,
        handler: F,
    ) -> ActionDef<'_>
    where
        S: Send + Sync + 'static,
        F: Fn(Arc<S>, Cx, I) -> Fut + Send + Sync + 'static,
        I: Input,
        O: Output,
        Fut: Future<Output = Result<O>> + Send + 'static,
    {
        self.action(Some(Method::POST), path, access, service, handler).detached()
    }

    /// Declares an action of this method, or of any method (`None`).
    pub fn action<S, F, I, O, Fut>(
        &mut self,
        method: Option<Method>,
        path: &str,
        access: Access,
        service: &Arc<S>,
        handler: F,
    ) -> ActionDef<'_>
    where
        S: Send + Sync + 'static,
        F: Fn(Arc<S>, Cx, I) -> Fut + Send + Sync + 'static,
        I: Input,
        O: Output,
        Fut: Future<Output = Result<O>> + Send + 'static,
    {
        let absolute = match path.strip_prefix('/') {
            Some(_) => path.to_owned(),
            None => format!("/v1/{}/{path}", self.id),
        };
        self.actions.push(Action {
            service_id: self.id.clone(),
            service_name: self.name.clone(),
            id: path.trim_start_matches('/').to_owned(),
            method,
            path: absolute,
            access,
            summary: "",
            description: "",
            input: I::KIND,
            takes_forms: I::TAKES_FORMS,
            output: O::schema,
            content_type: O::CONTENT_TYPE,
            errors: ErrorShape::Standard,
            credential: CredentialHeader::Bearer,
            timeout: None,
            body_limit: None,
            detached: false,
            moves_money: false,
            is_named: false,
            makes_city: false,
            builtin: false,
            limited: true,
            handler: Arc::new(TypedHandler {
                service: service.clone(),
                handler,
                input: PhantomData::<fn(I)>,
            }),
            hooks: Vec::new(),
            own_hooks: Vec::new(),
            hook_levels: [0, 0],
            metrics: ActionMetrics::default(),
            takes_city: OnceLock::new(),
        });
        let action = self.actions.last_mut();
        ActionDef(action)
    }

    /// Declares an env key that the service reads.
    pub fn env(&mut self, key: &str, description: &str, required: bool) -> &mut Self {
        self.env.push(EnvRequirement {
            key: key.to_owned(),
            description: description.to_owned(),
            required,
        });
        self
    }

    /// Declares a scope of env keys that is computed whenever the catalog is asked for.
    pub fn env_scope(
        &mut self,
        id: &'static str,
        name: &'static str,
        requirements: impl Fn() -> Vec<EnvRequirement> + Send + Sync + 'static,
    ) -> &mut Self {
        self.env_scopes.push(EnvScopeSource { id, name, requirements: Box::new(requirements) });
        self
    }

    /// Declares how values of env keys are tried before they are stored, so that a mistake does not
    /// take the place of a value that works.
    pub fn env_probe(&mut self, probe: Arc<dyn EnvProbe>) -> &mut Self {
        self.env_probes.push(probe);
        self
    }

    /// Declares what the service keeps in memory of its own tables.
    pub fn reload(&mut self, reload: Arc<dyn Reload>) -> &mut Self {
        self.reloads.push(reload);
        self
    }

    /// Declares the tables of the service.
    pub fn migrations(&mut self, set: MigrationSet) -> &mut Self {
        self.migrations.push(set);
        self
    }

    /// Declares what people and agents should know about the service.
    pub fn instruction(&mut self, text: &'static str) -> &mut Self {
        self.instruction_with(move || text.to_owned())
    }

    /// Like [`ServiceDef::instruction`], computed whenever the document is asked for.
    pub fn instruction_with(
        &mut self,
        text: impl Fn() -> String + Send + Sync + 'static,
    ) -> &mut Self {
        self.instruction = Some(Box::new(text));
        self
    }

    /// Adds a hook around every action of this service.
    pub fn hook(&mut self, hook: impl Hook) -> &mut Self {
        self.hooks.push(Arc::new(hook));
        self
    }

    /// Adds a hook around every action of every service.
    pub fn global_hook(&mut self, hook: impl Hook) -> &mut Self {
        self.global_hooks.push(Arc::new(hook));
        self
    }

    /// Declares a kind of job and what runs it.
    pub fn job<J: Job>(&mut self, job: J) -> &mut Self {
        self.jobs.push(JobRegistration::new(job));
        self
    }

    /// Declares who is told of every call of every service once it has ended.
    pub fn recorder(&mut self, recorder: Arc<dyn Recorder>) -> &mut Self {
        self.recorders.push(recorder);
        self
    }

    /// Leaves the service out of `/health`, `/v1/services` and the instruction document's modules.
    pub fn hidden(&mut self) -> &mut Self {
        self.hidden = true;
        self
    }
}

/// An action under declaration. `summary` is required: a registry with an action without one does
/// not build.
pub struct ActionDef<'a>(Option<&'a mut Action>);

impl ActionDef<'_> {
    fn with(mut self, change: impl FnOnce(&mut Action)) -> Self {
        if let Some(action) = self.0.as_deref_mut() {
            change(action);
        }
        self
    }

    /// One sentence on what the action does, for every document.
    pub fn summary(self, text: &'static str) -> Self {
        self.with(|action| action.summary = text)
    }

    /// More on how to use it, for the OpenAPI document.
    pub fn description(self, text: &'static str) -> Self {
        self.with(|action| action.description = text)
    }

    /// Adds a hook around this action.
    pub fn hook(self, hook: impl Hook) -> Self {
        self.with(|action| action.own_hooks.push(Arc::new(hook)))
    }

    /// The shape of error bodies on this action.
    pub fn errors(self, shape: ErrorShape) -> Self {
        self.with(|action| action.errors = shape)
    }

    /// Where callers of this action may put their credential.
    pub fn credential(self, header: CredentialHeader) -> Self {
        self.with(|action| action.credential = header)
    }

    /// The content type of a success, where the action answers with a whole reply.
    pub fn produces(self, content_type: &'static str) -> Self {
        self.with(|action| action.content_type = content_type)
    }

    /// The time the action may take until its reply starts, in place of the server's.
    pub fn timeout(self, limit: Duration) -> Self {
        self.with(|action| action.timeout = Some(limit))
    }

    /// The largest body in bytes, in place of the server's limit.
    pub fn body_limit(self, bytes: usize) -> Self {
        self.with(|action| action.body_limit = Some(bytes))
    }

    /// Declares that the action moves money. Its handler calls [`Trail::authorise_amount`] in the
    /// transaction that moves it; one that does not fails for service keys with amounts.
    ///
    /// [`Trail::authorise_amount`]: crate::audit::Trail::authorise_amount
    pub fn moves_money(self) -> Self {
        self.with(|action| action.moves_money = true)
    }

    /// Declares that service keys have to name the action: `*` and `service/*` leave it out. For actions
    /// that change something for all cities, which no key that was made before should get by a pattern.
    pub fn named(self) -> Self {
        self.with(|action| action.is_named = true)
    }

    /// Declares that the `city_id` of the input is that of a city to be made.
    pub(crate) fn makes_city(self) -> Self {
        self.with(|action| action.makes_city = true)
    }

    /// Runs the handler to its end even when the client leaves: the default of POST actions, which
    /// change state.
    pub fn detached(self) -> Self {
        self.with(|action| action.detached = true)
    }

    /// Counts no call of this action against any limit, for the probes of those who run the server.
    pub fn unlimited(self) -> Self {
        self.with(|action| action.limited = false)
    }

    /// Drops the handler when the client leaves, for POST actions that change nothing.
    pub fn cancel_on_disconnect(self) -> Self {
        self.with(|action| action.detached = false)
    }
}
