//! The service `usage`: its state and its actions.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use downcity_core::fact::{CallFact, FactStore};
use downcity_core::{
    ADMIN, Cx, Error, NoInput, Result, Runtime, Service, ServiceDef, USER, USER_OR_ADMIN,
};
use downcity_db::{Tx, migrations};
use downcity_types::{Cursor, ErrorCode, Items, Page, Timestamp};

use super::config::UsageConfig;
use super::events::{self, Between, Event, Filter, Numbers, first_id};
use super::mine;
use super::queue::Queue;
use super::records::{
    EventsIn, MeIn, Mine, ReceiptIn, RecordingStatus, SummaryIn, SummaryItem, UsageEvent,
};
use super::summary::{self, GroupBy};
use super::sums::{self, State};
use super::window::Window;

/// Facts of a page when no limit is given, and the most of one.
const PAGE: u32 = 100;
const PAGE_MAX: u32 = 1_000;

/// Groups of a summary when no limit is given, and the most of one.
const GROUPS: u32 = 1_000;
const GROUPS_MAX: u32 = 10_000;

/// The distance between two sweeps.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// The service `usage`: one fact per call, receipts and sums.
pub struct Usage {
    config: UsageConfig,
    queue: Arc<Queue>,
    numbers: Arc<Numbers>,
    node: OnceLock<Weak<Runtime>>,
}

impl Usage {
    /// The service with this configuration.
    pub fn new(config: UsageConfig) -> Arc<Self> {
        let numbers = Arc::new(Numbers::starting_at(0));
        let queue = Arc::new(Queue::new(config.record, config.queue, numbers.clone()));
        Arc::new(Self { config, queue, numbers, node: OnceLock::new() })
    }

    /// Adds older facts to the daily sums and forgets those that are older than the configuration
    /// says; tells how many were forgotten. Nodes do so by themselves every ten seconds.
    ///
    /// # Errors
    /// Those of the database. What was done so far stays.
    pub async fn sweep(&self, runtime: &Runtime) -> Result<u64> {
        sums::sweep(runtime, self.config.retention_days).await
    }
}

impl FactStore for Usage {
    fn insert(&self, tx: &mut Tx<'_>, fact: &CallFact) -> Result<()> {
        let node = self.node.get().and_then(Weak::upgrade);
        let node = node.ok_or_else(|| Error::internal("the usage service is not started"))?;
        events::insert(tx, fact, &self.numbers, node.clock().now())
    }
}

#[async_trait]
impl Service for Usage {
    fn id(&self) -> &'static str {
        "usage"
    }

    fn name(&self) -> &'static str {
        "Usage"
    }

    fn define(self: Arc<Self>, s: &mut ServiceDef) {
        s.migrations(migrations!(
            "usage",
            [(
                1,
                "usage",
                {
                    both: "migrations/0001_usage.sql",
                    sqlite: "migrations/0001_usage_sqlite.sql",
                    postgres: "migrations/0001_usage_postgres.sql",
                }
            )]
        ));
        s.instruction(include_str!("instruction.md"));
        s.recorder(self.queue.clone());
        s.get("events", ADMIN, &self, Self::events)
            .summary("List the recorded calls, newest first.")
            .description(
                "Without limit 100 calls are listed, at most 1,000; next_cursor is there when more \
                 follow.",
            );
        s.get("summary", ADMIN, &self, Self::summary)
            .summary("Sum up the recorded calls, by city, service and status or as asked.")
            .description(
                "Times are rounded to whole days (UTC) where single calls are kept no longer.",
            );
        s.get("me", USER, &self, Self::me).summary("Read what the caller used in this city.");
        s.get("requests/{request_id}", USER_OR_ADMIN, &self, Self::receipt)
            .summary("Read the receipt of one call: what it did, used and cost.")
            .description("Users read the receipts of their own calls; others are not found.");
        s.get("status", ADMIN, &self, Self::status)
            .summary("Read how recording goes on this node: facts that wait or were lost.");
    }

    async fn start(&self, runtime: &Arc<Runtime>) -> Result<()> {
        let mut first = [0; 4];
        runtime.random().fill(&mut first);
        self.numbers.start_at(u32::from_le_bytes(first));
        let _ = self.node.set(Arc::downgrade(runtime));
        let (tasks, node) = (runtime.tasks(), Arc::downgrade(runtime));
        tasks.spawn_until_stopped(self.queue.clone().write_regularly(node.clone()));
        tasks.spawn_until_stopped(sweep_regularly(node, self.config.retention_days));
        Ok(())
    }

    async fn stop(&self, runtime: &Arc<Runtime>) {
        if let Err(error) = self.queue.flush(runtime).await {
            let lost = self.queue.waiting();
            tracing::error!(%error, lost, "facts of calls are lost with the node");
        }
    }
}

async fn sweep_regularly(node: Weak<Runtime>, retention_days: Option<u32>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let Some(runtime) = node.upgrade() else { return };
        if let Err(error) = sums::sweep(&runtime, retention_days).await {
            tracing::warn!(%error, "could not sum up the recorded calls");
        }
    }
}

impl Usage {
    async fn events(self: Arc<Self>, cx: Cx, input: EventsIn) -> Result<Items<UsageEvent>> {
        let page = Page { limit: input.limit, cursor: input.cursor };
        let filter = Filter {
            city_id: given(input.city_id),
            user_id: given(input.user_id),
            service: given(input.service),
            action: given(input.action),
            model_id: given(input.model_id),
            status: status(input.status)?,
        };
        let asked = Asked::new(&page, input.from, input.to)?;
        self.flushed(&cx).await;
        let list = move |tx: &mut Tx<'_>| {
            let state = sums::state(tx)?;
            asked.list(tx, &filter, state)
        };
        let found = cx.runtime().db().scan(list).await?;
        Ok(asked.page(found, true))
    }

    async fn summary(self: Arc<Self>, cx: Cx, input: SummaryIn) -> Result<Items<SummaryItem>> {
        let page = Page { limit: input.limit, cursor: input.cursor };
        let limit = page.limit(GROUPS, GROUPS_MAX);
        let offset = number(&page)?.unwrap_or(0);
        let by = group_by(input.group_by.as_deref())?;
        let filter = Filter {
            city_id: given(input.city_id),
            user_id: given(input.user_id),
            service: given(input.service),
            action: given(input.action),
            model_id: given(input.model_id),
            status: status(input.status)?,
        };
        self.flushed(&cx).await;
        let sum = move |tx: &mut Tx<'_>| {
            let window = Window::new(input.from, input.to, sums::state(tx)?);
            summary::groups(tx, by, &filter, &window, limit + 1, offset)
        };
        let mut groups = cx.runtime().db().scan(sum).await?;
        let more = groups.len() > limit as usize;
        groups.truncate(limit as usize);
        let next_cursor =
            more.then(|| Cursor::new([offset.saturating_add(i64::from(limit)).into()]).encode());
        let items = groups.into_iter().map(|group| SummaryItem::new(group, by)).collect();
        Ok(Items { items, next_cursor })
    }

    async fn me(self: Arc<Self>, cx: Cx, input: MeIn) -> Result<Mine> {
        let user = cx.user()?;
        let page = Page { limit: input.limit, cursor: input.cursor };
        let filter = Filter {
            city_id: Some(user.city.city_id.clone()),
            user_id: Some(user.user_id.to_string()),
            service: given(input.service),
            action: given(input.action),
            model_id: given(input.model_id),
            status: status(input.status)?,
        };
        let asked = Asked::new(&page, input.from, input.to)?;
        self.flushed(&cx).await;
        let read = move |tx: &mut Tx<'_>| {
            let state = sums::state(tx)?;
            let window = Window::new(input.from, input.to, state);
            let days = mine::days(tx, &filter, &window)?;
            Ok::<_, Error>((asked.list(tx, &filter, state)?, days))
        };
        let (found, days) = cx.runtime().db().scan(read).await?;
        let Items { items, next_cursor } = asked.page(found, false);
        Ok(Mine { items, next_cursor, summary: mine::summary(days) })
    }

    async fn receipt(self: Arc<Self>, cx: Cx, input: ReceiptIn) -> Result<UsageEvent> {
        self.flushed(&cx).await;
        let request_id = input.request_id;
        let found = cx.runtime().db().read(move |tx| events::find(tx, &request_id)).await?;
        let mine = |event: &Event| match cx.identity().user() {
            Some(user) => *user.user_id == *event.user_id && user.city.city_id == event.city_id,
            None => cx.identity().is_trusted(),
        };
        match found.filter(mine) {
            Some(event) => Ok(UsageEvent::new(event, cx.identity().is_trusted())),
            None => Err(Error::new(ErrorCode::NotFound, "No call of yours has this request id.")),
        }
    }

    async fn status(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<RecordingStatus> {
        let state = cx.runtime().db().read(sums::state).await?;
        Ok(RecordingStatus {
            waiting: self.queue.waiting() as u64,
            capacity: self.queue.capacity() as u64,
            stored: self.queue.stored(),
            dropped: self.queue.dropped(),
            summed_to: events::time_of(state.summed_to),
        })
    }

    /// Stores what this node still holds, so that a caller reads what was called before. A database
    /// that does not take it may still answer.
    async fn flushed(&self, cx: &Cx) {
        if let Err(error) = self.queue.flush(cx.runtime()).await {
            tracing::warn!(%error, "facts of calls are not stored yet");
        }
    }
}

/// What is asked of a list of facts.
#[derive(Clone, Copy)]
struct Asked {
    between: Between,
    limit: u32,
}

impl Asked {
    fn new(page: &Page, from: Option<Timestamp>, to: Option<Timestamp>) -> Result<Self> {
        let below = number(page)?.unwrap_or(i64::MAX).min(to.map_or(i64::MAX, first_id));
        let between = Between(from.map_or(0, first_id), below);
        Ok(Self { between, limit: page.limit(PAGE, PAGE_MAX) })
    }

    /// The facts of the page, and one more to know whether others follow.
    fn list(self, tx: &mut Tx<'_>, filter: &Filter, state: State) -> Result<Vec<Event>> {
        events::list(tx, filter, self.between, self.limit + 1, state.summed_to)
    }

    /// The page, of which one more than its limit was looked for.
    fn page(self, mut found: Vec<Event>, is_trusted: bool) -> Items<UsageEvent> {
        let more = found.len() > self.limit as usize;
        found.truncate(self.limit as usize);
        let last = found.last().filter(|_| more);
        let next_cursor = last.map(|event| Cursor::new([event.id.into()]).encode());
        let items = found.into_iter().map(|event| UsageEvent::new(event, is_trusted)).collect();
        Items { items, next_cursor }
    }
}

/// A filter as it applies: blank ones count as none.
fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

fn status(text: Option<String>) -> Result<Option<String>> {
    match given(text) {
        Some(text) if !matches!(&*text, "success" | "error" | "canceled") => {
            Err(Error::invalid("status", "must be success, error or canceled"))
        }
        text => Ok(text),
    }
}

/// The number that a cursor holds.
fn number(page: &Page) -> Result<Option<i64>> {
    let cursor = page.cursor().and_then(|cursor| cursor.map(|it| it.int(0)).transpose());
    let bad = || Error::invalid("cursor", "is not the next_cursor of a page; leave it out");
    match cursor {
        Ok(Some(number)) if number < 0 => Err(bad()),
        Ok(number) => Ok(number),
        Err(_) => Err(bad()),
    }
}

fn group_by(text: Option<&str>) -> Result<GroupBy> {
    let mut by = GroupBy::default();
    let text = text.filter(|text| !text.trim().is_empty()).unwrap_or("city_id,service,status");
    for key in text.split(',') {
        let flag = match key.trim() {
            "city_id" => &mut by.city_id,
            "user_id" => &mut by.user_id,
            "service" => &mut by.service,
            "action" => &mut by.action,
            "model_id" => &mut by.model_id,
            "status" => &mut by.status,
            "day" => &mut by.day,
            _ => {
                return Err(Error::invalid(
                    "group_by",
                    "takes city_id, user_id, service, action, model_id, status and day, separated by commas",
                ));
            }
        };
        *flag = true;
    }
    Ok(by)
}
