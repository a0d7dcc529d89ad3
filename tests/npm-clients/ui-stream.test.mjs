// /v1/ai/stream read by the `ai` package: chunks, built messages, headers, cancellation.
import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { test } from "node:test";
import { chunk, textChunks, toolCallChunks, UI_USAGE, UPSTREAM_MODEL, USAGE, usageChunk, WEATHER_TOOL } from "./lib/openai-wire.mjs";
import { ADMIN_KEY } from "./lib/federation.mjs";
import { CITY, onEveryEngine, PROVIDER_KEY, USER } from "./lib/suite.mjs";
import { kinds, streamMessage, userMessage } from "./lib/ui-stream.mjs";
import { DONE, gate, sse } from "./lib/upstream.mjs";

const messages = [userMessage("Hello")];
const body = { model: "mock-chat", city_id: CITY };

onEveryEngine("ui message stream", (fixture) => {
  test("a text answer is exactly the documented sequence", async () => {
    fixture.upstream.answer(sse([...textChunks("He", "llo"), DONE]));

    const { chunks, raw } = await streamMessage(fixture, { messages, body });

    const { messageId } = chunks[0];
    assert.match(messageId, /^msg_./);
    assert.deepEqual(chunks, [
      { type: "start", messageId, messageMetadata: { model: "mock-chat", city_id: CITY, user_id: USER } },
      { type: "start-step" },
      { type: "text-start", id: "txt-0" },
      { type: "text-delta", id: "txt-0", delta: "He" },
      { type: "text-delta", id: "txt-0", delta: "llo" },
      { type: "text-end", id: "txt-0" },
      { type: "finish-step" },
      {
        type: "finish",
        finishReason: "stop",
        messageMetadata: { finishReason: "stop", usage: { ...UI_USAGE, raw: USAGE } },
      },
    ]);
    assertFraming(raw);
  });

  test("the message builder makes the message, with its id and metadata", async () => {
    fixture.upstream.answer(sse([...textChunks("He", "llo"), DONE]));

    const { message, chunks, errors } = await streamMessage(fixture, { messages, body });

    assert.deepEqual(errors, []);
    assert.equal(message.id, chunks[0].messageId);
    assert.equal(message.role, "assistant");
    assert.deepEqual(plain(message.parts), [{ type: "step-start" }, { type: "text", text: "Hello", state: "done" }]);
    assert.deepEqual(message.metadata, {
      model: "mock-chat",
      city_id: CITY,
      user_id: USER,
      finishReason: "stop",
      usage: { ...UI_USAGE, raw: USAGE },
    });
  });

  for (const [field, other] of [
    ["reasoning_content", "reasoning"],
    ["reasoning", "reasoning_content"],
  ]) {
    test(`reasoning in \`${field}\` is a block of its own before the text`, async () => {
      fixture.upstream.answer(
        sse([
          chunk({ role: "assistant", [field]: "Let me ", [other]: null }),
          chunk({ [field]: "think" }),
          chunk({ content: "42" }),
          chunk({}, "stop"),
          usageChunk(),
          DONE,
        ]),
      );

      const { chunks, message } = await streamMessage(fixture, { messages, body });

      assert.deepEqual(
        chunks.slice(2, -2).map(({ type, id, delta }) => [type, id, delta]),
        [
          ["reasoning-start", "reasoning-0", undefined],
          ["reasoning-delta", "reasoning-0", "Let me "],
          ["reasoning-delta", "reasoning-0", "think"],
          ["reasoning-end", "reasoning-0", undefined],
          ["text-start", "txt-0", undefined],
          ["text-delta", "txt-0", "42"],
          ["text-end", "txt-0", undefined],
        ],
      );
      assert.deepEqual(
        message.parts.slice(1).map(({ type, text, state }) => ({ type, text, state })),
        [
          { type: "reasoning", text: "Let me think", state: "done" },
          { type: "text", text: "42", state: "done" },
        ],
      );
    });
  }

  test("tool calls are announced, streamed and completed", async () => {
    fixture.upstream.answer(
      sse([
        chunk({ role: "assistant", content: null }),
        ...toolCallChunks(0, "call_1", "weather", '{"ci', 'ty":"Köln"}'),
        ...toolCallChunks(1, "call_2", "weather", '{"city":"Bonn"}'),
        chunk({}, "tool_calls"),
        usageChunk(),
        DONE,
      ]),
    );

    const { chunks, message } = await streamMessage(fixture, { messages, body: { ...body, tools: [WEATHER_TOOL] } });

    const call = (id, name) => chunks.filter((item) => item.toolCallId === id && item.type === name);
    assert.deepEqual(call("call_1", "tool-input-start"), [{ type: "tool-input-start", toolCallId: "call_1", toolName: "weather" }]);
    assert.equal(call("call_1", "tool-input-delta").map(({ inputTextDelta }) => inputTextDelta).join(""), '{"city":"Köln"}');
    assert.deepEqual(call("call_1", "tool-input-available"), [
      { type: "tool-input-available", toolCallId: "call_1", toolName: "weather", input: { city: "Köln" } },
    ]);
    assert.deepEqual(call("call_2", "tool-input-available").map(({ input }) => input), [{ city: "Bonn" }]);
    assert.equal(chunks.at(-2).type, "finish-step");
    assert.equal(chunks.at(-1).finishReason, "tool-calls");
    assert.deepEqual(
      message.parts.slice(1).map(({ type, toolCallId, state, input }) => ({ type, toolCallId, state, input })),
      [
        { type: "tool-weather", toolCallId: "call_1", state: "input-available", input: { city: "Köln" } },
        { type: "tool-weather", toolCallId: "call_2", state: "input-available", input: { city: "Bonn" } },
      ],
    );
  });

  test("text and reasoning blocks are closed before a tool call", async () => {
    fixture.upstream.answer(
      sse([
        chunk({ role: "assistant", reasoning_content: "hm" }),
        chunk({ content: "Looking it up" }),
        ...toolCallChunks(0, "call_1", "weather", '{"city":"Bonn"}'),
        chunk({}, "tool_calls"),
        DONE,
      ]),
    );

    const { chunks, errors } = await streamMessage(fixture, { messages, body: { ...body, tools: [WEATHER_TOOL] } });

    assert.deepEqual(errors, []);
    assert.deepEqual(kinds(chunks), [
      "start",
      "start-step",
      "reasoning-start",
      "reasoning-delta",
      "reasoning-end",
      "text-start",
      "text-delta",
      "text-end",
      "tool-input-start",
      "tool-input-delta",
      "tool-input-available",
      "finish-step",
      "finish",
    ]);
  });

  for (const [name, call] of [
    ["of an undeclared tool", ["rocket", '{"to":"moon"}']],
    ["whose arguments never become JSON", ["weather", '{"city":"Kö']],
  ]) {
    test(`a call ${name} is an error of that call, and the stream goes on`, async () => {
      fixture.upstream.answer(
        sse([chunk({ role: "assistant", content: null }), ...toolCallChunks(0, "call_1", ...call), chunk({}, "tool_calls"), usageChunk(), DONE]),
      );

      const { chunks, message } = await streamMessage(fixture, { messages, body: { ...body, tools: [WEATHER_TOOL] } });

      const input = chunks.find(({ type }) => type === "tool-input-error");
      const output = chunks.find(({ type }) => type === "tool-output-error");
      assert.equal(input?.toolCallId, "call_1", JSON.stringify(chunks));
      assert.equal(input.toolName, call[0]);
      assert.equal(output?.toolCallId, "call_1");
      assert.equal(output.errorText, input.errorText);
      assert.equal(chunks.filter(({ type }) => type === "tool-input-available").length, 0);
      assert.equal(chunks.at(-1).type, "finish");
      assert.equal(message.parts.at(-1).state, "output-error");
    });
  }

  for (const [upstream, ours] of [
    ["stop", "stop"],
    ["length", "length"],
    ["content_filter", "content-filter"],
    ["function_call", "tool-calls"],
    ["insufficient_system_resource", "other"],
  ]) {
    test(`finish reason ${upstream} is ${ours}`, async () => {
      fixture.upstream.answer(sse([chunk({ role: "assistant", content: "x" }), chunk({}, upstream), DONE]));
      const { chunks, message } = await streamMessage(fixture, { messages, body });
      assert.equal(chunks.at(-1).finishReason, ours);
      assert.equal(message.metadata.finishReason, ours);
    });
  }

  test("an upstream that says nothing gives an empty message that ends with `other`", async () => {
    fixture.upstream.answer(sse([DONE]));
    const { chunks, raw } = await streamMessage(fixture, { messages, body });
    assert.deepEqual(kinds(chunks), ["start", "start-step", "finish-step", "finish"]);
    assert.equal(chunks.at(-1).finishReason, "other");
    assertFraming(raw);
  });

  for (const shape of [{ pieces: 1 }, { pieces: 5, eol: "\r\n" }]) {
    test(`upstream bytes split anywhere (${JSON.stringify(shape)}) do not change the text`, async () => {
      fixture.upstream.answer(sse([...textChunks("Grüße ", "👩‍🚀", " \u2028漢字\n"), DONE], shape));
      const { message } = await streamMessage(fixture, { messages, body });
      assert.equal(message.parts.at(-1).text, "Grüße 👩‍🚀 \u2028漢字\n");
    });
  }

  test("the upstream is asked for a stream with usage, with its own id and key, without our fields", async () => {
    const { upstream } = fixture;
    upstream.answer(sse([...textChunks("x"), DONE]));

    await streamMessage(fixture, { messages, body });

    const request = upstream.request();
    assert.equal(request.path, "/v1/chat/completions");
    assert.equal(request.headers.authorization, `Bearer ${PROVIDER_KEY}`);
    assert.deepEqual(request.body, {
      model: UPSTREAM_MODEL,
      messages: [{ role: "user", content: "Hello" }],
      stream: true,
      stream_options: { include_usage: true },
    });
  });

  test("an admin's stream carries no user", async () => {
    fixture.upstream.answer(sse([...textChunks("x"), DONE]));
    const { chunks } = await streamMessage(fixture, { messages, body, token: ADMIN_KEY });
    assert.equal(chunks[0].messageMetadata.model, "mock-chat");
    assert.ok(!("user_id" in chunks[0].messageMetadata), JSON.stringify(chunks[0]));
  });

  test("the response headers are the documented ones", async () => {
    fixture.upstream.answer(sse([...textChunks("x"), DONE], { headers: { "set-cookie": "a=b", "x-powered-by": "mock" } }));

    const { status, headers } = await rawStream(fixture);

    assert.equal(status, 200);
    assert.equal(headers["content-type"], "text/event-stream");
    assert.equal(headers["cache-control"], "no-cache");
    assert.equal(headers.connection, "keep-alive");
    assert.equal(headers["x-vercel-ai-ui-message-stream"], "v1");
    assert.equal(headers["x-accel-buffering"], "no");
    assert.equal(headers["set-cookie"], undefined);
    assert.equal(headers["x-powered-by"], undefined);
    assert.equal(headers["content-encoding"], undefined);
  });

  test("a silent upstream is bridged with comments that the parsers ignore", async () => {
    const more = gate();
    fixture.upstream.answer(sse([chunk({ role: "assistant", content: "one" }), more, chunk({ content: " two" }, "stop"), DONE]));

    const { raw, message } = await streamMessage(fixture, {
      messages,
      body,
      // The upstream goes on only after a comment was seen on the wire.
      onBytes: (sofar) => /^:.*\n\n/m.test(sofar) && more.open(),
    });

    assert.equal(message.parts.at(-1).text, "one two");
    assertFraming(raw.replace(/^:.*\n\n/gm, ""));
  });

  test("the first token arrives while the upstream is still writing", async () => {
    const more = gate();
    fixture.upstream.answer(sse([chunk({ role: "assistant", content: "first" }), more, chunk({ content: " last" }, "stop"), DONE]));

    const { message } = await streamMessage(fixture, {
      messages,
      body,
      onBytes: (sofar) => sofar.includes('"first"') && more.open(),
    });

    assert.equal(message.parts.at(-1).text, "first last");
  });

  test("a client that leaves cancels the upstream", async () => {
    const { upstream } = fixture;
    upstream.answer(sse([chunk({ role: "assistant", content: "one" }), gate()]));

    await rawStream(fixture, { leaveAfter: '"one"' });

    assert.equal(await upstream.request().gone, true);
  });

  test("a client that leaves before the first token cancels the upstream", async () => {
    const { upstream } = fixture;
    const arrived = gate();
    upstream.answer(async () => arrived.open());
    const abort = new AbortController();
    const call = fetch(`${fixture.aiUrl}/stream`, {
      method: "POST",
      headers: { authorization: `Bearer ${fixture.token}`, "content-type": "application/json" },
      body: JSON.stringify({ ...body, messages }),
      signal: abort.signal,
    });
    call.catch(() => {}); // awaited below, after the abort
    await arrived;

    abort.abort();

    await assert.rejects(call, { name: "AbortError" });
    assert.equal(await upstream.request().gone, true);
  });
});

// Without fetch, whose header list is its own: what really came over the wire. With `leaveAfter`
// the connection is dropped as soon as that text was read.
function rawStream(fixture, { leaveAfter } = {}) {
  return new Promise((resolve, reject) => {
    const call = httpRequest(
      `${fixture.aiUrl}/stream`,
      { method: "POST", headers: { authorization: `Bearer ${fixture.token}`, "content-type": "application/json" } },
      (answer) => {
        const { statusCode: status, headers } = answer;
        let text = "";
        answer.setEncoding("utf8").on("data", (part) => {
          text += part;
          if (leaveAfter && text.includes(leaveAfter)) {
            call.destroy();
            resolve({ status, headers, text });
          }
        });
        answer.on("end", () => resolve({ status, headers, text }));
        answer.on("error", reject);
      },
    );
    call.on("error", reject);
    call.end(JSON.stringify({ ...body, messages }));
  });
}

// Every event is one `data:` line with compact JSON and a blank line; the last one is `[DONE]`.
function assertFraming(raw) {
  const events = raw.split("\n\n");
  assert.equal(events.pop(), "", "the last event is closed by a blank line");
  assert.equal(events.pop(), "data: [DONE]");
  for (const event of events) {
    assert.match(event, /^data: \{.*\}$/);
    const data = event.slice("data: ".length);
    assert.equal(data, JSON.stringify(JSON.parse(data)), "compact JSON");
  }
}

// As it looks in JSON: without members that are undefined.
function plain(value) {
  return JSON.parse(JSON.stringify(value));
}
