// What the user side of @downcity/city sends, and what it makes of the answers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { City, ModelCatalog } from "../packages/city/dist/city/src/index.js";
import {
  CITY_MODEL_INVOKER,
  CITY_MODEL_KIND,
  isCityModel,
} from "../packages/type/dist/type/src/index.js";
import { fakeFetch, URL_, wire } from "../testkit/helpers.mjs";

function user(fetch, options = {}) {
  return new City({
    role: "user",
    federation_url: URL_,
    city_id: "city_demo",
    user_token: "ub_a.b",
    fetch,
    ...options,
  });
}

const MESSAGE = { id: "m", role: "assistant", parts: [{ type: "text", text: "hi" }] };

test("models are called with the city of the client", async () => {
  const fetch = fakeFetch({ json: MESSAGE });
  const { ai } = user(fetch);
  const input = { prompt: "x", model: { id: "gpt", name: "GPT" }, city_id: "city_other", top_p: 1 };
  assert.deepEqual(await ai.text(input), MESSAGE);
  await ai.text({ prompt: "x", model: " echo " });
  await ai.image_create({ prompt: "x", n: 2, provider_options: { a: 1 } });
  await ai.image_result({ job_id: "j" });
  await ai.video({ prompt: "x" });
  await ai.tts({ text: "x", voice: "v" });
  await ai.asr({ url: "https://a" });
  const city_id = "city_demo";
  assert.deepEqual(wire(fetch), [
    ["POST /v1/ai/text", { prompt: "x", top_p: 1, model: "gpt", city_id }],
    ["POST /v1/ai/text", { prompt: "x", model: "echo", city_id }],
    ["POST /v1/ai/image/create", { prompt: "x", n: 2, provider_options: { a: 1 }, city_id }],
    ["POST /v1/ai/image/result", { job_id: "j", city_id }],
    ["POST /v1/ai/video", { prompt: "x", city_id }],
    ["POST /v1/ai/tts", { text: "x", voice: "v", city_id }],
    ["POST /v1/ai/asr", { url: "https://a", city_id }],
  ]);
  assert.equal(fetch.calls[0].headers.authorization, "Bearer ub_a.b");
  assert.equal("image" in ai, false);
});

test("without a city every call of a model rejects, and nothing is sent", async () => {
  const fetch = fakeFetch({ json: MESSAGE });
  const { ai } = user(fetch, { city_id: undefined });
  const calls = {
    text: () => ai.text({ prompt: "x" }),
    stream: () => ai.stream({ prompt: "x" }),
    image_create: () => ai.image_create({ prompt: "x" }),
    image_result: () => ai.image_result({ job_id: "j" }),
    video: () => ai.video({ prompt: "x" }),
    tts: () => ai.tts({ text: "x" }),
    asr: () => ai.asr({ url: "u" }),
  };
  for (const [name, call] of Object.entries(calls)) {
    let promise;
    assert.doesNotThrow(() => {
      promise = call();
    }, name);
    await assert.rejects(promise, TypeError, name);
  }
  assert.equal(fetch.calls.length, 0);
});

test("tools travel as functions, without what runs them", async () => {
  const schema = { type: "object" };
  const plain = (name, description = "", parameters = {}) => ({
    type: "function",
    function: { name, description, parameters },
  });
  for (const [tools, sent] of [
    [
      {
        weather: { description: "W", inputSchema: { jsonSchema: schema }, execute: () => 1 },
        time: { inputSchema: schema },
        bare: {},
      },
      [plain("weather", "W", schema), plain("time", "", schema), plain("bare")],
    ],
    [
      [
        { name: " a ", description: "A", parameters: schema },
        { type: "function", function: { name: "b", description: "B", parameters: schema } },
        { description: "has no name" },
        null,
      ],
      [plain("a", "A", schema), plain("b", "B", schema)],
    ],
    [
      {
        key: {
          name: "other",
          function: { description: "in", parameters: { in: 1 } },
          description: "out",
        },
      },
      [plain("key", "in", { in: 1 })],
    ],
    [undefined, undefined],
    ["tools", undefined],
  ]) {
    const fetch = fakeFetch({ json: MESSAGE });
    await user(fetch).ai.text({ prompt: "x", tools });
    assert.deepEqual(fetch.calls[0].body.tools, sent);
    assert.equal("tools" in fetch.calls[0].body, sent !== undefined);
  }
});

function model(id, modalities) {
  return { id, name: id.toUpperCase(), description: "", modalities, tags: [], meta: { of: id } };
}

test("the catalog: order, defaults, duplicates", async () => {
  const items = [
    model("a", ["text"]),
    model("b", ["text", "image"]),
    model("c", ["image"]),
    { ...model("a", ["tts"]), name: "later" },
  ];
  const fetch = fakeFetch({ json: { items, data: [] } });
  const catalog = await user(fetch).ai.listModels();
  assert.ok(catalog instanceof ModelCatalog);
  assert.deepEqual(wire(fetch), [["GET /v1/ai/models"]]);
  assert.deepEqual(
    catalog
      .all()
      .map(({ id, is_default, default_modalities }) => [id, is_default, default_modalities]),
    [
      ["a", true, ["text"]],
      ["b", false, ["image"]],
      ["c", false, []],
      ["a", false, ["tts"]],
    ],
  );
  assert.equal(catalog.default().id, "a");
  assert.equal(catalog.get(" a ").name, "later");
  assert.equal(catalog.get("z"), undefined);
  assert.deepEqual(
    catalog.forModality("image").map(({ id }) => id),
    ["b", "c"],
  );
  assert.deepEqual(catalog.forModality("video"), []);
  assert.equal(
    (await user(fakeFetch({ json: { items: [] } })).ai.listModels()).default(),
    undefined,
  );
});

test("listed models are city models, for other copies of the packages too", async () => {
  const fetch = fakeFetch({ json: { items: [model("a", ["text"])] } });
  const [item] = (await user(fetch).ai.listModels()).all();
  assert.ok(Object.isFrozen(item));
  assert.equal(item.kind, CITY_MODEL_KIND);
  assert.ok(isCityModel(item));
  assert.deepEqual(item[CITY_MODEL_INVOKER].connection(), {
    base_url: `${URL_}/v1/ai`,
    api_key: "ub_a.b",
    model_id: "a",
    request_body: { model: "a", city_id: "city_demo" },
  });
  assert.equal(Symbol.keyFor(CITY_MODEL_INVOKER), "downcity.city-model.invoker");
  assert.deepEqual(Object.getOwnPropertySymbols({ ...item }), []);
  assert.doesNotMatch(JSON.stringify(item), /invoker|ub_/);
  assert.doesNotMatch(inspect(item), /invoker|ub_/);
});

test("isCityModel tells what is none", () => {
  const invoker = { connection: () => ({}) };
  const one = { kind: CITY_MODEL_KIND, id: "a", [CITY_MODEL_INVOKER]: invoker };
  assert.ok(isCityModel(one));
  for (const other of [
    null,
    undefined,
    "a",
    {},
    { ...one, kind: "x" },
    { ...one, id: 1 },
    { kind: CITY_MODEL_KIND, id: "a" },
    { ...one, [CITY_MODEL_INVOKER]: {} },
  ]) {
    assert.equal(isCityModel(other), false);
  }
});

test("connection(): for any OpenAI-compatible client", () => {
  const { ai } = user(fakeFetch({}));
  assert.equal(ai.connection(" m ").model_id, "m");
  assert.throws(() => ai.connection(""), TypeError);
  assert.throws(() => user(fakeFetch({}), { city_id: undefined }).ai.connection("m"), TypeError);
  const guest = user(fakeFetch({}), { user_token: undefined });
  assert.equal("api_key" in guest.ai.connection("m"), false);
});

test("a handle is one model", async () => {
  const fetch = fakeFetch({ json: MESSAGE });
  const { ai } = user(fetch);
  const handle = ai.model("gpt");
  assert.deepEqual(
    [handle.id, handle.name, handle.meta, handle.endpoint, handle.token],
    ["gpt", "gpt", {}, `${URL_}/v1/ai`, "ub_a.b"],
  );
  assert.equal(handle.url(), handle.endpoint);
  assert.equal(handle.modelName(), "gpt");
  assert.equal("create" in handle, false);
  assert.equal("image" in handle, false);
  const known = ai.model(model("a", ["text"]));
  assert.deepEqual([known.name, known.meta], ["A", { of: "a" }]);
  await handle.text({ prompt: "x" });
  await handle.video({ prompt: "y" });
  assert.deepEqual(wire(fetch), [
    ["POST /v1/ai/text", { prompt: "x", model: "gpt", city_id: "city_demo" }],
    ["POST /v1/ai/video", { prompt: "y", model: "gpt", city_id: "city_demo" }],
  ]);
  assert.throws(() => ai.model(""), TypeError);
});

test("a guest logs in, and the client of the user has the token", async () => {
  const fetch = fakeFetch({ json: { user_token: "ub_new.x" } }, { json: MESSAGE });
  const guest = user(fetch, { user_token: undefined });
  const { user_token } = await guest
    .service("accounts")
    .action("login")
    .invoke({ email: "a@b.c", password: "12345678", city_id: "city_other" });
  const known = guest.withToken(user_token);
  await known.ai.text({ prompt: "x" });
  assert.deepEqual(wire(fetch), [
    ["POST /v1/accounts/login", { email: "a@b.c", password: "12345678", city_id: "city_demo" }],
    ["POST /v1/ai/text", { prompt: "x", city_id: "city_demo" }],
  ]);
  assert.equal("authorization" in fetch.calls[0].headers, false);
  assert.equal(fetch.calls[1].headers.authorization, "Bearer ub_new.x");
});

test("service() of a user: the city goes into actions, not into queries", async () => {
  const fetch = fakeFetch({ json: {} });
  await user(fetch).service("crm").action("find").invoke({ q: "x" });
  await user(fetch).service("crm").get("list", { q: "x" });
  await user(fetch, { city_id: undefined }).service("crm").action("find").invoke();
  await user(fetch)
    .listServices()
    .catch(() => {});
  assert.deepEqual(wire(fetch), [
    ["POST /v1/crm/find", { q: "x", city_id: "city_demo" }],
    ["GET /v1/crm/list?q=x"],
    ["POST /v1/crm/find", {}],
    ["GET /v1/services"],
  ]);
});

const METHOD = {
  id: "stripe",
  type: "checkout",
  enabled: true,
  label: "Card",
  service: "payment",
  action: "checkout/create",
  requires_user: true,
  currency: "usd",
};
const METHODS = {
  json: {
    items: [METHOD, { ...METHOD, id: "creem", enabled: false, reason: "not_configured" }],
  },
};

test("payment: the directory is asked once per handle", async () => {
  const fetch = fakeFetch(METHODS, { json: { checkout_url: "https://pay" } });
  const { payment } = user(fetch);
  const handle = payment.method("stripe");
  assert.equal(handle.id, "stripe");
  assert.equal(fetch.calls.length, 0);
  assert.deepEqual(await handle.invoke({ topup_id: "t" }), { checkout_url: "https://pay" });
  await handle.invoke({ topup_id: "t" });
  assert.equal((await handle.describe()).label, "Card");
  const paid = ["POST /v1/payment/checkout/create", { topup_id: "t", method_id: "stripe" }];
  assert.deepEqual(wire(fetch), [["GET /v1/payment/methods"], paid, paid]);
});

test("payment: a directory that could not be read is asked again", async () => {
  const fetch = fakeFetch({ status: 503, text: "{}" }, METHODS);
  const handle = user(fetch).payment.method("stripe");
  await assert.rejects(handle.describe(), { status: 503 });
  assert.equal((await handle.describe()).id, "stripe");
});

test("payment: unknown, disabled, and of users only", async () => {
  const fetch = fakeFetch(METHODS);
  const { payment } = user(fetch);
  await assert.rejects(payment.method("cash").invoke(), /payment method "cash"/);
  await assert.rejects(
    payment.invokeMethod("creem"),
    /payment method "creem".*disabled: not_configured/,
  );
  const guest = user(fetch, { user_token: undefined });
  assert.equal((await guest.payment.methods()).length, 2);
  await assert.rejects(guest.payment.method("stripe").invoke({ topup_id: "t" }), {
    name: "TypeError",
    message: /user_token is required for payment method "stripe"/,
  });
  assert.throws(() => payment.method(" "), TypeError);
  assert.ok(fetch.calls.every((call) => call.method === "GET"));
});

test("payment: what needs no user is open to guests", async () => {
  const open = { json: { items: [{ ...METHOD, requires_user: false }] } };
  const fetch = fakeFetch(open, { json: {} });
  await user(fetch, { user_token: undefined, city_id: undefined }).payment.invokeMethod("stripe");
  assert.deepEqual(wire(fetch)[1], ["POST /v1/payment/checkout/create", { method_id: "stripe" }]);
});
