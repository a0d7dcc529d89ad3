//! PostgreSQL: collisions, lost connections, and a server that goes away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use downcity_db::testing::TestDatabase;
use downcity_db::{Db, DbError, DbErrorKind, DbOptions, DbUrl, Engine, Sql, sql};

use crate::common::{Fixture, insert, open, stored};

/// Statements of these tests run on PostgreSQL only, so they are not registered.
static COLLIDE: Sql = Sql::new("SELECT CAST(collide() AS TEXT)", file!(), line!());
static HANG_UP: Sql =
    Sql::new("SELECT pg_terminate_backend(pg_backend_pid()) AS gone", file!(), line!());

/// A counter for the runs of a closure.
fn counter() -> (Arc<AtomicU32>, impl Fn() -> u32) {
    let runs = Arc::new(AtomicU32::new(0));
    let read = Arc::clone(&runs);
    (runs, move || read.load(Ordering::Relaxed))
}

/// `collide()` fails with a serialization failure as often as `times`, counted outside any
/// transaction, and succeeds from then on.
async fn with_collisions(times: u32) -> Fixture {
    let fixture = open(Engine::Postgres).await;
    fixture
        .database
        .execute(&format!(
            "CREATE SEQUENCE tries;
             CREATE FUNCTION collide() RETURNS BIGINT LANGUAGE plpgsql AS $$
             BEGIN
                 IF nextval('tries') <= {times} THEN
                     RAISE EXCEPTION 'collision' USING ERRCODE = '40001';
                 END IF;
                 RETURN 0;
             END $$"
        ))
        .unwrap();
    fixture
}

async fn collide(db: &Db, runs: Arc<AtomicU32>) -> Result<(), DbError> {
    db.write(move |tx| {
        runs.fetch_add(1, Ordering::Relaxed);
        insert(tx, "a", 1)?;
        tx.query_one(&COLLIDE, &[]).map(drop)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn collisions_are_run_again() {
    let fixture = with_collisions(3).await;
    let (runs, count) = counter();
    collide(&fixture.db, runs).await.unwrap();
    assert_eq!(count(), 4);
    assert_eq!(stored(&fixture.db, "a").await, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn collisions_without_end_are_reported() {
    let fixture = with_collisions(1_000).await;
    let (runs, count) = counter();
    let error = collide(&fixture.db, runs).await.unwrap_err();
    assert_eq!(error.kind(), DbErrorKind::SerializationFailure);
    assert!(count() > 3 && count() < 20, "{} runs", count());
    assert_eq!(stored(&fixture.db, "a").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_lost_before_commit_is_replaced() {
    let fixture = open(Engine::Postgres).await;
    let (runs, count) = counter();
    fixture
        .db
        .write(move |tx| {
            insert(tx, "a", 1)?;
            if runs.fetch_add(1, Ordering::Relaxed) == 0 {
                tx.query(&HANG_UP, &[])?;
            }
            Ok::<_, DbError>(())
        })
        .await
        .unwrap();
    assert_eq!(count(), 2);
    assert_eq!(stored(&fixture.db, "a").await, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_lost_at_commit_is_reported_and_not_repeated() {
    let fixture = open(Engine::Postgres).await;
    fixture
        .database
        .execute(
            "CREATE FUNCTION hang_up() RETURNS TRIGGER LANGUAGE plpgsql AS $$
             BEGIN
                 PERFORM pg_terminate_backend(pg_backend_pid());
                 RETURN NULL;
             END $$;
             CREATE CONSTRAINT TRIGGER hang_up AFTER INSERT ON wallets
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hang_up()",
        )
        .unwrap();
    let (runs, count) = counter();
    let error: DbError = fixture
        .db
        .write(move |tx| {
            runs.fetch_add(1, Ordering::Relaxed);
            insert(tx, "a", 1)
        })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), DbErrorKind::CommitUnknown);
    assert!(!error.is_transient(), "only an idempotent call may be repeated");
    assert_eq!(count(), 1);
    assert_eq!(stored(&fixture.db, "a").await, None, "the next call has a new connection");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_was_away_is_found_again() {
    let fixture = open(Engine::Postgres).await;
    fixture.db.write(|tx| insert(tx, "a", 1)).await.unwrap();
    let name = fixture.db.read(|tx| {
        static NAME: Sql = Sql::new("SELECT current_database() AS name", file!(), line!());
        tx.query_one(&NAME, &[])?.get::<String>("name")
    });
    let name = name.await.unwrap_or_else(|error: DbError| panic!("{error}"));
    let server = TestDatabase::new(Engine::Postgres).unwrap();
    server
        .execute(&format!(
            "ALTER DATABASE {name} ALLOW_CONNECTIONS false;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        ))
        .unwrap();
    let started = Instant::now();
    for _ in 0..5 {
        let away = fixture.db.write(|tx| insert(tx, "b", 1)).await.unwrap_err();
        assert_eq!(away.kind(), DbErrorKind::Unavailable, "{away}");
        assert!(away.is_transient());
    }
    assert!(started.elapsed() < Duration::from_secs(5));
    server.execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).unwrap();
    let back = async {
        while fixture.db.write(|tx| insert(tx, "b", 1)).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), back).await.unwrap();
    assert_eq!(stored(&fixture.db, "b").await, Some(1));
}

/// As after a failover: the connection is good, and its server takes no changes any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_no_changes_is_unavailable_until_it_does() {
    let fixture = open(Engine::Postgres).await;
    let read_only = |command: &str| {
        fixture
            .database
            .execute(&format!(
                "BEGIN READ WRITE;
                 DO $$ BEGIN
                     EXECUTE format('ALTER DATABASE %I {command}', current_database());
                 END $$;
                 COMMIT;
                 SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE '{command}' LIKE 'SET %' AND datname = current_database()
                   AND pid <> pg_backend_pid()"
            ))
            .unwrap();
    };
    fixture.db.write(|tx| insert(tx, "a", 1)).await.unwrap();
    read_only("SET default_transaction_read_only = on");
    let refused = fixture.db.write(|tx| insert(tx, "b", 1)).await.unwrap_err();
    assert_eq!(refused.kind(), DbErrorKind::Unavailable, "{refused}");
    assert_eq!(stored(&fixture.db, "a").await, Some(1), "reads go on");
    read_only("RESET default_transaction_read_only");
    fixture.db.write(|tx| insert(tx, "b", 1)).await.unwrap();
    assert_eq!(stored(&fixture.db, "b").await, Some(1));
}

/// Two transactions that wait for each other: the server ends one, which is run again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_run_again() {
    let fixture = open(Engine::Postgres).await;
    fixture.db.write(|tx| insert(tx, "a", 0).and_then(|()| insert(tx, "b", 0))).await.unwrap();
    let both_hold_one = Arc::new(std::sync::Barrier::new(2));
    let (runs, count) = counter();
    let crossed = |first: &'static str, second: &'static str| {
        let (runs, barrier) = (Arc::clone(&runs), Arc::clone(&both_hold_one));
        let mut is_first_run = true;
        fixture.db.write(move |tx| {
            runs.fetch_add(1, Ordering::Relaxed);
            let add = sql!("UPDATE wallets SET balance = balance + 1 WHERE id = $1");
            tx.execute(add, &[&first])?;
            if std::mem::take(&mut is_first_run) {
                barrier.wait();
            }
            tx.execute(add, &[&second])
        })
    };
    let (one, other) = tokio::join!(crossed("a", "b"), crossed("b", "a"));
    let both: Result<Vec<u64>, DbError> = [one, other].into_iter().collect();
    assert_eq!(both.unwrap(), [1, 1]);
    // The one that was ended may take its first row again before the other gets it: then once more.
    assert!(count() >= 3, "one of the two ran again: {}", count());
    assert_eq!(
        (stored(&fixture.db, "a").await, stored(&fixture.db, "b").await),
        (Some(2), Some(2))
    );
}

#[tokio::test]
async fn a_missing_server_is_unavailable_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("postgres:///none?user=fed&host={}", folder.path().display());
    let started = Instant::now();
    let error = Db::open(DbOptions::new(url.parse::<DbUrl>().unwrap()), &[]).await.unwrap_err();
    assert_eq!(error.kind(), DbErrorKind::Unavailable, "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn the_roots_of_a_verified_connection_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    let url =
        format!("postgres://fed@127.0.0.1:1/x?sslmode=verify-full&sslrootcert={}", roots.display());
    let open = || Db::open(DbOptions::new(url.parse::<DbUrl>().unwrap()), &[]);
    let missing = open().await.unwrap_err();
    assert_eq!(missing.kind(), DbErrorKind::Config);
    assert!(missing.to_string().contains("roots.pem"), "{missing}");
    std::fs::write(&roots, "no certificate").unwrap();
    let empty = open().await.unwrap_err();
    assert!(empty.to_string().contains("no certificate in it"), "{empty}");
}
