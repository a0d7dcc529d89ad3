//! A database with many wallets' entries and many facts, as years of use leave it.
//!
//! The rows are those that the services write, sums and totals included, so that `fed ledger verify`
//! finds nothing amiss; but they are made by the database itself, thousands per statement.

use anyhow::{Context as _, Result};
use downcity_db::{Db, DbError, DbOptions, DbUrl, Sql, sql};

use crate::report::progress;

/// Users; entries and facts are spread evenly over them.
pub(crate) const USERS: i64 = 10_000;
/// Rows per transaction.
const CHUNK: i64 = 20_000;
/// Milliseconds of the days over which the rows are spread.
const SPAN: i64 = 90 * DAY;
const DAY: i64 = 86_400_000;
/// What every wallet was given at first, in microcredits.
const GIVEN: i64 = 1_000_000_000_000;

/// Fills the database with so many ledger entries and as many facts, the last one a day ago.
pub(crate) async fn fill(url: DbUrl, rows: i64, now: i64) -> Result<()> {
    let db = Db::open(DbOptions::new(url), &[]).await.context("opening the database to fill")?;
    let begin = now - DAY - SPAN;
    // The trigger lets entries in one by one; these come many at a time.
    once(&db, sql!("DROP TRIGGER IF EXISTS balance_ledger_grows_at_its_end"), &[]).await?;
    let users = USERS.min(rows);
    once(&db, wallets(), &[rows, users, GIVEN, begin]).await?;
    once(&db, lots(), &[]).await?;
    let mut from = 0;
    while from < rows {
        let to = (from + CHUNK).min(rows);
        let span = [from, to, users, GIVEN, begin, rows, SPAN];
        once(&db, entries(), &span).await?;
        once(&db, charges(), &[from.max(users), to, users, begin, rows, SPAN]).await?;
        once(&db, facts(), &[from, to, users, begin, rows, SPAN]).await?;
        if to % 1_000_000 == 0 {
            progress(&format!("{to} of {rows} rows"));
        }
        from = to;
    }
    let end = (now - DAY) << 20;
    for statement in [of_users(), daily(), daily_users()] {
        once(&db, statement, &[]).await?;
    }
    once(&db, sql!("UPDATE usage_state SET summed_to = $1 WHERE id = 1"), &[end]).await?;
    once(&db, sql!("ANALYZE"), &[]).await?;
    db.close().await;
    Ok(())
}

async fn once(db: &Db, statement: &'static Sql, values: &[i64]) -> Result<()> {
    let values = values.to_vec();
    let written = db.write(move |tx| {
        let values: Vec<&dyn downcity_db::ToValue> =
            values.iter().map(|value| value as &dyn downcity_db::ToValue).collect();
        tx.execute(statement, &values).map(drop)
    });
    written.await.map_err(|error: DbError| error).context("filling the database")
}

fn wallets() -> &'static Sql {
    sql!(
        "INSERT INTO balance_wallets (wallet_id, scope, user_id, balance, held, entries,
           next_expiry, created_at, updated_at)
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $2)
         SELECT 'wal_' || i, '', 'user_' || i, $3 - (($1 - i + $2 - 1) / $2 - 1), 0,
           ($1 - i + $2 - 1) / $2, 9223372036854775807, $4, $4 + i FROM n"
    )
}

fn lots() -> &'static Sql {
    sql!(
        "INSERT INTO balance_lots (wallet_id, seq, amount, remaining, expires_at)
         SELECT wallet_id, 1, balance + entries - 1, balance, 9223372036854775807
         FROM balance_wallets"
    )
}

fn entries() -> &'static Sql {
    sql!(
        "INSERT INTO balance_ledger (wallet_id, seq, entry_id, user_id, city_id, kind, amount,
           balance_after, note, ref, metadata, actor, effect, created_at)
         WITH RECURSIVE n(i) AS (SELECT $1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $2)
         SELECT 'wal_' || (i % $3), i / $3 + 1, 'bal_' || i, 'user_' || (i % $3), 'bench',
           CASE WHEN i < $3 THEN 'add' ELSE 'charge' END, CASE WHEN i < $3 THEN $4 ELSE -1 END,
           $4 - i / $3, 'a call', CASE WHEN i < $3 THEN '' ELSE 'req_' || i END, '{}', 'system',
           NULL, $5 + CAST(i * 1.0 / $6 * $7 AS BIGINT) FROM n"
    )
}

fn charges() -> &'static Sql {
    sql!(
        "INSERT INTO balance_charges (charge_id, wallet_id, user_id, city_id, amount, unpaid,
           refunded, status, hold_id, entry, note, ref, metadata, created_at)
         WITH RECURSIVE n(i) AS (SELECT $1 WHERE $1 < $2 UNION ALL
           SELECT i + 1 FROM n WHERE i + 1 < $2)
         SELECT 'chg_' || i, 'wal_' || (i % $3), 'user_' || (i % $3), 'bench', 1, 0, 0, 'settled', '',
           i / $3 + 1, 'a call', 'req_' || i, '{}', $4 + CAST(i * 1.0 / $5 * $6 AS BIGINT) FROM n"
    )
}

fn facts() -> &'static Sql {
    sql!(
        "INSERT INTO usage_events (id, request_id, city_id, user_id, service, action, status,
           http_status, code, error, streamed, provider_id, model_id, upstream_model, input_tokens,
           output_tokens, cached_tokens, image_count, audio_seconds, video_seconds, first_byte_ms,
           duration_ms, charge_microcredits, hold_id, charge_id, details_json, started_at, ended_at,
           created_at)
         WITH RECURSIVE n(i, at) AS (
           SELECT $1, $4 + CAST($1 * 1.0 / $5 * $6 AS BIGINT) UNION ALL
           SELECT i + 1, $4 + CAST((i + 1) * 1.0 / $5 * $6 AS BIGINT) FROM n WHERE i + 1 < $2)
         SELECT at * 1048576 + i % 1048576, 'req_' || i, CASE WHEN i % 3 = 0 THEN 'bench' ELSE 'shop' END,
           'user_' || (i % $3), 'ai', 'text', CASE WHEN i % 50 = 0 THEN 'error' ELSE 'success' END,
           CASE WHEN i % 50 = 0 THEN 502 ELSE 200 END, NULL, NULL, FALSE, 'bench',
           'model_' || (i % 5), 'bench', 100, 50, 0, NULL, NULL, NULL, 200, 900, 1, NULL, 'chg_' || i,
           NULL, at, at + 900, at + 900 FROM n"
    )
}

fn of_users() -> &'static Sql {
    sql!(
        "INSERT INTO usage_of_users (user_id, city_id, id)
         SELECT user_id, city_id, id FROM usage_events ORDER BY user_id, city_id, id"
    )
}

fn daily() -> &'static Sql {
    sql!(
        "INSERT INTO usage_daily (day, city_id, service, action, model_id, status, calls,
           input_tokens, output_tokens, cached_tokens, image_count, audio_seconds, video_seconds,
           duration_ms, charge_microcredits)
         SELECT id / 1048576 / 86400000, city_id, service, action, model_id, status,
           CAST(COUNT(*) AS BIGINT), CAST(SUM(input_tokens) AS BIGINT),
           CAST(SUM(output_tokens) AS BIGINT), CAST(SUM(cached_tokens) AS BIGINT), 0, 0, 0,
           CAST(SUM(duration_ms) AS BIGINT), CAST(SUM(charge_microcredits) AS BIGINT)
         FROM usage_events
         GROUP BY id / 1048576 / 86400000, city_id, service, action, model_id, status"
    )
}

fn daily_users() -> &'static Sql {
    sql!(
        "INSERT INTO usage_daily_users (user_id, city_id, day, service, action, model_id, status,
           calls, input_tokens, output_tokens, cached_tokens, image_count, audio_seconds,
           video_seconds, duration_ms, charge_microcredits)
         SELECT user_id, city_id, id / 1048576 / 86400000, service, action, model_id, status,
           CAST(COUNT(*) AS BIGINT), CAST(SUM(input_tokens) AS BIGINT),
           CAST(SUM(output_tokens) AS BIGINT), CAST(SUM(cached_tokens) AS BIGINT), 0, 0, 0,
           CAST(SUM(duration_ms) AS BIGINT), CAST(SUM(charge_microcredits) AS BIGINT)
         FROM usage_events
         GROUP BY user_id, city_id, id / 1048576 / 86400000, service, action, model_id, status"
    )
}
