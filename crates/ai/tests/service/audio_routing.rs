//! Several upstreams and several keys behind a model that speaks or listens.

use downcity_testkit::{Answer, MockUpstream, TestReply};
use serde_json::{Value, json};

use crate::common::{Fixture, error_body, set_env, with};

const RECORDING: &str = "data:audio/wav;base64,UklGRiwAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQgAAACAgICAgICAgA==";

/// Ways to ask for sounds and for words: a path, and what is sent there. The answers of those that
/// speak are passed on while they come, but for the first.
fn speaking() -> [(&'static str, Value); 2] {
    [
        ("/v1/ai/tts", json!({"text": "Hello"})),
        ("/v1/audio/speech", json!({"input": "Hello", "voice": "nova"})),
    ]
}

fn listening() -> (&'static str, Value) {
    ("/v1/ai/asr", json!({"data_url": RECORDING}))
}

/// Two providers behind each model, the first with two keys.
struct Node {
    fixture: Fixture,
    second: MockUpstream,
}

impl Node {
    async fn start() -> Self {
        let second = MockUpstream::start().await;
        let url = second.url();
        let fixture = with(|config| {
            let first = config["provider"][0]["base_url"].clone();
            config["retries"] = json!({"attempts": 1});
            config["cool_down"] = json!({"first_ms": 10_000, "most_ms": 30_000});
            config["provider"] = json!([
                {"id": "first", "protocol": "openai-audio", "base_url": first,
                    "env_key": "KEY_A", "env_keys": ["KEY_B"]},
                {"id": "second", "protocol": "openai-audio", "base_url": url, "env_key": "KEY_C"},
            ]);
            let upstreams = json!([
                {"provider": "first", "upstream_model": "one"},
                {"provider": "second", "upstream_model": "two"},
            ]);
            config["model"] = json!([
                {"id": "voice", "name": "Voice", "modes": ["tts"], "upstreams": upstreams},
                {"id": "ear", "name": "Ear", "modes": ["asr"], "upstreams": upstreams},
            ]);
        });
        let fixture = fixture.await;
        for key in ["KEY_A", "KEY_B", "KEY_C"] {
            set_env(&fixture.app, key, &format!("sk-value-of-{key}")).await;
        }
        Self { fixture, second }
    }

    async fn ask(&self, (path, input): (&str, Value)) -> TestReply {
        self.fixture.user.post(path, input).await
    }

    /// The names of the keys that the first provider got.
    fn keys(&self) -> Vec<String> {
        let requests = self.fixture.upstream.requests();
        let value = |at: usize| requests[at].headers["authorization"].to_str().unwrap();
        let names = (0..requests.len()).map(|at| value(at).replace("Bearer sk-value-of-", ""));
        names.collect()
    }
}

fn sound(bytes: &[u8]) -> Answer {
    Answer::pieces("audio/mpeg").write_bytes(&[0xFF, 0xFB, 0x90, 0]).write_bytes(bytes)
}

fn refusal(status: u16) -> Answer {
    Answer::json(status, &error_body("no"))
}

#[tokio::test]
async fn the_next_upstream_answers_where_one_fails_before_its_first_byte() {
    for status in [401, 403, 429, 500, 503] {
        let node = Node::start().await;
        node.fixture.upstream.always(refusal(status));
        node.second.always(sound(&[7; 100]));
        for call in speaking() {
            let reply = node.ask(call).await;
            assert_eq!(reply.status, 200, "{status}: {}", reply.text());
        }
        node.second.always(Answer::json(200, &json!({"text": "from the second"})));
        let words = node.ask(listening()).await.expect(200);
        assert_eq!(words["text"], "from the second", "{status}");
        let sent = node.second.requests();
        assert_eq!(sent[0].json()["model"], "two", "fitted for the second");
        let form = String::from_utf8_lossy(&sent[2].body).into_owned();
        assert!(form.contains("\r\n\r\ntwo\r\n") && !form.contains("\r\n\r\none\r\n"), "{form}");
        assert!(form.contains("RIFF"), "the recording is sent once more, whole");
    }
}

#[tokio::test]
async fn nobody_is_asked_again_for_a_sound_that_has_begun() {
    let node = Node::start().await;
    node.fixture.upstream.always(sound(&[7; 100]).cut());
    for (path, input) in speaking() {
        let body = input.to_string().into();
        let response = node.fixture.user.open(http::Method::POST, path, body).await;
        let status = response.status().as_u16();
        let read = http_body_util::BodyExt::collect(response.into_body()).await;
        // What was passed on before the break stays; the message needs the whole sound.
        match path {
            "/v1/ai/tts" => assert_eq!((status, read.is_ok()), (502, true)),
            _ => assert_eq!((status, read.is_ok()), (200, false)),
        }
    }
    assert!(node.second.requests().is_empty());
    assert_eq!(node.fixture.upstream.requests().len(), 2, "once for each call");
}

#[tokio::test]
async fn what_is_the_requests_fault_is_asked_once() {
    let node = Node::start().await;
    node.fixture.upstream.always(refusal(400));
    let [tts, speech] = speaking();
    for call in [tts, speech, listening()] {
        assert_eq!(node.ask(call).await.status, 400);
    }
    assert_eq!(node.keys(), ["KEY_A", "KEY_A", "KEY_A"]);
    assert!(node.second.requests().is_empty());
}

#[tokio::test]
async fn a_refused_or_limited_key_rests() {
    for refused in [refusal(401), refusal(429).header("retry-after", "5")] {
        let node = Node::start().await;
        node.fixture.upstream.then(refused);
        node.fixture.upstream.always(sound(&[7; 100]));
        let [tts, speech] = speaking();
        for call in [tts, speech] {
            assert_eq!(node.ask(call).await.status, 200);
        }
        node.fixture.upstream.always(Answer::json(200, &json!({"text": "yes"})));
        node.ask(listening()).await.expect(200);
        assert_eq!(node.keys(), ["KEY_A", "KEY_B", "KEY_B", "KEY_B"], "the models share the keys");
        node.fixture.app.clock().advance(std::time::Duration::from_secs(10));
        node.ask(listening()).await.expect(200);
        assert_eq!(node.keys()[4], "KEY_A", "it has slept enough");
    }
}

#[tokio::test]
async fn the_last_upstreams_failure_is_the_callers_answer() {
    let node = Node::start().await;
    node.fixture.upstream.always(refusal(500));
    node.second.always(refusal(503));
    let (path, input) = listening();
    node.ask((path, input)).await.expect_error(502, "upstream_error");
    let [tts, _] = speaking();
    node.ask(tts).await.expect_error(502, "upstream_error");
    assert_eq!(node.second.requests().len(), 2);
}
