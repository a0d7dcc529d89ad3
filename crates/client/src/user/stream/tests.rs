use bytes::Bytes;
use downcity_types::{FinishReason, UiPart, UiRole};
use futures_util::{FutureExt as _, stream};
use serde_json::json;

use super::*;

/// The body of a stream that arrives in pieces; all of it is there at once.
fn body<P: Into<Bytes>>(pieces: impl IntoIterator<Item = P>) -> ByteStream {
    let pieces: Vec<Result<Bytes>> = pieces.into_iter().map(|piece| Ok(piece.into())).collect();
    Box::pin(stream::iter(pieces))
}

fn read(body: ByteStream) -> Vec<Result<UiMessageChunk>> {
    ChunkStream::new(body).collect::<Vec<_>>().now_or_never().expect("nothing to wait for")
}

fn chunks(text: &str) -> Vec<UiMessageChunk> {
    read(body([text.to_owned()])).into_iter().map(Result::unwrap).collect()
}

fn message(text: &str) -> Result<UiMessage> {
    let stream = ChunkStream::new(body([text.to_owned()]));
    stream.collect_message().now_or_never().expect("nothing to wait for")
}

fn deltas(text: &str) -> Vec<std::result::Result<String, String>> {
    let texts = ChunkStream::new(body([text.to_owned()])).text_deltas();
    let texts = texts.map(|text| text.map_err(|error| error.to_string()));
    texts.collect::<Vec<_>>().now_or_never().expect("nothing to wait for")
}

fn events(chunks: &[Value]) -> String {
    chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect()
}

const WHOLE: &str = concat!(
    ": ping\n\n",
    "data: {\"type\":\"start\",\"messageId\":\"m1\"}\n\n",
    "data: {\"type\":\"text-start\",\"id\":\"t1\"}\n\n",
    "event: message\nid: 7\nretry: 10\ndata: {\"type\":\"text-delta\",\"id\":\"t1\",\"delta\":\"Grüße, 世界 🌍\"}\n\n",
    ": ping\n\n",
    "data:\n\n",
    "data: {\"type\":\"text-end\",\n",
    "data: \"id\":\"t1\"}\n\n",
    "data: {\"type\":\"finish\",\"finishReason\":\"stop\"}\n\n",
    "data: [DONE]\n\n",
);

fn expected() -> Vec<UiMessageChunk> {
    [
        UiChunk::Start { message_id: Some("m1".to_owned()), message_metadata: None },
        UiChunk::text_start("t1"),
        UiChunk::text_delta("t1", "Grüße, 世界 🌍"),
        UiChunk::text_end("t1"),
        UiChunk::Finish { finish_reason: Some(FinishReason::Stop), message_metadata: None },
    ]
    .map(UiMessageChunk::Known)
    .to_vec()
}

#[test]
fn a_stream_is_the_same_wherever_it_is_split() {
    for text in [WHOLE.to_owned(), WHOLE.replace('\n', "\r\n"), WHOLE.replace('\n', "\r")] {
        let bytes = text.as_bytes();
        for at in 0..=bytes.len() {
            let (left, right) = bytes.split_at(at);
            let read = read(body([left.to_vec(), right.to_vec()]));
            let read: Vec<_> = read.into_iter().map(Result::unwrap).collect();
            assert_eq!(read, expected(), "split at {at}");
        }
        let single = read(body(bytes.iter().map(|byte| vec![*byte])));
        assert_eq!(single.into_iter().map(Result::unwrap).collect::<Vec<_>>(), expected());
    }
}

#[test]
fn a_stream_without_its_mark_of_the_end_is_whole() {
    let bare = "data: {\"type\":\"start\"}\n\n\
         data: {\"type\":\"text-delta\",\"id\":\"t1\",\"delta\":\"hi\"}\n\n\
         data: {\"type\":\"finish\"}\n\n";
    assert_eq!(
        chunks(bare),
        [
            UiChunk::Start { message_id: None, message_metadata: None },
            UiChunk::text_delta("t1", "hi"),
            UiChunk::Finish { finish_reason: None, message_metadata: None },
        ]
        .map(UiMessageChunk::Known)
    );
    let message = message(bare).unwrap();
    assert_eq!((message.role, message.parts.len()), (UiRole::Assistant, 1));
    assert_eq!(deltas(bare), [Ok("hi".to_owned())]);
}

#[test]
fn what_ends_early_is_told_by_those_who_read_it_whole() {
    let cut = &WHOLE[..WHOLE.find("data: {\"type\":\"finish\"").unwrap()];
    assert_eq!(chunks(cut), expected()[..4]);
    assert!(matches!(message(cut), Err(Error::StreamTruncated)));
    let told = deltas(cut);
    assert_eq!(told[0], Ok("Grüße, 世界 🌍".to_owned()));
    assert_eq!(told[1..], [Err(Error::StreamTruncated.to_string())]);
    // An event that is cut in the middle is none.
    let cut = &WHOLE[..WHOLE.find("\n\ndata: [DONE]").unwrap()];
    assert_eq!(chunks(cut), expected()[..4]);
    assert!(matches!(message(""), Err(Error::StreamTruncated)));
}

#[test]
fn chunks_that_are_not_known_come_as_they_are() {
    let novel = json!({ "type": "hologram", "depth": 3 });
    let misshapen = json!({ "type": "text-delta", "id": 7 });
    let further = json!({ "type": "text-end", "id": "t1", "mood": "good" });
    let read = chunks(&events(&[novel.clone(), misshapen.clone(), further]));
    assert_eq!(read[0], UiMessageChunk::Unknown(novel));
    assert_eq!(read[1], UiMessageChunk::Unknown(misshapen));
    assert_eq!(read[2], UiMessageChunk::Known(UiChunk::text_end("t1")));
    assert_eq!((read[0].known(), read[2].text_delta()), (None, None));
    // The end is the end, whatever reason a newer server gives.
    let finish = json!({
        "type": "finish", "finishReason": "bored", "messageMetadata": { "model": "m" },
    });
    assert_eq!(message(&events(&[finish])).unwrap().metadata, Some(json!({ "model": "m" })));
}

#[test]
fn an_error_of_the_server_is_a_chunk_and_ends_a_message() {
    let text = events(&[
        json!({ "type": "text-delta", "id": "t", "delta": "a" }),
        json!({ "type": "error", "errorText": "The provider is away." }),
        json!({ "type": "finish", "finishReason": "error" }),
    ]);
    assert_eq!(chunks(&text)[1], UiMessageChunk::Known(UiChunk::error("The provider is away.")));
    assert_eq!(chunks(&text).len(), 3);
    let told = message(&text);
    assert!(
        matches!(&told, Err(Error::Stream { error_text }) if error_text == "The provider is away.")
    );
    let told = deltas(&text);
    assert_eq!((told.len(), &told[0]), (2, &Ok("a".to_owned())));
    assert!(told[1].as_ref().unwrap_err().contains("The provider is away."));
    let stopped = events(&[json!({ "type": "abort", "reason": "by hand" })]);
    assert!(
        matches!(message(&stopped), Err(Error::Stream { error_text }) if error_text == "by hand")
    );
}

#[test]
fn what_cannot_be_read_ends_the_stream() {
    let after = "data: {\"type\":\"finish\"}\n\n";
    let read_one = |text: Vec<u8>| {
        let mut read = read(body([text]));
        assert_eq!(read.len(), 1, "nothing follows an error");
        read.remove(0).unwrap_err()
    };
    let error = read_one(format!("data: {{\"type\n\n{after}").into_bytes());
    assert!(matches!(error, Error::Decode { body, .. } if body == "{\"type"));
    let error = read_one([b"data: \"\xff\"\n\n", after.as_bytes()].concat());
    assert!(matches!(error, Error::Stream { .. }));
    let broken = Box::pin(stream::iter([
        Ok(Bytes::from_static(b"data: {\"type\":\"start-step\"}\n\n")),
        Err(Error::StreamTruncated),
        Ok(Bytes::from_static(b"data: {\"type\":\"start-step\"}\n\n")),
    ]));
    let read = read(broken);
    assert_eq!(read.len(), 2);
    assert!(matches!(read[1], Err(Error::StreamTruncated)), "the error of the body itself");
}

#[test]
fn an_event_has_a_limit() {
    let file = |bytes: usize| {
        let url = format!("data:image/png;base64,{}", "A".repeat(bytes));
        events(&[json!({ "type": "file", "url": url, "mediaType": "image/png" })])
    };
    let step = "data: {\"type\":\"start-step\"}\n\n";
    let most = MAX_EVENT - 1024;
    // Each event has the whole limit, also where many come in one piece.
    assert_eq!(chunks(&[&file(most), step, &file(most)].concat()).len(), 3);
    let read = read(body([[step, &file(MAX_EVENT)].concat()]));
    assert_eq!(read.len(), 2);
    let Err(Error::Stream { error_text }) = &read[1] else { panic!("no error") };
    assert!(error_text.contains("8388608"), "{error_text}");
    // An event that never ends is not gathered for ever.
    let endless = Box::pin(stream::repeat_with(|| Ok(Bytes::from_static(&[b'a'; 64 * 1024]))));
    let read = ChunkStream::new(endless).collect::<Vec<_>>().now_or_never().unwrap();
    assert!(matches!(read[..], [Err(Error::Stream { .. })]));
    let narrow = ChunkStream::new(body([file(100)])).max_event_bytes(64);
    let read = narrow.collect::<Vec<_>>().now_or_never().unwrap();
    assert!(matches!(&read[..], [Err(Error::Stream { error_text })] if error_text.contains("64")));
}

#[test]
fn dropping_the_stream_drops_the_body() {
    struct Body {
        _alive: std::sync::Arc<()>,
    }
    impl Stream for Body {
        type Item = Result<Bytes>;

        fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Pending
        }
    }
    let alive = std::sync::Arc::new(());
    let mut chunks = ChunkStream::new(Box::pin(Body { _alive: alive.clone() }));
    assert!(chunks.next().now_or_never().is_none());
    assert_eq!(std::sync::Arc::strong_count(&alive), 2);
    drop(chunks);
    assert_eq!(std::sync::Arc::strong_count(&alive), 1);
    let mut texts = ChunkStream::new(Box::pin(Body { _alive: alive.clone() })).text_deltas();
    assert!(texts.next().now_or_never().is_none());
    drop(texts);
    assert_eq!(std::sync::Arc::strong_count(&alive), 1);
}

#[test]
fn a_message_has_all_that_its_chunks_tell() {
    let text = events(&[
        json!({ "type": "start", "messageId": "m1", "messageMetadata": { "model": "echo", "usage": { "inputTokens": 1 } } }),
        json!({ "type": "start-step" }),
        json!({ "type": "reasoning-start", "id": "0" }),
        json!({ "type": "reasoning-delta", "id": "0", "delta": "Hm." }),
        json!({ "type": "reasoning-end", "id": "0", "providerMetadata": { "p": { "signature": "s" } } }),
        json!({ "type": "text-start", "id": "0" }),
        json!({ "type": "text-delta", "id": "0", "delta": "He" }),
        json!({ "type": "text-delta", "id": "0", "delta": "llo" }),
        json!({ "type": "text-end", "id": "0" }),
        json!({ "type": "tool-input-start", "toolCallId": "c1", "toolName": "weather", "title": "Weather" }),
        json!({ "type": "tool-input-delta", "toolCallId": "c1", "inputTextDelta": "{\"ci" }),
        json!({ "type": "tool-input-available", "toolCallId": "c1", "toolName": "weather", "input": { "city": "Oslo" } }),
        json!({ "type": "tool-input-error", "toolCallId": "c2", "toolName": "x", "input": "{", "errorText": "no JSON" }),
        json!({ "type": "tool-input-available", "toolCallId": "c3", "toolName": "y", "input": 1, "dynamic": true }),
        json!({ "type": "tool-output-available", "toolCallId": "c3", "output": [2] }),
        json!({ "type": "tool-output-available", "toolCallId": "of another message", "output": [2] }),
        json!({ "type": "source-url", "sourceId": "s1", "url": "https://a.example", "title": "A" }),
        json!({ "type": "file", "url": "data:,x", "mediaType": "text/plain" }),
        json!({ "type": "data-progress", "id": "p", "data": 1 }),
        json!({ "type": "data-progress", "id": "p", "data": 2 }),
        json!({ "type": "data-toast", "data": "hi", "transient": true }),
        json!({ "type": "hologram" }),
        json!({ "type": "finish-step" }),
        json!({ "type": "start-step" }),
        json!({ "type": "text-start", "id": "0" }),
        json!({ "type": "text-delta", "id": "0", "delta": "Again" }),
        json!({ "type": "text-end", "id": "0" }),
        json!({ "type": "finish-step" }),
        json!({ "type": "message-metadata", "messageMetadata": { "usage": { "outputTokens": 2 } } }),
        json!({ "type": "finish", "finishReason": "stop", "messageMetadata": { "finishReason": "stop" } }),
    ]);
    let message = message(&text).unwrap();
    assert_eq!(
        json!(message),
        json!({
            "id": "m1",
            "role": "assistant",
            "parts": [
                { "type": "step-start" },
                { "type": "reasoning", "text": "Hm.", "state": "done", "providerMetadata": { "p": { "signature": "s" } } },
                { "type": "text", "text": "Hello", "state": "done" },
                { "type": "tool-weather", "toolCallId": "c1", "state": "input-available", "input": { "city": "Oslo" }, "title": "Weather" },
                { "type": "tool-x", "toolCallId": "c2", "state": "output-error", "rawInput": "{", "errorText": "no JSON" },
                { "type": "dynamic-tool", "toolName": "y", "toolCallId": "c3", "state": "output-available", "input": 1, "output": [2] },
                { "type": "source-url", "sourceId": "s1", "url": "https://a.example", "title": "A" },
                { "type": "file", "url": "data:,x", "mediaType": "text/plain" },
                { "type": "data-progress", "id": "p", "data": 2 },
                { "type": "step-start" },
                { "type": "text", "text": "Again", "state": "done" },
            ],
            "metadata": {
                "model": "echo",
                "usage": { "inputTokens": 1, "outputTokens": 2 },
                "finishReason": "stop",
            },
        })
    );
    let UiPart::Tool(call) = &message.parts[3] else { panic!("a call") };
    assert!(!call.dynamic);
}
