//! Closures that wait together: they neither hurt each other nor get lost.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use downcity_db::{Db, DbError, DbErrorKind, DbOptions, Engine, sql};
use tokio::sync::oneshot;

use crate::common::{insert, on_both, open_with, stored};

on_both!(
    a_failing_closure_does_not_hurt_its_neighbours,
    a_stopped_change_does_not_hurt_its_neighbours,
    a_full_queue_refuses,
    closing_finishes_what_is_queued,
    a_dropped_call_that_waits_is_not_run,
);

/// One connection, so that writes wait for each other on both engines alike.
fn narrow(options: &mut DbOptions) {
    options.write_connections = 1;
    options.closure_limit = Duration::from_millis(500);
}

/// Keeps the writer busy until the sender is used. The receiver tells when it has become so.
fn blocked(
    db: &Db,
) -> (impl Future<Output = Result<(), DbError>>, oneshot::Receiver<()>, mpsc::Sender<()>) {
    let (started, has_started) = oneshot::channel();
    let (release, released) = mpsc::channel();
    let mut started = Some(started);
    let db = db.clone();
    let gate = async move {
        db.write(move |_tx| {
            if let Some(started) = started.take() {
                // Not every test waits for this.
                let _ = started.send(());
                released.recv().unwrap();
            }
            Ok::<_, DbError>(())
        })
        .await
    };
    (gate, has_started, release)
}

async fn a_failing_closure_does_not_hurt_its_neighbours(engine: Engine) {
    let fixture = open_with(engine, narrow).await;
    let db = &fixture.db;
    let (gate, _, release) = blocked(db);
    // `join!` polls in this order, so all writes wait when the gate opens.
    let (gate, first, failing, panicking, last, ()) = tokio::join!(
        biased;
        gate,
        db.write(|tx| insert(tx, "a", 1)),
        db.write(|tx| {
            insert(tx, "b", 1)?;
            insert(tx, "c", -1)
        }),
        db.write(|tx| {
            insert(tx, "d", 1)?;
            if true {
                panic!("on purpose");
            }
            Ok::<_, DbError>(())
        }),
        db.write(|tx| insert(tx, "e", 1)),
        async { release.send(()).unwrap() },
    );
    assert_eq!((gate, first, last), (Ok(()), Ok(()), Ok(())));
    assert_eq!(failing.unwrap_err().kind(), DbErrorKind::CheckViolation);
    assert_eq!(panicking.unwrap_err().kind(), DbErrorKind::Panicked);
    for (id, kept) in [("a", Some(1)), ("b", None), ("c", None), ("d", None), ("e", Some(1))] {
        assert_eq!(stored(db, id).await, kept, "{id}");
    }
}

/// On SQLite, a change that is interrupted takes the whole transaction with it, and so the changes
/// of the closures before it in the batch.
async fn a_stopped_change_does_not_hurt_its_neighbours(engine: Engine) {
    let fixture = open_with(engine, narrow).await;
    let db = &fixture.db;
    db.write(|tx| insert(tx, "w", 1)).await.unwrap();
    let (gate, _, release) = blocked(db);
    let (gate, first, panicking, endless, last, ()) = tokio::join!(
        biased;
        gate,
        db.write(|tx| insert(tx, "a", 1)),
        db.write(|_tx| -> Result<(), DbError> { panic!("on purpose") }),
        db.write(|tx| tx.execute(
            sql!(
                "INSERT INTO entries (id, wallet_id, amount)
                 WITH RECURSIVE numbers(i) AS (
                     SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM numbers WHERE i < $1
                 ) SELECT i, 'w', i FROM numbers"
            ),
            &[&i64::MAX],
        )),
        db.write(|tx| insert(tx, "e", 1)),
        async { release.send(()).unwrap() },
    );
    assert_eq!((gate, first, last), (Ok(()), Ok(()), Ok(())));
    assert_eq!(panicking.unwrap_err().kind(), DbErrorKind::Panicked);
    let endless: DbError = endless.unwrap_err();
    assert_eq!(endless.kind(), DbErrorKind::Timeout);
    for id in ["a", "e"] {
        assert_eq!(stored(db, id).await, Some(1), "{id}");
    }
    let entries: i64 = db
        .scan(|tx| tx.query_one(sql!("SELECT COUNT(*) AS n FROM entries"), &[])?.get("n"))
        .await
        .unwrap_or_else(|error: DbError| panic!("{error}"));
    assert_eq!(entries, 0);
}

async fn a_full_queue_refuses(engine: Engine) {
    let fixture = open_with(engine, |options| {
        narrow(options);
        options.queue_limit = 1;
    })
    .await;
    let db = &fixture.db;
    let (gate, started, release) = blocked(db);
    let rest = async {
        started.await.unwrap();
        tokio::join!(
            biased;
            db.write(|tx| insert(tx, "a", 1)),
            db.write(|tx| insert(tx, "b", 1)),
            async { release.send(()).unwrap() },
        )
    };
    let (gate, (waiting, refused, ())) = tokio::join!(gate, rest);
    assert_eq!((gate, waiting), (Ok(()), Ok(())));
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), DbErrorKind::Busy);
    assert!(refused.is_transient());
    assert_eq!(stored(db, "b").await, None);
}

async fn closing_finishes_what_is_queued(engine: Engine) {
    let fixture = open_with(engine, narrow).await;
    let db = &fixture.db;
    let (gate, _, release) = blocked(db);
    let (gate, queued, (), ()) = tokio::join!(
        biased;
        gate,
        db.write(|tx| insert(tx, "a", 1)),
        db.close(),
        async { release.send(()).unwrap() },
    );
    assert_eq!((gate, queued), (Ok(()), Ok(())));
    db.close().await;
    let write = db.write(|tx| insert(tx, "b", 1)).await.unwrap_err();
    let read = db.ping().await.unwrap_err();
    let scan: DbError = db.scan(|tx| insert(tx, "b", 1)).await.unwrap_err();
    for error in [write, read, scan] {
        assert_eq!(error.kind(), DbErrorKind::Closed);
    }
    let reopened = crate::common::reopen(&fixture.database, |_options| {}).await;
    assert_eq!(stored(&reopened, "a").await, Some(1));
}

async fn a_dropped_call_that_waits_is_not_run(engine: Engine) {
    let fixture = open_with(engine, narrow).await;
    let db = &fixture.db;
    let (gate, _, release) = blocked(db);
    let (gate, (), ()) = tokio::join!(
        biased;
        gate,
        async {
            let mut call = pin!(db.write(|tx| insert(tx, "a", 1)));
            // Polled once: queued. Then dropped.
            poll_fn(|context| {
                assert!(call.as_mut().poll(context).is_pending());
                Poll::Ready(())
            })
            .await;
        },
        async { release.send(()).unwrap() },
    );
    assert_eq!(gate, Ok(()));
    db.write(|tx| insert(tx, "b", 1)).await.unwrap();
    assert_eq!((stored(db, "a").await, stored(db, "b").await), (None, Some(1)));
}
