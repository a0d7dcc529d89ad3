//! Embeddings of Gemini: a request in the form of OpenAI becomes one of `batchEmbedContents`.

use downcity_core::{Body, Call};
use http::Response;
use serde_json::{Value, json};

use super::{Gemini, path_of, refused};
use crate::failure::Failure;
use crate::provider::embeddings::Request;
use crate::provider::whole::whole;

impl Gemini {
    pub(super) async fn embed(&self, call: &Call, body: &[u8]) -> Result<Response<Body>, Failure> {
        let wanted = Request::read_only(body).map_err(Failure::Ours)?;
        let path = path_of(&wanted.model);
        let count = wanted.texts().map_err(Failure::Ours)?.len();
        let native = native(&wanted, path.trim_start_matches('/')).map_err(Failure::Ours)?;
        let path = format!("{path}:batchEmbedContents");
        let request = self.wire.request_beside(call, &path, None, native.to_string().into());
        let response = self.wire.send(request.map_err(Failure::Ours)?).await?;
        if !response.status().is_success() {
            return Ok(refused(response).await);
        }
        Ok(whole(response, move |native| answer(native, &wanted, count)))
    }
}

fn native(wanted: &Request, model: &str) -> Result<Value, downcity_core::Error> {
    let requests = wanted.texts()?.into_iter().map(|text| {
        let mut request = json!({"model": model, "content": {"parts": [{"text": text}]}});
        if let (Some(dimensions), Some(fields)) = (wanted.dimensions, request.as_object_mut()) {
            fields.insert("outputDimensionality".to_owned(), json!(dimensions));
        }
        request
    });
    Ok(json!({"requests": requests.collect::<Vec<Value>>()}))
}

/// The vectors; `None` where the answer holds none, other things than numbers, or not one for each
/// text: nobody could tell which text one is of.
fn answer(native: &Value, wanted: &Request, count: usize) -> Option<Value> {
    let vector = |embedding: &Value| {
        let values = embedding.get("values")?.as_array()?;
        values.iter().map(|value| Some(value.as_f64()? as f32)).collect::<Option<Vec<f32>>>()
    };
    let vectors: Vec<Vec<f32>> =
        native.get("embeddings")?.as_array()?.iter().map(vector).collect::<Option<_>>()?;
    if vectors.len() != count {
        return None;
    }
    let tokens = native.get("usageMetadata").and_then(|usage| usage.get("promptTokenCount"));
    let usage = tokens.map(|tokens| json!({"prompt_tokens": tokens, "total_tokens": tokens}));
    Some(wanted.answer(vectors, usage))
}
