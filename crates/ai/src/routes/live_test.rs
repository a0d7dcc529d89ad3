//! `POST /v1/ai/test`: tiny live calls that show whether models work.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use downcity_core::env::EnvOf;
use downcity_core::{Body, Call, Cx, Error, Result};
use downcity_types::ErrorCode;
use futures_util::{StreamExt as _, stream};
use http::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::catalog::{CallSettings, Catalog, Model};
use crate::config::Mode;
use crate::failure::Failure;
use crate::outgoing::Outgoing;
use crate::provider::{Content, read_answer, succeeded};
use crate::routing::{Lane, Told};
use crate::service::Ai;
use crate::stream::events::Events;

/// How many models are tested at the same time.
const AT_ONCE: usize = 6;
/// How long each of the calls to a model may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most output tokens of a call: enough for a model that thinks before it says two letters.
const MOST_TOKENS: u64 = 256;

/// Which models are tested, and for whom.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct TestRequest {
    /// Id of the one model to test.
    #[serde(default)]
    pub model: Option<String>,
    /// Ids of the models to test; without these and `model`, all models are tested, those that are
    /// built in only where they can be called.
    #[serde(default)]
    pub models: Option<Vec<String>>,
    /// Test with the keys that calls of this city use.
    #[serde(default)]
    pub city_id: Option<String>,
}

/// What the tests have shown.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TestResults {
    /// Whether every model that was tested works.
    pub ok: bool,
    /// The models, in the order of the catalog.
    pub items: Vec<ModelTest>,
}

/// What the test of one model has shown.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct ModelTest {
    /// Id of the model.
    pub model: String,
    /// Whether it answers; null for models that answer no text, which are not tested.
    pub ok: Option<bool>,
    /// Milliseconds until the whole answer was there.
    pub latency_ms: Option<u64>,
    /// Milliseconds until the first event of a streamed answer.
    pub first_byte_ms: Option<u64>,
    /// Whether it streams; null where it did not answer at all.
    pub streaming: Option<Checked>,
    /// Whether it calls a tool that it is asked to call; null where it did not answer at all.
    pub tools: Option<Checked>,
    /// Whether it tells what its answer consumed; without that, calls are charged by estimates.
    pub usage: Option<bool>,
    /// Who answered, or failed to at last.
    pub upstream: Option<TestedUpstream>,
    /// What is wrong, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The stable code of what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
}

/// Whether a model can do something.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Checked {
    /// Whether it can.
    pub ok: bool,
    /// Why not, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The stable code of a call that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
}

/// One of the upstreams of a model.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TestedUpstream {
    /// The provider.
    pub provider: String,
    /// The provider's own name of the model.
    pub upstream_model: String,
    /// The env key whose value was sent.
    pub key: Option<String>,
    /// Whose value that was: `city` or `federation`.
    pub key_of: Option<&'static str>,
}

impl Ai {
    pub(crate) async fn test(self: Arc<Self>, cx: Cx, input: TestRequest) -> Result<TestResults> {
        let catalog = self.catalog();
        check_city(&cx, &input)?;
        let models = chosen(&catalog, &cx, input)?;
        let tests = models.into_iter().map(|model| test(&cx, &catalog.settings, model));
        let items: Vec<ModelTest> = stream::iter(tests).buffered(AT_ONCE).collect().await;
        Ok(TestResults { ok: items.iter().all(|item| item.ok != Some(false)), items })
    }
}

/// A city that is not there would be tested with the keys of everybody.
fn check_city(cx: &Call, input: &TestRequest) -> Result<()> {
    let Some(city_id) = input.city_id.as_deref().map(str::trim) else { return Ok(()) };
    match cx.runtime().snapshot().city(city_id) {
        Some(_) => Ok(()),
        None => Err(Error::new(ErrorCode::CityNotFound, "No city has this city_id.")),
    }
}

fn chosen(catalog: &Catalog, cx: &Cx, input: TestRequest) -> Result<Vec<Arc<Model>>> {
    let asked: BTreeSet<String> = match (input.model, input.models) {
        (None, None) => {
            let models = catalog.listed().into_iter();
            return Ok(models.filter(|model| catalog.is_wanted(model, cx)).cloned().collect());
        }
        (model, models) => model.into_iter().chain(models.into_iter().flatten()).collect(),
    };
    let known = |id: &String| catalog.find(id).is_some();
    if let Some(unknown) = asked.iter().find(|id| !known(id)) {
        return Err(catalog.unknown_model(unknown, cx));
    }
    let models = catalog.listed().into_iter();
    Ok(models.filter(|model| asked.contains(&model.id)).cloned().collect())
}

async fn test(cx: &Cx, settings: &CallSettings, model: Arc<Model>) -> ModelTest {
    let mut result = ModelTest { model: model.id.clone(), ..ModelTest::default() };
    let answers_text = [Mode::Text, Mode::Stream, Mode::Openai];
    if !model.modes.iter().any(|mode| answers_text.contains(mode)) {
        result.error = Some("Only models that answer text are tested.".to_owned());
        return result;
    }
    if let Some(key) = model.missing_env(cx) {
        return failed(result, &Failure::Ours(Error::missing_config(key)));
    }
    let tester = Tester { cx, settings, model: &model };
    let began = Instant::now();
    match tester.whole("Reply with the word OK.", false).await {
        (upstream, Err(failure)) => {
            result.upstream = upstream;
            return failed(result, &failure);
        }
        (upstream, Ok(answer)) => {
            result.upstream = upstream;
            result.ok = Some(true);
            result.latency_ms = Some(millis(began));
            result.usage = Some(answer["usage"].is_object());
        }
    }
    let streamed = tester.streamed();
    let called = tester.whole("Call the tool ping now.", true);
    let (streamed, (_, called)) = tokio::join!(streamed, called);
    result.first_byte_ms = streamed.as_ref().ok().copied();
    result.streaming = Some(checked(streamed.map(|_| true), ""));
    let has_called = called.map(|answer| {
        let calls = answer.pointer("/choices/0/message/tool_calls").and_then(Value::as_array);
        calls.is_some_and(|calls| !calls.is_empty())
    });
    result.tools = Some(checked(has_called, "The model answered without calling the tool."));
    result
}

fn failed(mut result: ModelTest, failure: &Failure) -> ModelTest {
    result.ok = Some(false);
    result.error = Some(failure.sentence());
    result.code = Some(failure.code().as_str());
    result
}

fn checked(outcome: Result<bool, Failure>, otherwise: &str) -> Checked {
    match outcome {
        Ok(true) => Checked { ok: true, error: None, code: None },
        Ok(false) => Checked { ok: false, error: Some(otherwise.to_owned()), code: None },
        Err(failure) => Checked {
            ok: false,
            error: Some(failure.sentence()),
            code: Some(failure.code().as_str()),
        },
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Calls one model as callers do, without a hold, a fact, or a word to the keys that rest.
struct Tester<'a> {
    cx: &'a Cx,
    settings: &'a CallSettings,
    model: &'a Arc<Model>,
}

impl Tester<'_> {
    /// A whole answer, and who gave it.
    async fn whole(
        &self,
        prompt: &str,
        with_tool: bool,
    ) -> (Option<TestedUpstream>, Result<Value, Failure>) {
        let outgoing = match self.outgoing(prompt, false, with_tool) {
            Ok(outgoing) => outgoing,
            Err(error) => return (None, Err(Failure::Ours(error))),
        };
        let mut upstream = None;
        let answer = within(async {
            let response = self.send(&outgoing, &mut upstream).await?;
            let bytes = read_answer(response.into_body(), &self.settings.limits).await?;
            let answer: Option<Value> = serde_json::from_slice(&bytes).ok();
            let answer = answer.filter(|answer| answer["choices"].is_array());
            answer.ok_or_else(|| Failure::Unreadable("no completion".to_owned()))
        });
        let answer = answer.await;
        (upstream, answer)
    }

    /// A streamed answer; gives the milliseconds until its first event.
    async fn streamed(&self) -> Result<u64, Failure> {
        let outgoing =
            self.outgoing("Reply with the word OK.", true, false).map_err(Failure::Ours)?;
        let began = Instant::now();
        let streamed = within(async {
            let response = self.send(&outgoing, &mut None).await?;
            if Content::of(response.headers()) != Content::EventStream {
                return Err(Failure::Unreadable("no stream of events".to_owned()));
            }
            let mut events = Events::new(response.into_body());
            let (mut first, mut has_chunk) = (None, false);
            while let Some(data) = poll_fn(|context| events.poll_next(context)).await {
                let data = data?;
                first.get_or_insert_with(|| millis(began));
                let chunk: Value = serde_json::from_str(&data).unwrap_or_default();
                if chunk["error"].is_object() {
                    return Err(Failure::Unreadable("an error within the stream".to_owned()));
                }
                has_chunk |= chunk["choices"].is_array();
            }
            first
                .filter(|_| has_chunk)
                .ok_or_else(|| Failure::Unreadable("a stream without chunks".to_owned()))
        });
        streamed.await
    }

    fn outgoing(&self, prompt: &str, stream: bool, with_tool: bool) -> Result<Outgoing> {
        let mut request = json!({
            "messages": [{"role": "user", "content": prompt}],
            "stream": stream,
        });
        if with_tool {
            request["tools"] = json!([{
                "type": "function",
                "function": {
                    "name": "ping",
                    "description": "Answers with pong.",
                    "parameters": {"type": "object", "properties": {}},
                },
            }]);
        }
        Outgoing::for_each(self.model, |model| {
            let mut request = request.as_object().cloned().unwrap_or_default();
            let limit = model.provider.max_tokens_field.as_str();
            request.insert(limit.to_owned(), MOST_TOKENS.into());
            Ok(request)
        })
    }

    /// Asks the upstreams in order, as a call does.
    async fn send(
        &self,
        outgoing: &Outgoing,
        upstream: &mut Option<TestedUpstream>,
    ) -> Result<Response<Body>, Failure> {
        let (mut lane, others) = self.settings.cooling.lanes(self.cx, outgoing);
        let mut others = others.into_iter();
        loop {
            *upstream = Some(TestedUpstream::of(self.cx, lane));
            let answer = lane.protocol().ask(self.cx, lane.asked()).await;
            let is_for_the_next = Told::of(&answer).is_for_the_next();
            match others.next().filter(|_| is_for_the_next) {
                Some(next) => lane = next,
                None => {
                    let now = self.cx.runtime().clock().now();
                    let mask = || lane.mask(self.cx);
                    return succeeded(answer?, mask, &self.settings.limits, now).await;
                }
            }
        }
    }
}

impl TestedUpstream {
    fn of(call: &Call, lane: Lane<'_>) -> Self {
        Self {
            provider: lane.model().provider.id.clone(),
            upstream_model: lane.model().upstream_model.clone(),
            key: lane.key().map(str::to_owned),
            key_of: lane.key_of(call).map(EnvOf::as_str),
        }
    }
}

async fn within<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or(Err(Failure::TimedOut))
}
