//! The end of a bill: a job that charges it, stored as soon as its call has ended.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use downcity_core::fact::{CallFact, Ended, Recorder};
use downcity_core::jobs::{self, Job, JobCx, JobEnd, JobPolicy, NewJob};
use downcity_core::{Cx, Error, Result, Runtime, Settlement};
use downcity_types::{ErrorCode, Microcredits};
use serde::{Deserialize, Serialize};

use super::{Billing, Due};

/// The wait after the first failure to store the end of a call; doubled after each further one.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Charges for a call and stores its fact, all in one transaction.
pub(crate) struct Settle(pub(crate) Billing);

/// A call that has ended and is to be charged.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ending {
    settlement: Settlement,
    fact: CallFact,
}

#[async_trait]
impl Job for Settle {
    const KIND: &'static str = "ai.settle";
    type Payload = Ending;

    /// Money that is owed is asked for over days, not minutes.
    fn policy(&self) -> JobPolicy {
        JobPolicy { max_attempts: 500, cancelable: false, ..JobPolicy::default() }
    }

    async fn run(&self, cx: JobCx, ending: Ending) -> Result<JobEnd> {
        let billing = self.0.clone();
        let (lease, now) = (cx.lease().clone(), cx.clock().now());
        let settled = cx.db().write(move |tx| {
            let settled = billing.wallets.settle(tx, &ending.settlement)?;
            billing.facts.insert(tx, &ending.fact)?;
            if jobs::finish(tx, &lease, now)? {
                Ok(settled)
            } else {
                Err(Error::internal("another worker has taken the job over"))
            }
        });
        let settled = settled.await?;
        if settled.unpaid > Microcredits::ZERO {
            tracing::info!(
                charge_id = settled.charge_id,
                unpaid = settled.unpaid.get(),
                "a call cost more than the wallet held"
            );
        }
        Ok(JobEnd::Done)
    }
}

/// Ends the bills of calls that have ended.
pub(crate) struct Cashier(pub(crate) Billing);

impl Recorder for Cashier {
    fn record(&self, call: &Cx, ended: &Ended) {
        let Some(due) = call.locals().get::<Due>() else { return };
        // Without a runtime the process is about to end; the hold ends at its deadline.
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let payer = due.payer();
        let fact = CallFact {
            charge: due.amount(),
            hold_id: Some(due.hold_id().to_owned()),
            charge_id: due.charge_id().map(str::to_owned),
            ..CallFact::of_user(call, ended, &payer.city_id, &payer.user_id)
        };
        let runtime = call.runtime().clone();
        let work = store(runtime.clone(), self.0.clone(), due, fact);
        runtime.tasks().spawn(work);
    }
}

/// Stores the end of a call: again and again while the database is away, until the node stops.
async fn store(runtime: Arc<Runtime>, billing: Billing, due: Due, fact: CallFact) {
    let stopping = runtime.tasks().stopping();
    let mut wait = FIRST_WAIT;
    loop {
        let is_last = stopping.is_cancelled();
        let stored = if due.amount() > Microcredits::ZERO {
            charge(&runtime, &due, fact.clone()).await
        } else {
            give_back(&runtime, &billing, &due, fact.clone()).await
        };
        let Err(error) = stored else { return };
        if is_last {
            tracing::error!(
                hold_id = due.hold_id(),
                amount = due.amount().get(),
                ?error,
                "the end of a call could not be stored; its hold ends at its deadline, uncharged"
            );
            return;
        }
        tracing::warn!(hold_id = due.hold_id(), %error, "could not store the end of a call");
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stopping.cancelled() => {}
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Enqueues the charge. A key keeps it from being stored twice.
async fn charge(runtime: &Arc<Runtime>, due: &Due, fact: CallFact) -> Result<()> {
    let settlement = due.settlement(runtime.clock().now());
    let payer = due.payer();
    let job = NewJob::new::<Settle>(runtime, &Ending { settlement, fact })?
        .key(due.hold_id())
        .owner(Some(payer.city_id.clone()), Some(payer.user_id.clone()));
    runtime.db().write(move |tx| jobs::enqueue(tx, &job)).await?;
    runtime.wake_workers();
    Ok(())
}

/// Nothing is owed: the hold goes back to the wallet. The fact is stored all the same.
async fn give_back(
    runtime: &Arc<Runtime>,
    billing: &Billing,
    due: &Due,
    fact: CallFact,
) -> Result<()> {
    let (billing, hold_id) = (billing.clone(), due.hold_id().to_owned());
    let now = runtime.clock().now();
    let work = move |tx: &mut downcity_db::Tx<'_>| {
        match billing.wallets.release(tx, &hold_id, now) {
            // Nobody knows of it: its write came to nothing.
            Err(error) if error.code() == ErrorCode::NotFound => {}
            released => released?,
        }
        billing.facts.insert(tx, &fact)
    };
    runtime.db().write(work).await
}
