//! Nodes that start at the same moment on an empty database.

use std::sync::Arc;

use downcity_db::testing::TestDatabase;
use downcity_db::{Sql, Tx};
use downcity_testkit::{Engine, TestApp};

use crate::common::lets_in;

/// On SQLite the schema's history has the same table.
static HISTORY: Sql = Sql::new(
    "SELECT CAST(COUNT(*) AS BIGINT) AS steps, CAST(MAX(version) AS BIGINT) AS newest
     FROM schema_history_core",
    file!(),
    line!(),
);

async fn start_together(engine: Engine) {
    let database = Arc::new(TestDatabase::new(engine).unwrap_or_else(|why| panic!("{why}")));
    let start = |seed| {
        TestApp::builder(engine)
            .on(&database)
            // Each would make other secrets.
            .seed(seed)
            .options(|options| options.seeds.clear())
            .try_start()
    };
    let (first, second, third) = tokio::join!(start(1), start(2), start(3));
    let nodes = [first.unwrap(), second.unwrap(), third.unwrap()];

    let made: Vec<_> = nodes.iter().map(|node| node.kernel().first_start().clone()).collect();
    assert_eq!(made.iter().filter(|made| made.city_id.is_some()).count(), 1);
    let keys: Vec<_> = made.iter().filter_map(|made| made.admin_key.clone()).collect();
    assert_eq!(keys.len(), 1, "one of them made the admin key");
    for node in &nodes {
        let reply = node.user(keys[0].expose()).get("/v1/env/list").await;
        assert_eq!(reply.status, 200, "all know it");
    }
    let read = nodes[0].runtime().db().read(|tx: &mut Tx<'_>| {
        let row = tx.query_one(&HISTORY, &[])?;
        Ok::<_, downcity_core::Error>((row.get::<i64>("steps")?, row.get::<i64>("newest")?))
    });
    let (steps, newest) = read.await.unwrap();
    assert_eq!(steps, newest, "each step ran once");

    for issuer in &nodes {
        let request = downcity_core::token::IssueRequest {
            city_id: "city_downcity".to_owned(),
            user_id: "u".to_owned(),
            ..Default::default()
        };
        let token = downcity_core::token::issue(issuer.runtime(), request).unwrap().user_token;
        for node in &nodes {
            let input = serde_json::json!({"user_token": token});
            let admin = node.user(keys[0].expose());
            let status = admin.post("/v1/cities/tokens/verify", input).await.expect(200);
            assert_eq!(status["active"], true);
        }
    }
    for node in &nodes {
        node.stop().await;
    }
}

#[test]
fn three_nodes_start_together_on_an_empty_postgres() {
    downcity_testkit::block_on(start_together(Engine::Postgres));
}

#[test]
fn three_nodes_start_together_on_an_empty_sqlite_file() {
    downcity_testkit::block_on(start_together(Engine::Sqlite));
}

#[test]
fn a_node_joins_while_others_serve() {
    downcity_testkit::block_on(async {
        let app = TestApp::builder(Engine::Postgres).start().await;
        app.create_city("a").await;
        let token = app.token("a", "u").await;
        let joins = (0..3).map(|_| TestApp::builder(Engine::Postgres).on_database_of(&app).start());
        for node in futures_util::future::join_all(joins).await {
            assert!(lets_in(&node, &token).await);
            node.stop().await;
        }
    });
}
