//! Providers that send anything but an answer, on every protocol and every way to ask: callers get
//! a clear error or an orderly end, pay for what was produced at most, and nothing stays behind.

use std::time::Duration;

use downcity_testkit::{Answer, Engine, MockUpstream};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::forms::{End, check};
use crate::protocols::{
    FUNDS, GEMINI, OPENAI, Route, WIRES, Wire, part_of, routes, settled, streamed,
};

const MEGABYTES_10: usize = 10 * 1024 * 1024;

/// `{"a":1}` as gzip writes it.
const GZIP: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0xff, 0xab, 0x56, 0x4a, 0x54, 0xb2, 0x32,
    0xac, 0x05, 0x00, 0x1a, 0x8b, 0x6f, 0x88, 0x07, 0x00, 0x00, 0x00,
];

/// What a call costs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Paid {
    Nothing,
    /// By the bytes, as no usage was told.
    Estimate,
    /// Any of these: something was produced, or not.
    AtMost(i64),
}

struct Case {
    name: &'static str,
    /// What the provider answers where a stream is asked for, and where not.
    streamed: Answer,
    whole: Answer,
    /// How `text`, `stream`, `chat/completions` and the same streamed end; the other surfaces
    /// translate as the first two do.
    ends: [End; 4],
    /// What whole answers and streams cost.
    paid: [Paid; 2],
}

const INVALID: End = End::Refused(502, "upstream_invalid");
const LATE: End = End::Refused(504, "upstream_timeout");
const NOTHING: [Paid; 2] = [Paid::Nothing; 2];
const BEGUN: [Paid; 2] = [Paid::Nothing, Paid::AtMost(5_000)];

impl Case {
    fn end(&self, route: Route) -> End {
        self.ends[match route {
            Route::Text | Route::Messages | Route::Responses => 0,
            Route::Stream | Route::MessagesStream | Route::ResponsesStream => 1,
            Route::Chat => 2,
            Route::ChatStream => 3,
        }]
    }
}

fn pieces(text: &[u8]) -> Answer {
    Answer::pieces("application/json").write_bytes(text)
}

/// Answers that are no answers of the protocol at all.
fn strangers(wire: Wire) -> Vec<Case> {
    let both = |name, answer: Answer| Case {
        name,
        streamed: answer.clone(),
        whole: answer,
        ends: [INVALID; 4],
        paid: NOTHING,
    };
    let with = |name, streamed, whole| Case { streamed, ..both(name, whole) };
    let gzip = |kind: &str| Answer::pieces(kind).write_bytes(GZIP);
    let json_event = wire.whole("Hello", Value::Null);
    vec![
        both("HTML under 200", Answer::text(200, "text/html", "<html>Sign in</html>")),
        both("HTML that says it is JSON", Answer::text(200, "application/json", "<html>")),
        both("HTML that says it is JSON, in pieces", pieces(b"<html>").write("</html>")),
        both("nothing", Answer::text(200, "application/json", "")),
        both("an error under 200", Answer::json(200, &wire.error())),
        both("an error under 200, in pieces", pieces(wire.error().to_string().as_bytes())),
        both("a list", Answer::json(200, &json!([json_event]))),
        both("half of JSON", Answer::text(200, "application/json", "{\"choices\":[{\"mess")),
        both("another type", Answer::text(200, "text/plain", wire.recorded)),
        with(
            "gzip that nobody asked for",
            gzip("text/event-stream").header("content-encoding", "gzip"),
            gzip("application/json").header("content-encoding", "gzip"),
        ),
        with("gzip that is not told", gzip("application/json"), gzip("application/json")),
        with(
            "a line of 10 MB that is no JSON",
            Answer::text(200, "application/json", &"x".repeat(MEGABYTES_10)),
            pieces("x".repeat(MEGABYTES_10).as_bytes()),
        ),
    ]
}

/// Streams that go wrong once they have begun, and whole answers that do the same.
fn breaking(wire: Wire) -> Vec<Case> {
    let begun = || streamed(wire.begun());
    let long = "x".repeat(MEGABYTES_10);
    let whole = wire.whole("Hello", Value::Null).to_string();
    let half = &wire.recorded.as_bytes()[..wire.begun().len() - 20];
    let case = |name, streamed, whole, chat| Case {
        name,
        streamed,
        whole,
        ends: [chat, End::Broken, chat, End::Broken],
        paid: BEGUN,
    };
    let torn = |name, streamed| {
        let half = pieces(&whole.as_bytes()[..whole.len() / 2]).cut();
        let chat = if wire == OPENAI { End::Torn } else { End::Refused(502, "upstream_error") };
        let text = End::Refused(502, "upstream_error");
        Case { ends: [text, End::Broken, chat, End::Broken], ..case(name, streamed, half, chat) }
    };
    // What was passed on before it could be read counts with all its bytes.
    let endless_line = |name, streamed| Case {
        paid: [Paid::Nothing, Paid::AtMost(4 * MEGABYTES_10 as i64)],
        ..case(name, streamed, pieces(long.as_bytes()), INVALID)
    };
    let bytes = |answer: Answer, bytes: &[u8]| answer.write_bytes(bytes);
    let not_utf8: Vec<u8> = whole.replace("Hello", "\u{1}").into_bytes();
    let not_utf8: Vec<u8> =
        not_utf8.iter().map(|&byte| if byte == 1 { 0xff } else { byte }).collect();
    let garbage = || Answer::text(200, "application/json", "{\"choices\":[]");
    vec![
        torn("a break within an event", bytes(Answer::stream(), half).cut()),
        torn("an end within an event", bytes(Answer::stream(), half)),
        torn("a break between events", begun().cut()),
        torn("an end between events", begun()),
        case(
            "an error within",
            begun().event(&wire.error()),
            pieces(b"{\"error\":\"x\"}"),
            INVALID,
        ),
        case(
            "bytes that are no text",
            bytes(begun(), b"data: {\"choices\":\"\xff\xfe\"}\n\n"),
            bytes(Answer::text(200, "application/json", ""), &not_utf8),
            INVALID,
        ),
        endless_line("an event of 10 MB", begun().write("data: ").write(&long)),
        endless_line("a name of 10 MB", begun().write(&long)),
        case("events that are lists", begun().write("data: [1]\n\n"), pieces(b"[1]"), INVALID),
        case(
            "events that are no JSON",
            begun().write("data: <html>\n\n"),
            pieces(b"\"x\""),
            INVALID,
        ),
        case(
            "events of another shape",
            begun().write("data: {\"choices\":5,\"type\":[]}\n\n"),
            pieces(b"7"),
            INVALID,
        ),
        case("a stream without a blank line", begun().write("data: x\n:y\n"), garbage(), INVALID),
    ]
}

/// An answer without an end: the limits of the configuration end it.
fn without_end(wire: Wire, name: &'static str, streamed: Answer, whole: Answer) -> Case {
    // A body that has begun is relayed where nothing needs to be translated.
    let chat = if wire == OPENAI { End::Torn } else { LATE };
    Case {
        name,
        streamed,
        whole,
        ends: [LATE, End::Broken, chat, End::Broken],
        paid: [Paid::Nothing, Paid::AtMost(FUNDS / 10)],
    }
}

/// A whole answer that has begun.
fn open() -> Answer {
    pieces(b"{\"id\":\"")
}

fn floods(wire: Wire) -> Vec<Case> {
    let words = streamed(wire.begun()).forever(&wire.word(), Duration::ZERO);
    vec![without_end(wire, "words without end", words, open().forever("xxxx", Duration::ZERO))]
}

/// Answers that are slow, or say nothing.
fn endless(wire: Wire) -> Vec<Case> {
    let begun = || streamed(wire.begun());
    let slowly = Duration::from_millis(3);
    let case = |name, streamed, whole| without_end(wire, name, streamed, whole);
    vec![
        case(
            "an event that drips",
            begun().write("data: {\"x\":\"").forever("x", slowly),
            open().forever("x", slowly),
        ),
        case("silence", begun().hang(), open().hang()),
        case(
            "comments without end",
            begun().forever(": x\n\n", slowly),
            open().forever(" ", slowly),
        ),
        case(
            "names without end",
            begun().forever("event: x\n", slowly),
            open().forever("\t", slowly),
        ),
    ]
}

/// Answers that are odd, but answers.
fn odd(wire: Wire) -> Vec<Case> {
    let without_usage: String = match wire.name {
        "openai-chat" => {
            let events = wire.recorded.split_inclusive("\n\n");
            events.filter(|event| !event.contains("\"prompt_tokens\"")).collect()
        }
        "anthropic-messages" => wire.recorded.replace("\"usage\"", "\"abusage\""),
        _ => wire.recorded.replace("\"usageMetadata\"", "\"abusage\""),
    };
    let whole = Answer::json(200, &wire.whole("Hello", Value::Null));
    let case = |name, text: String| {
        let finished = End::Finished("tool-calls");
        Case {
            name,
            streamed: streamed(&text),
            whole: whole.clone(),
            ends: [End::Finished("stop"), finished, End::Finished("stop"), finished],
            paid: [Paid::Estimate, Paid::AtMost(5_000)],
        }
    };
    let mut cases = vec![
        Case { paid: [Paid::Estimate; 2], ..case("no usage", without_usage) },
        case("two calls of one id", wire.recorded.replace("call_b", "call_a")),
        case("line ends of other systems", wire.recorded.replace('\n', "\r\n")),
    ];
    // Gemini has no event that ends a stream, tells a call at once, and has no form for half of one.
    if wire != GEMINI {
        let more = format!("{}data: x\n\n{}", wire.recorded, wire.recorded);
        cases.push(case("more after the end", more));
        let begin = wire.until("{\\\"city\\\":\\\"Z");
        let rest = if wire == OPENAI {
            "data: {\"id\":\"chatcmpl-9f2\",\"object\":\"chat.completion.chunk\",\"created\":1750000000,\"model\":\"upstream-1\",\"system_fingerprint\":\"fp_1\",\"choices\":[{\"index\":0,\"delta\":{},\""
        } else {
            "event: message_delta"
        };
        let rest = wire.recorded.rfind(rest).expect("the end of the answer");
        cases.push(case(
            "a call that is never closed",
            format!("{begin}{}", &wire.recorded[rest..]),
        ));
    }
    cases
}

/// Milliseconds of patience with providers.
const PATIENCE: u64 = 400;

async fn meet(engine: Engine, wire: Wire, cases: Vec<Case>) {
    let times = json!({"first_byte_ms": PATIENCE, "idle_ms": 300, "total_ms": PATIENCE});
    let shop = wire.shop(engine, |config| config["timeouts"] = times).await;
    let ann = shop.buyer("ann", FUNDS).await;
    let tasks = shop.app.runtime().tasks().count();
    let mut spent = 0;
    for case in cases {
        for route in routes() {
            let what = format!("{}, {}, {route:?}", wire.name, case.name);
            let answer = if route.is_streamed() { &case.streamed } else { &case.whole };
            shop.upstream.always(answer.clone());
            let said = route.ask(&ann).await;
            check(route, &said, case.end(route), &what);
            let receipt = settled(&shop, &ann, &said.request_id, tasks).await;
            let charged = receipt["charge_microcredits"].as_i64().unwrap();
            let is_estimate = receipt["output_tokens"].is_null();
            match case.paid[usize::from(route.is_streamed())] {
                Paid::Nothing => assert_eq!(charged, 0, "{what}: {receipt}"),
                Paid::Estimate => assert!(charged > 0 && is_estimate, "{what}: {receipt}"),
                Paid::AtMost(most) => assert!((0..=most).contains(&charged), "{what}: {receipt}"),
            }
            spent += charged;
            assert_eq!(shop.wallet(&ann).await, (FUNDS - spent, 0), "{what}");
        }
    }
    // The next one is served as if nothing had happened.
    shop.upstream.always(streamed(wire.recorded));
    check(Route::Stream, &Route::Stream.ask(&ann).await, End::Finished("tool-calls"), "after all");
}

/// Runs what the protocols meet of these cases.
async fn meet_all(engine: Engine, cases: impl Fn(Wire) -> Vec<Case>) {
    for wire in WIRES {
        meet(engine, wire, part_of(engine, wire, cases(wire))).await;
    }
}

on_both! {
    async fn answers_that_are_none_are_refused(engine: Engine) {
        meet_all(engine, strangers).await;
    }

    async fn answers_that_go_wrong_end_in_order(engine: Engine) {
        meet_all(engine, breaking).await;
    }

    async fn floods_are_ended(engine: Engine) {
        meet_all(engine, floods).await;
    }

    async fn answers_without_an_end_are_ended(engine: Engine) {
        // Each of them does little but wait.
        let cases = WIRES.into_iter().flat_map(|wire| {
            part_of(engine, wire, endless(wire)).into_iter().map(move |case| (wire, case))
        });
        join_all(cases.map(|(wire, case)| meet(engine, wire, vec![case]))).await;
    }

    async fn odd_answers_are_answers(engine: Engine) {
        meet_all(engine, odd).await;
    }

    async fn redirects_are_not_followed(engine: Engine) {
        let inside = MockUpstream::start().await;
        inside.always(Answer::json(200, &json!({"secret": 1})));
        for wire in WIRES {
            let shop = wire.shop(engine, |_| {}).await;
            let ann = shop.buyer("ann", FUNDS).await;
            let tasks = shop.app.runtime().tasks().count();
            for status in part_of(engine, wire, vec![301, 302, 303, 307, 308]) {
                let answer = Answer::text(status, "text/plain", "elsewhere");
                shop.upstream.always(answer.header("location", &inside.url()));
                for route in routes() {
                    let what = format!("{}, {status}, {route:?}", wire.name);
                    let said = route.ask(&ann).await;
                    check(route, &said, End::Refused(502, "upstream_error"), &what);
                    let receipt = settled(&shop, &ann, &said.request_id, tasks).await;
                    assert_eq!(receipt["charge_microcredits"], 0, "{what}");
                }
            }
            assert!(inside.requests().is_empty() && inside.model_requests().is_empty());
        }
    }
}
