// The `openai` package with the base URL `<federation>/v1`, as it comes: chat, models, responses.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { chunk, completion, errorBody, textChunks, toolCall, toolCallChunks, UPSTREAM_MODEL, USAGE, usageChunk, WEATHER_TOOL } from "./lib/openai-wire.mjs";
import { onEveryEngine, PROVIDER_KEY } from "./lib/suite.mjs";
import { CUT, DONE, gate, json, sse } from "./lib/upstream.mjs";

const messages = [{ role: "user", content: "Hello" }];
const model = "mock-chat";
const { parameters } = WEATHER_TOOL.function;
/** The function tool in the form of the Responses API. */
const WEATHER = { type: "function", name: "weather", description: "Weather of a city", parameters, strict: true };
/** The usage of the mock in the form of the Responses API. */
const TOKENS = {
  input_tokens: 10,
  input_tokens_details: { cached_tokens: 4 },
  output_tokens: 5,
  output_tokens_details: { reasoning_tokens: 2 },
  total_tokens: 15,
};

onEveryEngine("openai under /v1", (fixture) => {
  const client = (apiKey = fixture.token) => new OpenAI({ baseURL: `${fixture.fed.url}/v1`, apiKey, maxRetries: 0 });

  async function failure(call, expected) {
    const error = await call.then(
      (answer) => assert.fail(`expected ${expected.name}, got ${JSON.stringify(answer)}`),
      (error) => error,
    );
    assert.ok(error instanceof expected, `expected ${expected.name}, got ${error.name}: ${error.message}`);
    assert.deepEqual(Object.keys(error.error).sort(), ["code", "message", "param", "type"]);
    return error;
  }

  test("chat: whole, streamed, with tools", async () => {
    const { upstream } = fixture;
    upstream.answer(json(completion({ content: "Hello yourself" })));
    const whole = await client().chat.completions.create({ model, messages });
    assert.equal(whole.choices[0].message.content, "Hello yourself");
    assert.deepEqual(whole.usage, USAGE);
    assert.equal(upstream.request().body.model, UPSTREAM_MODEL);
    assert.equal(upstream.request().headers.authorization, `Bearer ${PROVIDER_KEY}`);

    upstream.answer(sse([...textChunks("Hel", "lo"), DONE]));
    let text = "";
    for await (const part of await client().chat.completions.create({ model, messages, stream: true })) {
      text += part.choices[0]?.delta?.content ?? "";
    }
    assert.equal(text, "Hello");

    upstream.answer(json(completion({ tool_calls: [toolCall("call_1", "weather", { city: "Bern" })] }, { finish: "tool_calls" })));
    const called = await client().chat.completions.create({ model, messages, tools: [WEATHER_TOOL] });
    assert.deepEqual(JSON.parse(called.choices[0].message.tool_calls[0].function.arguments), { city: "Bern" });
  });

  test("models: list and retrieve", async () => {
    const models = [];
    for await (const listed of client().models.list()) models.push(listed);
    assert.deepEqual(models.map(({ id }) => id).sort(), ["down-chat", "mock-chat"]);
    assert.deepEqual(await client().models.retrieve(model), models[0]);
    const error = await failure(client().models.retrieve("vendor/none"), OpenAI.NotFoundError);
    assert.equal(error.code, "model_not_found");
  });

  test("responses: a whole answer, its text and its usage", async () => {
    const { upstream } = fixture;
    upstream.answer(json(completion({ content: "Hello yourself" })));
    const response = await client().responses.create({
      model,
      instructions: "Be brief",
      input: [{ role: "user", content: [{ type: "input_text", text: "What is it?" }, { type: "input_image", image_url: "https://images.example/a.png", detail: "low" }] }],
      max_output_tokens: 100,
      metadata: { a: "b" },
    });
    assert.equal(response.output_text, "Hello yourself");
    assert.equal(response.status, "completed");
    assert.equal(response.model, model);
    assert.equal(response.store, false);
    assert.deepEqual(response.metadata, { a: "b" });
    assert.deepEqual(response.usage, TOKENS);
    assert.deepEqual(upstream.request().body.messages, [
      { role: "system", content: "Be brief" },
      { role: "user", content: [{ type: "text", text: "What is it?" }, { type: "image_url", image_url: { url: "https://images.example/a.png", detail: "low" } }] },
    ]);
  });

  test("responses: a stream that the package's own accumulator reads", async () => {
    const { upstream } = fixture;
    upstream.answer(sse([chunk({ reasoning_content: "Let me see" }), ...textChunks("Hel", "lo"), DONE]));
    const stream = client().responses.stream({ model, input: "Hello" });
    const seen = [];
    let text = "";
    stream.on("response.output_text.delta", ({ delta }) => (text += delta));
    for await (const event of stream) seen.push(event);
    const response = await stream.finalResponse();
    assert.equal(text, "Hello");
    assert.equal(response.output_text, "Hello");
    assert.deepEqual(response.output.map(({ type }) => type), ["reasoning", "message"]);
    assert.equal(response.output[0].summary[0].text, "Let me see");
    assert.deepEqual(response.usage, TOKENS);
    assert.deepEqual(seen.map(({ sequence_number }) => sequence_number), seen.map((_, index) => index));
    assert.deepEqual(seen.slice(0, 3).map(({ type }) => type), ["response.created", "response.in_progress", "response.output_item.added"]);
    assert.equal(seen.at(-1).type, "response.completed");
  });

  test("responses: tools, called at once, and their outputs in the next request", async () => {
    const { upstream } = fixture;
    const calls = [
      ...toolCallChunks(0, "call_a", "weather", '{"city":', '"Bern"}'),
      ...toolCallChunks(1, "call_b", "weather", '{"city":"Rom"}'),
      chunk({}, "tool_calls"),
      usageChunk(),
    ];
    upstream.answer(sse([...calls, DONE]));
    const question = { role: "user", content: "Hello" };
    const streamed = client().responses.stream({ model, input: [question], tools: [WEATHER] });
    let deltas = "";
    streamed.on("response.function_call_arguments.delta", ({ delta }) => (deltas += delta));
    const first = await streamed.finalResponse();
    assert.equal(deltas, '{"city":"Bern"}{"city":"Rom"}');
    assert.deepEqual(first.output.map(({ type, call_id, name }) => [type, call_id, name]), [
      ["function_call", "call_a", "weather"],
      ["function_call", "call_b", "weather"],
    ]);
    assert.deepEqual(upstream.request().body.tools, [{ type: "function", function: { name: "weather", description: "Weather of a city", parameters, strict: true } }]);

    upstream.reset();
    upstream.answer(json(completion({ content: "Rain" })));
    const outputs = first.output.map(({ call_id }) => ({ type: "function_call_output", call_id, output: "rain" }));
    const second = await client().responses.create({ model, input: [question, ...first.output, ...outputs], tools: [WEATHER] });
    assert.equal(second.output_text, "Rain");
    const sent = upstream.request().body.messages;
    assert.deepEqual(sent.map(({ role }) => role), ["user", "assistant", "tool", "tool"]);
    assert.deepEqual(sent[1].tool_calls.map(({ id }) => id), ["call_a", "call_b"]);
  });

  test("responses.parse() reads structured output", async () => {
    const { upstream } = fixture;
    upstream.answer(json(completion({ content: '{"city":"Bern"}' })));
    const format = { type: "json_schema", name: "place", schema: parameters, strict: true };
    const response = await client().responses.parse({ model, input: "Where?", text: { format } });
    assert.deepEqual(JSON.parse(response.output_text), { city: "Bern" });
    assert.deepEqual(upstream.request().body.response_format, {
      type: "json_schema",
      json_schema: { name: "place", schema: parameters, strict: true },
    });
  });

  test("responses: an answer that is cut by its limit is incomplete", async () => {
    const { upstream } = fixture;
    upstream.answer(sse([chunk({ content: "Hel" }), chunk({}, "length"), usageChunk(), DONE]));
    const response = await client().responses.stream({ model, input: "Hello" }).finalResponse();
    assert.equal(response.status, "incomplete");
    assert.deepEqual(response.incomplete_details, { reason: "max_output_tokens" });
    assert.equal(response.output_text, "Hel");
  });

  test("responses: an abort reaches the upstream", async () => {
    const { upstream } = fixture;
    const open = gate();
    upstream.answer(sse([chunk({ content: "first" }), open, ...textChunks("last"), DONE]));
    const stream = await client().responses.create({ model, input: "Hello", stream: true });
    for await (const event of stream) {
      if (event.type === "response.output_text.delta") break;
    }
    stream.controller.abort();
    assert.equal(await upstream.request().gone, true);
  });

  test("responses: failures", async () => {
    const { upstream } = fixture;
    for (const [name, value] of [["previous_response_id", "resp_1"], ["store", true], ["background", true], ["conversation", "conv_1"]]) {
      const error = await failure(client().responses.create({ model, input: "Hello", [name]: value }), OpenAI.BadRequestError);
      assert.equal(error.param, name);
    }
    const builtIn = await failure(client().responses.create({ model, input: "Hello", tools: [{ type: "web_search" }] }), OpenAI.UnprocessableEntityError);
    assert.equal(builtIn.param, "tools[0].type");
    await failure(client("ub_not.a-token").responses.create({ model, input: "Hello" }), OpenAI.AuthenticationError);
    upstream.answer(json(errorBody("slow down", "rate_limit_error"), { status: 429 }));
    const limited = await failure(client().responses.create({ model, input: "Hello", stream: true }), OpenAI.RateLimitError);
    assert.match(limited.message, /slow down/);
    upstream.answer(sse([chunk({ content: "Hel" }), CUT]));
    const events = [];
    for await (const event of await client().responses.create({ model, input: "Hello", stream: true })) events.push(event);
    assert.deepEqual(events.slice(-2).map(({ type }) => type), ["error", "response.failed"]);
    assert.equal(events.at(-1).response.error.code, "server_error");
  });
});
