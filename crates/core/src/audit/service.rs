//! `/v1/audit/*`.

use std::sync::Arc;
use std::time::Duration;

use downcity_db::Tx;
use downcity_types::{AuditRecord, Cursor, ErrorCode, Items, LimitParam, Page, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::store::{self, Filter, Stored};
use super::verify::{Anchor, AuditReport, verify};
use crate::{ADMIN, Cx, Error, Result, Service, ServiceDef};

/// Rows of a page when none is asked for, and the most of one.
const PAGE: u32 = 100;
const PAGE_MAX: u32 = 1_000;

/// The longest check.
const CHECK_TIME: Duration = Duration::from_secs(3_600);

/// The service `audit`.
#[derive(Default)]
pub struct AuditService {
    /// Held while a check runs: one at a time.
    checking: Mutex<()>,
}

impl Service for AuditService {
    fn id(&self) -> &'static str {
        "audit"
    }

    fn name(&self) -> &'static str {
        "Audit trail"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        service.instruction(include_str!("instruction.md"));
        service
            .get("list", ADMIN, &self, Self::list)
            .summary("List what the trusted side has changed, newest first.")
            .description(
                "Without limit 100 rows are listed, at most 1,000; next_cursor is there when more \
                 follow. Filters that are given together all apply. Secrets appear as fingerprints \
                 only.",
            );
        service
            .post("verify", ADMIN, &self, Self::verify)
            .summary("Check that no row of the audit trail was changed, removed or put in later.")
            .description(
                "Reads the whole trail, some rows at a time, while others go on writing, and names the \
                 first row that is wrong. expect names a row and the hash that it had earlier: a trail \
                 that was written anew from its beginning shows only there. A node runs one check at a \
                 time; another is refused with 409.",
            )
            .timeout(CHECK_TIME)
            .cancel_on_disconnect();
    }
}

#[derive(Deserialize, JsonSchema)]
struct VerifyIn {
    /// A row that was seen earlier; the trail must still have it.
    #[serde(default)]
    expect: Option<ExpectIn>,
}

#[derive(Deserialize, JsonSchema)]
struct ExpectIn {
    /// The number of the row.
    #[schemars(range(min = 1))]
    seq: i64,
    /// Its hash: 64 hexadecimal digits.
    #[schemars(regex(pattern = "^[0-9A-Fa-f]{64}$"))]
    hash: String,
}

#[derive(Deserialize, JsonSchema)]
struct ListIn {
    /// `admin`, `service`, `system`, or the id of a service key.
    #[serde(default)]
    actor: Option<String>,
    /// `service/action`, or `service/*`.
    #[serde(default)]
    action: Option<String>,
    /// A kind of record, such as `city`, or one record, such as `city/shop`.
    #[serde(default)]
    target: Option<String>,
    /// The city that the record belongs to. A service key for certain cities has to name one.
    #[serde(default)]
    city_id: Option<String>,
    /// The request that made the change.
    #[serde(default)]
    request_id: Option<String>,
    /// Only rows of this time and later.
    #[serde(default)]
    from: Option<Timestamp>,
    /// Only rows before this time.
    #[serde(default)]
    to: Option<Timestamp>,
    /// How many rows to return; a bad value means 100, one too high 1,000.
    #[serde(default)]
    limit: LimitParam,
    /// The `next_cursor` of the page before.
    #[serde(default)]
    cursor: Option<String>,
}

impl AuditService {
    async fn list(self: Arc<Self>, cx: Cx, input: ListIn) -> Result<Items<AuditRecord>> {
        let page = Page { limit: input.limit, cursor: input.cursor.clone() };
        let limit = page.limit(PAGE, PAGE_MAX);
        let filter = filter(input, &page)?;
        // One more than the page has, to know whether others follow.
        let list = move |tx: &mut Tx<'_>| store::list(tx, &filter, limit + 1);
        let mut rows = cx.runtime().db().scan(list).await?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let last = rows.last().filter(|_| more);
        let next_cursor = last.map(|row| Cursor::new([row.link.seq.into()]).encode());
        Ok(Items { items: rows.into_iter().map(record).collect(), next_cursor })
    }
}

impl AuditService {
    async fn verify(self: Arc<Self>, cx: Cx, input: VerifyIn) -> Result<AuditReport> {
        let anchor = input.expect.map(|noted| {
            Anchor::noted(noted.seq, &noted.hash).ok_or_else(|| {
                let what =
                    "must be the number of a row, from 1 on, and its hash of 64 hexadecimal digits";
                Error::invalid("expect", what)
            })
        });
        let anchor = anchor.transpose()?;
        let _turn = self.checking.try_lock().map_err(|_| {
            let message = "The audit trail is being checked on this node; wait for that to end.";
            Error::new(ErrorCode::Conflict, message)
        })?;
        verify(cx.runtime().db(), anchor.as_ref(), |_, _| ()).await.map(AuditReport::from)
    }
}

/// What the rows of a request have in common. Blank filters count as none.
fn filter(input: ListIn, page: &Page) -> Result<Filter> {
    let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let below = match page.cursor() {
        Ok(None) => Ok(i64::MAX),
        Ok(Some(cursor)) => cursor.int(0),
        Err(bad) => Err(bad),
    };
    let below = below
        .map_err(|_| Error::invalid("cursor", "is not the next_cursor of a page; leave it out"))?;
    let (service, action) = match given(input.action) {
        Some(text) => match text.strip_suffix('*') {
            Some(service) if service.ends_with('/') => (Some(service.to_owned()), None),
            _ => (None, Some(text)),
        },
        None => (None, None),
    };
    let (target_kind, target_id) = match given(input.target) {
        Some(text) => match text.split_once('/') {
            Some((kind, id)) => (Some(kind.to_owned()), Some(id.to_owned())),
            None => (Some(text), None),
        },
        None => (None, None),
    };
    Ok(Filter {
        actor: given(input.actor),
        action,
        service,
        target_kind,
        target_id,
        city_id: given(input.city_id),
        request_id: given(input.request_id),
        from: input.from.map_or(i64::MIN, Timestamp::millis),
        to: input.to.map_or(i64::MAX, Timestamp::millis),
        below,
    })
}

fn record(Stored { link, hash }: Stored) -> AuditRecord {
    AuditRecord {
        seq: link.seq,
        created_at: Timestamp::from_millis(link.created_at),
        actor: link.actor,
        key_id: link.key_id,
        key_name: link.key_name,
        action: link.action,
        target_kind: link.target_kind,
        target_id: link.target_id,
        city_id: link.city_id,
        before: link.before.map(json),
        after: link.after.map(json),
        request_id: link.request_id,
        client_address: link.client_address,
        prev_hash: link.prev_hash,
        hash,
    }
}

/// The value of a text that was stored as JSON; one that somebody has broken is shown as it is.
fn json(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}
