// What the admin side of @downcity/city sends, and what it makes of the answers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { City } from "../packages/city/dist/city/src/index.js";
import { fakeFetch, URL_, wire } from "../testkit/helpers.mjs";

const KEY = "admin_secret";

function admin(fetch, options = {}) {
  return new City({
    role: "admin",
    federation_url: URL_,
    city_id: "city_demo",
    admin_secret_key: KEY,
    fetch,
    ...options,
  });
}

const CITY = { city_id: "city_a", name: "A", status: "active", created_at: "t", updated_at: "t" };

test("cities: routes and bodies", async () => {
  const fetch = fakeFetch({ json: { items: [CITY] } }, { json: CITY });
  const { cities } = admin(fetch);
  assert.deepEqual(await cities.list(), [CITY]);
  assert.deepEqual(await cities.create({ name: "A", city_id: "city_a" }), CITY);
  await cities.pause("city_a");
  await cities.activate("city_a");
  await cities.remove("city_a");
  await cities.tokens.apply({
    city_id: "city_a",
    user_id: "u",
    metadata: { plan: "pro" },
    ttl: 60,
  });
  assert.deepEqual(wire(fetch), [
    ["GET /v1/cities/list"],
    ["POST /v1/cities/create", { name: "A", city_id: "city_a" }],
    ["POST /v1/cities/pause", { city_id: "city_a" }],
    ["POST /v1/cities/activate", { city_id: "city_a" }],
    ["POST /v1/cities/remove", { city_id: "city_a" }],
    [
      "POST /v1/cities/tokens/apply",
      { city_id: "city_a", user_id: "u", metadata: { plan: "pro" }, ttl: 60 },
    ],
  ]);
});

test("cities.list reads all pages", async () => {
  const fetch = fakeFetch(
    { json: { items: [CITY], next_cursor: "c/1" } },
    { json: { items: [{ ...CITY, city_id: "city_b" }], next_cursor: null } },
  );
  assert.equal((await admin(fetch).cities.list()).length, 2);
  assert.deepEqual(wire(fetch), [["GET /v1/cities/list"], ["GET /v1/cities/list?cursor=c%2F1"]]);
});

test("tokens.apply issues for the client's own city, whatever the input says", async () => {
  const fetch = fakeFetch({ json: { user_token: "ub_x.y" } });
  const city = admin(fetch);
  assert.equal(city.tokens, city.tokens);
  await city.tokens.apply({ user_id: "u", ttl: "7d", city_id: "city_other" });
  assert.deepEqual(wire(fetch), [
    ["POST /v1/cities/tokens/apply", { user_id: "u", ttl: "7d", city_id: "city_demo" }],
  ]);
  const none = admin(fetch, { city_id: undefined });
  await assert.rejects(none.tokens.apply({ user_id: "u" }), TypeError);
  assert.equal(fetch.calls.length, 1);
});

test("env: routes and bodies", async () => {
  const fetch = fakeFetch({ json: { items: [], success: true } });
  const { env } = admin(fetch);
  await env.list();
  await env.catalog();
  await env.upsert({ key: "OPENAI_API_KEY", value: "sk" });
  await env.remove("OPENAI_API_KEY");
  await env.import("A=1\nB=2");
  await env.refresh();
  assert.deepEqual(wire(fetch), [
    ["GET /v1/env/list"],
    ["GET /v1/env/catalog"],
    ["POST /v1/env/upsert", { key: "OPENAI_API_KEY", value: "sk" }],
    ["POST /v1/env/remove", { key: "OPENAI_API_KEY" }],
    ["POST /v1/env/import", { raw: "A=1\nB=2" }],
    ["POST /v1/env/refresh", {}],
  ]);
});

test("env: what a city has of its own is asked for by its id", async () => {
  const fetch = fakeFetch({ json: { items: [], success: true } });
  const { env } = admin(fetch);
  const of = { city_id: "books", timeout_ms: 5_000 };
  await env.list(of);
  await env.upsert({ key: "OPENAI_API_KEY", value: "sk", city_id: "books" });
  await env.remove("OPENAI_API_KEY", of);
  await env.import("A=1", of);
  assert.deepEqual(wire(fetch), [
    ["GET /v1/env/list?city_id=books"],
    ["POST /v1/env/upsert", { key: "OPENAI_API_KEY", value: "sk", city_id: "books" }],
    ["POST /v1/env/remove", { key: "OPENAI_API_KEY", city_id: "books" }],
    ["POST /v1/env/import", { raw: "A=1", city_id: "books" }],
  ]);
  await assert.rejects(env.list({ city_id: " " }), TypeError);
  assert.equal(fetch.calls.length, 4);
});

test("balance: credits go in, microcredits come out, and the client converts nothing", async () => {
  const code = { redeem_code_id: "rc_1", amount: 300_000_000, code: "ABCD" };
  const fetch = fakeFetch({ json: { items: [code], ...code } });
  const { balance } = admin(fetch);
  const made = await balance.redeemCodes.create({ amount: 300, note: "campaign gift" });
  assert.equal(made.amount, 300_000_000);
  assert.equal(made.code, "ABCD");
  await balance.redeemCodes.disable({ redeem_code_id: "rc_1" });
  await balance.redeemCodes.list({ status: "active", user_id: "", limit: 5 });
  await balance.listUsers();
  await balance.listUsers(7);
  await balance.listHistory({ user_id: "a b", limit: undefined });
  await balance.listTopups({});
  await balance.listCharges({ user_id: null });
  await balance.add({ user_id: "u", amount: 1.25, note: "n", ref: "r", meta: { a: 1 } });
  await balance.sub({ user_id: "u", amount_microcredits: 3 });
  await balance.charge({ user_id: "u", amount_microcredits: 4 });
  await balance.finishTopup({ topup_id: "t" });
  await balance.cancelTopup({ topup_id: "t", note: "n" });
  assert.deepEqual(wire(fetch), [
    ["POST /v1/balance/redeem-codes/create", { amount: 300, note: "campaign gift" }],
    ["POST /v1/balance/redeem-codes/disable", { redeem_code_id: "rc_1" }],
    ["GET /v1/balance/redeem-codes?status=active&limit=5"],
    ["GET /v1/balance/users"],
    ["GET /v1/balance/users?limit=7"],
    ["GET /v1/balance/history?user_id=a+b"],
    ["GET /v1/balance/topups"],
    ["GET /v1/balance/charges"],
    ["POST /v1/balance/add", { user_id: "u", amount: 1.25, note: "n", ref: "r", meta: { a: 1 } }],
    ["POST /v1/balance/sub", { user_id: "u", amount_microcredits: 3 }],
    ["POST /v1/balance/charge", { user_id: "u", amount_microcredits: 4 }],
    ["POST /v1/balance/topups/finish", { topup_id: "t" }],
    ["POST /v1/balance/topups/cancel", { topup_id: "t", note: "n" }],
  ]);
});

test("directories and the instruction", async () => {
  const fetch = fakeFetch(
    { json: { items: [{ id: "ai" }] } },
    { json: { items: [] } },
    { text: "# How" },
  );
  const city = admin(fetch);
  assert.deepEqual(await city.listServices(), [{ id: "ai" }]);
  assert.deepEqual(await city.listModels(), []);
  assert.equal(await city.instruction(), "# How");
  assert.deepEqual(wire(fetch), [
    ["GET /v1/services"],
    ["GET /v1/ai/models"],
    ["GET /v1/base/instruction"],
  ]);
});

test("service(): the paths of actions", async () => {
  const fetch = fakeFetch({ json: { items: [1] } });
  const city = admin(fetch);
  assert.deepEqual(await city.service("accounts").get("users"), { items: [1] });
  await city.service("payment.stripe").get("payments", { limit: 2, a: null, b: undefined, c: "" });
  await city.service("accounts").action("oauth/result").invoke();
  await city.service("my lead").action("/lead").invoke({ a: 1, city_id: "mine" });
  await city.service("crm").action(" a?b#c/d ").invoke();
  assert.deepEqual(wire(fetch), [
    ["GET /v1/accounts/users"],
    ["GET /v1/payment.stripe/payments?limit=2&c="],
    ["POST /v1/accounts/oauth/result", {}],
    ["POST /v1/my%20lead/lead", { a: 1, city_id: "mine" }],
    ["POST /v1/crm/a%3Fb%23c/d", {}],
  ]);
});

test("service(): what is no path is refused before any request", async () => {
  const fetch = fakeFetch({});
  const city = admin(fetch);
  for (const name of ["", "  ", undefined, ".", ".."]) {
    assert.throws(() => city.service(name), TypeError, `service ${name}`);
  }
  for (const path of ["", " ", "/", "a/../b", "..", "./a", "a//b", "a/", undefined]) {
    assert.throws(() => city.service("crm").action(path), TypeError, `action ${path}`);
    await assert.rejects(city.service("crm").get(path), TypeError, `get ${path}`);
  }
  assert.equal(fetch.calls.length, 0);
});

test("blank ids are refused before any request", async () => {
  const fetch = fakeFetch({});
  const { cities, env } = admin(fetch);
  await assert.rejects(cities.pause(""), TypeError);
  await assert.rejects(cities.remove(" "), TypeError);
  await assert.rejects(cities.create({ name: "" }), TypeError);
  await assert.rejects(cities.tokens.apply({ city_id: "", user_id: "u" }), TypeError);
  await assert.rejects(cities.tokens.apply({ city_id: "c", user_id: "" }), TypeError);
  await assert.rejects(env.remove(""), TypeError);
  assert.equal(fetch.calls.length, 0);
});

test("headers: type, key, no dialect, and an idempotency key for each write alone", async () => {
  const fetch = fakeFetch({ json: { items: [] } });
  const city = admin(fetch, { headers: { "X-Trace": "t", Authorization: "no" } });
  await city.cities.list();
  await city.env.refresh();
  await city.env.refresh();
  await city.env.refresh({ idempotency_key: "mine" });
  const [get, first, second, own] = fetch.calls.map((call) => call.headers);
  assert.deepEqual(get, {
    "x-trace": "t",
    "content-type": "application/json",
    authorization: `Bearer ${KEY}`,
  });
  assert.match(first["idempotency-key"], /^[0-9a-f]{32}$/);
  assert.notEqual(first["idempotency-key"], second["idempotency-key"]);
  assert.equal(own["idempotency-key"], "mine");
});
