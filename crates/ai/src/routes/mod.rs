//! The handlers, one file per route.

mod audio;
mod chat;
mod embeddings;
mod images;
mod live_test;
mod media;
mod messages;
mod models;
mod stored;
mod stream;
pub(crate) mod surface;
mod text;

pub use audio::{AsrInput, SpeechRequest, Transcript, TranscriptionRequest, TtsInput};
pub use chat::ChatRequest;
pub use embeddings::{EmbeddingsInput, EmbeddingsRequest};
pub use images::{ImageAnswer, ImageFormat, ImagesAnswer, ImagesRequest};
pub use live_test::{Checked, ModelTest, TestRequest, TestResults, TestedUpstream};
pub use messages::MessagesRequest;
pub use models::{
    KeyState, LeftOutModel, ListedModel, ModelId, ModelList, OpenAiModel, OpenAiModelList,
};
pub use stored::StoredModels;

use downcity_core::{Cx, Result};

use crate::billing::Bill;
use crate::catalog::{Catalog, Model};
use crate::config::Mode;
use crate::convert::answer::AnswerOf;
use crate::convert::request::TextInput;
use crate::metering::Meter;
use crate::outgoing::Outgoing;
use crate::service::Ai;

impl Ai {
    /// Begins the account of a call that is ready to be sent, and reserves what it may cost.
    ///
    /// # Errors
    /// 429 when too many calls are under way, 402 when the caller cannot pay.
    async fn begin(
        &self,
        cx: &Cx,
        catalog: &Catalog,
        mode: Mode,
        outgoing: &Outgoing,
    ) -> Result<Meter> {
        let settings = &catalog.settings;
        let mut meter = Meter::begin(cx, &outgoing.model, mode, catalog.take_slot()?);
        if let Some(bill) = Bill::of(cx, mode, outgoing, settings.bill_admin)? {
            meter.hold(bill, &self.billing().wallets, &settings.limits).await?;
        }
        Ok(meter)
    }
}

/// A new id of a message.
pub(crate) fn message_id(cx: &Cx) -> String {
    let mut random = [0; 16];
    cx.runtime().random().fill(&mut random);
    format!("msg_{}", uuid::Builder::from_random_bytes(random).into_uuid())
}

/// Names the answer to a call.
fn answer_of(cx: &Cx, model: &Model, input: &TextInput) -> AnswerOf {
    answer_for(cx, model, input.named_city())
}

/// The same; the trusted side may name a city.
fn answer_for(cx: &Cx, model: &Model, named_city: Option<&str>) -> AnswerOf {
    let user = cx.identity().user();
    let city = user.map(|user| user.city.city_id.as_str()).or(named_city);
    AnswerOf {
        message_id: message_id(cx),
        model: model.id.clone(),
        city_id: city.map(str::to_owned),
        user_id: user.map(|user| user.user_id.to_string()),
    }
}
