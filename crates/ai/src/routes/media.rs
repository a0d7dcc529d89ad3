//! The routes of images and videos that are made as jobs.

use std::sync::Arc;

use downcity_core::{Cx, Result};
use downcity_types::UiMessage;
use serde_json::Map;

use crate::config::Mode;
use crate::media::{JobIn, MediaInput, MediaJobView};
use crate::service::Ai;

impl Ai {
    pub(crate) async fn image_create(
        self: Arc<Self>,
        cx: Cx,
        input: MediaInput,
    ) -> Result<MediaJobView> {
        self.create(&cx, Mode::Image, input).await
    }

    pub(crate) async fn video_create(
        self: Arc<Self>,
        cx: Cx,
        input: MediaInput,
    ) -> Result<MediaJobView> {
        self.create(&cx, Mode::Video, input).await
    }

    pub(crate) async fn image_result(
        self: Arc<Self>,
        cx: Cx,
        input: JobIn,
    ) -> Result<MediaJobView> {
        self.result(&cx, Mode::Image, &input).await
    }

    pub(crate) async fn video_result(
        self: Arc<Self>,
        cx: Cx,
        input: JobIn,
    ) -> Result<MediaJobView> {
        self.result(&cx, Mode::Video, &input).await
    }

    /// Takes the next step of a job at once, due or not.
    pub(crate) async fn image_fetch(self: Arc<Self>, cx: Cx, input: JobIn) -> Result<MediaJobView> {
        let job = self.job_of(&cx, Mode::Image, &input).await?;
        self.advance_now(cx.runtime(), job).await?;
        self.result(&cx, Mode::Image, &input).await
    }

    pub(crate) async fn image(self: Arc<Self>, cx: Cx, input: MediaInput) -> Result<UiMessage> {
        let job = self.create(&cx, Mode::Image, input).await?;
        self.message_of(&cx, &job.job_id).await
    }

    pub(crate) async fn video(self: Arc<Self>, cx: Cx, input: MediaInput) -> Result<UiMessage> {
        let job = self.create(&cx, Mode::Video, input).await?;
        self.message_of(&cx, &job.job_id).await
    }

    async fn create(
        self: &Arc<Self>,
        cx: &Cx,
        mode: Mode,
        input: MediaInput,
    ) -> Result<MediaJobView> {
        self.open_job(cx, mode, input, Map::new()).await
    }

    async fn result(self: &Arc<Self>, cx: &Cx, mode: Mode, input: &JobIn) -> Result<MediaJobView> {
        self.job_of(cx, mode, input).await?.into_view(cx, &self.catalog())
    }
}
