//! The official services under HTTP load: charges and logins.

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::Bench;
use crate::client::Client;
use crate::federation::{self, ADMIN_KEY, Access, Federation};
use crate::http_rows::compare;
use crate::load::{Shot, Value, Wrk};
use crate::process::Server;
use crate::report::{Report, Row, Target};
use crate::sample::median;

const CHARGE: &str = "wallet charge, durable";
const CHARGE_RATIO: &str = "wallet charge, durable, against bare hyper";
const LOGIN: &str = "login, per core";
const BARE: &str = "bare hyper";

/// Connections of the charge rows.
const PAYERS: u32 = 32;
/// Connections of the login row: more than there are cores to hash on.
const VISITORS: u32 = 8;
/// Wallets that are charged in turn; the load's script counts as far.
const WALLETS: u32 = 1_000;
const PASSWORD: &str = "correct horse battery";

/// Measures all rows of this group that are wanted.
pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let wrk = Wrk::new(bench.dir.path(), bench.plan.seconds)?;
    charges(bench, &wrk, report)?;
    logins(bench, &wrk, report)
}

/// A running Federation of its own, without models.
fn start(bench: &Bench, name: &str) -> Result<(Server, Access)> {
    let federation = Federation::new(&bench.fed, bench.dir.path().join(name), 9)?;
    let server = federation.start()?;
    let access = bench.runtime.block_on(federation::furnish(&Client::new(), &server))?;
    Ok((server, access))
}

fn url(server: &Server, path: &str) -> String {
    format!("http://127.0.0.1:{}{path}", server.port)
}

/// Every charge is on disk, with its ledger entry, before it is answered. The baseline gets the very
/// same requests.
fn charges(bench: &Bench, wrk: &Wrk, report: &mut Report) -> Result<()> {
    if !bench.wants(&[CHARGE, CHARGE_RATIO]) {
        return Ok(());
    }
    let (ours, _) = start(bench, "charges")?;
    let bare = Server::part(&bench.own, &["ok"])?;
    bench.runtime.block_on(fund(&ours))?;
    let shot = Shot {
        method: "POST",
        path: "/v1/balance/charge".into(),
        bearer: ADMIN_KEY.to_owned(),
        body: json!({"user_id": "payer_{n}", "amount_microcredits": 1, "note": "a call"})
            .to_string(),
    };
    let turn = |server| wrk.fire(server, &shot, PAYERS, Value::Rate);
    let pair = compare(bench, || turn(&ours), || turn(&bare))?;
    report.add(Row::alone(CHARGE, "req/s", pair.ours, Target::AtLeast(8_000.0)));
    report.add(Row::pair(CHARGE_RATIO, "req/s", BARE, &pair, Target::RatioAtLeast(0.08)));
    Ok(())
}

/// Gives every payer enough for any run.
async fn fund(server: &Server) -> Result<()> {
    let client = Client::new();
    for number in 0..WALLETS {
        let body = json!({"user_id": format!("payer_{number}"), "amount": 1_000});
        client.post(&url(server, "/v1/balance/add"), ADMIN_KEY, &body).await?;
    }
    Ok(())
}

/// Whole logins: password, session, token.
fn logins(bench: &Bench, wrk: &Wrk, report: &mut Report) -> Result<()> {
    if !bench.wants(&[LOGIN]) {
        return Ok(());
    }
    let (server, access) = start(bench, "logins")?;
    let person = json!({
        "email": "someone@example.com",
        "password": PASSWORD,
        "city_id": access.city_id,
    });
    let (client, register) = (Client::new(), url(&server, "/v1/accounts/register"));
    let registered = client.post(&register, "", &person);
    bench.runtime.block_on(registered).context("registering")?;
    let shot = Shot {
        method: "POST",
        path: "/v1/accounts/login".into(),
        bearer: String::new(),
        body: person.to_string(),
    };
    let mut rates = Vec::new();
    for _ in 0..bench.plan.rounds {
        rates.push(wrk.fire(&server, &shot, VISITORS, Value::PerCore)?.value);
    }
    report.add(Row::alone(LOGIN, "logins/s", median(rates), Target::AtLeast(35.0)));
    Ok(())
}
