//! The service under test, on both engines.

#![cfg(test)]

use std::time::Duration;

use downcity_testkit::{TestAppBuilder, both_engines};
use notes::Notes;
use serde_json::json;

fn notes(builder: TestAppBuilder) -> TestAppBuilder {
    builder.service(Notes)
}

both_engines! {
    async fn notes_are_kept_per_user(app: TestApp = notes) {
        app.create_city("shop").await;
        let input = json!({"key": "NOTES_BANNED_WORDS", "value": "spam, Scam"});
        app.admin().post("/v1/env/upsert", input).await.expect(200);
        let ann = app.user(&app.token("shop", "ann").await);
        let bob = app.user(&app.token("shop", "bob").await);
        let first = ann.post("/v1/notes/add", json!({"text": "milk"})).await.expect(200);
        app.clock().advance(Duration::from_millis(1));
        let second = ann.post("/v1/notes/add", json!({"text": "bread"})).await.expect(200);
        assert_eq!(second["text"], "bread");
        let list = ann.get("/v1/notes/list").await.expect(200);
        assert_eq!(list, json!({"items": [second, first]}));
        assert_eq!(bob.get("/v1/notes/list").await.expect(200), json!({"items": []}));
    }

    async fn bad_notes_are_refused(app: TestApp = notes) {
        app.create_city("shop").await;
        let user = app.user(&app.token("shop", "ann").await);
        let add = async |text| user.post("/v1/notes/add", json!({"text": text})).await;
        add("milk").await.expect_error(500, "missing_config");
        let input = json!({"key": "NOTES_BANNED_WORDS", "value": "spam, Scam"});
        app.admin().post("/v1/env/upsert", input).await.expect(200);
        add("Buy SPAM!").await.expect_error(422, "unprocessable");
        add("scams").await.expect_error(422, "unprocessable");
        let error = add(" ").await.expect_error(400, "invalid_input");
        assert_eq!(error["details"], json!([{"path": "text", "message": "is empty"}]));
        assert_eq!(user.get("/v1/notes/list").await.expect(200), json!({"items": []}));
    }

    async fn guests_and_the_trusted_side_keep_no_notes(app: TestApp = notes) {
        let note = json!({"text": "milk"});
        app.guest().post("/v1/notes/add", note.clone()).await.expect_error(401, "missing_credential");
        app.admin().post("/v1/notes/add", note).await.expect_error(403, "forbidden");
    }

    async fn the_trusted_side_removes_notes_and_leaves_a_trail(app: TestApp = notes) {
        app.create_city("shop").await;
        let input = json!({"key": "NOTES_BANNED_WORDS", "value": "spam"});
        app.admin().post("/v1/env/upsert", input).await.expect(200);
        let ann = app.user(&app.token("shop", "ann").await);
        let note = ann.post("/v1/notes/add", json!({"text": "milk"})).await.expect(200);
        let input = json!({"city_id": "shop", "note_id": note["note_id"]});
        app.admin().post("/v1/notes/remove", input.clone()).await.expect(200);
        assert_eq!(ann.get("/v1/notes/list").await.expect(200), json!({"items": []}));
        let rows = app.admin().get("/v1/audit/list?action=notes/*").await.expect(200);
        let row = &rows["items"][0];
        assert_eq!((&row["action"], &row["before"]), (&json!("notes/remove"), &note));
        assert_eq!(rows["items"].as_array().unwrap().len(), 1);
        app.admin().post("/v1/notes/remove", input).await.expect_error(404, "not_found");
    }

    async fn documents_show_the_service(app: TestApp = notes) {
        let services = app.guest().get("/v1/services").await.expect(200);
        let own = services["items"].as_array().unwrap().last().unwrap();
        assert_eq!((&own["id"], &own["env"][0]["required"]), (&json!("notes"), &json!(true)));
        let text = app.admin().get("/v1/base/instruction").await.text();
        assert!(text.contains("\n- POST /v1/notes/add | auth: user | Keep a note.\n"), "{text}");
    }
}
