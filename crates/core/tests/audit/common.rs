//! Short ways to look at the trail.

use downcity_core::audit::{self, Anchor, Problem, Verification};
use downcity_db::{Tx, sql};
use downcity_testkit::{Client, TestApp};
use serde_json::{Value, json};

/// The rows of a query of `audit/list`, newest first.
pub(crate) async fn list(client: &Client, query: &str) -> Vec<Value> {
    let page = client.get(&format!("/v1/audit/list?{query}")).await.expect(200);
    assert_eq!(page.get("next_cursor"), None, "{query} is one page");
    page["items"].as_array().unwrap().clone()
}

/// Every row that follows this number, oldest first.
pub(crate) async fn since(app: &TestApp, seq: i64) -> Vec<Value> {
    let mut rows = list(&app.admin(), "limit=1000").await;
    rows.retain(|row| row["seq"].as_i64().unwrap() > seq);
    rows.reverse();
    rows
}

/// The number of the last row.
pub(crate) async fn last(app: &TestApp) -> i64 {
    let newest = app.admin().get("/v1/audit/list?limit=1").await.expect(200);
    newest["items"][0]["seq"].as_i64().unwrap()
}

pub(crate) async fn verify(app: &TestApp) -> Verification {
    audit::verify(app.runtime().db(), None, |_, _| ()).await.unwrap()
}

/// What is wrong when this row is expected to have had this hash.
pub(crate) async fn broken_at(app: &TestApp, anchor: Option<&Anchor>) -> Option<(i64, Problem)> {
    let found = audit::verify(app.runtime().db(), anchor, |_, _| ()).await.unwrap();
    found.broken.map(|broken| (broken.seq, broken.problem))
}

pub(crate) async fn assert_whole(app: &TestApp) {
    let found = verify(app).await;
    assert_eq!((found.broken, found.rows), (None, last(app).await));
}

/// A service key for these actions and cities, and its record.
pub(crate) async fn service_key(
    app: &TestApp,
    actions: &[&str],
    cities: &[&str],
) -> (Client, Value) {
    let input = json!({"name": "Shop's server", "actions": actions, "cities": cities});
    let issued = app.admin().post("/v1/keys/create", input).await.expect(200);
    (app.user(issued["key"].as_str().unwrap()), issued)
}

/// Everything that writes of the trusted side can change, as text.
pub(crate) async fn dump(app: &TestApp) -> Vec<String> {
    let statements = [
        sql!("SELECT city_id || name || status || CAST(updated_at AS TEXT) FROM cities ORDER BY 1"),
        sql!("SELECT key || value || updated_at FROM env ORDER BY 1"),
        sql!("SELECT key || CAST(version AS TEXT) || value FROM env_versions ORDER BY 1"),
        sql!(
            "SELECT key_id || COALESCE(CAST(revoked_at AS TEXT), '-') FROM service_keys ORDER BY 1"
        ),
        sql!(
            "SELECT kind || city_id || subject || CAST(revision AS TEXT) FROM revocations ORDER BY 1"
        ),
        sql!("SELECT scope || key || reply FROM idempotency ORDER BY 1"),
        sql!(
            "SELECT key_id || secret || CAST(COALESCE(retired_at, 0) AS TEXT) FROM signing_keys
             ORDER BY 1"
        ),
        sql!("SELECT hash FROM audit ORDER BY seq"),
        sql!("SELECT CAST(seq AS TEXT) || hash FROM audit_head"),
        sql!("SELECT CAST(value AS TEXT) FROM db_revision"),
    ];
    let read = move |tx: &mut Tx<'_>| {
        let mut texts = Vec::new();
        for statement in statements {
            for row in tx.query(statement, &[])? {
                texts.push(row.at::<String>(0)?);
            }
        }
        Ok::<_, downcity_core::Error>(texts)
    };
    app.runtime().db().scan(read).await.unwrap()
}

/// Damage to a database.
pub(crate) trait ByHand {
    /// Runs SQL beside the node, as somebody with access to the database can.
    fn by_hand(&self, sql: &str);
}

impl ByHand for TestApp {
    fn by_hand(&self, sql: &str) {
        self.database().execute(sql).unwrap();
    }
}
