//! `fed job`.

use clap::Subcommand;
use serde_json::json;

use crate::failure::Failure;
use crate::fed::{Change, Fed, Page};
use crate::output::{Ask, Column};

pub(crate) const JOB: &[Column] = &[
    Column::new("ID", "job_id"),
    Column::new("KIND", "kind"),
    Column::status("STATUS", "status"),
    Column::time("DUE", "due_at"),
    Column::new("TRIES", "attempts"),
    Column::new("CITY", "city_id"),
    Column::new("USER", "user_id"),
    Column::new("LAST ERROR", "last_error"),
];

/// Durable work: settling calls, making images, handling webhooks.
#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// List the jobs, newest first.
    #[command(after_help = "Example:\n  fed job list --status dead")]
    List {
        /// Only those with this status: queued, running, done, or dead (given up).
        #[arg(long, value_name = "STATUS", value_parser = ["queued", "running", "done", "dead"])]
        status: Option<String>,
        /// Only those of this kind.
        #[arg(long, value_name = "KIND")]
        kind: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// Let a job that was given up, or that waits, run now.
    Retry {
        /// Id of the job.
        #[arg(value_name = "JOB")]
        job_id: String,
    },
    /// Give up a job that waits. What it should have brought about does not come about.
    Cancel {
        /// Id of the job.
        #[arg(value_name = "JOB")]
        job_id: String,
    },
}

impl JobCommand {
    pub(crate) async fn run(self, fed: Fed) -> Result<(), Failure> {
        match self {
            Self::List { status, kind, page } => {
                let query = page.query(json!({ "status": status, "kind": kind }));
                fed.list("jobs/list", query, JOB).await
            }
            Self::Retry { job_id } => {
                fed.change(Change::new("jobs/retry", json!({ "job_id": job_id })), JOB).await
            }
            Self::Cancel { job_id } => {
                let what = format!("Give up {job_id}: what it should have done is not done");
                let ask = Ask { what: &what, typed: None };
                let change = Change::new("jobs/cancel", json!({ "job_id": job_id })).asking(ask);
                fed.change(change, JOB).await
            }
        }
    }
}
