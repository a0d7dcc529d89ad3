//! Waiting for the end of a job within one call.

use std::sync::Arc;

use downcity_core::{Cx, Error, Result};
use downcity_types::{ErrorCode, UiMessage};
use tokio::sync::broadcast::error::RecvError;

use super::job::{LOOKS, MediaJobView};
use super::store::{self, MediaStatus};
use crate::service::Ai;

impl Ai {
    /// Waits for the result of a job: the node that ends it here wakes the call at once, else a look
    /// now and then finds it.
    ///
    /// # Errors
    /// That of the job, when it failed; 504 with its id when it takes longer than a call may wait.
    pub(crate) async fn wait_for(
        self: &Arc<Self>,
        cx: &Cx,
        job: MediaJobView,
    ) -> Result<UiMessage> {
        let (runtime, job_id) = (cx.runtime(), job.job_id);
        let until = cx.started_at().saturating_add(self.catalog().settings.media_wait);
        let mut ended = self.ended_jobs().subscribe();
        let mut pause = LOOKS.0;
        loop {
            let wanted = job_id.clone();
            let found = runtime.db().read(move |tx| store::has_ended(tx, &wanted)).await?;
            match found {
                None => return Err(Error::new(ErrorCode::NotFound, "The job is gone.")),
                Some(true) => break,
                Some(false) if runtime.clock().now() >= until => return Err(pending(job_id)),
                Some(false) => {}
            }
            let woken = async {
                loop {
                    match ended.recv().await {
                        Ok(id) if *id == *job_id => return,
                        Ok(_) => {}
                        // Some ends were missed, or nobody tells of any: a look says more.
                        Err(RecvError::Lagged(_)) => return,
                        Err(RecvError::Closed) => return std::future::pending().await,
                    }
                }
            };
            let _ = tokio::time::timeout(pause, woken).await;
            pause = (pause * 2).min(LOOKS.1);
        }
        let wanted = job_id.clone();
        let job = runtime.db().read(move |tx| store::find(tx, &wanted)).await?;
        let job = job.ok_or_else(|| Error::new(ErrorCode::NotFound, "The job is gone."))?;
        let view = job.into_view(cx, &self.catalog())?;
        match (view.status, view.result) {
            (MediaStatus::Succeeded, Some(message)) => Ok(message),
            _ => {
                let code = view.code.unwrap_or(ErrorCode::UpstreamError);
                let error = view.error.unwrap_or_default();
                Err(Error::new(code, error).with_fact("job_id", job_id))
            }
        }
    }
}

fn pending(job_id: String) -> Error {
    let message = "The work takes longer than a call may wait; it goes on.";
    Error::new(ErrorCode::JobPending, message)
        .with_fix("Ask for the result by the job_id.")
        .with_fact("job_id", job_id)
}
