// The `openai` package through /v1/images/generations.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { onEveryEngineWithoutProvider } from "./lib/suite.mjs";

const PNG = "89504e470d0a1a0a";

onEveryEngineWithoutProvider("openai images", (fixture) => {
  const client = (apiKey = fixture.token) => new OpenAI({ baseURL: `${fixture.fed.url}/v1`, apiKey, maxRetries: 0 });

  test("images as base64", async () => {
    const { data, created } = await client().images.generate({ model: "echo", prompt: "A cat", n: 2, size: "1024x1024" });
    assert.equal(data.length, 2);
    assert.ok(created > 0);
    for (const { b64_json } of data) assert.equal(Buffer.from(b64_json, "base64").subarray(0, 8).toString("hex"), PNG);
  });

  test("images as links, which work", async () => {
    const { data } = await client().images.generate({ model: "echo", prompt: "A cat", response_format: "url" });
    const { url } = data[0];
    const bytes = url.startsWith("data:") ? Buffer.from(url.split(",")[1], "base64") : Buffer.from(await (await fetch(url)).arrayBuffer());
    assert.equal(bytes.subarray(0, 8).toString("hex"), PNG);
  });

  test("faults are the package's own errors", async () => {
    await assert.rejects(client().images.generate({ model: "echo", prompt: "" }), OpenAI.BadRequestError);
    await assert.rejects(client().images.generate({ model: "nobody", prompt: "A cat" }), OpenAI.NotFoundError);
    await assert.rejects(client("ub_not.a-token").images.generate({ model: "echo", prompt: "A cat" }), OpenAI.AuthenticationError);
  });
});
