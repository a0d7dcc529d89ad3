//! Embeddings in the form of OpenAI, for protocols that make them of something else.

use downcity_core::Error;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::convert::vectors::{Encoding, base64_of};

/// The longest vector that can be asked for.
const MAX_DIMENSIONS: usize = 65_536;

/// The most texts of one request, as at OpenAI.
const MAX_TEXTS: usize = 2_048;

/// The fields of OpenAI's requests that mean something here, or nothing anywhere: `user` names the
/// caller's user.
const KNOWN: [&str; 5] = ["model", "input", "encoding_format", "dimensions", "user"];

/// A request for embeddings, of which a protocol takes what it knows.
#[derive(Deserialize)]
pub(super) struct Request {
    #[serde(default)]
    pub(super) model: String,
    input: Input,
    #[serde(default)]
    encoding_format: Option<Encoding>,
    /// At least 1.
    #[serde(default)]
    pub(super) dimensions: Option<usize>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<Value>),
}

impl Request {
    /// # Errors
    /// 400 that names the field.
    pub(super) fn read(body: &[u8]) -> Result<Self, Error> {
        // As a value first: of two equal names the last one counts.
        Self::of(&serde_json::from_slice(body).map_err(Error::internal)?)
    }

    /// Reads a request for a provider that takes nothing but what is read here.
    ///
    /// # Errors
    /// As [`Request::read`]; 422 that names a field that would have no effect.
    pub(super) fn read_only(body: &[u8]) -> Result<Self, Error> {
        let body: Value = serde_json::from_slice(body).map_err(Error::internal)?;
        let mut names = body.as_object().into_iter().flat_map(|fields| fields.keys());
        if let Some(name) = names.find(|name| !KNOWN.contains(&name.as_str())) {
            let error = Error::new(downcity_types::ErrorCode::Unprocessable, "");
            return Err(error.with_field(name, "this model does not know it"));
        }
        Self::of(&body)
    }

    fn of(body: &Value) -> Result<Self, Error> {
        let request: Self = serde_path_to_error::deserialize(body).map_err(|error| {
            // The words of the parser would repeat what the caller sent.
            Error::invalid(error.path().to_string(), "has a form that this model cannot read")
        })?;
        if request.dimensions.is_some_and(|wanted| !(1..=MAX_DIMENSIONS).contains(&wanted)) {
            return Err(Error::invalid("dimensions", format!("must be 1 to {MAX_DIMENSIONS}")));
        }
        Ok(request)
    }

    /// The texts, in order.
    ///
    /// # Errors
    /// 422 for tokens: only the model that they are of can read them. 400 for too many texts.
    pub(super) fn texts(&self) -> Result<Vec<&str>, Error> {
        if let Input::Texts(texts) = &self.input
            && texts.len() > MAX_TEXTS
        {
            return Err(Error::invalid("input", format!("may hold {MAX_TEXTS} texts at most")));
        }
        match &self.input {
            Input::Text(text) => Ok(vec![text]),
            Input::Texts(texts) => Ok(texts.iter().map(String::as_str).collect()),
            Input::Tokens(tokens) if tokens.is_empty() => Ok(Vec::new()),
            Input::Tokens(_) => Err(Error::new(
                downcity_types::ErrorCode::Unprocessable,
                "input: this model takes texts, not tokens.",
            )),
        }
    }

    /// The answer with a vector for each text, written as the request asks.
    pub(super) fn answer(&self, vectors: Vec<Vec<f32>>, usage: Option<Value>) -> Value {
        let data = vectors.into_iter().enumerate().map(|(index, vector)| {
            let embedding = match self.encoding_format {
                Some(Encoding::Base64) => Value::String(base64_of(&vector)),
                Some(Encoding::Float) | None => json!(vector),
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        });
        let data: Vec<Value> = data.collect();
        let mut answer = json!({"object": "list", "data": data, "model": self.model});
        if let (Some(usage), Some(fields)) = (usage, answer.as_object_mut()) {
            fields.insert("usage".to_owned(), usage);
        }
        answer
    }
}
