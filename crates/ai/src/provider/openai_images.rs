//! Providers that speak the images API of OpenAI: `/images/generations`, and `/images/edits` where
//! there are images to draw from. One request makes the images.

use std::sync::Arc;

use bytes::Bytes;
use downcity_core::env::{Candidate, Probed};
use downcity_core::{Body, Call, Result};
use futures_util::future::BoxFuture;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Request, Response};
use serde_json::{Map, Value};

use super::multipart::Form;
use super::wire::Wire;
use super::{Asked, Protocol, Task};
use crate::config::ProviderConfig;
use crate::failure::Failure;
use crate::files::inline;
use crate::heavy::heavy;
use crate::mask::Mask;
use crate::media::{MediaAsk, Order, unsupported};
use crate::upstream::Upstream;

/// Where OpenAI is, unless `base_url` says otherwise.
const BASE_URL: &str = "https://api.openai.com/v1";
const GENERATIONS: &str = "/images/generations";
const EDITS: &str = "/images/edits";
static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A provider of the protocol `openai-images`.
pub(crate) struct OpenAiImages {
    wire: Wire,
    own: Arc<Own>,
}

/// What the configuration does to fields.
struct Own {
    strip: Vec<String>,
    force: Map<String, Value>,
}

impl OpenAiImages {
    /// From a configuration that has been validated.
    pub(crate) fn new(config: &ProviderConfig, upstream: Arc<dyn Upstream>) -> Self {
        let mut config = config.clone();
        config.base_url.get_or_insert_with(|| BASE_URL.to_owned());
        let wire = Wire::new(&config, upstream, GENERATIONS);
        Self { wire, own: Arc::new(Own { strip: config.strip, force: config.force }) }
    }

    async fn request(&self, call: &Call, asked: Asked) -> Result<Request<Bytes>> {
        let ask: MediaAsk = asked.read_media(Task::Media).await?;
        let (job_id, is_edit) = (ask.order.job_id.clone(), !ask.order.images.is_empty());
        let (form, own) = (Form::new(call), self.own.clone());
        let written = heavy(asked.body.len(), move || {
            let mut fields = fields(&ask)?;
            fields.retain(|name, _| !own.strip.contains(name));
            fields.extend(own.force.clone());
            let images = &ask.order.images;
            form.request(&fields, if images.len() > 1 { "image[]" } else { "image" }, images)
        });
        let (kind, body) = written.await??;
        let path = if is_edit { EDITS } else { GENERATIONS };
        let mut request = self.wire.request_beside(call, path, None, body)?;
        if let Some(kind) = kind {
            request.headers_mut().insert(CONTENT_TYPE, kind);
        }
        // A provider that knows keys makes an order that is sent again but once.
        if let Ok(key) = HeaderValue::from_str(&job_id) {
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

/// Options under which an answer comes in pieces, which nobody waits for here.
const STREAMING: &[&str] = &["stream", "partial_images"];

impl Protocol for OpenAiImages {
    fn ask<'a>(
        &'a self,
        call: &'a Call,
        asked: Asked,
    ) -> BoxFuture<'a, Result<Response<Body>, Failure>> {
        Box::pin(async move {
            let request = self.request(call, asked).await.map_err(Failure::Ours)?;
            self.wire.send(request).await
        })
    }

    fn takes(&self, order: &Order) -> Result<()> {
        size(order)?;
        if order.seconds.is_some() {
            return Err(unsupported("seconds", "it makes images"));
        }
        if let Some(name) = STREAMING.iter().find(|name| order.extra.contains_key(**name)) {
            return Err(unsupported(name, "images are not streamed, leave it out"));
        }
        order.refuse_answers()?;
        if order.images.iter().any(|url| inline(url).is_none()) {
            return Err(unsupported("messages", "its images have to be inline, as data_url"));
        }
        Ok(())
    }

    fn takes_options(&self, path: &str, options: &Map<String, Value>) -> Result<()> {
        match STREAMING.iter().find(|name| options.contains_key(**name)) {
            Some(name) => {
                let path = format!("{path}.{name}");
                Err(unsupported(&path, "images are not streamed, leave it out"))
            }
            None => Ok(()),
        }
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
