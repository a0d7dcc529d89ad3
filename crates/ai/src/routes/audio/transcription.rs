//! `POST /v1/ai/asr` and `POST /v1/audio/transcriptions`

use std::sync::Arc;

use bytes::Bytes;
use downcity_core::form::FormFile;
use downcity_core::{Cx, Error, Form, Reply, Result};
use downcity_types::ErrorCode;
use http::HeaderMap;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::options_of;
use crate::catalog::{CallSettings, Catalog, Model};
use crate::config::Mode;
use crate::exchange::{run, send_with_retries};
use crate::failure::Failure;
use crate::files::DataUrl;
use crate::heavy::heavy;
use crate::limits::Patience;
use crate::mask::Rolling;
use crate::metering::Meter;
use crate::outgoing::{Outgoing, Recording, text_of};
use crate::provider::{Content, read_answer};
use crate::routes::surface::{Answered, Surface, passed_headers};
use crate::service::Ai;
use crate::storage::guard::Fault;
use crate::stream::body::stream_body;
use crate::stream::relay::{Relay, Tap};
use crate::stream::tap::JsonTap;

/// A recording whose words are asked for: one of `url`, `data_url` and a file of a form. Unknown
/// fields are ignored.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct AsrInput {
    /// Where the recording is: an address that everybody reaches.
    #[serde(default)]
    pub url: Option<String>,
    /// The recording itself, as a `data:` URL.
    #[serde(default)]
    pub data_url: Option<String>,
    /// Refused: files of the server are not read.
    #[serde(default)]
    pub audio_path: Option<Value>,
    /// What the recording is, such as `audio/mpeg`, where nothing else says so.
    #[serde(default)]
    pub media_type: Option<String>,
    /// Name of the file, from whose end some providers see what it is.
    #[serde(default)]
    pub filename: Option<String>,
    /// The language that is spoken, such as `de`.
    #[serde(default)]
    pub language: Option<String>,
    /// Further fields for the provider, by the provider's options key; in a form as the text of a
    /// JSON object.
    #[serde(default)]
    #[schemars(with = "Option<Map<String, Value>>")]
    pub provider_options: Option<Value>,
    /// Id of the model; without it the default model for `asr` answers.
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

/// What is said in a recording.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Transcript {
    /// The words.
    pub text: String,
    /// The language, where the model tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// How long the recording is, in seconds, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// What else the model tells, such as `segments`, `words` and `usage`.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// The fields of a form in the form of OpenAI, beside its `file`. Fields that are not listed are
/// passed on as well.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct TranscriptionRequest {
    /// Id of the model; without it the default model for `asr` answers.
    #[serde(default)]
    pub model: Option<String>,
    /// Any other field: `language`, `prompt`, `response_format`, `temperature`, `stream`,
    /// `timestamp_granularities[]` and what else the provider knows.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// An answer that is passed on in the format that was asked for.
struct Written {
    /// How long the recording is, where its bytes tell, and how long it is at most.
    seconds: Option<f64>,
    most: u64,
}

impl Surface for Written {
    const RELAYS_ERRORS: bool = true;

    async fn answer(self, answered: Answered, settings: &CallSettings) -> Result<Reply> {
        let Answered { response, mut meter, mask, .. } = answered;
        let (parts, body) = response.into_parts();
        let cx = meter.cx().clone();
        let mut reply = Reply::new(parts.status);
        reply.headers = passed_headers(&parts.headers, cx.runtime().clock().now());
        if Content::of(&parts.headers) == Content::EventStream {
            meter.sound(self.seconds, self.most);
            reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            reply.headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
            let patience = Patience::new(&settings.limits, cx.elapsed());
            let tap = Tap::Json(JsonTap::default(), Rolling::new(mask));
            let relay = Relay::new(body, tap, patience, meter);
            reply.body = stream_body(relay, &cx, settings.on_disconnect);
            return Ok(reply);
        }
        let bytes = read_answer(body, &settings.limits).await.map(|bytes| mask.bytes(bytes));
        meter.first_byte();
        let read = bytes.and_then(|bytes| read_words(&parts.headers, &bytes).map(|_| bytes));
        let bytes = read.map_err(|failure| {
            meter.failed();
            failure.into_error()
        })?;
        account(&mut meter, serde_json::from_slice(&bytes).ok().as_ref(), self.seconds, self.most);
        reply.body = bytes.into();
        Ok(reply)
    }
}

impl Ai {
    pub(crate) async fn transcriptions(
        self: Arc<Self>,
        cx: Cx,
        input: Form<TranscriptionRequest>,
    ) -> Result<Reply> {
        let catalog = self.catalog();
        let file = input.files.into_iter().find(|file| file.name == "file").ok_or_else(|| {
            Error::invalid("file", "is required, as a file of a form (multipart/form-data)")
        })?;
        let model = catalog.resolve(input.fields.model.as_deref(), Mode::Asr, &cx)?;
        let fields = input.fields.more.into_iter().flat_map(|(name, value)| match value {
            Value::Array(list) => {
                list.iter().map(|value| (name.clone(), text_of(value))).collect::<Vec<_>>()
            }
            value => vec![(name, text_of(&value))],
        });
        let recording = recording_of(file, None, fields.collect());
        check_size(&recording, &catalog)?;
        let outgoing = Outgoing::transcription(&cx, &model, &recording, |_| Ok(Vec::new()))?;
        let surface = Written { seconds: recording.seconds(), most: recording.most_seconds() };
        drop(recording);
        self.carry(&cx, catalog, Mode::Asr, outgoing, surface).await
    }

    pub(crate) async fn asr(self: Arc<Self>, cx: Cx, input: Form<AsrInput>) -> Result<Transcript> {
        let catalog = self.catalog();
        let Form { fields, files } = input;
        let options = fields.options()?;
        let model = catalog.resolve(fields.model.as_deref(), Mode::Asr, &cx)?;
        let recording = fields.recording(files, &catalog).await?;
        check_size(&recording, &catalog)?;
        let own = |model: &Model| {
            let options = options_of(model, options.as_ref())?;
            Ok(options.into_iter().map(|(name, value)| (name, text_of(&value))).collect())
        };
        let outgoing = Outgoing::transcription(&cx, &model, &recording, own)?;
        let (seconds, most) = (recording.seconds(), recording.most_seconds());
        drop(recording);
        let mut meter = self.begin(&cx, &catalog, Mode::Asr, &outgoing).await?;
        let on_disconnect = catalog.settings.on_disconnect;
        let call = cx.clone();
        let work = async move {
            let settings = &catalog.settings;
            let read = async {
                let sent = send_with_retries(&mut meter, &outgoing, settings).await?;
                let (response, lane) = sent;
                meter.first_byte();
                let (parts, body) = response.into_parts();
                let bytes = read_answer(body, &settings.limits).await?;
                read_words(&parts.headers, &lane.mask(&call).bytes(bytes))
            };
            let read = tokio::time::timeout(settings.limits.total, read).await;
            let mut words = read.unwrap_or(Err(Failure::TimedOut)).map_err(|failure| {
                meter.failed();
                failure.into_error()
            })?;
            account(&mut meter, Some(&words), seconds, most);
            if let (Some(seconds), Some(fields)) = (seconds, words.as_object_mut()) {
                fields.entry("duration").or_insert_with(|| seconds.into());
            }
            serde_json::from_value(words)
                .map_err(|_| Failure::Unreadable("not a transcription".to_owned()).into_error())
        };
        run(&cx, on_disconnect, work).await
    }
}

impl AsrInput {
    fn options(&self) -> Result<Option<Map<String, Value>>> {
        let options = match &self.provider_options {
            Some(Value::String(text)) => serde_json::from_str(text).ok(),
            other => other.clone(),
        };
        match (options, &self.provider_options) {
            (Some(Value::Object(options)), _) => Ok(Some(options)),
            (None | Some(Value::Null), None | Some(Value::Null)) => Ok(None),
            _ => Err(Error::invalid("provider_options", "must be an object")),
        }
    }

    /// The recording, from where it is.
    async fn recording(self, files: Vec<FormFile>, catalog: &Catalog) -> Result<Recording> {
        if self.audio_path.as_ref().is_some_and(|path| !path.is_null()) {
            return Err(unprocessable(
                "audio_path",
                "files of the server are not read; send url, data_url, or a form with the file",
            ));
        }
        let language = self.language.into_iter().filter(|language| !language.is_empty());
        let fields = language.map(|language| ("language".to_owned(), language)).collect();
        let file = files.into_iter().next();
        let named = |media_type: String, bytes: Bytes| {
            let name = "file".to_owned();
            let filename = self.filename.clone().unwrap_or_default();
            FormFile { name, filename, media_type: Some(media_type), bytes }
        };
        let told = self.media_type.as_deref();
        let file = match (file, self.data_url, self.url) {
            (Some(mut file), None, None) => {
                if let Some(filename) = self.filename {
                    file.filename = filename;
                }
                file
            }
            (None, Some(data_url), None) => {
                let (media_type, bytes) = inline(data_url).await?;
                named(media_type, bytes)
            }
            (None, None, Some(url)) => {
                let most = catalog.settings.max_audio_bytes as u64;
                let fetched = catalog.storage.fetch(&url, told, most).await;
                let (bytes, media_type) = fetched.map_err(|fault| match fault {
                    Fault::TooLarge(_) => too_large(catalog),
                    fault => unprocessable("url", &fault.to_string()).with_source(fault),
                })?;
                named(media_type, bytes)
            }
            _ => {
                return Err(Error::invalid(
                    "data_url",
                    "send the recording once: as url, as data_url, or as the file of a form",
                ));
            }
        };
        Ok(recording_of(file, told, fields))
    }
}

fn unprocessable(field: &str, message: &str) -> Error {
    Error::new(ErrorCode::Unprocessable, "").with_field(field, message)
}

fn too_large(catalog: &Catalog) -> Error {
    let most = catalog.settings.max_audio_bytes;
    Error::new(ErrorCode::PayloadTooLarge, format!("A recording has at most {most} bytes."))
}

fn check_size(recording: &Recording, catalog: &Catalog) -> Result<()> {
    if recording.bytes.is_empty() {
        return Err(Error::invalid("file", "must not be empty"));
    }
    if recording.bytes.len() > catalog.settings.max_audio_bytes {
        return Err(too_large(catalog));
    }
    Ok(())
}

/// A recording of a file; a name that says nothing gets the end of its type.
fn recording_of(file: FormFile, told: Option<&str>, fields: Vec<(String, String)>) -> Recording {
    let vague = |kind: &&str| !kind.is_empty() && *kind != "application/octet-stream";
    let own = file.media_type.as_deref().map(str::trim).filter(vague);
    let media_type = own.or(told.filter(vague)).unwrap_or("application/octet-stream").to_owned();
    let filename = if file.filename.trim().is_empty() {
        format!("audio.{}", end_of(&media_type, &file.bytes))
    } else {
        file.filename
    };
    Recording { filename, media_type, bytes: file.bytes, fields }
}

/// The end of the name of a sound.
fn end_of(media_type: &str, bytes: &[u8]) -> &'static str {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    match essence.to_ascii_lowercase().as_str() {
        "audio/mpeg" | "audio/mp3" => "mp3",
        "audio/ogg" | "audio/opus" | "application/ogg" => "ogg",
        "audio/flac" | "audio/x-flac" => "flac",
        "audio/webm" | "video/webm" => "webm",
        "audio/mp4" | "audio/x-m4a" | "audio/m4a" => "m4a",
        "video/mp4" => "mp4",
        _ if bytes.starts_with(b"ID3") || bytes.starts_with(&[0xFF, 0xFB]) => "mp3",
        _ if bytes.starts_with(b"OggS") => "ogg",
        _ if bytes.starts_with(b"fLaC") => "flac",
        _ => "wav",
    }
}

/// Media type and bytes of a `data:` URL.
async fn inline(url: String) -> Result<(String, Bytes)> {
    let read = heavy(url.len(), move || {
        let url = DataUrl::read(&url)?;
        Some((url.full_type.to_owned(), url.bytes()?.into()))
    });
    read.await?.ok_or_else(|| Error::invalid("data_url", "must be a whole data: URL"))
}

/// The words of an answer, as a JSON object; an answer that is no JSON is the text itself.
fn read_words(headers: &HeaderMap, bytes: &[u8]) -> Result<Value, Failure> {
    let unreadable = || Failure::Unreadable("not a transcription".to_owned());
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.trim_start().starts_with("text/html") {
        return Err(unreadable());
    }
    if Content::of(headers) == Content::Json {
        let words: Value = serde_json::from_slice(bytes).map_err(|_| unreadable())?;
        let has_text = words.get("text").is_some_and(Value::is_string);
        return if has_text { Ok(words) } else { Err(unreadable()) };
    }
    let text = std::str::from_utf8(bytes).map_err(|_| unreadable())?;
    let words = serde_json::from_str::<Map<String, Value>>(text).ok();
    match words.filter(|words| words.get("text").is_some_and(Value::is_string)) {
        Some(words) => Ok(Value::Object(words)),
        None => Ok(serde_json::json!({"text": text.trim_end()})),
    }
}

/// Closes the account: what the provider tells counts before what the recording tells.
fn account(meter: &mut Meter, words: Option<&Value>, seconds: Option<f64>, most: u64) {
    let usage = words.and_then(|words| words.get("usage"));
    let told = [
        words.and_then(|words| words.get("duration")),
        usage.and_then(|usage| usage.get("seconds")),
    ];
    // A length of 0 is that of an answer that does not know it.
    let told = told.into_iter().flatten().find_map(Value::as_f64).filter(|told| *told > 0.0);
    meter.usage(usage.cloned());
    meter.sound(told.or(seconds), most);
    meter.close();
}
