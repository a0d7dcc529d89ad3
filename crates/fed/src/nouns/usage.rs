//! `fed usage`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::fed::{Fed, Page, Times};
use crate::output::Column;

pub(crate) const SUM: &[Column] = &[
    Column::new("DAY", "day"),
    Column::new("CITY", "city_id"),
    Column::new("USER", "user_id"),
    Column::new("SERVICE", "service"),
    Column::new("ACTION", "action"),
    Column::new("MODEL", "model_id"),
    Column::status("STATUS", "status"),
    Column::new("CALLS", "count"),
    Column::new("INPUT", "input_tokens"),
    Column::new("CACHED", "cached_tokens"),
    Column::new("OUTPUT", "output_tokens"),
    Column::credits("CHARGED", "charge_microcredits"),
    Column::new("MS", "avg_duration_ms"),
];

pub(crate) const EVENT: &[Column] = &[
    Column::time("TIME", "created_at"),
    Column::new("REQUEST", "request_id"),
    Column::new("CITY", "city_id"),
    Column::new("USER", "user_id"),
    Column::new("ACTION", "action"),
    Column::new("MODEL", "model_id"),
    Column::status("STATUS", "status"),
    Column::new("MS", "duration_ms"),
    Column::credits("CHARGED", "charge_microcredits"),
];

pub(crate) const RECEIPT: &[Column] = &[
    Column::new("REQUEST", "request_id"),
    Column::time("BEGAN", "started_at"),
    Column::time("ENDED", "ended_at"),
    Column::new("CITY", "city_id"),
    Column::new("USER", "user_id"),
    Column::new("SERVICE", "service"),
    Column::new("ACTION", "action"),
    Column::status("STATUS", "status"),
    Column::new("HTTP", "http_status"),
    Column::new("CODE", "code"),
    Column::new("ERROR", "error"),
    Column::new("MODEL", "model_id"),
    Column::new("PROVIDER", "provider_id"),
    Column::new("UPSTREAM MODEL", "upstream_model"),
    Column::new("STREAMED", "streamed"),
    Column::new("INPUT TOKENS", "input_tokens"),
    Column::new("CACHED TOKENS", "cached_tokens"),
    Column::new("OUTPUT TOKENS", "output_tokens"),
    Column::new("IMAGES", "image_count"),
    Column::new("AUDIO SECONDS", "audio_seconds"),
    Column::new("VIDEO SECONDS", "video_seconds"),
    Column::new("FIRST BYTE MS", "first_byte_ms"),
    Column::new("DURATION MS", "duration_ms"),
    Column::credits("CHARGED", "charge_microcredits"),
    Column::new("HOLD", "hold_id"),
    Column::new("CHARGE", "charge_id"),
];

const ATTEMPT: &[Column] = &[
    Column::new("PROVIDER", "provider"),
    Column::new("KEY", "key"),
    Column::new("MODEL", "upstream_model"),
    Column::status("OUTCOME", "outcome"),
    Column::new("HTTP", "status"),
    Column::new("MS", "duration_ms"),
];

/// Which calls.
#[derive(Debug, Default, Args)]
pub(crate) struct Filter {
    /// Only those of this city.
    #[arg(long, value_name = "CITY")]
    city: Option<String>,
    /// Only those of this user.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only those of this service, such as ai.
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// Only those with this status: success, error or canceled.
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Only those of this model.
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    #[command(flatten)]
    times: Times,
}

impl Filter {
    fn query(self) -> Value {
        json!({
            "city_id": self.city, "user_id": self.user, "service": self.service,
            "status": self.status, "model_id": self.model, "from": self.times.from,
            "to": self.times.to,
        })
    }
}

/// What was called, and what it cost.
#[derive(Debug, Subcommand)]
pub(crate) enum UsageCommand {
    /// Add up the calls.
    #[command(
        after_help = "Examples:\n  fed usage summary --by day --from 2026-03-01\n  fed usage summary --by city_id,model_id --service ai"
    )]
    Summary {
        /// By what: day, city_id, user_id, service, action, model_id, status.
        #[arg(long, value_name = "FIELDS")]
        by: Option<String>,
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        page: Page,
    },
    /// List the calls, newest first.
    Events {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        page: Page,
    },
    /// Show the receipt of one call: what it did, whom it asked, and what it cost.
    #[command(after_help = "Example:\n  fed usage explain req_0198…")]
    Explain {
        /// The request id, as every answer has it in x-request-id.
        request_id: String,
    },
}

impl UsageCommand {
    pub(crate) async fn run(self, fed: Fed) -> Result<(), Failure> {
        match self {
            Self::Summary { by, filter, page } => {
                let mut query = page.query(filter.query());
                query["group_by"] = json!(by);
                fed.list("usage/summary", query, SUM).await
            }
            Self::Events { filter, page } => {
                fed.list("usage/events", page.query(filter.query()), EVENT).await
            }
            Self::Explain { request_id } => {
                let path = format!("usage/requests/{request_id}");
                let receipt = fed.remote.get(&path, json!({})).await?;
                fed.output.record(&receipt, RECEIPT)?;
                let attempts = receipt.get("attempts").and_then(Value::as_array);
                if let (false, Some(attempts)) = (fed.output.json, attempts)
                    && !attempts.is_empty()
                {
                    crate::output::print("\n")?;
                    fed.output.list(&receipt["attempts"], ATTEMPT)?;
                }
                Ok(())
            }
        }
    }
}
