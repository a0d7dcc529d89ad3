//! Answers in the shapes of clients that say *product*: bare lists, and one route for every service.
//!
//! A hidden service whose actions stand under older paths (`http/generations.rs`). It knows nothing of its
//! own: each answer is that of the action that other clients call, put into another form.

use std::sync::Arc;
use std::time::Duration;

use downcity_core::fact::OwnFact;
use downcity_core::{
    Action, Body, Cx, Error, NoInput, PUBLIC, Reply, Result, Service, ServiceDef, USER,
    X_DOWNCITY_DIALECT,
};
use downcity_types::{ErrorCode, Items};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Uri};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a model can be asked for, by the names of routes.
const MODALITIES: [&str; 6] = ["text", "stream", "image", "video", "tts", "asr"];

/// The limit of a call through `invoke`: beyond those of all actions, which have one of their own, and
/// which say themselves whether they run on when the client leaves.
const GUARD: Duration = Duration::from_secs(24 * 3600);

/// The hidden service `visiblebase`.
#[derive(Debug, Default)]
pub(crate) struct VisibleBase;

/// A model as these clients list it.
#[derive(Debug, Serialize, JsonSchema)]
struct ListedModel {
    /// Id to call it by.
    id: String,
    /// Name to show.
    name: String,
    /// Who provides it, where its meta says so.
    provider: String,
    /// What it is good for.
    description: String,
    /// Whether it answers where a call names no model.
    primary: bool,
}

/// What an action is called by, and its input.
#[derive(Debug, Deserialize, JsonSchema)]
struct InvokeIn {
    /// What a model is asked for, such as `text`; or the id of a service; or service and action, as
    /// `service/action`.
    service: String,
    /// The action of the service.
    #[serde(default)]
    action: Option<String>,
    /// The input of the action.
    #[serde(flatten)]
    input: Map<String, Value>,
}

impl ListedModel {
    fn of(position: usize, model: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            id: text(&model["id"]),
            name: text(&model["name"]),
            provider: text(&model["meta"]["provider"]),
            description: text(&model["description"]),
            primary: position == 0,
        }
    }
}

impl Service for VisibleBase {
    fn id(&self) -> &'static str {
        "visiblebase"
    }

    fn name(&self) -> &'static str {
        "VisibleBase"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        service.hidden();
        service.get("models", USER, &self, Self::models).summary(
            "List models as an array, the default one first, for clients that say product.",
        );
        service
            .get("services", USER, &self, Self::services)
            .summary("List what can be invoked by name, for clients that say product.");
        service
            .post("invoke", PUBLIC, &self, Self::invoke)
            .timeout(GUARD)
            .cancel_on_disconnect()
            .summary("Call an action that the body names, for clients that say product.");
    }
}

impl VisibleBase {
    async fn models(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<Reply> {
        let reply = forward(&cx, Method::GET, "/v1/ai/models", Body::Empty).await?;
        let list = match &reply.body {
            Body::Full(bytes) if reply.status.is_success() => {
                serde_json::from_slice::<Value>(bytes).map_err(Error::internal)?
            }
            _ => return Ok(reply),
        };
        let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let models: Vec<ListedModel> = items
            .iter()
            .enumerate()
            .map(|(position, model)| ListedModel::of(position, model))
            .collect();
        Reply::json(&models)
    }

    async fn services(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<Items<String>> {
        let registry = cx.runtime().registry();
        let is_there = |name: &&str| action_at(&cx, &format!("/v1/ai/{name}")).is_some();
        let modalities =
            MODALITIES.iter().filter(|name| is_there(name)).map(|name| (*name).to_owned());
        let own = registry.services().iter().filter(|service| !service.is_builtin());
        let own = own.map(|service| service.id().to_owned());
        Ok(modalities.chain(own).collect::<Vec<_>>().into())
    }

    async fn invoke(self: Arc<Self>, cx: Cx, called: InvokeIn) -> Result<Reply> {
        let path = path_of(&called)?;
        let Some(action) = action_at(&cx, &path) else {
            let message = format!("There is no action {}.", path.trim_start_matches("/v1/"));
            return Err(Error::new(ErrorCode::NotFound, message)
                .with_fix("GET /v1/services lists what can be invoked."));
        };
        if action.method() == Some(&Method::GET) {
            let target = with_query(&path, &called.input);
            return forward(&cx, Method::GET, &target, Body::Empty).await;
        }
        let body = Value::Object(called.input).to_string();
        forward(&cx, Method::POST, &path, body.into()).await
    }
}

/// The path of what is invoked.
fn path_of(called: &InvokeIn) -> Result<String> {
    let given =
        |text: &str| Some(text.trim().trim_matches('/').to_owned()).filter(|t| !t.is_empty());
    let service =
        given(&called.service).ok_or_else(|| Error::invalid("service", "must not be empty"))?;
    if MODALITIES.contains(&service.as_str()) {
        return Ok(format!("/v1/ai/{service}"));
    }
    match called.action.as_deref().and_then(given) {
        Some(action) => Ok(format!("/v1/{service}/{action}")),
        None if service.contains('/') => Ok(format!("/v1/{service}")),
        None => Err(Error::invalid("action", "is required for a service")),
    }
}

/// The action at a path without `{param}` segments, if it is of POST or GET.
fn action_at<'a>(cx: &'a Cx, path: &str) -> Option<&'a Arc<Action>> {
    let known = |method: &Method| [Method::POST, Method::GET].contains(method);
    let mut actions = cx.runtime().registry().actions();
    actions.find(|action| action.path() == path && action.method().is_some_and(known))
}

/// The fields of an input as a query, as far as a query can say them.
fn with_query(path: &str, input: &Map<String, Value>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (field, value) in input {
        match value {
            Value::String(text) => drop(query.append_pair(field, text)),
            Value::Number(_) | Value::Bool(_) => drop(query.append_pair(field, &value.to_string())),
            Value::Null | Value::Array(_) | Value::Object(_) => {}
        }
    }
    format!("{path}?{}", query.finish())
}

/// What another action answers to the same caller.
async fn forward(cx: &Cx, method: Method, target: &str, body: Body) -> Result<Reply> {
    // The inner call leaves the fact.
    cx.locals().put(OwnFact);
    let parts = cx.parts();
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = target
        .parse::<Uri>()
        .map_err(|_| Error::invalid("service", "must be the name of a service"))?;
    *request.extensions_mut() = parts.extensions.clone();
    let headers = request.headers_mut();
    headers.clone_from(&parts.headers);
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Amounts hang on it: they stay those of the caller.
    headers.insert(&X_DOWNCITY_DIALECT, HeaderValue::from_static(cx.dialect().as_str()));
    let (parts, body) = cx.runtime().answer(request).await.into_parts();
    Ok(Reply { status: parts.status, headers: parts.headers, body })
}
