// What @downcity/gate does otherwise than @downcity/city.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import {
  AdminClient,
  DowncityError,
  Gate,
  UserClient,
} from "../packages/gate/dist/gate/src/index.js";
import { isCityModel } from "../packages/type/dist/type/src/index.js";
import { broken, fakeFetch, URL_, wire } from "../testkit/helpers.mjs";

const admin = (fetch, options) =>
  new AdminClient({ base_url: `${URL_}/`, admin_secret_key: "admin_secret", fetch, ...options });
const user = (fetch, options) =>
  new UserClient({
    base_url: URL_,
    studio_id: "studio_a",
    user_token: "ub_a.b",
    fetch,
    ...options,
  });

test("studios: routes and bodies, in the dialect of the package", async () => {
  const studio = { studio_id: "studio_a", name: "A", status: "active" };
  const fetch = fakeFetch({ json: { items: [studio] } }, { json: studio });
  const { studios } = admin(fetch);
  assert.deepEqual(await studios.list(), [studio]);
  assert.deepEqual(await studios.create({ name: "A" }), studio);
  await studios.pause("studio_a");
  await studios.activate("studio_a");
  await studios.remove("studio_a");
  await studios.tokens.apply({ studio_id: "studio_a", user_id: "u", ttl: "7d" });
  assert.deepEqual(wire(fetch), [
    ["GET /v1/studios/list"],
    ["POST /v1/studios/create", { name: "A" }],
    ["POST /v1/studios/pause", { studio_id: "studio_a" }],
    ["POST /v1/studios/activate", { studio_id: "studio_a" }],
    ["POST /v1/studios/remove", { studio_id: "studio_a" }],
    ["POST /v1/studios/tokens/apply", { studio_id: "studio_a", user_id: "u", ttl: "7d" }],
  ]);
  for (const { headers } of fetch.calls) assert.equal(headers["x-downcity-dialect"], "gate");
  await assert.rejects(studios.tokens.apply({ studio_id: "", user_id: "u" }), TypeError);
  await assert.rejects(studios.pause(""), TypeError);
});

test("env, balance, services and directories are where they are for all", async () => {
  const fetch = fakeFetch({ json: { items: [], unit: "credits", amount: 300 } });
  const client = admin(fetch);
  await client.env.list();
  await client.env.upsert({ key: "A", value: "1" });
  await client.env.refresh();
  const code = await client.balance.redeemCodes.create({ amount: 300 });
  assert.equal(code.amount, 300);
  await client.service("payment.stripe").get("payments");
  await client.listServices();
  await client.listModels();
  await client.instruction();
  assert.deepEqual(wire(fetch), [
    ["GET /v1/env/list"],
    ["POST /v1/env/upsert", { key: "A", value: "1" }],
    ["POST /v1/env/refresh", {}],
    ["POST /v1/balance/redeem-codes/create", { amount: 300 }],
    ["GET /v1/payment.stripe/payments"],
    ["GET /v1/services"],
    ["GET /v1/ai/models"],
    ["GET /v1/base/instruction"],
  ]);
  assert.equal("tokens" in client, false);
});

test("models are called with the studio of the client", async () => {
  const fetch = fakeFetch({ json: {} });
  const client = user(fetch);
  const studio_id = "studio_a";
  await client.ai.text({ prompt: "x", tools: { a: { inputSchema: { jsonSchema: {} } } } });
  await client.ai.image({ prompt: "x" });
  await client.ai.video({ prompt: "x" });
  await client.ai.tts({ text: "x" });
  await client.ai.asr({ url: "u" });
  await client.ai.model("m").image({ prompt: "x" });
  await client.service("crm").action("find").invoke({ studio_id: "other" });
  const tool = { type: "function", function: { name: "a", description: "", parameters: {} } };
  assert.deepEqual(wire(fetch), [
    ["POST /v1/ai/text", { prompt: "x", tools: [tool], studio_id }],
    ["POST /v1/ai/image", { prompt: "x", studio_id }],
    ["POST /v1/ai/video", { prompt: "x", studio_id }],
    ["POST /v1/ai/tts", { text: "x", studio_id }],
    ["POST /v1/ai/asr", { url: "u", studio_id }],
    ["POST /v1/ai/image", { prompt: "x", model: "m", studio_id }],
    ["POST /v1/crm/find", { studio_id }],
  ]);
  assert.deepEqual([client.serverUrl, client.token], [URL_, "ub_a.b"]);
  assert.equal("connection" in client.ai, false);
  assert.equal("image_create" in client.ai, false);
  await assert.rejects(user(fetch, { studio_id: undefined }).ai.text({ prompt: "x" }), {
    name: "TypeError",
    message: /studio_id/,
  });
});

test("listed models are plain", async () => {
  const item = { id: "a", name: "A", modalities: ["text"], meta: {} };
  const [listed] = (await user(fakeFetch({ json: { items: [item] } })).ai.listModels()).all();
  assert.ok(Object.isFrozen(listed));
  assert.equal("kind" in listed, false);
  assert.equal(isCityModel(listed), false);
  assert.equal(listed.is_default, true);
});

test("payment goes to the service that a method names", async () => {
  const method = {
    id: "stripe",
    enabled: true,
    service: "payment.stripe",
    action: "checkout/create",
    requires_user: true,
  };
  const fetch = fakeFetch({ json: { items: [method] } }, { json: {} });
  await user(fetch).payment.method("stripe").invoke({ topup_id: "t" });
  assert.deepEqual(wire(fetch), [
    ["GET /v1/payment/methods"],
    ["POST /v1/payment.stripe/checkout/create", { topup_id: "t", studio_id: "studio_a" }],
  ]);
});

test("a broken connection is repeated only where that was asked for", async () => {
  const fetch = fakeFetch({ error: broken() });
  await assert.rejects(admin(fetch).studios.list(), /fetch failed/);
  assert.equal(fetch.calls.length, 1);
  const again = fakeFetch({ error: broken() }, { json: { items: [] } });
  await admin(again, { retries: 1 }).studios.list();
  assert.equal(again.calls.length, 2);
});

test("errors have status and body", async () => {
  const body = '{"error":"paused","code":"city_paused"}';
  const error = await admin(fakeFetch({ status: 403, text: body }))
    .studios.list()
    .catch((error) => error);
  assert.ok(error instanceof DowncityError);
  assert.deepEqual([error.status, error.body, error.code], [403, body, "city_paused"]);
});

test("Gate is either client behind one door", async () => {
  const fetch = fakeFetch({ json: { items: [] } });
  const secret = "do_not_show";
  const server = new Gate({ role: "admin", city_url: URL_, admin_secret_key: secret, fetch });
  const app = new Gate({ role: "user", city_url: URL_, studio_id: "s", user_token: secret, fetch });
  await server.studios.list();
  await server.listModels();
  await app.ai.listModels();
  await app.listServices();
  await app.service("crm").action("find").invoke();
  assert.deepEqual(wire(fetch), [
    ["GET /v1/studios/list"],
    ["GET /v1/ai/models"],
    ["GET /v1/ai/models"],
    ["GET /v1/services"],
    ["POST /v1/crm/find", { studio_id: "s" }],
  ]);
  assert.ok(server.admin instanceof AdminClient && app.user instanceof UserClient);
  assert.deepEqual([server.user, app.admin], [undefined, undefined]);
  for (const member of ["studios", "env", "balance"]) {
    assert.throws(() => app[member], { name: "TypeError", message: /"admin"/ });
  }
  for (const method of ["listModels", "instruction"]) {
    assert.throws(() => app[method](), { name: "TypeError", message: /"admin"/ });
  }
  for (const member of ["ai", "payment"]) {
    assert.throws(() => server[member], { name: "TypeError", message: /"user"/ });
  }
  assert.throws(() => new Gate({ role: "guest", city_url: URL_ }), TypeError);
  assert.throws(() => new Gate({ role: "user" }), TypeError);
  for (const gate of [server, app]) {
    const shown = JSON.stringify(gate) + inspect(gate, { depth: 9, showHidden: true });
    assert.doesNotMatch(shown, new RegExp(secret));
  }
});
