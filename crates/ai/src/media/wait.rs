//! Waiting for the end of a job within one call.

use std::sync::Arc;

use downcity_core::{Cx, Error, Result};
use downcity_types::{ErrorCode, UiMessage};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::job::{LOOKS, StoredResult};
use super::store::{self, MediaJob};
use crate::service::Ai;

impl Ai {
    /// Waits for the message of a job.
    ///
    /// # Errors
    /// As [`Ai::result_of`].
    pub(crate) async fn message_of(self: &Arc<Self>, cx: &Cx, job_id: &str) -> Result<UiMessage> {
        self.result_of(cx, job_id).await?.linked(cx, &self.catalog())
    }

    /// Waits for the result of a job: the node that ends it here wakes the call at once, else a look
    /// now and then finds it.
    ///
    /// # Errors
    /// That of the job, when it failed; 504 with its id when it takes longer than a call may wait.
    pub(crate) async fn result_of(self: &Arc<Self>, cx: &Cx, job_id: &str) -> Result<StoredResult> {
        let job = self.end_of(cx, job_id).await?;
        job.result.ok_or_else(|| {
            let code = job.code.unwrap_or(ErrorCode::UpstreamError);
            Error::new(code, job.error.unwrap_or_default()).with_fact("job_id", job_id)
        })
    }

    async fn end_of(self: &Arc<Self>, cx: &Cx, job_id: &str) -> Result<MediaJob> {
        let db = cx.runtime().db();
        let until = cx.started_at().saturating_add(self.catalog().settings.media_wait);
        let gone = || Error::new(ErrorCode::NotFound, "The job is gone.");
        let mut ended = self.ended_jobs().subscribe();
        let mut pause = LOOKS.0;
        loop {
            let wanted = job_id.to_owned();
            let has_ended = db.read(move |tx| store::has_ended(tx, &wanted)).await?;
            if has_ended.ok_or_else(gone)? {
                let wanted = job_id.to_owned();
                return db.read(move |tx| store::find(tx, &wanted)).await?.ok_or_else(gone);
            }
            if cx.runtime().clock().now() >= until {
                return Err(pending(job_id));
            }
            let _ = tokio::time::timeout(pause, told_of(&mut ended, job_id)).await;
            pause = (pause * 2).min(LOOKS.1);
        }
    }
}

/// Resolves when this job may have ended on this node.
async fn told_of(ended: &mut Receiver<Arc<str>>, job_id: &str) {
    loop {
        match ended.recv().await {
            Ok(id) if *id == *job_id => return,
            Ok(_) => {}
            // Some ends were missed: a look says more.
            Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}

fn pending(job_id: &str) -> Error {
    let message = format!("The work takes longer than a call may wait; it goes on as {job_id}.");
    Error::new(ErrorCode::JobPending, message)
        .with_fix("Ask for the result by the job_id.")
        .with_fact("job_id", job_id)
}
