//! Starts that fail.

use std::sync::{Arc, Mutex, Weak};

use async_trait::async_trait;
use downcity_core::{Error, Result, Runtime, Service, ServiceDef};
use downcity_testkit::{Engine, TestApp, block_on};

/// Starts a loop of its own, then fails.
struct Stumbler(Arc<Mutex<Weak<Runtime>>>);

#[async_trait]
impl Service for Stumbler {
    fn id(&self) -> &'static str {
        "stumbler"
    }

    fn name(&self) -> &'static str {
        "Stumbler"
    }

    fn define(self: Arc<Self>, _: &mut ServiceDef) {}

    async fn start(&self, runtime: &Arc<Runtime>) -> Result<()> {
        *self.0.lock().unwrap() = Arc::downgrade(runtime);
        let held = runtime.clone();
        runtime.tasks().spawn_until_stopped(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        Err(Error::internal("stumbled"))
    }
}

#[test]
fn nothing_is_left_running_when_a_service_does_not_start() {
    block_on(async {
        let seen = Arc::new(Mutex::new(Weak::new()));
        let app = TestApp::builder(Engine::Sqlite).service(Stumbler(seen.clone()));
        let error = app.try_start().await.err().unwrap();
        assert_eq!(error.code(), downcity_types::ErrorCode::Internal);
        assert!(seen.lock().unwrap().upgrade().is_none(), "a loop holds the runtime");
    });
}
