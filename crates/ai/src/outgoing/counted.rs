//! How much of a request counts as input where nobody counts tokens.
//!
//! Texts count by their bytes. Images and sounds that stand in a request count as what models make of
//! them, which hangs on the size of a picture and the length of a sound, not on how many bytes they have.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Outgoing;
use super::audio::HEARD;
use crate::price::BYTES_PER_TOKEN;
use crate::provider::Task;
use crate::scan::values;
use crate::sound;

/// The most tokens of an image: about what models of Anthropic count for the largest image that is
/// not made smaller first (width times height over 750, with 1,568 pixels at the longer side), and
/// more than those of OpenAI and Google count for most.
const MOST_OF_IMAGE: u64 = 1_600;

impl Outgoing {
    /// The bytes of the request that count as input where nobody counts tokens: of a recording not
    /// those of the file, but so many as its length is worth; of an image so many as it is at most.
    pub(crate) fn counted(&self) -> u64 {
        match self.task {
            Task::Transcription => self.most.seconds.saturating_mul(HEARD * BYTES_PER_TOKEN),
            Task::Chat => counted(&self.body),
            _ => self.body.len() as u64,
        }
    }
}

/// The bytes that count of a chat request. Files are those of its messages: what looks like one
/// elsewhere, such as in the schema of a tool, is text to a model.
fn counted(body: &[u8]) -> u64 {
    #[derive(Deserialize)]
    struct Request<'a> {
        #[serde(borrow)]
        messages: &'a RawValue,
    }
    let names = ["\"url\"", "\"image_url\"", "\"input_audio\""];
    if names.iter().all(|name| values(body, name).next().is_none()) {
        return body.len() as u64;
    }
    let messages = serde_json::from_slice::<Request<'_>>(body)
        .map_or(&[][..], |request| request.messages.get().as_bytes());
    let images = names[..2].iter().flat_map(|name| values(messages, name));
    let too_much = |image: u64| image.saturating_sub(MOST_OF_IMAGE * BYTES_PER_TOKEN);
    let images: u64 = images.filter_map(inline_image).map(too_much).sum();
    let sounds = values(messages, names[2]).filter_map(inline_sound).map(|sound| {
        // Of four letters of base64 three are bytes.
        let seconds = sound::most_of_bytes(sound / 4 * 3);
        sound.saturating_sub(seconds.saturating_mul(HEARD * BYTES_PER_TOKEN))
    });
    (body.len() as u64).saturating_sub(images).saturating_sub(sounds.sum())
}

/// The length of an address that holds its image itself.
fn inline_image(value: &[u8]) -> Option<u64> {
    let address = value.strip_prefix(b"\"")?;
    let is_image = address.get(..11)?.eq_ignore_ascii_case(b"data:image/")
        // As some libraries write it.
        || address.get(..12)?.eq_ignore_ascii_case(br"data:image\/");
    let end = memchr::memchr(b'"', address)?;
    is_image.then_some(end as u64)
}

/// The length of the data of a sound.
fn inline_sound(value: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Sound<'a> {
        #[serde(borrow)]
        data: std::borrow::Cow<'a, str>,
    }
    let mut values = serde_json::Deserializer::from_slice(value).into_iter::<Sound<'_>>();
    Some(values.next()?.ok()?.data.len() as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn asked(part: &Value) -> u64 {
        let message = json!({"role": "user", "content": [part]});
        counted(json!({"messages": [message]}).to_string().as_bytes())
    }

    #[test]
    fn images_count_up_to_a_most_and_texts_as_they_are() {
        let image = |url: &str| asked(&json!({"type": "image_url", "image_url": {"url": url}}));
        let text = |text: &str| asked(&json!({"type": "text", "text": text}));
        let (small, large) = ("A".repeat(100), "A".repeat(1_000_000));
        let inline = |data: &str| format!("data:image/png;base64,{data}");
        let empty = image("");
        assert_eq!(image(&inline(&small)), empty + 122);
        assert_eq!(image(&inline(&large)), empty + 4_800);
        assert_eq!(image(&inline(&large).replace("data", "DATA")), empty + 4_800);
        assert!(image(&large) > 1_000_000, "no image");
        assert!(text(&inline(&large)) > 1_000_000, "a text that looks like one");
        let quoted = format!("\"url\":\"{}\"", inline(&large));
        assert!(text(&quoted) > 1_000_000, "a text that holds one");
        let bare = asked(&json!({"type": "image_url", "image_url": inline(&large)}));
        assert!(bare < 5_000, "{bare}");
        let tool = json!({"messages": [], "tools": [{"url": inline(&large)}]}).to_string();
        assert_eq!(counted(tool.as_bytes()), tool.len() as u64, "a schema of a tool is text");
        let slashed = br#"{"url": "data:image\/png;base64,AAAA", "url":"data:image"#;
        assert_eq!(counted(slashed), slashed.len() as u64);
    }

    #[test]
    fn sounds_count_by_their_length() {
        let sound = |data: &str| {
            asked(&json!({"type": "input_audio", "input_audio": {"data": data, "format": "mp3"}}))
        };
        // 750,000 bytes last 375 seconds at most.
        assert_eq!(sound(&"A".repeat(1_000_000)), sound("") + 375 * 30);
        assert_eq!(counted(b"{\"input_audio\": 5}"), 18);
    }
}
