// Without a configured provider the echo model answers, so that every path works offline.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";
import OpenAI from "openai";
import { CITY, onEveryEngineWithoutProvider } from "./lib/suite.mjs";
import { kinds, streamMessage, userMessage } from "./lib/ui-stream.mjs";

const WORDS = "Grüße an die 🦀 from here";

onEveryEngineWithoutProvider("echo", (fixture) => {
  const client = () => new OpenAI({ baseURL: fixture.aiUrl, apiKey: fixture.token, maxRetries: 0 });
  const model = () => createOpenAICompatible({ name: "fed", baseURL: fixture.aiUrl, apiKey: fixture.token })("echo");
  const messages = [{ role: "user", content: WORDS }];

  test("the echo model is the only one, for users too", async () => {
    const models = [];
    for await (const { id } of client().models.list()) models.push(id);
    assert.deepEqual(models, ["echo"]);
  });

  test("openai: a whole answer and a stream give the words back", async () => {
    const answer = await client().chat.completions.create({ model: "echo", messages });
    assertEcho(answer.choices[0].message.content);
    assert.equal(answer.choices[0].finish_reason, "stop");

    const stream = client().chat.completions.stream({ model: "echo", messages });
    const streamed = await stream.finalChatCompletion();
    assert.equal(streamed.choices[0].message.content, answer.choices[0].message.content);
  });

  test("openai: a stream tells its usage only to who asked", async () => {
    const usages = async (params) => {
      const found = [];
      for await (const part of await client().chat.completions.create({ model: "echo", messages, stream: true, ...params })) {
        if (part.usage) found.push(part.usage);
      }
      return found;
    };
    assert.deepEqual(await usages({}), []);
    const [usage] = await usages({ stream_options: { include_usage: true } });
    assert.equal(usage?.total_tokens, usage?.prompt_tokens + usage?.completion_tokens);
  });

  test("ai: generateText and streamText give the words back", async () => {
    const { text } = await generateText({ model: model(), prompt: WORDS, maxRetries: 0 });
    assertEcho(text);
    assert.equal(await streamText({ model: model(), prompt: WORDS, maxRetries: 0 }).text, text);
  });

  test("/v1/ai/text gives a message with the words", async () => {
    const { status, body, text } = await fixture.fed.call("/v1/ai/text", { token: fixture.token, body: { prompt: WORDS, city_id: CITY } });
    assert.equal(status, 200, text);
    assertEcho(body.parts.find(({ type }) => type === "text")?.text);
    assert.equal(body.metadata.model, "echo");
  });

  test("/v1/ai/stream streams a message with the words", async () => {
    const { chunks, message, errors } = await streamMessage(fixture, { messages: [userMessage(WORDS)], body: { city_id: CITY } });
    assert.deepEqual(errors, []);
    assert.deepEqual(kinds(chunks), ["start", "start-step", "text-start", "text-delta", "text-end", "finish-step", "finish"]);
    assertEcho(message.parts.at(-1).text);
    assert.equal(message.metadata.finishReason, "stop");
  });

  test("an unknown model is still a 422", async () => {
    await assert.rejects(client().chat.completions.create({ model: "no-such-model", messages }), OpenAI.UnprocessableEntityError);
  });
});

function assertEcho(text) {
  assert.ok(text?.includes(WORDS), `expected the words "${WORDS}" in ${JSON.stringify(text)}`);
}
