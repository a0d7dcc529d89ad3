//! Clocks that differ by some seconds, and one that jumps a day and back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use downcity_core::jobs::{self, Job, JobCx, JobEnd, JobStatus, NewJob};
use downcity_core::{Clock, Error, Result, Service, ServiceDef, token};
use downcity_testkit::{Engine, TestApp, TestClock, both_engines};
use downcity_types::Timestamp;
use serde_json::json;
use tokio::sync::{Notify, Semaphore};

use crate::common::{lets_in, revoke};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A second node whose clock is off by this much.
async fn node_at(app: &TestApp, now: Timestamp) -> (TestApp, TestClock) {
    let clock = TestClock::default();
    clock.set(now);
    let own = clock.clone();
    let builder = TestApp::builder(app.runtime().db().engine()).on_database_of(app);
    (builder.options(move |options| options.clock = Arc::new(own)).start().await, clock)
}

async fn follows(node: &TestApp, app: &TestApp) {
    let revision = app.runtime().db().revision().await.unwrap();
    node.runtime().state().publish(revision).await.unwrap();
}

/// A job that waits in its first run, and has its effect only while it holds its lease.
#[derive(Clone, Default)]
struct Once(Arc<Shared>);

struct Shared {
    runs: AtomicU32,
    effects: AtomicU32,
    begun: Notify,
    go_on: Semaphore,
}

impl Default for Shared {
    fn default() -> Self {
        let counter = || AtomicU32::new(0);
        let (begun, go_on) = (Notify::new(), Semaphore::new(0));
        Self { runs: counter(), effects: counter(), begun, go_on }
    }
}

#[async_trait]
impl Job for Once {
    const KIND: &'static str = "test.once";
    type Payload = ();

    async fn run(&self, cx: JobCx, (): ()) -> Result<JobEnd> {
        if self.0.runs.fetch_add(1, Ordering::SeqCst) == 0 {
            self.0.begun.notify_one();
            let _leave = self.0.go_on.acquire().await.unwrap();
        }
        let (lease, now) = (cx.lease().clone(), cx.clock().now());
        let held = cx.db().write(move |tx| jobs::finish(tx, &lease, now)).await?;
        if !held {
            return Err(Error::internal("the lease was lost: nothing was done"));
        }
        self.0.effects.fetch_add(1, Ordering::SeqCst);
        Ok(JobEnd::Done)
    }
}

struct Work(Once);

impl Service for Work {
    fn id(&self) -> &'static str {
        "work"
    }

    fn name(&self) -> &'static str {
        "Work"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        service.job(self.0.clone());
    }
}

async fn enqueue(app: &TestApp) -> String {
    let job = NewJob::new::<Once>(app.runtime(), &()).unwrap();
    let id = job.job_id().to_owned();
    app.runtime().db().write(move |tx| jobs::enqueue(tx, &job)).await.unwrap();
    id
}

async fn status(app: &TestApp, job_id: &str) -> JobStatus {
    let job_id = job_id.to_owned();
    app.runtime().db().read(move |tx| jobs::get(tx, &job_id)).await.unwrap().unwrap().status
}

both_engines! {
    async fn revocations_hold_between_nodes_whose_clocks_differ_by_seconds(app: TestApp) {
        app.create_city("a").await;
        let now = app.clock().now();
        for seconds in [1, 5, 10] {
            let ahead = now.saturating_add(Duration::from_secs(seconds));
            let (fast, _clock) = node_at(&app, ahead).await;
            let behind = now.saturating_sub(Duration::from_secs(seconds));
            let (slow, _clock) = node_at(&app, behind).await;
            // Of what has been issued, by whatever clock, nothing survives.
            let user = format!("u{seconds}");
            let by_fast = fast.token("a", &user).await;
            let by_app = app.token("a", &user).await;
            revoke(&app, json!({"city_id": "a", "user_id": user})).await;
            let by_app_for_slow = app.token("a", &format!("v{seconds}")).await;
            revoke(&slow, json!({"city_id": "a", "user_id": format!("v{seconds}")})).await;
            for node in [&app, &fast, &slow] {
                follows(node, &app).await;
                assert!(!lets_in(node, &by_fast).await, "{seconds}");
                assert!(!lets_in(node, &by_app).await, "{seconds}");
                assert!(!lets_in(node, &by_app_for_slow).await, "{seconds}");
            }
            // What is issued afterwards is good everywhere.
            for issuer in [&app, &fast, &slow] {
                let token = issuer.token("a", &user).await;
                for node in [&app, &fast, &slow] {
                    assert!(lets_in(node, &token).await, "{seconds}");
                }
            }
        }
    }

    async fn tokens_end_by_the_clock_of_the_node_that_is_asked(app: TestApp) {
        app.create_city("a").await;
        let now = app.clock().now();
        let (slow, clock) = node_at(&app, now.saturating_sub(Duration::from_secs(5))).await;
        let input = json!({"city_id": "a", "user_id": "u", "ttl": 60});
        let token = app.token_with(input).await;
        app.clock().advance(Duration::from_secs(60));
        clock.advance(Duration::from_secs(60));
        assert_eq!((lets_in(&app, &token).await, lets_in(&slow, &token).await), (false, true));
        clock.advance(Duration::from_secs(5));
        assert!(!lets_in(&slow, &token).await);
    }

    async fn a_day_ahead_and_back_revives_nothing(app: TestApp) {
        app.create_city("a").await;
        let hour = |user: &str| json!({"city_id": "a", "user_id": user, "ttl": 3600});
        let token = app.token_with(hour("u")).await;
        let revoked = app.token_with(hour("v")).await;
        revoke(&app, json!({"user_token": revoked})).await;
        let start = app.clock().now();

        app.clock().advance(DAY);
        assert!(!lets_in(&app, &token).await, "it has ended by this clock");
        token::prune_revocations(app.runtime()).await.unwrap();
        let of_tomorrow = app.token_with(hour("u")).await;
        let cut = app.token("a", "w").await;
        revoke(&app, json!({"city_id": "a", "user_id": "w"})).await;
        assert!(!lets_in(&app, &cut).await);

        app.clock().set(start);
        assert!(lets_in(&app, &token).await, "by this clock it has not ended yet");
        assert!(!lets_in(&app, &revoked).await, "what was revoked stays so");
        assert!(!lets_in(&app, &cut).await);
        assert!(lets_in(&app, &of_tomorrow).await, "it lives a day longer than was asked for");
        // Issuing for the user who was revoked in the future keeps to that bound.
        assert!(lets_in(&app, &app.token("a", "w").await).await);

        app.clock().set(start.saturating_sub(DAY));
        assert!(!lets_in(&app, &revoked).await);
        assert!(lets_in(&app, &app.token_with(hour("x")).await).await);
        put_and_read_env(&app).await;
    }
}

async fn put_and_read_env(app: &TestApp) {
    crate::common::put_env(&app.admin(), "K", "v").await;
    assert!(crate::common::knows_env(app, "K").await);
}

/// Both engines, with one job that two nodes may run.
async fn with_two_workers(test: impl AsyncFn(TestApp, TestApp, Once)) {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let work = Once::default();
        let build = || TestApp::builder(engine).service(Work(work.clone()));
        let first = build().start().await;
        let second = build().on_database_of(&first).start().await;
        test(first, second, work).await;
    }
}

#[test]
fn a_jump_ahead_lets_a_job_run_twice_and_have_its_effect_once() {
    downcity_testkit::block_on(with_two_workers(async |first, second, work| {
        let id = enqueue(&first).await;
        let running = async { first.run_jobs().await };
        let jump = async {
            work.0.begun.notified().await;
            assert_eq!(second.run_jobs().await, 0, "it is held");
            first.clock().advance(DAY);
            // By this clock its lease has ended.
            assert_eq!(second.run_jobs().await, 1);
            assert_eq!(status(&second, &id).await, JobStatus::Done);
            work.0.go_on.add_permits(1);
        };
        tokio::join!(running, jump);
        let (runs, effects) = (&work.0.runs, &work.0.effects);
        assert_eq!((runs.load(Ordering::SeqCst), effects.load(Ordering::SeqCst)), (2, 1));
        assert_eq!(status(&first, &id).await, JobStatus::Done);
    }));
}

#[test]
fn a_jump_back_lets_a_job_finish_and_new_ones_run() {
    downcity_testkit::block_on(with_two_workers(async |first, second, work| {
        let start = first.clock().now();
        first.clock().advance(DAY);
        let id = enqueue(&first).await;
        let running = async { first.run_jobs().await };
        let back = async {
            work.0.begun.notified().await;
            first.clock().set(start);
            assert_eq!(second.run_jobs().await, 0, "it is held");
            work.0.go_on.add_permits(1);
        };
        tokio::join!(running, back);
        assert_eq!(status(&first, &id).await, JobStatus::Done);
        // What is due by the clock that counts now runs; what was due tomorrow waits for tomorrow.
        let today = enqueue(&first).await;
        first.clock().advance(DAY);
        let tomorrow = enqueue(&first).await;
        first.clock().set(start);
        assert_eq!(second.run_jobs().await, 1);
        assert_eq!(status(&first, &today).await, JobStatus::Done);
        assert_eq!(status(&first, &tomorrow).await, JobStatus::Queued);
        first.clock().advance(DAY);
        assert_eq!(second.run_jobs().await, 1);
        assert_eq!(status(&first, &tomorrow).await, JobStatus::Done);
    }));
}
