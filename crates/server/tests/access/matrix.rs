//! Every row for every caller.

use downcity_core::{Action, InputKind};
use downcity_db::Engine;
use downcity_testkit::block_on;
use http::Method;
use serde_json::{Value, json};

use crate::table::{About, Row, TABLE, Who};
use crate::world::{Bench, World};

/// The callers of the matrix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Caller {
    /// Without a credential.
    Guest,
    /// With a credential that is well formed and that nobody issued.
    Forger,
    /// A user of the city that the call names.
    User,
    /// A user of another city than the call names.
    UserOfAnotherCity,
    /// A service key that lists the action.
    KeyInScope,
    /// A service key that lists `*`, which leaves `env` out.
    KeyOfEverything,
    /// A service key that lists the action and the city of the call.
    KeyOfTheCity,
    /// A service key that lists the action and another city.
    KeyOfAnotherCity,
    /// A service key that lists another action.
    KeyOfAnotherAction,
    /// The admin key.
    Admin,
}

use Caller::{
    Admin, Forger, Guest, KeyInScope, KeyOfAnotherAction, KeyOfAnotherCity, KeyOfEverything,
    KeyOfTheCity, User, UserOfAnotherCity,
};

const CALLERS: [Caller; 10] = [
    Guest,
    Forger,
    User,
    UserOfAnotherCity,
    KeyInScope,
    KeyOfEverything,
    KeyOfTheCity,
    KeyOfAnotherCity,
    KeyOfAnotherAction,
    Admin,
];

const FORBIDDEN: (u16, &str) = (403, "forbidden");
const MISMATCH: (u16, &str) = (403, "city_mismatch");

/// Status and code of a cell.
fn expected(row: &Row, caller: Caller) -> (u16, &'static str) {
    let good = row.good;
    if row.who == Who::Everybody {
        return good;
    }
    match caller {
        Guest => (401, "missing_credential"),
        Forger => (401, "invalid_credential"),
        User if row.is_for_users() => good,
        UserOfAnotherCity if row.is_for_users() => MISMATCH,
        User | UserOfAnotherCity => FORBIDDEN,
        _ if row.who == Who::Users => FORBIDDEN,
        Admin => good,
        _ if row.who == Who::AdminKeyOnly => FORBIDDEN,
        KeyOfEverything if row.has_to_be_named() => FORBIDDEN,
        KeyInScope | KeyOfEverything => good,
        KeyOfTheCity if row.about == About::OneCity => good,
        KeyOfAnotherCity if row.about == About::OneCity => MISMATCH,
        KeyOfTheCity | KeyOfAnotherCity | KeyOfAnotherAction => FORBIDDEN,
    }
}

fn route(action: &Action) -> String {
    format!("{} {}", action.method().map_or("*", Method::as_str), action.path())
}

#[test]
fn every_action_has_a_row_and_every_row_an_action() {
    block_on(async {
        let bench = Bench::start(Engine::Sqlite).await;
        let registry = bench.federation.runtime().registry().clone();
        let routes: Vec<String> = registry.actions().map(|action| route(action)).collect();
        for (action, route) in registry.actions().zip(&routes) {
            let rows = TABLE.iter().filter(|row| row.route == *route).count();
            let name = format!("{}/{}", action.service_id(), action.id());
            assert_eq!(
                rows, 1,
                "{route} ({name}) must have one row in tests/access/table.rs, which says who may \
                 call it and gives an input that is good"
            );
        }
        for row in TABLE {
            assert!(
                routes.iter().any(|route| route == row.route),
                "{} has a row in tests/access/table.rs, but is no action; remove the row",
                row.route
            );
        }
    });
}

/// One row: first the cells that are refused, which change nothing, then the others, after which
/// comes a new world where they changed something.
async fn try_row(bench: &Bench, action: &Action, row: &Row) {
    let name = format!("{}/{}", action.service_id(), action.id());
    let is_good = |caller: &Caller| expected(row, *caller) == row.good;
    let mut world = bench.world(&name).await;
    let mut before = bench.state().await;
    for caller in CALLERS.into_iter().filter(|caller| !is_good(caller)) {
        try_cell(bench, action, row, caller, &world).await;
        assert_eq!(bench.state().await, before, "{} changed something for {caller:?}", row.route);
    }
    for caller in CALLERS.into_iter().filter(is_good) {
        try_cell(bench, action, row, caller, &world).await;
        if bench.state().await != before {
            world = bench.world(&name).await;
            before = bench.state().await;
        }
    }
}

async fn try_cell(bench: &Bench, action: &Action, row: &Row, caller: Caller, world: &World) {
    let method = action.method().unwrap();
    let mut input = (row.input)(world);
    let is_raw = matches!(action.input(), InputKind::Raw);
    if caller == UserOfAnotherCity && !is_raw && input.get("city_id").is_none() {
        input["city_id"] = Value::from(world.home.as_str());
    }
    let answer = bench.call(world.credential(caller), method, action.path(), &input).await;
    let got = (answer.status, answer.code());
    assert_eq!(got, expected(row, caller), "{} for {caller:?}: {}", row.route, answer.body);
}

/// The backend of one product that only issues tokens for its city, with a key for just that.
#[test]
fn a_key_that_issues_tokens_for_one_city_does_nothing_else() {
    block_on(async {
        let bench = Bench::start(Engine::Sqlite).await;
        let registry = bench.federation.runtime().registry().clone();
        let world = bench.world("cities/tokens/apply").await;
        let other = bench.world("cities/tokens/apply").await;
        let key = world.credential(KeyOfTheCity);
        let before = bench.state().await;
        for action in registry.actions() {
            let route = route(action);
            let Some(row) = TABLE.iter().find(|row| row.route == route) else { continue };
            let method = action.method().unwrap();
            let mut input = (row.input)(&world);
            let is_issue = route == "POST /v1/cities/tokens/apply";
            // What guests may do, it may do as one.
            if row.who == Who::Everybody {
                continue;
            }
            let expected = if is_issue { row.good } else { FORBIDDEN };
            let answer = bench.call(key, method, action.path(), &input).await;
            assert_eq!((answer.status, answer.code()), expected, "{route}: {}", answer.body);
            if is_issue {
                let token = answer.body["user_token"].as_str().unwrap();
                let none = json!({});
                let models = bench.call(Some(token), &Method::GET, "/v1/ai/models", &none).await;
                assert_eq!(models.status, 200);
                input["city_id"] = Value::from(other.home.as_str());
                let answer = bench.call(key, method, action.path(), &input).await;
                assert_eq!((answer.status, answer.code()), MISMATCH);
                input.as_object_mut().unwrap().remove("city_id");
                assert_eq!(bench.call(key, method, action.path(), &input).await.status, 400);
            }
        }
        assert_eq!(bench.state().await, before);
    });
}

fn whole_matrix(engine: Engine) {
    block_on(async {
        let bench = Bench::start(engine).await;
        let registry = bench.federation.runtime().registry().clone();
        for action in registry.actions() {
            let route = route(action);
            let Some(row) = TABLE.iter().find(|row| row.route == route) else { continue };
            try_row(&bench, action, row).await;
        }
    });
}

#[test]
fn every_cell_is_as_the_table_says_on_sqlite() {
    whole_matrix(Engine::Sqlite);
}

#[test]
fn every_cell_is_as_the_table_says_on_postgres() {
    whole_matrix(Engine::Postgres);
}
