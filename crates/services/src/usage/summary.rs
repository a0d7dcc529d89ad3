//! Sums of facts by what callers ask for.

use downcity_core::Result;
use downcity_db::{Row, Sql, Tx, sql};

use super::events::Filter;
use super::window::Window;

/// What facts are grouped by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GroupBy {
    pub(super) city_id: bool,
    pub(super) user_id: bool,
    pub(super) service: bool,
    pub(super) action: bool,
    pub(super) model_id: bool,
    pub(super) status: bool,
    pub(super) day: bool,
}

/// One group; keys that are not grouped by are empty.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) city_id: String,
    pub(super) user_id: String,
    pub(super) service: String,
    pub(super) action: String,
    pub(super) model_id: String,
    pub(super) status: String,
    /// Days since 1970; 0 when it is not grouped by.
    pub(super) day: i64,
    pub(super) sums: Sums,
}

/// Measures of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) calls: i64,
    pub(super) input_tokens: i64,
    pub(super) output_tokens: i64,
    pub(super) cached_tokens: i64,
    pub(super) duration_ms: i64,
    pub(super) charge_microcredits: i64,
}

impl Sums {
    pub(super) fn add(&mut self, other: &Self) {
        let add = |sum: &mut i64, more: i64| *sum = sum.saturating_add(more);
        add(&mut self.calls, other.calls);
        add(&mut self.input_tokens, other.input_tokens);
        add(&mut self.output_tokens, other.output_tokens);
        add(&mut self.cached_tokens, other.cached_tokens);
        add(&mut self.duration_ms, other.duration_ms);
        add(&mut self.charge_microcredits, other.charge_microcredits);
    }

    /// The measures of a row.
    pub(super) fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            calls: row.get("calls")?,
            input_tokens: row.get("input_tokens")?,
            output_tokens: row.get("output_tokens")?,
            cached_tokens: row.get("cached_tokens")?,
            duration_ms: row.get("duration_ms")?,
            charge_microcredits: row.get("charge_microcredits")?,
        })
    }

    /// The mean duration, in whole milliseconds.
    pub(super) fn avg_duration_ms(&self) -> i64 {
        if self.calls > 0 { self.duration_ms / self.calls } else { 0 }
    }
}

/// The filters that sums and facts have in common.
macro_rules! filters {
    () => {
        " AND (CAST($8 AS TEXT) IS NULL OR city_id = $8)
          AND (CAST($10 AS TEXT) IS NULL OR service = $10)
          AND (CAST($11 AS TEXT) IS NULL OR action = $11)
          AND (CAST($12 AS TEXT) IS NULL OR model_id = $12)
          AND (CAST($13 AS TEXT) IS NULL OR status = $13)"
    };
}

/// The keys of a row, empty where they are not asked for.
macro_rules! keys {
    ($user:literal, $day:literal) => {
        concat!(
            "CASE WHEN CAST($1 AS BOOLEAN) THEN city_id ELSE '' END AS g_city,
             CASE WHEN CAST($2 AS BOOLEAN) THEN ",
            $user,
            " ELSE '' END AS g_user,
             CASE WHEN CAST($3 AS BOOLEAN) THEN service ELSE '' END AS g_service,
             CASE WHEN CAST($4 AS BOOLEAN) THEN action ELSE '' END AS g_action,
             CASE WHEN CAST($5 AS BOOLEAN) THEN model_id ELSE '' END AS g_model,
             CASE WHEN CAST($6 AS BOOLEAN) THEN status ELSE '' END AS g_status,
             CASE WHEN CAST($7 AS BOOLEAN) THEN ",
            $day,
            " ELSE CAST(0 AS BIGINT) END AS g_day,"
        )
    };
}

/// Facts between two ids, from a table.
macro_rules! facts {
    ($table:literal, $from:literal, $to:literal, $user:literal) => {
        concat!(
            " UNION ALL SELECT ",
            keys!("user_id", "created_at / 86400000"),
            " CAST(1 AS BIGINT) AS calls,
              COALESCE(input_tokens, 0) AS input_tokens,
              COALESCE(output_tokens, 0) AS output_tokens,
              COALESCE(cached_tokens, 0) AS cached_tokens, duration_ms, charge_microcredits
              FROM ",
            $table,
            " WHERE id >= ",
            $from,
            " AND id < ",
            $to,
            " AND ",
            $user,
            filters!()
        )
    };
}

/// The sums of a table and of the facts beside them.
macro_rules! summary {
    ($table:literal, $key:literal, $condition:literal) => {
        summary!($table, $key, $condition, "usage_events", "usage_events")
    };
    ($table:literal, $key:literal, $condition:literal, $before:literal, $after:literal) => {
        sql!(concat!(
            "SELECT g_city, g_user, g_service, g_action, g_model, g_status, g_day,
                 CAST(SUM(calls) AS BIGINT) AS calls,
                 CAST(SUM(input_tokens) AS BIGINT) AS input_tokens,
                 CAST(SUM(output_tokens) AS BIGINT) AS output_tokens,
                 CAST(SUM(cached_tokens) AS BIGINT) AS cached_tokens,
                 CAST(SUM(duration_ms) AS BIGINT) AS duration_ms,
                 CAST(SUM(charge_microcredits) AS BIGINT) AS charge_microcredits
             FROM (SELECT ",
            keys!($key, "day"),
            " calls, input_tokens, output_tokens, cached_tokens, duration_ms, charge_microcredits
             FROM ",
            $table,
            " WHERE day >= $14 AND day < $15 AND ",
            $condition,
            filters!(),
            facts!($before, "$16", "$17", $condition),
            facts!($after, "$18", "$19", $condition),
            facts!("usage_events", "$20", "$21", $condition),
            ") AS parts
             GROUP BY g_city, g_user, g_service, g_action, g_model, g_status, g_day
             ORDER BY g_city, g_user, g_service, g_action, g_model, g_status, g_day
             LIMIT $22 OFFSET $23"
        ))
    };
}

/// At most `limit` groups, sorted by their keys, after the first `offset`.
pub(super) fn groups(
    tx: &mut Tx<'_>,
    by: GroupBy,
    filter: &Filter,
    window: &Window,
    limit: u32,
    offset: i64,
) -> Result<Vec<Group>> {
    let statement: &'static Sql = match &filter.user_id {
        Some(_) => summary!(
            "usage_daily_users",
            "user_id",
            "user_id = CAST($9 AS TEXT)",
            "(SELECT id AS own_id FROM usage_of_users
              WHERE user_id = CAST($9 AS TEXT) AND id >= $16 AND id < $17) AS own
             JOIN usage_events ON id = own_id",
            "(SELECT id AS own_id FROM usage_of_users
              WHERE user_id = CAST($9 AS TEXT) AND id >= $18 AND id < $19) AS own
             JOIN usage_events ON id = own_id"
        ),
        None if by.user_id => {
            summary!("usage_daily_users", "user_id", "CAST($9 AS TEXT) IS NULL")
        }
        None => summary!("usage_daily", "''", "CAST($9 AS TEXT) IS NULL"),
    };
    let [head, tail, fresh] = window.ids;
    let rows = tx.query(
        statement,
        &[
            &by.city_id,
            &by.user_id,
            &by.service,
            &by.action,
            &by.model_id,
            &by.status,
            &by.day,
            &filter.city_id,
            &filter.user_id,
            &filter.service,
            &filter.action,
            &filter.model_id,
            &filter.status,
            &window.days.0,
            &window.days.1,
            &head.0,
            &head.1,
            &tail.0,
            &tail.1,
            &fresh.0,
            &fresh.1,
            &limit,
            &offset,
        ],
    )?;
    rows.iter().map(group).collect()
}

fn group(row: &Row) -> Result<Group> {
    Ok(Group {
        city_id: row.get("g_city")?,
        user_id: row.get("g_user")?,
        service: row.get("g_service")?,
        action: row.get("g_action")?,
        model_id: row.get("g_model")?,
        status: row.get("g_status")?,
        day: row.get("g_day")?,
        sums: Sums::read(row)?,
    })
}
