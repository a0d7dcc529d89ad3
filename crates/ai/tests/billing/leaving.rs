//! Clients that leave at any point, on every protocol and every way to ask: the provider's work is
//! cancelled at once, what was produced is paid, and nothing stays behind.

use std::time::{Duration, Instant};

use downcity_testkit::{Answer, Gate};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::common::{Buyer, Shop, beside};
use crate::protocols::{
    FUNDS, Route, STREAMS, WHOLE, WIRES, Wire, part_of, routes, settled, streamed,
};

/// The time within which a provider sees that nobody listens any more.
const AT_ONCE: Duration = Duration::from_millis(100);

/// The time within which a client must have seen what the provider has sent.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where a client leaves: what the provider has sent by then, and a text of it that the client has
/// seen; `None` where it can have seen nothing but the head.
struct Point {
    name: &'static str,
    sent: String,
    seen: Option<&'static str>,
}

fn points(wire: Wire) -> Vec<Point> {
    let point = |name, sent: &str, seen| Point { name, sent: sent.to_owned(), seen };
    let (call, end) = match wire.name {
        "openai-chat" => (wire.until("{\\\"city\\\":\\\"Z"), wire.until("\"prompt_tokens\"")),
        "anthropic-messages" => {
            (wire.until("{\\\"city\\\":\\\"Z"), wire.until("event: message_delta"))
        }
        _ => (wire.until("functionCall"), wire.until("\"STOP\"")),
    };
    let half = &wire.begun()[..wire.begun().len() - 10];
    vec![
        point("after the head", ": connected\n\n", None),
        point("within the text", wire.begun(), Some("Grüße")),
        point("within an event", half, None),
        // Messages tell one call after another: of the second only its begin is known by then.
        point("within a call", call, Some("call_a")),
        point("before the end", end, Some("call_b")),
    ]
}

/// How a client leaves: what it has read by then is dropped with its connection.
async fn leave(route: Route, buyer: &Buyer, seen: Option<&str>) -> String {
    let mut response = route.open(buyer).await;
    let request_id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let mut read = String::new();
    while seen.is_some_and(|seen| !read.contains(seen)) {
        let frame = tokio::time::timeout(PATIENCE, response.body_mut().frame()).await;
        let frame = frame.unwrap_or_else(|_| panic!("{route:?}: no {seen:?} in {read}"));
        let frame = frame.expect("the stream goes on").unwrap();
        read.push_str(&String::from_utf8_lossy(&frame.into_data().unwrap()));
    }
    drop(response);
    request_id
}

/// The receipt of the only call of a buyer.
async fn only_receipt(shop: &Shop, buyer: &Buyer, tasks: usize) -> Value {
    let mut id = None;
    crate::common::eventually(async || {
        shop.run().await;
        let list = shop.app.admin().get("/v1/usage/events").await.expect(200);
        id = list["items"][0]["request_id"].as_str().map(str::to_owned);
        id.is_some()
    })
    .await;
    settled(shop, buyer, &id.unwrap(), tasks).await
}

async fn is_cancelled(shop: &Shop, what: &str) {
    let left = Instant::now();
    let request = shop.upstream.requests().pop().expect("a request");
    assert!(request.left_early().await, "{what}: the provider's work is cancelled");
    let passed = left.elapsed();
    assert!(passed < AT_ONCE, "{what}: the provider worked on for {passed:?}");
}

fn check(receipt: &Value, what: &str) -> i64 {
    assert_eq!(receipt["status"], "canceled", "{what}: {receipt}");
    let charged = receipt["charge_microcredits"].as_i64().unwrap();
    assert!((1..5_000).contains(&charged), "{what}: {receipt}");
    charged
}

on_both! {
    async fn a_stream_can_be_left_at_any_point(engine: Engine) {
        for wire in WIRES {
            let shop = wire.shop(engine, |_| {}).await;
            let ann = shop.buyer("ann", FUNDS).await;
            let tasks = shop.app.runtime().tasks().count();
            let mut left = FUNDS;
            for point in part_of(engine, wire, points(wire)) {
                let mut paid = Vec::new();
                for route in STREAMS {
                    let what = format!("{}, {route:?}, {}", wire.name, point.name);
                    shop.upstream.always(streamed(&point.sent).hang());
                    let request_id = leave(route, &ann, point.seen).await;
                    is_cancelled(&shop, &what).await;
                    let receipt = settled(&shop, &ann, &request_id, tasks).await;
                    paid.push(check(&receipt, &what));
                    left -= paid.last().unwrap();
                    assert_eq!(shop.wallet(&ann).await, (left, 0), "{what}");
                }
            }
            // The place of the only call that may run at a time is free again.
            shop.upstream.always(streamed(wire.recorded));
            assert_eq!(Route::Stream.ask(&ann).await.status, 200);
        }
    }

    async fn a_call_can_be_left_before_its_answer(engine: Engine) {
        for wire in WIRES {
            // Streams begin as soon as the provider's do, and so does what is not translated.
            let begun = WHOLE.into_iter().filter(|route| *route != Route::Chat);
            let begun = begun.map(|route| (route, true));
            let calls = routes().map(|route| (route, false)).chain(begun).collect();
            for (route, begun) in part_of(engine, wire, calls) {
                let what = format!("{}, {route:?}, begun: {begun}", wire.name);
                let shop = wire.shop(engine, |_| {}).await;
                let ann = shop.buyer("ann", FUNDS).await;
                let tasks = shop.app.runtime().tasks().count();
                let answer = Answer::pieces("application/json").write("{\"id\":\"");
                shop.upstream.always(if begun { answer.hang() } else { answer.silent() });
                let call = beside({
                    let ann = ann.clone();
                    async move { route.open(&ann).await }
                });
                shop.upstream.arrived(0).await;
                call.abort();
                assert!(call.await.is_err(), "{what}: it had not been answered");
                is_cancelled(&shop, &what).await;
                let charged = check(&only_receipt(&shop, &ann, tasks).await, &what);
                assert_eq!(shop.wallet(&ann).await, (FUNDS - charged, 0), "{what}");
            }
        }
    }

    async fn an_answer_that_is_finished_for_nobody_is_read_to_its_end(engine: Engine) {
        for wire in WIRES {
            let finishing = |config: &mut Value| config["on_disconnect"] = json!("finish");
            let shop = wire.shop(engine, finishing).await;
            let ann = shop.buyer("ann", FUNDS).await;
            let tasks = shop.app.runtime().tasks().count();
            let mut left = FUNDS;
            for point in part_of(engine, wire, points(wire)) {
                for route in STREAMS {
                    let what = format!("{}, {route:?}, {}", wire.name, point.name);
                    let gate = Gate::default();
                    let rest =
                        &wire.recorded[if point.seen.is_none() { 0 } else { point.sent.len() }..];
                    let sent = if point.seen.is_none() { ": x\n\n" } else { &point.sent };
                    shop.upstream.always(streamed(sent).wait(&gate).write(rest));
                    let request_id = leave(route, &ann, point.seen).await;
                    gate.open();
                    // What an answer used stands at its end.
                    let receipt = settled(&shop, &ann, &request_id, tasks).await;
                    let charged = check(&receipt, &what);
                    assert_eq!(receipt["output_tokens"], 12, "{what}: {receipt}");
                    left -= charged;
                    assert_eq!(shop.wallet(&ann).await, (left, 0), "{what}");
                }
            }
        }
    }
}
