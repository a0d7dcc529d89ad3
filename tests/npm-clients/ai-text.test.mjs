// /v1/ai/text: the message it returns, and what the upstream is asked.
import assert from "node:assert/strict";
import { test } from "node:test";
import { convertToModelMessages, validateUIMessages } from "ai";
import { completion, errorBody, toolCall, UI_USAGE, UPSTREAM_MODEL, USAGE, WEATHER_TOOL } from "./lib/openai-wire.mjs";
import { ADMIN_KEY } from "./lib/federation.mjs";
import { assertPlainError, CITY, onEveryEngine, PROVIDER_KEY, USER } from "./lib/suite.mjs";
import { userMessage } from "./lib/ui-stream.mjs";
import { json, text } from "./lib/upstream.mjs";

onEveryEngine("ai text", (fixture) => {
  const send = (input, token = fixture.token) => fixture.fed.call("/v1/ai/text", { token, body: { model: "mock-chat", ...input } });

  test("the answer is a UI message of the documented shape", async () => {
    fixture.upstream.answer(json(completion({ content: "Hello" })));

    const { status, body, text: raw } = await send({ prompt: "Hi", city_id: CITY });

    assert.equal(status, 200, raw);
    assert.match(body.id, /^msg_[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/);
    assert.deepEqual(body, {
      id: body.id,
      role: "assistant",
      parts: [{ type: "text", text: "Hello" }],
      metadata: {
        model: "mock-chat",
        city_id: CITY,
        user_id: USER,
        finishReason: "stop",
        usage: { ...UI_USAGE, raw: USAGE },
      },
    });
    await validateUIMessages({ messages: [body] });
  });

  test("the admin's answer has no user", async () => {
    fixture.upstream.answer(json(completion({ content: "Hello" })));
    const { body, text: raw } = await send({ prompt: "Hi" }, ADMIN_KEY);
    assert.equal(body?.metadata?.model, "mock-chat", raw);
    assert.ok(!("user_id" in body.metadata), raw);
  });

  test("reasoning stands before the text, tool calls after it, and the SDK accepts the message", async () => {
    fixture.upstream.answer(
      json(
        completion(
          {
            reasoning_content: "Which city?",
            content: "Looking it up",
            tool_calls: [
              toolCall("call_1", "weather", { city: "Köln" }),
              { id: "call_2", type: "function", function: { name: "weather", arguments: "{broken" } },
            ],
          },
          { finish: "tool_calls" },
        ),
      ),
    );

    const { body, text: raw } = await send({ prompt: "Weather?", tools: [WEATHER_TOOL] });

    assert.deepEqual(
      body?.parts,
      [
        { type: "reasoning", text: "Which city?" },
        { type: "text", text: "Looking it up" },
        { type: "dynamic-tool", toolCallId: "call_1", toolName: "weather", state: "input-available", input: { city: "Köln" } },
        { type: "dynamic-tool", toolCallId: "call_2", toolName: "weather", state: "input-available", input: "{broken" },
      ],
      raw,
    );
    assert.equal(body.metadata.finishReason, "tool-calls");
    await validateUIMessages({ messages: [body] });
    await convertToModelMessages([body]);
  });

  test("an answer of only a tool call still has a text part", async () => {
    fixture.upstream.answer(json(completion({ tool_calls: [toolCall("call_1", "weather", {})] }, { finish: "tool_calls" })));
    const { body, text: raw } = await send({ prompt: "Weather?", tools: [WEATHER_TOOL] });
    assert.deepEqual(body?.parts[0], { type: "text", text: "" }, raw);
    assert.equal(body.parts[1].type, "dynamic-tool");
  });

  test("a prompt is one user message, and nothing is asked that the caller did not set", async () => {
    const { upstream } = fixture;
    upstream.answer(json(completion({ content: "ok" })));

    await send({ prompt: "Größe 🦀", city_id: CITY });

    const { body } = upstream.request();
    assert.equal(body.model, UPSTREAM_MODEL);
    assert.deepEqual(body.messages, [{ role: "user", content: "Größe 🦀" }]);
    for (const name of ["city_id", "prompt", "temperature", "tools", "tool_choice"]) {
      assert.ok(!(name in body), `${name} was sent: ${JSON.stringify(body)}`);
    }
  });

  test("messages and prompt together are the conversation, then the prompt", async () => {
    const { upstream } = fixture;
    upstream.answer(json(completion({ content: "ok" })));
    await send({ messages: [userMessage("First")], prompt: "Second" });
    assert.deepEqual(upstream.request().body.messages, [
      { role: "user", content: "First" },
      { role: "user", content: "Second" },
    ]);
  });

  test("a whole conversation with tool results reaches the upstream", async () => {
    const { upstream } = fixture;
    upstream.answer(json(completion({ content: "ok" })));

    await send({
      tools: [WEATHER_TOOL],
      messages: [
        { id: "s", role: "system", parts: [{ type: "text", text: "Be " }, { type: "text", text: "brief" }] },
        userMessage("Weather in Köln and Bonn?"),
        {
          id: "a",
          role: "assistant",
          parts: [
            { type: "step-start" },
            { type: "reasoning", text: "Two calls" },
            { type: "text", text: "Let me see" },
            { type: "tool-weather", toolCallId: "call_1", state: "output-available", input: { city: "Köln" }, output: { sky: "clear" } },
            { type: "dynamic-tool", toolName: "weather", toolCallId: "call_2", state: "output-error", input: { city: "Bonn" }, errorText: "no data" },
            { type: "data-note", data: { seen: true } },
            { type: "step-start" },
            { type: "text", text: "Clear in Köln" },
          ],
        },
        userMessage("Thanks", "u2"),
      ],
    });

    assert.deepEqual(upstream.request().body.messages, [
      { role: "system", content: "Be brief" },
      { role: "user", content: "Weather in Köln and Bonn?" },
      {
        role: "assistant",
        content: "Let me see",
        reasoning_content: "Two calls",
        tool_calls: [toolCall("call_1", "weather", { city: "Köln" }), toolCall("call_2", "weather", { city: "Bonn" })],
      },
      { role: "tool", tool_call_id: "call_1", content: '{"sky":"clear"}' },
      { role: "tool", tool_call_id: "call_2", content: "no data" },
      { role: "assistant", content: "Clear in Köln" },
      { role: "user", content: "Thanks" },
    ]);
    assert.deepEqual(upstream.request().body.tools, [WEATHER_TOOL]);
    assert.equal(upstream.request().body.tool_choice, "auto");
  });

  test("an image goes to the upstream as it came", async () => {
    const { upstream } = fixture;
    upstream.answer(json(completion({ content: "a dot" })));
    const url = "data:image/png;base64,iVBORw0KGgo=";

    await send({
      messages: [
        { id: "u", role: "user", parts: [{ type: "text", text: "What is this?" }, { type: "file", mediaType: "image/png", url }] },
      ],
    });

    assert.deepEqual(upstream.request().body.messages, [
      {
        role: "user",
        content: [
          { type: "text", text: "What is this?" },
          { type: "image_url", image_url: { url } },
        ],
      },
    ]);
  });

  test("system and sampling parameters are passed on", async () => {
    const { upstream } = fixture;
    upstream.answer(json(completion({ content: "ok" })));
    await send({ system: "Be brief", prompt: "Hi", temperature: 0.25, top_p: 0.5, seed: 7, stop: ["END"] });
    const { body } = upstream.request();
    assert.deepEqual(body.messages, [
      { role: "system", content: "Be brief" },
      { role: "user", content: "Hi" },
    ]);
    assert.deepEqual([body.temperature, body.top_p, body.seed, body.stop], [0.25, 0.5, 7, ["END"]]);
  });

  test("without a model the default one answers, under its own name", async () => {
    fixture.upstream.answer(json(completion({ content: "ok" })));
    const { body, text: raw } = await send({ model: undefined, prompt: "Hi" });
    assert.equal(body?.metadata?.model, "mock-chat", raw);
  });

  for (const [name, answer, status] of [
    ["401", json(errorBody(`Incorrect key ${PROVIDER_KEY}`), { status: 401 }), 502],
    ["403", json(errorBody("Forbidden"), { status: 403 }), 502],
    ["400", json(errorBody("Too many tokens"), { status: 400 }), 400],
    ["500 text", text(500, "Internal Server Error"), 502],
    ["200 HTML", text(200, "<html>Sign in</html>", { "content-type": "text/html" }), 502],
    ["200 without choices", json({ object: "chat.completion", choices: [] }), 502],
  ]) {
    test(`an upstream ${name} is a ${status}`, async () => {
      fixture.upstream.answer(answer);
      const response = await send({ prompt: "Hi" });
      assert.equal(response.status, status, response.text);
      assertPlainError(response);
      assert.ok(!response.text.includes(PROVIDER_KEY), response.text);
    });
  }

  test("an upstream 429 keeps its status and retry-after", async () => {
    fixture.upstream.answer(json(errorBody("Slow down"), { status: 429, headers: { "retry-after": "61" } }));
    const response = await send({ prompt: "Hi" });
    assert.equal(response.status, 429, response.text);
    assert.equal(response.headers.get("retry-after"), "61");
    assertPlainError(response);
  });

  for (const [name, input, status] of [
    ["an unreachable provider", { prompt: "Hi", model: "down-chat" }, 502],
    ["an unknown model", { prompt: "Hi", model: "no-such-model" }, 422],
    ["a model without its key", { prompt: "Hi", model: "keyless-chat" }, 500],
    ["a city other than the token's", { prompt: "Hi", city_id: "another_city" }, 403],
    ["messages that are a string", { messages: "Hi" }, 400],
    ["a temperature that is a string", { prompt: "Hi", temperature: "warm" }, 400],
    ["an unknown role", { messages: [{ id: "x", role: "robot", parts: [] }] }, 400],
  ]) {
    test(`${name} is a ${status}`, async () => {
      const response = await send(input);
      assert.equal(response.status, status, response.text);
      assertPlainError(response);
    });
  }
});
