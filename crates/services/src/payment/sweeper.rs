//! What happens by itself: checkouts that nobody used end, events are tried again, old bodies go.

use std::sync::Arc;
use std::time::Duration;

use downcity_core::{Result, Runtime};
use downcity_db::Tx;

use super::Payment;
use super::events::{self, Claimed};
use super::record::PaymentStatus;
use super::store;

const EVERY: Duration = Duration::from_mins(1);
/// Rows that one transaction changes.
const CHUNK: i64 = 100;
/// How long the message of an ended checkout may take before it is ended here.
const GRACE: Duration = Duration::from_mins(10);

/// Sweeps until the node stops.
pub(super) async fn sweep_regularly(payment: Arc<Payment>, runtime: Arc<Runtime>) {
    loop {
        tokio::time::sleep(EVERY).await;
        if let Err(error) = payment.sweep(&runtime).await {
            tracing::warn!(?error, "could not look after payments");
        }
    }
}

impl Payment {
    /// Ends overdue checkouts, handles events that are due and forgets old bodies; says how many of all.
    ///
    /// # Errors
    /// Those of the database. An event that cannot be handled is none: it is noted with the event.
    pub async fn sweep(&self, runtime: &Runtime) -> Result<u64> {
        Ok(self.end_overdue(runtime).await?
            + self.handle_due(runtime).await?
            + self.forget_payloads(runtime).await?)
    }

    async fn end_overdue(&self, runtime: &Runtime) -> Result<u64> {
        let now = runtime.clock().now();
        let mut count = 0;
        loop {
            let ended = runtime
                .db()
                .write(move |tx| {
                    let overdue = store::overdue(tx, now.saturating_sub(GRACE), CHUNK)?;
                    for payment_id in &overdue {
                        let Some(mut payment) = store::lock(tx, payment_id)? else { continue };
                        if payment.status.is_open() {
                            payment.status = PaymentStatus::Expired;
                            store::save(tx, &payment, now)?;
                        }
                    }
                    Ok::<_, downcity_core::Error>(overdue.len() as u64)
                })
                .await?;
            if ended == 0 {
                return Ok(count);
            }
            count += ended;
        }
    }

    async fn handle_due(&self, runtime: &Runtime) -> Result<u64> {
        let now = runtime.clock().now();
        let due = runtime.db().scan(move |tx| events::due(tx, now, CHUNK)).await?;
        let mut count = 0;
        for event_id in due {
            let claim = move |tx: &mut Tx<'_>| events::claim(tx, &event_id, false, now);
            if let Claimed::Yes(claim) = runtime.db().write(claim).await? {
                count += 1;
                // Its failure is noted and logged; the others have nothing to do with it.
                let _ = self.handle(runtime, *claim).await;
            }
        }
        Ok(count)
    }

    async fn forget_payloads(&self, runtime: &Runtime) -> Result<u64> {
        let before = runtime.clock().now().saturating_sub(self.config.keep_payloads.get());
        let mut count = 0;
        loop {
            let forget = move |tx: &mut Tx<'_>| events::forget_payloads(tx, before, CHUNK);
            match runtime.db().write(forget).await? {
                0 => return Ok(count),
                forgotten => count += forgotten,
            }
        }
    }
}
