//! Actions: what a service lets callers do, type-erased once at registration.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Method;
use http::request::Parts;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::call::{AnyInput, lock};
use crate::form::FormFile;
use crate::{Access, Body, Call, Cx, Error, Hook, Reply, Result, Sse};

/// How an action takes its input.
#[derive(Clone, Copy)]
pub enum InputKind {
    /// A JSON object (query string for GET), described by this schema.
    Typed(fn(&mut SchemaGenerator) -> Schema),
    /// The untouched request: no parsing, no hooks, no city check.
    Raw,
}

/// The shape of an action's error bodies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ErrorShape {
    /// `{"error": "sentence", "code": "...", "request_id": "..."}`.
    #[default]
    Standard,
    /// `{"error": {"message", "type", "param", "code"}}`, which OpenAI clients parse.
    OpenAi,
    /// `{"type": "error", "error": {"type", "message", "code"}, "request_id"}`, which Anthropic
    /// clients parse. Every answer then names its id in the header `request-id`, too.
    Anthropic,
}

/// Where a caller of an action may put the credential.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CredentialHeader {
    /// `Authorization: Bearer …`, for every kind of credential.
    #[default]
    Bearer,
    /// The same, and `x-api-key: …` for a `user_token`. The keys of the trusted side are refused
    /// there: clients with that header run where such keys have no business.
    BearerOrApiKey,
}

/// What an action can take: any record with a JSON schema, or the raw request.
pub trait Input: Sized + Send + 'static {
    /// How the input is taken.
    const KIND: InputKind;

    /// Whether a body of the type `multipart/form-data` is taken, too.
    const TAKES_FORMS: bool = false;

    /// Decodes the input of a call.
    ///
    /// # Errors
    /// 400 with the path of the field at fault.
    fn decode(call: &mut Call) -> Result<Self>;
}

impl<T: DeserializeOwned + JsonSchema + Send + 'static> Input for T {
    const KIND: InputKind = InputKind::Typed(|generator| generator.subschema_for::<T>());

    fn decode(call: &mut Call) -> Result<Self> {
        call.input.decode()
    }
}

/// The untouched request, for webhooks and other routes that need every byte.
#[derive(Debug)]
pub struct RawRequest {
    /// Method, address and headers.
    pub parts: Parts,
    /// `{param}` segments of the path, decoded.
    pub params: Vec<(String, String)>,
    /// The body, not yet read.
    pub body: Body,
}

impl Input for RawRequest {
    const KIND: InputKind = InputKind::Raw;

    fn decode(call: &mut Call) -> Result<Self> {
        Ok(Self {
            parts: call.parts.clone(),
            params: std::mem::take(&mut call.input.params),
            body: std::mem::take(&mut *lock(&call.raw_body)),
        })
    }
}

/// A JSON object whose bytes the handler reads itself, such as a body that is passed on.
///
/// Hooks and the city check apply as for any typed input.
#[derive(Debug)]
pub struct JsonObject<T = serde_json::Value> {
    /// The bytes of the object, checked to be one JSON object.
    pub bytes: Bytes,
    schema: PhantomData<fn() -> T>,
}

impl<T: JsonSchema + Send + 'static> Input for JsonObject<T> {
    const KIND: InputKind = InputKind::Typed(|generator| generator.subschema_for::<T>());

    fn decode(call: &mut Call) -> Result<Self> {
        Ok(Self { bytes: call.input.object_bytes()?, schema: PhantomData })
    }
}

/// Fields and files: a form of the type `multipart/form-data`, or a JSON object, which has no files.
///
/// The fields of a form are texts; one that is sent several times, or whose name ends with `[]`, is a
/// list of them. Hooks and the city check apply to them as to any typed input.
#[derive(Debug)]
pub struct Form<T> {
    /// The fields.
    pub fields: T,
    /// The files, in order.
    pub files: Vec<FormFile>,
}

impl<T: DeserializeOwned + JsonSchema + Send + 'static> Input for Form<T> {
    const KIND: InputKind = InputKind::Typed(|generator| generator.subschema_for::<T>());
    const TAKES_FORMS: bool = true;

    fn decode(call: &mut Call) -> Result<Self> {
        Ok(Self { fields: call.input.decode()?, files: call.input.files.clone() })
    }
}

/// The input of actions that take none; whatever fields are sent are ignored.
#[derive(Debug, Default, Clone, Copy, Deserialize, JsonSchema)]
pub struct NoInput {}

/// What an action can answer: any record with a JSON schema, an event stream, or a whole reply.
pub trait Output: Send + 'static {
    /// The content type of a success.
    const CONTENT_TYPE: &'static str;

    /// The schema of the JSON output; `None` for other content.
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema>;

    /// Turns the output into a reply.
    ///
    /// # Errors
    /// When the output cannot be written as JSON.
    fn into_reply(self) -> Result<Reply>;
}

impl<T: Serialize + JsonSchema + Send + 'static> Output for T {
    const CONTENT_TYPE: &'static str = "application/json";

    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.subschema_for::<T>())
    }

    fn into_reply(self) -> Result<Reply> {
        Reply::json(&self)
    }
}

impl Output for Reply {
    const CONTENT_TYPE: &'static str = "*/*";

    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }

    fn into_reply(self) -> Result<Reply> {
        Ok(self)
    }
}

impl Output for Sse {
    const CONTENT_TYPE: &'static str = "text/event-stream";

    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }

    fn into_reply(self) -> Result<Reply> {
        Ok(self.into())
    }
}

/// A handler with its types erased.
pub(crate) trait Handler: Send + Sync {
    fn decode(&self, call: &mut Call) -> Result<AnyInput>;
    fn run(&self, cx: Cx, input: AnyInput) -> BoxFuture<'static, Result<Reply>>;
}

pub(crate) struct TypedHandler<S, F, I> {
    pub(crate) service: Arc<S>,
    pub(crate) handler: F,
    pub(crate) input: PhantomData<fn(I)>,
}

impl<S, F, I, O, Fut> Handler for TypedHandler<S, F, I>
where
    S: Send + Sync + 'static,
    F: Fn(Arc<S>, Cx, I) -> Fut + Send + Sync + 'static,
    I: Input,
    O: Output,
    Fut: Future<Output = Result<O>> + Send + 'static,
{
    fn decode(&self, call: &mut Call) -> Result<AnyInput> {
        Ok(Box::new(I::decode(call)?))
    }

    fn run(&self, cx: Cx, input: AnyInput) -> BoxFuture<'static, Result<Reply>> {
        let Ok(input) = input.downcast::<I>() else {
            return Box::pin(std::future::ready(Err(Error::internal("input of another action"))));
        };
        let work = (self.handler)(self.service.clone(), cx, *input);
        Box::pin(async move { work.await?.into_reply() })
    }
}

/// One capability of a service, frozen in the registry.
pub struct Action {
    pub(crate) service_id: Arc<str>,
    pub(crate) service_name: Arc<str>,
    pub(crate) id: String,
    pub(crate) method: Option<Method>,
    pub(crate) path: String,
    pub(crate) access: Access,
    pub(crate) summary: &'static str,
    pub(crate) description: &'static str,
    pub(crate) input: InputKind,
    /// Whether a form is taken in place of a JSON object.
    pub(crate) takes_forms: bool,
    pub(crate) output: fn(&mut SchemaGenerator) -> Option<Schema>,
    pub(crate) content_type: &'static str,
    pub(crate) errors: ErrorShape,
    pub(crate) credential: CredentialHeader,
    pub(crate) timeout: Option<Duration>,
    pub(crate) body_limit: Option<usize>,
    pub(crate) detached: bool,
    pub(crate) moves_money: bool,
    pub(crate) is_named: bool,
    /// Whether its `city_id` is that of a city to be made, which stands for no other.
    pub(crate) makes_city: bool,
    /// Whether it is the Federation's own: then the tenant field has all of its names.
    pub(crate) builtin: bool,
    /// Whether calls count against limits.
    pub(crate) limited: bool,
    pub(crate) handler: Arc<dyn Handler>,
    /// Hooks from the outermost level to the innermost; filled in when the registry is frozen.
    pub(crate) hooks: Vec<Arc<dyn Hook>>,
    pub(crate) own_hooks: Vec<Arc<dyn Hook>>,
    /// Where in `hooks` the service's and the action's own hooks begin.
    pub(crate) hook_levels: [usize; 2],
    pub(crate) metrics: crate::finish::ActionMetrics,
    /// See [`Action::takes_city`]; found out on first use.
    pub(crate) takes_city: OnceLock<bool>,
}

impl Action {
    /// The service's id.
    pub fn service_id(&self) -> &str {
        &self.service_id
    }

    /// The service's name.
    pub fn service_name(&self) -> &str {
        &self.service_name
    }

    /// The action's id within its service, such as `tokens/apply`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The method it answers; `None` = any.
    pub fn method(&self) -> Option<&Method> {
        self.method.as_ref()
    }

    /// The path with its `{param}` segments, such as `/v1/cities/list`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Who may call it.
    pub fn access(&self) -> Access {
        self.access
    }

    /// One sentence on what it does.
    pub fn summary(&self) -> &'static str {
        self.summary
    }

    /// More on how to use it; may be empty.
    pub fn description(&self) -> &'static str {
        self.description
    }

    /// How it takes its input.
    pub fn input(&self) -> InputKind {
        self.input
    }

    /// The schema of its JSON output; `None` for other content.
    pub fn output_schema(&self, generator: &mut SchemaGenerator) -> Option<Schema> {
        (self.output)(generator)
    }

    /// The content type of a success.
    pub fn content_type(&self) -> &'static str {
        self.content_type
    }

    /// Whether it moves money: service keys with amounts then move no more than they may.
    pub fn moves_money(&self) -> bool {
        self.moves_money
    }

    /// Whether service keys have to name it: patterns such as `*` and `ai/*` leave it out.
    pub(crate) fn is_named(&self) -> bool {
        self.is_named
    }

    /// Whether its input has a field `city_id`, so that a call can be about one city.
    pub(crate) fn takes_city(&self) -> bool {
        *self.takes_city.get_or_init(|| crate::views::has_field(self, "city_id"))
    }

    /// The shape of its error bodies.
    pub fn error_shape(&self) -> ErrorShape {
        self.errors
    }

    /// Where its callers may put their credential.
    pub fn credential_header(&self) -> CredentialHeader {
        self.credential
    }
}

impl std::fmt::Debug for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method.as_ref().map_or("*", Method::as_str), self.path)
    }
}
