//! From an order to a job: what is stored before any upstream is asked.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use downcity_core::audit::Target;
use downcity_core::fact::OwnFact;
use downcity_core::idempotency::{self, IdempotentRequest};
use downcity_core::jobs::{self, Job, JobCx, JobEnd, JobPolicy, NewJob};
use downcity_core::{Cx, Error, Result};
use downcity_types::{ErrorCode, Microcredits, UiMessage, UiPart};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::advance::Next;
use super::input::MediaInput;
use super::order::Order;
use super::store::{self, MediaJob, MediaStatus, NewMediaJob};
use crate::billing::Bill;
use crate::catalog::Catalog;
use crate::config::Mode;
use crate::heavy::heavy;
use crate::service::Ai;
use crate::storage::Stored;

/// When to ask for the result of a job that has just begun, in milliseconds.
const FIRST_LOOK_MS: i64 = 1_000;

/// A job as its owner sees it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MediaJobView {
    /// Id to ask for the result by.
    pub job_id: String,
    /// How far it is.
    pub status: MediaStatus,
    /// A message with the files as parts; only of a job that succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<UiMessage>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The stable code of the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
    /// A word for the person: of a failed job, why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Milliseconds after which asking again makes sense; only of a job that goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_after_ms: Option<i64>,
    /// Further facts.
    #[serde(default)]
    pub metadata: Map<String, Value>,
}

/// Asks for a job.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct JobIn {
    /// Id of the job.
    pub job_id: String,
    /// City of the user; may be left out. For the trusted side: the city of the job.
    #[serde(default)]
    pub city_id: Option<String>,
}

/// The message of a result as it is stored: links to stored files are made when somebody asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StoredResult {
    pub(crate) message: UiMessage,
    /// Of each part, the file that it shows, where we keep it.
    pub(crate) files: Vec<Option<Stored>>,
}

impl StoredResult {
    /// The message with links for the client of this call.
    pub(crate) fn linked(mut self, cx: &Cx, catalog: &Catalog) -> Result<UiMessage> {
        for (part, stored) in self.message.parts.iter_mut().zip(&self.files) {
            if let (UiPart::File(file), Some(stored)) = (part, stored) {
                file.url = catalog.storage.url(cx, stored)?;
            }
        }
        Ok(self.message)
    }
}

impl MediaJob {
    /// The job as the client of this call sees it.
    ///
    /// # Errors
    /// When a stored file cannot be linked to.
    pub(crate) fn into_view(self, cx: &Cx, catalog: &Catalog) -> Result<MediaJobView> {
        let result = self.result.map(|result| result.linked(cx, catalog)).transpose()?;
        Ok(MediaJobView {
            job_id: self.job_id,
            status: self.status,
            result,
            message: self.error.clone(),
            error: self.error,
            code: self.code,
            poll_after_ms: self.poll_after_ms.filter(|_| !self.status.is_final()),
            metadata: self.metadata,
        })
    }
}

/// Works on a job until it has ended: on any node, again after a crash.
pub(crate) struct Produce(pub(crate) Arc<Ai>);

#[async_trait]
impl Job for Produce {
    const KIND: &'static str = "ai.media";
    type Payload = String;

    /// What goes wrong here is our own: a job that cannot be looked at must not be given up.
    fn policy(&self) -> JobPolicy {
        JobPolicy { max_attempts: 500, cancelable: false, ..JobPolicy::default() }
    }

    async fn run(&self, cx: JobCx, job_id: String) -> Result<JobEnd> {
        Ok(match self.0.advance(&cx, &job_id).await? {
            Next::Ended => JobEnd::Done,
            Next::Later(wait) => JobEnd::Again(wait),
        })
    }
}

/// What is stored in one transaction.
#[derive(Clone)]
struct Opening {
    row: NewMediaJob,
    hold: Option<downcity_core::NewHold>,
    work: NewJob,
    request: Option<IdempotentRequest>,
}

impl Ai {
    /// Stores an order as a job, holds what it may cost, and has it worked on; `extra` are further
    /// fields of the API of OpenAI. A repeated request gives the job of the first one.
    ///
    /// # Errors
    /// 422 for what the model cannot take, 402 when the caller cannot pay.
    pub(crate) async fn open_job(
        self: &Arc<Self>,
        cx: &Cx,
        mode: Mode,
        ordered: MediaInput,
        extra: Map<String, Value>,
    ) -> Result<MediaJobView> {
        let runtime = cx.runtime();
        let request = IdempotentRequest::of(cx)?;
        if let Some(request) = request.clone() {
            // Its job is there whatever became of the model and the wallet since.
            let known = runtime.db().read(move |tx| idempotency::find(tx, &request)).await?;
            if let Some(view) = known {
                return Ok(view);
            }
        }
        let catalog = self.catalog();
        let model = catalog.resolve(ordered.model.as_deref(), mode, cx)?;
        let job_id = runtime.ids().sortable("job_");
        let (id, asked, settings) = (job_id.clone(), model.clone(), catalog.clone());
        let written = heavy(ordered.size(), move || {
            let order = ordered.into_order(mode, &id, &settings.settings)?;
            let order = Order { extra, ..order };
            let input = serde_json::to_string(&order).map_err(Error::internal)?;
            Ok::<_, Error>((order.outgoing(&asked)?, input))
        });
        let (outgoing, input) = written.await??;
        let bill = Bill::of(cx, mode, &outgoing, catalog.settings.bill_admin)?;
        let now = runtime.clock().now();
        let lasts = catalog.settings.max_pending + catalog.settings.limits.longest();
        let (city_id, user_id) = owner(cx, bill.as_ref());
        let view = MediaJobView {
            job_id: job_id.clone(),
            status: MediaStatus::Queued,
            result: None,
            error: None,
            code: None,
            message: None,
            poll_after_ms: Some(FIRST_LOOK_MS),
            metadata: Map::new(),
        };
        let json = |value: Result<String, serde_json::Error>| value.map_err(Error::internal);
        let row = NewMediaJob {
            job_id: job_id.clone(),
            mode,
            model_id: model.id.clone(),
            is_by_user: cx.identity().user().is_some(),
            action_id: cx.action().id().to_owned(),
            request_id: cx.request_id().to_owned(),
            input,
            bill: bill.as_ref().map(|bill| json(serde_json::to_string(bill))).transpose()?,
            poll_after_ms: FIRST_LOOK_MS,
            now,
            city_id: city_id.clone(),
            user_id: user_id.clone(),
        };
        let work = NewJob::new::<Produce>(runtime, &job_id)?.owner(city_id, user_id);
        let hold = bill.map(|bill| bill.reservation(now, lasts));
        let stored = self.store_job(cx, Opening { row, hold, work, request }, view).await?;
        runtime.wake_workers();
        Ok(stored)
    }

    /// One transaction, which a client that leaves does not stop. The fact of the call is then the
    /// job's: it is stored with its end.
    async fn store_job(
        self: &Arc<Self>,
        cx: &Cx,
        opening: Opening,
        view: MediaJobView,
    ) -> Result<MediaJobView> {
        let wallets = self.billing().wallets.clone();
        let new_id = view.job_id.clone();
        let write = cx.write(move |tx, trail| {
            let Opening { row, hold, work, request } = &opening;
            idempotency::once(tx, trail, request.as_ref(), |tx, trail| {
                match hold {
                    Some(hold) => Bill::reserve(&wallets, hold, tx, trail)?,
                    None => trail.authorise_amount(tx, Microcredits::ZERO)?,
                }
                let target = Target::new("ai_job", &row.job_id);
                let target = match &row.city_id {
                    Some(city_id) => target.in_city(city_id),
                    None => target,
                };
                trail.record(target, (), json!({"mode": row.mode, "model_id": row.model_id}));
                store::insert(tx, row)?;
                jobs::enqueue(tx, work)?;
                Ok(view.clone())
            })
        });
        let (open, own) = (cx.keep_open(), cx.clone());
        let stored = cx.runtime().tasks().spawn(async move {
            let stored = write.await;
            if stored.as_ref().is_ok_and(|stored: &MediaJobView| stored.job_id == new_id) {
                own.locals().put(OwnFact);
            }
            drop(open);
            stored
        });
        stored.await.unwrap_or_else(|stopped| Err(Error::internal(stopped)))
    }

    /// A job of this caller. One that took too long ends here, if nobody noticed before.
    ///
    /// # Errors
    /// 422 for an empty id, 404 where there is none, or it is somebody else's.
    pub(crate) async fn job_of(
        self: &Arc<Self>,
        cx: &Cx,
        mode: Mode,
        input: &JobIn,
    ) -> Result<MediaJob> {
        if input.job_id.trim().is_empty() {
            let message = "is empty; send the job_id that the order was answered with";
            return Err(Error::new(ErrorCode::Unprocessable, "").with_field("job_id", message));
        }
        let find = async || {
            let job_id = input.job_id.clone();
            let job = cx.runtime().db().read(move |tx| store::find(tx, &job_id)).await?;
            let job = job.filter(|job| job.mode == mode && is_owned(job, cx, input));
            job.ok_or_else(|| Error::new(ErrorCode::NotFound, "There is no such job."))
        };
        let job = find().await?;
        if job.status.is_final() {
            return Ok(job);
        }
        if self.end_if_gone(cx.runtime(), &job).await?.is_some() {
            return find().await;
        }
        if !self.is_overdue(&job, cx.runtime()) {
            return Ok(job);
        }
        self.end_overdue(cx.runtime(), &job).await?;
        find().await
    }
}

/// Whose job it is: the user who calls, else the one who pays, else nobody in the city that is named.
fn owner(cx: &Cx, bill: Option<&Bill>) -> (Option<String>, Option<String>) {
    if let Some(user) = cx.identity().user() {
        return (Some(user.city.city_id.clone()), Some(user.user_id.to_string()));
    }
    if let Some(payer) = bill.map(Bill::payer) {
        return (Some(payer.city_id.clone()), Some(payer.user_id.clone()));
    }
    let named = cx.input().get("city_id").and_then(Value::as_str);
    let city = named.filter(|id| cx.runtime().snapshot().city(id).is_some());
    (city.map(str::to_owned), None)
}

fn is_owned(job: &MediaJob, cx: &Cx, input: &JobIn) -> bool {
    match cx.identity().user() {
        Some(user) => {
            job.city_id.as_deref() == Some(&user.city.city_id)
                && job.user_id.as_deref() == Some(&*user.user_id)
                && job.created_at >= user.city.created_at
        }
        // A key of certain cities names one of them.
        None => input.city_id.as_ref().is_none_or(|city_id| {
            let city = cx.runtime().snapshot().city(city_id).cloned();
            // A city that was made again under its old id has none of the old jobs.
            job.city_id.as_ref() == Some(city_id)
                && city.is_none_or(|city| job.created_at >= city.created_at)
        }),
    }
}

/// The wait of somebody who waits for the end of a job on this node grows from the first to the
/// second: an end that another node makes is found by a look.
pub(super) const LOOKS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));
