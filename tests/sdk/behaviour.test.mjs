// The scenarios of tests/behaviour, played by each generation of clients.
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { describe, test } from "node:test";
import { ADMIN_KEY, onEveryEngine } from "./lib/engines.mjs";
import { CALLS, CLIENTS, renamed } from "./lib/players.mjs";
import { difference, fill, scenariosFor } from "./lib/scenarios.mjs";

const CITY_CODES = /^city_(paused|not_found|exists|mismatch)$/;

onEveryEngine("behaviour", (fixture) => {
  for (const [client, { field, open }] of Object.entries(CLIENTS)) {
    describe(client, () => {
      for (const { file, name, steps } of scenariosFor(client)) {
        test(`${file}: ${name}`, async () => {
          const names = { ...(await open(fixture.fed.url)), id: (args) => args[field] };
          const kept = { run: String(randomInt(1e12)).padStart(12, "0") };
          for (const [index, step] of steps.entries()) {
            await play(kept, step, field, names, `step ${index + 1}, ${step.call}`);
          }
        });
      }
    });
  }
});

async function play(kept, step, field, names, at) {
  const args = renamed(fill(kept, step.args ?? {}), "tenant_id", field);
  const options = step.key === undefined ? undefined : { idempotency_key: fill(kept, step.key) };
  const call = CALLS[step.call];
  assert.ok(call, `${at}: no such call`);
  let answer;
  try {
    answer = renamed(await call(clientFor(kept, step.as, names), args, options, names), field, "tenant_id");
  } catch (error) {
    assert.ok(step.error, `${at} failed: ${error.stack}`);
    assert.ok(error instanceof Error, at);
    assert.equal(difference(fill(kept, step.error), seen(error), at), undefined);
    return;
  }
  assert.equal(step.error, undefined, `${at} succeeded: ${JSON.stringify(answer)}`);
  if ("expect" in step) assert.equal(difference(fill(kept, step.expect), answer, at), undefined);
  if (step.save) kept[step.save] = answer;
}

/** What a scenario says of an error. */
function seen({ status, body, code, message }) {
  if (status === undefined) return { local: true, message };
  return { status, body, code: code?.replace(CITY_CODES, "tenant_$1") };
}

function clientFor(kept, as, names) {
  const tenant = kept.token?.tenant_id ?? kept.tenant?.tenant_id;
  switch (as) {
    case "admin":
      return names.admin(ADMIN_KEY);
    case "stranger":
      return names.admin("not_the_admin_key_0123456789");
    case "user":
      return names.user(tenant, kept.token.user_token);
    case "guest":
      return names.user(kept.tenant?.tenant_id);
    default:
      throw new Error(`nobody is called ${as}`);
  }
}
