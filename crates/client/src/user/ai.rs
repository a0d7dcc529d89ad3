//! Calls of models.

use downcity_types::{Items, UiMessage};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    AsrInput, AsrResult, CatalogModel, ChunkStream, City, Error, ImageInput, ImageJob,
    ImageJobState, JobId, JobStatus, ModelCatalog, ModelHandle, ModelId, ModelRef, PollOptions,
    Result, SecretString, TextInput, TtsInput, User, VideoInput,
};

/// The models of a Federation, for a user: [`City::ai`].
///
/// Calls of models need the `city_id` of the client ([`Error::MissingCityId`]) and are answered to a
/// user's token. Errors of all of them are those of [`Error`]; an input that the server refuses is
/// [`Error::Status`] with 400 or 422, a wallet that does not cover the call 402.
#[derive(Clone, Copy, Debug)]
pub struct Ai<'a> {
    city: &'a City<User>,
}

/// What points an OpenAI client at a model of the Federation: [`Ai::connection`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ModelConnection {
    /// The base URL of its API, to which the client appends `/chat/completions`.
    pub base_url: String,
    /// The user's token, as the API key.
    pub api_key: Option<SecretString>,
    /// The model.
    pub model_id: ModelId,
    /// Fields to merge into each request: `model`, and `city_id` where there is one.
    pub request_body: Map<String, Value>,
}

impl<'a> Ai<'a> {
    pub(super) fn new(city: &'a City<User>) -> Self {
        Self { city }
    }

    /// Answers a prompt or a conversation with one message: `POST /v1/ai/text`.
    ///
    /// # Errors
    /// See [`Ai`].
    pub async fn text(&self, input: TextInput) -> Result<UiMessage> {
        self.call(&["ai", "text"], &input).await
    }

    /// Answers with chunks as they come: `POST /v1/ai/stream`.
    ///
    /// # Errors
    /// See [`Ai`]; [`Error::MissingUserToken`] for guests. A failure before the first chunk is an error
    /// of this call, a later one a chunk of the stream.
    pub async fn stream(&self, input: TextInput) -> Result<ChunkStream> {
        let body = self.body(&input)?;
        let inner = &self.city.inner;
        if inner.credential.is_none() {
            return Err(Error::MissingUserToken);
        }
        let call = inner.ask(&["ai", "stream"], &body)?;
        Ok(ChunkStream::new(inner.stream(call).await?))
    }

    /// Begins to draw: `POST /v1/ai/image/create`.
    ///
    /// # Errors
    /// See [`Ai`].
    pub async fn image_create(&self, input: ImageInput) -> Result<ImageJob> {
        self.call(&["ai", "image", "create"], &input).await
    }

    /// How far a drawing is, and the images once they are there: `POST /v1/ai/image/result`.
    ///
    /// # Errors
    /// See [`Ai`]; 404 for a job that is not the user's.
    pub async fn image_result(&self, job: &JobId) -> Result<ImageJobState> {
        self.call(&["ai", "image", "result"], &json!({ "job_id": job })).await
    }

    /// Draws, and waits for the images: [`image_create`](Self::image_create), then
    /// [`image_result`](Self::image_result) until there is a result.
    ///
    /// # Errors
    /// See [`Ai`]; [`Error::Job`] for a job that failed, or did not end in the time of `patience`.
    pub async fn image(&self, input: ImageInput, patience: PollOptions) -> Result<UiMessage> {
        let begun = Instant::now();
        let mut job = self.image_create(input).await?;
        loop {
            match job.status {
                JobStatus::Failed => return Err(failed(job)),
                JobStatus::Succeeded => {}
                _ => match patience.next(job.poll_after_ms, begun.elapsed()) {
                    Some(wait) => sleep(wait).await,
                    None => return Err(unfinished(job, "it did not end in time")),
                },
            }
            let ImageJobState { job: now, result } = self.image_result(&job.job_id).await?;
            match (now.status, result) {
                (JobStatus::Succeeded, Some(message)) => return Ok(message),
                (JobStatus::Succeeded, None) => return Err(unfinished(now, "it has no result")),
                _ => job = now,
            }
        }
    }

    /// Films: `POST /v1/ai/video`. The message holds the video as a file part.
    ///
    /// # Errors
    /// See [`Ai`].
    pub async fn video(&self, input: VideoInput) -> Result<UiMessage> {
        self.call(&["ai", "video"], &input).await
    }

    /// Speaks: `POST /v1/ai/tts`. The message holds the audio as a file part.
    ///
    /// # Errors
    /// See [`Ai`].
    pub async fn tts(&self, input: TtsInput) -> Result<UiMessage> {
        self.call(&["ai", "tts"], &input).await
    }

    /// Writes down what was said: `POST /v1/ai/asr`.
    ///
    /// # Errors
    /// See [`Ai`].
    pub async fn asr(&self, input: AsrInput) -> Result<AsrResult> {
        self.call(&["ai", "asr"], &input).await
    }

    /// The models that can be called now: `GET /v1/ai/models`.
    ///
    /// # Errors
    /// See [`Ai`].
    pub async fn list_models(&self) -> Result<ModelCatalog> {
        let call = self.city.inner.get(&["ai", "models"], &Value::Null)?;
        let models: Items<CatalogModel> = self.city.inner.json(call).await?;
        Ok(ModelCatalog::new(models.items))
    }

    /// A handle of one model, by its id or from the catalog. Nothing is asked of the server.
    pub fn model(&self, model: impl Into<ModelRef>) -> ModelHandle {
        ModelHandle::new(self.city.clone(), model.into())
    }

    /// What an OpenAI client needs to call a model. Nothing is asked of the server.
    ///
    /// # Errors
    /// [`Error::Config`] for a blank id.
    pub fn connection(&self, model: &ModelId) -> Result<ModelConnection> {
        let id = model.as_ref().trim();
        if id.is_empty() {
            return Err(Error::config("model", "a model has an id that is not blank"));
        }
        let mut request_body = Map::from_iter([("model".to_owned(), json!(id))]);
        if let Some(city) = &self.city.inner.city_id {
            request_body.insert("city_id".to_owned(), json!(city));
        }
        Ok(ModelConnection {
            base_url: self.model(model).url(),
            api_key: self.city.inner.credential.clone(),
            model_id: id.into(),
            request_body,
        })
    }

    async fn call<T: DeserializeOwned>(&self, path: &[&str], input: &impl Serialize) -> Result<T> {
        let call = self.city.inner.ask(path, &self.body(input)?)?;
        self.city.inner.json(call).await
    }

    /// The input as it is sent.
    fn body(&self, input: &impl Serialize) -> Result<Value> {
        let city = self.city.inner.city_id.as_ref().ok_or(Error::MissingCityId)?;
        let mut body = json!(input);
        body["city_id"] = json!(city);
        Ok(body)
    }
}

fn failed(job: ImageJob) -> Error {
    let reason = job.error.or(job.message).unwrap_or_else(|| "it failed".to_owned());
    Error::Job { id: job.job_id.to_string(), reason }
}

fn unfinished(job: ImageJob, reason: &str) -> Error {
    Error::Job { id: job.job_id.to_string(), reason: reason.to_owned() }
}
