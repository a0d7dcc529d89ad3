//! The end of a job: its result, what it costs and its fact, all in one transaction.

use std::sync::Arc;
use std::time::Duration;

use downcity_core::fact::{self, CallFact};
use downcity_core::{Cx, Error, Result, Runtime};
use downcity_types::{ErrorCode, Microcredits, UiMessage, UiRole};
use http::StatusCode;
use serde_json::{Map, Value};

use super::advance::{Gone, written};
use super::job::StoredResult;
use super::keep::Kept;
use super::order::{Terms, UNTOLD_SECONDS};
use super::store::{self, Ended, MediaJob};
use crate::billing::{Bill, Due, Progress};
use crate::config::Mode;
use crate::convert::answer::AnswerOf;
use crate::failure::Failure;
use crate::metering::{consumed_by, note_usage};
use crate::price::Consumed;
use crate::routes::message_id;
use crate::service::Ai;

/// What is said of a job that took too long.
pub(super) const TIMED_OUT: &str = "upstream timeout";

/// How often the end of a job is tried to be stored at least.
const TRIES: u32 = 6;
/// The wait after the first of them; doubled after each further one.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest wait between two of them.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How many times as long as it was ordered a video may be told to last.
const MOST_TIMES: u64 = 4;

/// What is said of a job whose city was removed.
const CITY_GONE: &str = "The city of the job was removed.";

/// How a job ends.
#[derive(Clone, Debug)]
pub(super) enum Ending {
    Made {
        result: Box<StoredResult>,
        consumed: Consumed,
        /// Whether the provider told the tokens.
        is_told: bool,
    },
    Failed {
        code: ErrorCode,
        words: String,
        facts: Map<String, Value>,
    },
}

impl Ending {
    pub(super) fn failed(failure: Failure) -> Self {
        let error = failure.into_error().for_caller(false);
        Self::Failed { code: error.code(), words: error.message().to_owned(), facts: Map::new() }
    }

    pub(super) fn timed_out(facts: Value) -> Self {
        let facts = facts.as_object().cloned().unwrap_or_default();
        Self::Failed { code: ErrorCode::UpstreamTimeout, words: TIMED_OUT.to_owned(), facts }
    }

    /// The result.
    pub(super) fn made(cx: &Cx, job: &MediaJob, terms: Terms, kept: Kept) -> Self {
        let Kept { parts, files, usage, seconds } = kept;
        let made = parts.len() as u64;
        let paid = made.min(terms.count());
        cx.meter(|metering| match job.mode {
            Mode::Video => metering.video_seconds = Some(told_seconds(seconds, terms, paid)),
            _ => metering.image_count = Some(made),
        });
        let mut is_told = false;
        if let Some(usage) = usage.clone() {
            cx.meter(|metering| {
                let counts = note_usage(metering, usage);
                // Work that was made brought something.
                is_told = counts.is_some_and(|counts| counts.output_tokens > 0);
            });
        }
        let answer = AnswerOf {
            message_id: message_id(cx),
            model: job.model_id.clone(),
            city_id: job.city_id.clone(),
            user_id: job.user_id.clone(),
        };
        let mut metadata = answer.metadata();
        metadata.extend(usage.map(|usage| ("usage".to_owned(), usage)));
        let message = UiMessage {
            id: Some(answer.message_id),
            role: UiRole::Assistant,
            parts,
            metadata: Some(metadata.into()),
        };
        let mut consumed = consumed_by(&cx.metering());
        // More images than were ordered are the provider's gift.
        consumed.images = consumed.images.min(paid);
        Self::Made { result: Box::new(StoredResult { message, files }), consumed, is_told }
    }
}

/// The seconds of video that count: those that the provider tells, else those that were ordered, also
/// where no such order can have become what is told.
fn told_seconds(told: Option<f64>, terms: Terms, made: u64) -> u64 {
    let ordered = terms.seconds.unwrap_or(UNTOLD_SECONDS).saturating_mul(made);
    match told {
        // Saturates: what is told in other units is far beyond.
        Some(told) if told > 0.0 && told.ceil() as u64 <= ordered.saturating_mul(MOST_TIMES) => {
            told.ceil() as u64
        }
        _ => ordered,
    }
}

/// Tries to store what must not be lost while the database is away: an upstream that has done its
/// work would be asked for it again.
#[derive(Debug, Default)]
pub(super) struct Tries(u32);

impl Tries {
    /// Waits for the next try. Who holds a job goes on until it is overdue or the node stops; whoever
    /// loses it is cancelled.
    pub(super) async fn again(
        &mut self,
        ai: &Ai,
        runtime: &Runtime,
        job: &MediaJob,
        is_held: bool,
        error: Error,
    ) -> Result<()> {
        let wait = FIRST_WAIT.saturating_mul(1 << self.0.min(8)).min(LONGEST_WAIT);
        self.0 = self.0.saturating_add(1);
        let stopping = runtime.tasks().stopping();
        let is_stopping = stopping.is_cancelled();
        let may_last = is_held && !is_stopping && !ai.is_overdue(job, runtime);
        if self.0 >= TRIES && !may_last {
            return Err(error);
        }
        tracing::warn!(job_id = job.job_id, %error, "could not store how far a job is");
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stopping.cancelled(), if !is_stopping => {}
        }
        Ok(())
    }
}

impl Ai {
    /// Ends a job, once: whoever comes later changes nothing. What is owed is charged, or the hold
    /// given back, and the fact of the call stored, in the transaction of the end.
    pub(super) async fn end_job(
        self: &Arc<Self>,
        cx: &Cx,
        job: &MediaJob,
        claim: Option<i64>,
        ending: Ending,
    ) -> Result<()> {
        let now = cx.runtime().clock().now();
        let lasted = now.millis().saturating_sub(job.created_at.millis());
        cx.meter(|metering| metering.duration_ms = u64::try_from(lasted).ok());
        let due = due(cx, job, &ending)?;
        let fact = fact(cx, job, due.as_ref(), &ending);
        let mut metadata = job.metadata.clone();
        let metering = written(&cx.metering());
        let ended = match ending {
            Ending::Made { result, .. } => Ended {
                result: Some(serde_json::to_string(&result).map_err(Error::internal)?),
                error: None,
                code: None,
                metadata: Value::Object(metadata).to_string(),
                metering,
                now,
            },
            Ending::Failed { code, words, facts } => {
                metadata.extend(facts);
                let metadata = Value::Object(metadata).to_string();
                Ended {
                    result: None,
                    error: Some(words),
                    code: Some(code),
                    metadata,
                    metering,
                    now,
                }
            }
        };
        let mut tries = Tries::default();
        while let Err(error) =
            self.store_end(cx, job, claim, &ended, due.clone(), fact.clone()).await
        {
            tries.again(self, cx.runtime(), job, claim.is_some(), error).await?;
        }
        // Nobody may be waiting.
        let _ = self.ended_jobs().send(job.job_id.as_str().into());
        Ok(())
    }

    /// Ends a job that nobody can go on with, and gives back what is held for it. There is no call
    /// that a fact could be stored of. `false` where its city is there after all.
    pub(super) async fn end_gone(
        &self,
        runtime: &Runtime,
        job: &MediaJob,
        gone: Gone,
    ) -> Result<bool> {
        let (code, words) = match gone {
            Gone::City => (ErrorCode::CityNotFound, CITY_GONE),
            Gone::Action => (ErrorCode::UpstreamTimeout, TIMED_OUT),
        };
        let ended = Ended {
            result: None,
            error: Some(words.to_owned()),
            code: Some(code),
            metadata: Value::Object(job.metadata.clone()).to_string(),
            metering: job.metering.clone(),
            now: runtime.clock().now(),
        };
        let hold_id = match &job.bill {
            Some(bill) => {
                let bill: Bill = serde_json::from_str(bill).map_err(Error::internal)?;
                Some(bill.end(Progress::Failed, 0, None).hold_id().to_owned())
            }
            None => None,
        };
        let (wallets, job_id) = (self.billing().wallets.clone(), job.job_id.clone());
        let created_at = job.created_at;
        let city_id = job.city_id.clone().filter(|_| gone == Gone::City);
        let write = move |tx: &mut downcity_db::Tx<'_>| {
            if let Some(city_id) = &city_id {
                // This node may not have heard yet of a city that another one made.
                let city = store::city_created_at(tx, city_id)?;
                if city.is_some_and(|city| city <= created_at) {
                    return Ok(false);
                }
            }
            if store::end(tx, &job_id, None, &ended)?
                && let Some(hold_id) = &hold_id
            {
                match wallets.release(tx, hold_id, ended.now) {
                    // It went with the wallet.
                    Err(error) if error.code() == ErrorCode::NotFound => {}
                    released => released?,
                }
            }
            Ok::<_, Error>(true)
        };
        let has_ended = runtime.db().write(write).await?;
        if has_ended {
            // Nobody may be waiting.
            let _ = self.ended_jobs().send(job.job_id.as_str().into());
        }
        Ok(has_ended)
    }

    async fn store_end(
        &self,
        cx: &Cx,
        job: &MediaJob,
        claim: Option<i64>,
        ended: &Ended,
        due: Option<Due>,
        fact: Option<CallFact>,
    ) -> Result<()> {
        let billing = self.billing().clone();
        let (job_id, ended) = (job.job_id.clone(), ended.clone());
        let write = move |tx: &mut downcity_db::Tx<'_>| {
            if !store::end(tx, &job_id, claim, &ended)? {
                return Ok(None);
            }
            let settled = match &due {
                Some(due) if due.amount() > Microcredits::ZERO => {
                    Some(billing.wallets.settle(tx, &due.settlement(ended.now))?)
                }
                Some(due) => {
                    billing.wallets.release(tx, due.hold_id(), ended.now)?;
                    None
                }
                None => None,
            };
            if let Some(fact) = &fact {
                billing.facts.insert(tx, fact)?;
            }
            Ok::<_, Error>(settled)
        };
        let settled = cx.runtime().db().write(write).await?;
        if let Some(settled) = settled.filter(|settled| settled.unpaid > Microcredits::ZERO) {
            tracing::info!(
                charge_id = settled.charge_id,
                unpaid = settled.unpaid.get(),
                "a call cost more than the wallet held"
            );
        }
        Ok(())
    }
}

/// What a job owes; `None` where it is free.
fn due(cx: &Cx, job: &MediaJob, ending: &Ending) -> Result<Option<Due>> {
    let Some(bill) = &job.bill else { return Ok(None) };
    let mut bill: Bill = serde_json::from_str(bill).map_err(Error::internal)?;
    if let Some(provider_id) = &cx.metering().provider_id {
        bill.answered_by(provider_id);
    }
    Ok(Some(match ending {
        Ending::Made { consumed, is_told, .. } => bill.end_made(*consumed, *is_told),
        Ending::Failed { .. } => bill.end(Progress::Failed, 0, None),
    }))
}

/// The fact of the call, of the user who called or pays.
fn fact(cx: &Cx, job: &MediaJob, due: Option<&Due>, ending: &Ending) -> Option<CallFact> {
    let (code, message) = match ending {
        Ending::Made { .. } => (None, None),
        Ending::Failed { code, words, .. } => (Some(*code), Some(words.clone())),
    };
    let status = code.map_or(StatusCode::OK, |code| Error::new(code, "").status());
    let at = cx.runtime().clock().now();
    let ended = fact::Ended { status, code, message, complete: true, streamed: false, at };
    let (city_id, user_id) = (job.city_id.as_deref()?, job.user_id.as_deref()?);
    if due.is_some_and(Due::is_estimate) {
        cx.meter(|metering| {
            metering.metadata.insert("estimated".to_owned(), Value::Bool(true));
        });
    }
    Some(CallFact {
        charge: due.map_or(Microcredits::ZERO, Due::amount),
        hold_id: due.map(|due| due.hold_id().to_owned()),
        charge_id: due.and_then(Due::charge_id).map(str::to_owned),
        ..CallFact::of_user(cx, &ended, city_id, user_id)
    })
}
