//! Any HTTP API that makes images or video: requests are written down in the configuration, with
//! `{{name}}` where values stand.
//!
//! Values cannot leave their place: bodies are JSON values whose texts are filled in, not JSON text;
//! in paths values are percent-encoded; in headers nothing that ends one is taken.

use std::sync::Arc;

use bytes::Bytes;
use downcity_core::env::{Candidate, Probed};
use downcity_core::{Body, Call, Error, Result};
use futures_util::future::BoxFuture;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Method, Request, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::wire::Wire;
use super::{Asked, Protocol, Task, collect};
use crate::config::{AnswerConfig, Mode, ProviderConfig, RequestTemplate, TemplateConfig};
use crate::failure::Failure;
use crate::files::to_base64;
use crate::heavy::heavy;
use crate::mask::Mask;
use crate::media::{Made, MediaAnswer, MediaAsk, Order, Outcome, Reading, StateAsk, unsupported};
use crate::upstream::Upstream;

/// A provider of the protocol `http-template`.
pub(crate) struct HttpTemplate {
    wire: Wire,
    template: TemplateConfig,
    answer: Arc<AnswerConfig>,
}

/// What `{{name}}` stands for.
type Values = Map<String, Value>;

impl HttpTemplate {
    /// From a configuration that has been validated.
    pub(crate) fn new(config: &ProviderConfig, upstream: Arc<dyn Upstream>) -> Self {
        let template = config.template.clone().unwrap_or_default();
        let answer = Arc::new(template.answer.clone());
        Self { wire: Wire::new(config, upstream, "/"), template, answer }
    }

    async fn run(&self, call: &Call, asked: Asked) -> Result<Response<Body>, Failure> {
        let (request, mode, known_id) = match (asked.task, &self.template.status) {
            (Task::MediaState, Some(status)) => {
                let ask: StateAsk = asked.read(Task::MediaState).map_err(Failure::Ours)?;
                (self.request(call, status, &values_of_state(&ask)), ask.mode, Some(ask.id))
            }
            _ => {
                let ask: MediaAsk = asked.read_media(Task::Media).await.map_err(Failure::Ours)?;
                let mode = ask.order.mode;
                (self.request(call, &self.template.create, &values(&ask)), mode, None)
            }
        };
        let response = self.wire.send(request.map_err(Failure::Ours)?).await?;
        if !response.status().is_success() {
            return Ok(response);
        }
        if let Some(media_type) = file_type(&response) {
            return file(media_type, response).await;
        }
        let untold = if mode == Mode::Video { "video/mp4" } else { "image/png" };
        let media_type = self.template.media_type.as_deref().unwrap_or(untold);
        let reading = Reading {
            config: self.answer.clone(),
            known_id,
            poll_ms: self.template.poll_ms,
            is_result: self.template.status.is_none(),
            root: self.wire.root(call),
            media_type: Some(media_type.to_owned()),
        };
        reading.read(response, self.wire.mask(call)).await
    }

    fn request(
        &self,
        call: &Call,
        template: &RequestTemplate,
        values: &Values,
    ) -> Result<Request<Bytes>> {
        let body = template.body.as_ref().and_then(|body| filled(body, values));
        let bytes = match &body {
            Some(body) => serde_json::to_vec(body).map_err(Error::internal)?,
            None => Vec::new(),
        };
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let path = interpolated(&template.path, values, encoded);
        let (path, query) = path.split_once('?').map_or((&*path, None), |(p, q)| (p, Some(q)));
        let mut request = self.wire.request_beside(call, path, query, bytes.into())?;
        let method = template.method.as_deref().map(str::to_ascii_uppercase);
        *request.method_mut() = match method {
            Some(method) => Method::from_bytes(method.as_bytes()).map_err(Error::internal)?,
            None if body.is_some() => Method::POST,
            None => Method::GET,
        };
        if body.is_none() {
            request.headers_mut().remove(CONTENT_TYPE);
        }
        for (name, value) in &template.headers {
            let value = interpolated(value, values, str::to_owned);
            let value = HeaderValue::from_str(&value).map_err(|_| {
                Error::invalid("prompt", "holds characters that a header of the model cannot carry")
            })?;
            request
                .headers_mut()
                .insert(HeaderName::try_from(name).map_err(Error::internal)?, value);
        }
        Ok(request)
    }

    /// Whether any text of the requests names a value.
    fn names(&self, name: &str) -> bool {
        let requests = std::iter::once(&self.template.create).chain(&self.template.status);
        let mark = format!("{{{{{name}}}}}");
        requests.into_iter().any(|request| {
            let body = request.body.as_ref().map(Value::to_string).unwrap_or_default();
            let headers = request.headers.values();
            let mut texts = [&request.path, &body].into_iter().chain(headers);
            texts.any(|text| text.replace(' ', "").contains(&mark))
        })
    }
}

/// What an order gives to a template.
fn values(ask: &MediaAsk) -> Values {
    let order = &ask.order;
    let text = |text: &Option<String>| text.as_deref().map(Value::from);
    let (width, height) = match order.size.as_deref().and_then(|size| size.split_once('x')) {
        Some((width, height)) => (width.parse::<u32>().ok(), height.parse::<u32>().ok()),
        None => (None, None),
    };
    let images = (!order.images.is_empty()).then(|| Value::from(order.images.clone()));
    let set = [
        ("model", Some(ask.model.as_str().into())),
        ("job_id", Some(order.job_id.as_str().into())),
        ("prompt", Some(order.prompt.as_str().into())),
        ("n", order.n.map(Value::from)),
        ("size", text(&order.size)),
        ("width", width.map(Value::from)),
        ("height", height.map(Value::from)),
        ("ratio", text(&order.ratio)),
        ("quality", text(&order.quality)),
        ("seed", order.seed.map(Value::from)),
        ("seconds", order.seconds.map(Value::from)),
        ("image", order.images.first().map(|url| Value::from(url.as_str()))),
        ("images", images),
    ];
    let options =
        ask.options.iter().map(|(name, value)| (format!("options.{name}"), Some(value.clone())));
    let set = set.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(options);
    set.filter_map(|(name, value)| Some((name, value?))).collect()
}

fn values_of_state(ask: &StateAsk) -> Values {
    let set = [("model", &ask.model), ("id", &ask.id), ("job_id", &ask.job_id)];
    set.into_iter().map(|(name, value)| (name.to_owned(), value.as_str().into())).collect()
}

/// A JSON value with its texts filled in; `None` for a text that is one name without a value.
fn filled(template: &Value, values: &Values) -> Option<Value> {
    match template {
        Value::String(text) => match only_name(text) {
            Some(name) => values.get(name).cloned(),
            None => Some(interpolated(text, values, str::to_owned).into()),
        },
        Value::Array(items) => Some(items.iter().filter_map(|item| filled(item, values)).collect()),
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields =
                fields.filter_map(|(name, value)| Some((name.clone(), filled(value, values)?)));
            Some(Value::Object(fields.collect()))
        }
        other => Some(other.clone()),
    }
}

/// The name, where a text is one `{{name}}` alone.
fn only_name(text: &str) -> Option<&str> {
    let name = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    (!name.contains("{{") && !name.contains("}}")).then(|| name.trim())
}

/// A text with values in the place of names, each value written by `written`; what has no value is
/// nothing. Values are not looked at again.
fn interpolated(text: &str, values: &Values, written: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, behind)) = after.split_once("}}") else { break };
        out.push_str(before);
        match values.get(name.trim()) {
            Some(Value::String(value)) => out.push_str(&written(value)),
            Some(value) => out.push_str(&written(&value.to_string())),
            None => {}
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// The media type of an answer that is a file itself.
fn file_type(response: &Response<Body>) -> Option<String> {
    let headers = response.headers();
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return None;
    }
    let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim();
    let kind = kind.to_ascii_lowercase();
    ["image/", "video/", "audio/"].iter().any(|begin| kind.starts_with(begin)).then_some(kind)
}

/// The answer is the file: it goes the way of all files.
async fn file(media_type: String, response: Response<Body>) -> Result<Response<Body>, Failure> {
    let status = response.status();
    let bytes = collect(response.into_body()).await?;
    let made = heavy(bytes.len(), move || {
        let base64 = Some(to_base64(&bytes));
        let made = Made { b64_json: base64, media_type: Some(media_type), ..Made::default() };
        let answer = MediaAnswer { data: vec![made], ..MediaAnswer::default() };
        Outcome::Made(answer).into_response(status)
    });
    made.await.map_err(Failure::Ours)?
}

impl Protocol for HttpTemplate {
    fn ask<'a>(
        &'a self,
        call: &'a Call,
        asked: Asked,
    ) -> BoxFuture<'a, Result<Response<Body>, Failure>> {
        Box::pin(self.run(call, asked))
    }

    /// What the template has no place for would be lost.
    fn takes(&self, order: &Order) -> Result<()> {
        let knows = |names: &[&str]| names.iter().any(|name| self.names(name));
        let lost: Vec<&str> = [
            ("n", knows(&["n"])),
            ("size", knows(&["size", "width"])),
            ("ratio", knows(&["ratio"])),
            ("quality", knows(&["quality"])),
            ("seed", knows(&["seed"])),
            ("seconds", knows(&["seconds"])),
            ("images", knows(&["image", "images"])),
        ]
        .into_iter()
        .filter_map(|(name, is_known)| (!is_known).then_some(name))
        .collect();
        order.refuse(&lost, "leave it out")?;
        if order.images.len() > 1 && !knows(&["images"]) {
            return Err(unsupported("images", "it takes one image"));
        }
        order.refuse_answers()
    }

    fn takes_options(&self, path: &str, options: &Map<String, Value>) -> Result<()> {
        match options.keys().find(|name| !self.names(&format!("options.{name}"))) {
            Some(name) => {
                let path = format!("{path}.{name}");
                Err(unsupported(&path, "its template has no place for it, leave it out"))
            }
            None => Ok(()),
        }
    }

    fn probes(&self, _: &str) -> bool {
        // Nothing says where such an API lists its models.
        false
    }

    fn probe<'a>(&'a self, _: &'a Candidate) -> BoxFuture<'a, Probed> {
        let why = "The provider does not list its models.".to_owned();
        Box::pin(std::future::ready(Probed::Unknown(why)))
    }

    fn mask(&self, call: &Call) -> Mask {
        self.wire.mask(call)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn some() -> Values {
        let values = json!({"prompt": "a \"cat\"\n{{seed}}", "n": 2, "id": "a/b?c"});
        values.as_object().unwrap().clone()
    }

    #[test]
    fn bodies_are_filled_with_values_of_their_type() {
        let template = json!({
            "text": "{{prompt}}", "count": "{{ n }}", "seed": "{{seed}}", "fixed": true,
            "deep": [{"line": "say: {{prompt}} x{{n}}{{seed}}"}, "{{seed}}"], "odd": "{{prompt",
        });
        assert_eq!(
            filled(&template, &some()).unwrap(),
            json!({
                "text": "a \"cat\"\n{{seed}}", "count": 2, "fixed": true,
                "deep": [{"line": "say: a \"cat\"\n{{seed}} x2"}], "odd": "{{prompt",
            })
        );
    }

    #[test]
    fn values_in_paths_stay_in_their_segment() {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        assert_eq!(interpolated("/jobs/{{id}}/x", &some(), encoded), "/jobs/a%2Fb%3Fc/x");
    }
}
