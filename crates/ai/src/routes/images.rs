//! `POST /v1/images/generations`: images in the form of OpenAI, made by a job that the call waits for.

use std::num::NonZeroU32;
use std::sync::Arc;

use downcity_core::{Cx, Error, ErrorShape, Result, ServiceDef, USER_OR_ADMIN};
use downcity_types::{FilePart, UiPart};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::catalog::Catalog;
use crate::config::Mode;
use crate::files::{base64_of, to_base64};
use crate::heavy::heavy;
use crate::media::{MediaInput, StoredResult};
use crate::service::{Ai, GUARD};
use crate::storage::Stored;

/// Fields that are meant for the Federation, or for nobody.
const NOT_FOR_PROVIDERS: &[&str] = &["city_id", "user_id", "idempotency_key", "user"];

/// A request for images in the form of OpenAI. Fields that are not listed are passed on to providers
/// of OpenAI's own protocol; others refuse them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct ImagesRequest {
    /// Id of the model; without it the default model for images answers.
    #[serde(default)]
    pub model: Option<String>,
    /// What the images show.
    pub prompt: String,
    /// How many; one unless set.
    #[serde(default)]
    pub n: Option<NonZeroU32>,
    /// Width and height in pixels, such as `1024x1024`, or `auto`.
    #[serde(default)]
    pub size: Option<String>,
    /// As the model names it, or `auto`.
    #[serde(default)]
    pub quality: Option<String>,
    /// `b64_json` unless set, or `url`: a link that ends.
    #[serde(default)]
    pub response_format: Option<ImageFormat>,
    /// Images are never streamed: `true` is refused.
    #[serde(default)]
    pub stream: Option<bool>,
    /// Anything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// How images are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImageFormat {
    /// Base64 in `b64_json`.
    #[default]
    B64Json,
    /// A link in `url`.
    Url,
}

/// Images in the form of OpenAI.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ImagesAnswer {
    /// When they were there, in seconds since 1970.
    pub created: i64,
    /// The images.
    pub data: Vec<ImageAnswer>,
    /// What they consumed, in the provider's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Value>,
}

/// One image: one of both.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct ImageAnswer {
    /// The image as base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b64_json: Option<String>,
    /// A link to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl Ai {
    pub(crate) fn declare_images(self: &Arc<Self>, service: &mut ServiceDef) {
        service
            .post("/v1/images/generations", USER_OR_ADMIN, self, Self::images)
            .summary("Have images made and wait for them, in the form of OpenAI.")
            .description(
                "`model` is an id of GET /v1/models with the mode `image`, or absent for the default \
                 model of that mode. The answer is 504 where the images take longer than a call may \
                 wait; its message names the job, which goes on: see POST /v1/ai/image/result.",
            )
            .errors(ErrorShape::OpenAi)
            .timeout(GUARD)
            .moves_money()
            .cancel_on_disconnect();
    }

    async fn images(self: Arc<Self>, cx: Cx, input: ImagesRequest) -> Result<ImagesAnswer> {
        if input.stream == Some(true) {
            return Err(Error::invalid("stream", "images are not streamed; leave it out"));
        }
        let told = |text: Option<String>| text.filter(|text| text != "auto");
        let asked = MediaInput {
            model: input.model,
            prompt: Some(input.prompt),
            n: input.n,
            size: told(input.size),
            quality: told(input.quality),
            ..MediaInput::default()
        };
        let mut extra = input.extra;
        extra.retain(|name, value| !NOT_FOR_PROVIDERS.contains(&name.as_str()) && !value.is_null());
        let job = self.open_job(&cx, Mode::Image, asked, extra).await?;
        let result = self.result_of(&cx, &job.job_id).await?;
        let usage = result.message.metadata.as_ref().and_then(|metadata| metadata.get("usage"));
        let usage = usage.cloned();
        let data = answered(&cx, &self.catalog(), result, input.response_format).await?;
        Ok(ImagesAnswer { created: cx.runtime().clock().now_seconds(), data, usage })
    }
}

async fn answered(
    cx: &Cx,
    catalog: &Catalog,
    result: StoredResult,
    format: Option<ImageFormat>,
) -> Result<Vec<ImageAnswer>> {
    let mut data = Vec::with_capacity(result.files.len());
    for (part, stored) in result.message.parts.into_iter().zip(result.files) {
        let UiPart::File(file) = part else { continue };
        data.push(match format.unwrap_or_default() {
            ImageFormat::Url => {
                let url = stored.map(|stored| catalog.storage.url(cx, &stored)).transpose()?;
                ImageAnswer { url: Some(url.unwrap_or(file.url)), b64_json: None }
            }
            ImageFormat::B64Json => inline(cx, catalog, file, stored).await?,
        });
    }
    Ok(data)
}

/// The bytes of an image. One that nobody could fetch stays at its address.
async fn inline(
    cx: &Cx,
    catalog: &Catalog,
    file: FilePart,
    stored: Option<Stored>,
) -> Result<ImageAnswer> {
    let base64 = match stored {
        Some(stored) => {
            let bytes = catalog.storage.get(cx.runtime(), &stored).await?;
            Some(heavy(bytes.len(), move || to_base64(&bytes)).await?)
        }
        None => base64_of(&file.url).map(|base64| base64.into_owned()),
    };
    Ok(match base64 {
        Some(base64) => ImageAnswer { b64_json: Some(base64), url: None },
        None => ImageAnswer { b64_json: None, url: Some(file.url) },
    })
}
