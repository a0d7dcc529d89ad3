// GET /v1/ai/models, as the `openai` package and as the User and Admin City read it.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { UPSTREAM_MODEL } from "./lib/openai-wire.mjs";
import { ADMIN_KEY } from "./lib/federation.mjs";
import { assertPlainError, onEveryEngine } from "./lib/suite.mjs";

onEveryEngine("model list", (fixture) => {
  const client = (apiKey = fixture.token) => new OpenAI({ baseURL: fixture.aiUrl, apiKey, maxRetries: 0 });
  const list = (token) => fixture.fed.call("/v1/ai/models", { token });
  const ids = (models) => models.map(({ id }) => id).sort();

  test("models.list() gives the callable models", async () => {
    const models = [];
    for await (const model of client().models.list()) models.push(model);
    assert.deepEqual(ids(models), ["down-chat", "mock-chat"]);
    assert.equal(models[0].id, "mock-chat", "the default model is first");
    for (const model of models) assert.equal(model.object, "model");
  });

  test("the list is the same in both views of one answer", async () => {
    const { status, body, text } = await list(fixture.token);
    assert.equal(status, 200, text);
    assert.equal(body.object, "list");
    assert.deepEqual(ids(body.items), ids(body.data));
    const [{ id, name, description, modalities, tags, meta, ...rest }] = body.items;
    assert.deepEqual({ id, name, description, tags }, { id: "mock-chat", name: "Mock Chat", description: "", tags: [] });
    assert.deepEqual([...modalities].sort(), ["openai", "stream", "text"]);
    assert.equal(typeof meta, "object");
    assert.ok(!("env_requirements" in rest) && !("default_modes" in rest), "admin fields stay away from users");
    assert.ok(!text.includes(UPSTREAM_MODEL), "the upstream's name stays away from users");
  });

  test("the admin sees every model and what it needs", async () => {
    const { body, text } = await list(ADMIN_KEY);
    assert.deepEqual(ids(body?.items ?? []), ["down-chat", "keyless-chat", "mock-chat"], text);
    const keyless = body.items.find(({ id }) => id === "keyless-chat");
    assert.deepEqual(
      keyless.env_requirements.map(({ key, required }) => [key, required]),
      [["UNSET_API_KEY", true]],
    );
    const [first] = body.items;
    assert.deepEqual([...first.default_modes].sort(), ["openai", "stream", "text"]);
  });

  test("a model appears as soon as its key is set, and goes with it", async () => {
    await fixture.fed.setEnv("UNSET_API_KEY", "sk-now-set");
    assert.ok(ids((await list(fixture.token)).body.items).includes("keyless-chat"));
    await fixture.fed.admin("/v1/env/remove", { key: "UNSET_API_KEY" });
    assert.ok(!ids((await list(fixture.token)).body.items).includes("keyless-chat"));
  });

  test("a guest is refused", async () => {
    const response = await list(undefined);
    assert.equal(response.status, 401);
    assertPlainError(response);
    await assert.rejects(client("ub_not.a-token").models.list(), OpenAI.AuthenticationError);
  });
});
