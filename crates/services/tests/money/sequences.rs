//! The sequences, on each engine.

use std::cell::Cell;

use downcity_services::balance::verify;
use downcity_services::{Balance, BalanceConfig};
use downcity_testkit::tokio::runtime::Handle;
use downcity_testkit::tokio::task::block_in_place;
use downcity_testkit::{Engine, TestApp, block_on};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::steps::{World, step};

/// Steps of the longest sequence.
const LONGEST: usize = 60;

#[test]
fn the_tables_are_as_the_model_says_on_sqlite() {
    block_on(run(Engine::Sqlite, 60, 2_000));
}

#[test]
fn the_tables_are_as_the_model_says_on_postgres() {
    block_on(run(Engine::Postgres, 30, 1_000));
}

async fn run(engine: Engine, short: u32, long: u32) {
    let is_long = std::env::var_os("DOWNCITY_LONG_TESTS").is_some_and(|value| value == "1");
    let balance = Balance::new(BalanceConfig::default());
    let app = TestApp::builder(engine).builtin(balance.clone()).start().await;
    app.create_city("shop").await;
    let config = Config {
        cases: if is_long { long } else { short },
        failure_persistence: None,
        max_shrink_iters: 500,
        ..Config::default()
    };
    let number = Cell::new(0);
    let sequences = prop::collection::vec(step(), 1..LONGEST);
    let result = block_in_place(|| {
        TestRunner::new(config).run(&sequences, |steps| {
            number.set(number.get() + 1);
            Handle::current().block_on(async {
                let name = format!("case-{}", number.get());
                let mut world = World::new(&app, &balance, name).await;
                for step in &steps {
                    world.make(step).await;
                }
            });
            Ok(())
        })
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    let found = verify(app.runtime().db(), |_| ()).await.expect("all money is looked at");
    assert!(found.is_whole() && found.entries > 0, "{found:?}");
}
