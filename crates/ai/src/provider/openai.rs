//! Providers that speak the chat completions of OpenAI.

use std::sync::Arc;

use downcity_core::env::{Candidate, Probed};
use downcity_core::{Body, Call};
use futures_util::future::BoxFuture;
use http::Response;

use super::wire::Wire;
use super::{Asked, Protocol};
use crate::config::ProviderConfig;
use crate::failure::Failure;
use crate::mask::Mask;
use crate::upstream::Upstream;

/// A provider of the protocol `openai-chat`.
pub(crate) struct OpenAiChat(Wire);

impl OpenAiChat {
    /// From a configuration that has been validated.
    pub(crate) fn new(config: &ProviderConfig, upstream: Arc<dyn Upstream>) -> Self {
        Self(Wire::new(config, upstream, "/chat/completions"))
    }
}

impl Protocol for OpenAiChat {
    fn ask<'a>(
        &'a self,
        call: &'a Call,
        asked: Asked,
    ) -> BoxFuture<'a, Result<Response<Body>, Failure>> {
        Box::pin(self.0.post(call, asked.body))
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
