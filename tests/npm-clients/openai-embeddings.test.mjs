// The `openai` package through /v1/embeddings.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { onEveryEngineWithoutProvider } from "./lib/suite.mjs";

onEveryEngineWithoutProvider("openai embeddings", (fixture) => {
  const client = (apiKey = fixture.token) => new OpenAI({ baseURL: `${fixture.fed.url}/v1`, apiKey, maxRetries: 0 });

  test("vectors of several texts, in both encodings", async () => {
    const input = ["red apples", "apples, red", "blue whales"];
    // Unasked, the package wants base64 and decodes it.
    const packed = await client().embeddings.create({ model: "echo", input });
    const plain = await client().embeddings.create({ model: "echo", input, encoding_format: "float" });
    assert.equal(packed.data.length, 3);
    assert.deepEqual(packed.data.map(({ index }) => index), [0, 1, 2]);
    assert.deepEqual(Array.from(packed.data[0].embedding), Array.from(Float32Array.from(plain.data[0].embedding)));
    assert.deepEqual(plain.data[0].embedding, plain.data[1].embedding, "the same words");
    assert.notDeepEqual(plain.data[0].embedding, plain.data[2].embedding);
    assert.equal(packed.usage.prompt_tokens, 6);
  });

  test("dimensions are those that are asked for", async () => {
    const { data } = await client().embeddings.create({ model: "echo", input: "red apples", dimensions: 8 });
    assert.equal(data[0].embedding.length, 8);
  });

  test("faults are the package's own errors", async () => {
    const { embeddings } = client();
    await assert.rejects(embeddings.create({ model: "echo", input: "" }), OpenAI.BadRequestError);
    await assert.rejects(embeddings.create({ model: "nobody", input: "a" }), OpenAI.NotFoundError);
    await assert.rejects(client("ub_not.a-token").embeddings.create({ model: "echo", input: "a" }), OpenAI.AuthenticationError);
  });
});
