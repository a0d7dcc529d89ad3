//! Providers that make images as jobs: a request begins the work, others ask how far it is. Paths and
//! words are the configuration's.

use std::sync::Arc;

use bytes::Bytes;
use downcity_core::env::{Candidate, Probed};
use downcity_core::{Body, Call, Error, Result};
use futures_util::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::multipart::Form;
use super::wire::Wire;
use super::{Asked, Protocol, Task};
use crate::config::{JobsConfig, ProviderConfig};
use crate::failure::Failure;
use crate::mask::Mask;
use crate::media::{MediaAsk, Order, Reading, StateAsk, collect, extension, inline, unsupported};
use crate::upstream::Upstream;

/// A provider of the protocol `async-image-jobs`.
pub(crate) struct ImageJobs {
    wire: Wire,
    /// Where relative addresses of images begin.
    root: Option<String>,
    jobs: JobsConfig,
    strip: Vec<String>,
    force: Map<String, Value>,
}

impl ImageJobs {
    /// From a configuration that has been validated.
    pub(crate) fn new(config: &ProviderConfig, upstream: Arc<dyn Upstream>) -> Self {
        let root = config.base_url.as_deref().map(|url| url.trim_end_matches('/').to_owned());
        Self {
            wire: Wire::new(config, upstream, "/"),
            root,
            jobs: config.jobs.clone().unwrap_or_default(),
            strip: config.strip.clone(),
            force: config.force.clone(),
        }
    }

    fn create(&self, call: &Call, ask: &MediaAsk) -> Result<Request<Bytes>> {
        let fields = self.fields(ask);
        let images = &ask.order.images;
        if images.is_empty() {
            let body = serde_json::to_vec(&fields).map_err(Error::internal)?;
            return self.wire.request_beside(call, &self.jobs.create_path, None, body.into());
        }
        let mut form = Form::new(call);
        for (name, value) in &fields {
            match value {
                Value::String(text) => form.text(name, text),
                other => form.text(name, &other.to_string()),
            }
        }
        for (index, url) in images.iter().enumerate() {
            let file = inline(url).ok_or_else(|| Error::invalid("images", "must be data: URLs"))?;
            let filename = format!("image-{}.{}", index + 1, extension(file.media_type));
            form.file("image", &filename, file.media_type, &file.bytes);
        }
        let (kind, body) = form.end();
        let mut request = self.wire.request_beside(call, &self.jobs.edit_path, None, body)?;
        request.headers_mut().insert(CONTENT_TYPE, kind);
        Ok(request)
    }

    fn fields(&self, ask: &MediaAsk) -> Map<String, Value> {
        let order = &ask.order;
        let text = |text: &Option<String>| text.as_deref().map(Value::from);
        let set = [
            ("model", Some(ask.model.as_str().into())),
            ("prompt", Some(order.prompt.as_str().into())),
            ("ratio", text(&order.ratio)),
            ("size", text(&order.size)),
            ("quality", text(&order.quality)),
            (self.jobs.count_field.as_str(), order.n.map(Value::from)),
            ("seed", order.seed.map(Value::from)),
            (self.jobs.idempotency_field.as_str(), Some(order.job_id.as_str().into())),
        ];
        let mut fields = Map::new();
        for (name, value) in set {
            if let (Some(value), false) = (value, name.is_empty()) {
                fields.insert(name.to_owned(), value);
            }
        }
        fields.extend(ask.options.clone());
        fields.retain(|name, _| !self.strip.contains(name));
        fields.extend(self.force.clone());
        fields
    }

    fn state(&self, call: &Call, id: &str) -> Result<Request<Bytes>> {
        let id = utf8_percent_encode(id, NON_ALPHANUMERIC).to_string();
        let path = self.jobs.status_path.replace("{id}", &id);
        let mut request = self.wire.request_beside(call, &path, None, Bytes::new())?;
        *request.method_mut() = Method::GET;
        request.headers_mut().remove(CONTENT_TYPE);
        Ok(request)
    }

    async fn run(&self, call: &Call, asked: Asked) -> Result<Response<Body>, Failure> {
        let (request, known_id) = match asked.task {
            Task::MediaState => {
                let ask: StateAsk = asked.read(Task::MediaState).map_err(Failure::Ours)?;
                (self.state(call, &ask.id), Some(ask.id))
            }
            _ => {
                let ask: MediaAsk = asked.read(Task::Media).map_err(Failure::Ours)?;
                (self.create(call, &ask), None)
            }
        };
        let response = self.wire.send(request.map_err(Failure::Ours)?).await?;
        if !response.status().is_success() {
            return Ok(response);
        }
        let bytes = collect(response.into_body()).await?;
        let said: Value = serde_json::from_slice(&bytes)
            .map_err(|_| Failure::Unreadable("a job that is not JSON".to_owned()))?;
        let reading = Reading {
            config: &self.jobs.answer,
            known_id: known_id.as_deref(),
            poll_ms: self.jobs.poll_ms,
            is_result: false,
            root: self.root.clone(),
            media_type: None,
        };
        reading.outcome(&said, &self.wire.mask(call))?.into_response()
    }
}

impl Protocol for ImageJobs {
    fn ask<'a>(
        &'a self,
        call: &'a Call,
        asked: Asked,
    ) -> BoxFuture<'a, Result<Response<Body>, Failure>> {
        Box::pin(self.run(call, asked))
    }

    fn takes(&self, order: &Order) -> Result<()> {
        order.refuse(&["seconds"], "leave it out")?;
        let count_field = &self.jobs.count_field;
        if count_field.is_empty() || self.strip.contains(count_field) {
            // The number would be paid for and never told.
            order.refuse(&["n"], "it makes one image per request")?;
        }
        if order.images.iter().any(|url| inline(url).is_none()) {
            return Err(unsupported("messages", "its images have to be inline, as data_url"));
        }
        Ok(())
    }

    fn refused_option(&self, options: &Map<String, Value>) -> Option<String> {
        let own = [&self.jobs.count_field, &self.jobs.idempotency_field];
        options.keys().find(|name| own.contains(name)).cloned()
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
