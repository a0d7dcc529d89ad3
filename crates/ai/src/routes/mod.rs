//! The handlers, one file per route.

mod chat;
mod models;
mod stream;
mod text;

pub use chat::ChatRequest;
pub use models::{ListedModel, ModelList, OpenAiModel};

use downcity_core::Cx;

use crate::catalog::Model;
use crate::convert::answer::AnswerOf;
use crate::convert::request::TextInput;

/// Names the answer to a call.
fn answer_of(cx: &Cx, model: &Model, input: &TextInput) -> AnswerOf {
    let mut random = [0; 16];
    cx.runtime().random().fill(&mut random);
    let id = uuid::Builder::from_random_bytes(random).into_uuid();
    let user = cx.identity().user();
    let city = user.map(|user| user.city.city_id.as_str()).or_else(|| input.named_city());
    AnswerOf {
        message_id: format!("msg_{id}"),
        model: model.id.clone(),
        city_id: city.map(str::to_owned),
        user_id: user.map(|user| user.user_id.to_string()),
    }
}
