//! `POST /v1/ai/tts` and `POST /v1/audio/speech`

use std::sync::Arc;

use bytes::Bytes;
use downcity_core::{Body, Cx, JsonObject, Output, Reply, Result};
use downcity_types::{FilePart, UiMessage, UiPart, UiRole};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::options_of;
use crate::catalog::{CallSettings, Catalog};
use crate::config::Mode;
use crate::exchange::{run, send_with_retries};
use crate::failure::Failure;
use crate::files;
use crate::limits::Patience;
use crate::outgoing::Outgoing;
use crate::provider::read_answer;
use crate::routes::answer_for;
use crate::routes::surface::{Answered, Surface, passed_headers};
use crate::service::Ai;
use crate::sound;
use crate::stream::body::stream_body;
use crate::stream::relay::{Relay, SoundTap, Tap};

/// The voice of requests that name none: providers want one.
const VOICE: &str = "alloy";
/// What comes where no format is asked for.
const FORMAT: &str = "mp3";

/// A text to be spoken. Unknown fields are ignored.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct TtsInput {
    /// What is said; not empty.
    pub text: String,
    /// The voice, by the provider's name; `alloy` unless set.
    #[serde(default)]
    pub voice: Option<String>,
    /// How the sound is packed: `mp3` unless set, or `wav`, `opus`, `aac`, `flac`, `pcm`, as far as
    /// the provider has it.
    #[serde(default)]
    pub format: Option<String>,
    /// How fast it is spoken; 1 is as usual.
    #[serde(default)]
    pub speed: Option<f64>,
    /// Further fields for the provider, by the provider's options key.
    #[serde(default)]
    pub provider_options: Option<Map<String, Value>>,
    /// Id of the model; without it the default model for `tts` answers.
    #[serde(default)]
    pub model: Option<String>,
    /// City of the user; may be left out, the token knows it.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub city_id: Option<Value>,
    /// For the trusted side: the user of `city_id` who pays, where its calls are billed.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub user_id: Option<Value>,
}

/// A text to be spoken, in the form of OpenAI. Fields that are not listed are passed on as well.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
pub struct SpeechRequest {
    /// Id of the model; without it the default model for `tts` answers.
    pub model: Option<String>,
    /// What is said; not empty.
    pub input: String,
    /// The voice, by the provider's name.
    pub voice: Option<String>,
    /// How the sound is packed, such as `mp3` or `wav`.
    pub response_format: Option<String>,
    /// How fast it is spoken; 1 is as usual.
    pub speed: Option<f64>,
    /// City of the user; may be left out. It is never passed on.
    pub city_id: Option<String>,
    /// For the trusted side: the user of `city_id` who pays, where its calls are billed. It is never
    /// passed on.
    pub user_id: Option<String>,
}

/// A message that holds a sound, or the sound itself.
pub(crate) enum Spoken {
    Message(Box<UiMessage>),
    Sound(Reply),
}

impl Output for Spoken {
    const CONTENT_TYPE: &'static str = "application/json";

    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        UiMessage::schema(generator)
    }

    fn into_reply(self) -> Result<Reply> {
        match self {
            Self::Message(message) => message.into_reply(),
            Self::Sound(reply) => Ok(reply),
        }
    }
}

/// A sound that is passed on while it comes. `RELAYS` as [`Surface::RELAYS_ERRORS`].
struct Playing<const RELAYS: bool> {
    /// The length that counts where the sound does not tell, in seconds.
    probable: u64,
    format: Option<String>,
    /// Whether events may come in place of the sound.
    in_events: bool,
}

impl<const RELAYS: bool> Surface for Playing<RELAYS> {
    const RELAYS_ERRORS: bool = RELAYS;

    async fn answer(self, answered: Answered, settings: &CallSettings) -> Result<Reply> {
        let Answered { response, mut meter, .. } = answered;
        let (parts, body) = response.into_parts();
        let cx = meter.cx().clone();
        let kind = sound_type(&parts.headers, self.format.as_deref(), self.in_events);
        let kind = kind.map_err(|failure| {
            meter.failed();
            failure.into_error()
        })?;
        let mut reply = Reply::new(parts.status);
        reply.headers = passed_headers(&parts.headers, cx.runtime().clock().now());
        if let Ok(kind) = HeaderValue::from_str(&kind) {
            reply.headers.insert(CONTENT_TYPE, kind);
        }
        let patience = Patience::new(&settings.limits, cx.elapsed());
        let tap = Tap::Sound(SoundTap::new(kind, self.probable));
        let relay = Relay::new(body, tap, patience, meter);
        reply.body = stream_body(relay, &cx, settings.on_disconnect);
        Ok(reply)
    }
}

impl Ai {
    pub(crate) async fn speech(
        self: Arc<Self>,
        cx: Cx,
        input: JsonObject<SpeechRequest>,
    ) -> Result<Reply> {
        let catalog = self.catalog();
        let outgoing =
            Outgoing::speech(&input.bytes, |asked| catalog.resolve(asked, Mode::Tts, &cx))?;
        let text = |name: &str| cx.input().get(name).and_then(Value::as_str);
        let surface = Playing::<true> {
            probable: sound::of_text(text("input").unwrap_or_default().len()),
            format: text("response_format").map(str::to_owned),
            in_events: text("stream_format") == Some("sse"),
        };
        self.carry(&cx, catalog, Mode::Tts, outgoing, surface).await
    }

    pub(crate) async fn tts(self: Arc<Self>, cx: Cx, input: TtsInput) -> Result<Spoken> {
        let catalog = self.catalog();
        let model = catalog.resolve(input.model.as_deref(), Mode::Tts, &cx)?;
        let options = input.provider_options.as_ref();
        let outgoing =
            Outgoing::spoken(&model, &input.request(), |model| options_of(model, options))?;
        let probable = sound::of_text(input.text.len());
        if wants_sound(&cx.parts().headers) {
            let format = input.format;
            let surface = Playing::<false> { probable, format, in_events: false };
            let reply = self.carry(&cx, catalog, Mode::Tts, outgoing, surface).await;
            return reply.map(Spoken::Sound);
        }
        let city = input.city_id.as_ref().and_then(Value::as_str);
        let answer = answer_for(&cx, &model, city);
        let mut meter = self.begin(&cx, &catalog, Mode::Tts, &outgoing).await?;
        let on_disconnect = catalog.settings.on_disconnect;
        let (call, format) = (cx.clone(), input.format);
        let work = async move {
            let settings = &catalog.settings;
            let read = async {
                let (response, _) = send_with_retries(&mut meter, &outgoing, settings).await?;
                meter.first_byte();
                whole(response, format.as_deref(), settings).await
            };
            let read = tokio::time::timeout(settings.limits.total, read).await;
            let read = read.unwrap_or(Err(Failure::TimedOut));
            let (kind, bytes) = read.map_err(|failure| {
                meter.failed();
                failure.into_error()
            })?;
            let head = bytes.get(..sound::HEAD).unwrap_or(&bytes);
            meter.sound(sound::seconds(&kind, head, bytes.len() as u64), probable);
            meter.close();
            let mut metadata = answer.metadata();
            metadata.insert("finishReason".to_owned(), json!("stop"));
            let file = stored(&call, &catalog, kind, bytes).await?;
            Ok(UiMessage {
                id: Some(answer.message_id),
                role: UiRole::Assistant,
                parts: vec![UiPart::File(file)],
                metadata: Some(Value::Object(metadata)),
            })
        };
        let message = run(&cx, on_disconnect, work).await?;
        Ok(Spoken::Message(Box::new(message)))
    }
}

impl TtsInput {
    /// The same in the form of OpenAI.
    fn request(&self) -> Map<String, Value> {
        let mut request = Map::new();
        request.insert("input".to_owned(), json!(self.text));
        request.insert("voice".to_owned(), json!(self.voice.as_deref().unwrap_or(VOICE)));
        if let Some(format) = &self.format {
            request.insert("response_format".to_owned(), json!(format));
        }
        if let Some(speed) = self.speed {
            request.insert("speed".to_owned(), json!(speed));
        }
        request
    }
}

/// Whether the caller asks for the sound itself.
fn wants_sound(headers: &HeaderMap) -> bool {
    let ranges = headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    ranges.flat_map(|accept| accept.split(',')).any(|range| {
        let begin = range.trim_start().get(..6);
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case("audio/"))
    })
}

/// The media type of an answer that is a sound; where the provider says nothing of it, that of the
/// format that was asked for.
fn sound_type(
    headers: &HeaderMap,
    format: Option<&str>,
    in_events: bool,
) -> Result<String, Failure> {
    let told = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = told.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_sound = kind.starts_with("audio/") || kind == "application/ogg";
    if is_sound || in_events && kind == "text/event-stream" {
        return Ok(kind);
    }
    if !matches!(kind.as_str(), "" | "application/octet-stream" | "binary/octet-stream") {
        return Err(Failure::Unreadable("not a sound".to_owned()));
    }
    Ok(match format.unwrap_or(FORMAT) {
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "opus" => "audio/ogg",
        "aac" => "audio/aac",
        "flac" => "audio/flac",
        "pcm" => "audio/pcm",
        _ => "application/octet-stream",
    }
    .to_owned())
}

/// A whole sound and its media type.
async fn whole(
    response: Response<Body>,
    format: Option<&str>,
    settings: &CallSettings,
) -> Result<(String, Bytes), Failure> {
    let kind = sound_type(response.headers(), format, false)?;
    let bytes = read_answer(response.into_body(), &settings.limits).await?;
    if bytes.is_empty() {
        return Err(Failure::Unreadable("an empty sound".to_owned()));
    }
    Ok((kind, bytes))
}

/// The sound as a file of a message: at a link, or within it where it cannot be stored. It has been
/// paid for.
async fn stored(cx: &Cx, catalog: &Catalog, kind: String, bytes: Bytes) -> Result<FilePart> {
    let storage = &catalog.storage;
    let put = storage.put(cx.runtime(), bytes.clone(), &kind, None).await;
    let link = put.and_then(|stored| Ok((storage.url(cx, &stored)?, stored.media_type)));
    let (url, media_type) = match link {
        Ok(link) => link,
        Err(error) => {
            tracing::warn!(request_id = cx.request_id(), %error, "a sound could not be stored");
            (files::written(kind.clone(), bytes).await?, kind)
        }
    };
    Ok(FilePart { media_type, url, ..FilePart::default() })
}
