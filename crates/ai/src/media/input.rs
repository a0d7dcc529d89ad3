//! The inputs of images and videos.

use std::num::NonZeroU32;

use downcity_core::{Error, Result};
use downcity_types::{ErrorCode, UiMessage, UiPart, UiRole};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::order::{Order, Piece, Turn};
use crate::catalog::CallSettings;
use crate::config::Mode;

/// The most images of one request, and the most seconds of a video.
const MOST_IMAGES: u32 = 16;
const MOST_SECONDS: u64 = 600;

/// What is to be made: images or a video. Unknown fields are ignored.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct MediaInput {
    /// Id of the model; without it the default model answers.
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
    /// What it shows; after `messages` when both are given.
    #[serde(default)]
    pub prompt: Option<String>,
    /// Texts, and images to draw from, in order.
    #[serde(default)]
    pub messages: Option<Vec<MediaMessage>>,
    /// How many; one unless set.
    #[serde(default)]
    pub n: Option<NonZeroU32>,
    /// The same as `n`; where both are set they have to be equal.
    #[serde(default)]
    pub count: Option<NonZeroU32>,
    /// Width and height in pixels, such as `1024x1024`.
    #[serde(default)]
    pub size: Option<String>,
    /// Width to height, such as `16:9`.
    #[serde(default)]
    pub ratio: Option<String>,
    /// The same as `ratio`, which counts before it.
    #[serde(default)]
    pub aspect_ratio: Option<String>,
    /// Such as `standard` or `hd`, as the model names it.
    #[serde(default)]
    pub quality: Option<String>,
    /// Makes a model that knows seeds make the same again.
    #[serde(default)]
    pub seed: Option<i64>,
    /// Seconds that a video lasts.
    #[serde(default)]
    pub seconds: Option<u64>,
    /// An id of the client's own. It makes no difference: providers are told the id of the job. Send
    /// an `Idempotency-Key` for an order that may be sent again.
    #[serde(default)]
    pub client_job_id: Option<String>,
    /// Further fields for the provider, by the provider's options key.
    #[serde(default)]
    pub provider_options: Option<Map<String, Value>>,
}

/// A turn of a conversation that images are made from: `content`, or the `parts` of a UI message.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a role with content, or a UI message")]
pub enum MediaMessage {
    /// With `content`.
    Content {
        /// Who speaks.
        role: UiRole,
        /// What is said and shown, in order.
        content: Vec<MediaContent>,
    },
    /// A UI message, whose texts and image files count.
    Ui(UiMessage),
}

/// A piece of a turn.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum MediaContent {
    /// Words.
    Text {
        /// The words.
        text: String,
    },
    /// An image to draw from: by address or inline.
    Image {
        /// `https:` or `data:` URL.
        #[serde(default)]
        url: Option<String>,
        /// `data:` URL.
        #[serde(default)]
        data_url: Option<String>,
        /// Such as `image/png`; a `data:` URL says it itself.
        #[serde(default)]
        media_type: Option<String>,
    },
}

impl MediaInput {
    /// About how many bytes it has: those of texts and images.
    pub(crate) fn size(&self) -> usize {
        let messages = self.messages.iter().flatten().map(MediaMessage::size);
        self.prompt.as_ref().map_or(0, String::len) + messages.sum::<usize>()
    }

    /// The order; `job_id` is what providers recognise it by. It is never the client's own: two users
    /// who name the same id would be given each other's work.
    ///
    /// # Errors
    /// 400 that names the field, 422 for a part that no image is made from.
    pub(crate) fn into_order(
        self,
        mode: Mode,
        job_id: &str,
        settings: &CallSettings,
    ) -> Result<Order> {
        let messages = self.messages.unwrap_or_default();
        if messages.len() > settings.max_messages {
            let message = format!("at most {} messages are taken", settings.max_messages);
            return Err(Error::invalid("messages", message));
        }
        let mut turns = Vec::with_capacity(messages.len());
        for (index, message) in messages.into_iter().enumerate() {
            turns.push(message.into_turn(&format!("messages[{index}]"))?);
        }
        let prompt = self.prompt.filter(|prompt| !prompt.trim().is_empty());
        if let (Some(prompt), false) = (&prompt, turns.is_empty()) {
            turns.push(Turn { role: UiRole::User, content: vec![Piece::Text(prompt.clone())] });
        }
        check_sizes(&turns, prompt.as_deref(), settings.max_message_bytes)?;
        let prompt = if turns.is_empty() { prompt.unwrap_or_default() } else { texts(&turns) };
        if prompt.trim().is_empty() {
            return Err(Error::invalid("prompt", "send a prompt, or messages with a text"));
        }
        if let (Some(n), Some(count)) = (self.n, self.count)
            && n != count
        {
            let message = "differs from n, which means the same; send one of them";
            return Err(Error::new(ErrorCode::Unprocessable, "").with_field("count", message));
        }
        let (n_field, n) = if self.count.is_some() { ("count", self.count) } else { ("n", self.n) };
        let n = n.map(NonZeroU32::get);
        if n.is_some_and(|n| !(1..=MOST_IMAGES).contains(&n)) {
            return Err(Error::invalid(n_field, format!("must be 1 to {MOST_IMAGES}")));
        }
        if self.seconds.is_some_and(|seconds| !(1..=MOST_SECONDS).contains(&seconds)) {
            return Err(Error::invalid("seconds", format!("must be 1 to {MOST_SECONDS}")));
        }
        if self.client_job_id.is_some_and(|id| id.len() > 255) {
            return Err(Error::invalid("client_job_id", "must be at most 255 bytes"));
        }
        Ok(Order {
            mode,
            job_id: job_id.to_owned(),
            prompt,
            images: images(&turns),
            turns,
            n,
            size: short("size", self.size)?,
            ratio: short("ratio", self.ratio.or(self.aspect_ratio))?,
            quality: short("quality", self.quality)?,
            seed: self.seed,
            seconds: self.seconds,
            extra: Map::new(),
            provider_options: self.provider_options.unwrap_or_default(),
        })
    }
}

fn short(field: &str, text: Option<String>) -> Result<Option<String>> {
    match text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()) {
        Some(text) if text.len() > 64 => Err(Error::invalid(field, "must be at most 64 bytes")),
        text => Ok(text),
    }
}

impl MediaMessage {
    fn size(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        match self {
            Self::Content { content, .. } => content
                .iter()
                .map(|piece| match piece {
                    MediaContent::Text { text } => text.len(),
                    MediaContent::Image { url, data_url, .. } => length(url) + length(data_url),
                })
                .sum(),
            Self::Ui(message) => message
                .parts
                .iter()
                .map(|part| match part {
                    UiPart::Text(text) => text.text.len(),
                    UiPart::File(file) => file.url.len(),
                    _ => 0,
                })
                .sum(),
        }
    }

    fn into_turn(self, path: &str) -> Result<Turn> {
        let (role, content) = match self {
            Self::Content { role, content } => {
                let pieces = content.into_iter().enumerate();
                let pieces = pieces.map(|(at, one)| one.piece(&format!("{path}.content[{at}]")));
                (role, pieces.collect::<Result<_>>()?)
            }
            Self::Ui(message) => {
                let parts = message.parts.into_iter().enumerate();
                let pieces =
                    parts.filter_map(|(at, part)| piece(part, &format!("{path}.parts[{at}]")));
                (message.role, pieces.collect::<Result<_>>()?)
            }
        };
        Ok(Turn { role, content })
    }
}

impl MediaContent {
    fn piece(self, path: &str) -> Result<Piece> {
        match self {
            Self::Text { text } => Ok(Piece::Text(text)),
            Self::Image { url, data_url, .. } => image(data_url.or(url), path),
        }
    }
}

fn image(url: Option<String>, path: &str) -> Result<Piece> {
    let url = url.unwrap_or_default();
    let is_inline = url.starts_with("data:image/");
    if is_inline && crate::files::inline(&url).is_none() {
        return Err(Error::invalid(path, "its data: URL cannot be read"));
    }
    if is_inline || url.starts_with("https://") || url.starts_with("http://") {
        return Ok(Piece::Image(url));
    }
    Err(Error::invalid(path, "must have the url of an image, or its data_url"))
}

/// Texts and images count; what only steers a conversation is left out.
fn piece(part: UiPart, path: &str) -> Option<Result<Piece>> {
    match part {
        UiPart::Text(text) => Some(Ok(Piece::Text(text.text))),
        UiPart::File(file) if file.media_type.starts_with("image/") => {
            Some(image(Some(file.url), path))
        }
        UiPart::File(file) => {
            let message = format!("no image is made from files of type {:?}", file.media_type);
            Some(Err(Error::new(ErrorCode::Unprocessable, "").with_field(path, message)))
        }
        _ => None,
    }
}

fn check_sizes(turns: &[Turn], prompt: Option<&str>, most: usize) -> Result<()> {
    if prompt.is_some_and(|prompt| prompt.len() > most) {
        return Err(Error::invalid("prompt", format!("must be at most {most} bytes")));
    }
    let size = |piece: &Piece| match piece {
        Piece::Text(text) | Piece::Image(text) => text.len(),
    };
    for (index, turn) in turns.iter().enumerate() {
        if turn.content.iter().map(size).sum::<usize>() > most {
            let path = format!("messages[{index}]");
            return Err(Error::invalid(path, format!("must be at most {most} bytes")));
        }
    }
    Ok(())
}

/// What was said: by those who ask, and the instructions.
fn texts(turns: &[Turn]) -> String {
    let pieces = turns.iter().filter(|turn| turn.role != UiRole::Assistant);
    let texts = pieces.flat_map(|turn| &turn.content).filter_map(|piece| match piece {
        Piece::Text(text) => Some(text.as_str()),
        Piece::Image(_) => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

fn images(turns: &[Turn]) -> Vec<String> {
    let images = turns.iter().flat_map(|turn| &turn.content).filter_map(|piece| match piece {
        Piece::Image(url) => Some(url.clone()),
        Piece::Text(_) => None,
    });
    images.collect()
}
