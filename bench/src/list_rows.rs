//! Lists over few rows and over many: they must cost about the same.

use anyhow::{Context as _, Result};
use downcity_core::{Clock as _, SystemClock};
use downcity_db::DbUrl;
use serde_json::json;

use crate::Bench;
use crate::client::Client;
use crate::federation::{self, ADMIN_KEY, Federation};
use crate::http_rows::compare;
use crate::load::{Shot, Value, Wrk};
use crate::process::Server;
use crate::report::{Report, Row, Target, progress};
use crate::seed;

/// Rows of the small database.
const FEW: i64 = 10_000;
const AGAINST: &str = "10 thousand rows";

/// The lists: the row's name, the path, and whether a user reads it.
const LISTS: &[(&str, &str, bool)] = &[
    ("list balance/history, p50", "/v1/balance/history", false),
    ("list balance/history of a user, p50", "/v1/balance/history?user_id=user_7", false),
    ("list balance/charges, p50", "/v1/balance/charges", false),
    ("list balance/users, p50", "/v1/balance/users", false),
    ("list balance/history/me, p50", "/v1/balance/history/me", true),
    ("list usage/events, p50", "/v1/usage/events?limit=20", false),
    ("list usage/events of a city, p50", "/v1/usage/events?limit=20&city_id=bench", false),
    ("usage/summary, p50", "/v1/usage/summary", false),
    ("usage/me, p50", "/v1/usage/me?limit=20", true),
];

struct Filled {
    server: Server,
    user_token: String,
}

/// Measures the lists over a small database and over one with `rows` rows of each kind.
pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let wanted: Vec<_> = LISTS.iter().filter(|list| list.0.contains(&bench.only)).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    progress(&format!("filling a database with {} rows of each kind", bench.plan.list_rows));
    let many = filled(bench, "many", bench.plan.list_rows)?;
    let few = filled(bench, "few", FEW)?;
    let wrk = Wrk::new(bench.dir.path(), bench.plan.seconds)?;
    for &&(measure, path, of_user) in &wanted {
        bench.wants(&[measure]);
        let turn = |filled: &Filled| {
            let shot = Shot {
                method: "GET",
                path: path.into(),
                bearer: if of_user { filled.user_token.clone() } else { ADMIN_KEY.to_owned() },
                body: String::new(),
            };
            wrk.fire(&filled.server, &shot, 1, Value::Median)
        };
        let pair = compare(bench, || turn(&many), || turn(&few))?;
        report.add(Row::pair(measure, "us", AGAINST, &pair, Target::RatioAtMost(1.5)));
    }
    Ok(())
}

/// A server on a database with so many rows.
fn filled(bench: &Bench, name: &str, rows: i64) -> Result<Filled> {
    let dir = bench.dir.path().join(name);
    let federation = Federation::new(&bench.fed, dir.clone(), 9)?;
    // The first start makes the tables.
    let mut server = federation.start()?;
    bench.runtime.block_on(federation::furnish(&Client::new(), &server))?;
    server.stop()?;
    let url: DbUrl = format!("sqlite:{}", dir.join(".base/downcity.sqlite").display())
        .parse()
        .context("the database's address")?;
    let now = SystemClock.now().millis();
    bench.runtime.block_on(seed::fill(url, rows, now))?;
    let server = federation.start()?;
    let token = json!({"city_id": "bench", "user_id": "user_7", "ttl": "7d"});
    let url = format!("http://127.0.0.1:{}/v1/cities/tokens/apply", server.port);
    let issued = bench.runtime.block_on(Client::new().post(&url, ADMIN_KEY, &token))?;
    let user_token = issued["user_token"].as_str().context("no user_token")?.to_owned();
    Ok(Filled { server, user_token })
}
