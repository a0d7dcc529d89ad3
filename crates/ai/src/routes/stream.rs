//! `POST /v1/ai/stream`

use std::sync::Arc;

use downcity_core::{Cx, Reply, Result, Sse};
use http::header::{CONNECTION, HeaderName};
use http::{HeaderValue, Version};

use super::answer_of;
use crate::config::Mode;
use crate::convert::request::TextInput;
use crate::exchange::{run, send_with_retries};
use crate::failure::Failure;
use crate::outgoing::Outgoing;
use crate::service::Ai;
use crate::stream::body::stream_body;
use crate::stream::encoded::EncodedStream;
use crate::stream::encoder::Encoder;
use crate::stream::ui::UiSink;

/// Tells clients which protocol the stream speaks.
static PROTOCOL: HeaderName = HeaderName::from_static("x-vercel-ai-ui-message-stream");

impl Ai {
    pub(crate) async fn stream(self: Arc<Self>, cx: Cx, input: TextInput) -> Result<Reply> {
        let catalog = self.catalog();
        input.check(&catalog.settings)?;
        let model = catalog.resolve(input.model.as_deref(), Mode::Stream, &cx)?;
        let outgoing = Outgoing::chat(&input, &model, true)?;
        let answer = answer_of(&cx, &model, &input);
        let mut meter = self.begin(&cx, &catalog, Mode::Stream, &outgoing).await?;
        let on_disconnect = catalog.settings.on_disconnect;
        let call = cx.clone();
        let work = async move {
            let settings = &catalog.settings;
            // The provider's status comes first: a failure here has a status of its own.
            let (response, lane) = send_with_retries(&mut meter, &outgoing, settings)
                .await
                .map_err(Failure::into_error)?;
            let mask = lane.mask(&call);
            let encoder = Encoder::new(UiSink::new(answer, input.tool_names()), mask);
            let stream = EncodedStream::new(response.into_body(), encoder, &settings.limits, meter);
            let mut reply = Reply::from(Sse(stream_body(stream, &call, on_disconnect)));
            reply.headers.insert(&PROTOCOL, HeaderValue::from_static("v1"));
            if call.parts().version < Version::HTTP_2 {
                reply.headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
            }
            Ok(reply)
        };
        run(&cx, on_disconnect, work).await
    }
}
