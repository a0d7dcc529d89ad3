//! `POST /v1/embeddings` and `POST /v1/ai/embeddings`

use std::sync::Arc;

use downcity_core::{Cx, ErrorShape, JsonObject, Reply, Result, ServiceDef, USER_OR_ADMIN};
use schemars::JsonSchema;

use super::chat::PassThrough;
use crate::config::Mode;
use crate::outgoing::Outgoing;
use crate::service::{Ai, GUARD};

/// A request for embeddings in the form of OpenAI. Fields that are not listed are passed on as well.
#[derive(Clone, Debug, JsonSchema)]
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
        let outgoing = Outgoing::embeddings(&input.bytes, |asked| {
            catalog.resolve(asked, Mode::Embeddings, &cx)
        })?;
        self.carry(&cx, catalog, Mode::Embeddings, outgoing, PassThrough).await
    }
}
