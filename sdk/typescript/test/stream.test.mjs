// Streams: framing, ends, strictness, and who is told when nobody reads on.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { City } from "../packages/city/dist/city/src/index.js";
import { bodyOf, fakeFetch, readAll, URL_, wire } from "../testkit/helpers.mjs";

function user(fetch, options = {}) {
  return new City({
    role: "user",
    federation_url: URL_,
    city_id: "city_demo",
    user_token: "ub_a.b",
    fetch,
    ...options,
  });
}

function streamOf(pieces, options) {
  return user(fakeFetch({ body: bodyOf(pieces) })).ai.stream({ prompt: "x" }, options);
}

const START = { type: "start" };
const DELTA = { type: "text-delta", id: "t", delta: "grüße 👋" };
const FINISH = { type: "finish" };
const event = (chunk, end = "\n\n") => `data: ${JSON.stringify(chunk)}${end}`;

test("chunks come as they are, with or without [DONE]", async () => {
  const chunks = [START, DELTA, FINISH];
  const text = chunks.map((chunk) => event(chunk)).join("");
  assert.deepEqual(await readAll(await streamOf([text])), chunks);
  assert.deepEqual(await readAll(await streamOf([text, "data: [DONE]\n\n"])), chunks);
  // Nothing follows the last line of the body.
  assert.deepEqual(await readAll(await streamOf([text.trimEnd()])), chunks);
});

test("every way to cut the bytes gives the same chunks", async () => {
  for (const end of ["\n\n", "\r\n\r\n", "\r\r"]) {
    const bytes = new TextEncoder().encode(
      `: ping${end.slice(0, end.length / 2)}${event(START, end)}: ping${end}data:${end}${event(DELTA, end)}${event(FINISH, end)}data: [DONE]${end}`,
    );
    for (let at = 1; at < bytes.length; at += 1) {
      const chunks = await readAll(await streamOf([bytes.slice(0, at), bytes.slice(at)]));
      assert.deepEqual(chunks, [START, DELTA, FINISH], `${JSON.stringify(end)} at ${at}`);
    }
    const single = Array.from(bytes, (byte) => Uint8Array.of(byte));
    assert.deepEqual(await readAll(await streamOf(single)), [START, DELTA, FINISH]);
  }
});

test("what is sent", async () => {
  const fetch = fakeFetch({ body: bodyOf([]) });
  const { ai } = user(fetch);
  assert.deepEqual(await readAll(await ai.model("gpt").stream({ messages: [] })), []);
  assert.deepEqual(wire(fetch), [
    ["POST /v1/ai/stream", { messages: [], model: "gpt", city_id: "city_demo" }],
  ]);
});

test("guests have no streams", async () => {
  const fetch = fakeFetch({});
  await assert.rejects(user(fetch, { user_token: undefined }).ai.stream({ prompt: "x" }), {
    name: "TypeError",
    message: /user_token/,
  });
  assert.equal(fetch.calls.length, 0);
});

test("an error of the server is thrown before the first chunk, one on the way is a chunk", async () => {
  const refused = user(
    fakeFetch({ status: 402, text: '{"error":"e","code":"insufficient_balance"}' }),
  );
  await assert.rejects(refused.ai.stream({ prompt: "x" }), {
    status: 402,
    code: "insufficient_balance",
  });
  const failed = { type: "error", errorText: "upstream" };
  assert.deepEqual(await readAll(await streamOf([event(failed), event(FINISH)])), [failed, FINISH]);
  await assert.rejects(user(fakeFetch({ body: null })).ai.stream({ prompt: "x" }), Error);
});

test("what is no chunk fails the reading, after what came before it", async () => {
  for (const bad of [
    "data: {\n\n",
    "data: 7\n\n",
    'data: {"no":"type"}\n\n',
    "data: null\n\n",
    'data: {"ty',
  ]) {
    const reader = (await streamOf([event(START) + bad])).getReader();
    assert.deepEqual((await reader.read()).value, START);
    await assert.rejects(reader.read(), TypeError, bad);
  }
});

test("unknown chunks pass, unless the call is strict", async () => {
  const news = { type: "hologram", depth: 3 };
  const more = { ...DELTA, colour: "red" };
  const less = { type: "text-delta", id: "t" };
  const text = [START, news, more, less].map((chunk) => event(chunk)).join("");
  assert.deepEqual(await readAll(await streamOf([text])), [START, news, more, less]);
  for (const bad of [news, more, less]) {
    await assert.rejects(readAll(await streamOf([event(bad)], { strict: true })), TypeError);
  }
  const good = [
    { type: "start", messageId: "m" },
    DELTA,
    { type: "data-weather", data: { c: 3 }, transient: true },
    { type: "tool-input-available", toolCallId: "1", toolName: "n", input: {} },
    { type: "reasoning-end", id: "r", providerMetadata: { a: {} } },
    FINISH,
  ];
  const all = good.map((chunk) => event(chunk)).join("");
  assert.deepEqual(await readAll(await streamOf([all], { strict: true })), good);
});

test("one chunk may not hold more than 8 MiB", async () => {
  const piece = "x".repeat(1024 * 1024);
  const stream = await streamOf(["data: ", ...Array(9).fill(piece)]);
  await assert.rejects(readAll(stream), /buffer size/);
});

test("a connection that breaks on the way fails the reading", async () => {
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode(event(START)));
    },
    pull(controller) {
      controller.error(new Error("terminated"));
    },
  });
  const stream = await user(fakeFetch({ body })).ai.stream({ prompt: "x" });
  await assert.rejects(readAll(stream), /terminated/);
});

test("the limit of time ends with the beginning of a stream", async () => {
  let send;
  const body = new ReadableStream({
    start(controller) {
      send = controller;
    },
  });
  const stream = await user(fakeFetch({ body }), { timeout_ms: 5 }).ai.stream({ prompt: "x" });
  await new Promise((wake) => setTimeout(wake, 20));
  send.enqueue(new TextEncoder().encode(event(FINISH)));
  send.close();
  assert.deepEqual(await readAll(stream), [FINISH]);
});

test("a signal ends a stream, also one whose body knows no signals", async () => {
  const ended = new AbortController();
  const cancelled = deferred();
  const body = new ReadableStream({ cancel: cancelled.resolve });
  const fetch = fakeFetch({ body });
  const stream = await user(fetch).ai.stream({ prompt: "x" }, { signal: ended.signal });
  const reading = stream.getReader().read();
  ended.abort(new Error("enough"));
  await assert.rejects(reading, /enough/);
  await cancelled.promise;
  assert.ok(fetch.calls[0].init.signal.aborted);
});

function deferred() {
  let resolve;
  const promise = new Promise((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

test("a reader that leaves ends the request, and the server sees it", async () => {
  const left = deferred();
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(event(START));
    response.on("close", left.resolve);
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  try {
    const federation_url = `http://127.0.0.1:${server.address().port}`;
    const stream = await user(undefined, { federation_url }).ai.stream({ prompt: "x" });
    for await (const chunk of stream) {
      assert.deepEqual(chunk, START);
      break;
    }
    await left.promise;
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
