//! PostgreSQL: a server that takes connections and then says nothing, and the way back.

use std::time::{Duration, Instant};

use downcity_db::testing::{Proxy, TestDatabase};
use downcity_db::{Db, DbError, DbErrorKind, DbOptions, Engine, sql};
use tokio::time::timeout;

use crate::common::{insert, schema, stored};

/// Some time limits, short so that the tests are.
const LIMIT: Duration = Duration::from_millis(300);
const CONNECT: Duration = Duration::from_millis(300);

/// What this layer adds to a time limit before it gives a server up, and what a busy machine may add.
const SLACK: Duration = Duration::from_millis(3_000);

struct Behind {
    db: Db,
    proxy: Proxy,
    database: TestDatabase,
}

async fn behind_a_proxy(adjust: impl FnOnce(&mut DbOptions)) -> Behind {
    let database = TestDatabase::new(Engine::Postgres).unwrap_or_else(|reason| panic!("{reason}"));
    let proxy = Proxy::start(&database).unwrap();
    let mut options = DbOptions::new(proxy.url());
    options.closure_limit = LIMIT;
    options.scan_limit = LIMIT;
    options.connect_timeout = CONNECT;
    adjust(&mut options);
    let db = Db::open(options, &[schema()]).await.unwrap();
    Behind { db, proxy, database }
}

/// Runs a call that must fail, and says how long it took.
async fn refused(call: impl Future<Output = Result<(), DbError>>) -> (DbError, Duration) {
    let began = Instant::now();
    let ended = timeout(Duration::from_secs(20), call).await.expect("nothing hangs");
    (ended.unwrap_err(), began.elapsed())
}

/// Writes until it works; says how long that took.
async fn until_it_works(db: &Db, id: &'static str) -> Duration {
    let began = Instant::now();
    let work = async {
        while db.write(move |tx| insert(tx, id, 1)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), work).await.expect("the database is found again");
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_is_no_server() {
    let database = TestDatabase::new(Engine::Postgres).unwrap();
    let proxy = Proxy::start(&database).unwrap();
    proxy.stall();
    let mut options = DbOptions::new(proxy.url());
    options.connect_timeout = CONNECT;
    let opened = async { Db::open(options, &[schema()]).await.map(drop) };
    let (error, took) = refused(opened).await;
    assert_eq!(error.kind(), DbErrorKind::Unavailable);
    assert!(error.to_string().contains("no answer in time"), "{error}");
    assert!(took < CONNECT + SLACK, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_fall_silent_are_given_up_and_replaced() {
    let Behind { db, proxy, database: _kept } = behind_a_proxy(|_| ()).await;
    db.write(|tx| insert(tx, "a", 1)).await.unwrap();
    db.ping().await.unwrap();
    proxy.stall();
    let scan = db.scan(|tx| tx.query_one(sql!("SELECT COUNT(*) AS n FROM wallets"), &[]).map(drop));
    let (write, read, scan) =
        tokio::join!(refused(db.write(|tx| insert(tx, "b", 1))), refused(db.ping()), refused(scan));
    for (error, took) in [write, read, scan] {
        assert_eq!(error.kind(), DbErrorKind::Unavailable, "{error}");
        assert!(error.is_transient());
        assert!(took < LIMIT + CONNECT + SLACK, "{took:?}");
    }
    // Known to be away: nobody waits for it any more but the one thread that looks.
    let (mut quick, began) = (0, Instant::now());
    for _ in 0..20 {
        let (_, took) = refused(db.write(|tx| insert(tx, "c", 1))).await;
        quick += usize::from(took < CONNECT / 2);
    }
    assert!(quick >= 5, "{quick} of 20 were refused at once, in {:?}", began.elapsed());
    proxy.mend();
    let took = until_it_works(&db, "d").await;
    println!("writes again after {took:?}");
    assert!(took < Duration::from_secs(1) + SLACK, "{took:?}");
    assert_eq!(stored(&db, "b").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_without_an_answer_is_unknown_and_not_repeated() {
    let Behind { db, proxy, database } = behind_a_proxy(|options| {
        options.write_connections = 1;
        options.closure_limit = Duration::from_secs(1);
    })
    .await;
    // A second's worth of closure: the way is muted after its last statement.
    let (reached, at_the_end) = tokio::sync::oneshot::channel();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let mut reached = Some(reached);
    let write = db.write(move |tx| {
        insert(tx, "a", 1)?;
        if let Some(reached) = reached.take() {
            let _ = reached.send(());
        }
        wait.recv().unwrap();
        Ok::<_, DbError>(())
    });
    let mute = async {
        at_the_end.await.unwrap();
        proxy.mute();
        go_on.send(()).unwrap();
    };
    let ((error, took), ()) = tokio::join!(refused(write), mute);
    assert_eq!(error.kind(), DbErrorKind::CommitUnknown, "{error}");
    assert!(took < Duration::from_secs(2) + SLACK, "{took:?}");
    proxy.mend();
    until_it_works(&db, "b").await;
    let direct = crate::common::reopen(&database, |_| ()).await;
    assert_eq!(stored(&direct, "a").await, Some(1), "it had happened, once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_too_long_for_its_turn_is_refused() {
    let Behind { db, proxy: _way, database: _kept } = behind_a_proxy(|options| {
        options.write_connections = 1;
        options.closure_limit = Duration::from_secs(5);
        options.queue_wait = Duration::from_millis(50);
    })
    .await;
    let (started, has_started) = tokio::sync::oneshot::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let mut started = Some(started);
    let gate = db.write(move |_tx| {
        if let Some(started) = started.take() {
            let _ = started.send(());
            released.recv().unwrap();
        }
        Ok::<_, DbError>(())
    });
    let late = async {
        has_started.await.unwrap();
        let late = db.write(|tx| insert(tx, "late", 1));
        let open = async {
            tokio::time::sleep(Duration::from_millis(120)).await;
            release.send(()).unwrap();
        };
        tokio::join!(biased; late, open).0
    };
    let (gate, late) = tokio::join!(gate, late);
    gate.unwrap();
    let late: DbError = late.unwrap_err();
    assert_eq!(late.kind(), DbErrorKind::Busy, "{late}");
    assert_eq!(stored(&db, "late").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_known_since_when_the_database_is_away() {
    let Behind { db, proxy, database: _kept } =
        behind_a_proxy(|options| options.poll_interval = Duration::from_millis(20)).await;
    assert_eq!(db.unreachable_since(), None);
    let cut = Instant::now();
    proxy.cut();
    let since = async {
        loop {
            match db.unreachable_since() {
                Some(since) => return since,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let since = timeout(Duration::from_secs(10), since).await.unwrap();
    assert!(since + Duration::from_secs(1) >= cut, "not before it was away");
    proxy.mend();
    let back = async {
        while db.unreachable_since().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), back).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_waits_for_a_server_that_comes_late() {
    let database = TestDatabase::new(Engine::Postgres).unwrap();
    let proxy = Proxy::start(&database).unwrap();
    proxy.cut();
    let mut options = DbOptions::new(proxy.url());
    options.open_patience = Duration::from_secs(30);
    let late = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        proxy.mend();
    };
    let schema = [schema()];
    let (opened, ()) = tokio::join!(Db::open(options, &schema), late);
    opened.unwrap().ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_does_not_wait_behind_scans() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let fixture =
            crate::common::open_with(engine, |options| options.scan_connections = 1).await;
        let db = &fixture.db;
        let (started, has_started) = tokio::sync::oneshot::channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let mut started = Some(started);
        let scan = db.scan(move |_tx| {
            if let Some(started) = started.take() {
                let _ = started.send(());
                released.recv().unwrap();
            }
            Ok::<_, DbError>(())
        });
        let load = async {
            has_started.await.unwrap();
            let load = db.load(|tx| {
                tx.query_one(sql!("SELECT COUNT(*) AS n FROM wallets"), &[])?.get::<i64>("n")
            });
            let loaded: Result<i64, DbError> =
                timeout(Duration::from_secs(5), load).await.expect("it does not wait");
            release.send(()).unwrap();
            loaded
        };
        let (scan, load) = tokio::join!(scan, load);
        assert_eq!((scan, load), (Ok(()), Ok(0)), "{engine}");
    }
}
