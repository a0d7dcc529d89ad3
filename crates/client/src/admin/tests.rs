//! The trusted side over the transport of the tests.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::tests::{Turn, Wire};
use crate::*;

fn wire(answers: impl IntoIterator<Item = Value>) -> Wire {
    Wire::new(answers.into_iter().map(|body| Turn::Answer(200, body.to_string())))
}

/// Path, idempotency key and body of each request.
fn sent(wire: &Wire) -> Vec<(String, Option<String>, Value)> {
    let told = |request: Request| {
        let key = request.headers.get("idempotency-key");
        let key = key.map(|key| key.to_str().unwrap().to_owned());
        let body = request.body.map_or(Value::Null, |body| serde_json::from_slice(&body).unwrap());
        let url = request.url.as_str().strip_prefix("https://fed.example.com/base/v1/");
        (url.unwrap().to_owned(), key, body)
    };
    wire.sent().into_iter().map(told).collect()
}

fn city(id: &str) -> Value {
    let time = "2026-01-02T03:04:05.678Z";
    json!({ "city_id": id, "name": "A", "status": "active", "created_at": time, "updated_at": time })
}

fn topup() -> Value {
    let time = "2026-01-02T03:04:05.678Z";
    json!({
        "topup_id": "t1", "user_id": "u1", "amount": 5, "amount_usd_cents": 1, "status": "paid",
        "note": "", "ref": "", "metadata_json": "{}", "created_at": time, "updated_at": time,
    })
}

fn code() -> Value {
    let time = "2026-01-02T03:04:05.678Z";
    json!({
        "redeem_code_id": "r1", "code": "AAAA-BBBB", "amount": 300_000_000, "status": "active",
        "code_mask": "AA…BB", "note": "gift", "ref": "", "metadata_json": "{}", "max_uses": 2,
        "redeemed_by_user_id": "", "redeemed_at": "", "created_at": time, "updated_at": time,
    })
}

fn account() -> Value {
    let time = "2026-01-02T03:04:05.678Z";
    json!({
        "user_id": "u1", "balance": 5_000_000, "unit": "microcredits", "held": 0,
        "available": 5_000_000, "created_at": time, "updated_at": time,
    })
}

#[tokio::test]
async fn cities_are_listed_to_the_last_page() {
    let wire = wire([
        json!({ "items": [city("a"), city("b")], "next_cursor": "n 1" }),
        json!({ "items": [city("c")] }),
    ]);
    let cities = wire.admin().cities().list().await.unwrap();
    let ids: Vec<_> = cities.iter().map(|city| city.city_id.as_ref()).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    let paths: Vec<_> = sent(&wire).into_iter().map(|asked| asked.0).collect();
    assert_eq!(paths, ["cities/list", "cities/list?cursor=n+1"]);
}

#[tokio::test]
async fn cities_are_made_and_changed() {
    let wire = wire([city("a"), city("b"), city("a"), city("a"), json!({ "success": true })]);
    let admin = wire.admin();
    let cities = admin.cities();
    let made = cities.create(CityCreate::new("A").city_id("a").idempotency_key("k")).await.unwrap();
    assert_eq!((&*made.name, made.status), ("A", CityStatus::Active));
    cities.create(CityCreate::new("B")).await.unwrap();
    let id = CityId::from("a");
    cities.pause(&id).await.unwrap();
    cities.activate(&id).await.unwrap();
    cities.remove(&id).await.unwrap();
    let sent = sent(&wire);
    let name = json!({ "name": "A", "city_id": "a" });
    assert_eq!(sent[0], ("cities/create".to_owned(), Some("k".to_owned()), name));
    assert_eq!(sent[1].2, json!({ "name": "B" }));
    assert_eq!(sent[1].1.as_ref().unwrap().len(), 32, "a key of its own");
    for (asked, path) in sent[2..].iter().zip(["pause", "activate", "remove"]) {
        assert_eq!((&*asked.0, &asked.2), (&*format!("cities/{path}"), &json!({ "city_id": "a" })));
    }
    assert_eq!((sent[3].1.is_some(), sent[4].1.is_some()), (true, false));
}

#[tokio::test]
async fn tokens_are_for_the_city_of_the_client_or_another() {
    let issued = json!({
        "user_token": "ub_secret", "city_id": "city_demo", "user_id": "u1",
        "expires_at": "2026-01-02T03:04:05.678Z",
    });
    let endless = json!({ "user_token": "t", "city_id": "c", "user_id": "u", "expires_at": null });
    let wire = wire([issued, endless]);
    let admin = wire.admin();
    let request = TokenRequest::new("u1").metadata([("plan", json!("pro"))]).ttl("7d");
    let token = admin.tokens().apply(request).await.unwrap();
    assert!(!format!("{token:?}").contains("ub_secret"));
    assert_eq!((token.user_token.expose_secret(), token.expires_at.is_some()), ("ub_secret", true));
    let hour = TokenRequest::new("u").ttl(Duration::from_hours(1));
    let token = admin.cities().tokens().apply(&"c".into(), hour).await.unwrap();
    assert_eq!(token.expires_at, None);
    let bodies: Vec<_> = sent(&wire).into_iter().map(|asked| (asked.0, asked.2)).collect();
    let path = || "cities/tokens/apply".to_owned();
    let first = json!({
        "user_id": "u1", "metadata": { "plan": "pro" }, "ttl": "7d", "city_id": "city_demo",
    });
    let second = json!({ "user_id": "u", "ttl": 3600, "city_id": "c" });
    assert_eq!(bodies, [(path(), first), (path(), second)]);
}

#[tokio::test]
async fn tokens_that_cannot_be_are_refused_here() {
    let wire = Wire::default();
    let admin = wire.admin();
    let bad = [Ttl::Seconds(0), Duration::from_millis(999).into()];
    for ttl in bad {
        let told = admin.tokens().apply(TokenRequest::new("u").ttl(ttl.clone())).await;
        assert!(matches!(told, Err(Error::Config { field: "ttl", .. })), "{ttl:?}");
    }
    let nowhere =
        City::admin("https://fed.example.com").admin_secret_key("k").transport(wire.clone());
    let told = nowhere.build().unwrap().tokens().apply(TokenRequest::new("u")).await;
    assert!(matches!(told, Err(Error::MissingCityId)));
    assert!(wire.sent().is_empty());
}

#[tokio::test]
async fn the_env_is_read_and_written() {
    let wire = wire([
        json!({ "items": [{ "key": "A", "value": "1", "source": "database" }] }),
        json!({ "items": [{ "id": "ai-models", "name": "Models", "env": [] }] }),
        json!({ "success": true, "key": "A" }),
        json!({ "success": true, "key": "A", "removed": true }),
        json!({ "success": true, "count": 2, "keys": ["A", "B"] }),
        json!({ "success": true, "count": 2 }),
    ]);
    let admin = wire.admin();
    let env = admin.env();
    assert_eq!(env.list().await.unwrap()[0].key, "A");
    assert_eq!(env.catalog().await.unwrap()[0].id, "ai-models");
    assert_eq!(env.upsert("a", "1").await.unwrap().key, "A");
    assert!(env.remove("A").await.unwrap().removed);
    assert_eq!(env.import("A=1\nB=2").await.unwrap().keys, ["A", "B"]);
    assert_eq!(env.refresh().await.unwrap().count, 2);
    let sent: Vec<_> = sent(&wire).into_iter().map(|asked| (asked.0, asked.2)).collect();
    assert_eq!(sent[2], ("env/upsert".to_owned(), json!({ "key": "a", "value": "1" })));
    assert_eq!(sent[3], ("env/remove".to_owned(), json!({ "key": "A" })));
    assert_eq!(sent[4], ("env/import".to_owned(), json!({ "raw": "A=1\nB=2" })));
    assert_eq!(sent[5], ("env/refresh".to_owned(), json!({})));
}

#[tokio::test]
async fn the_env_of_a_city_names_the_city() {
    let wire = wire([
        json!({ "items": [{ "key": "A", "value": "****", "source": "database", "city_id": "b" }] }),
        json!({ "success": true, "key": "A", "city_id": "b" }),
        json!({ "success": true, "key": "A", "removed": true, "city_id": "b" }),
        json!({ "success": true, "count": 1, "keys": ["A"], "city_id": "b" }),
        json!({ "items": [] }),
        json!({ "success": true, "key": "A", "version": 3, "city_id": "b" }),
    ]);
    let admin = wire.admin();
    let city = CityId::from("b");
    let env = admin.env().of_city(&city);
    assert_eq!(env.list().await.unwrap()[0].city_id.as_deref(), Some("b"));
    assert_eq!(env.upsert("A", "1").await.unwrap().city_id, Some(city.clone()));
    assert_eq!(env.remove("A").await.unwrap().city_id, Some(city.clone()));
    assert_eq!(env.import("A=1").await.unwrap().city_id, Some(city.clone()));
    assert!(env.history("A").await.unwrap().is_empty());
    assert_eq!(env.rollback("A", 1).await.unwrap().city_id, Some(city.clone()));
    let sent: Vec<_> = sent(&wire).into_iter().map(|asked| (asked.0, asked.2)).collect();
    assert_eq!(sent[0].0, "env/list?city_id=b");
    assert_eq!(sent[1].1, json!({ "key": "A", "value": "1", "city_id": "b" }));
    assert_eq!(sent[2].1, json!({ "key": "A", "city_id": "b" }));
    assert_eq!(sent[3].1, json!({ "raw": "A=1", "city_id": "b" }));
    assert_eq!(sent[4].0, "env/history?key=A&city_id=b");
    assert_eq!(sent[5].1, json!({ "key": "A", "version": 1, "city_id": "b" }));
}

#[tokio::test]
async fn money_is_sent_exactly_and_once() {
    let charge = json!({
        "charge_id": "c1", "user_id": "u1", "amount": 0.5, "amount_microcredits": 500_000,
        "status": "settled", "note": "", "ref": "", "metadata_json": "{}",
        "created_at": "2026-01-02T03:04:05.678Z",
    });
    let wire = wire([account(), account(), charge, topup(), topup(), code(), code()]);
    let admin = wire.admin();
    let money = admin.balance();
    let credits = Amount::credits("1.25".parse().unwrap());
    let gift = Mutation::new("u1", credits).note("gift").reference("o1").idempotency_key("k");
    let account = money.add(gift).await.unwrap();
    assert_eq!(
        (account.balance.get(), &account.extra["unit"]),
        (5_000_000, &json!("microcredits"))
    );
    money.sub(Mutation::new("u1", Amount::microcredits(5)).city_id("c")).await.unwrap();
    let charge = money.charge(Charge::new("u1", Amount::microcredits(500_000))).await.unwrap();
    assert_eq!((charge.amount_microcredits.get(), &charge.extra["amount"]), (500_000, &json!(0.5)));
    money.finish_topup(TopupUpdate::new("t1").note("paid by hand")).await.unwrap();
    money.cancel_topup(TopupUpdate::new("t1")).await.unwrap();
    let codes = money.redeem_codes();
    let made = RedeemCreate::new(Amount::credits(300.into())).note("gift").max_uses(2);
    let made = codes.create(made).await.unwrap();
    assert_eq!((made.code.expose_secret(), made.record.amount.get()), ("AAAA-BBBB", 300_000_000));
    assert!(!format!("{made:?}").contains("AAAA-BBBB"));
    codes.disable(RedeemDisable::new(&made.record.redeem_code_id)).await.unwrap();
    let sent = sent(&wire);
    let expected = [
        ("balance/add", json!({ "user_id": "u1", "amount": "1.25", "note": "gift", "ref": "o1" })),
        ("balance/sub", json!({ "user_id": "u1", "amount_microcredits": 5, "city_id": "c" })),
        ("balance/charge", json!({ "user_id": "u1", "amount_microcredits": 500_000 })),
        ("balance/topups/finish", json!({ "topup_id": "t1", "note": "paid by hand" })),
        ("balance/topups/cancel", json!({ "topup_id": "t1" })),
        ("balance/redeem-codes/create", json!({ "amount": "300", "note": "gift", "max_uses": 2 })),
        ("balance/redeem-codes/disable", json!({ "redeem_code_id": "r1" })),
    ];
    for (sent, (path, body)) in sent.iter().zip(&expected) {
        assert_eq!((&*sent.0, &sent.2), (*path, body));
        assert!(sent.1.is_some(), "{path}: a key");
    }
    assert_eq!(sent[0].1.as_deref(), Some("k"));
    let mut keys: Vec<_> = sent.iter().map(|sent| &sent.1).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), expected.len(), "each call has its own");
}

#[tokio::test]
async fn lists_of_money_ask_for_what_is_wanted() {
    let page = |item: Value| json!({ "items": [item], "next_cursor": "n" });
    let wire = wire([page(account()), page(topup()), page(code()), json!({ "items": [] })]);
    let admin = wire.admin();
    let money = admin.balance();
    let users = money.list_users(BalanceQuery::new()).await.unwrap();
    assert_eq!((users.items.len(), users.next_cursor.as_deref()), (1, Some("n")));
    let paid = BalanceQuery::new().user_id("u1").status("paid").limit(5).cursor("n");
    assert_eq!(money.list_topups(paid).await.unwrap().items[0].topup_id, "t1".into());
    money.redeem_codes().list(BalanceQuery::new().limit(1)).await.unwrap();
    assert!(money.list_history(BalanceQuery::new()).await.unwrap().items.is_empty());
    let paths: Vec<_> = sent(&wire).into_iter().map(|asked| asked.0).collect();
    assert_eq!(
        paths,
        [
            "balance/users",
            "balance/topups?user_id=u1&status=paid&limit=5&cursor=n",
            "balance/redeem-codes?limit=1",
            "balance/history",
        ]
    );
}

#[tokio::test]
async fn models_and_the_instruction_are_read() {
    let models = json!({ "items": [{
        "id": "m", "modalities": ["text"], "default_modes": ["text"],
        "env_requirements": [{ "key": "K", "description": "d", "required": true }],
    }] });
    let wire = Wire::new([
        Turn::Answer(200, models.to_string()),
        Turn::Answer(200, "# A Federation".to_owned()),
    ]);
    let admin = wire.admin();
    let models = admin.list_models().await.unwrap();
    assert_eq!((&*models[0].default_modes[0], &*models[0].env_requirements[0].key), ("text", "K"));
    assert_eq!(admin.instruction().await.unwrap(), "# A Federation");
    assert_eq!(sent(&wire)[1].0, "federation/instruction");
}

#[tokio::test(start_paused = true)]
async fn money_that_met_a_broken_connection_is_sent_again_with_its_key() {
    let wire = Wire::new([Turn::Reset, Turn::Cut, Turn::Answer(200, account().to_string())]);
    wire.admin().balance().add(Mutation::new("u1", Amount::microcredits(5))).await.unwrap();
    let sent = sent(&wire);
    assert_eq!(sent.len(), 3);
    assert!(sent.iter().all(|again| again == &sent[0]));
}

#[tokio::test]
async fn a_city_may_have_more_than_is_known() {
    let mut strange = city("a");
    strange["status"] = json!("under_construction");
    strange["region"] = json!("eu");
    let list = |cursor| json!({ "items": [strange.clone()], "next_cursor": cursor });
    let wire = wire([list("same"), list("same")]);
    let cities = wire.admin().cities().list().await.unwrap();
    assert_eq!((cities.len(), cities[0].status), (2, CityStatus::Unknown));
    assert_eq!(cities[1].extra["region"], "eu");
}

#[tokio::test]
async fn tokens_are_judged_and_ended() {
    let judged = json!({
        "active": false, "reason": "token_expired", "token_id": null, "city_id": null, "user_id": null,
        "metadata": null, "algorithm": null, "issued_at": null, "expires_at": null,
    });
    let wire = wire([judged, json!({ "revoked": true }), json!({ "revoked": true })]);
    let admin = wire.admin();
    let token = SecretString::from("ub_1");
    assert!(!admin.tokens().verify(&token).await.unwrap().active);
    admin.tokens().revoke(&token).await.unwrap();
    admin.tokens().revoke_user(&"u1".into()).await.unwrap();
    let sent = sent(&wire);
    let paths: Vec<_> = sent.iter().map(|asked| &*asked.0).collect();
    assert_eq!(paths, ["cities/tokens/verify", "cities/tokens/revoke", "cities/tokens/revoke"]);
    assert_eq!(sent[0].2, json!({ "user_token": "ub_1" }));
    assert_eq!(sent[1].2, json!({ "user_token": "ub_1" }));
    assert_eq!(sent[2].2, json!({ "city_id": "city_demo", "user_id": "u1" }));
}

#[tokio::test]
async fn earlier_env_values_apply_again() {
    let versions = json!({ "items": [{ "version": 2, "value": "****", "masked": true }] });
    let wire = wire([versions, json!({ "success": true, "key": "A", "version": 3 })]);
    let admin = wire.admin();
    assert_eq!(admin.env().history("a").await.unwrap()[0].version, 2);
    assert_eq!(admin.env().rollback("a", 1).await.unwrap().version, 3);
    let sent = sent(&wire);
    assert_eq!(sent[0].0, "env/history?key=a");
    assert_eq!((&*sent[1].0, &sent[1].2), ("env/rollback", &json!({ "key": "a", "version": 1 })));
}

#[tokio::test]
async fn refusals_are_told_with_status_code_and_sentence() {
    for status in [400, 401, 403, 404, 409, 422, 500] {
        let body = json!({ "error": "Because.", "code": "some_code", "request_id": "r" });
        let wire = Wire::new([Turn::Answer(status, body.to_string())]);
        let error = wire.admin().cities().pause(&"gone".into()).await.unwrap_err();
        assert_eq!((error.status(), error.message()), (Some(status), Some("Because.")));
        assert_eq!((error.code(), error.body()), (Some("some_code"), Some(&*body.to_string())));
        assert_eq!((error.is_not_found(), error.is_forbidden()), (status == 404, status == 403));
    }
}

#[tokio::test]
async fn a_copy_of_the_database_comes_as_it_is_sent() {
    let wire = Wire::new([Turn::Answer(200, "SQLite format 3".to_owned())]);
    let copy: Vec<_> = wire.admin().backup().await.unwrap().collect().await;
    let bytes: Vec<u8> = copy.into_iter().flat_map(|piece| piece.unwrap().to_vec()).collect();
    assert_eq!(bytes, b"SQLite format 3");
    assert_eq!(sent(&wire), [("backup/create".to_owned(), None, json!({}))]);
    let wire = Wire::new([Turn::Answer(409, json!({"error": "Another one."}).to_string())]);
    let refused = wire.admin().backup().await.unwrap_err();
    assert_eq!(refused.status(), Some(409));
}
