//! Providers that speak the API of OpenAI: chat completions, embeddings, or both.

use std::sync::Arc;

use downcity_core::env::{Candidate, Probed};
use downcity_core::{Body, Call};
use futures_util::future::BoxFuture;
use http::Response;

use super::wire::Wire;
use super::{Asked, Protocol, Task};
use crate::config::ProviderConfig;
use crate::failure::Failure;
use crate::mask::Mask;
use crate::upstream::Upstream;

/// A provider of the protocol `openai-chat` or `openai-embeddings`.
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
                Task::Embeddings => {
                    let path = asked.task.path();
                    let request = self.0.request_beside(call, path, None, asked.body);
                    self.0.send(request.map_err(Failure::Ours)?).await
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
