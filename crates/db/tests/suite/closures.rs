//! Closures that are run twice, panic, take too long, or write where they may only read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use downcity_db::{Db, DbError, DbErrorKind, Engine, Tx, sql};
use tokio::sync::oneshot;

use crate::common::{balance, insert, on_both, open, open_with, stored};

on_both!(
    the_test_kit_runs_every_write_twice,
    a_panic_is_rolled_back_and_reported,
    a_long_statement_is_stopped,
    a_long_closure_is_stopped,
    readers_cannot_write,
    a_reader_sees_one_state,
);

async fn the_test_kit_runs_every_write_twice(engine: Engine) {
    let fixture = open_with(engine, |options| options.replay_writes = true).await;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let revision: i64 = fixture
        .db
        .write(move |tx| {
            counted.fetch_add(1, Ordering::Relaxed);
            assert_eq!(balance(tx, "a")?, None, "the first run was rolled back");
            insert(tx, "a", 7)?;
            tx.bump_revision()
        })
        .await
        .unwrap_or_else(|error: DbError| panic!("{error}"));
    assert_eq!((runs.load(Ordering::Relaxed), revision), (2, 1));
    assert_eq!(fixture.db.revision().await, Ok(1));
    assert_eq!(stored(&fixture.db, "a").await, Some(7));
}

async fn a_panic_is_rolled_back_and_reported(engine: Engine) {
    for replay in [false, true] {
        let fixture = open_with(engine, |options| options.replay_writes = replay).await;
        let panicked: Result<(), DbError> = fixture
            .db
            .write(|tx| {
                insert(tx, "a", 1)?;
                panic!("on purpose")
            })
            .await;
        assert_eq!(panicked.unwrap_err().kind(), DbErrorKind::Panicked);
        let reading: Result<(), DbError> = fixture.db.read(|_tx| panic!("on purpose")).await;
        assert_eq!(reading.unwrap_err().kind(), DbErrorKind::Panicked);
        assert_eq!(stored(&fixture.db, "a").await, None);
        fixture.db.write(|tx| insert(tx, "a", 2)).await.unwrap();
        assert_eq!(stored(&fixture.db, "a").await, Some(2));
    }
}

fn count_for_ever(tx: &mut Tx<'_>) -> Result<i64, DbError> {
    tx.query_one(
        sql!(
            "WITH RECURSIVE numbers(i) AS (
                 SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM numbers WHERE i < $1
             ) SELECT COUNT(*) AS n FROM numbers"
        ),
        &[&i64::MAX],
    )?
    .get("n")
}

async fn a_long_statement_is_stopped(engine: Engine) {
    let fixture = open_with(engine, |options| {
        options.closure_limit = Duration::from_millis(50);
        options.scan_limit = Duration::from_millis(50);
    })
    .await;
    let db = &fixture.db;
    let outcomes: [Result<i64, DbError>; 3] = [
        db.write(count_for_ever).await,
        db.read(count_for_ever).await,
        db.scan(count_for_ever).await,
    ];
    for outcome in outcomes {
        assert_eq!(outcome.unwrap_err().kind(), DbErrorKind::Timeout);
    }
    db.write(|tx| insert(tx, "a", 1)).await.unwrap();
    assert_eq!(stored(db, "a").await, Some(1));
}

async fn a_long_closure_is_stopped(engine: Engine) {
    let fixture =
        open_with(engine, |options| options.closure_limit = Duration::from_millis(50)).await;
    let endless: Result<(), DbError> = fixture
        .db
        .write(|tx| {
            insert(tx, "a", 1)?;
            loop {
                balance(tx, "a")?;
            }
        })
        .await;
    assert_eq!(endless.unwrap_err().kind(), DbErrorKind::Timeout);
    assert_eq!(stored(&fixture.db, "a").await, None);
}

async fn readers_cannot_write(engine: Engine) {
    let fixture = open(engine).await;
    let db: &Db = &fixture.db;
    let read: DbError = db.read(|tx| insert(tx, "a", 1)).await.unwrap_err();
    let scan: DbError = db.scan(|tx| tx.bump_revision()).await.unwrap_err();
    assert_eq!((read.kind(), scan.kind()), (DbErrorKind::ReadOnly, DbErrorKind::ReadOnly));
    assert_eq!(stored(db, "a").await, None);
    assert_eq!(db.revision().await, Ok(0));
}

async fn a_reader_sees_one_state(engine: Engine) {
    let fixture = open(engine).await;
    let db = &fixture.db;
    db.write(|tx| insert(tx, "a", 1)).await.unwrap();
    let (looked, first_look) = oneshot::channel();
    let (written, wait) = std::sync::mpsc::channel::<()>();
    let mut looked = Some(looked);
    let reading = db.scan(move |tx| {
        let before = balance(tx, "a")?;
        if let Some(looked) = looked.take() {
            looked.send(()).unwrap();
        }
        wait.recv().unwrap();
        Ok::<_, DbError>((before, balance(tx, "a")?))
    });
    let writing = async {
        first_look.await.unwrap();
        db.write(|tx| tx.execute(sql!("UPDATE wallets SET balance = 2 WHERE id = $1"), &[&"a"]))
            .await
            .unwrap_or_else(|error: DbError| panic!("{error}"));
        written.send(()).unwrap();
    };
    let (seen, ()) = tokio::join!(reading, writing);
    assert_eq!(seen.unwrap(), (Some(1), Some(1)));
    assert_eq!(stored(db, "a").await, Some(2));
}
