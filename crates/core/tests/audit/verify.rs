//! What somebody with access to the database changes is found.

use downcity_core::audit::{self, Anchor, Problem};
use downcity_testkit::{Engine, TestApp, both_engines};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::common::{ByHand as _, assert_whole, broken_at, last, service_key, since, verify};

/// Columns that hold text, and whether they may be NULL.
const TEXTS: [(&str, bool); 13] = [
    ("actor", false),
    ("key_id", true),
    ("key_name", true),
    ("action", false),
    ("target_kind", false),
    ("target_id", false),
    ("city_id", true),
    ("before_json", true),
    ("after_json", true),
    ("request_id", true),
    ("client_address", true),
    ("prev_hash", false),
    ("hash", false),
];

/// A trail of ten rows of all kinds, its triggers gone and a copy of it kept.
async fn open_to_change(app: &TestApp) {
    let (client, _) = service_key(app, &["cities/*"], &[]).await;
    let address = "203.0.113.7".parse().unwrap();
    let client = client.at(address);
    client.post("/v1/cities/create", json!({"city_id": "shop", "name": "S"})).await.expect(200);
    let admin = app.admin().at(address);
    for value in ["a", "b"] {
        admin.post("/v1/env/upsert", json!({"key": "K", "value": value})).await.expect(200);
    }
    client.post("/v1/cities/pause", json!({"city_id": "shop"})).await.expect(200);
    admin.post("/v1/cities/remove", json!({"city_id": "shop"})).await.expect(200);
    assert_eq!(last(app).await, 10);
    assert_whole(app).await;
    let sqlite = app.runtime().db().engine() == Engine::Sqlite;
    let guards = [
        ("audit_is_not_changed", "audit"),
        ("audit_is_not_deleted", "audit"),
        ("audit_grows_at_its_end", "audit"),
        ("audit_head_does_not_go_back", "audit_head"),
        ("audit_head_stays", "audit_head"),
    ];
    for (trigger, table) in guards {
        let of = if sqlite { String::new() } else { format!(" ON {table}") };
        app.by_hand(&format!("DROP TRIGGER IF EXISTS {trigger}{of}"));
    }
    app.by_hand(
        "CREATE TABLE audit_copy AS SELECT * FROM audit;
         CREATE TABLE head_copy AS SELECT * FROM audit_head",
    );
}

fn restore(app: &TestApp) {
    app.by_hand(
        "DELETE FROM audit; INSERT INTO audit SELECT * FROM audit_copy;
         DELETE FROM audit_head; INSERT INTO audit_head SELECT * FROM head_copy",
    );
}

/// Runs a change by hand, and says what a check finds then.
async fn after(app: &TestApp, change: &str) -> Option<(i64, Problem)> {
    app.by_hand(change);
    let found = broken_at(app, None).await;
    restore(app);
    assert_eq!(broken_at(app, None).await, None, "restored");
    found
}

/// The hash of a row as the guide for operators describes it, from what the API shows.
fn documented_hash(row: &Value) -> String {
    let fields = [
        "prev_hash",
        "seq",
        "created_at",
        "actor",
        "key_id",
        "key_name",
        "action",
        "target_kind",
        "target_id",
        "city_id",
        "before",
        "after",
        "request_id",
        "client_address",
    ];
    let mut text = "downcity-audit-v1\n".to_owned();
    for field in fields {
        let shown = match &row[field] {
            Value::Null => {
                text.push_str("-\n");
                continue;
            }
            Value::String(time) if field == "created_at" => {
                time.parse::<downcity_types::Timestamp>().unwrap().millis().to_string()
            }
            Value::String(shown) => shown.clone(),
            other => other.to_string(),
        };
        text.push_str(&format!("{}:{shown}\n", shown.len()));
    }
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

both_engines! {
    async fn the_trusted_side_checks_over_http(app: TestApp) {
        open_to_change(&app).await;
        let row = since(&app, 7).await.remove(0);
        let admin = app.admin();
        let check = async |input: Value| admin.post("/v1/audit/verify", input).await;
        let noted = json!({"seq": row["seq"], "hash": row["hash"].as_str().unwrap().to_uppercase()});
        for input in [json!({}), json!({"expect": null}), json!({"expect": noted})] {
            let found = check(input).await.expect(200);
            assert_eq!((&found["ok"], &found["rows"], &found["broken"]), (&json!(true), &json!(10), &Value::Null));
        }
        // Nothing that was checked leaves a row.
        assert_eq!(last(&app).await, 10);
        let zeros = "0".repeat(64);
        let found = check(json!({"expect": {"seq": 3, "hash": zeros}})).await.expect(200);
        assert_eq!((&found["ok"], &found["broken"]["problem"]), (&json!(false), &json!("rewritten")));
        for wrong in [json!({"seq": 0, "hash": zeros}), json!({"seq": 3, "hash": "abc"}), json!({"seq": 3})] {
            check(json!({"expect": wrong})).await.expect_error(400, "invalid_input");
        }
        app.by_hand("DELETE FROM audit WHERE seq = 4");
        let found = check(json!({})).await.expect(200);
        let broken = &found["broken"];
        assert_eq!((&found["ok"], &found["rows"]), (&json!(false), &json!(3)));
        assert_eq!((&broken["seq"], &broken["problem"]), (&json!(4), &json!("missing")));
        assert!(broken["message"].as_str().unwrap().starts_with("row 4 "), "{broken}");
    }

    async fn one_check_runs_at_a_time_and_writers_do_not_wait(app: TestApp) {
        let admin = app.admin();
        let check = || admin.post("/v1/audit/verify", json!({}));
        let write = admin.post("/v1/cities/create", json!({"city_id": "shop", "name": "S"}));
        let (first, second, written) = tokio::join!(check(), check(), write);
        assert_eq!(first.expect(200)["ok"], true);
        second.expect_error(409, "conflict");
        written.expect(200);
        assert_eq!(check().await.expect(200)["ok"], true);
    }

    async fn every_column_of_every_row_is_guarded(app: TestApp) {
        open_to_change(&app).await;
        let rows = since(&app, 0).await;
        let fields = |column: &str| column.strip_suffix("_json").unwrap_or(column).to_owned();
        for row in &rows {
            let seq = row["seq"].as_i64().unwrap();
            let at = format!("WHERE seq = {seq}");
            for (column, may_be_null) in TEXTS {
                let is_null = row[fields(column)] == Value::Null;
                let other = if is_null { "''".to_owned() } else { format!("{column} || 'x'") };
                let change = format!("UPDATE audit SET {column} = {other} {at}");
                assert_eq!(after(&app, &change).await, Some((seq, Problem::Changed)), "{change}");
                if may_be_null && !is_null {
                    let change = format!("UPDATE audit SET {column} = NULL {at}");
                    assert_eq!(after(&app, &change).await, Some((seq, Problem::Changed)), "{change}");
                }
            }
            let change = format!("UPDATE audit SET created_at = created_at + 1 {at}");
            assert_eq!(after(&app, &change).await, Some((seq, Problem::Changed)));
            let moved = format!("UPDATE audit SET seq = seq + 1000 {at}");
            assert_eq!(after(&app, &moved).await, Some((seq, Problem::Missing)));
        }
    }

    async fn rows_that_are_gone_new_or_swapped_show(app: TestApp) {
        open_to_change(&app).await;
        for seq in 1..=10 {
            let gone = after(&app, &format!("DELETE FROM audit WHERE seq = {seq}")).await;
            let problem = if seq == 10 { Problem::CutOff } else { Problem::Missing };
            assert_eq!(gone, Some((seq, problem)));
            let tail = after(&app, &format!("DELETE FROM audit WHERE seq >= {seq}")).await;
            assert_eq!(tail, Some((seq, Problem::CutOff)));
        }
        let columns = "created_at, actor, key_id, key_name, action, target_kind, target_id, city_id,
             before_json, after_json, request_id, client_address, prev_hash, hash";
        for (from, to, found) in [
            (10, 11, (10, Problem::Head)),
            (1, 0, (1, Problem::Missing)),
        ] {
            let change = format!("INSERT INTO audit SELECT {to}, {columns} FROM audit WHERE seq = {from}");
            assert_eq!(after(&app, &change).await, Some(found), "{change}");
        }
        let swapped = "UPDATE audit SET seq = 99 WHERE seq = 5; UPDATE audit SET seq = 5 WHERE seq = 6;
             UPDATE audit SET seq = 6 WHERE seq = 99";
        assert_eq!(after(&app, swapped).await, Some((5, Problem::Changed)));
    }

    async fn the_head_is_guarded_too(app: TestApp) {
        open_to_change(&app).await;
        for (change, found) in [
            ("UPDATE audit_head SET seq = 9", (9, Problem::Head)),
            ("UPDATE audit_head SET seq = 11", (11, Problem::CutOff)),
            ("UPDATE audit_head SET seq = 0", (0, Problem::Head)),
            ("UPDATE audit_head SET hash = 'x'", (10, Problem::Head)),
            ("DELETE FROM audit_head", (0, Problem::NoHead)),
        ] {
            assert_eq!(after(&app, change).await, Some(found), "{change}");
        }
    }

    async fn a_row_with_a_fitting_hash_does_not_fit_the_next(app: TestApp) {
        open_to_change(&app).await;
        let mut rows = since(&app, 0).await;
        for row in &rows {
            assert_eq!(documented_hash(row), row["hash"].as_str().unwrap());
        }
        rows[4]["target_id"] = json!("another");
        let forged = documented_hash(&rows[4]);
        let change = format!("UPDATE audit SET target_id = 'another', hash = '{forged}' WHERE seq = 5");
        assert_eq!(after(&app, &change).await, Some((6, Problem::Unlinked)));
    }

    async fn a_trail_written_anew_shows_against_a_noted_hash(app: TestApp) {
        open_to_change(&app).await;
        let noted = Anchor { seq: 10, hash: verify(&app).await.hash };
        assert_eq!(broken_at(&app, Some(&noted)).await, None);
        // The last row is the easiest to write anew: no other follows it.
        let mut row = since(&app, 9).await.remove(0);
        row["key_name"] = json!("Somebody else");
        let forged = documented_hash(&row);
        app.by_hand(&format!(
            "UPDATE audit SET key_name = 'Somebody else', hash = '{forged}' WHERE seq = 10;
             UPDATE audit_head SET hash = '{forged}'"
        ));
        assert_eq!(broken_at(&app, None).await, None);
        assert_eq!(broken_at(&app, Some(&noted)).await, Some((10, Problem::Rewritten)));
        restore(&app);
        app.by_hand(
            "DELETE FROM audit WHERE seq = 10;
             UPDATE audit_head SET seq = 9, hash = (SELECT hash FROM audit WHERE seq = 9)",
        );
        assert_eq!(broken_at(&app, None).await, None);
        assert_eq!(broken_at(&app, Some(&noted)).await, Some((10, Problem::CutOff)));
    }

    async fn the_tables_refuse_changes(app: TestApp) {
        let refused = |change: &str| {
            let app = app.clone();
            let change = change.to_owned();
            let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| app.by_hand(&change)));
            assert!(ran.is_err(), "{change}");
        };
        for change in [
            "UPDATE audit SET actor = 'x' WHERE seq = 1",
            "DELETE FROM audit WHERE seq = 1",
            "DELETE FROM audit_head",
            "UPDATE audit_head SET seq = seq - 1",
        ] {
            refused(change);
        }
        match app.runtime().db().engine() {
            Engine::Sqlite => refused("REPLACE INTO audit SELECT * FROM audit WHERE seq = 1"),
            Engine::Postgres => refused("TRUNCATE audit"),
        }
        assert_whole(&app).await;
    }

    async fn a_long_trail_is_walked_in_chunks(app: TestApp) {
        let raw: String = (0..900).map(|number| format!("K{number}=v\n")).collect();
        for again in 0..3 {
            let raw = raw.replace("=v", &format!("=v{again}"));
            app.admin().post("/v1/env/import", json!({"raw": raw})).await.expect(200);
        }
        let mut seen = Vec::new();
        let found =
            audit::verify(app.runtime().db(), None, |done, of| seen.push((done, of))).await.unwrap();
        assert_eq!((found.rows, found.broken), (2704, None));
        assert_eq!(seen, [(1000, 2704), (2000, 2704), (2704, 2704)]);
    }
}
