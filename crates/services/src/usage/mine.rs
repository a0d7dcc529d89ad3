//! What one user used, day by day.

use std::collections::BTreeMap;

use downcity_core::Result;
use downcity_db::{Row, Sql, Tx, sql};

use super::events::Filter;
use super::records::{MyDay, MySummary, day_text};
use super::summary::Sums;
use super::window::Window;

/// Days that a user sees one by one.
const DAYS: usize = 31;

/// The calls of a day.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Day {
    sums: Sums,
    errors: i64,
    canceled: i64,
}

/// Sums of one user in one city, from a table: `$1` to `$6` are the filter, `$7` and `$8` the span.
macro_rules! per_day {
    ($day:literal, $calls:literal, $table:literal, $span:literal) => {
        sql!(concat!(
            "SELECT ",
            $day,
            " AS g_day, CAST(SUM(",
            $calls,
            ") AS BIGINT) AS calls,
                 CAST(SUM(CASE WHEN status = 'error' THEN ",
            $calls,
            " ELSE 0 END) AS BIGINT)
                     AS errors,
                 CAST(SUM(CASE WHEN status = 'canceled' THEN ",
            $calls,
            " ELSE 0 END) AS BIGINT)
                     AS canceled,
                 CAST(COALESCE(SUM(input_tokens), 0) AS BIGINT) AS input_tokens,
                 CAST(COALESCE(SUM(output_tokens), 0) AS BIGINT) AS output_tokens,
                 CAST(COALESCE(SUM(cached_tokens), 0) AS BIGINT) AS cached_tokens,
                 CAST(SUM(duration_ms) AS BIGINT) AS duration_ms,
                 CAST(SUM(charge_microcredits) AS BIGINT) AS charge_microcredits
             FROM ",
            $table,
            " WHERE user_id = CAST($1 AS TEXT) AND city_id = CAST($2 AS TEXT)
               AND ",
            $span,
            "
               AND (CAST($3 AS TEXT) IS NULL OR service = $3)
               AND (CAST($4 AS TEXT) IS NULL OR action = $4)
               AND (CAST($5 AS TEXT) IS NULL OR model_id = $5)
               AND (CAST($6 AS TEXT) IS NULL OR status = $6)
             GROUP BY ",
            $day
        ))
    };
}

/// The days with calls of the filter's user in its city.
pub(super) fn days(
    tx: &mut Tx<'_>,
    filter: &Filter,
    window: &Window,
) -> Result<BTreeMap<i64, Day>> {
    let in_sums = per_day!("day", "calls", "usage_daily_users", "day >= $7 AND day < $8");
    let old = per_day!(
        "created_at / 86400000",
        "CAST(1 AS BIGINT)",
        "(SELECT id AS own_id FROM usage_of_users
          WHERE user_id = CAST($1 AS TEXT) AND city_id = CAST($2 AS TEXT)
            AND id >= $7 AND id < $8) AS own
         JOIN usage_events ON id = own_id",
        "id >= $7 AND id < $8"
    );
    let fresh = per_day!(
        "created_at / 86400000",
        "CAST(1 AS BIGINT)",
        "usage_events",
        "id >= $7 AND id < $8"
    );
    let [before, after, newest] = window.ids;
    let parts = [(in_sums, window.days), (old, before), (old, after), (fresh, newest)];
    let mut days = BTreeMap::new();
    for (statement, span) in parts {
        if span.0 < span.1 {
            add(tx, statement, filter, span, &mut days)?;
        }
    }
    Ok(days)
}

fn add(
    tx: &mut Tx<'_>,
    statement: &'static Sql,
    filter: &Filter,
    (from, to): (i64, i64),
    days: &mut BTreeMap<i64, Day>,
) -> Result<()> {
    let rows = tx.query(
        statement,
        &[
            &filter.user_id,
            &filter.city_id,
            &filter.service,
            &filter.action,
            &filter.model_id,
            &filter.status,
            &from,
            &to,
        ],
    )?;
    for row in &rows {
        let day = days.entry(row.get("g_day")?).or_default();
        let more = read(row)?;
        day.sums.add(&more.sums);
        day.errors += more.errors;
        day.canceled += more.canceled;
    }
    Ok(())
}

fn read(row: &Row) -> Result<Day> {
    Ok(Day { sums: Sums::read(row)?, errors: row.get("errors")?, canceled: row.get("canceled")? })
}

/// Totals, and days one by one.
pub(super) fn summary(days: BTreeMap<i64, Day>) -> MySummary {
    let mut total = Day::default();
    for day in days.values() {
        total.sums.add(&day.sums);
        total.errors += day.errors;
        total.canceled += day.canceled;
    }
    let sums = total.sums;
    MySummary {
        count: sums.calls,
        errors: total.errors,
        canceled: total.canceled,
        input_tokens: sums.input_tokens,
        output_tokens: sums.output_tokens,
        cached_tokens: sums.cached_tokens,
        charge_microcredits: sums.charge_microcredits,
        avg_duration_ms: sums.avg_duration_ms(),
        days: days.into_iter().rev().take(DAYS).map(my_day).collect(),
    }
}

fn my_day((number, day): (i64, Day)) -> MyDay {
    let sums = day.sums;
    MyDay {
        day: day_text(number),
        count: sums.calls,
        errors: day.errors,
        canceled: day.canceled,
        input_tokens: sums.input_tokens,
        output_tokens: sums.output_tokens,
        cached_tokens: sums.cached_tokens,
        charge_microcredits: sums.charge_microcredits,
        avg_duration_ms: sums.avg_duration_ms(),
    }
}
