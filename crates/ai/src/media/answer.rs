//! The one form in which every protocol answers for images and video: the files, in the form of the
//! images API of OpenAI, or the upstream's id of a job that is to be looked at again (202).

use std::sync::Arc;
use std::time::Duration;

use downcity_core::{Body, Error};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::{AnswerConfig, Mode};
use crate::failure::{Failure, Words};
use crate::heavy::heavy;
use crate::limits::CallLimits;
use crate::mask::Mask;
use crate::provider::{collect, read_answer};

/// The shortest and the longest wait between two looks at a job, whatever an upstream says.
const LEAST_WAIT: Duration = Duration::from_millis(200);
const MOST_WAIT: Duration = Duration::from_secs(60);

/// The most files that are taken of one answer.
const MOST_FILES: usize = 64;

/// How far the work of an upstream is.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The files are there.
    Made(MediaAnswer),
    /// It works on it.
    Pending(Pending),
}

/// What was made.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct MediaAnswer {
    #[serde(default)]
    pub(crate) data: Vec<Made>,
    /// What it consumed, in the provider's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<Value>,
    /// Seconds of video in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seconds: Option<f64>,
    /// Such as `png`: of files that do not say more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) output_format: Option<String>,
}

/// One file: base64 or a URL.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Made {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) b64_json: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) filename: Option<String>,
}

/// A job that goes on at the upstream.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) id: String,
    pub(crate) poll_after_ms: u64,
}

impl Pending {
    /// How long to wait until the next look.
    pub(crate) fn wait(&self) -> Duration {
        Duration::from_millis(self.poll_after_ms).clamp(LEAST_WAIT, MOST_WAIT)
    }
}

/// Marks the answer of a protocol that says that the work goes on.
#[derive(Clone, Copy)]
struct GoesOn;

impl Outcome {
    /// The answer of a protocol whose upstream answered with this status.
    pub(crate) fn into_response(self, status: StatusCode) -> Result<Response<Body>, Failure> {
        let body = match &self {
            Self::Made(made) => serde_json::to_string(made),
            Self::Pending(pending) => serde_json::to_string(pending),
        };
        let body = body.map_err(|error| Failure::Ours(Error::internal(error)))?;
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        if matches!(self, Self::Pending(_)) {
            response.extensions_mut().insert(GoesOn);
        }
        Ok(response)
    }

    /// Reads the answer of a protocol as a whole.
    pub(crate) async fn read(
        response: Response<Body>,
        mask: Mask,
        limits: &CallLimits,
    ) -> Result<Self, Failure> {
        let goes_on = response.extensions().get::<GoesOn>().is_some();
        let bytes = read_answer(response.into_body(), limits).await?;
        let read = heavy(bytes.len(), move || Self::parse(goes_on, &mask.bytes(bytes)));
        read.await.map_err(Failure::Ours)?
    }

    fn parse(goes_on: bool, bytes: &[u8]) -> Result<Self, Failure> {
        let unreadable = |_| Failure::Unreadable("no files in the form of OpenAI".to_owned());
        if goes_on {
            return serde_json::from_slice(bytes).map(Self::Pending).map_err(unreadable);
        }
        let made: MediaAnswer = serde_json::from_slice(bytes).map_err(unreadable)?;
        if !made.data.iter().any(Made::is_file) {
            return Err(no_files());
        }
        Ok(Self::Made(made))
    }
}

/// The work is done and nothing came of it: looking again would find no more.
fn no_files() -> Failure {
    Failure::Told(Words("The AI provider made no file.".to_owned()))
}

/// A file of an answer, as it stands there.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) base64: Option<String>,
    /// An address of the web, or a `data:` URL.
    pub(super) url: Option<String>,
    /// What is said of it, or probable.
    pub(super) media_type: String,
    pub(super) filename: Option<String>,
}

impl MediaAnswer {
    /// The bytes of the texts that files stand in.
    pub(super) fn size(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        self.data.iter().map(|made| length(&made.b64_json) + length(&made.url)).sum()
    }

    /// The files.
    pub(super) fn into_files(self, mode: Mode) -> Vec<Given> {
        let untold = match (mode, &self.output_format) {
            (Mode::Video, _) => "video/mp4".to_owned(),
            (_, Some(format)) if format.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                format!("image/{format}")
            }
            _ => "image/png".to_owned(),
        };
        let files = self.data.into_iter().filter(Made::is_file).take(MOST_FILES);
        let given = files.map(|made| Given {
            base64: made.b64_json,
            url: made.url,
            media_type: made
                .media_type
                .filter(|kind| kind.contains('/'))
                .unwrap_or_else(|| untold.clone()),
            filename: made.filename,
        });
        given.collect()
    }
}

impl Made {
    fn is_file(&self) -> bool {
        self.b64_json.is_some() || self.url.as_deref().is_some_and(is_url)
    }
}

/// Whether clients can show it.
fn is_url(text: &str) -> bool {
    ["https://", "http://", "data:"].iter().any(|begin| text.starts_with(begin))
}

/// What an upstream's own JSON says, read by pointers.
pub(crate) struct Reading {
    pub(crate) config: Arc<AnswerConfig>,
    /// The upstream's id of the job, where it is known already.
    pub(crate) known_id: Option<String>,
    pub(crate) poll_ms: u64,
    /// Whether an answer without a word for its status is the result, as nothing can be looked at.
    pub(crate) is_result: bool,
    /// The root of relative URLs.
    pub(crate) root: Option<String>,
    pub(crate) media_type: Option<String>,
}

impl Reading {
    /// Reads an upstream's answer of success; gives it as a protocol answers.
    ///
    /// # Errors
    /// When the upstream says that it failed, or nothing that can be read.
    pub(crate) async fn read(
        self,
        response: Response<Body>,
        mask: Mask,
    ) -> Result<Response<Body>, Failure> {
        let status = response.status();
        let bytes = collect(response.into_body()).await?;
        let read = heavy(bytes.len(), move || {
            let said: Value = serde_json::from_slice(&bytes)
                .map_err(|_| Failure::Unreadable("neither JSON nor a file".to_owned()))?;
            self.outcome(&said, &mask)?.into_response(status)
        });
        read.await.map_err(Failure::Ours)?
    }

    /// # Errors
    /// When the upstream says that it failed, or nothing that can be read.
    fn outcome(&self, said: &Value, mask: &Mask) -> Result<Outcome, Failure> {
        let status = self.config.status.iter().find_map(|at| said.pointer(at)?.as_str());
        let among = |words: &[String]| {
            status.is_some_and(|status| words.iter().any(|word| word.eq_ignore_ascii_case(status)))
        };
        if among(&self.config.failed) {
            let told = failure_text(said, mask);
            let told = told.unwrap_or_else(|| "The AI provider failed over the work.".to_owned());
            return Err(Failure::Told(Words(told)));
        }
        let is_done = among(&self.config.done);
        if is_done || (self.is_result && status.is_none()) {
            let data = self.files(said);
            if !data.is_empty() {
                let seconds = self.config.seconds.iter().find_map(|at| said.pointer(at)?.as_f64());
                let usage = said.get("usage").filter(|usage| usage.is_object()).cloned();
                return Ok(Outcome::Made(MediaAnswer {
                    data,
                    usage,
                    seconds,
                    output_format: None,
                }));
            }
            if is_done {
                return Err(no_files());
            }
            if self.known_id.is_none() && self.id(said).is_none() {
                return Err(Failure::Unreadable("an answer without files".to_owned()));
            }
        }
        let id = self.known_id.clone().or_else(|| self.id(said));
        let id = id.ok_or_else(|| Failure::Unreadable("a job without an id".to_owned()))?;
        if self.is_result {
            return Err(Failure::Unreadable("a job, but no request that looks at it".to_owned()));
        }
        Ok(Outcome::Pending(Pending { id, poll_after_ms: self.poll_ms }))
    }

    fn id(&self, said: &Value) -> Option<String> {
        let id = |at: &String| match said.pointer(at)? {
            Value::String(id) if !id.trim().is_empty() => Some(id.clone()),
            Value::Number(id) => Some(id.to_string()),
            _ => None,
        };
        self.config.id.iter().find_map(id)
    }

    fn files(&self, said: &Value) -> Vec<Made> {
        let found = self.config.files.iter().filter_map(|at| said.pointer(at));
        let read = found.map(|found| match found {
            Value::Array(records) => records.iter().filter_map(|one| self.record(one)).collect(),
            one => Vec::from_iter(self.record(one)),
        });
        read.into_iter().find(|files: &Vec<Made>| !files.is_empty()).unwrap_or_default()
    }

    fn record(&self, record: &Value) -> Option<Made> {
        let fields = match record {
            Value::Object(fields) => fields.clone(),
            Value::String(text) if self.is_url(text) => url_only(text),
            Value::String(text) if text.len() > 64 => {
                Map::from_iter([("b64_json".to_owned(), text.as_str().into())])
            }
            _ => return None,
        };
        let text = |names: &[&str]| {
            let found = names.iter().find_map(|name| fields.get(*name)?.as_str());
            found.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let base64 = text(&["b64_json", "base64", "data"]);
        let (base64, inline) = match base64 {
            Some(data) if data.starts_with("data:") => (None, Some(data)),
            base64 => (base64, None),
        };
        let url = inline.or_else(|| text(&["url", "image_url", "video_url"]));
        if base64.is_none() && url.is_none() {
            return None;
        }
        let told = text(&["media_type", "mime_type", "mimeType"]);
        Some(Made {
            url: url.map(|url| self.absolute(url)),
            b64_json: base64,
            media_type: told.or_else(|| self.media_type.clone()),
            filename: text(&["filename", "file_name"]),
        })
    }

    fn is_url(&self, text: &str) -> bool {
        let is_path = text.starts_with('/') && !text.starts_with("/9j/") && self.root.is_some();
        is_url(text) || is_path
    }

    /// An address, where relative ones begin at the root.
    fn absolute(&self, url: String) -> String {
        let is_scheme = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        let has_scheme = scheme.is_some_and(|it| !it.is_empty() && it.bytes().all(is_scheme));
        match &self.root {
            Some(root) if !has_scheme && !url.starts_with("data:") => match root.split_once("//") {
                Some((scheme, _)) if url.starts_with("//") => format!("{scheme}{url}"),
                _ => format!("{root}/{}", url.trim_start_matches('/')),
            },
            _ => url,
        }
    }
}

fn url_only(url: &str) -> Map<String, Value> {
    Map::from_iter([("url".to_owned(), url.into())])
}

/// The words in which an upstream says why it failed, without its key: `error.message`,
/// `error.detail.message`, the same under `data`, `job` and `result`, `message`, or a textual `error`;
/// with the code of the error, where the words do not hold it.
pub(crate) fn failure_text(said: &Value, mask: &Mask) -> Option<String> {
    let inner = ["data", "job", "result"].into_iter().filter_map(|name| said.get(name));
    let errors: Vec<&Value> =
        std::iter::once(said).chain(inner).filter_map(|place| place.get("error")).collect();
    let message = |error: &&Value| {
        let detail = || error.pointer("/detail/message").and_then(Value::as_str);
        error.get("message").and_then(Value::as_str).or_else(detail).map(str::to_owned)
    };
    let words = errors.iter().find_map(message).or_else(|| {
        let plain = said.get("message").and_then(Value::as_str);
        plain.or_else(|| errors.iter().find_map(|error| error.as_str())).map(str::to_owned)
    });
    let words = words.filter(|words| !words.trim().is_empty())?;
    let code = errors.iter().find_map(|error| match error.get("code")? {
        Value::String(code) if !code.is_empty() => Some(code.clone()),
        Value::Number(code) => Some(code.to_string()),
        _ => None,
    });
    let words = match code {
        Some(code) if !words.contains(&code) => format!("{words} ({code})"),
        _ => words,
    };
    // A key that is cut could not be found any more.
    Some(mask.sentence(&words).chars().take(1_000).collect())
}
