// What people have written with each generation runs unchanged, with the key given or from the environment.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ADMIN_KEY, onEveryEngine } from "./lib/engines.mjs";
import { runNode } from "./lib/project.mjs";

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

// The keys in the blocks are none, and their providers would say so.
const NOBODY_IS_ASKED = "[ai]\nstarter = false\n";

const BLOCKS = {
  city: { variable: "DOWNCITY_FEDERATION_ADMIN_SECRET_KEY", check: checkCity },
  gate: { variable: "DOWNCITY_CITY_ADMIN_SECRET_KEY", check: ({ studio }) => checkTenant(studio, "studio_id") },
  visiblebase: { variable: "VISIBLEBASE_ADMIN_SECRET_KEY", check: ({ product }) => checkTenant(product, "product_id") },
};

onEveryEngine("blocks", (fixture) => {
  test("the city that the first block names is there", () => fixture.fed.createCity("city_demo"));

  for (const [name, { variable, check }] of Object.entries(BLOCKS)) {
    for (const [how, key] of [["given", "GIVEN_KEY"], [`in ${variable}`, variable]]) {
      test(`${name}, the key ${how}`, async () => {
        check(JSON.parse(await runNode([`${name}.mjs`], { FEDERATION_URL: fixture.fed.url, [key]: ADMIN_KEY })));
        const { items } = await fixture.fed.admin("/v1/cities/list");
        assert.deepEqual(items.map(({ city_id }) => city_id).sort(), ["city_demo", "city_downcity"], "what it made, it removed");
      });
    }

    test(`${name}, no key at all`, async () => {
      await assert.rejects(
        runNode([`${name}.mjs`], { FEDERATION_URL: fixture.fed.url }),
        (error) => error.message.includes("TypeError") && error.message.includes(variable),
      );
    });

    test(`${name}, a wrong key`, async () => {
      await assert.rejects(
        runNode([`${name}.mjs`], { FEDERATION_URL: fixture.fed.url, GIVEN_KEY: "wrong" }),
        (error) => error.message.includes("401") && error.message.includes("invalid_credential"),
      );
    });
  }

  test("what the last block stores and removes is gone", async () => {
    const { items } = await fixture.fed.admin("/v1/env/list");
    assert.ok(!items.some(({ key }) => key === "OPENAI_API_KEY"));
  });
}, { config: NOBODY_IS_ASKED });

function checkCity({ issued, city, code }) {
  assert.deepEqual({ ...issued, user_token: "", expires_at: "" }, { user_token: "", city_id: "city_demo", user_id: "user_123", expires_at: "" });
  assert.ok(issued.user_token.length > 40);
  const days = (Date.parse(issued.expires_at) - Date.now()) / 86_400_000;
  assert.ok(days > 6.9 && days < 7.1, `the token ends in ${days} days`);
  assert.equal(city.city_id, "city_my_app");
  checkTenant({ ...city, name: "Chrome Extension" }, "city_id");
  assert.equal(city.name, "My App");
  assert.match(code.redeem_code_id, /^rc_/);
  assert.match(code.code, /^\w{4}(-\w{4}){3}$/);
  assert.equal(code.amount, 300_000_000, "300 credits are 300,000,000 microcredits");
  assert.equal(code.note, "campaign gift");
}

function checkTenant(tenant, field) {
  assert.deepEqual(Object.keys(tenant).sort(), [field, "created_at", "name", "status", "updated_at"].sort());
  assert.equal(tenant.name, "Chrome Extension");
  assert.equal(tenant.status, "active");
  assert.match(tenant.created_at, TIME);
  assert.match(tenant.updated_at, TIME);
}
