// The stock `@anthropic-ai/sdk` through /v1/messages, in front of an OpenAI-compatible provider:
// today's, whose API key is a bearer credential, and the generation that puts it into x-api-key.
import assert from "node:assert/strict";
import { test } from "node:test";
import Today from "@anthropic-ai/sdk";
import WithApiKey from "anthropic-api-key";
import { ADMIN_KEY } from "./lib/federation.mjs";
import { chunk, completion, errorBody, textChunks, toolCall, toolCallChunks, UPSTREAM_MODEL, usageChunk } from "./lib/openai-wire.mjs";
import { CITY, onEveryEngine, PROVIDER_KEY } from "./lib/suite.mjs";
import { CUT, DONE, gate, json, sse, text } from "./lib/upstream.mjs";

const messages = [{ role: "user", content: "Hello" }];
const basics = { model: "mock-chat", max_tokens: 64, messages };
const USAGE = { input_tokens: 6, cache_creation_input_tokens: 0, cache_read_input_tokens: 4, output_tokens: 5 };
const WEATHER = {
  name: "weather",
  description: "Weather of a city",
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};

for (const [name, Anthropic] of [["bearer", Today], ["x-api-key", WithApiKey]]) {
  onEveryEngine(`anthropic messages (${name})`, (fixture) => suite(fixture, name, Anthropic));
}

function suite(fixture, header, Anthropic) {
  // authToken: null, so that nothing of the environment joins in.
  const client = (apiKey = fixture.token) =>
    new Anthropic({ baseURL: fixture.fed.url, apiKey, authToken: null, maxRetries: 0 });

  test("a message", async () => {
    const { upstream } = fixture;
    upstream.answer(json(completion({ content: "Hello yourself", reasoning_content: "They greet." })));

    const { data: message, response } = await client()
      .messages.create({ ...basics, system: "Be brief", stop_sequences: ["END"], temperature: 0.5, metadata: { user_id: "u" } })
      .withResponse();

    assert.deepEqual(message.content, [
      { type: "thinking", thinking: "They greet.", signature: "" },
      { type: "text", text: "Hello yourself" },
    ]);
    assert.equal(message.stop_reason, "end_turn");
    assert.equal(message.model, "mock-chat");
    assert.deepEqual(message.usage, USAGE);
    assert.match(message._request_id, /^req_/);
    assert.equal(message._request_id, response.headers.get("x-request-id"));
    const request = upstream.request();
    assert.equal(request.path, "/v1/chat/completions");
    assert.equal(request.headers.authorization, `Bearer ${PROVIDER_KEY}`);
    assert.equal(request.headers["x-api-key"], undefined);
    assert.deepEqual(request.body, {
      model: UPSTREAM_MODEL,
      max_tokens: 64,
      messages: [{ role: "system", content: "Be brief" }, ...messages],
      stop: ["END"],
      temperature: 0.5,
      user: "u",
    });
    assert.ok(!request.text.includes(fixture.token), "the user_token is not in the upstream body");
  });

  test("an image and a document", async () => {
    fixture.upstream.answer(json(completion({ content: "Seen" })));
    const content = [
      { type: "image", source: { type: "base64", media_type: "image/png", data: "iVBORw0KGgo=" } },
      { type: "document", source: { type: "base64", media_type: "application/pdf", data: "JVBERi0=" }, title: "a.pdf" },
      { type: "text", text: "What is this?" },
    ];

    await client().messages.create({ ...basics, messages: [{ role: "user", content }] });

    assert.deepEqual(fixture.upstream.request().body.messages[0].content, [
      { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } },
      { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,JVBERi0=" } },
      { type: "text", text: "What is this?" },
    ]);
  });

  for (const pieces of [0, 1]) {
    test(`a stream and its final message (pieces of ${pieces || "whole events"})`, async () => {
      const events = [chunk({ reasoning_content: "They greet." }), ...textChunks("Grüße ", "👩‍🚀"), DONE];
      fixture.upstream.answer(sse(events, { pieces }));

      const stream = client().messages.stream(basics);
      let seen = "";
      stream.on("text", (delta) => (seen += delta));
      const message = await stream.finalMessage();

      assert.equal(seen, "Grüße 👩‍🚀");
      assert.deepEqual(message.content.map(({ type, thinking, text }) => [type, thinking ?? text]), [
        ["thinking", "They greet."],
        ["text", "Grüße 👩‍🚀"],
      ]);
      assert.equal(message.stop_reason, "end_turn");
      assert.equal(message.usage.output_tokens, USAGE.output_tokens);
      assert.equal(message.usage.input_tokens, USAGE.input_tokens);
      assert.equal(fixture.upstream.request().body.stream_options.include_usage, true);
    });
  }

  test("tools, whole: the call and its result", async () => {
    const calls = [toolCall("call_a", "weather", { city: "Paris" }), toolCall("call_b", "weather", { city: "Rome" })];
    fixture.upstream.answer([
      json(completion({ content: null, tool_calls: calls }, { finish: "tool_calls" })),
      json(completion({ content: "Both are warm." })),
    ]);
    const asked = { ...basics, tools: [WEATHER], tool_choice: { type: "any" } };

    const first = await client().messages.create(asked);
    assert.equal(first.stop_reason, "tool_use");
    const uses = first.content.filter(({ type }) => type === "tool_use");
    assert.deepEqual(uses.map(({ id, input }) => [id, input.city]), [["call_a", "Paris"], ["call_b", "Rome"]]);

    const results = uses.map(({ id }, index) => ({ type: "tool_result", tool_use_id: id, content: `${20 + index}°`, is_error: index === 1 }));
    const last = await client().messages.create({
      ...asked,
      tool_choice: { type: "auto", disable_parallel_tool_use: true },
      messages: [...messages, { role: "assistant", content: first.content }, { role: "user", content: results }],
    });

    assert.equal(last.content[0].text, "Both are warm.");
    const { body } = fixture.upstream.request(1);
    assert.deepEqual(body.messages.slice(1), [
      { role: "assistant", content: null, tool_calls: calls },
      { role: "tool", tool_call_id: "call_a", content: "20°" },
      { role: "tool", tool_call_id: "call_b", content: "Error: 21°" },
    ]);
    assert.equal(body.parallel_tool_calls, false);
    assert.equal(body.tools[0].function.name, "weather");
  });

  test("tools, streamed side by side", async () => {
    const [[startA, ...restA], [startB, ...restB]] = [
      toolCallChunks(0, "call_a", "weather", '{"city":', '"Paris"}'),
      toolCallChunks(1, "call_b", "weather", '{"city":', '"Rome"}'),
    ];
    // The arguments of both calls come in turns.
    const turns = [startA, startB, restB[0], restA[0], restA[1], restB[1]];
    fixture.upstream.answer(sse([chunk({ content: "Let me look." }), ...turns, chunk({}, "tool_calls"), usageChunk(), DONE]));

    const blocks = [];
    const stream = client().messages.stream({ ...basics, tools: [WEATHER] });
    stream.on("contentBlock", (block) => blocks.push(structuredClone(block)));
    const message = await stream.finalMessage();

    const expected = [
      ["text", "Let me look."],
      ["tool_use", "call_a", "Paris"],
      ["tool_use", "call_b", "Rome"],
    ];
    const brief = (block) => (block.type === "text" ? ["text", block.text] : [block.type, block.id, block.input.city]);
    assert.deepEqual(message.content.map(brief), expected);
    assert.deepEqual(blocks.map(brief), expected);
    assert.equal(message.stop_reason, "tool_use");
  });

  test("the first word arrives while the upstream is still writing, with pings in its silence", async () => {
    const more = gate();
    fixture.upstream.answer(sse([chunk({ content: "first" }), more, chunk({ content: " last" }, "stop"), DONE]));

    let seen = "";
    for await (const event of await client().messages.create({ ...basics, stream: true })) {
      if (event.type === "content_block_delta") {
        seen += event.delta.text;
        // Long enough for keep-alives, which are due every 100 ms here.
        setTimeout(more.open, 250);
      }
    }

    assert.equal(seen, "first last");
  });

  test("an aborted stream is cancelled upstream", async () => {
    const { upstream } = fixture;
    upstream.answer(sse([chunk({ content: "Hel" }), gate()]));

    const stream = client().messages.stream(basics);
    stream.on("text", () => stream.abort());
    await assert.rejects(stream.finalMessage(), Anthropic.APIUserAbortError);

    assert.equal(await upstream.request().gone, true);
  });

  test("a stream that breaks off is an APIError with its words", async () => {
    fixture.upstream.answer(sse([chunk({ content: "Hel" }), CUT]));
    const error = await client().messages.stream(basics).finalMessage().then(
      () => assert.fail("the stream was cut"),
      (error) => error,
    );
    assert.ok(error instanceof Anthropic.APIError, error.name);
    assert.equal(error.error.error.type, "api_error");
    assert.match(error.error.error.message, /connection/);
  });

  // Makes the call, expects the SDK's error class, and checks the envelope.
  async function failure(expected, type, params = {}, apiKey = undefined) {
    const error = await client(apiKey)
      .messages.create({ ...basics, ...params })
      .then(
        (answer) => assert.fail(`expected ${expected.name}, got ${JSON.stringify(answer)}`),
        (error) => error,
      );
    assert.ok(error instanceof expected, `expected ${expected.name}, got ${error.name}: ${error.message}`);
    assert.equal(error.error.type, "error");
    assert.equal(error.error.error.type, type);
    assert.notEqual(error.error.error.message, "");
    assert.equal(error.error.request_id, error.requestID);
    return error;
  }

  test("a bad token is an AuthenticationError", async () => {
    await failure(Anthropic.AuthenticationError, "authentication_error", {}, "ub_not.a-token");
  });

  test("the admin key is no API key", async () => {
    const [expected, type] =
      header === "bearer"
        ? [Anthropic.PermissionDeniedError, "permission_error"]
        : [Anthropic.AuthenticationError, "authentication_error"];
    const error = await failure(expected, type, {}, ADMIN_KEY);
    assert.match(error.message, /user_token/);
    assert.ok(!JSON.stringify(error.error).includes(ADMIN_KEY));
  });

  test("the token works as a bearer credential, too", async () => {
    fixture.upstream.answer(json(completion({ content: "ok" })));
    const bearer = new Anthropic({ baseURL: fixture.fed.url, apiKey: null, authToken: fixture.token, maxRetries: 0 });
    const message = await bearer.messages.create(basics);
    assert.equal(message.content[0].text, "ok");
  });

  test("a field that cannot be honoured is a BadRequestError that names it", async () => {
    const tools = [{ type: "web_search_20250305", name: "web_search" }];
    const error = await failure(Anthropic.BadRequestError, "invalid_request_error", { tools });
    assert.match(error.message, /tools\[0\]\.type/);
    await failure(Anthropic.BadRequestError, "invalid_request_error", { max_tokens: 0 });
    await failure(Anthropic.PermissionDeniedError, "permission_error", { city_id: "another_city" });
    await failure(Anthropic.NotFoundError, "not_found_error", { model: "no-such-model" });
  });

  test("city_id is taken and not passed on", async () => {
    fixture.upstream.answer(json(completion({ content: "ok" })));
    await client().messages.create({ ...basics, city_id: CITY });
    assert.equal(fixture.upstream.request().body.city_id, undefined);
  });

  test("the provider's 429 is a RateLimitError with its retry-after", async () => {
    fixture.upstream.answer(json(errorBody("Slow down", "rate_limit_error"), { status: 429, headers: { "retry-after": "7" } }));
    const error = await failure(Anthropic.RateLimitError, "rate_limit_error");
    assert.equal(error.headers.get("retry-after"), "7");
    assert.match(error.message, /Slow down/);
  });

  test("the provider's failures are InternalServerErrors", async () => {
    fixture.upstream.answer(text(503, "overloaded"));
    await failure(Anthropic.InternalServerError, "overloaded_error");
    await failure(Anthropic.InternalServerError, "overloaded_error", { stream: true });
    fixture.upstream.answer(json(errorBody(`Incorrect API key: ${PROVIDER_KEY}`), { status: 401 }));
    const error = await failure(Anthropic.InternalServerError, "api_error");
    assert.ok(!JSON.stringify(error.error).includes(PROVIDER_KEY), error.message);
  });

  test("tokens are not counted here", async () => {
    await assert.rejects(client().messages.countTokens({ model: "mock-chat", messages }), Anthropic.NotFoundError);
  });
}
