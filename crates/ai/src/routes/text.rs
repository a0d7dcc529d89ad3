//! `POST /v1/ai/text`

use std::sync::Arc;

use downcity_core::{Cx, Result};
use downcity_types::UiMessage;

use super::answer_of;
use super::surface::closed;
use crate::config::Mode;
use crate::convert::request::TextInput;
use crate::exchange::{run, send_with_retries};
use crate::failure::Failure;
use crate::outgoing::Outgoing;
use crate::provider::read_answer;
use crate::service::Ai;

impl Ai {
    pub(crate) async fn text(self: Arc<Self>, cx: Cx, input: TextInput) -> Result<UiMessage> {
        let catalog = self.catalog();
        input.check(&catalog.settings)?;
        let model = catalog.resolve(input.model.as_deref(), Mode::Text, &cx)?;
        let outgoing = Outgoing::chat(&input, &model, false)?;
        let answer = answer_of(&cx, &model, &input);
        let mut meter = self.begin(&cx, &catalog, Mode::Text, &outgoing).await?;
        let on_disconnect = catalog.settings.on_disconnect;
        let work = async move {
            let settings = &catalog.settings;
            let read = async {
                let (response, _) = send_with_retries(&mut meter, &outgoing, settings).await?;
                meter.first_byte();
                read_answer(response.into_body(), &settings.limits).await
            };
            let bytes = tokio::time::timeout(settings.limits.total, read)
                .await
                .unwrap_or(Err(Failure::TimedOut));
            let completion = closed(&mut meter, bytes)?;
            Ok(completion.into_message(&answer))
        };
        run(&cx, on_disconnect, work).await
    }
}
