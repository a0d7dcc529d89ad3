//! Durable work and repeated requests.

#![cfg(test)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use downcity_core::audit::Target;
use downcity_core::idempotency::{self, IdempotentRequest};
use downcity_core::jobs::{self, Job, JobCx, JobEnd, JobPolicy, JobStatus, NewJob};
use downcity_core::{ADMIN, Cx, Error, Result, Service, ServiceDef, USER_OR_ADMIN};
use downcity_db::sql;
use downcity_testkit::{TestApp, TestAppBuilder, both_engines};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A job that does what its payload says, and counts its runs.
#[derive(Clone, Default)]
struct Scripted(Arc<AtomicU32>);

#[async_trait]
impl Job for Scripted {
    const KIND: &'static str = "test.scripted";
    type Payload = String;

    fn policy(&self) -> JobPolicy {
        JobPolicy { max_attempts: 3, ..JobPolicy::default() }
    }

    async fn run(&self, cx: JobCx, payload: String) -> Result<JobEnd> {
        let run = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        match payload.as_str() {
            "done" => Ok(JobEnd::Done),
            "again" if run < 6 => Ok(JobEnd::Again(Duration::from_secs(5))),
            "again" => Ok(JobEnd::Done),
            "give up" => Ok(JobEnd::Failed(Error::invalid("payload", "makes no sense"))),
            "panic" => panic!("as the script says"),
            "finish itself" => {
                let (lease, now) = (cx.lease().clone(), cx.clock().now());
                let done = cx.db().write(move |tx| jobs::finish(tx, &lease, now)).await?;
                assert!(done, "the lease is held");
                Ok(JobEnd::Again(Duration::ZERO))
            }
            _ => Err(Error::internal("a fault that may pass")),
        }
    }
}

struct Jobs(Scripted);

impl Service for Jobs {
    fn id(&self) -> &'static str {
        "jobs-test"
    }

    fn name(&self) -> &'static str {
        "Jobs test"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        service.job(self.0.clone());
        service.post("once", USER_OR_ADMIN, &self, Self::once).summary("Counts, once per key.");
        service.post("boom", ADMIN, &self, Self::boom).summary("Fails after its key is taken.");
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Amount {
    amount: u32,
}

impl Jobs {
    async fn once(self: Arc<Self>, cx: Cx, input: Amount) -> Result<Amount> {
        let request = IdempotentRequest::of(&cx)?;
        let amount = input.amount + self.0.0.fetch_add(1, Ordering::SeqCst);
        cx.write(move |tx, trail| {
            idempotency::once(tx, trail, request.as_ref(), |_, trail| {
                trail.record(Target::new("amount", "1"), (), amount);
                Ok(Amount { amount })
            })
        })
        .await
    }

    async fn boom(self: Arc<Self>, cx: Cx, _: Amount) -> Result<Amount> {
        let request = IdempotentRequest::of(&cx)?;
        let refuse = || Err(Error::invalid("amount", "is refused"));
        cx.write(move |tx, trail| idempotency::once(tx, trail, request.as_ref(), |_, _| refuse()))
            .await
    }
}

fn with_jobs(builder: TestAppBuilder) -> TestAppBuilder {
    builder.service(Jobs(Scripted::default()))
}

async fn enqueue(app: &TestApp, payload: &str, change: impl FnOnce(NewJob) -> NewJob) -> String {
    let job = change(NewJob::new::<Scripted>(app.runtime(), &payload.to_owned()).unwrap());
    let id = job.job_id().to_owned();
    app.runtime().db().write(move |tx| jobs::enqueue(tx, &job)).await.unwrap();
    id
}

async fn row(app: &TestApp, job_id: &str) -> jobs::JobRow {
    let job_id = job_id.to_owned();
    app.runtime().db().read(move |tx| jobs::get(tx, &job_id)).await.unwrap().unwrap()
}

both_engines! {
    async fn a_job_runs_once_when_it_is_due(app: TestApp = with_jobs) {
        let id = enqueue(&app, "done", |job| job.after(Duration::from_secs(60))).await;
        assert_eq!(app.run_jobs().await, 0);
        app.clock().advance(Duration::from_secs(60));
        assert_eq!(app.run_jobs().await, 1);
        assert_eq!(app.run_jobs().await, 0);
        assert_eq!(row(&app, &id).await.status, JobStatus::Done);
    }

    async fn a_failing_job_waits_longer_each_time_and_is_given_up(app: TestApp = with_jobs) {
        let id = enqueue(&app, "fail", |job| job).await;
        for wait in [1, 2] {
            assert_eq!(app.run_jobs().await, 1);
            assert_eq!(row(&app, &id).await.status, JobStatus::Queued);
            app.clock().advance(Duration::from_millis(wait * 1000 - 1));
            assert_eq!(app.run_jobs().await, 0, "not before {wait} s");
            app.clock().advance(Duration::from_millis(1));
        }
        assert_eq!(app.run_jobs().await, 1);
        let dead = row(&app, &id).await;
        assert_eq!((dead.status, dead.attempts), (JobStatus::Dead, 3));
        let told = dead.last_error.unwrap();
        assert!(!told.contains("may pass"), "the cause is for the log: {told}");
    }

    async fn a_job_that_waits_for_others_uses_up_no_attempts(app: TestApp = with_jobs) {
        let id = enqueue(&app, "again", |job| job).await;
        for _ in 0..6 {
            assert_eq!(app.run_jobs().await, 1);
            app.clock().advance(Duration::from_secs(5));
        }
        assert_eq!(row(&app, &id).await.status, JobStatus::Done);
    }

    async fn a_job_says_itself_that_it_cannot_be_done(app: TestApp = with_jobs) {
        let id = enqueue(&app, "give up", |job| job).await;
        app.run_jobs().await;
        let dead = row(&app, &id).await;
        assert_eq!(dead.status, JobStatus::Dead);
        assert_eq!(dead.last_error.as_deref(), Some("payload: makes no sense (invalid_input)"));
    }

    async fn a_panic_counts_as_a_failed_attempt(app: TestApp = with_jobs) {
        let id = enqueue(&app, "panic", |job| job).await;
        assert_eq!(app.run_jobs().await, 1);
        assert_eq!(row(&app, &id).await.status, JobStatus::Queued);
    }

    async fn a_job_whose_runs_never_end_is_given_up(app: TestApp = with_jobs) {
        let id = enqueue(&app, "done", |job| job).await;
        // As after nodes that died at work, as often as the policy allows.
        let crash = |tx: &mut downcity_db::Tx<'_>| {
            tx.execute(sql!("UPDATE jobs SET status = 'running', attempts = 3"), &[])
        };
        app.runtime().db().write(crash).await.unwrap();
        assert_eq!(app.run_jobs().await, 1);
        assert_eq!(row(&app, &id).await.status, JobStatus::Dead);
    }

    async fn a_job_may_end_in_its_own_transaction(app: TestApp = with_jobs) {
        let id = enqueue(&app, "finish itself", |job| job).await;
        assert_eq!(app.run_jobs().await, 1);
        assert_eq!(row(&app, &id).await.status, JobStatus::Done);
    }

    async fn a_key_stores_one_job_of_its_kind(app: TestApp = with_jobs) {
        for _ in 0..3 {
            enqueue(&app, "done", |job| job.key("only one")).await;
        }
        assert_eq!(app.run_jobs().await, 1);
    }

    async fn workers_on_two_nodes_run_each_job_once(app: TestApp = with_jobs) {
        let engine = app.runtime().db().engine();
        let count = Scripted::default();
        let node = || TestApp::builder(engine).on_database_of(&app).settings(|s| s.job_workers = 4);
        let first = node().service(Jobs(count.clone())).start().await;
        let second = node().service(Jobs(count.clone())).start().await;
        let mut ids = Vec::new();
        for _ in 0..40 {
            ids.push(enqueue(&first, "done", |job| job).await);
        }
        first.runtime().wake_workers();
        for id in &ids {
            while row(&app, id).await.status != JobStatus::Done {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        assert_eq!(count.0.load(Ordering::SeqCst), 40);
        first.stop().await;
        second.stop().await;
    }

    async fn a_repeated_request_gets_its_first_answer(app: TestApp = with_jobs) {
        let client = app.admin().with_header("idempotency-key", "k1");
        let first = client.post("/v1/jobs-test/once", json!({"amount": 5})).await.expect(200);
        let again = client.post("/v1/jobs-test/once", json!({"amount": 5})).await.expect(200);
        assert_eq!(first, again);
        let other = client.post("/v1/jobs-test/once", json!({"amount": 6})).await;
        other.expect_error(409, "idempotency_mismatch");
        let free = app.admin().post("/v1/jobs-test/once", json!({"amount": 5})).await.expect(200);
        assert_ne!(first, free, "without a key every request counts");
    }

    async fn a_key_belongs_to_one_caller(app: TestApp = with_jobs) {
        app.create_city("city_a").await;
        let user = app.user(&app.token("city_a", "u1").await);
        let mut answers = Vec::new();
        for client in [app.admin(), user] {
            let client = client.with_header("idempotency-key", "k1");
            let input = json!({"amount": 5});
            answers.push(client.post("/v1/jobs-test/once", input).await.expect(200));
        }
        assert_ne!(answers[0], answers[1]);
    }

    async fn a_failed_request_leaves_its_key_free(app: TestApp = with_jobs) {
        let client = app.admin().with_header("idempotency-key", "k1");
        for amount in [1, 2] {
            let reply = client.post("/v1/jobs-test/boom", json!({"amount": amount})).await;
            reply.expect_error(400, "invalid_input");
        }
    }

    async fn a_bad_key_is_refused(app: TestApp = with_jobs) {
        for key in [" ", "a\ttab", &"x".repeat(256)] {
            let client = app.admin().with_header("idempotency-key", key);
            let reply = client.post("/v1/jobs-test/once", json!({"amount": 1})).await;
            let body = reply.expect_error(400, "invalid_input");
            assert_eq!(body["details"][0]["path"], "Idempotency-Key");
        }
    }

    async fn parallel_requests_with_one_key_do_the_work_once(app: TestApp = with_jobs) {
        let client = app.admin().with_header("idempotency-key", "k1");
        let call = || {
            let client = client.clone();
            async move {
                client.post("/v1/jobs-test/once", json!({"amount": 1})).await.expect(200)
            }
        };
        let mut answers = futures_util::future::join_all((0..20).map(|_| call())).await;
        answers.dedup();
        assert_eq!(answers.len(), 1);
    }

    async fn operators_let_a_given_up_job_run_again_and_give_one_up_that_waits(
        app: TestApp = with_jobs
    ) {
        let admin = app.admin();
        let dead = enqueue(&app, "give up", |job| job).await;
        app.run_jobs().await;
        let waits = enqueue(&app, "done", |job| job.after(Duration::from_secs(60))).await;
        let page = admin.get("/v1/jobs/list?status=dead&kind=test.scripted").await.expect(200);
        assert_eq!(page["items"][0]["job_id"], json!(dead));
        assert_eq!(page["items"].as_array().unwrap().len(), 1);
        assert!(!page.to_string().contains("give up"), "the payload is not shown: {page}");
        let retried = admin.post("/v1/jobs/retry", json!({"job_id": dead})).await.expect(200);
        assert_eq!((&retried["status"], &retried["attempts"]), (&json!("queued"), &json!(0)));
        assert_eq!(app.run_jobs().await, 1);

        let ended = admin.post("/v1/jobs/cancel", json!({"job_id": waits})).await.expect(200);
        assert_eq!(ended["status"], "dead");
        app.clock().advance(Duration::from_secs(60));
        assert_eq!(app.run_jobs().await, 0);
        let again = admin.post("/v1/jobs/cancel", json!({"job_id": waits})).await;
        again.expect_error(409, "conflict");
        let trail = admin.get("/v1/audit/list?action=jobs/cancel").await.expect(200);
        assert_eq!(trail["items"][0]["target_id"], json!(waits));
    }

    async fn jobs_that_are_done_stay_so_and_lists_have_pages(app: TestApp = with_jobs) {
        let admin = app.admin();
        let mut ids = Vec::new();
        for _ in 0..3 {
            app.clock().advance(Duration::from_millis(5));
            ids.push(enqueue(&app, "done", |job| job).await);
        }
        app.run_jobs().await;
        for action in ["retry", "cancel"] {
            let path = format!("/v1/jobs/{action}");
            admin.post(&path, json!({"job_id": ids[0]})).await.expect_error(409, "conflict");
            admin.post(&path, json!({"job_id": "none"})).await.expect_error(404, "not_found");
        }
        let page = admin.get("/v1/jobs/list?kind=test.scripted&limit=2").await.expect(200);
        assert_eq!(page["items"][0]["job_id"], json!(ids[2]), "newest first");
        let next = page["next_cursor"].as_str().unwrap();
        let path = format!("/v1/jobs/list?kind=test.scripted&limit=2&cursor={next}");
        let rest = admin.get(&path).await.expect(200);
        assert_eq!(rest["items"].as_array().unwrap().len(), 1);
        assert_eq!((&rest["items"][0]["job_id"], &rest["next_cursor"]), (&json!(ids[0]), &json!(null)));
        admin.get("/v1/jobs/list?cursor=x").await.expect_error(400, "invalid_input");
        admin.get("/v1/jobs/list?status=asleep").await.expect_error(400, "invalid_input");
    }

    async fn old_answers_and_ended_jobs_are_forgotten(app: TestApp = with_jobs) {
        let id = enqueue(&app, "done", |job| job).await;
        app.run_jobs().await;
        let client = app.admin().with_header("idempotency-key", "k1");
        client.post("/v1/jobs-test/once", json!({"amount": 1})).await.expect(200);
        assert_eq!(jobs::sweep(app.runtime()).await.unwrap(), 0);
        app.clock().advance(idempotency::KEPT + Duration::from_millis(1));
        assert_eq!(jobs::sweep(app.runtime()).await.unwrap(), 2);
        let gone = app.runtime().db().read(move |tx| jobs::get(tx, &id)).await.unwrap();
        assert!(gone.is_none());
    }
}
