//! Services that know how to try values.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use downcity_core::env::{Candidate, EnvProbe, Probed};
use downcity_core::{Service, ServiceDef};
use downcity_testkit::{Engine, TestApp};
use serde_json::json;

use crate::common::applied;

/// Accepts `good` for keys that begin with `TRY_`, and counts the tests under way.
#[derive(Default)]
struct Trying {
    now: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl EnvProbe for Trying {
    fn knows(&self, key: &str) -> bool {
        key.starts_with("TRY_")
    }

    async fn probe(&self, candidate: &Candidate) -> Probed {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        self.now.fetch_sub(1, Ordering::SeqCst);
        assert_eq!(candidate.env(candidate.key()).unwrap().expose(), candidate.value().expose());
        match candidate.value().expose() {
            "good" => Probed::Accepted,
            "bad" => Probed::Refused,
            _ => Probed::Unknown("Nobody answers.".to_owned()),
        }
    }
}

struct Tries(Arc<Trying>);

impl Service for Tries {
    fn id(&self) -> &'static str {
        "tries"
    }

    fn name(&self) -> &'static str {
        "Tries"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        service.env_probe(self.0.clone());
    }
}

#[tokio::test]
async fn an_import_tries_a_few_values_at_a_time_and_stores_all_or_none() {
    let trying = Arc::new(Trying::default());
    let app = TestApp::builder(Engine::Sqlite).service(Tries(trying.clone())).start().await;
    let good: String = (0..40).map(|number| format!("TRY_{number}=good\n")).collect();
    let import = async |raw: String| app.admin().post("/v1/env/import", json!({"raw": raw})).await;
    let answer = import(good.clone()).await.expect(200);
    assert_eq!((&answer["count"], answer.get("warnings")), (&json!(40), None));
    assert_eq!(trying.most.load(Ordering::SeqCst), 4);
    let error = import(format!("NEW=1\n{good}TRY_7=bad\n")).await.expect_error(422, "env_refused");
    assert_eq!(error["details"][0]["path"], "raw");
    assert!(
        error["error"].as_str().unwrap().starts_with("raw: line 42: the value of TRY_7 is refused")
    );
    assert_eq!((applied(&app, "NEW"), applied(&app, "TRY_7").as_deref()), (None, Some("good")));
    let answer = import("TRY_7=odd\nTRY_8=good".to_owned()).await.expect(200);
    assert_eq!(
        answer["warnings"],
        json!([{"key": "TRY_7", "warning": "The value was not tested. Nobody answers."}])
    );
}
