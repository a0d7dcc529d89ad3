//! Where values must not be seen: in the database's files, and in what is printed for debugging.

use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use downcity_core::env::{ADMIN_KEY, SIGNING_KEY, SYSTEM_KEYS};
use downcity_core::{Call, Error, Hook, Result};
use downcity_testkit::{Engine, TestApp};
use serde_json::json;

use crate::common::{applied, refresh, upsert, write_by_hand};

/// Every file of a folder, the database's and the log's beside it.
fn contents(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        all.extend(std::fs::read(file.unwrap().path()).unwrap());
    }
    all
}

fn holds(contents: &[u8], text: &str) -> bool {
    contents.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn the_files_hold_no_value_in_the_clear() {
    downcity_testkit::block_on(async {
        let app = TestApp::builder(Engine::Sqlite).start().await;
        let folder = app.database_url().sqlite_path().unwrap().parent().unwrap().to_owned();
        upsert(&app, "A", "planted-by-upsert").await;
        upsert(&app, "A", "planted-by-another-upsert").await;
        let raw = json!({"raw": "B=planted-by-import\nA=planted-by-import-too"});
        app.admin().post("/v1/env/import", raw).await.expect(200);
        app.admin().post("/v1/env/remove", json!({"key": "B"})).await.expect(200);
        let mut secrets: Vec<String> =
            SYSTEM_KEYS.iter().filter_map(|key| applied(&app, key)).collect();
        assert_eq!(secrets.len(), SYSTEM_KEYS.len());
        secrets.push("planted-by".to_owned());
        let live = contents(&folder);
        assert!(holds(&live, "sealed:v1:") && holds(&live, SIGNING_KEY));
        for secret in &secrets {
            assert!(!holds(&live, secret), "in the clear while the server runs");
        }
        write_by_hand(&app, "C", "planted-in-the-clear").await;
        assert!(holds(&contents(&folder), "planted-in-the-clear"));
        refresh(&app).await;
        assert_eq!(applied(&app, "C").as_deref(), Some("planted-in-the-clear"));
        app.stop().await;
        let closed = contents(&folder);
        for secret in secrets.iter().map(String::as_str).chain(["planted-in-the-clear"]) {
            assert!(!holds(&closed, secret), "left in a page after it was sealed");
        }
    });
}

/// Writes down how everything a hook can reach prints itself.
#[derive(Clone, Default)]
struct Printer(Arc<Mutex<String>>);

impl Printer {
    fn print(&self, text: &dyn std::fmt::Debug) {
        self.0.lock().unwrap().push_str(&format!("{text:?}\n{text:#?}\n"));
    }
}

#[async_trait]
impl Hook for Printer {
    async fn before(&self, call: &mut Call) -> Result<()> {
        self.print(call);
        self.print(&call.env("PLANTED"));
        self.print(&**call.runtime().snapshot());
        self.print(call.runtime().snapshot().env());
        self.print(call.runtime().state().vault());
        Ok(())
    }

    async fn on_error(&self, call: &Call, error: &Error) {
        self.print(call);
        self.print(error);
    }
}

#[test]
fn nothing_that_is_printed_for_debugging_shows_a_value() {
    downcity_testkit::block_on(async {
        let printer = Printer::default();
        let app = TestApp::builder(Engine::Sqlite).hook(printer.clone()).start().await;
        upsert(&app, "PLANTED", "hunter2-hunter2-hunter2").await;
        app.admin().get("/v1/env/list?reveal=true").await.expect(200);
        for input in [
            json!({"key": SIGNING_KEY, "value": "hunter2"}),
            json!({"key": "hunter2-", "value": "hunter2"}),
            json!({"key": "PLANTED", "value": ["hunter2"]}),
            json!({"key": "PLANTED", "value": "********ter2"}),
        ] {
            let error = app.admin().post("/v1/env/upsert", input).await.expect(400);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        let raw = json!({"raw": format!("hunter2-={}\n", "hunter2")});
        let error = app.admin().post("/v1/env/import", raw).await.expect(400);
        assert!(!error.to_string().contains("hunter2"), "{error}");
        printer.print(app.kernel().first_start());
        let printed = printer.0.lock().unwrap().clone();
        assert!(printed.contains("PLANTED") && printed.contains(ADMIN_KEY), "keys may be seen");
        assert!(!printed.contains("hunter2"));
        for key in SYSTEM_KEYS {
            assert!(!printed.contains(&applied(&app, key).unwrap()), "{key}");
        }
    });
}
