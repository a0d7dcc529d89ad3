//! `POST /v1/ai/text`

use std::sync::Arc;

use downcity_core::{Cx, Result};
use downcity_types::UiMessage;

use super::answer_of;
use crate::config::Mode;
use crate::convert::answer::Completion;
use crate::convert::request::TextInput;
use crate::exchange::{run, send_with_retries};
use crate::failure::Failure;
use crate::metering::Meter;
use crate::outgoing::Outgoing;
use crate::provider::read_answer;
use crate::service::Ai;

impl Ai {
    pub(crate) async fn text(self: Arc<Self>, cx: Cx, input: TextInput) -> Result<UiMessage> {
        let catalog = self.catalog();
        input.check(&catalog.settings)?;
        let model = catalog.resolve(input.model.as_deref(), Mode::Text, &cx)?;
        let body = Outgoing::chat(&input, &model, false)?.body;
        let answer = answer_of(&cx, &model, &input);
        let mut meter = Meter::begin(&cx, &model, Mode::Text, catalog.take_slot()?);
        let on_disconnect = catalog.settings.on_disconnect;
        let work = async move {
            let settings = &catalog.settings;
            let read = async {
                let response = send_with_retries(&meter, &model, body, settings).await?;
                meter.first_byte();
                read_answer(response.into_body(), &settings.limits).await
            };
            let bytes = tokio::time::timeout(settings.limits.total, read)
                .await
                .unwrap_or(Err(Failure::TimedOut))
                .map_err(Failure::into_error)?;
            let completion = Completion::read(&bytes).map_err(Failure::into_error)?;
            meter.usage(completion.usage.clone());
            meter.close();
            Ok(completion.into_message(&answer))
        };
        run(&cx, on_disconnect, work).await
    }
}
