//! Work that must finish: a job stored with its cause, run by a worker.

#![cfg(test)]

use std::sync::Mutex;
use std::time::Duration;

use downcity_server::prelude::*;
use downcity_testkit::{Engine, TestApp, block_on};
use serde_json::json;

/// Sends mail, in place of a real provider.
#[derive(Clone, Default)]
struct Mailer(Arc<Mutex<Vec<String>>>);

impl Mailer {
    async fn send(&self, to: &str, reference: &str) -> Result<()> {
        self.0.lock().unwrap().push(format!("{to} {reference}"));
        Ok(())
    }
}

struct Reminders(Mailer);

#[derive(Deserialize, JsonSchema)]
struct Remind {
    minutes: u32,
}

#[derive(Serialize, JsonSchema)]
struct Reminder {
    job_id: String,
}

impl Service for Reminders {
    fn id(&self) -> &'static str {
        "reminders"
    }

    fn name(&self) -> &'static str {
        "Reminders"
    }

    fn define(self: Arc<Self>, s: &mut ServiceDef) {
        s.post("remind", USER, &self, Self::remind).summary("Send a mail later.");
        s.job(SendReminder(self.0.clone()));
    }
}

impl Reminders {
    async fn remind(self: Arc<Self>, cx: Cx, input: Remind) -> Result<Reminder> {
        let user_id = cx.user()?.user_id.to_string();
        let job = NewJob::new::<SendReminder>(cx.runtime(), &user_id)?
            .after(Duration::from_secs(60 * u64::from(input.minutes)));
        let job_id = job.job_id().to_owned();
        cx.write(move |tx, _| jobs::enqueue(tx, &job)).await?;
        Ok(Reminder { job_id })
    }
}

struct SendReminder(Mailer);

#[async_trait]
impl Job for SendReminder {
    const KIND: &'static str = "reminders.send";
    type Payload = String;

    async fn run(&self, cx: JobCx, user_id: String) -> Result<JobEnd> {
        // May run again after a crash: the reference lets the mail provider drop a second one.
        self.0.send(&user_id, &cx.lease().job_id).await?;
        Ok(JobEnd::Done)
    }
}

#[test]
fn a_reminder_is_sent_when_it_is_due_and_once() {
    block_on(async {
        let mailer = Mailer::default();
        let app = TestApp::builder(Engine::Sqlite).service(Reminders(mailer.clone())).start().await;
        app.create_city("shop").await;
        let user = app.user(&app.token("shop", "ann").await);
        let reminder = user.post("/v1/reminders/remind", json!({"minutes": 10})).await.expect(200);
        assert_eq!(app.run_jobs().await, 0, "it is not due yet");
        app.clock().advance(Duration::from_secs(600));
        assert_eq!(app.run_jobs().await, 1);
        assert_eq!(app.run_jobs().await, 0);
        let sent = mailer.0.lock().unwrap().clone();
        assert_eq!(sent, [format!("ann {}", reminder["job_id"].as_str().unwrap())]);
    });
}
