// The `ai` package through its OpenAI-compatible provider: generateText, streamText, tools, errors.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import { chunk, completion, errorBody, textChunks, toolCall, toolCallChunks, UPSTREAM_MODEL, usageChunk } from "./lib/openai-wire.mjs";
import { onEveryEngine } from "./lib/suite.mjs";
import { CUT, DONE, gate, json, sse, text } from "./lib/upstream.mjs";

onEveryEngine("ai sdk provider", (fixture) => {
  const model = (id = "mock-chat", apiKey = fixture.token) =>
    createOpenAICompatible({ name: "fed", baseURL: fixture.aiUrl, apiKey, includeUsage: true })(id);
  const weather = () => ({
    weather: tool({
      description: "Weather of a city",
      inputSchema: jsonSchema({ type: "object", properties: { city: { type: "string" } }, required: ["city"] }),
      execute: ({ city }) => ({ city, sky: "clear" }),
    }),
  });

  test("generateText gives text, finish reason and usage", async () => {
    const { upstream } = fixture;
    upstream.answer(json(completion({ content: "Hello", reasoning_content: "hm" })));

    const result = await generateText({ model: model(), system: "Be brief", prompt: "Hi", maxRetries: 0 });

    assert.equal(result.text, "Hello");
    assert.equal(result.reasoningText, "hm");
    assert.equal(result.finishReason, "stop");
    assert.equal(result.usage.inputTokens, 10);
    assert.equal(result.usage.outputTokens, 5);
    assert.equal(result.usage.cachedInputTokens, 4);
    assert.equal(upstream.request().body.model, UPSTREAM_MODEL);
    assert.equal(upstream.request().body.messages[0].role, "system");
  });

  test("generateText runs a tool and goes on with its result", async () => {
    const { upstream } = fixture;
    upstream.answer([
      json(completion({ tool_calls: [toolCall("call_1", "weather", { city: "Köln" })] }, { finish: "tool_calls" })),
      json(completion({ content: "Clear" })),
    ]);

    const result = await generateText({ model: model(), prompt: "Weather?", tools: weather(), stopWhen: stepCountIs(3), maxRetries: 0 });

    assert.equal(result.text, "Clear");
    assert.equal(result.steps.length, 2);
    assert.deepEqual(result.steps[0].toolResults[0].output, { city: "Köln", sky: "clear" });
    const last = upstream.request(1).body.messages.at(-1);
    assert.deepEqual([last.role, last.tool_call_id], ["tool", "call_1"]);
  });

  test("streamText gives text, reasoning and usage", async () => {
    fixture.upstream.answer(
      sse([chunk({ role: "assistant", reasoning_content: "Let me think" }), ...textChunks("Grüße ", "🦀"), DONE], { pieces: 11 }),
    );

    const result = streamText({ model: model(), prompt: "Hi", maxRetries: 0, onError: rethrow });
    let streamed = "";
    for await (const part of result.textStream) streamed += part;

    assert.equal(streamed, "Grüße 🦀");
    assert.equal(await result.reasoningText, "Let me think");
    assert.equal(await result.finishReason, "stop");
    const usage = await result.usage;
    assert.deepEqual([usage.inputTokens, usage.outputTokens, usage.totalTokens], [10, 5, 15]);
  });

  test("streamText runs a tool whose arguments came in pieces", async () => {
    const { upstream } = fixture;
    upstream.answer([
      sse([
        chunk({ role: "assistant", content: null }),
        ...toolCallChunks(0, "call_1", "weather", '{"ci', 'ty":"Köln"}'),
        chunk({}, "tool_calls"),
        usageChunk(),
        DONE,
      ]),
      sse([...textChunks("Clear"), DONE]),
    ]);

    const result = streamText({ model: model(), prompt: "Weather?", tools: weather(), stopWhen: stepCountIs(3), maxRetries: 0, onError: rethrow });

    assert.equal(await result.text, "Clear");
    const steps = await result.steps;
    assert.deepEqual(steps[0].toolCalls[0].input, { city: "Köln" });
    assert.equal(JSON.parse(upstream.request(1).body.messages.at(-1).content).sky, "clear");
  });

  test("streamText reports an upstream that breaks off", async () => {
    fixture.upstream.answer(sse([chunk({ role: "assistant", content: "half" }), CUT]));
    const parts = [];
    const result = streamText({ model: model(), prompt: "Hi", maxRetries: 0, onError: () => {} });
    // A broken connection ends the iteration with an error, an error event becomes a part.
    await assert.rejects(async () => {
      for await (const part of result.fullStream) {
        if (part.type === "error") throw part.error;
        parts.push(part);
      }
    });
    assert.equal(parts.find(({ type }) => type === "text-delta")?.text, "half");
  });

  test("an aborted streamText cancels the upstream", async () => {
    const { upstream } = fixture;
    upstream.answer(sse([chunk({ role: "assistant", content: "one" }), gate()]));
    const abort = new AbortController();

    const result = streamText({ model: model(), prompt: "Hi", maxRetries: 0, abortSignal: abort.signal, onError: () => {} });
    for await (const part of result.fullStream) {
      if (part.type === "text-delta") abort.abort();
    }

    assert.equal(await upstream.request().gone, true);
  });

  for (const [name, answer, id, status, message] of [
    ["the provider's 400", json(errorBody("Too many tokens"), { status: 400 }), "mock-chat", 400, /Too many tokens/],
    ["the provider's 401", json(errorBody("Incorrect key"), { status: 401 }), "mock-chat", 502, /./],
    ["the provider's 429", json(errorBody("Slow down"), { status: 429 }), "mock-chat", 429, /Slow down/],
    ["the provider's 503 text", text(503, "overloaded"), "mock-chat", 503, /./],
    ["an unknown model", undefined, "no-such-model", 422, /no-such-model/],
    ["an unreachable provider", undefined, "down-chat", 502, /./],
  ]) {
    test(`${name} is an APICallError with status ${status} and a message it could read`, async () => {
      if (answer) fixture.upstream.answer(answer);
      const error = await failure(generateText({ model: model(id), prompt: "Hi", maxRetries: 0 }));
      assert.equal(error.statusCode, status, error.responseBody);
      assert.match(error.message, message);
      assert.equal(error.message, error.data?.error?.message, "the provider understood the error object");
    });
  }

  test("a bad token is an APICallError with status 401", async () => {
    const error = await failure(generateText({ model: model("mock-chat", "ub_not.a-token"), prompt: "Hi", maxRetries: 0 }));
    assert.equal(error.statusCode, 401);
    assert.equal(error.isRetryable, false);
  });
});

async function failure(call) {
  const error = await call.then(
    ({ text }) => assert.fail(`expected an error, got ${JSON.stringify(text)}`),
    (error) => error,
  );
  assert.ok(APICallError.isInstance(error), `expected an APICallError, got ${error.name}: ${error.message}`);
  return error;
}

function rethrow({ error }) {
  throw error;
}
