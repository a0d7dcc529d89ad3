//! Parts of the kernel, measured in this process.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use downcity_core::env::MasterKey;
use downcity_core::token::{IssueRequest, Revocation, issue, revoke};
use downcity_core::{Kernel, KernelOptions, Registry, Runtime, SystemRandom};
use downcity_db::{Db, DbError, DbOptions, DbUrl, Migration, MigrationSet, MigrationSql, sql};
use futures_util::future::try_join_all;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use tokio_util::task::TaskTracker;

use crate::Bench;
use crate::report::{Report, Row, Target};
use crate::sample::median;

const TOKEN: &str = "whole token verification";
const WRITES: &str = "SQLite durable writes, 64 writers";
const WRITERS: usize = 64;
/// Revoked users, and as many revoked tokens, that a verification has to look through.
const REVOKED: u32 = 1_000;

/// Measures all rows of this group that are wanted.
pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    if bench.wants(&[TOKEN]) {
        let nanos = bench.runtime.block_on(verification(bench))?;
        report.add(Row::alone(TOKEN, "ns", nanos, Target::AtMost(1_500.0)));
    }
    if bench.wants(&[WRITES]) {
        let (many, one) = bench.runtime.block_on(writes(bench))?;
        report.add(
            Row::alone(WRITES, "rows/s", many, Target::AtLeast(15_000.0)).against("1 writer", one),
        );
    }
    Ok(())
}

/// Nanoseconds from the headers of a request to its user.
async fn verification(bench: &Bench) -> Result<f64> {
    let (key, _text) = MasterKey::generate(&SystemRandom);
    let database = DbOptions::new(database(bench, "token.sqlite")?);
    let kernel = Kernel::start(KernelOptions::new(database, key), Registry::builder()).await?;
    let runtime = kernel.runtime();
    let city_id = kernel.first_start().city_id.clone().context("no first city")?;
    revoke_others(runtime, &city_id).await?;
    let headers = user_headers(runtime, city_id)?;
    ensure!(runtime.identify(&headers).user().is_some(), "the token does not hold");
    // Many short turns: the median leaves out those in which something else had the processor.
    let turns = 40 * bench.plan.rounds;
    let nanos = median((0..turns).map(|_turn| identify_for(runtime, &headers)));
    kernel.shutdown(Duration::from_secs(5)).await;
    Ok(nanos)
}

fn identify_for(runtime: &Runtime, headers: &HeaderMap) -> f64 {
    const TIMES: u32 = 5_000;
    let begun = Instant::now();
    for _ in 0..TIMES {
        black_box(runtime.identify(black_box(headers)));
    }
    begun.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES)
}

/// A token as products issue them: an id, an end, and a little metadata.
fn user_headers(runtime: &Runtime, city_id: String) -> Result<HeaderMap> {
    let metadata = serde_json::json!({"plan": "pro", "org_id": "org_001"});
    let issued = issue(
        runtime,
        IssueRequest {
            city_id,
            user_id: "user_123".to_owned(),
            metadata: serde_json::from_value(metadata)?,
            ttl: Some("7d".parse()?),
            token_id: None,
        },
    )?;
    let bearer = HeaderValue::try_from(format!("Bearer {}", issued.user_token))?;
    Ok(HeaderMap::from_iter([(AUTHORIZATION, bearer)]))
}

async fn revoke_others(runtime: &Runtime, city_id: &str) -> Result<()> {
    let (city_id, now) = (city_id.to_owned(), runtime.clock().now());
    let revoked = runtime.change(move |tx| {
        for number in 0..REVOKED {
            let city_id = city_id.clone();
            let user_id = format!("gone_{number}");
            revoke(tx, &Revocation::User { city_id: city_id.clone(), user_id }, now)?;
            let token_id = format!("tok_gone_{number}");
            let token = Revocation::Token { city_id: Some(city_id), token_id, expires_at: None };
            revoke(tx, &token, now)?;
        }
        Ok(())
    });
    Ok(revoked.await?)
}

fn database(bench: &Bench, name: &str) -> Result<DbUrl> {
    let path = bench.dir.path().join(name);
    format!("sqlite:{}", Path::display(&path)).parse().context("the database's address")
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
    let db = Db::open(DbOptions::new(database(bench, "writes.sqlite")?), &[TABLE]).await?;
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
