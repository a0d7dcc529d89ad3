//! The frozen list of everything a Federation can do.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use downcity_db::MigrationSet;
use downcity_types::EnvRequirement;
use http::Method;

use crate::action::{Action, ErrorShape, InputKind};
use crate::decode::PathParams;
use crate::env::EnvProbe;
use crate::fact::Recorder;
use crate::finish::ActionMetrics;
use crate::jobs::JobRegistration;
use crate::openai_paths;
use crate::service::{EnvScopeSource, InstructionText};
use crate::snapshot::Reload;
use crate::{Dialect, Hook, Service, ServiceDef};

/// Ids that only built-in services may take: every generation's routes hang on them.
const RESERVED: &[&str] = &[
    "accounts",
    "ai",
    "asr",
    "audio",
    "audit",
    "balance",
    "base",
    "chat",
    "cities",
    "city",
    "embeddings",
    "env",
    "federation",
    "image",
    "images",
    "infra",
    "invoke",
    "keys",
    "messages",
    "metrics",
    "models",
    "payment",
    "products",
    "responses",
    "services",
    "stream",
    "studios",
    "system",
    "text",
    "tts",
    "usage",
    "video",
];

/// The methods that an action can declare. HEAD comes with GET; TRACE is refused by browsers and
/// proxies.
pub(crate) const METHODS: &[Method] =
    &[Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// Why a registry does not build. Every text names the service or route at fault.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RegistryError {
    /// The id holds other characters than `[a-z0-9._-]`, or none.
    #[error("service id {0:?} may only hold a-z, 0-9, '.', '_' and '-'")]
    BadId(String),
    /// A product's own service took an id of the Federation.
    #[error("service id {0:?} belongs to the Federation; choose another")]
    ReservedId(String),
    /// Two services have one id.
    #[error("two services have the id {0:?}")]
    DuplicateService(String),
    /// An action has no summary.
    #[error("{0} has no summary; add .summary(\"…\")")]
    MissingSummary(String),
    /// A product's own service took a route outside its own space.
    #[error("{0} is outside /v1/{1}/; absolute paths of other services are not free to take")]
    ForeignPath(String, String),
    /// Two actions answer the same method and path.
    #[error("{0} is declared twice")]
    DuplicateRoute(String),
    /// A path pattern is malformed or overlaps another.
    #[error("{0}: {1}")]
    BadPath(String, String),
    /// The method is none that an action can declare.
    #[error("{0} has to be GET, POST, PUT, PATCH, DELETE or OPTIONS; GET answers HEAD by itself")]
    BadMethod(String),
    /// An action that takes the raw request has hooks, which would never run.
    #[error("{0} takes the raw request, so its hooks would never run")]
    HooksOnRaw(String),
    /// An alias names an action that is not there.
    #[error("{0} is an alias of {1}, which no service declares")]
    AliasOfNothing(String, String),
    /// Two services declare a kind of job of the same name.
    #[error("two services declare the job {0:?}")]
    DuplicateJob(String),
}

/// A service as the registry keeps it.
pub struct ServiceEntry {
    pub(crate) id: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) hidden: bool,
    pub(crate) builtin: bool,
    pub(crate) env: Vec<EnvRequirement>,
    pub(crate) env_scopes: Vec<EnvScopeSource>,
    pub(crate) env_probes: Vec<Arc<dyn EnvProbe>>,
    pub(crate) reloads: Vec<Arc<dyn Reload>>,
    pub(crate) instruction: Option<InstructionText>,
    pub(crate) actions: Vec<Arc<Action>>,
    pub(crate) service: Arc<dyn Service>,
}

impl ServiceEntry {
    /// The id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the service is left out of the lists of modules.
    pub fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// Whether the service is the Federation's own rather than a product's.
    pub fn is_builtin(&self) -> bool {
        self.builtin
    }

    /// The env keys it declares, in declared order.
    pub fn env(&self) -> &[EnvRequirement] {
        &self.env
    }

    /// Its actions, in declared order.
    pub fn actions(&self) -> &[Arc<Action>] {
        &self.actions
    }
}

/// The actions that share one path.
#[derive(Default)]
struct Route {
    by_method: Vec<(Method, Arc<Action>, Option<Dialect>)>,
    any: Option<Arc<Action>>,
    /// What answers in place of the others to calls that state a dialect.
    spoken: Vec<(Dialect, Method, Arc<Action>)>,
}

/// A route of another generation: an action under one more method and path. Access, hooks, limits and
/// figures are those of the action.
#[derive(Clone, Copy, Debug)]
pub struct Alias {
    /// The method, which is that of the action too.
    pub method: &'static Method,
    /// The path, without `{param}` segments.
    pub path: &'static str,
    /// The path of the action.
    pub target: &'static str,
    /// Whose route it is: its words are those of this dialect.
    pub dialect: Option<Dialect>,
    /// Whether it is there only for calls that state `dialect`, where it may stand in the place of
    /// another action.
    pub only_stated: bool,
}

/// What the router finds for a request.
pub(crate) enum Found<'a> {
    /// An action, and the dialect of the route.
    Action(&'a Arc<Action>, PathParams, Option<Dialect>),
    /// The path exists, but not with this method; the value of the `Allow` header.
    WrongMethod(String),
    Nothing,
}

/// Every service and action of a Federation, checked and frozen at start.
pub struct Registry {
    services: Vec<ServiceEntry>,
    router: matchit::Router<Route>,
    aliases: Vec<Alias>,
    migrations: Vec<MigrationSet>,
    jobs: HashMap<&'static str, JobRegistration>,
    recorders: Vec<Arc<dyn Recorder>>,
    /// Figures of requests that no action answers.
    unmatched: ActionMetrics,
}

/// Collects services until the registry is built.
#[derive(Default)]
pub struct RegistryBuilder {
    services: Vec<(Arc<dyn Service>, ServiceDef, bool)>,
    hooks: Vec<Arc<dyn Hook>>,
    aliases: Vec<Alias>,
}

impl RegistryBuilder {
    /// Adds a service of the Federation itself, which may take reserved ids and absolute paths.
    #[must_use]
    pub fn builtin<S: Service>(self, service: Arc<S>) -> Self {
        self.add(service, true)
    }

    /// Adds a product's own service.
    #[must_use]
    pub fn service<S: Service>(self, service: Arc<S>) -> Self {
        self.add(service, false)
    }

    /// Adds a hook around every action.
    #[must_use]
    pub fn hook(mut self, hook: Arc<dyn Hook>) -> Self {
        self.hooks.push(hook);
        self
    }

    /// Adds routes of other generations. No document but their own lists them.
    #[must_use]
    pub fn aliases(mut self, aliases: impl IntoIterator<Item = Alias>) -> Self {
        self.aliases.extend(aliases);
        self
    }

    fn add<S: Service>(mut self, service: Arc<S>, builtin: bool) -> Self {
        let mut def = ServiceDef::new(service.id(), service.name());
        service.clone().define(&mut def);
        self.services.push((service, def, builtin));
        self
    }

    /// Checks and freezes.
    ///
    /// # Errors
    /// The first rule that a service breaks; see [`RegistryError`].
    pub fn build(mut self) -> Result<Registry, RegistryError> {
        let mut ids = HashSet::new();
        for (_, def, builtin) in &self.services {
            check_service(def, *builtin, &mut ids)?;
        }
        let mut global = self.hooks;
        for (_, def, _) in &mut self.services {
            global.append(&mut def.global_hooks);
        }
        let mut registry = Registry {
            services: Vec::with_capacity(self.services.len()),
            router: matchit::Router::new(),
            aliases: self.aliases,
            migrations: Vec::new(),
            jobs: HashMap::new(),
            recorders: Vec::new(),
            unmatched: ActionMetrics::register("none"),
        };
        let mut routes: Vec<(String, Route)> = Vec::new();
        for (service, mut def, builtin) in self.services {
            registry.migrations.append(&mut def.migrations);
            registry.recorders.append(&mut def.recorders);
            for job in def.jobs.drain(..) {
                let kind = job.kind();
                if registry.jobs.insert(kind, job).is_some() {
                    return Err(RegistryError::DuplicateJob(kind.to_owned()));
                }
            }
            let entry = freeze(service, def, builtin, &global, &mut routes)?;
            registry.services.push(entry);
        }
        for alias in &registry.aliases {
            add_alias(&mut routes, alias)?;
        }
        for (path, route) in routes {
            registry
                .router
                .insert(path.clone(), route)
                .map_err(|error| RegistryError::BadPath(path, error.to_string()))?;
        }
        Ok(registry)
    }
}

fn check_service(
    def: &ServiceDef,
    builtin: bool,
    ids: &mut HashSet<Arc<str>>,
) -> Result<(), RegistryError> {
    let id = &*def.id;
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    if id.is_empty() || !id.chars().all(legal) {
        return Err(RegistryError::BadId(id.to_owned()));
    }
    if !builtin && (RESERVED.contains(&id) || id.starts_with("payment.")) {
        return Err(RegistryError::ReservedId(id.to_owned()));
    }
    if !ids.insert(def.id.clone()) {
        return Err(RegistryError::DuplicateService(id.to_owned()));
    }
    for action in &def.actions {
        let name = format!("{action:?}");
        if action.summary.is_empty() {
            return Err(RegistryError::MissingSummary(name));
        }
        if action.method.as_ref().is_some_and(|method| !METHODS.contains(method)) {
            return Err(RegistryError::BadMethod(name));
        }
        if !builtin && !action.path.starts_with(&format!("/v1/{id}/")) {
            return Err(RegistryError::ForeignPath(name, id.to_owned()));
        }
        if matches!(action.input, InputKind::Raw) && !action.own_hooks.is_empty() {
            return Err(RegistryError::HooksOnRaw(name));
        }
    }
    Ok(())
}

fn freeze(
    service: Arc<dyn Service>,
    def: ServiceDef,
    builtin: bool,
    global: &[Arc<dyn Hook>],
    routes: &mut Vec<(String, Route)>,
) -> Result<ServiceEntry, RegistryError> {
    let mut actions = Vec::with_capacity(def.actions.len());
    for mut action in def.actions {
        if matches!(action.input, InputKind::Typed(_)) {
            action.hook_levels = [global.len(), global.len() + def.hooks.len()];
            action.hooks =
                global.iter().chain(&def.hooks).chain(&action.own_hooks).cloned().collect();
        }
        action.builtin = builtin;
        action.metrics = ActionMetrics::register(&format!("{action:?}"));
        let action = Arc::new(action);
        add_route(routes, &action)?;
        actions.push(action);
    }
    Ok(ServiceEntry {
        id: def.id,
        name: def.name,
        hidden: def.hidden,
        builtin,
        env: def.env,
        env_scopes: def.env_scopes,
        env_probes: def.env_probes,
        reloads: def.reloads,
        instruction: def.instruction,
        actions,
        service,
    })
}

fn add_route(routes: &mut Vec<(String, Route)>, action: &Arc<Action>) -> Result<(), RegistryError> {
    let route = route_at(routes, &action.path);
    let duplicate = match &action.method {
        Some(method) => {
            let taken = route.by_method.iter().any(|(other, ..)| other == method);
            // Its routes are a family of their own, whatever dialect a call states.
            let family = (*action.service_id == *"cities").then_some(Dialect::City);
            route.by_method.push((method.clone(), action.clone(), family));
            taken
        }
        None => route.any.replace(action.clone()).is_some(),
    };
    if duplicate { Err(RegistryError::DuplicateRoute(format!("{action:?}"))) } else { Ok(()) }
}

fn route_at<'a>(routes: &'a mut Vec<(String, Route)>, path: &str) -> &'a mut Route {
    let index = routes.iter().position(|(known, _)| known == path).unwrap_or_else(|| {
        routes.push((path.to_owned(), Route::default()));
        routes.len() - 1
    });
    &mut routes[index].1
}

fn add_alias(routes: &mut Vec<(String, Route)>, alias: &Alias) -> Result<(), RegistryError> {
    let Alias { method, path, target, dialect, only_stated } = *alias;
    let name = format!("{method} {path}");
    let actions = routes.iter().filter(|(path, _)| path == target);
    let mut actions = actions.flat_map(|(_, route)| &route.by_method);
    let action = actions.find(|(own, action, _)| own == method && action.path == target);
    let Some((_, action, _)) = action else {
        return Err(RegistryError::AliasOfNothing(name, format!("{method} {target}")));
    };
    let action = action.clone();
    let route = route_at(routes, path);
    let taken = match dialect.filter(|_| only_stated) {
        Some(dialect) => {
            let taken = route.spoken.iter().any(|(d, own, _)| *d == dialect && own == method);
            route.spoken.push((dialect, method.clone(), action));
            taken
        }
        None => {
            let taken = route.by_method.iter().any(|(own, ..)| own == method);
            route.by_method.push((method.clone(), action, dialect));
            taken
        }
    };
    if taken { Err(RegistryError::DuplicateRoute(name)) } else { Ok(()) }
}

impl Registry {
    /// What knows how to try a value of this normalised key.
    pub(crate) fn env_probe(&self, key: &str) -> Option<&Arc<dyn EnvProbe>> {
        let mut probes = self.services.iter().flat_map(|service| &service.env_probes);
        probes.find(|probe| probe.knows(key))
    }

    /// What services keep in memory of their own tables.
    pub(crate) fn reloads(&self) -> Vec<Arc<dyn Reload>> {
        self.services.iter().flat_map(|service| &service.reloads).cloned().collect()
    }

    /// Whether a service reads this normalised key for cities.
    pub(crate) fn is_read_for_cities(&self, key: &str) -> bool {
        let mut probes = self.services.iter().flat_map(|service| &service.env_probes);
        probes.any(|probe| probe.reads_for_cities(key))
    }

    /// Starts collecting services, with the kernel's own already in.
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::default()
            .builtin(Arc::new(crate::env::EnvService::default()))
            .builtin(Arc::new(crate::cities::CitiesService))
            .builtin(Arc::new(crate::keys::KeysService))
            .builtin(Arc::new(crate::jobs::JobsService))
            .builtin(Arc::new(crate::audit::AuditService::default()))
            .builtin(Arc::new(crate::backup::BackupService::default()))
            .builtin(Arc::new(crate::system::SystemService::default()))
    }

    /// The services in order of registration, hidden ones included.
    pub fn services(&self) -> &[ServiceEntry] {
        &self.services
    }

    /// Every action of every service, in order of registration.
    pub fn actions(&self) -> impl Iterator<Item = &Arc<Action>> {
        self.services.iter().flat_map(|service| &service.actions)
    }

    /// The routes of other generations.
    pub fn aliases(&self) -> &[Alias] {
        &self.aliases
    }

    /// The tables of a node with these services: the kernel's own, then those of the services.
    pub fn migrations(&self) -> Vec<MigrationSet> {
        std::iter::once(crate::migrations()).chain(self.migrations.iter().copied()).collect()
    }

    /// The figures of requests that no action answers.
    pub(crate) fn unmatched(&self) -> &ActionMetrics {
        &self.unmatched
    }

    /// The methods of all actions, each once.
    pub fn methods(&self) -> Vec<Method> {
        let actions = || self.actions().map(|action| action.method());
        let is_used = |method: &Method| actions().any(|used| used.is_none_or(|it| it == method));
        METHODS.iter().filter(|method| is_used(method)).cloned().collect()
    }

    /// The kinds of jobs that services declare.
    pub(crate) fn jobs(&self) -> &HashMap<&'static str, JobRegistration> {
        &self.jobs
    }

    /// Who is told of every call once it has ended, in order of registration.
    pub(crate) fn recorders(&self) -> &[Arc<dyn Recorder>] {
        &self.recorders
    }

    /// Finds the action for a method and a path without percent-encoding, for a call that states a
    /// dialect or none.
    pub(crate) fn find(&self, method: &Method, path: &str, stated: Option<Dialect>) -> Found<'_> {
        let Ok(found) = self.router.at(path) else {
            return Found::Nothing;
        };
        let route = found.value;
        // RFC 9110 §9.3.2: HEAD is GET without a body.
        let wanted = if method == Method::HEAD { &Method::GET } else { method };
        let params = || found.params.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let spoken =
            route.spoken.iter().find(|(dialect, own, _)| Some(*dialect) == stated && own == wanted);
        if let Some((_, _, action)) = spoken {
            return Found::Action(action, params(), stated);
        }
        if let Some((_, action, family)) = route.by_method.iter().find(|(own, ..)| own == wanted) {
            return Found::Action(action, params(), *family);
        }
        match &route.any {
            Some(action) => Found::Action(action, params(), None),
            None => route.other_methods(stated),
        }
    }

    /// The shape of errors at a path that no action answers: that of the actions at this path, with
    /// other methods, else of those one step above it.
    pub(crate) fn shape_around(&self, path: &str) -> ErrorShape {
        if self.is_of_openai(path) {
            return ErrorShape::OpenAi;
        }
        let above = path.trim_end_matches('/').rsplit_once('/').map_or("", |(above, _)| above);
        let route = self.router.at(path).or_else(|_| self.router.at(above));
        route.ok().and_then(|found| found.value.error_shape()).unwrap_or_default()
    }

    /// Whether a path belongs to the API of OpenAI, whose clients ask for all of it under `/v1`, by its
    /// first segment there. A service of that name is nobody's but the product's own.
    pub(crate) fn is_of_openai(&self, path: &str) -> bool {
        openai_paths::segment(path)
            .is_some_and(|segment| self.services.iter().all(|own| own.id() != segment))
    }
}

impl Route {
    /// The shape of the errors of its first action.
    fn error_shape(&self) -> Option<ErrorShape> {
        let declared = self.by_method.iter().map(|(_, action, _)| action);
        declared.chain(&self.any).next().map(|action| action.errors)
    }

    /// What is found for a method that the path does not have.
    fn other_methods<'a>(&self, stated: Option<Dialect>) -> Found<'a> {
        let spoken = self.spoken.iter().filter(|(dialect, ..)| Some(*dialect) == stated);
        let spoken = spoken.map(|(_, method, _)| method);
        let mut methods: Vec<&str> = self
            .by_method
            .iter()
            .map(|(method, ..)| method)
            .chain(spoken)
            .map(Method::as_str)
            .collect();
        if methods.is_empty() {
            return Found::Nothing;
        }
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        methods.push("OPTIONS");
        Found::WrongMethod(methods.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_of_one_dialect_is_there_for_those_who_state_it() {
        let alias = |path, target| Alias {
            method: &Method::GET,
            path,
            target,
            dialect: Some(Dialect::VisibleBase),
            only_stated: true,
        };
        let aliases = [alias("/v1/services", "/health"), alias("/v1/models", "/livez")];
        let registry = Registry::builder().aliases(aliases).build().unwrap();
        let find = |method: Method, path: &str, stated: Option<Dialect>| match registry
            .find(&method, path, stated)
        {
            Found::Action(action, _, family) => format!("{} {family:?}", action.path()),
            Found::WrongMethod(allow) => allow,
            Found::Nothing => "nothing".to_owned(),
        };
        let base = Some(Dialect::VisibleBase);
        for stated in [None, Some(Dialect::City), Some(Dialect::Gate)] {
            assert_eq!(find(Method::GET, "/v1/services", stated), "/v1/services None");
            assert_eq!(find(Method::GET, "/v1/models", stated), "nothing");
            assert_eq!(find(Method::POST, "/v1/models", stated), "nothing");
        }
        for (path, target) in [("/v1/services", "/health"), ("/v1/models", "/livez")] {
            let found = format!("{target} Some(VisibleBase)");
            assert_eq!(find(Method::GET, path, base), found);
            assert_eq!(find(Method::HEAD, path, base), found);
        }
        assert_eq!(find(Method::POST, "/v1/models", base), "GET, HEAD, OPTIONS");
    }
}
