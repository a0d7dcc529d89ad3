// Addresses, options, errors, retries, limits and secrets: what all clients share.
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { inspect } from "node:util";
import { City, DowncityError } from "../packages/city/dist/city/src/index.js";
import { bodyOf, broken, fakeFetch, URL_ } from "../testkit/helpers.mjs";

function admin(fetch, options = {}) {
  return new City({
    role: "admin",
    federation_url: URL_,
    city_id: "city_demo",
    admin_secret_key: "admin_secret",
    fetch,
    ...options,
  });
}

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

// Which keys the environment of this run has is no matter of these tests.
const KEYS = Object.keys(process.env).filter((name) => /ADMIN_SECRET_KEY$/.test(name));
const saved = KEYS.map((name) => [name, process.env[name]]);
beforeEach(() => {
  for (const name of KEYS) delete process.env[name];
});
afterEach(() => {
  for (const [name, value] of saved) process.env[name] = value;
});

test("the address loses the slashes at its end", async () => {
  const fetch = fakeFetch({ json: { items: [] } });
  await admin(fetch, { federation_url: "https://h/base//" }).cities.list();
  await admin(fetch, { federation_url: undefined, city_url: "https://old" }).cities.list();
  assert.deepEqual(
    fetch.calls.map((call) => call.url),
    ["https://h/base/v1/cities/list", "https://old/v1/cities/list"],
  );
});

test("options that say nothing are refused", () => {
  const fetch = fakeFetch({});
  for (const options of [
    { federation_url: "" },
    { federation_url: undefined },
    { federation_url: 7 },
    { city_id: "" },
    { city_id: " " },
    { admin_secret_key: "" },
    { admin_secret_key: undefined },
    { role: "guest" },
    { role: undefined },
  ]) {
    assert.throws(() => admin(fetch, options), TypeError, JSON.stringify(options));
  }
  assert.throws(() => user(fetch, { user_token: "" }), TypeError);
});

test("without a fetch there is no client", () => {
  const { fetch } = globalThis;
  try {
    delete globalThis.fetch;
    assert.throws(() => admin(undefined), Error);
  } finally {
    globalThis.fetch = fetch;
  }
});

test("the members of the other side throw, and name the role that has them", () => {
  const fetch = fakeFetch({});
  for (const member of ["balance", "cities", "env", "tokens"]) {
    assert.throws(() => user(fetch)[member], { name: "TypeError", message: /"admin"/ });
  }
  for (const method of ["listModels", "instruction"]) {
    assert.throws(() => user(fetch)[method](), { name: "TypeError", message: /"admin"/ });
  }
  for (const member of ["ai", "payment"]) {
    assert.throws(() => admin(fetch)[member], { name: "TypeError", message: /"user"/ });
  }
  assert.equal(fetch.calls.length, 0);
});

for (const [status, body, code, message] of [
  [401, '{"error":"no","code":"invalid_credential"}', "invalid_credential", "no"],
  [403, '{"error":"paused","code":"city_paused"}', "city_paused", "paused"],
  [404, '{"error":{"message":"gone","type":"x","code":"not_found"}}', "not_found", "gone"],
  [409, '{"error":{"message":"taken"}}', undefined, "taken"],
  [422, "<html>", undefined, undefined],
  [500, "", undefined, undefined],
]) {
  test(`status ${status} is an error with its status and its body`, async () => {
    const fetch = fakeFetch({ status, text: body });
    const error = await admin(fetch)
      .service("crm")
      .get("find", { q: "secret" })
      .catch((error) => error);
    assert.ok(error instanceof DowncityError && error instanceof Error);
    assert.deepEqual(
      [error.status, error.body, error.code, error.serverMessage, error.method, error.url],
      [status, body, code, message, "GET", `${URL_}/v1/crm/find?q=secret`],
    );
    assert.ok(Object.hasOwn(error, "status") && Object.hasOwn(error, "body"));
    assert.match(error.message, new RegExp(String(status)));
    assert.ok(error.message.includes(body));
    assert.doesNotMatch(error.message, /secret/);
    // The server has answered: nothing is sent again.
    assert.equal(fetch.calls.length, 1);
  });
}

test("a whole answer that is no JSON throws what JSON throws", async () => {
  await assert.rejects(admin(fakeFetch({ text: "<html>" })).cities.list(), SyntaxError);
});

test("GET outlives two broken connections", async () => {
  const fetch = fakeFetch(
    { error: broken() },
    { error: broken("ECONNRESET") },
    { json: { items: [] } },
  );
  assert.deepEqual(await admin(fetch).cities.list(), []);
  assert.equal(fetch.calls.length, 3);
});

test("a write is repeated with the same idempotency key and body", async () => {
  const fetch = fakeFetch({ error: broken() }, { json: { code: "X" } });
  await admin(fetch).balance.redeemCodes.create({ amount: 300 });
  const [first, second] = fetch.calls;
  assert.equal(first.headers["idempotency-key"], second.headers["idempotency-key"]);
  assert.match(first.headers["idempotency-key"], /^[0-9a-f]{32}$/);
  assert.deepEqual(first.body, second.body);
});

test("the call of a model is sent again only when it cannot have arrived", async () => {
  const message = { id: "m", role: "assistant", parts: [] };
  for (const [error, calls] of [
    [broken("ECONNREFUSED"), 2],
    [broken("ENOTFOUND"), 2],
    [broken("ECONNRESET"), 1],
    [broken(), 1],
  ]) {
    const fetch = fakeFetch({ error }, { json: message });
    const asked = user(fetch).ai.text({ prompt: "x" });
    if (calls === 1) await assert.rejects(asked);
    else assert.deepEqual(await asked, message);
    assert.equal(fetch.calls.length, calls);
    const stream = fakeFetch({ error });
    await assert.rejects(user(stream).ai.stream({ prompt: "x" }));
    assert.equal(stream.calls.length, calls === 1 ? 1 : 3);
  }
});

test("after the last attempt the error names cause, method and address", async () => {
  const fetch = fakeFetch({ error: broken() });
  const error = await user(fetch)
    .service("crm")
    .action("lead")
    .invoke({ name: "x" })
    .catch((error) => error);
  assert.equal(fetch.calls.length, 3);
  assert.ok(error.message.includes("fetch failed"));
  assert.ok(error.message.includes("cause=UND_ERR_SOCKET other side closed"));
  assert.ok(error.message.includes(`POST ${URL_}/v1/crm/lead`));
  assert.equal(error.cause.message, "fetch failed");
});

test("retries can be set, and only broken connections are repeated", async () => {
  for (const [retries, calls] of [
    [false, 1],
    [0, 1],
    [1, 2],
  ]) {
    const fetch = fakeFetch({ error: broken("ECONNREFUSED") });
    await assert.rejects(admin(fetch, { retries }).cities.list());
    assert.equal(fetch.calls.length, calls);
  }
  const fetch = fakeFetch({ error: new TypeError("bad certificate") });
  await assert.rejects(admin(fetch).cities.list(), /bad certificate: GET/);
  assert.equal(fetch.calls.length, 1);
});

/** A fetch that answers when it is told to stop, like the real one. */
function hangingFetch() {
  return (_url, { signal }) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
}

test("a call has a limit of time", async () => {
  const city = admin(hangingFetch(), { timeout_ms: 5 });
  await assert.rejects(city.cities.list(), { name: "TimeoutError", message: /5 ms/ });
  const other = admin(hangingFetch(), { timeout_ms: 0 });
  await assert.rejects(other.cities.list({ timeout_ms: 5 }), { name: "TimeoutError" });
});

test("the limit also ends a fetch that knows no signals, and a body that does not end", async () => {
  const deaf = admin(() => new Promise(() => {}), { timeout_ms: 5 });
  await assert.rejects(deaf.cities.list(), { name: "TimeoutError" });
  const slow = admin(async () => ({ ok: true, status: 200, json: () => new Promise(() => {}) }), {
    timeout_ms: 5,
  });
  await assert.rejects(slow.cities.list(), { name: "TimeoutError" });
});

test("signals end calls: the client's and the call's", async () => {
  const all = new AbortController();
  const city = admin(hangingFetch(), { signal: all.signal });
  const one = new AbortController();
  const ended = city.cities.list({ signal: one.signal });
  one.abort(new Error("one"));
  await assert.rejects(ended, /one/);
  const pending = city.env.list();
  all.abort(new Error("all"));
  await assert.rejects(pending, /all/);
  await assert.rejects(city.env.list(), /all/);
});

test("a finished call leaves no listener on the client's signal", async () => {
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args) => {
    listeners += 1;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args) => {
    listeners -= 1;
    removeEventListener.apply(signal, args);
  };
  await admin(fakeFetch({ json: { items: [] } }), { signal }).cities.list();
  const stream = { body: bodyOf(["data: [DONE]\n\n"]) };
  for await (const _ of await user(fakeFetch(stream), { signal }).ai.stream({ prompt: "x" }));
  assert.equal(listeners, 0);
});

test("no secret is shown", async () => {
  const secret = "do_not_show";
  const clients = [
    admin(fakeFetch({}), { admin_secret_key: secret }),
    user(fakeFetch({}), { user_token: secret }),
  ];
  for (const client of clients) {
    const shown = [
      JSON.stringify(client),
      inspect(client, { depth: 9, showHidden: true }),
      `${client}`,
      ...["ai", "payment", "cities", "env", "balance", "tokens"].map((member) => {
        try {
          return inspect(client[member], { depth: 9, showHidden: true });
        } catch (error) {
          return String(error);
        }
      }),
      inspect(client.service("x"), { depth: 9, showHidden: true }),
    ];
    for (const text of shown) assert.doesNotMatch(text, new RegExp(secret));
    assert.match(shown[0], /\[redacted\]/);
  }
  const handle = clients[1].ai.model("m");
  assert.equal(handle.token, secret);
  assert.doesNotMatch(JSON.stringify(handle) + inspect(handle, { depth: 9 }), new RegExp(secret));
  const refused = admin(fakeFetch({ status: 401, text: "no" }), { admin_secret_key: secret });
  const error = await refused.cities.list().catch((error) => error);
  assert.doesNotMatch(inspect(error), new RegExp(secret));
});

test("in a page the admin side warns, once", () => {
  const { warn } = console;
  const said = [];
  console.warn = (text) => said.push(text);
  globalThis.document = {};
  try {
    admin(fakeFetch({}));
    admin(fakeFetch({}));
    user(fakeFetch({}));
  } finally {
    delete globalThis.document;
    console.warn = warn;
  }
  assert.equal(said.length, 1);
  assert.match(said[0], /admin key/);
});

test("an environment that cannot be read is no environment", () => {
  const { process } = globalThis;
  const without = {
    get env() {
      throw new Error("not allowed");
    },
  };
  for (const process_ of [undefined, {}, without]) {
    globalThis.process = process_;
    let thrown;
    try {
      admin(fakeFetch({}), { admin_secret_key: undefined });
    } catch (error) {
      thrown = error;
    } finally {
      globalThis.process = process;
    }
    assert.ok(thrown instanceof TypeError);
    assert.match(thrown.message, /DOWNCITY_FEDERATION_ADMIN_SECRET_KEY/);
  }
});
