//! Providers that make images as jobs: a request begins the work, others ask how far it is. Paths and
//! words are the configuration's.

use std::sync::Arc;

use bytes::Bytes;
use downcity_core::env::{Candidate, Probed};
use downcity_core::{Body, Call, Result};
use futures_util::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::multipart::Form;
use super::wire::Wire;
use super::{Asked, Protocol, Task};
use crate::config::{AnswerConfig, JobsConfig, ProviderConfig};
use crate::failure::Failure;
use crate::files::inline;
use crate::heavy::heavy;
use crate::mask::Mask;
use crate::media::{MediaAsk, Order, Reading, StateAsk, has_own_field, unsupported};
use crate::upstream::Upstream;

/// A provider of the protocol `async-image-jobs`.
pub(crate) struct ImageJobs {
    wire: Wire,
    own: Arc<Own>,
    answer: Arc<AnswerConfig>,
}

/// What the configuration says of requests.
struct Own {
    jobs: JobsConfig,
    strip: Vec<String>,
    force: Map<String, Value>,
}

impl ImageJobs {
    /// From a configuration that has been validated.
    pub(crate) fn new(config: &ProviderConfig, upstream: Arc<dyn Upstream>) -> Self {
        let jobs = config.jobs.clone().unwrap_or_default();
        let answer = Arc::new(jobs.answer.clone());
        let own = Own { jobs, strip: config.strip.clone(), force: config.force.clone() };
        Self { wire: Wire::new(config, upstream, "/"), own: Arc::new(own), answer }
    }

    async fn create(&self, call: &Call, asked: &Asked) -> Result<Request<Bytes>> {
        let ask: MediaAsk = asked.read_media(Task::Media).await?;
        let jobs = &self.own.jobs;
        let is_edit = !ask.order.images.is_empty();
        let path = if is_edit { &jobs.edit_path } else { &jobs.create_path };
        let (form, own) = (Form::new(call), self.own.clone());
        let written = heavy(asked.body.len(), move || {
            form.request(&own.fields(&ask), "image", &ask.order.images)
        });
        let (kind, body) = written.await??;
        let mut request = self.wire.request_beside(call, path, None, body)?;
        if let Some(kind) = kind {
            request.headers_mut().insert(CONTENT_TYPE, kind);
        }
        Ok(request)
    }

    fn state(&self, call: &Call, id: &str) -> Result<Request<Bytes>> {
        let id = utf8_percent_encode(id, NON_ALPHANUMERIC).to_string();
        let path = self.own.jobs.status_path.replace("{id}", &id);
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
            _ => (self.create(call, &asked).await, None),
        };
        let response = self.wire.send(request.map_err(Failure::Ours)?).await?;
        if !response.status().is_success() {
            return Ok(response);
        }
        let reading = Reading {
            config: self.answer.clone(),
            known_id,
            poll_ms: self.own.jobs.poll_ms,
            is_result: false,
            root: self.wire.root(call),
            media_type: None,
        };
        reading.read(response, self.wire.mask(call)).await
    }
}

impl Own {
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
        let count_field = &self.own.jobs.count_field;
        if count_field.is_empty() || self.own.strip.contains(count_field) {
            // The number would be paid for and never told.
            order.refuse(&["n"], "it makes one image per request")?;
        }
        if order.images.iter().any(|url| inline(url).is_none()) {
            return Err(unsupported("messages", "its images have to be inline, as data_url"));
        }
        order.refuse_answers()
    }

    fn takes_options(&self, path: &str, options: &Map<String, Value>) -> Result<()> {
        let own = [&self.own.jobs.count_field, &self.own.jobs.idempotency_field];
        match options.keys().find(|name| own.contains(name)) {
            Some(name) => Err(has_own_field(path, name)),
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
