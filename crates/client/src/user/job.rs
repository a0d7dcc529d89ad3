//! Image jobs: images take longer than a call should last.

use std::time::Duration;

use downcity_types::UiMessage;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::JobId;

/// Answer of [`Ai::image_create`](crate::Ai::image_create): a job that has begun.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImageJob {
    /// Id to ask for the result by.
    pub job_id: JobId,
    /// How far it is.
    pub status: JobStatus,
    /// A word for the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Milliseconds after which asking again makes sense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_after_ms: Option<u64>,
    /// The provider's own facts.
    #[serde(default)]
    pub metadata: Option<Map<String, Value>>,
    /// Further fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Answer of [`Ai::image_result`](crate::Ai::image_result): the job, with its result once there is one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImageJobState {
    /// A message with the images as file parts; only of a job that succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<UiMessage>,
    /// The job.
    #[serde(flatten)]
    pub job: ImageJob,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum JobStatus {
    /// It waits.
    Queued,
    /// It is worked on.
    Running,
    /// The result is there.
    Succeeded,
    /// It came to nothing.
    Failed,
    /// A word of newer servers.
    #[serde(other)]
    Unknown,
}

/// How patiently [`Ai::image`](crate::Ai::image) waits.
///
/// Between two questions it waits as long as the server asks for, but no shorter than `least` and no
/// longer than `most`; without such a word, `least`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PollOptions {
    /// The shortest wait: 1 s at first.
    pub least: Duration,
    /// The longest wait: 15 s at first.
    pub most: Duration,
    /// When to give up, counted from the first question: 10 minutes at first. The job goes on, and
    /// its result can still be asked for.
    pub timeout: Duration,
}

impl Default for PollOptions {
    fn default() -> Self {
        Self {
            least: Duration::from_secs(1),
            most: Duration::from_secs(15),
            timeout: Duration::from_mins(10),
        }
    }
}

impl PollOptions {
    /// Gives up after this time.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long to wait before the next question, after all the waits so far; `None` to give up.
    pub(crate) fn next(&self, asked_for: Option<u64>, waited: Duration) -> Option<Duration> {
        let wait = asked_for.map_or(self.least, Duration::from_millis);
        let wait = wait.min(self.most).max(self.least);
        let left = self.timeout.checked_sub(waited)?;
        (!left.is_zero()).then(|| wait.min(left))
    }
}

/// Answer of [`Ai::asr`](crate::Ai::asr): what was said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AsrResult {
    /// What was said.
    pub text: String,
    /// In which language, where the model tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// How long the audio is, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Further fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn waits_have_bounds() {
        let patience = PollOptions::default().timeout(Duration::from_secs(20));
        let next = |asked_for, waited| patience.next(asked_for, Duration::from_secs(waited));
        assert_eq!(next(None, 0), Some(Duration::from_secs(1)));
        assert_eq!(next(Some(0), 0), Some(Duration::from_secs(1)));
        assert_eq!(next(Some(3_000), 0), Some(Duration::from_secs(3)));
        assert_eq!(next(Some(u64::MAX), 0), Some(Duration::from_secs(15)));
        assert_eq!(
            next(Some(3_000), 18),
            Some(Duration::from_secs(2)),
            "no longer than there is time"
        );
        assert_eq!(next(Some(3_000), 20), None);
        assert_eq!(next(None, 21), None);
    }

    #[test]
    fn a_job_is_read_as_it_comes() {
        let job = json!({ "job_id": "j", "status": "baking", "poll_after_ms": 5, "oven": 2 });
        let job: ImageJob = serde_json::from_value(job).unwrap();
        assert_eq!((job.status, job.poll_after_ms), (JobStatus::Unknown, Some(5)));
        assert_eq!(job.extra["oven"], 2);
        let state = json!({ "job_id": "j", "status": "succeeded", "metadata": {},
            "result": { "id": "m", "role": "assistant", "parts": [] } });
        let state: ImageJobState = serde_json::from_value(state).unwrap();
        assert_eq!(state.job.status, JobStatus::Succeeded);
        assert_eq!(state.result.unwrap().id.as_deref(), Some("m"));
    }
}
