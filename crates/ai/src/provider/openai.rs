//! Providers that speak the API of OpenAI: chat completions, embeddings, audio, or all of it.

use std::sync::Arc;

use downcity_core::env::{Candidate, Probed};
use downcity_core::{Body, Call, Error};
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Response};

use super::wire::Wire;
use super::{Asked, Protocol, Task};
use crate::config::ProviderConfig;
use crate::failure::Failure;
use crate::mask::Mask;
use crate::upstream::Upstream;

/// A provider of the protocol `openai-chat`, `openai-embeddings` or `openai-audio`.
pub(crate) struct OpenAi(Wire);

impl OpenAi {
    /// From a configuration that has been validated.
    pub(crate) fn new(config: &ProviderConfig, upstream: Arc<dyn Upstream>) -> Self {
        Self(Wire::new(config, upstream, Task::Chat.path()))
    }
}

impl Protocol for OpenAi {
    fn ask<'a>(
        &'a self,
        call: &'a Call,
        asked: Asked,
    ) -> BoxFuture<'a, Result<Response<Body>, Failure>> {
        Box::pin(async move {
            match asked.task {
                Task::Chat => self.0.post(call, asked.body).await,
                Task::Embeddings | Task::Speech | Task::Transcription => {
                    let form = (asked.task == Task::Transcription).then(|| form_type(&asked.body));
                    let path = asked.task.path();
                    let request = self.0.request_beside(call, path, None, asked.body);
                    let mut request = request.map_err(Failure::Ours)?;
                    let headers = request.headers_mut();
                    if let Some(form) = form {
                        headers.insert(CONTENT_TYPE, form.map_err(Failure::Ours)?);
                    }
                    if asked.task == Task::Speech {
                        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
                    }
                    self.0.send(request).await
                }
                Task::Media | Task::MediaState => Err(asked.foreign()),
            }
        })
    }

    fn probes(&self, key: &str) -> bool {
        self.0.probes(key)
    }

    fn probe<'a>(&'a self, candidate: &'a Candidate) -> BoxFuture<'a, Probed> {
        Box::pin(self.0.probe(candidate))
    }

    fn mask(&self, call: &Call) -> Mask {
        self.0.mask(call)
    }
}

/// The content type of a form, by its own first line.
fn form_type(body: &[u8]) -> Result<HeaderValue, Error> {
    let boundary = boundary_of(body).ok_or_else(|| Error::internal("a form without a boundary"))?;
    HeaderValue::from_str(&format!("multipart/form-data; boundary={boundary}"))
        .map_err(Error::internal)
}

/// The boundary of a form, by its own first line.
pub(super) fn boundary_of(body: &[u8]) -> Option<&str> {
    let line = body.split(|byte| *byte == b'\r').next()?;
    std::str::from_utf8(line.strip_prefix(b"--")?).ok()
}
