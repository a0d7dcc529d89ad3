// Those who load the packages: modules, CommonJS, a bundle, and clients of OpenAI and the AI SDK that get
// their address from ours. The echo model answers.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, readUIMessageStream, streamText, tool, validateUIMessages } from "ai";
import OpenAI from "openai";
import { CITY, onEveryEngineWithoutProvider } from "../npm-clients/lib/suite.mjs";
import { bundle } from "./lib/bundle.mjs";
import { ADMIN_KEY } from "./lib/engines.mjs";
import { load, PROJECT, runNode } from "./lib/project.mjs";

const WORDS = "Grüße an die 🦀";

onEveryEngineWithoutProvider("consumers", (fixture) => {
  const env = () => ({ FEDERATION_URL: fixture.fed.url, GIVEN_KEY: ADMIN_KEY });
  const user = async () => {
    const { City } = await load("@downcity/city");
    return new City({ role: "user", federation_url: fixture.fed.url, city_id: CITY, user_token: fixture.token });
  };

  test("require gives what import gives", async () => {
    const script = `
      const { City, DowncityError } = require("@downcity/city");
      const gate = require("@downcity/gate");
      const visiblebase = require("@visiblebase/client");
      const { CITY_MODEL_KIND, isCityModel } = require("@downcity/type");
      (async () => {
        const admin = new City({ role: "admin", federation_url: process.env.FEDERATION_URL, admin_secret_key: process.env.GIVEN_KEY });
        const cities = await admin.cities.list();
        const { City: Imported } = await import("@downcity/city");
        const error = await admin.cities.pause("gone").catch((error) => error);
        const options = { base_url: process.env.FEDERATION_URL, admin_secret_key: process.env.GIVEN_KEY };
        console.log(JSON.stringify({
          cities: cities.map(({ city_id }) => city_id),
          studios: (await new gate.AdminClient(options).studios.list()).map(({ studio_id }) => studio_id),
          products: (await new visiblebase.AdminClient(options).products.list()).map(({ product_id }) => product_id),
          same: Imported === City,
          error: error instanceof DowncityError && error instanceof Error && error.status,
          kind: CITY_MODEL_KIND, model: isCityModel({}),
        }));
      })();`;
    await writeFile(join(PROJECT, "require.cjs"), script);
    const said = JSON.parse(await runNode(["--no-warnings", "require.cjs"], env()));
    assert.ok(said.cities.includes(CITY));
    assert.deepEqual(said.studios, said.cities);
    assert.deepEqual(said.products, said.cities);
    assert.deepEqual(
      { same: said.same, error: said.error, kind: said.kind, model: said.model },
      { same: true, error: 404, kind: "downcity.city-model", model: false },
    );
  });

  for (const name of ["@downcity/city", "@downcity/gate", "@visiblebase/client"]) {
    test(`${name} in one file of a bundler, without Node's own modules`, async () => {
      const { text, imports } = await bundle(name);
      assert.deepEqual(imports, [], "everything is inside");
      const file = join(PROJECT, `${name.replace(/\W/g, "_")}.mjs`);
      await writeFile(file, text);
      const module = await import(pathToFileURL(file).href);
      const Admin = module.City ?? module.AdminClient;
      const options = { base_url: fixture.fed.url, federation_url: fixture.fed.url, admin_secret_key: ADMIN_KEY, role: "admin" };
      assert.ok((await new Admin(options).env.list()).length > 0);
    });
  }

  test("the secret of a client is in no text of it", async () => {
    const client = await user();
    for (const shown of [inspect(client, { depth: 9, showHidden: true }), JSON.stringify(client), String(client)]) {
      assert.ok(!shown.includes(fixture.token), shown);
    }
  });

  test("a model of ours is a base URL, a name and a key for openai", async () => {
    const model = (await user()).ai.model("echo");
    const openai = new OpenAI({ baseURL: model.url(), apiKey: model.token, maxRetries: 0 });
    const messages = [{ role: "user", content: WORDS }];
    const answer = await openai.chat.completions.create({ model: model.modelName(), messages });
    assert.ok(answer.choices[0].message.content.includes(WORDS));
    let streamed = "";
    for await (const { choices } of await openai.chat.completions.create({ model: model.modelName(), messages, stream: true })) {
      streamed += choices[0]?.delta.content ?? "";
    }
    assert.equal(streamed, answer.choices[0].message.content);
  });

  test("a connection of ours is all that openai needs, with what goes into each request", async () => {
    const { base_url, api_key, model_id, request_body } = (await user()).ai.connection("echo");
    assert.deepEqual(request_body, { model: "echo", city_id: CITY });
    const openai = new OpenAI({ baseURL: base_url, apiKey: api_key, maxRetries: 0 });
    const answer = await openai.chat.completions.create({ ...request_body, messages: [{ role: "user", content: WORDS }] });
    assert.ok(answer.choices[0].message.content.includes(WORDS));
    assert.equal(model_id, "echo");
    await assert.rejects(
      openai.chat.completions.create({ ...request_body, city_id: "city_other", messages: [{ role: "user", content: WORDS }] }),
      OpenAI.PermissionDeniedError,
    );
  });

  test("a model of the catalog connects too, across copies of the package", async () => {
    const { isCityModel, CITY_MODEL_INVOKER } = await load("@downcity/type");
    const model = (await (await user()).ai.listModels()).default();
    assert.ok(isCityModel(model));
    assert.deepEqual(model[CITY_MODEL_INVOKER].connection(), (await user()).ai.connection("echo"));
    assert.ok(!JSON.stringify(model).includes(fixture.token));
  });

  test("the ai package asks a model of ours, whole and in pieces", async () => {
    const { base_url, api_key, model_id } = (await user()).ai.connection("echo");
    const model = createOpenAICompatible({ name: "fed", baseURL: base_url, apiKey: api_key })(model_id);
    const { text } = await generateText({ model, prompt: WORDS, maxRetries: 0 });
    assert.ok(text.includes(WORDS));
    assert.equal(await streamText({ model, prompt: WORDS, maxRetries: 0 }).text, text);
  });

  test("tools of the ai package travel as functions", async () => {
    const weather = tool({
      description: "Weather of a city",
      inputSchema: jsonSchema({ type: "object", properties: { city: { type: "string" } } }),
      execute: async () => "sunny",
    });
    const message = await (await user()).ai.text({ prompt: WORDS, tools: { weather } });
    assert.equal(message.role, "assistant");
  });

  test("the ai package reads our messages and chunks", async () => {
    const ai = (await user()).ai;
    const whole = await ai.text({ prompt: WORDS });
    await validateUIMessages({ messages: [whole] });
    let last;
    for await (const message of readUIMessageStream({ stream: await ai.stream({ prompt: WORDS }) })) last = message;
    assert.equal(last.parts.at(-1).text, whole.parts.at(-1).text);
  });
});
