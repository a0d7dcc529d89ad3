//! Providers that speak the images API of OpenAI: `/images/generations`, and `/images/edits` where
//! there are images to draw from. One request makes the images.

use std::sync::Arc;

use downcity_core::env::{Candidate, Probed};
use downcity_core::{Body, Call, Error, Result};
use futures_util::future::BoxFuture;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Request, Response, StatusCode};
use serde_json::{Map, Value};

use super::multipart::Form;
use super::wire::Wire;
use super::{Asked, Protocol, Task};
use crate::config::ProviderConfig;
use crate::failure::Failure;
use crate::mask::Mask;
use crate::media::{MediaAsk, Order, extension, inline, unsupported};
use crate::upstream::Upstream;

/// Where OpenAI is, unless `base_url` says otherwise.
const BASE_URL: &str = "https://api.openai.com/v1";
const GENERATIONS: &str = "/images/generations";
const EDITS: &str = "/images/edits";
static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A provider of the protocol `openai-images`.
pub(crate) struct OpenAiImages {
    wire: Wire,
    strip: Vec<String>,
    force: Map<String, Value>,
}

impl OpenAiImages {
    /// From a configuration that has been validated.
    pub(crate) fn new(config: &ProviderConfig, upstream: Arc<dyn Upstream>) -> Self {
        let mut config = config.clone();
        config.base_url.get_or_insert_with(|| BASE_URL.to_owned());
        let wire = Wire::new(&config, upstream, GENERATIONS);
        Self { wire, strip: config.strip, force: config.force }
    }

    fn request(&self, call: &Call, ask: &MediaAsk) -> Result<Request<bytes::Bytes>> {
        let order = &ask.order;
        let mut fields = fields(ask)?;
        fields.retain(|name, _| !self.strip.contains(name));
        fields.extend(self.force.clone());
        let mut request = if order.images.is_empty() {
            let body = serde_json::to_vec(&fields).map_err(Error::internal)?;
            self.wire.request_beside(call, GENERATIONS, None, body.into())?
        } else {
            let (kind, body) = form(call, &fields, &order.images)?.end();
            let mut request = self.wire.request_beside(call, EDITS, None, body)?;
            request.headers_mut().insert(CONTENT_TYPE, kind);
            request
        };
        // A provider that knows keys makes an order that is sent again but once.
        if let Ok(key) = HeaderValue::from_str(&order.job_id) {
            request.headers_mut().insert(&IDEMPOTENCY_KEY, key);
        }
        Ok(request)
    }
}

fn fields(ask: &MediaAsk) -> Result<Map<String, Value>> {
    let order = &ask.order;
    let mut fields = Map::new();
    // The newer models answer in base64 alone and know no such field.
    let answer = ask.model.starts_with("dall-e").then(|| Value::from("b64_json"));
    let set = [
        ("model", Some(ask.model.as_str().into())),
        ("prompt", Some(order.prompt.as_str().into())),
        ("n", order.n.map(Value::from)),
        ("size", size(order)?.map(Value::from)),
        ("quality", order.quality.as_deref().map(Value::from)),
        ("seed", order.seed.map(Value::from)),
        ("response_format", answer),
    ];
    for (name, value) in set {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value);
        }
    }
    fields.extend(order.extra.clone());
    fields.extend(ask.options.clone());
    Ok(fields)
}

/// The size, or that which a ratio stands for.
fn size(order: &Order) -> Result<Option<&str>> {
    match (order.size.as_deref(), order.ratio.as_deref()) {
        (Some(size), _) => Ok(Some(size)),
        (None, None) => Ok(None),
        (None, Some("1:1")) => Ok(Some("1024x1024")),
        (None, Some("3:2")) => Ok(Some("1536x1024")),
        (None, Some("2:3")) => Ok(Some("1024x1536")),
        (None, Some(_)) => {
            Err(unsupported("ratio", "its ratios are 1:1, 3:2 and 2:3; for others set size"))
        }
    }
}

fn form(call: &Call, fields: &Map<String, Value>, images: &[String]) -> Result<Form> {
    let mut form = Form::new(call);
    for (name, value) in fields {
        match value {
            Value::String(text) => form.text(name, text),
            Value::Null => {}
            other => form.text(name, &other.to_string()),
        }
    }
    let name = if images.len() > 1 { "image[]" } else { "image" };
    for (index, url) in images.iter().enumerate() {
        let file = inline(url).ok_or_else(|| Error::invalid("images", "must be data: URLs"))?;
        let filename = format!("image-{}.{}", index + 1, extension(file.media_type));
        form.file(name, &filename, file.media_type, &file.bytes);
    }
    Ok(form)
}

impl Protocol for OpenAiImages {
    fn ask<'a>(
        &'a self,
        call: &'a Call,
        asked: Asked,
    ) -> BoxFuture<'a, Result<Response<Body>, Failure>> {
        Box::pin(async move {
            let ask: MediaAsk = asked.read(Task::Media).map_err(Failure::Ours)?;
            let request = self.request(call, &ask).map_err(Failure::Ours)?;
            let mut response = self.wire.send(request).await?;
            if response.status().is_success() {
                // Other statuses of success have a meaning of our own.
                *response.status_mut() = StatusCode::OK;
            }
            Ok(response)
        })
    }

    fn takes(&self, order: &Order) -> Result<()> {
        size(order)?;
        if order.seconds.is_some() {
            return Err(unsupported("seconds", "it makes images"));
        }
        if order.images.iter().any(|url| inline(url).is_none()) {
            return Err(unsupported("messages", "its images have to be inline, as data_url"));
        }
        Ok(())
    }

    fn probes(&self, key: &str) -> bool {
        self.wire.probes(key)
    }

    fn probe<'a>(&'a self, candidate: &'a Candidate) -> BoxFuture<'a, Probed> {
        Box::pin(self.wire.probe(candidate))
    }

    fn mask(&self, call: &Call) -> Mask {
        self.wire.mask(call)
    }
}
