//! `POST /v1/embeddings` and `POST /v1/ai/embeddings`

use std::sync::Arc;

use downcity_core::{Cx, ErrorShape, JsonObject, Reply, Result, ServiceDef, USER_OR_ADMIN};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use schemars::JsonSchema;

use super::chat::note;
use super::surface::{Answered, Surface, passed_headers};
use crate::catalog::CallSettings;
use crate::config::Mode;
use crate::convert::vectors::Encoding;
use crate::outgoing::Outgoing;
use crate::provider::read_answer;
use crate::service::{Ai, GUARD};

/// A request for embeddings in the form of OpenAI. Fields that are not listed are passed on as well.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
pub struct EmbeddingsRequest {
    /// Id of the model; without it the default model for `embeddings` answers.
    pub model: Option<String>,
    /// What vectors are made of; never empty.
    pub input: EmbeddingsInput,
    /// How vectors are written: `float` (unless set) or `base64`, which is 32-bit floats, little
    /// endian.
    pub encoding_format: Option<String>,
    /// The length of the vectors, where the model can change it.
    pub dimensions: Option<u32>,
    /// City of the user; may be left out. It is never passed on.
    pub city_id: Option<String>,
    /// For the trusted side: the user of `city_id` who pays, where its calls are billed. It is never
    /// passed on.
    pub user_id: Option<String>,
}

/// What vectors are made of.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum EmbeddingsInput {
    /// One text.
    Text(String),
    /// Several texts: a vector for each.
    Texts(Vec<String>),
    /// The tokens of one text, as the model itself counts them.
    Tokens(Vec<u64>),
    /// The tokens of several texts.
    TokenLists(Vec<Vec<u64>>),
}

/// The provider's own bytes, the vectors written as they were asked for.
struct Vectors(Option<Encoding>);

impl Ai {
    pub(crate) fn declare_embeddings(self: &Arc<Self>, service: &mut ServiceDef) {
        for path in ["embeddings", "/v1/embeddings"] {
            service
                .post(path, USER_OR_ADMIN, self, Self::embeddings)
                .summary("Make vectors of texts, in the form of OpenAI.")
                .description(
                    "Fields and answers are the provider's. `model` is an id of GET /v1/ai/models \
                     with the mode `embeddings`, or absent for the default model of that mode.",
                )
                .errors(ErrorShape::OpenAi)
                .produces("application/json")
                .timeout(GUARD)
                .moves_money()
                .cancel_on_disconnect();
        }
    }

    pub(crate) async fn embeddings(
        self: Arc<Self>,
        cx: Cx,
        input: JsonObject<EmbeddingsRequest>,
    ) -> Result<Reply> {
        let catalog = self.catalog();
        let (outgoing, encoding) = Outgoing::embeddings(&input.bytes, |asked| {
            catalog.resolve(asked, Mode::Embeddings, &cx)
        })?;
        self.carry(&cx, catalog, Mode::Embeddings, outgoing, Vectors(encoding)).await
    }
}

impl Surface for Vectors {
    const RELAYS_ERRORS: bool = true;

    async fn answer(self, answered: Answered, settings: &CallSettings) -> Result<Reply> {
        let Answered { response, mut meter, mask, .. } = answered;
        let (parts, body) = response.into_parts();
        let bytes = read_answer(body, &settings.limits).await;
        let written = bytes.and_then(|bytes| match self.0 {
            Some(encoding) => Ok((encoding.written(&bytes)?, bytes)),
            None => Ok((None, bytes)),
        });
        let (written, bytes) = written.map_err(|failure| {
            meter.failed();
            failure.into_error()
        })?;
        note(&bytes, &mut meter);
        let mut reply = Reply::new(parts.status);
        reply.headers = passed_headers(&parts.headers, meter.cx().runtime().clock().now());
        reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        reply.body = mask.bytes(written.unwrap_or(bytes)).into();
        Ok(reply)
    }
}
