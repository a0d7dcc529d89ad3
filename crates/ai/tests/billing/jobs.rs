//! The charge as a job: whatever happens in between, it is one charge.

use downcity_testkit::{Answer, Engine};
use serde_json::json;

use crate::common::{Shop, completion, tokens};

/// Makes the database refuse new jobs, and take them again.
fn refusal(engine: Engine) -> [&'static str; 2] {
    match engine {
        Engine::Sqlite => [
            "CREATE TRIGGER refuse BEFORE INSERT ON jobs
             BEGIN SELECT RAISE(ABORT, 'not now'); END",
            "DROP TRIGGER refuse",
        ],
        Engine::Postgres => [
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
             AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON jobs EXECUTE FUNCTION refuse()",
            "DROP TRIGGER refuse ON jobs",
        ],
    }
}

on_both! {
    async fn a_job_that_runs_again_charges_nothing_more(engine: Engine) {
        let shop = Shop::open(engine, json!({"per_request": 100})).await;
        let ann = shop.buyer("ann", 1_000).await;
        shop.upstream.then(Answer::json(200, &completion("Hello", tokens(1, 0, 1))));
        ann.text("Hi").await.expect(200);
        shop.run_until_settled(&ann, 900).await;
        for _ in 0..2 {
            let again = "UPDATE jobs SET status = 'queued' WHERE kind = 'ai.settle'";
            shop.app.database().execute(again).unwrap();
            assert_eq!(shop.run().await, 1);
            assert_eq!(shop.wallet(&ann).await, (900, 0));
            assert_eq!(shop.charges(&ann).await.len(), 1);
        }
    }

    async fn a_node_that_stops_leaves_the_charge_to_the_next(engine: Engine) {
        let shop = Shop::open(engine, json!({"per_request": 100})).await;
        let ann = shop.buyer("ann", 1_000).await;
        shop.upstream.then(Answer::json(200, &completion("Hello", tokens(1, 0, 1))));
        let reply = ann.text("Hi").await;
        let request_id = reply.header("x-request-id").unwrap().to_owned();
        // Stopping waits for what is under way.
        shop.app.stop().await;
        let next = shop.restarted().await;
        let ann = next.again(&ann);
        assert_eq!(next.wallet(&ann).await, (1_000, 100));
        assert_eq!(next.run().await, 1);
        assert_eq!(next.wallet(&ann).await, (900, 0));
        assert_eq!(next.receipt(&ann, &request_id).await["charge_microcredits"], 100);
    }

    async fn a_database_that_is_away_at_the_end_of_a_call_is_waited_for(engine: Engine) {
        let shop = Shop::open(engine, json!({"per_request": 100})).await;
        let ann = shop.buyer("ann", 1_000).await;
        let [refuse, take] = refusal(engine);
        shop.app.database().execute(refuse).unwrap();
        shop.upstream.then(Answer::json(200, &completion("Hello", tokens(1, 0, 1))));
        ann.text("Hi").await.expect(200);
        assert_eq!(shop.run().await, 0);
        assert_eq!(shop.wallet(&ann).await, (1_000, 100), "the hold stays");
        shop.app.database().execute(take).unwrap();
        shop.run_until_settled(&ann, 900).await;
    }
}
