// The bundle in a page of Debian's Chromium that calls a Federation of another origin.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { bundle } from "./lib/bundle.mjs";
import { ADMIN_KEY } from "./lib/engines.mjs";
import { startFederation } from "../npm-clients/lib/federation.mjs";
import { chunk, usageChunk } from "../npm-clients/lib/openai-wire.mjs";
import { CITY, onEveryEngine } from "../npm-clients/lib/suite.mjs";
import { DONE, gate, sse } from "../npm-clients/lib/upstream.mjs";

// Without these, Chromium calls hosts of its own at every start; it has no sandbox as root.
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

let browser;
let site;
let origin;

before(async () => {
  const { text } = await bundle("@downcity/city");
  site = createServer((request, response) => {
    const isClient = request.url === "/city.js";
    response.writeHead(200, { "content-type": isClient ? "text/javascript" : "text/html" });
    response.end(isClient ? text : "<!doctype html><title>A product</title>");
  }).listen(0, "127.0.0.1");
  await once(site, "listening");
  origin = `http://127.0.0.1:${site.address().port}`;
  browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: FLAGS });
});

after(async () => {
  await browser?.close();
  site?.closeAllConnections();
  site?.close();
});

onEveryEngine("a page", (fixture) => {
  let page;
  const warnings = [];

  before(async () => {
    page = await browser.newPage();
    page.on("console", (message) => warnings.push(message.text()));
    await page.goto(origin);
    // `user` and `read` are of the page, as a product has them.
    await page.evaluate(
      async ({ url, city_id, user_token }) => {
        const { City } = await import("/city.js");
        Object.assign(globalThis, {
          City,
          guest: new City({ role: "user", federation_url: url, city_id }),
          user: new City({ role: "user", federation_url: url, city_id, user_token }),
          seen: "",
          async read(stream) {
            for await (const chunk of stream) if (chunk.type === "text-delta") globalThis.seen += chunk.delta;
          },
        });
      },
      { url: fixture.fed.url, city_id: CITY, user_token: fixture.token },
    );
  });
  after(() => page?.close());

  test("a guest registers and becomes a user, and asks a model", async () => {
    fixture.upstream.answer(sse([chunk({ role: "assistant", content: "Hello" }), chunk({}, "stop"), usageChunk(), DONE]));
    const email = `page_${Date.now()}@example.com`;
    const text = await page.evaluate(async (email) => {
      const input = { email, password: "a long enough sentence" };
      const { user_token } = await guest.service("accounts").action("register").invoke(input);
      let text = "";
      for await (const chunk of await guest.withToken(user_token).ai.stream({ prompt: "Hi" })) text += chunk.delta ?? "";
      return text;
    }, email);
    assert.equal(text, "Hello");
  });

  test("what a model says is there before it has ended", async () => {
    const more = gate();
    fixture.upstream.answer(sse([chunk({ role: "assistant", content: "first " }), more, chunk({ content: "second" }), chunk({}, "stop"), usageChunk(), DONE]));
    await page.evaluate(async () => {
      globalThis.seen = "";
      globalThis.done = globalThis.read(await user.ai.stream({ prompt: "Hi" }));
    });
    await page.waitForFunction(() => seen === "first ");
    more.open();
    await page.evaluate(() => globalThis.done);
    assert.equal(await page.evaluate(() => seen), "first second");
  });

  for (const [how, end] of [
    ["a signal", () => globalThis.ending.abort()],
    ["cancelling the stream", () => globalThis.reader.cancel()],
  ]) {
    test(`${how} ends the request, up to the provider`, async () => {
      const never = gate();
      fixture.upstream.answer(sse([chunk({ role: "assistant", content: "first" }), never]));
      await page.evaluate(async () => {
        globalThis.ending = new AbortController();
        const stream = await user.ai.stream({ prompt: "Hi" }, { signal: ending.signal });
        globalThis.reader = stream.getReader();
        globalThis.seen = "";
        while (seen !== "first") globalThis.seen += (await reader.read()).value.delta ?? "";
      });
      await page.evaluate(end);
      assert.equal(await fixture.upstream.request().gone, true, "the provider sees the caller leave");
      never.open();
    });
  }

  test("a refusal is read across origins, with status, body and code", async () => {
    const said = await page.evaluate(async () => {
      const error = await guest.ai.text({ prompt: "Hi" }).catch((error) => error);
      return { name: error.name, status: error.status, code: error.code, body: error.body, isError: error instanceof Error };
    });
    assert.deepEqual({ ...said, body: "" }, { name: "DowncityError", status: 401, code: "missing_credential", body: "", isError: true });
    assert.equal(JSON.parse(said.body).code, "missing_credential");
  });

  test("an admin client says that it does not belong into a page", async () => {
    await page.evaluate(
      async ({ url, key }) => new City({ role: "admin", federation_url: url, admin_secret_key: key }).cities.list(),
      { url: fixture.fed.url, key: ADMIN_KEY },
    );
    assert.equal(warnings.filter((text) => text.includes("admin key")).length, 1);
  });
});

test("a Federation that names other origins is not read by this page", async () => {
  const fed = await startFederation({ engine: "SQLite", config: '[server.cors]\norigins = ["https://app.example.com"]\n' });
  const page = await browser.newPage();
  try {
    await page.goto(origin);
    const said = await page.evaluate(async (url) => {
      const { City } = await import("/city.js");
      const guest = new City({ role: "user", federation_url: url, retries: false });
      return guest.payment.methods().then(String, (error) => ({ status: error.status, message: error.message }));
    }, fed.url);
    assert.equal(said.status, undefined, "there is no answer to read");
    assert.match(said.message, /Failed to fetch/);
  } finally {
    await page.close();
    await fed.stop();
  }
});
