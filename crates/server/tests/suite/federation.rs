//! A Federation as a library: starts, restarts, and what keeps it from starting.

use downcity_core::Body;
use downcity_core::env::MasterKey;
use downcity_core::token::IssueRequest;
use downcity_db::testing::TestDatabase;
use downcity_db::{DbOptions, DbUrl, Engine};
use downcity_server::{Config, FailureKind, Federation, StartError};
use downcity_testkit::{block_on, tokio};
use http::Request;

use crate::support::{ADMIN_KEY, Running, builder, connect};

fn on_both_engines(test: impl AsyncFn(TestDatabase)) {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        block_on(test(TestDatabase::new(engine).unwrap()));
    }
}

async fn refused(starting: impl Future<Output = Result<Federation, StartError>>) -> StartError {
    match starting.await {
        Ok(_) => panic!("it started"),
        Err(error) => error,
    }
}

#[test]
fn a_second_start_keeps_secrets_cities_and_tokens() {
    on_both_engines(async |database| {
        let first = builder(&database, |_| ()).build().await.unwrap();
        assert_eq!(first.first_start().city_id.as_deref(), Some("city_downcity"));
        let request = IssueRequest {
            city_id: "city_downcity".into(),
            user_id: "user_1".into(),
            ..IssueRequest::default()
        };
        let token = first.issue_token(request).unwrap().user_token;
        assert!(first.shutdown().await);

        let second = builder(&database, |_| ()).build().await.unwrap();
        assert_eq!(second.first_start().city_id, None);
        let mut connection = connect(&second).await;
        assert_eq!(connection.admin_get("/v1/cities/list").await.status, 200);
        let bearer = format!("authorization: Bearer {token}\r\n");
        // Known and valid, but no admin.
        assert_eq!(connection.get("/v1/cities/list", &bearer).await.status, 403);
        assert!(second.is_healthy().await);
        assert!(second.shutdown().await);
    });
}

#[test]
fn another_master_key_is_refused() {
    on_both_engines(async |database| {
        let first = builder(&database, |_| ()).build().await.unwrap();
        assert!(first.shutdown().await);
        let other = MasterKey::parse("another passphrase, also longer than 32 characters").unwrap();
        let error = refused(builder(&database, |_| ()).master_key(other).build()).await;
        assert_eq!(error.kind(), FailureKind::NotAllowed);
        assert!(error.to_string().contains("another master key"), "{error}");
    });
}

#[test]
fn requests_are_answered_without_a_socket() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let request = Request::get("/livez").body(Body::Empty).unwrap();
        assert_eq!(running.federation.handle(request).await.status(), 200);
    });
}

#[test]
fn a_port_in_use_is_a_conflict_and_costs_no_migration() {
    block_on(async {
        let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let database = TestDatabase::new(Engine::Sqlite).unwrap();
        let error = refused(builder(&database, |_| ()).listen(address).build()).await;
        assert_eq!(error.kind(), FailureKind::Conflict);
        assert_eq!(
            error.to_string(),
            format!(
                "Cannot listen on {address}: another program listens there; stop it, or choose \
                 another port with --listen, PORT or server.listen."
            )
        );
        assert!(!database.url().sqlite_path().unwrap().exists());
    });
}

#[test]
fn a_database_that_cannot_be_opened_is_told_without_its_password() {
    block_on(async {
        // Nothing listens on this port: it is free, for it was just given back.
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut config = Config::default();
        config.database.url = format!("postgres://app:geheim@127.0.0.1:{port}/fed");
        let key = MasterKey::parse("a passphrase for tests, of more than 32 characters").unwrap();
        let error = refused(Federation::builder().config(config).master_key(key).build()).await;
        assert_eq!(error.kind(), FailureKind::Unreachable);
        assert!(error.to_string().contains("Check that the server runs"), "{error}");
        assert!(!error.to_string().contains("geheim"), "{error}");
    });
}

#[test]
fn a_file_that_cannot_be_made_is_not_allowed() {
    block_on(async {
        let folder = tempfile::TempDir::new().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        let url = DbUrl::sqlite(folder.path().join("file/fed.sqlite"));
        let database = TestDatabase::new(Engine::Sqlite).unwrap();
        let builder = builder(&database, |_| ()).database(DbOptions::new(url));
        let error = refused(builder.build()).await;
        assert_eq!(error.kind(), FailureKind::NotAllowed);
        assert!(error.to_string().contains("Check that this user may write"), "{error}");
    });
}

#[test]
fn postgres_needs_a_master_key() {
    block_on(async {
        let mut config = Config::default();
        config.database.url = "postgres://app@127.0.0.1/fed".to_owned();
        let error = refused(Federation::builder().config(config).build()).await;
        assert_eq!(error.kind(), FailureKind::NotAllowed);
        assert!(error.to_string().contains("DOWNCITY_FEDERATION_MASTER_KEY"), "{error}");
    });
}

#[test]
fn the_admin_key_can_be_read_while_a_server_runs() {
    on_both_engines(async |database| {
        let running = builder(&database, |_| ()).build().await.unwrap();
        let key = builder(&database, |_| ()).admin_key().await.unwrap();
        assert_eq!(key.expose(), ADMIN_KEY);
        assert!(running.is_healthy().await);
    });
}

#[test]
fn without_a_database_there_is_no_admin_key() {
    block_on(async {
        let database = TestDatabase::new(Engine::Sqlite).unwrap();
        let error = builder(&database, |_| ()).admin_key().await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::NotFound);
        assert!(!database.url().sqlite_path().unwrap().exists());
    });
}
