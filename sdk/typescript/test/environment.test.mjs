// Where each package looks for an admin key that it was not given.
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { City } from "../packages/city/dist/city/src/index.js";
import { Gate, AdminClient as GateAdmin } from "../packages/gate/dist/gate/src/index.js";
import { AdminClient as BaseAdmin } from "../packages/visiblebase-client/dist/visiblebase-client/src/index.js";
import { fakeFetch, URL_ } from "../testkit/helpers.mjs";

const NAMES = [
  "DOWNCITY_FEDERATION_ADMIN_SECRET_KEY",
  "DOWNCITY_CITY_ADMIN_SECRET_KEY",
  "DOWNCITY_INFRA_ADMIN_SECRET_KEY",
  "VISIBLEBASE_ADMIN_SECRET_KEY",
];
const saved = NAMES.map((name) => [name, process.env[name]]);
const clear = () => {
  for (const name of NAMES) delete process.env[name];
};
beforeEach(clear);
afterEach(() => {
  clear();
  for (const [name, value] of saved) if (value !== undefined) process.env[name] = value;
});

const CLIENTS = {
  City: [
    "DOWNCITY_FEDERATION_ADMIN_SECRET_KEY",
    (fetch) => new City({ role: "admin", federation_url: URL_, fetch }).env,
  ],
  "AdminClient of gate": [
    "DOWNCITY_CITY_ADMIN_SECRET_KEY",
    (fetch) => new GateAdmin({ base_url: URL_, fetch }).env,
  ],
  Gate: [
    "DOWNCITY_CITY_ADMIN_SECRET_KEY",
    (fetch) => new Gate({ role: "admin", city_url: URL_, fetch }).env,
  ],
  "AdminClient of visiblebase": [
    "VISIBLEBASE_ADMIN_SECRET_KEY",
    (fetch) => new BaseAdmin({ base_url: URL_, fetch }).env,
  ],
};

for (const [client, [own, make]] of Object.entries(CLIENTS)) {
  const key = async () => {
    const fetch = fakeFetch({ json: { items: [] } });
    await make(fetch).list();
    return fetch.calls[0].headers.authorization;
  };

  test(`${client}: without a key there is no client`, () => {
    assert.throws(() => make(fakeFetch({})), { name: "TypeError", message: new RegExp(own) });
    process.env[own] = "  ";
    assert.throws(() => make(fakeFetch({})), TypeError);
  });

  test(`${client}: its own name goes before those of the others`, async () => {
    process.env[own] = "own";
    assert.equal(await key(), "Bearer own");
    for (const name of NAMES) if (name !== own) process.env[name] = "other";
    assert.equal(await key(), "Bearer own");
    delete process.env[own];
    assert.equal(await key(), "Bearer other");
  });
}
