//! Writers on several nodes of one database.

use downcity_testkit::{TestApp, both_engines};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::common::{assert_whole, last, since};

both_engines! {
    async fn nodes_that_write_at_once_make_one_chain(app: TestApp) {
        let engine = app.runtime().db().engine();
        let other = TestApp::builder(engine).on_database_of(&app).start().await;
        let before = last(&app).await;
        // Cities and env values take other locks before they come to the head of the chain.
        let writes = (0..20).map(|number| {
            let admin = if number % 2 == 0 { app.admin() } else { other.admin() };
            async move {
                let (path, input) = if number % 4 < 2 {
                    ("/v1/cities/create", json!({"city_id": format!("c{number}"), "name": "C"}))
                } else {
                    ("/v1/env/upsert", json!({"key": format!("K{number}"), "value": "v"}))
                };
                admin.post(path, input).await.expect(200);
            }
        });
        join_all(writes).await;
        let mut targets: Vec<Value> =
            since(&app, before).await.iter().map(|row| row["target_id"].clone()).collect();
        targets.sort_by_key(Value::to_string);
        targets.dedup();
        assert_eq!(targets.len(), 20);
        assert_eq!(last(&other).await, before + 20);
        assert_whole(&other).await;
    }
}
