//! The user's side over a transport of the tests' own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use downcity_types::{UiPart, UiRole};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::*;

const URL: &str = "https://fed.example.com/base";

/// Answers in turn, and keeps what was asked.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    answers: Vec<(u16, String)>,
    asked: Vec<Asked>,
}

/// Method, path below the base URL, token and body of a request.
type Asked = (String, String, Option<String>, Option<Value>);

impl Fake {
    fn answer(answers: impl IntoIterator<Item = (u16, Value)>) -> Self {
        let fake = Self::default();
        fake.0.lock().unwrap().answers =
            answers.into_iter().map(|(status, body)| (status, body.to_string())).collect();
        fake
    }

    fn text(text: &str) -> Self {
        let fake = Self::default();
        fake.0.lock().unwrap().answers = vec![(200, text.to_owned())];
        fake
    }

    fn user(&self) -> City<User> {
        self.city(Some("city_demo"), Some("token_1"))
    }

    fn city(&self, city_id: Option<&str>, token: Option<&str>) -> City<User> {
        let mut builder = City::user(URL).transport(self.clone()).retry(RetryPolicy::none());
        if let Some(id) = city_id {
            builder = builder.city_id(id);
        }
        if let Some(token) = token {
            builder = builder.user_token(token);
        }
        builder.build().unwrap()
    }

    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }

    /// The one request there was.
    fn one(&self) -> Asked {
        let mut asked = self.asked();
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked.remove(0)
    }
}

impl Transport for Fake {
    fn send(&self, request: Request) -> SendFuture<'_> {
        Box::pin(async move {
            let path = request.url.as_str().strip_prefix(URL).unwrap().to_owned();
            let token = request.headers.get(header::AUTHORIZATION);
            let token = token.map(|value| value.to_str().unwrap().replace("Bearer ", ""));
            let body = request.body.map(|body| serde_json::from_slice(&body).unwrap());
            let mut script = self.0.lock().unwrap();
            script.asked.push((request.method.to_string(), path, token, body));
            assert!(!script.answers.is_empty(), "an answer to {:?}", script.asked.last());
            let (status, body) = script.answers.remove(0);
            let body = Box::pin(stream::iter([Ok(Bytes::from(body))]));
            Ok(Response::new(StatusCode::from_u16(status).unwrap(), header::HeaderMap::new(), body))
        })
    }
}

fn message(text: &str) -> Value {
    json!({ "id": "m", "role": "assistant", "parts": [{ "type": "text", "text": text }] })
}

fn post(path: &str, body: Value) -> Asked {
    ("POST".to_owned(), path.to_owned(), Some("token_1".to_owned()), Some(body))
}

#[tokio::test]
async fn a_text_is_asked_for_with_the_city_of_the_client() {
    let fake = Fake::answer([(200, message("Hello"))]);
    let input = TextInput::prompt("Hi").extra("city_id", "city_other").extra("seed", 1);
    let answer = fake.user().ai().text(input).await.unwrap();
    assert_eq!((answer.role, &answer.parts[0]), (UiRole::Assistant, &UiPart::text("Hello")));
    let body = json!({ "prompt": "Hi", "city_id": "city_demo", "seed": 1 });
    assert_eq!(fake.one(), post("/v1/ai/text", body));
}

#[tokio::test]
async fn every_mode_has_its_route() {
    let fake = Fake::answer([
        (200, message("film")),
        (200, message("sound")),
        (200, json!({ "text": "words", "language": "en", "duration": 1.5, "mood": "calm" })),
        (200, json!({ "job_id": "j1", "status": "queued", "poll_after_ms": 5 })),
        (200, json!({ "job_id": "j1", "status": "running", "metadata": {} })),
    ]);
    let user = fake.user();
    let ai = user.ai();
    ai.video(VideoInput::prompt("Sea")).await.unwrap();
    ai.tts(TtsInput::new("Hi").model("voice")).await.unwrap();
    let words = ai.asr(AsrInput::url("https://a.example/b.mp3")).await.unwrap();
    assert_eq!(
        (&*words.text, words.duration, &words.extra["mood"]),
        ("words", Some(1.5), &json!("calm"))
    );
    let job = ai.image_create(ImageInput::prompt("Sea")).await.unwrap();
    assert_eq!((job.status, job.poll_after_ms), (JobStatus::Queued, Some(5)));
    let state = ai.image_result(&job.job_id).await.unwrap();
    assert_eq!((state.job.status, state.result), (JobStatus::Running, None));
    let city = "city_demo";
    assert_eq!(
        fake.asked(),
        [
            post("/v1/ai/video", json!({ "prompt": "Sea", "city_id": city })),
            post("/v1/ai/tts", json!({ "model": "voice", "text": "Hi", "city_id": city })),
            post("/v1/ai/asr", json!({ "url": "https://a.example/b.mp3", "city_id": city })),
            post("/v1/ai/image/create", json!({ "prompt": "Sea", "city_id": city })),
            post("/v1/ai/image/result", json!({ "job_id": "j1", "city_id": city })),
        ]
    );
}

#[tokio::test]
async fn without_a_city_or_token_nothing_is_sent() {
    let fake = Fake::default();
    let nowhere = fake.city(None, Some("token_1"));
    assert!(matches!(nowhere.ai().text(TextInput::prompt("Hi")).await, Err(Error::MissingCityId)));
    assert!(matches!(
        nowhere.ai().stream(TextInput::prompt("Hi")).await,
        Err(Error::MissingCityId)
    ));
    let image = nowhere.ai().image_result(&"j1".into()).await;
    assert!(matches!(image, Err(Error::MissingCityId)));
    let guest = fake.city(Some("city_demo"), None);
    let stream = guest.ai().stream(TextInput::prompt("Hi")).await;
    assert!(matches!(stream, Err(Error::MissingUserToken)));
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn a_stream_is_opened_and_read() {
    let text = "data: {\"type\":\"start\"}\n\ndata: {\"type\":\"text-delta\",\"id\":\"t\",\
        \"delta\":\"Hello\"}\n\ndata: {\"type\":\"finish\"}\n\ndata: [DONE]\n\n";
    let fake = Fake::text(text);
    let chunks = fake.user().ai().stream(TextInput::prompt("Hi")).await.unwrap();
    let texts: Vec<_> = chunks.text_deltas().collect().await;
    assert!(matches!(&texts[..], [Ok(text)] if text == "Hello"));
    let body = json!({ "prompt": "Hi", "city_id": "city_demo" });
    assert_eq!(fake.one(), post("/v1/ai/stream", body));
    let refused = Fake::answer([(402, json!({ "error": "Pay.", "code": "insufficient_balance" }))]);
    let error = refused.user().ai().stream(TextInput::prompt("Hi")).await.unwrap_err();
    assert!(matches!(error, Error::Status { status: 402, .. }), "an error before the first chunk");
}

#[tokio::test(start_paused = true)]
async fn an_image_is_waited_for() {
    let job = |status: &str, wait: u64| json!({ "job_id": "j1", "status": status, "poll_after_ms": wait });
    let mut done = job("succeeded", 0);
    done["result"] = message("an image");
    let fake = Fake::answer([
        (200, job("queued", 2_000)),
        (200, job("running", 90_000)),
        (200, job("running", 0)),
        (200, done),
    ]);
    let begun = tokio::time::Instant::now();
    let user = fake.user();
    let image = user.ai().image(ImageInput::prompt("Sea"), PollOptions::default()).await.unwrap();
    assert_eq!(image.parts, [UiPart::text("an image")]);
    assert_eq!(begun.elapsed().as_secs(), 2 + 15 + 1, "what is asked for, within bounds");
    assert_eq!(fake.asked().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_image_may_fail_or_take_too_long() {
    let failed =
        json!({ "job_id": "j1", "status": "failed", "error": "No paint.", "message": "Oh" });
    let hinted = json!({ "job_id": "j1", "status": "failed", "message": "Oh" });
    for (answers, reason) in [
        (vec![failed.clone()], "No paint."),
        (vec![json!({ "job_id": "j1", "status": "running" }), failed.clone()], "No paint."),
        (vec![json!({ "job_id": "j1", "status": "succeeded" }); 2], "it has no result"),
        (vec![json!({ "job_id": "j1", "status": "running" }); 6], "it did not end in time"),
        (vec![hinted], "Oh"),
    ] {
        let fake = Fake::answer(answers.into_iter().map(|answer| (200, answer)));
        let patience = PollOptions::default().timeout(Duration::from_secs(5));
        let error = fake.user().ai().image(ImageInput::prompt("Sea"), patience).await.unwrap_err();
        let Error::Job { id, reason: told } = &error else { panic!("{error:?}") };
        assert_eq!((&**id, &**told), ("j1", reason));
        assert!(
            fake.0.lock().unwrap().answers.is_empty(),
            "asked as often as there was time: {reason}"
        );
    }
}

#[tokio::test]
async fn the_catalog_is_read_from_the_items() {
    let fake = Fake::answer([(
        200,
        json!({
            "object": "list",
            "items": [{ "id": "echo", "name": "Echo", "modalities": ["text"], "meta": { "size": 1 } }, { "id": "b" }],
            "data": [{ "id": "echo" }],
        }),
    )]);
    let user = fake.user();
    let catalog = user.ai().list_models().await.unwrap();
    assert_eq!(catalog.all().len(), 2);
    let (method, path, token, body) = fake.one();
    assert_eq!(
        (&*method, &*path, token.as_deref(), body),
        ("GET", "/v1/ai/models", Some("token_1"), None)
    );
    let handle = user.ai().model(catalog.default().unwrap());
    assert_eq!(
        (handle.id(), handle.name(), &handle.meta()["size"]),
        (&"echo".into(), "Echo", &json!(1))
    );
}

#[tokio::test]
async fn a_handle_asks_its_model() {
    let fake = Fake::answer([(200, message("a")), (200, message("b")), (500, json!("no"))]);
    let handle = fake.user().ai().model("echo");
    assert_eq!((handle.name(), handle.model_name(), handle.meta().len()), ("echo", "echo", 0));
    assert_eq!(handle.url(), "https://fed.example.com/base/v1/ai");
    assert_eq!(handle.token().unwrap().expose_secret(), "token_1");
    handle.text(TextInput::prompt("Hi").model("other").extra("model", "another")).await.unwrap();
    handle.video(VideoInput::prompt("Hi")).await.unwrap();
    handle.stream(TextInput::prompt("Hi")).await.unwrap_err();
    for (_, _, _, body) in fake.asked() {
        assert_eq!(body.unwrap()["model"], "echo");
    }
}

#[tokio::test]
async fn a_connection_tells_openai_clients_where_to_go() {
    let fake = Fake::default();
    let user = fake.user();
    let connection = user.ai().connection(&" echo ".into()).unwrap();
    assert_eq!(connection.base_url, "https://fed.example.com/base/v1/ai");
    assert_eq!(connection.api_key.as_ref().unwrap().expose_secret(), "token_1");
    assert_eq!(connection.model_id, "echo".into());
    assert_eq!(
        Value::Object(connection.request_body),
        json!({ "model": "echo", "city_id": "city_demo" })
    );
    let guest = fake.city(None, None);
    let connection = guest.ai().model("echo").connection().unwrap();
    assert!(connection.api_key.is_none());
    assert_eq!(Value::Object(connection.request_body), json!({ "model": "echo" }));
    assert!(matches!(
        user.ai().connection(&"  ".into()),
        Err(Error::Config { field: "model", .. })
    ));
}

fn methods() -> Value {
    let method = |id: &str, enabled: bool| {
        json!({
            "id": id, "type": "checkout", "enabled": enabled, "label": id, "service": "payment",
            "action": "checkout/create", "requires_user": true, "currency": "usd",
        })
    };
    let mut disabled = method("dodo", false);
    disabled["reason"] = json!("not_configured");
    let mut open = method("gift", true);
    open["requires_user"] = json!(false);
    open["test"] = json!(true);
    json!({ "items": [method("stripe", true), disabled, open] })
}

#[tokio::test]
async fn methods_are_listed_to_guests() {
    let fake = Fake::answer([(200, methods())]);
    let methods = fake.city(None, None).payment().methods().await.unwrap();
    assert_eq!(methods.len(), 3);
    assert_eq!((&*methods[0].kind, methods[0].test, methods[2].test), ("checkout", false, true));
    assert_eq!(methods[1].reason.as_deref(), Some("not_configured"));
    let (method, path, token, _) = fake.one();
    assert_eq!((&*method, &*path, token), ("GET", "/v1/payment/methods", None));
}

#[tokio::test]
async fn paying_looks_the_method_up_once() {
    let paid = json!({ "checkout_url": "https://pay.example" });
    let fake = Fake::answer([(200, methods()), (200, paid.clone()), (200, paid.clone())]);
    let user = fake.user();
    let stripe = user.payment().method(" stripe ").unwrap();
    assert!(fake.asked().is_empty(), "a handle asks nothing");
    let answer: Value =
        stripe.invoke(json!({ "topup_id": "t1", "method_id": "forged" })).await.unwrap();
    assert_eq!(answer, paid);
    let () = stripe.invoke::<Value>(json!({})).await.map(drop).unwrap();
    assert_eq!((stripe.id(), stripe.describe().await.unwrap().enabled), ("stripe", true));
    let asked = fake.asked();
    assert_eq!(asked.len(), 3, "once for the methods");
    assert_eq!(
        asked[1],
        post("/v1/payment/checkout/create", json!({ "topup_id": "t1", "method_id": "stripe" }))
    );
}

#[tokio::test]
async fn a_lookup_that_failed_is_made_again() {
    let fake = Fake::answer([
        (503, json!({ "error": "Later." })),
        (200, json!({ "items": [] })),
        (200, methods()),
    ]);
    let user = fake.user();
    let stripe = user.payment().method("stripe").unwrap();
    assert!(matches!(stripe.describe().await, Err(Error::Status { status: 503, .. })));
    let absent = stripe.describe().await;
    assert!(matches!(absent, Err(Error::PaymentUnavailable { id }) if id == "stripe"));
    assert_eq!(stripe.describe().await.unwrap().label, "stripe");
}

#[tokio::test]
async fn what_cannot_be_paid_with_is_refused_here() {
    let fake = Fake::answer((0..4).map(|_| (200, methods())));
    let user = fake.user();
    let error = user.payment().invoke::<Value>("dodo", json!({})).await.unwrap_err();
    assert!(matches!(&error, Error::PaymentDisabled { id, reason }
        if id == "dodo" && reason.as_deref() == Some("not_configured")));
    assert!(error.to_string().contains("payment method \"dodo\""), "{error}");
    assert!(error.to_string().contains("disabled: not_configured"), "{error}");
    let error = user.payment().invoke::<Value>("cash", json!({})).await.unwrap_err();
    assert!(matches!(&error, Error::PaymentUnavailable { id } if id == "cash"));
    let guest = fake.city(Some("city_demo"), None);
    let error = guest.payment().invoke::<Value>("stripe", json!({})).await.unwrap_err();
    assert!(matches!(error, Error::MissingUserToken));
    let error = user.payment().invoke::<Value>("stripe", json!([1])).await.unwrap_err();
    assert!(matches!(error, Error::Config { field: "input", .. }));
    assert!(fake.asked().iter().all(|asked| asked.0 == "GET"), "nobody was asked to pay");
    assert!(matches!(user.payment().method(" "), Err(Error::Config { .. })));
}

#[tokio::test]
async fn guests_may_pay_where_no_user_is_required() {
    let fake = Fake::answer([(200, methods()), (200, json!({}))]);
    let guest = fake.city(None, None);
    guest.payment().invoke::<Value>("gift", json!({ "to": "a" })).await.unwrap();
    assert_eq!(fake.asked()[1].3, Some(json!({ "to": "a", "method_id": "gift" })));
}

#[tokio::test]
async fn who_signs_in_gets_a_client_of_their_own() {
    let fake = Fake::answer([(200, message("a")), (200, message("b"))]);
    let guest = fake.city(Some("city_demo"), None);
    let user = guest.with_token("token_2");
    user.ai().text(TextInput::prompt("Hi")).await.unwrap();
    guest.ai().text(TextInput::prompt("Hi")).await.unwrap();
    let asked = fake.asked();
    assert_eq!((asked[0].2.as_deref(), asked[1].2.as_deref()), (Some("token_2"), None));
    assert_eq!(asked[0].3, asked[1].3);
}
