// Failures of /v1/ai/stream: a real HTTP status before the first token, an honest end after it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { chunk, errorBody, textChunks, WEATHER_TOOL, toolCallChunks } from "./lib/openai-wire.mjs";
import { assertPlainError, CITY, onEveryEngine, PROVIDER_KEY } from "./lib/suite.mjs";
import { kinds, streamMessage, userMessage } from "./lib/ui-stream.mjs";
import { CUT, DONE, json, sse, text } from "./lib/upstream.mjs";

const messages = [userMessage("Hello")];
const body = { model: "mock-chat", city_id: CITY };

onEveryEngine("ui message stream errors", (fixture) => {
  const send = (more = {}, token = fixture.token) =>
    fixture.fed.call("/v1/ai/stream", { token, body: { ...body, messages, ...more } });

  for (const [name, events, lastDelta] of [
    ["in the text", [chunk({ role: "assistant", content: "half" }), CUT], "text-end"],
    ["in the reasoning", [chunk({ role: "assistant", reasoning_content: "hm" }), CUT], "reasoning-end"],
  ]) {
    test(`a connection that breaks ${name} ends with error, closed blocks, finish and [DONE]`, async () => {
      fixture.upstream.answer(sse(events));

      const { chunks, raw, errors } = await streamMessage(fixture, { messages, body });

      const error = chunks.find(({ type }) => type === "error");
      assert.ok(error?.errorText, raw);
      assert.equal(errors.length, 1, `the message builder reports it once: ${errors}`);
      assert.ok(kinds(chunks).includes(lastDelta), `the open block is closed: ${kinds(chunks)}`);
      assert.equal(chunks.at(-1).type, "finish");
      assert.equal(chunks.at(-1).finishReason, "error");
      assert.ok(raw.endsWith("data: [DONE]\n\n"), raw);
    });
  }

  test("a connection that breaks in a tool call leaves no call open", async () => {
    fixture.upstream.answer(sse([chunk({ role: "assistant" }), ...toolCallChunks(0, "call_1", "weather", '{"ci'), CUT]));

    const { chunks, message } = await streamMessage(fixture, { messages, body: { ...body, tools: [WEATHER_TOOL] } });

    assert.equal(chunks.at(-1).finishReason, "error");
    assert.equal(message.parts.at(-1).state, "output-error");
  });

  test("an error event of the upstream is passed on, and the stream ends with `error`", async () => {
    fixture.upstream.answer(
      sse([chunk({ role: "assistant", content: "so " }), errorBody("The model is overloaded", "server_error"), DONE]),
    );
    const { chunks, raw, errors } = await streamMessage(fixture, { messages, body });
    assert.match(chunks.find(({ type }) => type === "error")?.errorText ?? "", /overloaded/, raw);
    assert.equal(chunks.at(-1).finishReason, "error");
    assert.equal(errors.length, 1);
    assert.ok(raw.endsWith("data: [DONE]\n\n"), raw);
  });

  test("an event that is not JSON is an error, and the stream ends with `error`", async () => {
    fixture.upstream.answer(sse([chunk({ role: "assistant", content: "so " }), "{not json", DONE]));
    const { chunks, raw } = await streamMessage(fixture, { messages, body });
    assert.ok(chunks.some(({ type }) => type === "error"), raw);
    assert.equal(chunks.at(-1).finishReason, "error");
  });

  // The upstream's answer and ours.
  for (const [name, answer, status] of [
    ["401", json(errorBody(`Incorrect key ${PROVIDER_KEY}`), { status: 401 }), 502],
    ["403", json(errorBody("Forbidden"), { status: 403 }), 502],
    ["400", json(errorBody("Too many tokens"), { status: 400 }), 400],
    ["500 text", text(500, "Internal Server Error"), 502],
    ["503 text", text(503, "overloaded"), 502],
    ["200 HTML", text(200, "<html>Sign in</html>", { "content-type": "text/html" }), 502],
  ]) {
    test(`an upstream ${name} before the first token is a ${status}`, async () => {
      fixture.upstream.answer(answer);
      const response = await send();
      assert.equal(response.status, status, response.text);
      assertPlainError(response);
      assert.ok(!response.text.includes(PROVIDER_KEY), response.text);
      assert.doesNotMatch(response.text, /<html>/);
    });
  }

  test("an upstream 429 keeps its status and retry-after", async () => {
    fixture.upstream.answer(json(errorBody("Slow down", "rate_limit_error"), { status: 429, headers: { "retry-after": "61" } }));
    const response = await send();
    assert.equal(response.status, 429, response.text);
    assert.equal(response.headers.get("retry-after"), "61");
    assertPlainError(response);
  });

  test("an unreachable provider is a 502", async () => {
    const response = await send({ model: "down-chat" });
    assert.equal(response.status, 502, response.text);
    assertPlainError(response);
    assert.doesNotMatch(response.text, /127\.0\.0\.1/);
  });

  test("the SDK's transport reports a failure before the first token as an error", async () => {
    fixture.upstream.answer(text(503, "overloaded"));
    await assert.rejects(streamMessage(fixture, { messages, body }), (error) => {
      assert.equal(typeof JSON.parse(error.message).error, "string");
      return true;
    });
  });

  for (const [name, change, status] of [
    ["an unknown model", { model: "no-such-model" }, 422],
    ["a model without its key", { model: "keyless-chat" }, 500],
    ["another city", { city_id: "another_city" }, 403],
    ["messages that are a string", { messages: "Hello" }, 400],
    ["a message that is a number", { messages: [7] }, 400],
    ["tools that are a string", { tools: "weather" }, 400],
    ["a prompt that is a list", { messages: undefined, prompt: ["Hello"] }, 400],
    ["neither prompt nor messages", { messages: undefined }, 400],
  ]) {
    test(`${name} is a ${status} with the plain error`, async () => {
      const response = await send(change);
      assert.equal(response.status, status, response.text);
      assertPlainError(response);
    });
  }

  test("a missing, a wrong and a broken token are 401", async () => {
    for (const token of [undefined, "ub_not.a-token", `${fixture.token}x`]) {
      const response = await send({}, token ?? "");
      assert.equal(response.status, 401, response.text);
      assertPlainError(response);
    }
  });

  test("after all that the next call works", async () => {
    fixture.upstream.answer(sse([...textChunks("fine"), DONE]));
    const { message } = await streamMessage(fixture, { messages, body });
    assert.equal(message.parts.at(-1).text, "fine");
  });
});
