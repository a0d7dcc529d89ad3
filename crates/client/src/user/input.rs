//! What is asked of a model: builders of open objects.

use downcity_types::{UiMessage, UiRole};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::ModelId;

/// What every call of a model has.
pub(crate) trait ModelInput: Serialize {
    /// Asks a model, instead of the one that was asked before.
    fn ask(&mut self, model: ModelId);
}

/// Writes the builder methods that all inputs share.
macro_rules! model_input {
    ($input:ident) => {
        impl $input {
            /// Asks this model; without it, the operator's default for the mode answers.
            pub fn model(mut self, model: impl Into<ModelId>) -> Self {
                self.model = Some(model.into());
                self
            }

            /// Adds any other field, or replaces one that a builder method wrote.
            pub fn extra(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
                self.extra.insert(key.into(), value.into());
                self
            }
        }

        impl ModelInput for $input {
            fn ask(&mut self, model: ModelId) {
                self.extra.shift_remove("model");
                self.model = Some(model);
            }
        }
    };
}

/// What [`Ai::text`](crate::Ai::text) and [`Ai::stream`](crate::Ai::stream) answer to.
///
/// ```
/// use downcity::{TextInput, Tool};
/// use serde_json::json;
///
/// let input = TextInput::prompt("What is the weather in Oslo?")
///     .model("echo")
///     .system("Be brief.")
///     .tool(Tool::new("weather").parameters(json!({
///         "type": "object",
///         "properties": { "city": { "type": "string" } },
///     })))
///     .extra("temperature", 0.2);
/// # assert_eq!(json!(input)["tools"][0]["function"]["name"], "weather");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[must_use]
pub struct TextInput {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<ModelId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<UiMessage>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

model_input!(TextInput);

impl TextInput {
    /// Asks with the text of one user turn.
    pub fn prompt(prompt: impl Into<String>) -> Self {
        Self { prompt: Some(prompt.into()), ..Self::default() }
    }

    /// Asks nothing yet: [`messages`](Self::messages) follow.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the conversation. A prompt, where there is one, comes after its last message.
    pub fn messages(mut self, messages: Vec<UiMessage>) -> Self {
        self.messages = messages;
        self
    }

    /// Tells the model how to answer.
    pub fn system(mut self, text: impl Into<String>) -> Self {
        self.system = Some(text.into());
        self
    }

    /// Offers a tool. Tools run where this client runs: answer a call with its result in the next
    /// input's messages.
    pub fn tool(mut self, tool: Tool) -> Self {
        self.tools.push(tool);
        self
    }
}

/// A function that a model may call.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Tool {
    name: String,
    description: String,
    parameters: Value,
}

impl Tool {
    /// A tool without parameters.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), description: String::new(), parameters: json!({}) }
    }

    /// Says what the tool does, for the model.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = text.into();
        self
    }

    /// The JSON Schema of its input.
    pub fn parameters(mut self, schema: impl Into<Value>) -> Self {
        self.parameters = schema.into();
        self
    }
}

impl Serialize for Tool {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { name, description, parameters } = self;
        json!({
            "type": "function",
            "function": { "name": name, "description": description, "parameters": parameters },
        })
        .serialize(serializer)
    }
}

/// What [`Ai::image_create`](crate::Ai::image_create) draws.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[must_use]
pub struct ImageInput {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<ModelId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<ImageMessage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aspect_ratio: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quality: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_job_id: Option<String>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

model_input!(ImageInput);

impl ImageInput {
    /// Draws what a text says.
    pub fn prompt(prompt: impl Into<String>) -> Self {
        Self { prompt: Some(prompt.into()), ..Self::default() }
    }

    /// Draws nothing yet: [`messages`](Self::messages) follow.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a conversation of texts and images to draw from.
    pub fn messages(mut self, messages: Vec<ImageMessage>) -> Self {
        self.messages = messages;
        self
    }

    /// How many images; one without it.
    pub fn count(mut self, images: u32) -> Self {
        self.n = Some(images);
        self
    }

    /// Width and height in pixels, such as `1024x1024`.
    pub fn size(mut self, size: impl Into<String>) -> Self {
        self.size = Some(size.into());
        self
    }

    /// Width to height, such as `16:9`.
    pub fn aspect_ratio(mut self, ratio: impl Into<String>) -> Self {
        self.aspect_ratio = Some(ratio.into());
        self
    }

    /// Such as `standard` or `hd`, as the model names it.
    pub fn quality(mut self, quality: impl Into<String>) -> Self {
        self.quality = Some(quality.into());
        self
    }

    /// Makes a model that knows seeds draw the same again.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// An id of the client's own, by which providers recognise a job that is sent again.
    pub fn client_job_id(mut self, id: impl Into<String>) -> Self {
        self.client_job_id = Some(id.into());
        self
    }
}

/// A turn of an [`ImageInput`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ImageMessage {
    /// Who speaks.
    pub role: UiRole,
    /// What is said and shown, in order.
    pub content: Vec<ImageContent>,
}

/// A part of an [`ImageMessage`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ImageContent {
    /// Words.
    Text {
        /// The words.
        text: String,
    },
    /// An image to draw from: by address or inline.
    Image {
        /// `https:` address.
        #[serde(skip_serializing_if = "Option::is_none")]
        url: Option<String>,
        /// `data:` URL.
        #[serde(skip_serializing_if = "Option::is_none")]
        data_url: Option<String>,
        /// Such as `image/png`.
        #[serde(skip_serializing_if = "Option::is_none")]
        media_type: Option<String>,
    },
}

/// What [`Ai::video`](crate::Ai::video) films.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[must_use]
pub struct VideoInput {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<ModelId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

model_input!(VideoInput);

impl VideoInput {
    /// Films what a text says.
    pub fn prompt(prompt: impl Into<String>) -> Self {
        Self { prompt: Some(prompt.into()), ..Self::default() }
    }
}

/// What [`Ai::tts`](crate::Ai::tts) speaks.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[must_use]
pub struct TtsInput {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<ModelId>,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    voice: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speed: Option<f64>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

model_input!(TtsInput);

impl TtsInput {
    /// Speaks a text.
    pub fn new(text: impl Into<String>) -> Self {
        let (model, voice, format, speed) = (None, None, None, None);
        Self { model, text: text.into(), voice, format, speed, extra: Map::new() }
    }

    /// One of the model's voices.
    pub fn voice(mut self, voice: impl Into<String>) -> Self {
        self.voice = Some(voice.into());
        self
    }

    /// Such as `mp3`, `wav` or `opus`.
    pub fn format(mut self, format: impl Into<String>) -> Self {
        self.format = Some(format.into());
        self
    }

    /// 1 is the usual speed.
    pub fn speed(mut self, speed: f64) -> Self {
        self.speed = Some(speed);
        self
    }
}

/// What [`Ai::asr`](crate::Ai::asr) listens to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[must_use]
pub struct AsrInput {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<ModelId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<String>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

model_input!(AsrInput);

impl AsrInput {
    /// Audio at an `https:` address.
    pub fn url(url: impl Into<String>) -> Self {
        Self { url: Some(url.into()), ..Self::default() }
    }

    /// Audio inline, as a `data:` URL.
    pub fn data_url(url: impl Into<String>) -> Self {
        Self { data_url: Some(url.into()), ..Self::default() }
    }

    /// Such as `audio/mpeg`.
    pub fn media_type(mut self, media_type: impl Into<String>) -> Self {
        self.media_type = Some(media_type.into());
        self
    }

    /// The name of the file.
    pub fn filename(mut self, name: impl Into<String>) -> Self {
        self.filename = Some(name.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_say_what_was_set_and_nothing_else() {
        let text = TextInput::prompt("Hi")
            .model("m")
            .system("Be brief.")
            .messages(vec![UiMessage::from_text(UiRole::User, "Hello")])
            .tool(Tool::new("clock").description("Tells the time"))
            .extra("temperature", 0.5);
        assert_eq!(
            json!(text),
            json!({
                "model": "m",
                "system": "Be brief.",
                "prompt": "Hi",
                "messages": [{ "role": "user", "parts": [{ "type": "text", "text": "Hello" }] }],
                "tools": [{ "type": "function", "function": {
                    "name": "clock", "description": "Tells the time", "parameters": {},
                } }],
                "temperature": 0.5,
            })
        );
        assert_eq!(json!(TextInput::new()), json!({}));
        assert_eq!(json!(ImageInput::new()), json!({}));
        let image = ImageInput::new()
            .messages(vec![ImageMessage {
                role: UiRole::User,
                content: vec![
                    ImageContent::Text { text: "Like this".to_owned() },
                    ImageContent::Image {
                        url: Some("https://a.example/b.png".to_owned()),
                        data_url: None,
                        media_type: None,
                    },
                ],
            }])
            .count(2)
            .size("1024x1024")
            .aspect_ratio("1:1")
            .quality("hd")
            .seed(7)
            .client_job_id("mine");
        assert_eq!(
            json!(image),
            json!({
                "messages": [{ "role": "user", "content": [
                    { "type": "text", "text": "Like this" },
                    { "type": "image", "url": "https://a.example/b.png" },
                ] }],
                "n": 2, "size": "1024x1024", "aspect_ratio": "1:1", "quality": "hd", "seed": 7,
                "client_job_id": "mine",
            })
        );
        assert_eq!(
            json!(TtsInput::new("Hi").voice("v").format("mp3").speed(1.5)),
            json!({ "text": "Hi", "voice": "v", "format": "mp3", "speed": 1.5 })
        );
        assert_eq!(
            json!(AsrInput::data_url("data:,x").media_type("audio/mpeg").filename("a.mp3")),
            json!({ "data_url": "data:,x", "media_type": "audio/mpeg", "filename": "a.mp3" })
        );
        assert_eq!(
            json!(AsrInput::url("https://a.example")),
            json!({ "url": "https://a.example" })
        );
        assert_eq!(json!(VideoInput::prompt("Sea")), json!({ "prompt": "Sea" }));
    }

    #[test]
    fn further_fields_come_last() {
        let mut input =
            TextInput::prompt("Hi").model("m").extra("prompt", "Bye").extra("model", "n");
        assert_eq!(json!(input), json!({ "model": "n", "prompt": "Bye" }));
        input.ask("o".into());
        assert_eq!(json!(input)["model"], "o", "a handle has the last word");
    }
}
