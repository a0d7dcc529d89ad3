//! Nodes that count together.

use std::time::Duration;

use downcity_core::Error;
use downcity_db::sql;
use downcity_testkit::{Client, TestApp, TestAppBuilder, both_engines};

use crate::common::limited;

const MINE: &str = "/v1/probe/mine";

/// What a user may do on all nodes together.
const LIMIT: usize = 100;

fn node(builder: TestAppBuilder) -> TestAppBuilder {
    limited(builder, |limits| limits.user = LIMIT as u32)
}

async fn let_in(client: &Client, calls: usize) -> usize {
    let mut count = 0;
    for _ in 0..calls {
        count += usize::from(client.get(MINE).await.status == 200);
    }
    count
}

async fn share(app: &TestApp) -> usize {
    app.runtime().limiter().share(app.runtime()).await.unwrap()
}

async fn rows(app: &TestApp) -> i64 {
    let count = app.runtime().db().read(|tx| {
        let row = tx.query_one(sql!("SELECT COUNT(*) FROM limit_windows"), &[])?;
        Ok::<i64, Error>(row.at(0)?)
    });
    count.await.unwrap()
}

both_engines! {
    async fn two_nodes_let_in_about_the_limit_together(app: TestApp = node) {
        let engine = app.runtime().db().engine();
        app.create_city("a").await;
        let other = node(TestApp::builder(engine)).on_database_of(&app).start().await;
        let token = app.token("a", "u").await;
        let (here, there) = (app.user(&token), other.user(&token));
        assert_eq!(share(&app).await, 0, "nothing to tell");
        assert_eq!(rows(&app).await, 0);

        // Between two rounds a node lets in three at most, so that the sum is at most four beyond.
        let mut sums = [0, 0];
        for _ in 0..60 {
            sums[0] += let_in(&here, 3).await;
            sums[1] += let_in(&there, 2).await;
            share(&app).await;
            share(&other).await;
        }
        assert!((LIMIT..=LIMIT + 4).contains(&(sums[0] + sums[1])), "{sums:?}");
        assert!(sums[0] > 50 && sums[1] > 30, "{sums:?}");
        assert!(rows(&app).await > 0);
        let refused = there.get(MINE).await;
        refused.expect_error(429, "rate_limited");

        // Another user is not meant, and a window later nobody is.
        assert_eq!(let_in(&other.user(&app.token("a", "v").await), 5).await, 5);
        app.clock().advance(Duration::from_secs(70));
        assert_eq!(let_in(&here, 50).await, 50);
        share(&app).await;
        share(&other).await;
        assert_eq!(let_in(&there, 60).await, 60, "it has not heard yet");
        share(&other).await;
        assert_eq!(let_in(&there, 5).await, 0);

        // What is over is not kept.
        app.clock().advance(Duration::from_secs(90));
        share(&app).await;
        share(&other).await;
        assert_eq!(rows(&app).await, 0);
        other.stop().await;
    }

    async fn a_node_of_a_wrong_clock_harms_nobody(app: TestApp = node) {
        app.create_city("a").await;
        let user = app.user(&app.token("a", "u").await);
        for (node, newest) in [("node_past", 5_i64), ("node_future", i64::MAX / 2)] {
            let row = move |tx: &mut downcity_db::Tx<'_>| {
                tx.execute(
                    sql!("INSERT INTO limit_windows (node, newest, counts) VALUES ($1, $2, $3)"),
                    &[&node, &newest, &"[[1,9223372036854775807,[9,9,9,9,9,9,9,9]]]"],
                )?;
                Ok::<_, Error>(())
            };
            app.runtime().db().write(row).await.unwrap();
        }
        assert_eq!(let_in(&user, 50).await, 50);
        assert_eq!(share(&app).await, 1);
        assert_eq!(rows(&app).await, 1, "rows of other times are gone");
        assert_eq!(let_in(&user, 60).await, 50);
    }

    async fn a_row_that_cannot_be_read_is_left_out(app: TestApp = node) {
        app.create_city("a").await;
        let user = app.user(&app.token("a", "u").await);
        assert_eq!(let_in(&user, 50).await, 50);
        share(&app).await;
        let copy = |tx: &mut downcity_db::Tx<'_>| {
            tx.execute(
                sql!(
                    "INSERT INTO limit_windows (node, newest, counts)
                     SELECT 'node_later', newest, 'v2' FROM limit_windows"
                ),
                &[],
            )?;
            Ok::<_, Error>(())
        };
        app.runtime().db().write(copy).await.unwrap();
        assert_eq!(let_in(&user, 10).await, 10);
        share(&app).await;
        assert_eq!(let_in(&user, 60).await, 40);
    }

    async fn without_a_database_a_node_counts_alone(app: TestApp = node) {
        app.create_city("a").await;
        let user = app.user(&app.token("a", "u").await);
        assert_eq!(let_in(&user, 60).await, 60);
        app.runtime().db().close().await;
        assert!(app.runtime().limiter().share(app.runtime()).await.is_err());
        assert_eq!(let_in(&user, 60).await, 40);
        assert!(app.runtime().limiter().share(app.runtime()).await.is_err(), "it keeps trying");
    }
}
