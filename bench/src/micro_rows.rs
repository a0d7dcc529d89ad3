//! Parts of the kernel, measured in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use downcity_db::{Db, DbError, DbOptions, Migration, MigrationSet, MigrationSql, sql};
use futures_util::future::try_join_all;
use tokio_util::task::TaskTracker;

use crate::Bench;
use crate::report::{Report, Row, Target};
use crate::sample::median;

const WRITES: &str = "SQLite durable writes, 64 writers";
const WRITERS: usize = 64;

/// Measures all rows of this group that are wanted.
pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    if bench.wants(&[WRITES]) {
        let (many, one) = bench.runtime.block_on(writes(bench))?;
        report.add(
            Row::alone(WRITES, "rows/s", many, Target::AtLeast(15_000.0)).against("1 writer", one),
        );
    }
    Ok(())
}

const TABLE: MigrationSet = MigrationSet {
    service: "bench",
    steps: &[Migration {
        version: 1,
        name: "init",
        sql: MigrationSql::Same(
            "CREATE TABLE bench_rows (id BIGINT NOT NULL PRIMARY KEY, text TEXT NOT NULL)",
        ),
    }],
};

/// Rows per second of many writers and of a single one; each row is a transaction of its own that
/// is on disk when its writer goes on.
async fn writes(bench: &Bench) -> Result<(f64, f64)> {
    let path = bench.dir.path().join("writes.sqlite");
    let url = format!("sqlite:{}", path.display()).parse().context("the database's address")?;
    let db = Db::open(DbOptions::new(url), &[TABLE]).await?;
    let (mut many, mut one) = (Vec::new(), Vec::new());
    let next_id = Arc::new(AtomicI64::new(1));
    for _ in 0..bench.plan.rounds {
        for (writers, rates) in [(WRITERS, &mut many), (1, &mut one)] {
            let length = Duration::from_millis(500 * bench.plan.seconds);
            rates.push(write_for(&db, writers, &next_id, length).await?);
        }
    }
    db.close().await;
    Ok((median(many), median(one)))
}

/// Lets writers insert rows for a time; gives the rows per second.
async fn write_for(
    db: &Db,
    writers: usize,
    next_id: &Arc<AtomicI64>,
    length: Duration,
) -> Result<f64> {
    let stop = Arc::new(AtomicBool::new(false));
    let tasks = TaskTracker::new();
    let begun = Instant::now();
    let working: Vec<_> = (0..writers)
        .map(|_writer| {
            let (db, stop, next_id) = (db.clone(), Arc::clone(&stop), Arc::clone(next_id));
            tasks.spawn(async move {
                let mut rows = 0_u32;
                while !stop.load(Ordering::Relaxed) {
                    insert(&db, next_id.fetch_add(1, Ordering::Relaxed)).await?;
                    rows += 1;
                }
                Ok::<_, DbError>(rows)
            })
        })
        .collect();
    tokio::time::sleep(length).await;
    stop.store(true, Ordering::Relaxed);
    let rows: Vec<Result<u32, DbError>> = try_join_all(working).await?;
    let rows = rows.into_iter().sum::<Result<u32, DbError>>()?;
    Ok(f64::from(rows) / begun.elapsed().as_secs_f64())
}

async fn insert(db: &Db, id: i64) -> Result<(), DbError> {
    db.write(move |tx| {
        tx.execute(
            sql!("INSERT INTO bench_rows (id, text) VALUES ($1, $2)"),
            &[&id, &"a row of some forty characters, as most"],
        )
        .map(drop)
    })
    .await
}
