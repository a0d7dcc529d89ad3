// The server has done it, but its answer is lost: what is sent again must not happen twice.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { CITY, onEveryEngineWithoutProvider, USER } from "../npm-clients/lib/suite.mjs";
import { ADMIN_KEY } from "./lib/engines.mjs";
import { load } from "./lib/project.mjs";
import { startProxy } from "./lib/proxy.mjs";

onEveryEngineWithoutProvider("lost answers", (fixture) => {
  let proxy;
  let admin;

  before(async () => {
    proxy = await startProxy(fixture.fed.url);
    const { City } = await load("@downcity/city");
    admin = new City({ role: "admin", federation_url: proxy.url, admin_secret_key: ADMIN_KEY });
  });
  beforeEach(() => proxy.loseAnswers(0));
  after(() => proxy?.close());

  test("a read is asked again", async () => {
    proxy.loseAnswers(2);
    assert.ok((await admin.cities.list()).length > 0);
    assert.deepEqual(proxy.requests.map(({ method }) => method), ["GET", "GET", "GET"]);
  });

  test("credits are given once", async () => {
    proxy.loseAnswers(2);
    const account = await admin.balance.add({ user_id: "once", amount: 2 });
    assert.equal(account.balance, 2_000_000);
    const keys = proxy.requests.map(({ key }) => key);
    assert.equal(keys.length, 3);
    assert.ok(keys[0] && keys.every((key) => key === keys[0]), "all attempts carry one key");
    assert.equal((await admin.balance.listHistory({ user_id: "once" })).length, 1);
  });

  test("one redeem code is made, and its code still shown", async () => {
    proxy.loseAnswers(1);
    const issued = await admin.balance.redeemCodes.create({ amount: 300, note: "lost once" });
    assert.match(issued.code, /-/);
    const made = (await admin.balance.redeemCodes.list({ limit: 200 })).filter(({ note }) => note === "lost once");
    assert.deepEqual(made.map(({ redeem_code_id }) => redeem_code_id), [issued.redeem_code_id]);
  });

  test("one city is made", async () => {
    proxy.loseAnswers(1);
    const { city_id } = await admin.cities.create({ name: "Lost once" });
    const made = (await admin.cities.list()).filter(({ name }) => name === "Lost once");
    assert.deepEqual(made.map((city) => city.city_id), [city_id]);
  });

  test("when all answers are lost, the error says so, and the write has happened once", async () => {
    proxy.loseAnswers(9);
    await assert.rejects(admin.balance.add({ user_id: "lost", amount: 2 }), (error) => {
      assert.equal(error.status, undefined);
      assert.match(error.message, /POST http:.*\/v1\/balance\/add after 3 attempts/);
      return true;
    });
    proxy.loseAnswers(0);
    assert.equal((await admin.balance.listHistory({ user_id: "lost" })).length, 1);
  });

  test("the call of a model that may have arrived is not sent again", async () => {
    const { City } = await load("@downcity/city");
    const user = new City({ role: "user", federation_url: proxy.url, city_id: CITY, user_token: fixture.token });
    proxy.loseAnswers(1);
    await assert.rejects(user.ai.text({ prompt: "Hi" }));
    assert.equal(proxy.requests.length, 1);
    proxy.loseAnswers(1);
    await assert.rejects(user.ai.stream({ prompt: "Hi" }));
    assert.equal(proxy.requests.length, 1);
  });

  test("a refusal is not asked again", async () => {
    await assert.rejects(admin.cities.pause("city_gone"), { status: 404 });
    assert.equal(proxy.requests.length, 1);
  });

  test("older clients repeat nothing unless told; the same key by hand happens once", async () => {
    const { AdminClient } = await load("@downcity/gate");
    const gate = new AdminClient({ base_url: proxy.url, admin_secret_key: ADMIN_KEY });
    proxy.loseAnswers(1);
    const options = { idempotency_key: "by-hand-1" };
    await assert.rejects(gate.balance.add({ user_id: USER, amount: 300 }, options));
    assert.equal(proxy.requests.length, 1);
    const account = await gate.balance.add({ user_id: USER, amount: 300 }, options);
    assert.equal(account.balance, 300);
  });
});
