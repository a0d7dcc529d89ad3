//! Hooks on three levels.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use downcity_core::{
    Body, Call, Cx, Error, Hook, Outcome, PUBLIC, RawRequest, Reply, Result, Service, ServiceDef,
    Sse, USER,
};
use downcity_testkit::{Client, Engine, TestApp, block_on};
use downcity_types::ErrorCode;
use http::Method;
use http_body_util::BodyExt as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

type Log = Arc<Mutex<Vec<String>>>;

fn take(log: &Log) -> Vec<String> {
    std::mem::take(&mut *log.lock().unwrap())
}

/// Notes what it sees, under its name.
struct Recorder(&'static str, Log);

impl Recorder {
    fn note(&self, what: &str) {
        self.1.lock().unwrap().push(format!("{} {what}", self.0));
    }
}

#[async_trait]
impl Hook for Recorder {
    async fn before(&self, call: &mut Call) -> Result<()> {
        self.note(&format!("before {}", call.input()["say"].as_str().unwrap_or("-")));
        Ok(())
    }

    async fn after(&self, _: &Call, outcome: &mut Outcome) -> Result<()> {
        self.note(if outcome.is_complete() { "after" } else { "after a broken stream" });
        Ok(())
    }

    async fn on_error(&self, call: &Call, error: &Error) {
        self.note(&format!("error {} {}", call.identity().kind(), error.code()));
    }
}

/// Does what the input's `say` asks for.
struct Meddler;

#[async_trait]
impl Hook for Meddler {
    async fn before(&self, call: &mut Call) -> Result<()> {
        match call.input()["say"].as_str() {
            Some("reject") => {
                Err(Error::new(ErrorCode::InsufficientBalance, "Top up before you speak."))
            }
            Some("panic before") => panic!("a secret of the hook"),
            Some("change") => {
                call.set_input(json!({"say": "changed"}));
                Ok(())
            }
            Some("break") => {
                call.set_input(json!({"say": 7}));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn after(&self, call: &Call, outcome: &mut Outcome) -> Result<()> {
        match call.input()["say"].as_str() {
            Some("replace") => {
                let inner = outcome.json().unwrap_or_default();
                outcome.replace(&json!({"replaced": inner}))
            }
            Some("fail after") => Err(Error::new(ErrorCode::Conflict, "Too late.")),
            Some("panic after") => panic!("a secret of the hook"),
            _ => Ok(()),
        }
    }

    async fn on_error(&self, _: &Call, error: &Error) {
        assert_ne!(error.message(), "panic in the error hook");
    }
}

/// Fails after calls that say so, and this time it counts.
struct Auditor;

#[async_trait]
impl Hook for Auditor {
    async fn after(&self, call: &Call, _: &mut Outcome) -> Result<()> {
        match call.input()["say"].as_str() {
            Some("unaudited") => Err(Error::new(ErrorCode::Conflict, "Not written down.")),
            _ => Ok(()),
        }
    }

    fn is_critical(&self) -> bool {
        true
    }
}

struct Parrot(Log);

#[derive(Deserialize, JsonSchema)]
struct Say {
    say: String,
}

#[derive(Serialize, JsonSchema)]
struct Said {
    said: String,
}

impl Service for Parrot {
    fn id(&self) -> &'static str {
        "parrot"
    }

    fn name(&self) -> &'static str {
        "Parrot"
    }

    fn define(self: Arc<Self>, s: &mut ServiceDef) {
        let recorder = |name| Recorder(name, self.0.clone());
        s.global_hook(recorder("global"));
        s.hook(recorder("service 1")).hook(recorder("service 2"));
        s.post("say", PUBLIC, &self, Self::say)
            .summary("Say it again.")
            .hook(recorder("action"))
            .hook(Meddler)
            .hook(Auditor);
        s.post("whisper", USER, &self, Self::say).summary("Say it to one user.");
        s.get("sing", PUBLIC, &self, Self::sing).summary("Sing it in two verses.");
        s.post("raw", PUBLIC, &self, Self::raw).summary("Take it as it is.");
    }
}

impl Parrot {
    async fn say(self: Arc<Self>, _: Cx, input: Say) -> Result<Said> {
        self.0.lock().unwrap().push(format!("handler {}", input.say));
        match input.say.as_str() {
            "fail" => Err(Error::new(ErrorCode::NotFound, "Nothing to say.")),
            "fail twice" => Err(Error::new(ErrorCode::NotFound, "panic in the error hook")),
            _ => Ok(Said { said: input.say }),
        }
    }

    async fn sing(self: Arc<Self>, _: Cx, _: Say) -> Result<Sse> {
        let verses = ["data: la\n\n", "data: lala\n\n"].map(|verse| Ok::<_, Error>(verse.into()));
        Ok(Sse(Body::from_stream(futures_util::stream::iter(verses))))
    }

    async fn raw(self: Arc<Self>, _: Cx, input: RawRequest) -> Result<Reply> {
        let body = input.body.collect().await.map_err(Error::internal)?;
        Ok(Reply::text(String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    }
}

/// Runs a test with a parrot; hooks touch no database, so that one engine shows it all.
fn with_parrot(test: impl AsyncFnOnce(TestApp, Log)) {
    block_on(async {
        let log = Log::default();
        let app = TestApp::builder(Engine::Sqlite).service(Parrot(log.clone())).start().await;
        test(app, log).await;
    });
}

async fn say(client: &Client, what: &str) -> downcity_testkit::TestReply {
    client.post("/v1/parrot/say", json!({"say": what})).await
}

#[test]
fn hooks_nest_from_global_over_service_to_action_and_back() {
    with_parrot(async |app, log| {
        assert_eq!(say(&app.guest(), "hello").await.expect(200), json!({"said": "hello"}));
        assert_eq!(
            take(&log),
            [
                "global before hello",
                "service 1 before hello",
                "service 2 before hello",
                "action before hello",
                "handler hello",
                "action after",
                "service 1 after",
                "service 2 after",
                "global after",
            ]
        );
    });
}

#[test]
fn a_failure_passes_the_error_hooks_from_the_inside_out() {
    with_parrot(async |app, log| {
        say(&app.guest(), "fail").await.expect_error(404, "not_found");
        let seen = take(&log);
        assert_eq!(
            seen[5..],
            [
                "action error guest not_found",
                "service 1 error guest not_found",
                "service 2 error guest not_found",
                "global error guest not_found",
            ]
        );
        assert_eq!(seen[4], "handler fail");
    });
}

#[test]
fn a_panicking_error_hook_masks_nothing() {
    with_parrot(async |app, log| {
        say(&app.guest(), "fail twice").await.expect_error(404, "not_found");
        assert_eq!(take(&log).last().unwrap(), "global error guest not_found");
    });
}

#[test]
fn before_may_reject_with_a_status_of_its_own() {
    with_parrot(async |app, log| {
        let body = say(&app.guest(), "reject").await.expect_error(402, "insufficient_balance");
        assert_eq!(body["error"], "Top up before you speak.");
        let seen = take(&log);
        assert!(seen.iter().all(|line| !line.starts_with("handler")), "{seen:?}");
        assert_eq!(seen.last().unwrap(), "global error guest insufficient_balance");
    });
}

#[test]
fn a_panic_in_before_is_a_plain_500_that_the_error_hooks_see() {
    with_parrot(async |app, log| {
        let body = say(&app.guest(), "panic before").await.expect_error(500, "internal");
        assert!(!body.to_string().contains("secret"), "{body}");
        assert_eq!(take(&log).last().unwrap(), "global error guest internal");
    });
}

#[test]
fn a_changed_input_is_decoded_again() {
    with_parrot(async |app, log| {
        assert_eq!(say(&app.guest(), "change").await.expect(200), json!({"said": "changed"}));
        assert!(take(&log).contains(&"handler changed".to_owned()));
        let body = say(&app.guest(), "break").await.expect_error(400, "invalid_input");
        assert_eq!(body["details"][0]["path"], "say");
    });
}

#[test]
fn after_may_replace_the_output() {
    with_parrot(async |app, _log| {
        let reply = say(&app.guest(), "replace").await;
        assert_eq!(reply.expect(200), json!({"replaced": {"said": "replace"}}));
        assert_eq!(reply.header("content-type"), Some("application/json"));
    });
}

#[test]
fn a_failing_after_costs_the_answer_only_where_it_is_critical() {
    with_parrot(async |app, log| {
        for what in ["fail after", "panic after"] {
            let answer = say(&app.guest(), what).await.expect(200);
            assert_eq!(answer, json!({"said": what}));
            assert_eq!(take(&log).last().unwrap(), "global after");
        }
        say(&app.guest(), "unaudited").await.expect_error(409, "conflict");
        assert_eq!(take(&log).last().unwrap(), "global error guest conflict");
    });
}

#[test]
fn calls_that_are_not_authorised_meet_only_error_hooks() {
    with_parrot(async |app, log| {
        let whisper = |client: Client, input: Value| async move {
            client.post("/v1/parrot/whisper", input).await
        };
        whisper(app.guest(), json!({"say": "x"})).await.expect_error(401, "missing_credential");
        assert_eq!(
            take(&log),
            [
                "service 1 error guest missing_credential",
                "service 2 error guest missing_credential",
                "global error guest missing_credential",
            ]
        );
        whisper(app.admin(), json!({"say": "x"})).await.expect_error(403, "forbidden");
        assert_eq!(take(&log)[2], "global error admin forbidden");
        app.create_city("c").await;
        let user = app.user(&app.token("c", "u").await);
        take(&log);
        whisper(user.clone(), json!({"say": "x", "city_id": "other"}))
            .await
            .expect_error(403, "city_mismatch");
        assert_eq!(take(&log)[2], "global error user city_mismatch");
        whisper(user, json!({"say": 1})).await.expect_error(400, "invalid_input");
        assert_eq!(take(&log)[2], "global error user invalid_input");
    });
}

#[test]
fn no_hook_runs_around_raw_actions() {
    with_parrot(async |app, log| {
        let reply = app.guest().send(Method::POST, "/v1/parrot/raw", "not json".into()).await;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "not json"));
        assert_eq!(take(&log), Vec::<String>::new());
    });
}

#[test]
fn global_hooks_run_around_other_services_too() {
    with_parrot(async |app, log| {
        app.guest().get("/health").await.expect(200);
        assert_eq!(take(&log), ["global before -", "global after"]);
    });
}

#[test]
fn after_follows_a_stream_to_its_end_or_its_breaking_off() {
    with_parrot(async |app, log| {
        let reply = app.guest().get("/v1/parrot/sing?say=la").await;
        assert_eq!(reply.text(), "data: la\n\ndata: lala\n\n");
        settled(&app).await;
        let after = |what| ["service 1", "service 2", "global"].map(|who| format!("{who} {what}"));
        assert_eq!(take(&log)[3..], after("after"));
        let mut reply = app.guest().open(Method::GET, "/v1/parrot/sing?say=la", Body::Empty).await;
        let first = reply.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "data: la\n\n");
        assert_eq!(take(&log).len(), 3, "the stream is still open");
        drop(reply);
        settled(&app).await;
        assert_eq!(take(&log), after("after a broken stream"));
    });
}

#[test]
fn a_stream_may_be_dropped_outside_of_the_runtime() {
    let log = Log::default();
    let parrot = Parrot(log.clone());
    let reply = block_on(async {
        let app = TestApp::builder(Engine::Sqlite).service(parrot).start().await;
        app.guest().open(Method::GET, "/v1/parrot/sing?say=la", Body::Empty).await
    });
    drop(reply);
    assert_eq!(take(&log).len(), 3, "no runtime, no hooks");
}

/// Waits for the tasks that finish calls.
async fn settled(app: &TestApp) {
    let loops = idle_tasks().await;
    while app.runtime().tasks().count() > loops {
        tokio::task::yield_now().await;
    }
}

/// How many tasks a node without calls runs.
async fn idle_tasks() -> usize {
    TestApp::builder(Engine::Sqlite).start().await.runtime().tasks().count()
}
