// What @visiblebase/client does otherwise than @downcity/city.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import {
  AdminClient,
  DowncityError,
  UserClient,
} from "../packages/visiblebase-client/dist/visiblebase-client/src/index.js";
import { bodyOf, broken, fakeFetch, readAll, URL_, wire } from "../testkit/helpers.mjs";

const admin = (fetch, options) =>
  new AdminClient({ base_url: URL_, admin_secret_key: "admin_secret", fetch, ...options });
const user = (fetch, options) =>
  new UserClient({ base_url: URL_, product_id: "prod_a", user_token: "ub_a.b", fetch, ...options });

test("products, tokens and env: routes and bodies, in the dialect of the package", async () => {
  const product = { product_id: "prod_a", name: "A", status: "active" };
  const fetch = fakeFetch({ json: product });
  const client = admin(fetch);
  assert.deepEqual(await client.products.create({ name: "A" }), product);
  await client.products.pause({ product_id: "prod_a" });
  await client.products.activate({ product_id: "prod_a" });
  await client.products.remove("prod_a");
  await client.tokens.apply({ product_id: "prod_a", user_id: "u", metadata: {}, ttl: "7d" });
  await client.env.upsert({ key: "A", value: "1" });
  await client.env.import("A=1");
  await client.env.remove("A");
  assert.deepEqual(wire(fetch), [
    ["POST /api/admin/products/create", { name: "A" }],
    ["POST /api/admin/products/pause", { product_id: "prod_a" }],
    ["POST /api/admin/products/activate", { product_id: "prod_a" }],
    ["POST /api/admin/products/remove", { product_id: "prod_a" }],
    [
      "POST /api/admin/tokens/apply",
      { product_id: "prod_a", user_id: "u", metadata: {}, ttl: "7d" },
    ],
    ["POST /api/admin/env/upsert", { key: "A", value: "1" }],
    ["POST /api/admin/env/import", { raw: "A=1" }],
    ["POST /api/admin/env/remove", { key: "A" }],
  ]);
  for (const { headers } of fetch.calls) assert.equal(headers["x-downcity-dialect"], "visiblebase");
  await assert.rejects(client.products.pause({}), TypeError);
  await assert.rejects(client.tokens.apply({ product_id: "", user_id: "u" }), TypeError);
});

test("lists are read with and without an envelope", async () => {
  for (const json of [[{ product_id: "p" }], { items: [{ product_id: "p" }] }]) {
    const fetch = fakeFetch({ json });
    assert.deepEqual(await admin(fetch).products.list(), [{ product_id: "p" }]);
    await admin(fetch).env.list();
    assert.deepEqual(wire(fetch), [["GET /api/admin/products"], ["GET /api/admin/env"]]);
  }
});

test("models: a directory that is called", async () => {
  const models = [
    { id: "a", name: "A", provider: "p", description: "", primary: false },
    { id: "b", name: "B", provider: "p", description: "", primary: true },
  ];
  const fetch = fakeFetch({ json: models }, { json: { id: "m", parts: [] } });
  const client = user(fetch);
  const directory = await client.models();
  assert.equal(directory("a").name, "A");
  assert.equal(directory("z"), undefined);
  assert.equal(directory.primary().id, "b");
  assert.deepEqual(directory.all(), models);
  await client.text({ model: directory.primary(), prompt: "x" });
  assert.deepEqual(wire(fetch), [
    ["GET /v1/models"],
    ["POST /v1/text", { prompt: "x", model: "b", product_id: "prod_a" }],
  ]);
});

test("services, modalities and invoke", async () => {
  const fetch = fakeFetch({ json: { items: ["text", "stream"] } });
  const client = user(fetch);
  assert.deepEqual(await client.services(), ["text", "stream"]);
  const product_id = "prod_a";
  await client.image({ prompt: "x" });
  await client.video({ prompt: "x" });
  await client.tts({ text: "x" });
  await client.asr({ url: "u" });
  await client.invoke("crm", { action: "find", product_id: "other" });
  assert.deepEqual(wire(fetch), [
    ["GET /v1/services"],
    ["POST /v1/image", { prompt: "x", product_id }],
    ["POST /v1/video", { prompt: "x", product_id }],
    ["POST /v1/tts", { text: "x", product_id }],
    ["POST /v1/asr", { url: "u", product_id }],
    ["POST /v1/invoke", { service: "crm", action: "find", product_id }],
  ]);
  await assert.rejects(client.invoke(""), TypeError);
});

test("streams", async () => {
  const fetch = fakeFetch({ body: bodyOf(['data: {"type":"finish"}\n\n']) });
  assert.deepEqual(await readAll(await user(fetch).stream({ prompt: "x" })), [{ type: "finish" }]);
  assert.deepEqual(wire(fetch), [["POST /v1/stream", { prompt: "x", product_id: "prod_a" }]]);
});

test("options, errors, repeats and secrets", async () => {
  for (const options of [{ base_url: "" }, { product_id: "" }, { user_token: undefined }]) {
    assert.throws(() => user(fakeFetch({}), options), TypeError);
  }
  const error = await admin(fakeFetch({ status: 404, text: '{"error":"unknown"}' }))
    .products.pause({ product_id: "gone" })
    .catch((error) => error);
  assert.ok(error instanceof DowncityError);
  assert.deepEqual([error.status, error.serverMessage], [404, "unknown"]);
  const fetch = fakeFetch({ error: broken() });
  await assert.rejects(admin(fetch).products.list(), /fetch failed/);
  assert.equal(fetch.calls.length, 1);
  const secret = "do_not_show";
  for (const client of [
    admin(fetch, { admin_secret_key: secret }),
    user(fetch, { user_token: secret }),
  ]) {
    const shown = JSON.stringify(client) + inspect(client, { depth: 9, showHidden: true });
    assert.doesNotMatch(shown, new RegExp(secret));
  }
});
