//! Rows that somebody writes into the tables by hand.

use downcity_core::env::SYSTEM_KEYS;
use downcity_db::{DbError, sql};
use downcity_testkit::both_engines;
use serde_json::json;

use crate::common::{
    applied, listed, refresh, stored, stored_keys, upsert, versions, write_by_hand,
};

both_engines! {
    async fn a_row_in_the_clear_applies_after_a_refresh_and_is_sealed(app: TestApp) {
        upsert(&app, "EDITED", "first").await;
        write_by_hand(&app, "WRITTEN", "planted by hand").await;
        write_by_hand(&app, "EDITED", "second").await;
        assert_eq!((applied(&app, "WRITTEN"), listed(&app, "WRITTEN").await), (None, None));
        assert_eq!(applied(&app, "EDITED").as_deref(), Some("first"));
        // A list shows what applies; it does not refresh.
        assert_eq!(listed(&app, "EDITED").await.unwrap()["value"], "first");

        assert_eq!(refresh(&app).await, 5);
        for (key, value) in [("WRITTEN", "planted by hand"), ("EDITED", "second")] {
            assert_eq!(applied(&app, key).as_deref(), Some(value));
            assert_eq!(listed(&app, key).await.unwrap()["value"], value);
            let text = stored(&app, key).await.unwrap();
            assert!(text.starts_with("sealed:v1:1:") && !text.contains(value), "{text}");
        }
        let sealed = stored(&app, "WRITTEN").await;
        assert_eq!(refresh(&app).await, 5);
        assert_eq!(stored(&app, "WRITTEN").await, sealed, "what is sealed is left alone");
    }

    async fn all_four_columns_may_be_written(app: TestApp) {
        let insert = app.runtime().db().write(|tx| {
            tx.execute(
                sql!(
                    "INSERT INTO env (key, value, created_at, updated_at)
                     VALUES ('K', 'v', '2024-01-01T00:00:00.000Z', '')"
                ),
                &[],
            )
        });
        insert.await.map_err(|error: DbError| error).unwrap();
        refresh(&app).await;
        let read = app.runtime().db().read(|tx| {
            let sql = sql!("SELECT created_at, updated_at FROM env WHERE key = 'K'");
            let row = tx.query_one(sql, &[])?;
            Ok::<_, DbError>((row.get::<String>("created_at")?, row.get::<String>("updated_at")?))
        });
        let (created_at, updated_at) = read.await.unwrap();
        assert_eq!(created_at, "2024-01-01T00:00:00.000Z", "what was noted stays");
        assert_eq!(updated_at, "2026-01-02T03:04:05.678Z", "the test clock's time");
    }

    async fn keys_are_normalised_and_doubtful_rows_reported(app: TestApp) {
        write_by_hand(&app, " lower_case ", "one").await;
        write_by_hand(&app, "TWICE", "upper").await;
        write_by_hand(&app, "twice", "lower").await;
        write_by_hand(&app, "no-key", "x").await;
        assert_eq!(refresh(&app).await, 5);
        assert_eq!(applied(&app, "LOWER_CASE").as_deref(), Some("one"));
        assert_eq!(applied(&app, "TWICE").as_deref(), Some("upper"));
        assert!(stored(&app, "LOWER_CASE").await.unwrap().starts_with("sealed:v1:1:"));
        for key in ["twice", "no-key"] {
            let entry = listed(&app, key).await.unwrap();
            assert_eq!((&entry["value"], &entry["masked"]), (&json!(""), &json!(true)));
            assert!(entry["error"].as_str().unwrap().ends_with('.'), "{entry}");
        }
        let snapshot = app.runtime().snapshot();
        let reported: Vec<_> = snapshot.env().unreadable().map(|(key, _)| key).collect();
        assert_eq!(reported, ["no-key", "twice"]);
    }

    async fn a_sealed_text_works_in_its_own_row_only(app: TestApp) {
        upsert(&app, "MINE", "worth a lot").await;
        upsert(&app, "OTHER", "worth less").await;
        let mine = stored(&app, "MINE").await.unwrap();
        write_by_hand(&app, "OTHER", &mine).await;
        write_by_hand(&app, "NEW", &mine).await;
        write_by_hand(&app, "DAMAGED", "sealed:v1:nonsense").await;
        assert_eq!(refresh(&app).await, 4);
        for key in ["OTHER", "NEW", "DAMAGED"] {
            assert_eq!(applied(&app, key), None);
            assert!(listed(&app, key).await.unwrap()["error"].is_string());
        }
        assert_eq!(applied(&app, "MINE").as_deref(), Some("worth a lot"));
        // Setting a value mends a row, removing it too.
        upsert(&app, "OTHER", "set again").await;
        upsert(&app, "DAMAGED", "set again").await;
        let removed = app.admin().post("/v1/env/remove", json!({"key": "NEW"})).await;
        assert_eq!(removed.expect(200)["removed"], true);
        assert_eq!(applied(&app, "DAMAGED").as_deref(), Some("set again"));
        assert_eq!(listed(&app, "OTHER").await.unwrap().get("error"), None);
        assert_eq!(listed(&app, "NEW").await, None);
    }

    async fn a_deleted_row_is_gone_after_a_refresh(app: TestApp) {
        upsert(&app, "K", "v").await;
        let delete = sql!("DELETE FROM env WHERE key = 'K'");
        let deleted = app.runtime().db().write(move |tx| tx.execute(delete, &[]));
        deleted.await.map_err(|error: DbError| error).unwrap();
        assert_eq!(applied(&app, "K").as_deref(), Some("v"));
        assert_eq!(refresh(&app).await, 3);
        assert_eq!(applied(&app, "K"), None);
        assert_eq!(stored_keys(&app).await.len(), SYSTEM_KEYS.len());
    }

    async fn a_previous_version_can_be_put_back(app: TestApp) {
        for value in ["one", "two", "two", "three"] {
            upsert(&app, "K", value).await;
        }
        let kept = versions(&app, "K").await;
        let numbers: Vec<i64> = kept.iter().map(|(version, _)| *version).collect();
        assert_eq!(numbers, [1, 2], "an unchanged value makes no version");
        write_by_hand(&app, "K", &kept[0].1).await;
        refresh(&app).await;
        assert_eq!(applied(&app, "K").as_deref(), Some("one"));
        upsert(&app, "K", "four").await;
        assert!(stored(&app, "K").await.unwrap().starts_with("sealed:v1:3:"));
        assert_eq!(versions(&app, "K").await.len(), 2);
    }

    async fn twenty_previous_versions_are_kept_and_outlive_a_removal(app: TestApp) {
        for number in 1..=25 {
            upsert(&app, "K", &format!("value {number}")).await;
        }
        let numbers = |kept: &[(i64, String)]| (kept[0].0, kept[kept.len() - 1].0, kept.len());
        assert_eq!(numbers(&versions(&app, "K").await), (5, 24, 20));
        app.admin().post("/v1/env/remove", json!({"key": "K"})).await.expect(200);
        let kept = versions(&app, "K").await;
        assert_eq!(numbers(&kept), (6, 25, 20));
        assert!(kept.iter().all(|(version, text)| {
            text.starts_with(&format!("sealed:v1:{version}:")) && !text.contains("value")
        }));
        upsert(&app, "K", "again").await;
        assert!(stored(&app, "K").await.unwrap().starts_with("sealed:v1:26:"));
    }
}
