//! The trail as a product's own service meets it.

use std::collections::HashMap;
use std::sync::Arc;

use downcity_core::audit::Target;
use downcity_core::{Cx, Error, Result, Secret, Service, ServiceDef, USER_OR_ADMIN};
use downcity_db::{Tx, sql};
use downcity_testkit::{TestApp, TestAppBuilder, both_engines};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::common::{assert_whole, last, since};

/// Keeps a name in the table `federation`, and records that in many ways.
struct Names;

#[derive(Deserialize, JsonSchema)]
struct NameIn {
    name: String,
    /// How the write is recorded.
    way: Way,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Way {
    Record,
    Twice,
    Unchanged,
    Nothing,
    NoJson,
    Refuse,
}

#[derive(Serialize, JsonSchema)]
struct Kept {
    fingerprint: String,
}

impl Service for Names {
    fn id(&self) -> &'static str {
        "names"
    }

    fn name(&self) -> &'static str {
        "Names"
    }

    fn define(self: Arc<Self>, s: &mut ServiceDef) {
        s.post("keep", USER_OR_ADMIN, &self, Self::keep).summary("Keep a name.");
        s.post("change", USER_OR_ADMIN, &self, Self::change).summary("Keep a name for all nodes.");
    }
}

impl Names {
    async fn keep(self: Arc<Self>, cx: Cx, input: NameIn) -> Result<Kept> {
        cx.write(move |tx, trail| insert(tx, trail, &input)).await
    }

    async fn change(self: Arc<Self>, cx: Cx, input: NameIn) -> Result<Kept> {
        cx.change(move |tx, trail| insert(tx, trail, &input)).await
    }
}

fn insert(
    tx: &mut Tx<'_>,
    trail: &mut downcity_core::audit::Trail,
    input: &NameIn,
) -> Result<Kept> {
    tx.execute(sql!("INSERT INTO federation (name, value) VALUES ($1, '')"), &[&input.name])?;
    let target = || Target::new("name", &input.name).in_city("shop");
    match input.way {
        Way::Record => trail.record(target(), (), json!({"name": input.name})),
        Way::Twice => {
            trail.record(target(), (), 1);
            trail.record(target(), 1, None::<i32>);
        }
        Way::Unchanged => trail.unchanged(),
        Way::Nothing => (),
        // A map whose keys are no texts has no JSON.
        Way::NoJson => trail.record(target(), (), HashMap::from([((1, 2), 3)])),
        Way::Refuse => {
            trail.record(target(), (), 1);
            return Err(Error::invalid("name", "is refused"));
        }
    }
    Ok(Kept { fingerprint: trail.fingerprint(&Secret::new(input.name.as_str())) })
}

fn with_names(builder: TestAppBuilder) -> TestAppBuilder {
    builder.service(Names)
}

async fn kept(app: &TestApp, name: &'static str) -> bool {
    let read = move |tx: &mut Tx<'_>| {
        tx.query_opt(sql!("SELECT value FROM federation WHERE name = $1"), &[&name])
    };
    app.runtime().db().scan(read).await.unwrap().is_some()
}

both_engines! {
    async fn a_write_that_records_nothing_is_undone(app: TestApp = with_names) {
        let before = last(&app).await;
        for action in ["keep", "change"] {
            for way in ["nothing", "no_json"] {
                let input = json!({"name": "n", "way": way});
                let reply = app.admin().post(&format!("/v1/names/{action}"), input).await;
                reply.expect_error(500, "internal");
                assert!(!kept(&app, "n").await, "{action} {way}");
            }
        }
        let refused = json!({"name": "n", "way": "refuse"});
        app.admin().post("/v1/names/keep", refused).await.expect_error(400, "invalid_input");
        assert_eq!(last(&app).await, before);
    }

    async fn rows_and_their_absence_follow_what_is_said(app: TestApp = with_names) {
        let before = last(&app).await;
        for (name, way) in [("a", "record"), ("b", "twice"), ("c", "unchanged")] {
            let input = json!({"name": name, "way": way});
            app.admin().post("/v1/names/keep", input).await.expect(200);
        }
        let rows = since(&app, before).await;
        let shown: Vec<_> = rows
            .iter()
            .map(|row| {
                assert_eq!((&row["action"], &row["city_id"]), (&json!("names/keep"), &json!("shop")));
                json!([row["target_kind"], row["target_id"], row["before"], row["after"]])
            })
            .collect();
        assert_eq!(shown, [
            json!(["name", "a", null, {"name": "a"}]),
            json!(["name", "b", null, 1]),
            json!(["name", "b", 1, null]),
        ]);
        assert!(kept(&app, "c").await);
        assert_whole(&app).await;
    }

    async fn users_leave_no_rows(app: TestApp = with_names) {
        app.create_city("shop").await;
        let user = app.user(&app.token("shop", "ann").await);
        let before = last(&app).await;
        for way in ["record", "nothing", "no_json"] {
            user.post("/v1/names/keep", json!({"name": way, "way": way})).await.expect(200);
        }
        assert!(kept(&app, "nothing").await);
        assert_eq!(last(&app).await, before);
    }

    async fn fingerprints_are_those_of_the_vault(app: TestApp = with_names) {
        let keep = async |name: &str| {
            let input = json!({"name": name, "way": "record"});
            app.admin().post("/v1/names/keep", input).await.expect(200)["fingerprint"].clone()
        };
        let one = keep("sk-one").await;
        let text = one.as_str().unwrap();
        assert!(text.starts_with("fp_") && text.len() == 19, "{text}");
        assert_ne!(keep("sk-two").await, one);
        let before = last(&app).await;
        let input = json!({"key": "K", "value": "sk-one"});
        app.admin().post("/v1/env/upsert", input).await.expect(200);
        assert_eq!(since(&app, before).await[0]["after"]["fingerprint"], one);
    }
}
