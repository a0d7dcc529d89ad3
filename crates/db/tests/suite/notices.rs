//! Handles on the same database hear of each other's changes.

use std::time::Duration;

use downcity_db::{Db, DbError, DbErrorKind, Engine};
use tokio::time::timeout;

use crate::common::{insert, on_both, open, open_with, reopen};

on_both!(own_commits_are_seen_at_once, another_handle_hears_within_a_second);

const NEVER: Duration = Duration::from_secs(3_600);

async fn bump(db: &Db) -> i64 {
    db.write(|tx| tx.bump_revision()).await.unwrap_or_else(|error: DbError| panic!("{error}"))
}

async fn own_commits_are_seen_at_once(engine: Engine) {
    let fixture = open_with(engine, |options| options.poll_interval = NEVER).await;
    let seen = fixture.db.watch();
    assert_eq!(*seen.borrow(), 0);
    assert_eq!(bump(&fixture.db).await, 1);
    assert_eq!(*seen.borrow(), 1, "out before the writer is answered");

    let rolled_back: Result<(), DbError> = fixture
        .db
        .write(|tx| {
            assert_eq!(tx.bump_revision()?, 2);
            insert(tx, "a", -1)
        })
        .await;
    assert_eq!(rolled_back.unwrap_err().kind(), DbErrorKind::CheckViolation);
    assert_eq!(*seen.borrow(), 1);
    assert_eq!(fixture.db.revision().await, Ok(1));
}

async fn another_handle_hears_within_a_second(engine: Engine) {
    let fixture = open(engine).await;
    let other = reopen(&fixture.database, |_options| {}).await;
    let mut seen = other.watch();
    let revision = bump(&fixture.db).await;
    timeout(Duration::from_secs(1), seen.wait_for(|seen| *seen == revision))
        .await
        .unwrap()
        .unwrap();

    let late = reopen(&fixture.database, |_options| {}).await;
    assert_eq!(*late.watch().borrow(), revision, "a new handle starts with what there is");
}

/// PostgreSQL tells at once, without waiting for the poll.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_notifies() {
    let fixture = open(Engine::Postgres).await;
    let other = reopen(&fixture.database, |options| options.poll_interval = NEVER).await;
    let mut seen = other.watch();
    // The subscription is made in the background, so the first notices may come before it.
    let told = async {
        loop {
            let revision = bump(&fixture.db).await;
            let heard = seen.wait_for(|seen| *seen == revision);
            if timeout(Duration::from_millis(100), heard).await.is_ok() {
                return;
            }
        }
    };
    timeout(Duration::from_secs(10), told).await.unwrap();
}
