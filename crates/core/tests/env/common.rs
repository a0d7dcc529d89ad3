//! What the tests of this suite share.

use downcity_core::Error;
use downcity_db::sql;
use downcity_testkit::TestApp;
use serde_json::{Value, json};

/// The value of a key as it stands in the table.
pub(crate) async fn stored(app: &TestApp, key: &'static str) -> Option<String> {
    app.runtime()
        .db()
        .scan(move |tx| {
            let row = tx.query_opt(sql!("SELECT value FROM env WHERE key = $1"), &[&key])?;
            row.map(|row| Ok::<_, Error>(row.get("value")?)).transpose()
        })
        .await
        .unwrap()
}

/// Every key in the table, sorted.
pub(crate) async fn stored_keys(app: &TestApp) -> Vec<String> {
    let read = app.runtime().db().scan(|tx| {
        let rows = tx.query(sql!("SELECT key FROM env"), &[])?;
        rows.iter().map(|row| Ok::<_, Error>(row.get("key")?)).collect::<Result<Vec<String>, _>>()
    });
    let mut keys = read.await.unwrap();
    keys.sort();
    keys
}

/// The previous versions of a key, oldest first.
pub(crate) async fn versions(app: &TestApp, key: &'static str) -> Vec<(i64, String)> {
    let read = app.runtime().db().scan(move |tx| {
        let rows = tx.query(
            sql!("SELECT version, value FROM env_versions WHERE key = $1 ORDER BY version"),
            &[&key],
        )?;
        rows.iter().map(|row| Ok::<_, Error>((row.get("version")?, row.get("value")?))).collect()
    });
    read.await.unwrap()
}

/// Writes a row as somebody with a database shell does.
pub(crate) async fn write_by_hand(app: &TestApp, key: &str, value: &str) {
    let (key, value) = (key.to_owned(), value.to_owned());
    app.runtime()
        .db()
        .write(move |tx| {
            tx.execute(
                sql!(
                    "INSERT INTO env (key, value) VALUES ($1, $2)
                     ON CONFLICT (key) DO UPDATE SET value = excluded.value"
                ),
                &[&key, &value],
            )
            .map_err(Error::from)
        })
        .await
        .unwrap();
}

/// Applies what was written by hand; the number of values that now apply.
pub(crate) async fn refresh(app: &TestApp) -> u64 {
    let reply = app.admin().post("/v1/env/refresh", json!({})).await.expect(200);
    assert_eq!(reply["success"], true);
    reply["count"].as_u64().unwrap()
}

pub(crate) async fn upsert(app: &TestApp, key: &str, value: &str) {
    let input = json!({"key": key, "value": value});
    app.admin().post("/v1/env/upsert", input).await.expect(200);
}

/// The entry of a key in `env/list`.
pub(crate) async fn listed(app: &TestApp, key: &str) -> Option<Value> {
    let list = app.admin().get("/v1/env/list").await.expect(200);
    list["items"].as_array().unwrap().iter().find(|entry| entry["key"] == key).cloned()
}

/// The value that applies on this node.
pub(crate) fn applied(app: &TestApp, key: &str) -> Option<String> {
    app.runtime().snapshot().env().get(key).map(|value| value.expose().to_owned())
}
