//! Speech and transcription: `tts`, `asr`, `/v1/audio/speech` and `/v1/audio/transcriptions`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use downcity_ai::AiConfig;
use downcity_core::form;
use downcity_testkit::{Answer, Client, Engine, TestApp, TestReply};
use http::Method;
use serde_json::{Value, json};

use crate::common::{Fixture, KEY, ai, error_body, with};

async fn fixture() -> Fixture {
    fixture_with(|_| {}).await
}

async fn fixture_with(change: impl FnOnce(&mut Value)) -> Fixture {
    let fixture = with(|config| {
        let url = config["provider"][0]["base_url"].clone();
        config["provider"][0] = json!({
            "id": "mock", "protocol": "openai-audio", "base_url": url, "env_key": "MOCK_API_KEY",
        });
        config["model"] = json!([
            {"id": "voice", "name": "Voice", "provider": "mock", "modes": ["tts"], "upstream_model": "tts-1"},
            {"id": "ear", "name": "Ear", "provider": "mock", "modes": ["asr"], "upstream_model": "whisper-1"},
        ]);
        change(config);
    });
    fixture.await
}

fn mp3() -> Answer {
    Answer::pieces("audio/mpeg").write_bytes(&[0xFF, 0xFB, 0x90, 0]).write_bytes(&[7; 100])
}

/// Half a second of silence: WAV, mono, 8 bits, 8,000 samples a second.
fn wav() -> Vec<u8> {
    let mut wav = b"RIFF\xC4\x0F\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1F\0\0\x40\x1F\0\0\x01\0\x08\0data\xA0\x0F\0\0".to_vec();
    wav.resize(44 + 4_000, 0x80);
    wav
}

fn data_url() -> String {
    format!("data:audio/wav;base64,{}", STANDARD.encode(wav()))
}

/// A form of these fields and a file.
async fn send(
    user: &Client,
    path: &str,
    fields: &[(&str, &str)],
    file: Option<&[u8]>,
) -> TestReply {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part = format!(
            "--frontier\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        body.extend(part.into_bytes());
    }
    if let Some(bytes) = file {
        body.extend(b"--frontier\r\nContent-Disposition: form-data; name=\"file\"; filename=\"said.wav\"\r\nContent-Type: audio/wav\r\n\r\n");
        body.extend(bytes);
        body.extend(b"\r\n");
    }
    body.extend(b"--frontier--\r\n");
    let user = user.clone().with_header("content-type", "multipart/form-data; boundary=frontier");
    user.send(Method::POST, path, bytes::Bytes::from(body).into()).await
}

/// The form that arrived at the provider.
fn arrived(fixture: &Fixture, at: usize) -> form::FormData {
    let request = &fixture.upstream.requests()[at];
    assert_eq!(request.target, "POST /v1/audio/transcriptions");
    let boundary = form::boundary(&request.headers).expect("a form");
    form::read(&request.body, &boundary).expect("a whole form")
}

fn field<'a>(form: &'a form::FormData, name: &str) -> Vec<&'a str> {
    let fields = form.fields.iter().filter(|(known, _)| known == name);
    fields.map(|(_, value)| value.as_str()).collect()
}

#[tokio::test]
async fn a_text_is_spoken_as_a_file_of_a_message() {
    let fixture = fixture().await;
    fixture.upstream.always(mp3());
    let input = json!({
        "text": "Hello", "format": "mp3", "speed": 1.5, "city_id": "city_a",
        "provider_options": {"mock": {"instructions": "Whisper.", "input": "no"}},
    });
    let message = fixture.user.post("/v1/ai/tts", input).await.expect(200);
    assert_eq!(
        (&message["role"], &message["parts"][0]["type"]),
        (&json!("assistant"), &json!("file"))
    );
    assert_eq!(message["parts"][0]["mediaType"], "audio/mpeg");
    assert!(!message["parts"][0]["url"].as_str().unwrap().is_empty());
    assert!(message["id"].as_str().unwrap().starts_with("msg_"));
    let expected =
        json!({"model": "voice", "city_id": "city_a", "user_id": "user_1", "finishReason": "stop"});
    assert_eq!(message["metadata"], expected);
    let request = fixture.upstream.request();
    assert_eq!(request.target, "POST /v1/audio/speech");
    assert_eq!(request.headers["authorization"], format!("Bearer {KEY}"));
    let sent = json!({
        "input": "Hello", "voice": "alloy", "response_format": "mp3", "speed": 1.5,
        "instructions": "Whisper.", "model": "tts-1",
    });
    assert_eq!(request.json(), sent);
    let metered = &fixture.metered.all(1).await[0];
    assert_eq!((metered.audio_seconds, &metered.metadata["mode"]), (Some(1), &json!("tts")));
}

#[tokio::test]
async fn the_sound_itself_comes_to_who_accepts_sounds() {
    let fixture = fixture().await;
    fixture.upstream.always(mp3());
    let listener = fixture.user.clone().with_header("accept", "text/html, audio/*;q=0.9");
    let reply = listener.post("/v1/ai/tts", json!({"text": "Hello"})).await;
    assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, Some("audio/mpeg")));
    assert_eq!(reply.body.len(), 104);
    fixture.upstream.always(Answer::json(400, &error_body("No such voice.")));
    let reply = listener.post("/v1/ai/tts", json!({"text": "Hello"})).await;
    reply.expect_error(400, "invalid_input");
}

#[tokio::test]
async fn speech_of_openai_is_passed_on() {
    let fixture = fixture().await;
    fixture.upstream.always(mp3());
    let input =
        json!({"model": "voice", "input": "Hello", "voice": "nova", "x": 1, "city_id": "city_a"});
    let reply = fixture.user.post("/v1/audio/speech", input).await;
    assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, Some("audio/mpeg")));
    assert_eq!(reply.body.len(), 104);
    let sent = json!({"model": "tts-1", "input": "Hello", "voice": "nova", "x": 1});
    assert_eq!(fixture.upstream.request().json(), sent);
    assert_eq!(fixture.metered.all(1).await[0].audio_seconds, Some(1));

    for (input, status) in [
        (json!({}), 400),
        (json!({"input": " "}), 400),
        (json!({"input": 7}), 400),
        (json!({"input": "a", "speed": "x"}), 400),
        (json!({"input": "a", "model": "ear"}), 422),
    ] {
        let reply = fixture.user.post("/v1/audio/speech", input.clone()).await;
        assert!(reply.expect(status)["error"]["message"].is_string(), "{input}");
    }
    fixture.upstream.always(Answer::json(400, &error_body("No such voice.")));
    let reply = fixture.user.post("/v1/audio/speech", json!({"input": "a"})).await;
    assert_eq!(reply.expect(400)["error"]["message"], "No such voice.");
    for answer in [Answer::text(200, "text/html", "<html>"), Answer::json(200, &error_body("No."))]
    {
        fixture.upstream.always(answer);
        let reply = fixture.user.post("/v1/audio/speech", json!({"input": "a"})).await;
        assert_eq!(reply.expect(502)["error"]["code"], "upstream_invalid");
        fixture
            .user
            .post("/v1/ai/tts", json!({"text": "a"}))
            .await
            .expect_error(502, "upstream_invalid");
    }
}

#[tokio::test]
async fn a_recording_is_written_down() {
    let fixture = fixture().await;
    let words = json!({
        "text": "Hello", "language": "english", "duration": 2.5, "segments": [{"id": 0}],
        "usage": {"type": "duration", "seconds": 3},
    });
    fixture.upstream.always(Answer::json(200, &words));
    let input = json!({
        "data_url": data_url(), "language": "en",
        "provider_options": {"mock": {"temperature": 0.5, "file": "no"}},
    });
    assert_eq!(fixture.user.post("/v1/ai/asr", input).await.expect(200), words);
    let form = arrived(&fixture, 0);
    assert_eq!(field(&form, "model"), ["whisper-1"]);
    assert_eq!((field(&form, "language"), field(&form, "temperature")), (vec!["en"], vec!["0.5"]));
    assert!(field(&form, "file").is_empty() && form.files.len() == 1);
    assert_eq!(
        (form.files[0].filename.as_str(), &form.files[0].bytes[..]),
        ("audio.wav", &wav()[..])
    );
    assert_eq!(fixture.metered.all(1).await[0].audio_seconds, Some(3));

    // What the provider does not tell, the recording tells.
    fixture.upstream.always(Answer::json(200, &json!({"text": "Hello"})));
    let fields = [("provider_options", r#"{"mock":{"prompt":"P"}}"#), ("city_id", "city_a")];
    let answer = send(&fixture.user, "/v1/ai/asr", &fields, Some(&wav())).await.expect(200);
    assert_eq!(answer, json!({"text": "Hello", "duration": 0.5}));
    let form = arrived(&fixture, 1);
    assert_eq!(field(&form, "prompt"), ["P"]);
    assert!(field(&form, "city_id").is_empty());
    assert_eq!(form.files[0].filename, "said.wav");
    fixture.upstream.always(Answer::text(200, "text/plain", "Hello\n"));
    let answer = fixture.user.post("/v1/ai/asr", json!({"data_url": data_url()})).await.expect(200);
    assert_eq!(answer["text"], "Hello");
    fixture.upstream.always(Answer::json(200, &json!({"words": 1})));
    let reply = fixture.user.post("/v1/ai/asr", json!({"data_url": data_url()})).await;
    reply.expect_error(502, "upstream_invalid");
}

#[tokio::test]
async fn recordings_that_are_none() {
    let fixture = fixture_with(|config| config["max_audio_bytes"] = json!(5_000)).await;
    let long = format!("data:audio/wav;base64,{}", STANDARD.encode([0; 5_001]));
    for (input, status, code) in [
        (json!({}), 400, "invalid_input"),
        (json!({"data_url": "data:audio/wav"}), 400, "invalid_input"),
        (json!({"data_url": "data:audio/wav;base64,%%"}), 400, "invalid_input"),
        (json!({"data_url": "data:audio/wav;base64,"}), 400, "invalid_input"),
        (json!({"data_url": data_url(), "url": "https://a.example"}), 400, "invalid_input"),
        (json!({"data_url": data_url(), "provider_options": "x"}), 400, "invalid_input"),
        (json!({"audio_path": "/etc/passwd"}), 422, "unprocessable"),
        (json!({"url": "http://127.0.0.1:1/a.wav"}), 422, "unprocessable"),
        (json!({"url": "file:///etc/passwd"}), 422, "unprocessable"),
        (json!({"data_url": long}), 413, "payload_too_large"),
        (json!({"data_url": data_url(), "city_id": "city_b"}), 403, "city_mismatch"),
    ] {
        let reply = fixture.user.post("/v1/ai/asr", input.clone()).await;
        let error = reply.expect_error(status, code);
        assert!(!error.to_string().contains("passwd"), "{input}: {error}");
    }
    let other = send(&fixture.user, "/v1/ai/asr", &[("city_id", "city_b")], Some(&wav())).await;
    other.expect_error(403, "city_mismatch");
    assert!(fixture.upstream.requests().is_empty());
}

#[tokio::test]
async fn a_recording_is_fetched_where_it_is() {
    let fixture = fixture_with(|config| {
        config["storage"] = json!({"download": {"allow_private": true}});
        config["max_audio_bytes"] = json!(10_000);
    });
    let fixture = fixture.await;
    let there = downcity_testkit::MockUpstream::start().await;
    there.then(Answer::pieces("audio/wav").write_bytes(&wav()));
    fixture.upstream.always(Answer::json(200, &json!({"text": "Hello"})));
    let input = json!({"url": there.url()});
    let answer = fixture.user.post("/v1/ai/asr", input.clone()).await.expect(200);
    assert_eq!(answer["text"], "Hello");
    assert_eq!(&arrived(&fixture, 0).files[0].bytes[..], &wav()[..]);
    there.then(Answer::pieces("audio/wav").write_bytes(&[0; 10_001]));
    fixture.user.post("/v1/ai/asr", input.clone()).await.expect_error(413, "payload_too_large");
    there.then(Answer::text(404, "text/plain", "nothing"));
    fixture.user.post("/v1/ai/asr", input).await.expect_error(422, "unprocessable");
}

#[tokio::test]
async fn transcriptions_of_openai_are_passed_on() {
    let fixture = fixture().await;
    let path = "/v1/audio/transcriptions";
    let words = json!({"text": "Hello", "usage": {"type": "tokens", "input_tokens": 14, "output_tokens": 5}});
    fixture.upstream.always(Answer::json(200, &words));
    let fields = [
        ("model", "ear"),
        ("timestamp_granularities[]", "word"),
        ("temperature", "0"),
        ("timestamp_granularities[]", "segment"),
        ("city_id", "city_a"),
        ("response_format", "json"),
    ];
    let reply = send(&fixture.user, path, &fields, Some(&wav())).await;
    assert_eq!(reply.expect(200), words);
    let form = arrived(&fixture, 0);
    assert_eq!(field(&form, "model"), ["whisper-1"]);
    assert_eq!(field(&form, "timestamp_granularities[]"), ["word", "segment"]);
    assert_eq!(
        (field(&form, "temperature"), field(&form, "response_format")),
        (vec!["0"], vec!["json"])
    );
    assert!(field(&form, "city_id").is_empty());
    let metered = &fixture.metered.all(1).await[0];
    assert_eq!((metered.input_tokens, metered.output_tokens), (Some(14), Some(5)));
    assert_eq!(metered.audio_seconds, Some(1));

    let srt = "1\n00:00:00,000 --> 00:00:01,000\nHello\n\n";
    fixture.upstream.always(Answer::text(200, "text/plain; charset=utf-8", srt));
    let reply = send(&fixture.user, path, &[("response_format", "srt")], Some(&wav())).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, srt.to_owned()));
    let usage = json!({"type": "tokens", "input_tokens": 14, "output_tokens": 7});
    let done = json!({"type": "transcript.text.done", "text": "Hello", "usage": usage});
    fixture.upstream.always(Answer::stream().event(&json!({"delta": "Hel"})).event(&done));
    let reply = send(&fixture.user, path, &[("stream", "true")], Some(&wav())).await;
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    assert!(reply.text().ends_with(&format!("data: {done}\n\n")));
    assert_eq!(fixture.metered.all(3).await[2].output_tokens, Some(7));

    for (fields, file, status) in [
        (&[("model", "ear")][..], None, 400),
        (&[("model", "ear"), ("model", "ear")], Some(&wav()[..]), 400),
        (&[("model", "voice")], Some(&wav()), 422),
        (&[], Some(&[]), 400),
    ] {
        let reply = send(&fixture.user, path, fields, file).await;
        assert!(reply.expect(status)["error"]["message"].is_string(), "{fields:?}");
    }
    let reply = fixture.user.post(path, json!({"model": "ear"})).await;
    assert_eq!(reply.expect(400)["error"]["param"], "file");
    fixture.upstream.always(Answer::text(200, "text/html", "<html>"));
    let reply = send(&fixture.user, path, &[], Some(&wav())).await;
    assert_eq!(reply.expect(502)["error"]["code"], "upstream_invalid");
}

#[tokio::test]
async fn echo_speaks_tones_and_hears_how_long_they_are() {
    let app = TestApp::builder(Engine::Sqlite).builtin(ai(AiConfig::default()).unwrap());
    let app = app.start().await;
    app.create_city("city_a").await;
    let user = app.user(&app.token("city_a", "u").await);
    let text = "A sentence of some thirty bytes.";
    let input = json!({"model": "echo", "input": text, "voice": "any"});
    let tone = user.post("/v1/audio/speech", input).await;
    assert_eq!((tone.status.as_u16(), tone.header("content-type")), (200, Some("audio/wav")));
    let url = format!("data:audio/wav;base64,{}", STANDARD.encode(&tone.body));
    let heard = user.post("/v1/ai/asr", json!({"data_url": url})).await.expect(200);
    assert_eq!(heard, json!({"text": "Echo (development): 3 s of sound", "duration": 3.0}));
    let message = user.post("/v1/ai/tts", json!({"text": text})).await.expect(200);
    assert_eq!(message["parts"][0]["mediaType"], "audio/wav");
    let fields = [("model", "echo"), ("response_format", "verbose_json")];
    let heard =
        send(&user, "/v1/audio/transcriptions", &fields, Some(&tone.body)).await.expect(200);
    assert_eq!((&heard["duration"], heard["segments"].as_array().unwrap().len()), (&json!(3.0), 1));
}
