// One suite of tests on every engine: a Federation, an upstream, a city and a user.
import assert from "node:assert/strict";
import { after, afterEach, before, describe } from "node:test";
import { ENGINES } from "./databases.mjs";
import { startFederation } from "./federation.mjs";
import { UPSTREAM_MODEL } from "./openai-wire.mjs";
import { startUpstream } from "./upstream.mjs";

/** Long enough for a loaded machine; a hanging call fails here instead of hanging the run. */
const TEST_MS = 60_000;

export const CITY = "city_npm";
export const USER = "user_42";
/** The provider key; it may reach the upstream and nobody else. */
export const PROVIDER_KEY = "sk-mock-upstream-secret-0123456789";

/**
 * Declares the suite `name` once per engine. `more(url)` gives what the configuration holds besides,
 * `url` being the upstream's. `tests(fixture)` declares the tests; inside them the
 * fixture holds `fed` (see federation.mjs), `upstream` (see upstream.mjs), `token` (of USER in
 * CITY) and `aiUrl`, the base URL for SDKs.
 */
export function onEveryEngine(name, tests, more = () => "") {
  describeWith(name, tests, async (fixture) => {
    fixture.upstream = await startUpstream();
    fixture.config = configFor(fixture.upstream.baseUrl) + more(fixture.upstream.baseUrl);
  });
}

/** The same with a Federation that has no provider configured, hence no upstream. */
export function onEveryEngineWithoutProvider(name, tests, { config = "" } = {}) {
  describeWith(name, tests, async (fixture) => {
    fixture.config = config;
  });
}

/** The same with a configuration of its own, without a provider. */
export function onEveryEngineWith(name, config, tests) {
  describeWith(name, tests, async (fixture) => {
    fixture.config = config;
  });
}

function describeWith(name, tests, prepare) {
  for (const engine of ENGINES) {
    describe(`${name}, on ${engine}`, { timeout: 5 * TEST_MS }, () => {
      const fixture = {};
      before(async () => {
        await prepare(fixture);
        fixture.fed = await startFederation({ engine, config: fixture.config });
        fixture.aiUrl = `${fixture.fed.url}/v1/ai`;
        if (fixture.upstream) await fixture.fed.setEnv("MOCK_API_KEY", PROVIDER_KEY);
        await fixture.fed.createCity(CITY);
        fixture.token = await fixture.fed.issueToken(CITY, USER);
      }, { timeout: TEST_MS });
      afterEach(() => fixture.upstream?.reset());
      after(async () => {
        try {
          await fixture.fed?.stop();
        } finally {
          await fixture.upstream?.close();
        }
      }, { timeout: TEST_MS });
      tests(fixture);
    });
  }
}

/** Checks the error body of every route but the OpenAI ones: a sentence and a code. */
export function assertPlainError({ body, text, headers }) {
  assert.equal(typeof body?.error, "string", `no error sentence in: ${text}`);
  assert.match(body.code ?? "", /^[a-z][a-z0-9_]*$/, `no error code in: ${text}`);
  assert.match(headers.get("content-type") ?? "", /^application\/json/);
}

// `down` points at a port of the upstream's host where nothing listens: port 1 is reserved.
function configFor(upstreamUrl) {
  return `
[ai]
keep_alive_ms = 100

[[ai.provider]]
id = "mock"
protocol = "openai-chat"
base_url = "${upstreamUrl}"
env_key = "MOCK_API_KEY"

[[ai.provider]]
id = "down"
protocol = "openai-chat"
base_url = "http://127.0.0.1:1/v1"
env_key = "MOCK_API_KEY"

[[ai.provider]]
id = "keyless"
protocol = "openai-chat"
base_url = "${upstreamUrl}"
env_key = "UNSET_API_KEY"

[[ai.model]]
id = "mock-chat"
name = "Mock Chat"
provider = "mock"
upstream_model = "${UPSTREAM_MODEL}"
default = true

[[ai.model]]
id = "down-chat"
name = "Unreachable Chat"
provider = "down"
upstream_model = "${UPSTREAM_MODEL}"

[[ai.model]]
id = "keyless-chat"
name = "Chat Without A Key"
provider = "keyless"
upstream_model = "${UPSTREAM_MODEL}"
`;
}
